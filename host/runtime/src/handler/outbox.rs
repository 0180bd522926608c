//! What a handler publishes, on its way to the same handler on other workers.
//!
//! The life of an instance never waits for room at another worker: that one may wait for this one in the same way, and both would wait for
//! ever. What a worker does not take at once waits here, and a task brings it there, in order. While much waits, the instance is given no
//! event, as it would publish more; what the host itself has for it goes on, and with it what the other worker waits for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

use super::Remote;

/// Publishes that wait for one worker while the instance is still given events. One callback may add as many as it may ask for.
const WAITING_MAX: usize = 64;

/// The way to all other workers that have the handler.
pub(super) struct Outbox {
    peers: Vec<Peer>,
    /// Peers for which as many wait as may.
    full: Cell<usize>,
    room: Notify,
}

struct Peer {
    channel: mpsc::Sender<Remote>,
    waiting: RefCell<VecDeque<Remote>>,
    has_some: Notify,
}

impl Outbox {
    /// With a task for each of the workers.
    pub(super) fn new(channels: Vec<mpsc::Sender<Remote>>) -> Rc<Self> {
        let peers = channels.into_iter().map(|channel| Peer {
            channel,
            waiting: RefCell::default(),
            has_some: Notify::new(),
        });
        Rc::new(Self {
            peers: peers.collect(),
            full: Cell::new(0),
            room: Notify::new(),
        })
    }

    /// Brings to the other workers what they did not take at once, within a `LocalSet`.
    #[inline]
    pub(super) fn spawn(self: &Rc<Self>) {
        for position in 0..self.peers.len() {
            let outbox = Rc::clone(self);
            tokio::task::spawn_local(async move { outbox.bring(position).await });
        }
    }

    /// Whether there is another worker to tell.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether so much waits that the handler is to publish no more.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.full.get() > 0
    }

    /// Waits until it is not full any more; it may be again.
    pub(super) async fn room(&self) {
        if self.is_full() {
            self.room.notified().await;
        }
    }

    /// Tells all other workers, in the order of the calls.
    pub(super) fn send(&self, remote: &Remote) {
        for peer in &self.peers {
            let mut waiting = peer.waiting.borrow_mut();
            if waiting.is_empty() {
                match peer.channel.try_send(remote.clone()) {
                    // A worker that has ended has nobody to tell.
                    Ok(()) | Err(TrySendError::Closed(_)) => continue,
                    Err(TrySendError::Full(_)) => {}
                }
            }
            waiting.push_back(remote.clone());
            if waiting.len() == WAITING_MAX {
                self.full.set(self.full.get() + 1);
            }
            peer.has_some.notify_one();
        }
    }

    async fn bring(&self, position: usize) {
        let peer = &self.peers[position];
        loop {
            peer.has_some.notified().await;
            while !peer.waiting.borrow().is_empty() {
                let permit = peer.channel.reserve().await;
                // It stays at the front until there is room, so that nothing overtakes it.
                let mut waiting = peer.waiting.borrow_mut();
                let was_full = waiting.len() >= WAITING_MAX;
                match permit {
                    Ok(permit) => {
                        if let Some(remote) = waiting.pop_front() {
                            permit.send(remote);
                        }
                    }
                    Err(_) => waiting.clear(),
                }
                if was_full && waiting.len() < WAITING_MAX {
                    self.full.set(self.full.get() - 1);
                    self.room.notify_waiters();
                }
                if waiting.is_empty() {
                    waiting.shrink_to(WAITING_MAX);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::task::{LocalSet, yield_now};
    use wsrun_proto::ws::MessageKind;

    use super::*;

    fn remote(number: usize) -> Remote {
        Remote::Broadcast {
            protocol: None,
            kind: MessageKind::Binary,
            payload: Bytes::from(number.to_le_bytes().to_vec()),
        }
    }

    fn number(remote: &Remote) -> usize {
        let (Remote::Broadcast { payload, .. } | Remote::Publish { payload, .. }) = remote;
        usize::from_le_bytes(payload[..].try_into().unwrap())
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_and_arrives_in_order() {
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                let (sender, mut receiver) = mpsc::channel(2);
                let outbox = Outbox::new(vec![sender]);
                outbox.spawn();
                let all = WAITING_MAX + 10;
                for sent in 0..all {
                    outbox.send(&remote(sent));
                }
                yield_now().await;
                assert!(outbox.is_full());
                for received in 0..all {
                    assert_eq!(number(&receiver.recv().await.unwrap()), received);
                    if received == all / 2 {
                        outbox.room().await;
                        outbox.send(&remote(all));
                    }
                }
                assert_eq!(number(&receiver.recv().await.unwrap()), all);
                assert!(!outbox.is_full());
            })
            .await;
    }

    #[tokio::test]
    async fn worker_that_has_ended_holds_nothing_up() {
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                let (sender, receiver) = mpsc::channel(1);
                let outbox = Outbox::new(vec![sender]);
                outbox.spawn();
                for sent in 0..2 * WAITING_MAX {
                    outbox.send(&remote(sent));
                }
                assert!(outbox.is_full());
                drop(receiver);
                outbox.room().await;
                assert!(!outbox.is_full());
            })
            .await;
    }
}
