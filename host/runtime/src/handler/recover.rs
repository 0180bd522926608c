//! After a panic of the host in a handler's turn: what it concerned is ended, and the handler goes on with another instance.
//!
//! It is treated as a trap of the callback would be: the instance is gone, the connection that the event was for is closed with 1011, the
//! others are told to the next instance, and a version on trial has failed it. Where the life of the instance itself is lost, with the
//! events that it had taken, all of its connections are closed.

use std::any::Any;

use super::Handler;
use super::hosted::Hosted;
use super::place::Place;
use super::queue::{Event, Queue, cost};
use crate::session::Session;
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::{CloseInfo, ClosedBy, ConnectionId};
use wsrun_metrics::panics::{Panicked, caught};

/// What a panic while an event is delivered leaves to be settled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum InHand {
    #[default]
    Nothing,
    /// An event of a connection, and what its payload counts.
    Of(ConnectionId, usize),
    /// The end of a connection.
    End(ConnectionId),
}

impl InHand {
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Received {
                session, payload, ..
            }
            | Event::ReceivedChunk {
                session, payload, ..
            }
            | Event::Pong { session, payload } => Self::Of(session.id, cost(payload.len())),
            Event::Opened(session)
            | Event::Writable(session)
            | Event::Lost { session, .. }
            | Event::Restored(session) => Self::Of(session.id, 0),
            Event::Closed { session, .. } => Self::End(session.id),
            Event::Fired(timer) => timer
                .connection
                .map_or(Self::Nothing, |connection| Self::Of(connection, 0)),
            Event::Requested { .. }
            | Event::Accepts { .. }
            | Event::Http { .. }
            | Event::Draining(_)
            | Event::Hibernate => Self::Nothing,
        }
    }
}

impl Handler {
    #[inline]
    pub(super) fn report_panic(&self, panicked: &Panicked, stage: &str) {
        panicked.report(&self.worker.tally, self.registry.name(), stage);
    }

    /// Goes on after a panic that left the life and the other events.
    pub(super) fn recover<F: GuestFactory>(&self, place: &mut Place<F>, panicked: &Panicked) {
        self.report_panic(panicked, "turn");
        let in_hand = self.in_hand.take();
        place.pace.failed();
        let guest = place.guest.take();
        self.end_broken(guest);
        let connection = match in_hand {
            InHand::Of(connection, _) | InHand::End(connection) => Some(connection),
            InHand::Nothing => None,
        };
        if let Some(previous) = place.failed_trial() {
            self.roll_back(place, previous, &panicked.to_string());
        }
        self.fail(connection);
        if let Some(session) = connection.and_then(|connection| self.registry.get(connection)) {
            match in_hand {
                InHand::Of(_, bytes) => {
                    let queued = session.queued_event_bytes.get();
                    session.settle_event_bytes(bytes.min(queued));
                }
                InHand::End(_) => {
                    place.forget(session.id);
                    self.end_untold(&session);
                }
                InHand::Nothing => {}
            }
        }
        self.count_failure(place);
        self.worker.flush();
    }

    /// Goes on after a panic that has ended the life, and with it the events that it had taken.
    pub(super) fn life_lost(&self, panicked: &Panicked, life: impl Any) {
        self.report_panic(panicked, "life");
        // Whatever is still dropped of it may panic again.
        let _ = caught(|| drop(life));
        self.in_hand.take();
        drop(self.own.take());
        drop(self.queue.replace(Queue::default()));
        for session in self.registry.sessions() {
            if !self.owns(session.id) {
                continue;
            }
            self.fail(Some(session.id));
            session.settle_event_bytes(session.queued_event_bytes.get());
            if session.end_queued.get() {
                self.end_untold(&session);
            }
        }
        self.worker.flush();
    }

    /// The end of a connection that no instance is told.
    fn end_untold(&self, session: &Session) {
        self.disown(session.id);
        self.registry.remove(session.id);
        session.tell_end(session.close_info().unwrap_or_else(|| CloseInfo {
            code: wsrun_proto::ws::ABNORMAL_CLOSURE,
            reason: "the host failed".to_owned(),
            by: ClosedBy::Host,
            clean: false,
        }));
    }

    /// Lets go of an instance of which nobody knows what it is in the middle of.
    fn end_broken(&self, guest: Option<Hosted<impl Guest>>) {
        if let Some(mut guest) = guest {
            let ended = caught(|| {
                guest.clear_effects();
                drop(guest);
            });
            if let Err(panicked) = ended {
                self.report_panic(&panicked, "end");
            }
        }
    }
}
