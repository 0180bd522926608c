//! Timers of one handler on one worker.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

use crate::contract::TimerId;
use crate::session::ConnectionId;

/// What a timer was set with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    pub(crate) id: TimerId,
    pub(crate) tag: u64,
    pub(crate) connection: Option<ConnectionId>,
    /// A connection of the instance that set it: whose seat is told, and with which it ends. None for an instance of no connection.
    pub(crate) owner: Option<ConnectionId>,
}

/// The wheel, and an index from timers and connections into it.
#[derive(Default)]
pub(crate) struct Timers {
    wheel: DelayQueue<Timer>,
    /// Timers that were set and not yet delivered. No key: it has expired and waits for its callback.
    known: HashMap<TimerId, (Option<Key>, Option<ConnectionId>)>,
    of_connection: BTreeMap<ConnectionId, BTreeSet<TimerId>>,
}

impl Timers {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn contains(&self, timer: TimerId) -> bool {
        self.known.contains_key(&timer)
    }

    pub(crate) fn set(&mut self, after: Duration, timer: Timer) {
        let key = self.wheel.insert(timer, after);
        self.known.insert(timer.id, (Some(key), timer.owner));
        if let Some(connection) = timer.owner {
            self.of_connection
                .entry(connection)
                .or_default()
                .insert(timer.id);
        }
    }

    /// Forgets a timer: cancelled, or about to be delivered. False when it is not known.
    pub(crate) fn remove(&mut self, timer: TimerId) -> bool {
        let Some((key, connection)) = self.known.remove(&timer) else {
            return false;
        };
        if let Some(key) = key {
            self.wheel.remove(&key);
        }
        if let Some(connection) = connection
            && let Some(timers) = self.of_connection.get_mut(&connection)
        {
            timers.remove(&timer);
            if timers.is_empty() {
                self.of_connection.remove(&connection);
            }
        }
        true
    }

    pub(crate) fn cancel_of(&mut self, connection: ConnectionId) {
        for timer in self.of_connection.remove(&connection).unwrap_or_default() {
            if let Some((Some(key), _)) = self.known.remove(&timer) {
                self.wheel.remove(&key);
            }
        }
    }

    /// The next timer that has expired. It stays known until [`Timers::remove`], so that it can be cancelled until its callback.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Option<Timer>> {
        match self.wheel.poll_expired(cx) {
            Poll::Ready(Some(expired)) => {
                let timer = expired.into_inner();
                if let Some((key, _)) = self.known.get_mut(&timer.id) {
                    *key = None;
                }
                Poll::Ready(Some(timer))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
