//! The rules for connecting again: after which failures, and with which wait.

use std::time::Duration;

use wsrun_contract::{Failure, Reconnect};

/// The shortest first wait. It protects a server that ends connections as fast as it accepts them.
const DELAY_MIN: Duration = Duration::from_millis(10);
const DELAY: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(30);

/// Returns the wait before the next attempt, after `failed` attempts in a row that failed. `random`
/// must be uniform over all values.
///
/// Half of the wait is random, so that clients whose server went away do not all come back at the
/// same moment.
pub fn delay(reconnect: &Reconnect, failed: u32, random: u32) -> Duration {
    let longest = reconnect.delay_max.unwrap_or(DELAY_MAX).max(DELAY_MIN);
    let first = reconnect.delay.unwrap_or(DELAY).max(DELAY_MIN);
    let doubled = 2_u32
        .checked_pow(failed)
        .and_then(|factor| first.checked_mul(factor))
        .unwrap_or(longest)
        .min(longest);
    let half = doubled / 2;
    half.saturating_add(half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
}

/// Returns true when another attempt follows this failure.
pub fn retries_failure(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) | Failure::TimedOut(_) | Failure::Ended => true,
        Failure::Refused(status) => matches!(status, 408 | 425 | 429 | 500..=599),
        Failure::Denied(_)
        | Failure::Tls(_)
        | Failure::Redirected(_)
        | Failure::InvalidResponse(_)
        | Failure::NotUpgraded
        | Failure::AcceptMissing
        | Failure::AcceptWrong
        | Failure::ProtocolNotOffered
        | Failure::ExtensionNotOffered(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsrun_contract::Phase;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn delays(reconnect: Reconnect, random: u32) -> Vec<u128> {
        let delay = |failed| delay(&reconnect, failed, random).as_millis();
        (0..9).map(delay).collect()
    }

    #[test]
    fn delay_doubles_and_half_of_it_is_random() {
        let reconnect = Reconnect::default();
        let longest = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000];
        assert_eq!(delays(reconnect, u32::MAX), longest);
        let halves = [250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000];
        assert_eq!(delays(reconnect, 0), halves);
        assert_eq!(delay(&reconnect, u32::MAX, u32::MAX), millis(30_000));
    }

    #[test]
    fn delay_keeps_to_its_bounds() {
        let fast = Reconnect {
            delay: Some(Duration::ZERO),
            delay_max: Some(millis(30)),
            attempts_max: 0,
        };
        assert_eq!(delays(fast, u32::MAX)[..4], [10, 20, 30, 30]);
        let contrary = Reconnect {
            delay: Some(millis(700)),
            delay_max: Some(millis(100)),
            attempts_max: 0,
        };
        assert_eq!(delays(contrary, u32::MAX)[..2], [100, 100]);
        let endless = Reconnect {
            delay: Some(Duration::MAX),
            delay_max: Some(Duration::MAX),
            attempts_max: 0,
        };
        assert!(delay(&endless, 3, u32::MAX) > millis(u64::from(u32::MAX)));
    }

    #[test]
    fn failures_that_another_attempt_may_mend_are_retried() {
        let text = String::new;
        for failure in [
            Failure::Unreachable(text()),
            Failure::TimedOut(Phase::Tls),
            Failure::Ended,
            Failure::Refused(429),
            Failure::Refused(503),
        ] {
            assert!(retries_failure(&failure), "{failure}");
        }
        for failure in [
            Failure::Denied(text()),
            Failure::Tls(text()),
            Failure::Refused(200),
            Failure::Refused(401),
            Failure::Refused(404),
            Failure::Refused(600),
            Failure::Redirected(None),
            Failure::InvalidResponse(text()),
            Failure::NotUpgraded,
            Failure::AcceptMissing,
            Failure::AcceptWrong,
            Failure::ProtocolNotOffered,
            Failure::ExtensionNotOffered(text()),
        ] {
            assert!(!retries_failure(&failure), "{failure}");
        }
    }
}
