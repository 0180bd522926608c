//! The times of pings, and the matching of pongs to pings. It reads no clock.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::statistics::Statistics;

/// The most pings that are remembered while they wait for their pongs. Beyond it the oldest is
/// forgotten, and a pong for it would be unexpected. A payload of one byte distinguishes no more.
const OUTSTANDING_MAX: usize = 256;

/// The most pings that may wait for their pongs in a flood.
pub(super) const PRELOAD_MAX: u8 = 64;

/// The most bytes of a control frame's payload (RFC 6455, 5.5).
pub(super) const SIZE_MAX: u8 = 125;

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The number of pings. None means no end.
    pub(super) count: Option<u64>,
    /// The pace of the pings.
    pub(super) pace: Pace,
    /// Bytes of the payload, at most [`SIZE_MAX`].
    pub(super) size: u8,
    /// The time limit for a pong.
    pub(super) timeout: Duration,
}

/// The event that the next ping waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// This much time after the ping before.
    Interval(Duration),
    /// Pongs: at most `preload` pings wait for theirs. With `interval`, at least that much time
    /// passes after the ping before.
    Pongs {
        preload: u8,
        interval: Option<Duration>,
    },
}

#[derive(Debug)]
pub(super) struct Pinger {
    plan: Plan,
    /// The pings that wait for their pongs, in the order in which they were sent.
    outstanding: VecDeque<Sent>,
    sent: u64,
    last_sent: Option<Instant>,
    /// The number of pings without a pong of their own, where a later ping was answered.
    skipped: u64,
    /// The number of pongs that answer none of the outstanding pings. A peer may send pongs unasked
    /// (RFC 6455, 5.5.3).
    unexpected: u64,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: u64,
    at: Instant,
}

/// A pong that answers a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) sequence: u64,
    pub(super) time: Duration,
    /// The number of earlier pings that this pong answers too.
    pub(super) skipped: usize,
}

impl Pinger {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            outstanding: VecDeque::new(),
            sent: 0,
            last_sent: None,
            skipped: 0,
            unexpected: 0,
            statistics: Statistics::default(),
        }
    }

    /// Returns the payload of the next ping if it is due. The ping counts as sent then.
    pub(super) fn poll_ping(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_ping(now)? > now {
            return None;
        }
        self.sent += 1;
        self.last_sent = Some(now);
        if self.outstanding.len() == OUTSTANDING_MAX {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(Sent {
            sequence: self.sent,
            at: now,
        });
        Some(payload(self.sent, self.plan.size))
    }

    /// Returns the time at which [`poll_ping`](Self::poll_ping) or [`is_done`](Self::is_done) will
    /// return something else, unless a pong comes first.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.all_sent() {
            return self.outstanding.back().map(|last| self.given_up_at(last));
        }
        self.next_ping(now)
    }

    /// Returns true when every ping was sent, and was answered or has timed out.
    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.all_sent()
            && self
                .outstanding
                .back()
                .is_none_or(|last| self.given_up_at(last) <= now)
    }

    /// Handles a pong. Returns none if it answers no ping.
    ///
    /// The transport keeps the order, so the pings before the answered one were received as well.
    /// RFC 6455, 5.5.3: an endpoint "MAY elect to send a Pong frame for only the most recently
    /// processed Ping frame".
    pub(super) fn handle_pong(&mut self, now: Instant, received: &[u8]) -> Option<Answered> {
        let position = self
            .outstanding
            .iter()
            .position(|ping| payload(ping.sequence, self.plan.size) == received);
        let answered =
            position.and_then(|position| self.outstanding.drain(..=position).next_back());
        let (Some(skipped), Some(ping)) = (position, answered) else {
            self.unexpected += 1;
            return None;
        };
        self.skipped += skipped as u64;
        let time = now.saturating_duration_since(ping.at);
        self.statistics.add(time);
        Some(Answered {
            sequence: ping.sequence,
            time,
            skipped,
        })
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn unexpected(&self) -> u64 {
        self.unexpected
    }

    pub(super) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn all_sent(&self) -> bool {
        self.plan.count.is_some_and(|count| self.sent >= count)
    }

    /// Returns the time at which the next ping is due, if no pong changes it. None when all pings
    /// were sent.
    fn next_ping(&self, now: Instant) -> Option<Instant> {
        if self.all_sent() {
            return None;
        }
        let Some(last) = self.last_sent else {
            return Some(now);
        };
        match self.plan.pace {
            Pace::Interval(interval) => last.checked_add(interval),
            Pace::Pongs { preload, interval } => {
                let paced = last.checked_add(interval.unwrap_or_default())?;
                Some(paced.max(self.room_at(now, usize::from(preload))))
            }
        }
    }

    /// Returns the time at which fewer than `preload` pings will wait for their pongs, if no pong
    /// comes.
    fn room_at(&self, now: Instant, preload: usize) -> Instant {
        let newest = self.outstanding.iter().rev();
        newest
            .take(preload)
            .nth(preload - 1)
            .map_or(now, |ping| self.given_up_at(ping))
    }

    fn given_up_at(&self, ping: &Sent) -> Instant {
        ping.at.checked_add(self.plan.timeout).unwrap_or(ping.at)
    }
}

/// Returns the payload of a ping: the sequence number in 8 bytes, and filling. A smaller payload
/// has the last bytes of the number, as many as fit.
fn payload(sequence: u64, size: u8) -> Vec<u8> {
    let number = sequence.to_be_bytes();
    let size = usize::from(size);
    let kept = size.min(number.len());
    let filling = (0..=u8::MAX).cycle().take(size - kept);
    number[number.len() - kept..]
        .iter()
        .copied()
        .chain(filling)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn plan(pace: Pace) -> Plan {
        Plan {
            count: None,
            pace,
            size: 64,
            timeout: 10 * MS,
        }
    }

    fn flood(preload: u8) -> Plan {
        plan(Pace::Pongs {
            preload,
            interval: None,
        })
    }

    /// Sends the pings that are due. Returns their sequence numbers.
    fn due(pinger: &mut Pinger, now: Instant) -> Vec<u64> {
        let mut sent = Vec::new();
        while pinger.poll_ping(now).is_some() {
            sent.push(pinger.sent());
        }
        sent
    }

    #[test]
    fn pings_go_out_at_the_interval_whether_answered_or_not() {
        let start = Instant::now();
        let mut pinger = Pinger::new(plan(Pace::Interval(3 * MS)));
        assert_eq!(due(&mut pinger, start), [1]);
        assert!(due(&mut pinger, start + 2 * MS).is_empty());
        assert_eq!(pinger.poll_timeout(start), Some(start + 3 * MS));
        assert_eq!(due(&mut pinger, start + 3 * MS), [2]);
        assert_eq!(due(&mut pinger, start + 6 * MS), [3]);
    }

    #[test]
    fn pong_tells_the_time_of_its_ping() {
        let start = Instant::now();
        let mut pinger = Pinger::new(plan(Pace::Interval(MS)));
        let first = pinger.poll_ping(start).unwrap();
        let second = pinger.poll_ping(start + MS).unwrap();
        assert_eq!((first.len(), second.len()), (64, 64));
        let answered = pinger.handle_pong(start + 4 * MS, &first);
        let expected = Answered {
            sequence: 1,
            time: 4 * MS,
            skipped: 0,
        };
        assert_eq!(answered, Some(expected));
        let answered = pinger.handle_pong(start + 4 * MS, &second).unwrap();
        assert_eq!((answered.sequence, answered.time), (2, 3 * MS));
        assert_eq!(pinger.statistics().count(), 2);
    }

    #[test]
    fn pong_that_answers_nothing_or_comes_twice_is_unexpected() {
        let start = Instant::now();
        let mut pinger = Pinger::new(plan(Pace::Interval(MS)));
        assert_eq!(pinger.handle_pong(start, b""), None);
        let ping = pinger.poll_ping(start).unwrap();
        assert_eq!(pinger.handle_pong(start, &ping[1..]), None);
        assert!(pinger.handle_pong(start, &ping).is_some());
        assert_eq!(pinger.handle_pong(start, &ping), None);
        assert_eq!((pinger.unexpected(), pinger.statistics().count()), (3, 1));
    }

    #[test]
    fn pong_answers_for_the_pings_before_it() {
        let start = Instant::now();
        let mut pinger = Pinger::new(flood(3));
        let first = pinger.poll_ping(start).unwrap();
        let second = pinger.poll_ping(start).unwrap();
        assert_eq!(due(&mut pinger, start), [3]);
        let answered = pinger.handle_pong(start, &second).unwrap();
        assert_eq!((answered.sequence, answered.skipped), (2, 1));
        assert_eq!((pinger.skipped(), pinger.statistics().count()), (1, 1));
        assert_eq!(pinger.handle_pong(start, &first), None);
        assert_eq!(due(&mut pinger, start), [4, 5]);
    }

    #[test]
    fn flood_waits_for_pongs_and_gives_them_up_in_time() {
        let start = Instant::now();
        let mut pinger = Pinger::new(flood(2));
        assert_eq!(due(&mut pinger, start), [1, 2]);
        assert_eq!(pinger.poll_timeout(start), Some(start + 10 * MS));
        assert!(due(&mut pinger, start + 9 * MS).is_empty());
        assert_eq!(due(&mut pinger, start + 10 * MS), [3, 4]);
        // A late pong still counts, for its own ping.
        let answered = pinger.handle_pong(start + 11 * MS, &payload(1, 64));
        assert_eq!(answered.unwrap().time, 11 * MS);
        assert!(due(&mut pinger, start + 11 * MS).is_empty());
    }

    #[test]
    fn flood_keeps_an_interval_if_told() {
        let start = Instant::now();
        let mut pinger = Pinger::new(plan(Pace::Pongs {
            preload: 2,
            interval: Some(2 * MS),
        }));
        let ping = pinger.poll_ping(start).unwrap();
        assert!(pinger.handle_pong(start + MS, &ping).is_some());
        assert!(due(&mut pinger, start + MS).is_empty());
        assert_eq!(pinger.poll_timeout(start + MS), Some(start + 2 * MS));
        assert_eq!(due(&mut pinger, start + 2 * MS), [2]);
    }

    #[test]
    fn run_is_done_with_the_last_pong_or_its_time() {
        let start = Instant::now();
        let plan = Plan {
            count: Some(2),
            ..plan(Pace::Interval(MS))
        };
        for answered in [true, false] {
            let mut pinger = Pinger::new(plan);
            assert_eq!(due(&mut pinger, start), [1]);
            let last = pinger.poll_ping(start + MS).unwrap();
            assert!(due(&mut pinger, start + 9 * MS).is_empty());
            assert!(!pinger.is_done(start + 9 * MS));
            assert_eq!(pinger.poll_timeout(start + MS), Some(start + 11 * MS));
            let end = if answered {
                assert!(pinger.handle_pong(start + 2 * MS, &last).is_some());
                start + 2 * MS
            } else {
                start + 11 * MS
            };
            assert!(pinger.is_done(end));
            assert!(due(&mut pinger, end).is_empty());
        }
    }

    #[test]
    fn every_size_tells_the_outstanding_pings_apart() {
        let start = Instant::now();
        for size in 0..=SIZE_MAX {
            let mut pinger = Pinger::new(Plan {
                size,
                ..flood(PRELOAD_MAX)
            });
            // More pings than one byte can number.
            for turn in 0..5 {
                let pings: Vec<_> = std::iter::from_fn(|| pinger.poll_ping(start)).collect();
                assert_eq!(pings.len(), usize::from(PRELOAD_MAX));
                for (index, ping) in pings.iter().enumerate() {
                    assert_eq!(ping.len(), usize::from(size));
                    let sequence = turn * u64::from(PRELOAD_MAX) + index as u64 + 1;
                    let answered = pinger.handle_pong(start, ping).unwrap();
                    assert_eq!(answered.sequence, sequence, "size {size}");
                }
            }
        }
    }

    #[test]
    fn unanswered_pings_are_forgotten_beyond_a_number() {
        let start = Instant::now();
        let mut pinger = Pinger::new(plan(Pace::Interval(Duration::ZERO)));
        let first = pinger.poll_ping(start).unwrap();
        for _ in 0..OUTSTANDING_MAX {
            pinger.poll_ping(start).unwrap();
        }
        assert_eq!(pinger.outstanding.len(), OUTSTANDING_MAX);
        assert_eq!(pinger.handle_pong(start, &first), None);
    }
}
