//! The life of an instance: events to callbacks, and what happens when a callback fails.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use wsrun_proto::ws::{CloseCode, CloseFrame, MessageKind};

use super::hosted::Hosted;
use super::place::Place;
use super::queue::{Event, Own, Queue, callback, cost, subject};
use super::recover::InHand;
use super::requests::{HANDLE, RequestInstances};
use super::swap::RESUMED_FIRST;
use super::{DecisionFailed, Handler};
use crate::imports::Imports;
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::{
    Answer, Callback, CallbackError, Chunk, ClosedBy, ConnectionId, Limit, Message, NotServed,
};
use wsrun_metrics::panics::{contained, plant, spawn};
use wsrun_os::clock::{self, thread_time};

impl Handler {
    /// The handler's future, polled by [`Handler::turn`]. That of a seat ends when it sleeps, or has nobody left; any other never does.
    pub(super) async fn live<F: GuestFactory>(self: Rc<Self>, mut place: Place<F>) {
        let mut batch = Queue::default();
        let mut resuming = false;
        loop {
            poll_fn(|_| {
                match self.take_batch(&mut batch) || resuming || self.has_own() || self.is_vacant()
                {
                    true => Poll::Ready(()),
                    // Whoever pushes an event polls this future: there is nobody to be woken by.
                    false => Poll::Pending,
                }
            })
            .await;
            plant("life");
            let Queue { events, data } = &mut batch;
            let mut events = events.drain(..);
            // What is left of the batch is delivered after a panic, too.
            while let Err(panicked) = contained(self.work(&mut place, &mut events, data)).await {
                self.recover(&mut place, &panicked);
            }
            drop(events);
            batch.clear(&self.worker);
            resuming = !place.unknown.is_empty()
                && match contained(Box::pin(self.resume_some(&mut place, 0))).await {
                    Ok(resuming) => resuming,
                    Err(panicked) => {
                        self.recover(&mut place, &panicked);
                        true
                    }
                };
            self.worker.flush();
            if resuming {
                tokio::task::yield_now().await;
            } else if self.is_vacant() || (self.is_seat() && place.is_asleep()) {
                return;
            }
        }
    }

    /// Delivers a batch.
    async fn work<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        events: &mut std::vec::Drain<'_, Event>,
        data: &[u8],
    ) {
        let mut alone = 0_usize;
        self.in_hand.take();
        if self.has_own() {
            Box::pin(self.do_own(place)).await;
        }
        loop {
            self.rest().await;
            if self.outbox.is_full() {
                Box::pin(self.wait_for_other_workers(place)).await;
            }
            if alone == 0 {
                alone = self.deliver_packed(place, events, data).await;
                self.in_hand.take();
            }
            let Some(event) = events.next() else {
                break;
            };
            alone = alone.saturating_sub(1);
            self.deliver(place, event, data).await;
            self.in_hand.take();
        }
    }

    /// Does what the host itself has for the life, and nothing else, while much that the handler has published waits for other workers.
    async fn wait_for_other_workers<F: GuestFactory>(&self, place: &mut Place<F>) {
        self.worker.flush();
        while self.outbox.is_full() {
            self.unless_own(self.outbox.room()).await;
            self.do_own(place).await;
        }
    }

    /// Waits for something, but no longer than until the host itself has something for the life.
    async fn unless_own(&self, awaited: impl Future<Output = ()>) {
        let mut awaited = pin!(awaited);
        poll_fn(|cx| match self.has_own() {
            // Whoever pushes it polls this future.
            true => Poll::Ready(()),
            false => awaited.as_mut().poll(cx),
        })
        .await;
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
        self.in_hand.set(InHand::of(&event));
        if !self.is_wanted(&event) {
            self.settle(place, event);
            return;
        }
        if matches!(event, Event::Hibernate) {
            self.hibernate(place);
            return;
        }
        if let Event::Opened(session) = &event
            && self.exports.get().plain_only
        {
            // Another version took it, which is gone: nobody would ever answer it.
            self.fail(Some(session.id));
        }
        if matches!(event, Event::Draining(_)) && place.guest.is_none() {
            // It sleeps, or fails: there is nothing that it could bring to an end.
            return;
        }
        if self.registry.limits().resilience.hibernate_after.is_some() {
            self.last_event.set(clock::now());
        }
        if self.is_seat() && place.guest.is_none() {
            Box::pin(self.wait_for_room()).await;
        }
        self.deliver_to_guest(place, event, data).await;
    }

    /// Waits a while for another instance to end, where there are as many as may be.
    async fn wait_for_room(&self) {
        let until = clock::now() + self.worker.settings.handshake_timeout;
        if self.has_all_instances() {
            self.registry.note_limit(Limit::Instances);
        }
        while self.has_all_instances() && clock::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Does what the host itself has for the life.
    async fn do_own<F: GuestFactory>(&self, place: &mut Place<F>) {
        loop {
            let Some(own) = self.own.borrow_mut().pop_front() else {
                return;
            };
            match own {
                Own::Broadcast { remote, done } => {
                    plant("offer");
                    self.offer_remote(place, &remote).await;
                    let _ = done.send(());
                }
                Own::Swap(next) => {
                    plant("swap");
                    self.take_over(place, *next).await;
                }
                Own::Settle { keep, reply } => {
                    plant("settle");
                    let _ = reply.send(self.settle_trial(place, keep));
                }
                Own::RequestFailed {
                    incoming,
                    error,
                    given_up,
                } => {
                    plant("request-failed");
                    let _ = given_up.send(self.request_failed(place, &incoming, &error));
                }
            }
        }
    }

    async fn deliver_to_guest<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        event: Event,
        data: &[u8],
    ) {
        let (callback, connection) = subject(&event, data);
        // A second time where a new version failed and the old one is back.
        loop {
            if matches!(event, Event::Fired(_) | Event::Closed { .. }) {
                // Nobody can be told that these are lost, so they wait.
                while self.guest(place).await.is_none() {
                    let left = self.registry.backed_off().unwrap_or(LOOK);
                    let at = place.retry_at.unwrap_or_else(|| clock::now() + left);
                    // A version that mends it need not wait for that.
                    self.unless_own(tokio::time::sleep_until(at.into())).await;
                    Box::pin(self.do_own(place)).await;
                }
            }
            if let Some(connection) = connection
                && (place.guest.is_none() || !place.unknown.is_empty())
            {
                Box::pin(self.resume(place, connection)).await;
                // And of some others: what the event asks may be about them.
                if !place.unknown.is_empty() {
                    Box::pin(self.resume_some(place, RESUMED_FIRST)).await;
                }
                if !self.is_still_wanted(&event) {
                    self.settle(place, event);
                    return;
                }
            }
            let Some(guest) = self.guest(place).await else {
                self.fail(connection);
                self.settle(place, event);
                return;
            };
            match call(&mut **guest, &event, data).await {
                Ok(answer) => {
                    self.registry.tally().callbacks.add(1);
                    place.survive();
                    self.apply(place).await;
                    self.settle_with(place, event, Some(answer));
                    return;
                }
                Err(error) => {
                    if self.gives_up_trial(place, callback, &error) {
                        continue;
                    }
                    Box::pin(self.replace(place, callback, connection, &error)).await;
                    self.settle(place, event);
                    return;
                }
            }
        }
    }

    /// Puts another instance in the place of one whose callback failed, so that the next event finds one that is ready.
    pub(super) async fn replace<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        callback: &str,
        connection: Option<ConnectionId>,
        error: &CallbackError,
    ) {
        self.end_guest(place, callback, connection, error);
        // To end one and to begin another takes a while each.
        self.pause().await;
        if !self.is_seat() {
            let _ = self.guest(place).await;
        }
    }

    /// Lets go of an instance whose callback failed, and of the connection that it failed for.
    pub(super) fn end_guest<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        callback: &str,
        connection: Option<ConnectionId>,
        error: &CallbackError,
    ) {
        let began = thread_time();
        if let Some(mut guest) = place.guest.take() {
            guest.clear_effects();
        }
        self.registry
            .metrics()
            .report_failure(callback, connection, error);
        self.fail(connection);
        let took = thread_time().saturating_sub(began);
        self.registry.usage().add_failing(took);
        place.failed = true;
        self.count_failure(place);
    }

    /// What follows when an instance beside this one has failed, which has been reported. True: the version was on trial and is given up.
    fn request_failed<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        incoming: &Rc<RequestInstances>,
        error: &CallbackError,
    ) -> bool {
        let serves = self
            .incoming
            .borrow()
            .as_ref()
            .is_some_and(|now| Rc::ptr_eq(now, incoming));
        if !serves {
            // Of a version that is gone.
            return false;
        }
        if self.fails_trial(place, HANDLE, error) {
            return true;
        }
        self.count_failure(place);
        if self.registry.backed_off().is_some()
            && let Some(mut guest) = place.guest.take()
        {
            guest.clear_effects();
        }
        false
    }

    /// Leaves a handler alone that fails again and again, or for which the host computes for long when it does, and tells its connections so: it must not cost its neighbours more than its
    /// limits, and its clients get an answer.
    pub(super) fn count_failure<F: GuestFactory>(&self, place: &mut Place<F>) {
        let limits = self.registry.limits();
        let now = clock::now();
        let counted = self.failures.borrow_mut().count(
            now,
            self.registry.usage().take_failing(),
            limits.resilience.failures_max,
            limits.resilience.failure_window,
        );
        let Some(backoff) = counted else {
            return;
        };
        place.retry_at = Some(now + backoff);
        self.registry.tally().back_offs.add(1);
        self.registry.note_limit(Limit::Failures);
        self.registry.set_backed_off(place.retry_at);
        let code = limits.resilience.failing_close_code;
        tracing::error!(
            handler = %self.registry.name(), connections = self.registry.len(), code,
            "more than {} callbacks failed within {:?}, or a tenth of that time went into such failures: left alone for {backoff:?}, its connections are closed",
            limits.resilience.failures_max, limits.resilience.failure_window
        );
        for session in self.registry.sessions() {
            session.failed.set(true);
            self.registry.leave(session.id);
            let close = CloseFrame::new(code, "handler fails again and again");
            session.close(
                ClosedBy::Host,
                close.unwrap_or_else(|_| CloseFrame::empty()),
            );
        }
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
            | Event::Draining(_)
            | Event::Hibernate
            | Event::Closed { .. } => true,
        }
    }

    /// Whether it is so after another callback for the connection.
    fn is_still_wanted(&self, event: &Event) -> bool {
        matches!(event, Event::Fired(_)) || self.is_wanted(event)
    }

    /// The instance; made anew when the last one failed. None while that does not succeed.
    pub(super) async fn guest<'a, F: GuestFactory>(
        &self,
        place: &'a mut Place<F>,
    ) -> Option<&'a mut Hosted<F::Guest>> {
        if place.guest.is_none() {
            Box::pin(self.fill(place)).await;
        }
        place.guest.as_mut()
    }

    /// Makes an instance, if that may be tried.
    async fn fill<F: GuestFactory>(&self, place: &mut Place<F>) {
        let is_full = self.is_seat() && self.has_all_instances();
        if place.must_wait() || self.registry.backed_off().is_some() || is_full {
            return;
        }
        let factory = Rc::clone(&place.factory);
        let failed = std::mem::take(&mut place.failed);
        let made = match failed {
            true => self.registry.usage().failing(self.make(&*factory)).await,
            false => self.make(&*factory).await,
        };
        match made {
            Ok(guest) => {
                place.made(guest);
                place.inherit(self.told());
                self.registry.set_backed_off(None);
                self.prepare_spare_after(factory, failed);
            }
            Err(error) => {
                self.registry
                    .metrics()
                    .report_failure("lifecycle.started", None, &error);
                place.not_made();
            }
        }
    }

    /// Lets go of the instance. The next event finds another one, which is told the connections.
    fn hibernate<F: GuestFactory>(&self, place: &mut Place<F>) {
        let awake = self.registry.limits().resilience.hibernate_after;
        let is_idle = awake.is_some_and(|after| {
            clock::now().saturating_duration_since(self.last_event.get()) >= after
        });
        if !is_idle || place.previous.is_some() || !place.unknown.is_empty() {
            return;
        }
        if let Some(mut guest) = place.guest.take() {
            guest.clear_effects();
            drop(guest);
            self.registry.tally().hibernations.add(1);
            tracing::debug!(handler = %self.registry.name(), "nothing happened for long: the instance sleeps");
        }
        if !self.is_seat() {
            place.factory.discard_spare();
        }
    }

    /// Makes the next instance while nobody waits for it.
    pub(super) fn prepare_spare<F: GuestFactory>(&self, factory: Rc<F>) {
        self.prepare_spare_after(factory, false);
    }

    /// The same, where the last one may have been taken for one that failed.
    fn prepare_spare_after<F: GuestFactory>(&self, factory: Rc<F>, failed: bool) {
        let registry = Rc::clone(&self.registry);
        spawn(&self.worker.tally, "spare", async move {
            tokio::task::yield_now().await;
            plant("spare");
            let usage = registry.usage();
            let prepared =
                usage.beside(factory.prepare_spare(Rc::new(Imports::new(Rc::clone(&registry)))));
            match failed {
                true => usage.failing(prepared).await,
                false => prepared.await,
            }
        });
    }

    pub(super) async fn make<F: GuestFactory>(
        &self,
        factory: &F,
    ) -> Result<Hosted<F::Guest>, CallbackError> {
        plant("make");
        let mut guest = self.make_hosted(factory).await?;
        self.registry.tally().instances.add(1);
        if let Err(error) = guest.call(Callback::Started).await {
            guest.clear_effects();
            return Err(error);
        }
        let effects = guest.take_effects();
        self.apply_unfiltered(effects).await;
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
    pub(super) fn settle<F: GuestFactory>(&self, place: &mut Place<F>, event: Event) {
        self.settle_with(place, event, None);
    }

    fn settle_with<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        event: Event,
        answer: Option<Answer>,
    ) {
        match event {
            Event::Requested { reply, .. } => {
                let decision = answer.and_then(Answer::into_handshake);
                let _ = reply.send(decision.ok_or(DecisionFailed));
            }
            Event::Accepts { reply, .. } => {
                let accepts = answer.and_then(Answer::into_bool);
                let _ = reply.send(accepts.ok_or(DecisionFailed));
            }
            Event::Http { reply, .. } => {
                let _ = reply.send(match answer {
                    Some(answer) => answer.into_http().ok_or(NotServed::NotExported),
                    None => Err(NotServed::Failed),
                });
            }
            Event::Closed { session, info } => {
                self.disown(session.id);
                place.forget(session.id);
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
                session.settle_event_bytes(cost(payload.len()));
            }
            Event::Opened(session) => {
                // Also when it failed: the instance that follows is told of its end.
                session.told.set(true);
                place.knows(session.id);
            }
            Event::Writable(_)
            | Event::Fired(_)
            | Event::Lost { .. }
            | Event::Restored(_)
            | Event::Draining(_)
            | Event::Hibernate => {}
        }
    }
}

/// How often it is looked whether another instance may be made.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// The messages of connections have their calls in the handler's life, which is as large as the largest of them. Those of anything else are
/// on the heap meanwhile, so that each instance with a life of its own does not have room for them all the time.
async fn call<G: Guest>(
    guest: &mut G,
    event: &Event,
    data: &[u8],
) -> Result<Answer, CallbackError> {
    plant("call");
    if let Event::Received {
        session,
        kind,
        payload,
    } = event
    {
        let message = Message::from_parts(*kind, &data[payload.clone()]);
        guest.received(session.id, message).await?;
        return Ok(Answer::None);
    }
    if let Event::ReceivedChunk {
        session,
        part,
        payload,
    } = event
    {
        let chunk = Chunk {
            text: part.kind == MessageKind::Text,
            data: &data[payload.clone()],
            first: part.first,
            last: part.fin,
            remaining: part.remaining,
        };
        guest.received_chunk(session.id, &chunk).await?;
        return Ok(Answer::None);
    }
    match callback(event, data) {
        Some(callback) => Box::pin(guest.call(callback)).await,
        None => Ok(Answer::None),
    }
}
