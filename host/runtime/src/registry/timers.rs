//! Timers of one handler on one worker.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use crate::session::ConnectionId;
use wsrun_contract::{LONGEST, TimerId};

/// What a timer was set with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    pub id: TimerId,
    pub tag: u64,
    pub connection: Option<ConnectionId>,
    /// The seat whose instance set it, and with which it ends; a seat may have no connection yet. None for an instance that has none.
    pub seat: Option<u64>,
}

/// The wheel, and an index from timers, connections and seats into it.
#[derive(Default)]
pub struct Timers {
    wheel: DelayQueue<Timer>,
    /// Timers that were set and not yet delivered.
    known: HashMap<TimerId, Known>,
    of_connection: BTreeMap<ConnectionId, BTreeSet<TimerId>>,
    of_seat: BTreeMap<u64, BTreeSet<TimerId>>,
}

struct Known {
    /// None: it has expired and waits for its callback.
    key: Option<Key>,
    connection: Option<ConnectionId>,
    seat: Option<u64>,
}

impl Timers {
    /// Returns the number of timers that have not fired.
    #[inline]
    pub fn count(&self) -> usize {
        self.known.len()
    }

    #[inline]
    pub fn contains(&self, timer: TimerId) -> bool {
        self.known.contains_key(&timer)
    }

    pub fn set(&mut self, after: Duration, timer: Timer) {
        let key = self.wheel.insert(timer, after.min(LONGEST));
        let known = Known {
            key: Some(key),
            connection: timer.connection,
            seat: timer.seat,
        };
        self.known.insert(timer.id, known);
        if let Some(connection) = timer.connection {
            let timers = self.of_connection.entry(connection).or_default();
            timers.insert(timer.id);
        }
        if let Some(seat) = timer.seat {
            self.of_seat.entry(seat).or_default().insert(timer.id);
        }
    }

    /// Forgets a timer: cancelled, or about to be delivered. False when it is not known.
    pub fn remove(&mut self, timer: TimerId) -> bool {
        let Some(known) = self.known.remove(&timer) else {
            return false;
        };
        if let Some(key) = known.key {
            self.wheel.remove(&key);
        }
        unlist(&mut self.of_connection, known.connection, timer);
        unlist(&mut self.of_seat, known.seat, timer);
        true
    }

    #[inline]
    pub fn cancel_of(&mut self, connection: ConnectionId) {
        for timer in self.of_connection.remove(&connection).unwrap_or_default() {
            self.remove(timer);
        }
    }

    /// Cancels what an instance has set that is gone for good.
    #[inline]
    pub fn cancel_of_seat(&mut self, seat: u64) {
        for timer in self.of_seat.remove(&seat).unwrap_or_default() {
            self.remove(timer);
        }
    }

    /// The next timer that has expired. It stays known until [`Timers::remove`], so that it can be cancelled until its callback.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Option<Timer>> {
        match self.wheel.poll_expired(cx) {
            Poll::Ready(Some(expired)) => {
                let timer = expired.into_inner();
                if let Some(known) = self.known.get_mut(&timer.id) {
                    known.key = None;
                }
                Poll::Ready(Some(timer))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Takes a timer out of an index.
fn unlist<K: Ord>(of: &mut BTreeMap<K, BTreeSet<TimerId>>, key: Option<K>, timer: TimerId) {
    if let Some(key) = key
        && let Some(timers) = of.get_mut(&key)
    {
        timers.remove(&timer);
        if timers.is_empty() {
            of.remove(&key);
        }
    }
}
