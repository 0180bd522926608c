//! The clients of the admin socket that are answered: a limited number at a time, and a silent
//! client cannot keep others out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// The most clients at a time. One more replaces the client that has been silent for longest.
pub(super) const CLIENTS_MAX: usize = 16;

/// The clients that are connected now.
#[derive(Debug, Default)]
pub(super) struct Clients(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    id: u64,
    /// The time since which the client has been silent. None while no other may replace it.
    silent_since: Option<Instant>,
    /// Notified when another client replaces this one.
    leave: Arc<Notify>,
}

/// The admission of one client. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Seat {
    clients: Arc<Clients>,
    id: u64,
    leave: Arc<Notify>,
}

impl Clients {
    /// Admits one more client, in place of a silent one when there are [`CLIENTS_MAX`]. Returns
    /// none when all of them are being answered.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.lock();
        if state.clients.len() >= CLIENTS_MAX {
            let silent = state.clients.iter().enumerate();
            let silent = silent.filter_map(|(at, client)| Some((client.silent_since?, at)));
            let (_, at) = silent.min()?;
            state.clients.remove(at).leave.notify_one();
        }
        let id = state.next;
        state.next += 1;
        let leave = Arc::<Notify>::default();
        state.clients.push(Client {
            id,
            silent_since: Some(Instant::now()),
            leave: Arc::clone(&leave),
        });
        Some(Seat {
            clients: Arc::clone(self),
            id,
            leave,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Begins the client's silence, during which another may replace it (`true`), or ends the
    /// silence (`false`).
    pub(super) fn listens(&self, listens: bool) {
        let mut state = self.clients.lock();
        let found = state.clients.iter_mut();
        if let Some(client) = found.into_iter().find(|client| client.id == self.id) {
            client.silent_since = listens.then(Instant::now);
        }
    }

    /// Waits until another client has replaced this one.
    pub(super) async fn is_taken(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.clients.lock();
        state.clients.retain(|client| client.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn place_is_that_of_who_was_silent_for_longest() {
        let clients = Arc::<Clients>::default();
        let seats: Vec<_> = (0..CLIENTS_MAX)
            .map(|_| clients.enter().expect("there is room"))
            .collect();
        seats[0].listens(false);
        let one_more = clients.enter().expect("one was silent");
        seats[1].is_taken().await;
        drop(seats);
        assert_eq!(clients.lock().clients.len(), 1);
        drop(one_more);
        assert_eq!(clients.lock().clients.len(), 0);
    }

    #[test]
    fn nobody_who_is_being_answered_loses_the_place() {
        let clients = Arc::<Clients>::default();
        let seats: Vec<_> = (0..CLIENTS_MAX)
            .map(|_| clients.enter().expect("there is room"))
            .collect();
        seats.iter().for_each(|seat| seat.listens(false));
        assert!(clients.enter().is_none());
        seats[3].listens(true);
        assert!(clients.enter().is_some());
    }
}
