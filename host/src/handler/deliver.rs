//! The life of an instance: events to callbacks, and what happens when a callback fails.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use wsrun_proto::ws::{CloseCode, CloseFrame, MessageKind};

use super::limit::Limit;
use super::queue::{Event, Queue, cost, subject};
use super::{DecisionFailed, Guest, GuestFactory, Handler};
use crate::contract::{Acceptance, Chunk, ClosedBy, ConnectionId, HttpResponse, Refusal};
use crate::wasm::error::GuestError;

/// After an instance that could not be made, the wait before the next try: doubled each time, up to the second.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The instance, and how long to wait before another is tried.
pub(super) struct Place<F: GuestFactory> {
    factory: F,
    pub(super) guest: Option<F::Guest>,
    retry: Duration,
    retry_at: Option<Instant>,
}

/// What a callback answered.
enum Answer {
    Nothing,
    Handshake(Result<Acceptance, Refusal>),
    Accepts(bool),
    Http(HttpResponse),
}

impl Handler {
    /// Never ends: the handler's future, polled by [`Handler::turn`].
    pub(super) async fn live<F: GuestFactory>(self: Rc<Self>, guest: F::Guest, factory: F) {
        let mut place = Place {
            factory,
            guest: Some(guest),
            retry: RETRY_MIN,
            retry_at: None,
        };
        let mut batch = Queue::default();
        loop {
            poll_fn(|_| match self.take_batch(&mut batch) {
                true => Poll::Ready(()),
                // Whoever pushes an event polls this future: there is nobody to be woken by.
                false => Poll::Pending,
            })
            .await;
            let Queue { events, data } = &mut batch;
            for event in events.drain(..) {
                self.rest().await;
                self.deliver(&mut place, event, data).await;
            }
            batch.clear();
            self.worker.flush();
        }
    }

    /// Waits while the handler has used up its share of the worker's time.
    async fn rest(&self) {
        while let Some(until) = self.registry.usage().rest_until() {
            self.registry.note_limit(Limit::CpuShare);
            self.worker.flush();
            tokio::time::sleep_until(until.into()).await;
        }
    }

    fn take_batch(&self, batch: &mut Queue) -> bool {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            return false;
        }
        std::mem::swap(&mut *queue, batch);
        true
    }

    async fn deliver<F: GuestFactory>(&self, place: &mut Place<F>, event: Event, data: &[u8]) {
        if !self.is_wanted(&event) {
            self.settle(event);
            return;
        }
        if let Event::Broadcast { remote, done } = event {
            self.offer_remote(place, &remote).await;
            let _ = done.send(());
            return;
        }
        let (callback, connection) = subject(&event);
        if matches!(event, Event::Fired(_) | Event::Closed { .. }) {
            // Nobody can be told that these are lost, so they wait.
            while self.guest(place).await.is_none() {
                let at = place.retry_at.unwrap_or_else(Instant::now);
                tokio::time::sleep_until(at.into()).await;
            }
        }
        let Some(guest) = self.guest(place).await else {
            self.fail(connection);
            self.settle(event);
            return;
        };
        let result = call(guest, &event, data).await;
        match result {
            Ok(answer) => {
                self.apply(place).await;
                self.settle_with(event, answer);
            }
            Err(error) => {
                self.end_guest(place, callback, connection, &error);
                self.settle(event);
                // The next event finds an instance that is ready.
                let _ = self.guest(place).await;
            }
        }
    }

    /// Lets go of an instance whose callback failed, and of the connection that it failed for.
    pub(super) fn end_guest<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        callback: &str,
        connection: Option<ConnectionId>,
        error: &GuestError,
    ) {
        if let Some(mut guest) = place.guest.take() {
            self.drop_commands(guest.commands());
        }
        report(&self.registry, callback, connection, error);
        self.fail(connection);
    }

    /// Whether the callback is still due: not to a connection that failed or was given up, and not for a timer that was cancelled.
    fn is_wanted(&self, event: &Event) -> bool {
        match event {
            Event::Received { session, .. }
            | Event::ReceivedChunk { session, .. }
            | Event::Pong { session, .. }
            | Event::Opened(session)
            | Event::Lost { session, .. }
            | Event::Restored(session)
            | Event::Writable(session) => !session.failed.get(),
            Event::Fired(timer) => self.registry.timers_mut().remove(timer.id),
            // Who asked may have given up.
            Event::Accepts { reply, .. } => !reply.is_closed(),
            Event::Requested { .. }
            | Event::Http { .. }
            | Event::Broadcast { .. }
            | Event::Closed { .. } => true,
        }
    }

    /// The instance; made anew when the last one failed. None while that does not succeed.
    pub(super) async fn guest<'a, F: GuestFactory>(
        &self,
        place: &'a mut Place<F>,
    ) -> Option<&'a mut F::Guest> {
        if place.guest.is_none() {
            if place.retry_at.is_some_and(|at| Instant::now() < at) {
                return None;
            }
            match self.make(&place.factory).await {
                Ok(guest) => {
                    place.guest = Some(guest);
                    place.retry = RETRY_MIN;
                    place.retry_at = None;
                }
                Err(error) => {
                    report(&self.registry, "lifecycle.started", None, &error);
                    place.retry_at = Some(Instant::now() + place.retry);
                    place.retry = (place.retry * 2).min(RETRY_MAX);
                }
            }
        }
        place.guest.as_mut()
    }

    pub(super) async fn make<F: GuestFactory>(&self, factory: &F) -> Result<F::Guest, GuestError> {
        let mut guest = factory.make(&self.registry).await?;
        if let Err(error) = guest.started().await {
            self.drop_commands(guest.commands());
            return Err(error);
        }
        let commands = guest.commands().take();
        self.apply_unfiltered(commands).await;
        Ok(guest)
    }

    /// Closes the connection that a callback failed for.
    pub(super) fn fail(&self, connection: Option<ConnectionId>) {
        let Some(session) = connection.and_then(|connection| self.registry.get(connection)) else {
            return;
        };
        session.failed.set(true);
        self.registry.leave(session.id);
        session.close(
            ClosedBy::Host,
            CloseFrame::with_code(CloseCode::INTERNAL_ERROR, "handler failed"),
        );
    }

    /// What follows an event whose callback did not answer.
    fn settle(&self, event: Event) {
        self.settle_with(event, Answer::Nothing);
    }

    fn settle_with(&self, event: Event, answer: Answer) {
        match event {
            Event::Requested { reply, .. } => drop(reply.send(match answer {
                Answer::Handshake(decision) => Ok(decision),
                Answer::Nothing | Answer::Accepts(_) | Answer::Http(_) => Err(DecisionFailed),
            })),
            Event::Accepts { reply, .. } => drop(reply.send(match answer {
                Answer::Accepts(accepts) => Ok(accepts),
                Answer::Nothing | Answer::Handshake(_) | Answer::Http(_) => Err(DecisionFailed),
            })),
            Event::Http { reply, .. } => drop(reply.send(match answer {
                Answer::Http(response) => Ok(response),
                Answer::Nothing | Answer::Handshake(_) | Answer::Accepts(_) => Err(DecisionFailed),
            })),
            Event::Closed { session, info } => {
                self.registry.remove(session.id);
                session.tell_end(info);
            }
            Event::Received {
                session, payload, ..
            }
            | Event::ReceivedChunk {
                session, payload, ..
            }
            | Event::Pong { session, payload } => {
                let left = session.queued_event_bytes.get() - cost(payload.len());
                session.set_event_bytes(left);
                // The task may have stopped reading, or held the end of the connection back, until all of it was answered.
                if left == 0 {
                    session.wake_if_waiting();
                }
            }
            Event::Opened(_)
            | Event::Writable(_)
            | Event::Fired(_)
            | Event::Lost { .. }
            | Event::Restored(_)
            | Event::Broadcast { .. } => {}
        }
    }
}

async fn call<G: Guest>(guest: &mut G, event: &Event, data: &[u8]) -> Result<Answer, GuestError> {
    match event {
        Event::Requested { request, .. } => {
            return guest.requested(request).await.map(Answer::Handshake);
        }
        Event::Accepts { peer, local, .. } => {
            return guest.accepts(peer, local).await.map(Answer::Accepts);
        }
        Event::Http { request, .. } => return guest.http(request).await.map(Answer::Http),
        Event::Opened(session) => guest.opened(session.id).await?,
        Event::Received {
            session,
            kind,
            payload,
        } => {
            guest
                .received(session.id, *kind, &data[payload.clone()])
                .await?;
        }
        Event::ReceivedChunk {
            session,
            part,
            payload,
        } => {
            let chunk = Chunk {
                text: part.kind == MessageKind::Text,
                data: &data[payload.clone()],
                first: part.first,
                last: part.fin,
                remaining: part.remaining,
            };
            guest.received_chunk(session.id, &chunk).await?;
        }
        Event::Pong { session, payload } => guest.pong(session.id, &data[payload.clone()]).await?,
        Event::Writable(session) => guest.writable(session.id).await?,
        Event::Closed { session, info } => guest.closed(session.id, info).await?,
        Event::Fired(timer) => guest.fired(timer.id, timer.tag, timer.connection).await?,
        Event::Lost {
            session,
            info,
            attempt,
            after,
        } => guest.lost(session.id, info, *attempt, *after).await?,
        Event::Restored(session) => guest.restored(session.id).await?,
        Event::Broadcast { .. } => unreachable!("it is offered to each connection"),
    }
    Ok(Answer::Nothing)
}

pub(crate) fn report(
    registry: &super::Registry,
    callback: &str,
    connection: Option<ConnectionId>,
    error: &GuestError,
) {
    let mut text = error.to_string();
    for frame in error.backtrace().lines() {
        text.push_str("\n    ");
        text.push_str(frame);
    }
    if !error.backtrace().is_empty() {
        // The fields that follow are no part of the last frame.
        text.push_str("\n   ");
    }
    tracing::error!(handler = %registry.name(), callback, connection, "callback failed and had no effect: {text}");
}
