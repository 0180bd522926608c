//! A token bucket. It fills at a rate per second and holds what one second brings.

use std::time::{Duration, Instant};

/// A token bucket that starts full. One call of `take` may overdraw it; then nothing may be taken
/// until the debt is paid.
#[derive(Debug)]
pub struct Bucket {
    /// Tokens per second, and also the capacity.
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub fn new(now: Instant, rate: u64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "beyond 2^53 per second nothing is limited"
        )]
        let rate = rate.max(1) as f64;
        Self {
            rate,
            tokens: rate,
            filled: now,
        }
    }

    /// Returns the number of whole tokens that are available now.
    pub fn available(&mut self, now: Instant) -> u64 {
        self.fill(now);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is not negative, and a conversion of floats saturates"
        )]
        let whole = self.tokens.max(0.0) as u64;
        whole
    }

    /// Returns true when at least one token is available.
    #[inline]
    pub fn has_any(&mut self, now: Instant) -> bool {
        self.available(now) > 0
    }

    /// Takes tokens, even when there are fewer.
    pub fn take(&mut self, now: Instant, tokens: u64) {
        self.fill(now);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a debt of 2^53 tokens is none that is ever paid"
        )]
        let tokens = tokens as f64;
        self.tokens -= tokens;
    }

    /// Returns the time at which a part of what one second brings (at least one token) will be
    /// available, after `ahead` such parts have gone to others. None when it is available now.
    pub fn ready_at(&mut self, now: Instant, part: f64, ahead: u32) -> Option<Instant> {
        self.fill(now);
        let need = (self.rate * part).clamp(1.0, self.rate);
        let missing = need.mul_add(f64::from(ahead) + 1.0, -self.tokens);
        if missing <= 0.0 {
            return None;
        }
        // Rounded up, so that a caller who waits until then finds the tokens.
        let seconds = (missing / self.rate).min(WAIT_SECONDS_MAX);
        Some(self.filled + Duration::from_secs_f64(seconds) + Duration::from_millis(1))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = self.filled.max(now);
        self.tokens = passed
            .as_secs_f64()
            .mul_add(self.rate, self.tokens)
            .min(self.rate);
    }
}

/// The longest wait that [`Bucket::ready_at`] returns, in seconds. The caller asks again then,
/// whatever the debt.
const WAIT_SECONDS_MAX: f64 = 60.0;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_second_at_a_time_and_no_more_is_saved() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(begin, 100);
        assert_eq!(bucket.available(begin), 100);
        bucket.take(begin, 100);
        assert!(!bucket.has_any(begin));
        assert_eq!(bucket.available(begin + SECOND / 2), 50);
        assert_eq!(bucket.available(begin + SECOND * 60), 100);
    }

    #[test]
    fn debt_is_paid_before_anything_is_taken() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(begin, 100);
        bucket.take(begin, 300);
        assert!(!bucket.has_any(begin + SECOND));
        let ready = bucket.ready_at(begin, 0.0, 0).expect("it is in debt");
        assert!(ready > begin + SECOND * 2, "{:?}", ready - begin);
        assert!(ready < begin + SECOND * 3, "{:?}", ready - begin);
        assert_eq!(bucket.ready_at(ready, 0.0, 0), None);
    }

    #[test]
    fn those_who_wait_come_one_after_the_other() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(begin, 10);
        bucket.take(begin, 10);
        let first = bucket.ready_at(begin, 0.0, 0).expect("it is empty");
        let third = bucket.ready_at(begin, 0.0, 2).expect("it is empty");
        let between = third - first;
        assert!((190..=210).contains(&between.as_millis()), "{between:?}");
    }

    #[test]
    fn time_that_goes_back_takes_nothing_away() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(begin + SECOND, 10);
        bucket.take(begin + SECOND, 5);
        assert_eq!(bucket.available(begin), 5);
    }
}
