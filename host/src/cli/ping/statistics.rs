//! Statistics of round-trip times, in constant memory.

use std::time::Duration;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Statistics {
    count: u64,
    least: Duration,
    greatest: Duration,
    /// The sum, in nanoseconds. The sum of squares has room for 10^10 squares of a day.
    sum: u128,
    sum_of_squares: u128,
}

impl Statistics {
    pub(super) fn add(&mut self, time: Duration) {
        self.least = match self.count {
            0 => time,
            _ => self.least.min(time),
        };
        self.greatest = self.greatest.max(time);
        self.count += 1;
        let nanoseconds = time.as_nanos();
        self.sum = self.sum.saturating_add(nanoseconds);
        self.sum_of_squares = self
            .sum_of_squares
            .saturating_add(nanoseconds.saturating_mul(nanoseconds));
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the line of the summary: least, mean, greatest and the standard deviation (`mdev` in
    /// ping(8)), in milliseconds. None when nothing was measured.
    pub(super) fn line(&self) -> Option<String> {
        let count = u128::from(self.count);
        let mean = self.sum.checked_div(count)?;
        // Computed with integers, so that the difference of large squares is exact. The mean was
        // rounded down, so the difference is not negative.
        let variance = (self.sum_of_squares / count).saturating_sub(mean * mean);
        let [least, mean, greatest, deviation] = [
            self.least.as_nanos(),
            mean,
            self.greatest.as_nanos(),
            variance.isqrt(),
        ]
        .map(|nanoseconds| nanoseconds as f64 / 1e6);
        Some(format!(
            "rtt min/avg/max/mdev = {least:.3}/{mean:.3}/{greatest:.3}/{deviation:.3} ms"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(milliseconds: &[u64]) -> Option<String> {
        let mut statistics = Statistics::default();
        for time in milliseconds {
            statistics.add(Duration::from_millis(*time));
        }
        statistics.line()
    }

    #[test]
    fn line_tells_least_mean_greatest_and_deviation() {
        assert_eq!(line(&[]), None);
        let one = line(&[5]);
        assert_eq!(
            one.as_deref(),
            Some("rtt min/avg/max/mdev = 5.000/5.000/5.000/0.000 ms")
        );
        let four = line(&[2, 4, 4, 6]);
        assert_eq!(
            four.as_deref(),
            Some("rtt min/avg/max/mdev = 2.000/4.000/6.000/1.414 ms")
        );
    }

    #[test]
    fn days_do_not_overflow() {
        let day = 86_400_000;
        let line = line(&[day, day, day]);
        assert!(line.unwrap().ends_with("/0.000 ms"));
    }
}
