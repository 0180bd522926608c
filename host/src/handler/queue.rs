//! Events that wait for a handler.

use std::ops::Range;
use std::rc::Rc;

use tokio::sync::oneshot;
use wsrun_proto::ws::MessageKind;

use super::Decision;
use super::timers::Timer;
use crate::request::Request;
use crate::session::{CloseInfo, ConnectionId, Session};

/// Something that the handler is told.
pub(super) enum Event {
    Requested {
        request: Rc<Request>,
        reply: oneshot::Sender<Decision>,
    },
    Opened(Rc<Session>),
    Received {
        session: Rc<Session>,
        kind: MessageKind,
        payload: Range<usize>,
    },
    Pong {
        session: Rc<Session>,
        payload: Range<usize>,
    },
    Writable(Rc<Session>),
    Closed {
        session: Rc<Session>,
        info: CloseInfo,
    },
    Fired(Timer),
}

/// Events in order, their payloads back to back.
///
/// Its size is bounded by its producers: a connection stops reading at 256 KiB of its own, a handler has at most `timers_max` timers,
/// and everything else comes at most once per connection or handshake.
#[derive(Default)]
pub(crate) struct Queue {
    pub(super) events: Vec<Event>,
    pub(super) data: Vec<u8>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn push_requested(
        &mut self,
        request: Rc<Request>,
        reply: oneshot::Sender<Decision>,
    ) {
        self.events.push(Event::Requested { request, reply });
    }

    pub(crate) fn push_opened(&mut self, session: Rc<Session>) {
        self.events.push(Event::Opened(session));
    }

    pub(crate) fn push_received(
        &mut self,
        session: &Rc<Session>,
        kind: MessageKind,
        payload: &[u8],
    ) {
        let payload = self.payload(session, payload);
        self.events.push(Event::Received {
            session: Rc::clone(session),
            kind,
            payload,
        });
    }

    pub(crate) fn push_pong(&mut self, session: &Rc<Session>, payload: &[u8]) {
        let payload = self.payload(session, payload);
        self.events.push(Event::Pong {
            session: Rc::clone(session),
            payload,
        });
    }

    pub(crate) fn push_writable(&mut self, session: Rc<Session>) {
        self.events.push(Event::Writable(session));
    }

    pub(crate) fn push_closed(&mut self, session: Rc<Session>, info: CloseInfo) {
        self.events.push(Event::Closed { session, info });
    }

    pub(super) fn push_fired(&mut self, timer: Timer) {
        self.events.push(Event::Fired(timer));
    }

    /// Empties it and keeps what memory is worth keeping.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.data.clear();
        self.events.shrink_to(EVENTS_KEPT);
        self.data.shrink_to(BYTES_KEPT);
    }

    fn payload(&mut self, session: &Session, payload: &[u8]) -> Range<usize> {
        session
            .queued_event_bytes
            .set(session.queued_event_bytes.get() + cost(payload.len()));
        let start = self.data.len();
        self.data.extend_from_slice(payload);
        start..self.data.len()
    }
}

/// What an event with a payload counts against its connection: empty messages cost memory too.
pub(super) fn cost(payload_bytes: usize) -> usize {
    payload_bytes + EVENT_BYTES
}

const EVENT_BYTES: usize = 64;
const EVENTS_KEPT: usize = 4_096;
const BYTES_KEPT: usize = 512 * 1024;

/// The connection that a callback is for, or its name where there is none.
pub(super) fn subject(event: &Event) -> (&'static str, Option<ConnectionId>) {
    match event {
        Event::Requested { .. } => ("handshake.requested", None),
        Event::Opened(session) => ("handler.opened", Some(session.id)),
        Event::Received { session, .. } => ("handler.received", Some(session.id)),
        Event::Pong { session, .. } => ("pong.pong", Some(session.id)),
        Event::Writable(session) => ("writable.writable", Some(session.id)),
        Event::Closed { session, .. } => ("handler.closed", Some(session.id)),
        Event::Fired(timer) => ("timer-handler.fired", timer.connection),
    }
}
