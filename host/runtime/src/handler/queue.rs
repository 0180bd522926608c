//! Events that wait for a handler.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use wsrun_proto::ws::{Chunk, MessageKind};

use super::requests::RequestInstances;
use super::swap::Next;
use super::{Decision, DecisionFailed, Remote};
use crate::registry::Timer;
use crate::session::Session;
use crate::worker::Worker;
use wsrun_contract::packed;
use wsrun_contract::{
    Callback, CallbackError, CloseInfo, ConnectionId, HttpRequest, HttpResponse, NotServed, Request,
};

/// Something that the handler is told.
pub(super) enum Event {
    Requested {
        request: Rc<Request>,
        reply: oneshot::Sender<Decision>,
    },
    /// A peer that has not said anything yet.
    Accepts {
        peer: String,
        local: String,
        reply: oneshot::Sender<Result<bool, DecisionFailed>>,
    },
    Http {
        request: Rc<HttpRequest>,
        reply: oneshot::Sender<Result<HttpResponse, NotServed>>,
    },
    Opened(Rc<Session>),
    Received {
        session: Rc<Session>,
        kind: MessageKind,
        payload: Range<usize>,
    },
    ReceivedChunk {
        session: Rc<Session>,
        part: Part,
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
    /// An outbound connection is gone and will be made anew.
    Lost {
        session: Rc<Session>,
        info: CloseInfo,
        attempt: u32,
        after: Duration,
    },
    Restored(Rc<Session>),
    /// The server stops: what is open after this time is cut.
    Draining(Duration),
    /// Nothing has happened for long.
    Hibernate,
}

/// What the host itself has for the life of an instance. It does not wait behind events: other workers wait for it, or whoever operates the
/// server.
pub(super) enum Own {
    /// A broadcast of elsewhere that the handler has to look at.
    Broadcast {
        remote: Remote,
        /// Told, or dropped, when it was offered to all.
        done: oneshot::Sender<()>,
    },
    /// A new version takes over.
    Swap(Box<Next>),
    /// The trial of a new version is over.
    Settle {
        keep: bool,
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// A request by `wasi:http` has failed.
    RequestFailed {
        /// What made its instance.
        incoming: Rc<RequestInstances>,
        error: Box<CallbackError>,
        /// Told whether the version was given up for it.
        given_up: oneshot::Sender<bool>,
    },
}

/// A chunk without its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub kind: MessageKind,
    pub first: bool,
    pub fin: bool,
    pub remaining: u64,
}

/// Events in order, their payloads back to back.
///
/// Its size is bounded by its producers: a connection stops reading at 256 KiB of its own, a handler has at most `timers_max` timers,
/// as many connections as are accepted are being decided on, and everything else comes at most once per connection or handshake.
#[derive(Default)]
pub struct Queue {
    pub(super) events: Vec<Event>,
    pub(super) data: Vec<u8>,
}

impl Queue {
    #[inline]
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

    #[inline]
    pub fn push_opened(&mut self, session: Rc<Session>) {
        self.events.push(Event::Opened(session));
    }

    pub fn push_received(&mut self, session: &Rc<Session>, kind: MessageKind, payload: &[u8]) {
        // So that messages of a connection that follow each other are packed already.
        self.data
            .extend_from_slice(&packed::prefix(kind, payload.len()));
        let payload = self.payload(session, payload);
        self.events.push(Event::Received {
            session: Rc::clone(session),
            kind,
            payload,
        });
    }

    pub fn push_chunk(&mut self, session: &Rc<Session>, chunk: &Chunk<'_>) {
        let payload = self.payload(session, chunk.data);
        self.events.push(Event::ReceivedChunk {
            session: Rc::clone(session),
            part: Part {
                kind: chunk.kind,
                first: chunk.first,
                fin: chunk.fin,
                remaining: chunk.remaining,
            },
            payload,
        });
    }

    #[inline]
    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    pub fn push_lost(
        &mut self,
        session: Rc<Session>,
        info: CloseInfo,
        attempt: u32,
        after: Duration,
    ) {
        self.events.push(Event::Lost {
            session,
            info,
            attempt,
            after,
        });
    }

    #[inline]
    pub fn push_restored(&mut self, session: Rc<Session>) {
        self.events.push(Event::Restored(session));
    }

    #[inline]
    pub fn push_pong(&mut self, session: &Rc<Session>, payload: &[u8]) {
        let payload = self.payload(session, payload);
        self.events.push(Event::Pong {
            session: Rc::clone(session),
            payload,
        });
    }

    #[inline]
    pub fn push_writable(&mut self, session: Rc<Session>) {
        self.events.push(Event::Writable(session));
    }

    #[inline]
    pub fn push_closed(&mut self, session: Rc<Session>, info: CloseInfo) {
        session.end_queued.set(true);
        self.events.push(Event::Closed { session, info });
    }

    #[inline]
    pub(super) fn push_fired(&mut self, timer: Timer) {
        self.events.push(Event::Fired(timer));
    }

    /// Empties it and keeps what memory is worth keeping.
    pub(super) fn clear(&mut self, worker: &Worker) {
        self.events.clear();
        self.events.shrink_to(EVENTS_KEPT);
        self.data.clear();
        if self.data.capacity() > BYTES_KEPT {
            worker.keep_large_buffer(std::mem::take(&mut self.data));
        }
    }

    fn payload(&mut self, session: &Session, payload: &[u8]) -> Range<usize> {
        session.set_event_bytes(session.queued_event_bytes.get() + cost(payload.len()));
        let start = self.data.len();
        let end = start + payload.len();
        if end > BYTES_KEPT && end > self.data.capacity() {
            session.worker().lend_large_buffer(&mut self.data, end);
        }
        self.data.extend_from_slice(payload);
        start..self.data.len()
    }
}

/// What an event with a payload counts against its connection: empty messages cost memory too.
#[inline]
pub(super) fn cost(payload_bytes: usize) -> usize {
    payload_bytes + EVENT_BYTES
}

const EVENT_BYTES: usize = 64;
const EVENTS_KEPT: usize = 4_096;
const BYTES_KEPT: usize = 512 * 1024;

/// Returns the name of the callback that an event is delivered by, and the connection that it is for.
pub(super) fn subject(event: &Event, data: &[u8]) -> (&'static str, Option<ConnectionId>) {
    match event {
        Event::Received { session, .. } => ("handler.received", Some(session.id)),
        Event::ReceivedChunk { session, .. } => ("chunks.received-chunk", Some(session.id)),
        Event::Requested { .. }
        | Event::Opened(_)
        | Event::Accepts { .. }
        | Event::Http { .. }
        | Event::Draining(_)
        | Event::Hibernate
        | Event::Lost { .. }
        | Event::Restored(_)
        | Event::Pong { .. }
        | Event::Writable(_)
        | Event::Closed { .. }
        | Event::Fired(_) => callback(event, data).map_or(("lifecycle", None), |callback| {
            (callback.name(), callback.connection())
        }),
    }
}

/// Returns the callback that an event is delivered by. None for messages, which have methods of their own, and for what
/// is the host's own business.
pub(super) fn callback<'a>(event: &'a Event, data: &'a [u8]) -> Option<Callback<'a>> {
    Some(match event {
        Event::Requested { request, .. } => Callback::Requested(request),
        Event::Opened(session) => Callback::Opened(session.id),
        Event::Accepts { peer, local, .. } => Callback::Accepts { peer, local },
        Event::Http { request, .. } => Callback::Http(request),
        Event::Draining(deadline) => Callback::Draining(*deadline),
        Event::Lost {
            session,
            info,
            attempt,
            after,
        } => Callback::Lost {
            connection: session.id,
            info,
            attempt: *attempt,
            after: *after,
        },
        Event::Restored(session) => Callback::Restored(session.id),
        Event::Pong { session, payload } => Callback::Pong(session.id, &data[payload.clone()]),
        Event::Writable(session) => Callback::Writable(session.id),
        Event::Closed { session, info } => Callback::Closed(session.id, info),
        Event::Fired(timer) => Callback::Fired {
            timer: timer.id,
            tag: timer.tag,
            connection: timer.connection,
        },
        Event::Received { .. } | Event::ReceivedChunk { .. } | Event::Hibernate => return None,
    })
}
