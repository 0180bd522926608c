//! Applying what a callback asked for.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use wsrun_proto::ws::{CloseCode, CloseFrame, MessageKind, Prepared, SendError};

use super::hosted::Hosted;
use super::place::Place;
use super::recover::InHand;
use super::{Handler, Remote};
use crate::backlog::Published;
use crate::registry::Timer;
use crate::reservations::{Reservations, ReservedEffects};
use crate::session::{Fanned, Session};
use wsrun_contract::effects::{Effect, Effects, FRAME_HEADER_BYTES_MAX, Payload};
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::packed;
use wsrun_contract::{Callback, ClosedBy, ConnectionId, Message, SlowPolicy};
use wsrun_metrics::panics::plant;
use wsrun_metrics::seldom::Seldom;

/// Messages given to connections before others get their turn: what a callback asks for is not bounded by its own time.
const DELIVERIES_PER_SLICE: usize = 128;
/// So many bytes count as another message.
const BYTES_PER_DELIVERY: usize = 2048;

/// Whether other callbacks have run since the effects were queued, which were not counted on what queues take.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    DidNotRun,
    Ran,
    /// And the handler's turn, which cannot wait for itself, is this one.
    RanInThisTurn,
}

impl Handler {
    /// Applies the effects of the callback that has just returned, in order. Lets others run when it is much.
    pub(super) async fn apply<F: GuestFactory>(&self, place: &mut Place<F>) {
        let Some(guest) = &mut place.guest else {
            return;
        };
        let ReservedEffects {
            mut effects,
            reserved,
        } = guest.take_effects();
        plant("apply");
        effects.share();
        let list = std::mem::take(&mut effects.list);
        for effect in &list {
            if self.is_slice_over(effect.sent_bytes()) {
                self.pause().await;
            }
            if let Effect::Broadcast { protocol, payload } = effect
                && self.exports().broadcast_filter
            {
                let bytes = effects.bytes(*payload);
                let reserved = Some(&reserved);
                let offer = self.offer(place, protocol.as_deref(), payload.kind, bytes, reserved);
                Box::pin(offer).await;
                if let Some(remote) = self.remote_broadcast(protocol.as_deref(), *payload, bytes) {
                    self.outbox.send(&remote);
                }
            } else if !self.apply_wide(effect, &effects, &reserved).await {
                self.apply_one(effect, &effects, &reserved);
                self.registry.relieve();
            }
        }
        effects.list = list;
        if let Some(guest) = &mut place.guest {
            guest.reuse(ReservedEffects { effects, reserved });
        }
    }

    /// Applies effects where no instance is at hand to filter broadcasts: those go through the queue.
    pub(super) async fn apply_unfiltered(&self, effects: ReservedEffects) {
        self.apply_later(effects, Others::DidNotRun).await;
    }

    /// Applies the effects of an instance that answered a plain request. Other callbacks have run since it was told that a queue takes its
    /// message, so that is checked again: a connection that has no room any more is closed, and nothing is lost unnoticed.
    pub async fn apply_of_request(&self, effects: ReservedEffects) {
        self.outbox.room().await;
        self.apply_later(effects, Others::Ran).await;
        self.turn();
        self.worker.flush();
    }

    /// Applies what an instance asked for that ran beside the one of the sockets, within the handler's own turn.
    pub(super) async fn apply_beside(&self, effects: ReservedEffects) {
        self.apply_later(effects, Others::RanInThisTurn).await;
    }

    async fn apply_later(&self, asked: ReservedEffects, others: Others) {
        let ReservedEffects {
            mut effects,
            reserved,
        } = asked;
        let list = std::mem::take(&mut effects.list);
        for effect in &list {
            if self.is_slice_over(effect.sent_bytes()) {
                self.pause().await;
            }
            if others != Others::DidNotRun
                && let Some((session, error)) = self.no_longer_takes(effect, &effects)
            {
                self.close_slow(&session, CloseCode::POLICY_VIOLATION.get(), &error);
                continue;
            }
            if let Effect::Broadcast { protocol, payload } = effect
                && self.exports().broadcast_filter
            {
                let bytes = Bytes::copy_from_slice(effects.bytes(*payload));
                let remote = Remote::Broadcast {
                    protocol: protocol.as_deref().map(Arc::from),
                    kind: payload.kind,
                    payload: bytes,
                };
                let offered = self.queue_broadcast(remote.clone());
                if others == Others::Ran {
                    // What comes behind it must not go before it. The handler's own turn cannot wait for itself.
                    self.turn();
                    let _ = offered.await;
                }
                self.outbox.send(&remote);
            } else if !self.apply_wide(effect, &effects, &reserved).await {
                self.apply_one(effect, &effects, &reserved);
                self.registry.relieve();
            }
        }
    }

    /// Counts a message to a connection. Whether so many were given to connections that it is the turn of others.
    fn is_slice_over(&self, bytes: usize) -> bool {
        let deliveries = self.worker.deliveries.get();
        let message = 1 + bytes / BYTES_PER_DELIVERY;
        self.worker.deliveries.set(deliveries + message);
        deliveries >= DELIVERIES_PER_SLICE
    }

    /// Lets others have their turn.
    #[cold]
    pub(super) async fn pause(&self) {
        self.worker.deliveries.set(0);
        self.worker.flush();
        tokio::task::yield_now().await;
    }

    pub(super) async fn fan_out_remote(&self, remote: &Remote) {
        match remote {
            Remote::Publish {
                topic,
                kind,
                payload,
            } => self.publish(topic, *kind, payload, None, None).await,
            Remote::Broadcast {
                protocol,
                kind,
                payload,
            } => {
                self.broadcast(protocol.as_deref(), *kind, payload, None)
                    .await;
            }
        }
    }

    /// Offers a broadcast of another worker, or of the embedding program, to the handler's filter.
    pub(super) async fn offer_remote<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        remote: &Remote,
    ) {
        match remote {
            Remote::Broadcast {
                protocol,
                kind,
                payload,
            } => {
                self.offer(place, protocol.as_deref(), *kind, payload, None)
                    .await;
            }
            Remote::Publish { .. } => self.fan_out_remote(remote).await,
        }
    }

    /// Asks the handler's filter about each connection, sends, and carries out what the filter itself asked for.
    async fn offer<F: GuestFactory>(
        &self,
        place: &mut Place<F>,
        protocol: Option<&str>,
        kind: MessageKind,
        payload: &[u8],
        reserved: Option<&Reservations>,
    ) {
        let mut wanted = Vec::new();
        let message = Message::from_parts(kind, payload);
        let mut asked_for = Asked::default();
        // No event asked for it that would have to be settled after a panic.
        let is_only = matches!(self.in_hand.get(), InHand::Nothing);
        for session in self.registry.sessions() {
            if !session.has_protocol(protocol) || !session.is_open() || session.failed.get() {
                continue;
            }
            if is_only {
                self.in_hand.set(InHand::Of(session.id, 0));
            }
            // A second time where a new version failed and the old one is back.
            loop {
                if let Some(guest) = &mut place.guest {
                    asked_for.stand_before(guest);
                }
                if self.tell(place, session.id).await
                    && let Some(guest) = &mut place.guest
                {
                    asked_for.take(guest);
                }
                if session.failed.get() {
                    break;
                }
                let Some(guest) = self.guest(place).await else {
                    self.fail(Some(session.id));
                    break;
                };
                asked_for.stand_before(guest);
                guest.effects().in_filter = true;
                let callback = Callback::Wanted(session.id, message);
                let answer = guest.call(callback).await;
                guest.effects().in_filter = false;
                match answer {
                    Ok(answer) => {
                        asked_for.take(guest);
                        if answer.into_bool().unwrap_or(true) {
                            wanted.push(session);
                        }
                        place.survive();
                        break;
                    }
                    Err(error) => {
                        if self.gives_up_trial(place, callback.name(), &error) {
                            continue;
                        }
                        self.end_guest(place, callback.name(), Some(session.id), &error);
                        self.pause().await;
                        break;
                    }
                }
            }
        }
        if let Some(guest) = &mut place.guest {
            // The next callback does not stand behind these any more.
            guest.clear_effects();
        }
        let mut message = Prepared::new(kind, payload);
        for session in wanted {
            if self.is_slice_over(payload.len()) {
                self.pause().await;
            }
            self.fan_out(
                &session,
                &mut message,
                &Published::Broadcast,
                None,
                reserved,
            );
        }
        if is_only {
            self.in_hand.take();
        }
        for effects in asked_for.effects {
            self.apply_unfiltered(effects).await;
        }
    }

    /// Carries out what concerns many connections, here and on the other workers. False for anything else.
    async fn apply_wide(
        &self,
        effect: &Effect,
        effects: &Effects,
        reserved: &Reservations,
    ) -> bool {
        if let Effect::Publish {
            topic,
            payload,
            except,
        } = effect
        {
            let bytes = effects.bytes(*payload);
            let reserved = Some(reserved);
            self.publish(topic, payload.kind, bytes, *except, reserved)
                .await;
            let remote = self.remote(*payload, bytes, |kind, payload| Remote::Publish {
                topic: Arc::from(topic.as_str()),
                kind,
                payload,
            });
            if let Some(remote) = remote {
                self.outbox.send(&remote);
            }
            return true;
        }
        if let Effect::Broadcast { protocol, payload } = effect {
            let bytes = effects.bytes(*payload);
            let reserved = Some(reserved);
            self.broadcast(protocol.as_deref(), payload.kind, bytes, reserved)
                .await;
            let remote = self.remote_broadcast(protocol.as_deref(), *payload, bytes);
            if let Some(remote) = remote {
                self.outbox.send(&remote);
            }
            return true;
        }
        if let Effect::WantWritableAll { protocol } = effect {
            for session in self.registry.sessions() {
                if self.is_slice_over(0) {
                    self.pause().await;
                }
                if session.is_open() && session.has_protocol(protocol.as_deref()) {
                    session.want_writable.set(true);
                    session.wake();
                }
            }
            return true;
        }
        false
    }

    /// Carries out what [`apply_wide`](Self::apply_wide) does not.
    fn apply_one(&self, effect: &Effect, effects: &Effects, reserved: &Reservations) {
        match effect {
            Effect::Send { to, payload } => {
                if let Some(session) = reserved.release(*to, sent_cost(*payload)) {
                    // It was admitted; only a connection that has closed since takes no more.
                    let _ = match effects.shared_bytes(*payload) {
                        Some(bytes) => session.send_shared_admitted(payload.kind, bytes),
                        None => session.send_admitted(payload.kind, effects.bytes(*payload)),
                    };
                }
            }
            Effect::SendPacked { to, payload } => {
                if let Some(session) = reserved.release(*to, payload.byte_len()) {
                    let messages = packed::messages(effects.bytes(*payload)).flatten();
                    session.send_all_admitted(messages);
                }
            }
            Effect::SendChunk { to, payload, fin } => {
                if let Some(session) = reserved.release(*to, sent_cost(*payload)) {
                    let bytes = effects.bytes(*payload);
                    let _ = session.send_chunk_admitted(payload.kind, bytes, *fin);
                }
            }
            Effect::Pong { to, payload } => {
                if let Some(session) = reserved.release(*to, sent_cost(*payload)) {
                    let _ = session.pong_admitted(effects.bytes(*payload));
                }
            }
            Effect::Ping { to, payload } => {
                if let Some(session) = reserved.release(*to, sent_cost(*payload)) {
                    let _ = session.ping_admitted(effects.bytes(*payload));
                }
            }
            Effect::Close {
                connection,
                code,
                reason,
            } => {
                if let Some(session) = self.registry.get(*connection) {
                    self.registry.leave(*connection);
                    session.close(ClosedBy::Handler, close_frame(*code, reason));
                }
            }
            Effect::Abort { connection } => {
                if let Some(session) = self.registry.get(*connection) {
                    self.registry.leave(*connection);
                    session.abort(ClosedBy::Handler, "aborted by the handler");
                }
            }
            Effect::WantWritable { connection } => {
                if let Some(session) = self.registry.get(*connection) {
                    session.want_writable.set(true);
                    session.wake();
                }
            }
            Effect::SetPolicy { connection, policy } => {
                if let Some(session) = self.registry.get(*connection) {
                    self.registry.note_policy(*policy);
                    session.set_policy(*policy);
                }
            }
            Effect::SetTopicPolicy { topic, policy } => {
                self.registry.set_topic_policy(topic, *policy);
            }
            Effect::SetAutoReply(set) => self.registry.set_auto_reply(set),
            Effect::Connect(connect) => {
                // It is counted with the connection from here on.
                reserved.release_session(connect.options.session.len());
                self.connect(connect);
            }
            Effect::ReceiveFlow {
                connection,
                enabled,
            } => {
                if let Some(session) = self.registry.get(*connection) {
                    session.receive_flow.set(*enabled);
                    session.wake();
                }
            }
            Effect::SetSession { connection, data } => {
                reserved.release_session(data.len());
                if let Some(session) = self.registry.get(*connection) {
                    session.set_data(data.clone());
                }
            }
            Effect::Subscribe { connection, topic } => {
                if self
                    .registry
                    .get(*connection)
                    .is_some_and(|session| session.is_open())
                {
                    // Checked when it was queued.
                    let _ = self.registry.topics_mut().subscribe(*connection, topic);
                }
            }
            Effect::Unsubscribe { connection, topic } => {
                self.registry.topics_mut().unsubscribe(*connection, topic);
            }
            Effect::Publish { .. } | Effect::Broadcast { .. } | Effect::WantWritableAll { .. } => {}
            Effect::SetTimer {
                timer,
                after,
                tag,
                connection,
            } => {
                if connection.is_none_or(|connection| self.lives(connection)) {
                    let timer = Timer {
                        id: *timer,
                        tag: *tag,
                        connection: *connection,
                        seat: self.seat_number(*connection),
                    };
                    self.registry.timers_mut().set(*after, timer);
                }
            }
            Effect::CancelTimer { timer } => {
                self.registry.timers_mut().remove(*timer);
            }
        }
    }

    /// Open, or being opened.
    fn lives(&self, connection: ConnectionId) -> bool {
        self.registry
            .get(connection)
            .is_some_and(|session| session.can_be_closed())
    }

    async fn publish(
        &self,
        topic: &str,
        kind: MessageKind,
        payload: &[u8],
        except: Option<ConnectionId>,
        reserved: Option<&Reservations>,
    ) {
        let subscribers: Vec<ConnectionId> = self.registry.topics().subscribers(topic).collect();
        if subscribers.is_empty() {
            return;
        }
        let published = Published::Topic(Arc::from(topic));
        let policy = self.registry.topic_policy(topic);
        let mut message = Prepared::new(kind, payload);
        for connection in subscribers {
            if self.is_slice_over(payload.len()) {
                self.pause().await;
            }
            if Some(connection) != except
                && let Some(session) = self.registry.get(connection)
            {
                self.fan_out(&session, &mut message, &published, policy, reserved);
            }
        }
    }

    async fn broadcast(
        &self,
        protocol: Option<&str>,
        kind: MessageKind,
        payload: &[u8],
        reserved: Option<&Reservations>,
    ) {
        let mut message = Prepared::new(kind, payload);
        for session in self.registry.sessions() {
            if self.is_slice_over(payload.len()) {
                self.pause().await;
            }
            if session.has_protocol(protocol) {
                self.fan_out(
                    &session,
                    &mut message,
                    &Published::Broadcast,
                    None,
                    reserved,
                );
            }
        }
    }

    fn fan_out(
        &self,
        session: &Rc<Session>,
        message: &mut Prepared,
        published: &Published,
        policy: Option<SlowPolicy>,
        reserved: Option<&Reservations>,
    ) {
        self.worker.flush_many();
        let policy = session.policy().or(policy);
        if policy == Some(SlowPolicy::Wait)
            && let Some(reserved) = reserved
        {
            let length = message.payload().len();
            reserved.release(session.id, length + FRAME_HEADER_BYTES_MAX);
        }
        match session.fan(message, published, policy) {
            Fanned::Done => {}
            Fanned::Dropped(messages) => {
                self.registry.note_queue_full(message.payload().len());
                if let Published::Topic(topic) = published {
                    self.registry.count_dropped(topic, messages);
                }
            }
            Fanned::Full(error) => {
                self.registry.note_queue_full(message.payload().len());
                let code = match policy {
                    Some(SlowPolicy::Disconnect(code)) => code,
                    Some(
                        SlowPolicy::Wait
                        | SlowPolicy::DropOldest
                        | SlowPolicy::DropNewest
                        | SlowPolicy::LatestOnly,
                    )
                    | None => CloseCode::POLICY_VIOLATION.get(),
                };
                self.close_slow(session, code, &error);
            }
        }
        self.registry.relieve();
    }

    pub(super) fn close_slow(&self, session: &Rc<Session>, code: u16, error: &SendError) {
        static SLOW: Seldom = Seldom::new();
        if let Some(left_out) = SLOW.take() {
            tracing::warn!(
                handler = %self.registry.name(), connection = session.id, code, left_out,
                "closing a connection that does not keep up: {error}"
            );
        }
        self.registry.leave(session.id);
        session.close(ClosedBy::Host, close_frame(code, "slow consumer"));
    }

    /// The open connection that does not take what it was to be sent.
    fn no_longer_takes(
        &self,
        effect: &Effect,
        effects: &Effects,
    ) -> Option<(Rc<Session>, SendError)> {
        let (session, result) = if let Effect::Send { to, payload }
        | Effect::Ping { to, payload }
        | Effect::Pong { to, payload } = effect
        {
            let session = self.registry.get(*to)?;
            let result = session.check(payload.byte_len(), 0);
            (session, result)
        } else if let Effect::SendChunk { to, payload, fin } = effect {
            let session = self.registry.get(*to)?;
            let bytes = effects.bytes(*payload);
            let result = session.check_chunk(None, payload.kind, bytes, *fin, 0);
            (session, result.map(drop))
        } else {
            return None;
        };
        let error = result.err().filter(|error| *error != SendError::Closed)?;
        Some((session, error))
    }

    fn remote_broadcast(
        &self,
        protocol: Option<&str>,
        payload: Payload,
        bytes: &[u8],
    ) -> Option<Remote> {
        self.remote(payload, bytes, |kind, payload| Remote::Broadcast {
            protocol: protocol.map(Arc::from),
            kind,
            payload,
        })
    }

    fn remote(
        &self,
        payload: Payload,
        bytes: &[u8],
        make: impl FnOnce(MessageKind, Bytes) -> Remote,
    ) -> Option<Remote> {
        (!self.outbox.is_empty()).then(|| make(payload.kind, Bytes::copy_from_slice(bytes)))
    }
}

/// What callbacks have asked for that wait until a broadcast was sent.
#[derive(Default)]
struct Asked {
    effects: Vec<ReservedEffects>,
    /// What all of them count on.
    reserved: Rc<Reservations>,
}

impl Asked {
    /// Has the next callback see what those before it have reserved.
    fn stand_before<G: Guest>(&self, guest: &Hosted<G>) {
        if !self.effects.is_empty() {
            guest.reserved().stand_behind(&self.reserved);
        }
    }

    /// Takes what a callback asked for.
    fn take<G: Guest>(&mut self, guest: &mut Hosted<G>) {
        if guest.effects().list.is_empty() {
            guest.clear_effects();
            return;
        }
        let taken = guest.take_effects();
        self.reserved.absorb(&taken.reserved);
        taken.reserved.stand_behind(&self.reserved);
        self.effects.push(taken);
    }
}

/// What a message counts in the queue of its connection while it is only asked for.
fn sent_cost(payload: Payload) -> usize {
    payload.byte_len() + FRAME_HEADER_BYTES_MAX
}

/// The frame that a handler asked for; the code was checked when it was queued, and 1005 stands for none.
fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame::new(code, reason).unwrap_or_else(|_| CloseFrame::empty())
}
