//! How many lines a handler may log.

use std::time::{Duration, Instant};

use super::token_bucket::Bucket;

/// Lines over the rate are counted, and told when there is room for lines again.
#[derive(Debug)]
pub(super) struct LogRate {
    bucket: Bucket,
    left_out: u64,
    /// When the count may be told: in a flood there is room for a line every few moments, and each would be told of.
    tell_at: Instant,
}

impl LogRate {
    #[inline]
    pub(super) fn new(now: Instant, lines_per_second: u64) -> Self {
        Self {
            bucket: Bucket::new(now, lines_per_second),
            left_out: 0,
            tell_at: now,
        }
    }

    /// Whether a line may be logged. If so, how many were left out before it: 0 when there is nothing to tell.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        if !self.bucket.has_any(now) {
            if self.left_out == 0 {
                self.tell_at = now + INTERVAL;
            }
            self.left_out += 1;
            return None;
        }
        self.bucket.take(now, 1);
        if now < self.tell_at {
            return Some(0);
        }
        Some(std::mem::take(&mut self.left_out))
    }
}

const INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_rate_are_counted_and_told_once_when_there_is_room() {
        let start = Instant::now();
        let mut rate = LogRate::new(start, 10);
        let written = (0..50).filter(|_| rate.take(start).is_some()).count();
        assert_eq!(written, 10);
        let soon = start + Duration::from_millis(500);
        assert_eq!(rate.take(soon), Some(0));
        let later = start + INTERVAL;
        assert_eq!(rate.take(later), Some(40));
        assert_eq!(rate.take(later), Some(0));
    }
}
