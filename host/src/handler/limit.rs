//! Limits that were reached: counted, and told in the log now and then.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::contract::Limit;
use crate::observability::HandlerTally;

/// What the log was told of each limit.
#[derive(Debug)]
pub(crate) struct Reached {
    tally: Arc<HandlerTally>,
    told: [Cell<Option<Instant>>; Limit::ALL.len()],
}

impl Reached {
    pub(crate) fn new(tally: Arc<HandlerTally>) -> Self {
        Self {
            tally,
            told: std::array::from_fn(|_| Cell::new(None)),
        }
    }

    /// Counts, and warns unless that was done a moment ago.
    pub(crate) fn note(&self, handler: &str, limit: Limit) {
        let count = &self.tally.limits[limit as usize];
        count.add(1);
        let told = &self.told[limit as usize];
        let now = Instant::now();
        if told.get().is_none_or(|told| now >= told + INTERVAL) {
            told.set(Some(now));
            tracing::warn!(
                handler,
                limit = limit.name(),
                reached = count.get(),
                "a limit was reached: {}",
                limit.explanation()
            );
        }
    }
}

/// Between two warnings of one limit of a handler.
const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_place_of_its_own() {
        let tally = Arc::<HandlerTally>::default();
        let reached = Reached::new(Arc::clone(&tally));
        for limit in Limit::ALL {
            for _ in 0..=limit as usize {
                reached.note("test", limit);
            }
        }
        for (position, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, position);
            let count = tally.limits[position].get();
            assert_eq!(count, position as u64 + 1, "{}", limit.name());
        }
    }
}
