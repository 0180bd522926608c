//! A rate limit for lines of the log that peers can cause at will: one line for each cause in five
//! seconds, with the number of lines left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(5);

/// The rate limit of one cause. It is meant to be a static beside the line that it limits.
#[derive(Debug)]
pub struct Seldom(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// Returns a limit whose first line may be logged at once.
    #[expect(
        clippy::new_without_default,
        reason = "it is a static beside a line of the log"
    )]
    #[inline]
    pub const fn new() -> Self {
        Self(Mutex::new(State {
            last: None,
            left_out: 0,
        }))
    }

    /// Returns none when nothing is to be logged now. Otherwise returns the number of times that
    /// the cause was left out since the last line.
    #[inline]
    pub fn take(&self) -> Option<u64> {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = state
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if !is_due {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_is_told_once_in_the_interval_with_what_was_left_out() {
        let start = Instant::now();
        let seldom = Seldom::new();
        assert_eq!(seldom.take_at(start), Some(0));
        for _ in 0..9 {
            assert_eq!(seldom.take_at(start + Duration::from_secs(1)), None);
        }
        assert_eq!(seldom.take_at(start + INTERVAL), Some(9));
        assert_eq!(seldom.take_at(start + INTERVAL * 3), Some(0));
    }
}
