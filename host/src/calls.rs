//! What a callback may ask for: checks, and queues an [`Effect`]. The functions that components import (`wasm::host`) and the
//! [`Context`](crate::native::Context) of native handlers are thin layers over it.
//!
//! Nothing here blocks, and nothing happens before the callback has returned.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wsrun_proto::topic::SubscribeError as SubscribeRefused;
use wsrun_proto::ws::frame::CONTROL_BYTES_MAX;
use wsrun_proto::ws::{MessageKind, SendError as Refused};

use crate::contract::packed;
use crate::contract::{
    AutoReplyError, ChunkError, ConnectError, ConnectOptions, ConnectionId, ContractBroken, Limit,
    PublishError, SendError, SlowPolicy, SubscribeError, TimerError, TimerId, is_sendable,
};
use crate::effects::{
    Connect, Effect, Effects, FRAME_HEADER_BYTES_MAX, Fixed, Payload, SetAutoReply,
};
use crate::handler::{Registry, SessionRoom};
use crate::reservations::Reservation;
use crate::session::Session;

/// The requests of the running callback, and what they are checked against.
pub(crate) struct Calls {
    /// The handler's connections on this worker.
    pub(crate) registry: Rc<Registry>,
    pub(crate) effects: Effects,
    /// They come from an instance that answers a plain request, beside the one of the sockets: connections do not know of the room that it
    /// counts on, and everything is checked again when it is carried out.
    pub(crate) of_request: bool,
    /// While a call with several messages runs: their connection, and how many bytes it may still be sent in the same way.
    pub(crate) packed: Option<(ConnectionId, usize)>,
}

/// The longest time of a timer, as the contract can say it.
const TIMER_MAX: Duration = Duration::from_millis(u32::MAX as u64);

const MORE_THAN_ROOM: &str = "more than the room that packed.received told";

/// The largest message that is answered automatically, and the largest answer.
const AUTO_REPLY_BYTES_MAX: usize = 2 * 1024;

type Checked<T> = Result<T, ContractBroken>;

impl Calls {
    pub(crate) fn new(registry: Rc<Registry>) -> Self {
        let effects = Effects::new(
            registry.limits(),
            Arc::clone(registry.tally()),
            Rc::clone(registry.additions()),
        );
        Self {
            registry,
            effects,
            of_request: false,
            packed: None,
        }
    }

    /// Whether the queue of `to` takes `length` more bytes, after what this callback sent so far; counts on it if so.
    pub(crate) fn admit(&self, to: ConnectionId, length: usize) -> Result<(), SendError> {
        let admitted = self.reserve(to, |reservation| {
            if reservation.is_closing() {
                return Err(Refused::Closed);
            }
            let session = &reservation.session;
            let checked = session.check(length, reservation.uncounted());
            self.note_refused(checked, length)?;
            self.take_send(session, length)?;
            reservation.reserve(length + FRAME_HEADER_BYTES_MAX, !self.of_request);
            Ok(())
        });
        admitted.map_err(|refused| match refused {
            Refused::QueueFull { queued } => SendError::QueueFull(queued as u64),
            Refused::TooLarge { limit } => SendError::TooLarge(limit),
            Refused::Closed | Refused::InvalidText | Refused::MessageUnfinished | _ => {
                SendError::Closed
            }
        })
    }

    /// Looks at what this callback has reserved at a connection, to reserve more.
    #[inline]
    fn reserve(
        &self,
        at: ConnectionId,
        reserve: impl FnOnce(&mut Reservation) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let session = || self.registry.get(at);
        let reserved = self.effects.reserved.at(at, session, reserve);
        reserved.unwrap_or(Err(Refused::Closed))
    }

    /// Counts a message to a connection that takes it, if the handler may send now.
    #[inline]
    fn take_send(&self, session: &Session, length: usize) -> Result<(), Refused> {
        let usage = self.registry.usage();
        if let Err(limit) = usage.may_send() {
            self.registry.note_limit(limit);
            let queued = session.buffered();
            return Err(Refused::QueueFull { queued });
        }
        usage.count_send(1, length);
        Ok(())
    }

    /// Notes which limit a message was refused for.
    #[inline]
    fn note_refused<T>(&self, checked: Result<T, Refused>, length: usize) -> Result<T, Refused> {
        if matches!(checked, Err(Refused::QueueFull { .. })) {
            self.registry.note_queue_full(length);
        }
        if matches!(checked, Err(Refused::TooLarge { .. })) {
            self.registry.note_limit(Limit::MessageSize);
        }
        checked
    }

    pub(crate) fn send(
        &mut self,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Checked<Result<(), SendError>> {
        if let Err(refused) = self.admit(to, bytes.len()) {
            return Ok(Err(refused));
        }
        let payload = self.effects.payload(kind, bytes);
        self.effects.push(Effect::Send { to, payload })?;
        Ok(Ok(()))
    }

    /// Sends the packed messages that were appended to the payloads at `start`, to the connection that it was given such messages of. If they
    /// do not fit its room they were not even appended.
    pub(crate) fn send_packed(
        &mut self,
        to: ConnectionId,
        start: usize,
        fits: bool,
    ) -> Checked<()> {
        let broken = |what: &str| Err(ContractBroken(format!("packed-send.send: {what}")));
        let Some((_, room)) = self.packed.as_mut().filter(|(of, _)| *of == to) else {
            return broken("not the connection that packed.received was called for");
        };
        if !fits {
            return broken(MORE_THAN_ROOM);
        }
        let payload = self.effects.tail(MessageKind::Binary, start);
        for message in packed::messages(self.effects.bytes(payload)) {
            let Some((kind, payload)) = message else {
                return broken("the bytes are not packed messages");
            };
            if kind == MessageKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
                return broken("a text is not UTF-8");
            }
            let Some(left) = room.checked_sub(payload.len() + packed::ROOM_OVERHEAD) else {
                return broken(MORE_THAN_ROOM);
            };
            *room = left;
        }
        // It was told of room, and is not asked again: others may have had their turn meanwhile and have used it up.
        let reserved = self.reserve(to, |reservation| {
            if reservation.is_closing() {
                return Err(Refused::Closed);
            }
            reservation.reserve(payload.len(), !self.of_request);
            Ok(())
        });
        if reserved.is_err() {
            // Nobody is there any more, as where a message is on its way while its connection closes.
            return Ok(());
        }
        self.effects.push(Effect::SendPacked { to, payload })
    }

    /// Whether a part of a message can be sent now; counts on it if so.
    pub(crate) fn admit_chunk(
        &self,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
        fin: bool,
    ) -> Result<(), ChunkError> {
        let admitted = self.reserve(to, |reservation| {
            if reservation.is_closing() {
                return Err(Refused::Closed);
            }
            let session = &reservation.session;
            let uncounted = reservation.uncounted();
            let checked = session.check_chunk(reservation.sending(), kind, bytes, fin, uncounted);
            let sending = self.note_refused(checked, bytes.len())?;
            self.take_send(session, bytes.len())?;
            reservation.reserve(bytes.len() + FRAME_HEADER_BYTES_MAX, !self.of_request);
            reservation.set_sending(sending);
            Ok(())
        });
        admitted.map_err(|refused| match refused {
            Refused::QueueFull { queued } => ChunkError::QueueFull(queued as u64),
            Refused::TooLarge { limit } => ChunkError::TooLarge(limit),
            Refused::InvalidText => ChunkError::InvalidText,
            Refused::MessageUnfinished => ChunkError::WrongKind,
            Refused::Closed | _ => ChunkError::Closed,
        })
    }

    pub(crate) fn send_chunk(
        &mut self,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
        fin: bool,
    ) -> Checked<Result<(), ChunkError>> {
        if let Err(refused) = self.admit_chunk(to, kind, bytes, fin) {
            return Ok(Err(refused));
        }
        let payload = self.effects.payload(kind, bytes);
        self.effects.push(Effect::SendChunk { to, payload, fin })?;
        Ok(Ok(()))
    }

    pub(crate) fn ping(
        &mut self,
        to: ConnectionId,
        payload: &[u8],
    ) -> Checked<Result<(), SendError>> {
        self.control(to, payload, |to, payload| Effect::Ping { to, payload })
    }

    pub(crate) fn pong(
        &mut self,
        to: ConnectionId,
        payload: &[u8],
    ) -> Checked<Result<(), SendError>> {
        self.control(to, payload, |to, payload| Effect::Pong { to, payload })
    }

    fn control(
        &mut self,
        to: ConnectionId,
        payload: &[u8],
        effect: impl FnOnce(ConnectionId, Payload) -> Effect,
    ) -> Checked<Result<(), SendError>> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Ok(Err(SendError::TooLarge(CONTROL_BYTES_MAX as u64)));
        }
        if let Err(refused) = self.admit(to, payload.len()) {
            return Ok(Err(refused));
        }
        let payload = self.effects.payload(MessageKind::Binary, payload);
        self.effects.push(effect(to, payload))?;
        Ok(Ok(()))
    }

    pub(crate) fn close(
        &mut self,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) -> Checked<()> {
        check_code("connections.close", code)?;
        if let Some(session) = self.registry.get(connection)
            && session.can_be_closed()
            && self.effects.reserved.close(&session)
        {
            self.effects.push(Effect::Close {
                connection,
                code,
                reason,
            })?;
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self, connection: ConnectionId) -> Checked<()> {
        if let Some(session) = self.registry.get(connection) {
            self.effects.reserved.close(&session);
            self.effects.push(Effect::Abort { connection })?;
        }
        Ok(())
    }

    pub(crate) fn buffered(&self, connection: ConnectionId) -> u64 {
        let uncounted = self.effects.reserved.uncounted(connection);
        let session = self.registry.get(connection);
        session.map_or(0, |session| (session.buffered() + uncounted) as u64)
    }

    /// Open connections, without those that this callback closes.
    pub(crate) fn open_count(&self) -> usize {
        let closing = self.effects.reserved.count_closing(&Session::is_open);
        self.registry.open_count().saturating_sub(closing)
    }

    pub(crate) fn want_writable(&mut self, connection: ConnectionId) -> Checked<()> {
        if self.is_open(connection) {
            self.effects.push(Effect::WantWritable { connection })?;
        }
        Ok(())
    }

    pub(crate) fn want_writable_all(&mut self, protocol: Option<String>) -> Checked<()> {
        self.effects.push(Effect::WantWritableAll { protocol })
    }

    pub(crate) fn receive_flow(&mut self, connection: ConnectionId, enabled: bool) -> Checked<()> {
        if self.is_open(connection) {
            self.effects.push(Effect::ReceiveFlow {
                connection,
                enabled,
            })?;
        }
        Ok(())
    }

    pub(crate) fn set_slow_policy(
        &mut self,
        connection: ConnectionId,
        policy: Option<SlowPolicy>,
    ) -> Checked<()> {
        check_policy("connections.set-slow-policy", policy)?;
        if self.registry.get(connection).is_some() {
            self.effects
                .push(Effect::SetPolicy { connection, policy })?;
        }
        Ok(())
    }

    pub(crate) fn dropped(&self, connection: ConnectionId) -> u64 {
        self.registry
            .get(connection)
            .map_or(0, |session| session.dropped())
    }

    pub(crate) fn protocol(&self, connection: ConnectionId) -> Option<String> {
        self.registry
            .get(connection)
            .and_then(|session| session.protocol())
    }

    pub(crate) fn session(&self, connection: ConnectionId) -> Vec<u8> {
        // What this callback has set is seen before it is applied.
        if let Some(queued) = self.effects.session_data(connection) {
            return queued.to_vec();
        }
        let session = self.registry.get(connection);
        session.map(|session| session.data()).unwrap_or_default()
    }

    /// Promises to keep session data of this length, which is set next. What is queued counts as added: its place is taken when it is
    /// carried out.
    pub(crate) fn admit_session(
        &self,
        connection: ConnectionId,
        length: usize,
    ) -> Result<SessionRoom, SendError> {
        if self.registry.get(connection).is_none() {
            return Err(SendError::Closed);
        }
        let limit = self.registry.limits().memory.session_bytes_max;
        if length > limit {
            self.registry.note_limit(Limit::Session);
            return Err(SendError::TooLarge(limit as u64));
        }
        let promised = self.registry.usage().promise_session(length);
        promised.ok_or_else(|| {
            self.registry.note_limit(Limit::HandlerSession);
            SendError::TooLarge(self.registry.usage().session_max() as u64)
        })
    }

    pub(crate) fn set_session(
        &mut self,
        connection: ConnectionId,
        data: Vec<u8>,
    ) -> Checked<Result<(), SendError>> {
        match self.admit_session(connection, data.len()) {
            Ok(room) => self.set_admitted_session(connection, data, room).map(Ok),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Sets session data that [`admit_session`](Self::admit_session) has promised to keep.
    pub(crate) fn set_admitted_session(
        &mut self,
        connection: ConnectionId,
        data: Vec<u8>,
        room: SessionRoom,
    ) -> Checked<()> {
        self.effects.hold_session_room(room);
        self.effects.push(Effect::SetSession { connection, data })
    }

    pub(crate) fn subscribe(
        &mut self,
        connection: ConnectionId,
        topic: String,
    ) -> Checked<Result<bool, SubscribeError>> {
        if !self.is_open(connection) {
            return Ok(Err(SubscribeError::Closed));
        }
        if self.is_subscribed(connection, &topic) {
            return Ok(Ok(false));
        }
        // What is queued counts as done, so that applying it cannot fail.
        let asked = self.effects.asked();
        let own = asked.map_or(0, |asked| asked.subscriptions(connection));
        let added = self.registry.additions().get().subscriptions;
        let checked = self.registry.topics().check(connection, &topic, own, added);
        if let Err(refused) = checked {
            return Ok(Err(match refused {
                SubscribeRefused::InvalidName => SubscribeError::InvalidName,
                SubscribeRefused::SubscriptionLimit => {
                    self.registry.note_limit(Limit::Subscriptions);
                    SubscribeError::Limit
                }
                SubscribeRefused::TopicLimit | _ => {
                    self.registry.note_limit(Limit::Topics);
                    SubscribeError::Limit
                }
            }));
        }
        self.effects.push(Effect::Subscribe { connection, topic })?;
        Ok(Ok(true))
    }

    pub(crate) fn unsubscribe(&mut self, connection: ConnectionId, topic: String) -> Checked<bool> {
        if !self.is_subscribed(connection, &topic) {
            return Ok(false);
        }
        self.effects
            .push(Effect::Unsubscribe { connection, topic })?;
        Ok(true)
    }

    pub(crate) fn publish(
        &mut self,
        topic: String,
        kind: MessageKind,
        bytes: &[u8],
        except: Option<ConnectionId>,
    ) -> Checked<Result<u32, PublishError>> {
        if let Err(refused) = self.check_size(bytes.len()) {
            return Ok(Err(refused));
        }
        let count = self.count_subscribers(&topic, except);
        if let Err(limit) = self.registry.usage().may_send() {
            self.registry.note_limit(limit);
            return Ok(Err(PublishError::Waiting(0)));
        }
        let admitted = self.registry.admit_publish(
            &topic,
            bytes.len(),
            except,
            &self.effects.reserved,
            !self.of_request,
        );
        if let Err(refused) = admitted {
            return Ok(Err(refused));
        }
        self.count_publish(count, bytes.len());
        let payload = self.effects.payload(kind, bytes);
        self.effects.push(Effect::Publish {
            topic,
            payload,
            except,
        })?;
        Ok(Ok(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    /// How many subscribers a message has, by what they are when it is carried out.
    fn count_subscribers(&mut self, topic: &str, except: Option<ConnectionId>) -> usize {
        let topics = self.registry.topics();
        let mut count = topics.count(topic);
        if let Some(asked) = self.effects.asked_mut() {
            let change =
                asked.change_of_subscribers(topic, |connection| topics.subscriptions(connection));
            // Who has gone since is counted in both.
            count = count.saturating_add_signed(change);
        }
        let is_left_out = except.is_some_and(|except| self.is_subscribed(except, topic));
        count.saturating_sub(usize::from(is_left_out))
    }

    /// Counts a message that is sent to `count` connections.
    fn count_publish(&self, count: usize, length: usize) {
        let usage = self.registry.usage();
        usage.count_send(count, length.saturating_mul(count));
    }

    pub(crate) fn broadcast(
        &mut self,
        protocol: Option<String>,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Checked<Result<u32, PublishError>> {
        if self.effects.in_filter {
            return Err(ContractBroken(
                "topics.broadcast within broadcast-filter.wanted".into(),
            ));
        }
        if let Err(refused) = self.check_size(bytes.len()) {
            return Ok(Err(refused));
        }
        let of_protocol = protocol.as_deref();
        let closing = self
            .effects
            .reserved
            .count_closing(&|session| session.is_open() && session.has_protocol(of_protocol));
        let count = self.registry.open_count_of(of_protocol);
        let count = count.saturating_sub(closing);
        if let Err(limit) = self.registry.usage().may_send() {
            self.registry.note_limit(limit);
            return Ok(Err(PublishError::Waiting(0)));
        }
        let admitted = self.registry.admit_broadcast(
            of_protocol,
            bytes.len(),
            &self.effects.reserved,
            !self.of_request,
        );
        if let Err(refused) = admitted {
            return Ok(Err(refused));
        }
        self.count_publish(count, bytes.len());
        let payload = self.effects.payload(kind, bytes);
        self.effects.push(Effect::Broadcast { protocol, payload })?;
        Ok(Ok(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    pub(crate) fn set_auto_reply(
        &mut self,
        (kind, bytes): (MessageKind, &[u8]),
        reply: Option<(MessageKind, &[u8])>,
    ) -> Checked<Result<(), AutoReplyError>> {
        let longest = bytes.len().max(reply.map_or(0, |(_, reply)| reply.len()));
        if longest > AUTO_REPLY_BYTES_MAX {
            let limit = AUTO_REPLY_BYTES_MAX as u64;
            return Ok(Err(AutoReplyError::TooLarge(limit)));
        }
        if reply.is_some() {
            // What is queued counts as added: a callback that sets one twice, or takes one back first, may have to do so in two.
            let queued = self.registry.additions().get().auto_replies;
            if !self.registry.auto_replies().takes(kind, bytes, queued) {
                self.registry.note_limit(Limit::AutoReplies);
                return Ok(Err(AutoReplyError::Limit));
            }
        }
        let fixed = |(kind, bytes): (MessageKind, &[u8])| Fixed {
            kind,
            bytes: bytes.into(),
        };
        self.effects
            .push(Effect::SetAutoReply(Box::new(SetAutoReply {
                received: fixed((kind, bytes)),
                reply: reply.map(fixed),
            })))?;
        Ok(Ok(()))
    }

    pub(crate) fn set_topic_policy(
        &mut self,
        topic: String,
        policy: Option<SlowPolicy>,
    ) -> Checked<()> {
        check_policy("topics.set-slow-policy", policy)?;
        if policy.is_some() {
            let queued = self.registry.additions().get().topic_policies;
            self.registry.check_topic_policy(&topic, queued)?;
        }
        self.effects.push(Effect::SetTopicPolicy { topic, policy })
    }

    pub(crate) fn set_timer(
        &mut self,
        after: Duration,
        tag: u64,
        connection: Option<ConnectionId>,
    ) -> Checked<Result<TimerId, TimerError>> {
        if !self.registry.has_timers() {
            return Ok(Err(TimerError::NotExported));
        }
        if connection.is_some_and(|connection| !self.can_be_closed(connection)) {
            return Ok(Err(TimerError::Closed));
        }
        let queued = self.registry.additions().get().timers;
        if self.registry.timers().len() + queued >= self.registry.limits().contract.timers_max {
            self.registry.note_limit(Limit::Timers);
            return Ok(Err(TimerError::Limit));
        }
        let timer = self.registry.next_timer();
        let after = after.min(TIMER_MAX);
        self.effects.push(Effect::SetTimer {
            timer,
            after,
            tag,
            connection,
        })?;
        Ok(Ok(timer))
    }

    pub(crate) fn cancel_timer(&mut self, timer: TimerId) -> Checked<bool> {
        let asked = self.effects.asked().and_then(|asked| asked.timer(timer));
        let known = asked.unwrap_or_else(|| self.registry.timers().contains(timer));
        if known {
            self.effects.push(Effect::CancelTimer { timer })?;
        }
        Ok(known)
    }

    pub(crate) fn connect(
        &mut self,
        options: ConnectOptions,
    ) -> Checked<Result<ConnectionId, ConnectError>> {
        let worker = self.registry.worker();
        if let Err(refused) = worker.outbound.check(&options) {
            return Ok(Err(refused));
        }
        let queued = self.registry.additions().get().connects;
        if self.registry.outbound_count() + queued >= worker.config.outbound.connections_max {
            self.registry.note_limit(Limit::Outbound);
            return Ok(Err(ConnectError::Limit));
        }
        let room = match self.registry.promise_session(&options) {
            Ok(room) => room,
            Err(refused) => return Ok(Err(refused)),
        };
        let connection = worker.next_connection_id();
        self.effects.hold_session_room(room);
        self.effects.push(Effect::Connect(Box::new(Connect {
            connection,
            options,
        })))?;
        Ok(Ok(connection))
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        self.is_kept(connection, Session::is_open)
    }

    /// Open, or about to be: a connection in the client role has an id before it is made.
    fn can_be_closed(&self, connection: ConnectionId) -> bool {
        self.is_kept(connection, Session::can_be_closed)
    }

    /// Whether `is` is true of a connection, and this callback does not close it.
    fn is_kept(&self, connection: ConnectionId, is: impl Fn(&Session) -> bool) -> bool {
        let session = self.registry.get(connection);
        session.is_some_and(|session| is(&session)) && !self.effects.reserved.is_closing(connection)
    }

    fn is_subscribed(&self, connection: ConnectionId, topic: &str) -> bool {
        if self.effects.reserved.is_closing(connection) {
            return false;
        }
        let asked = self.effects.asked();
        let asked = asked.and_then(|asked| asked.subscription(connection, topic));
        asked.unwrap_or_else(|| self.registry.topics().is_subscribed(connection, topic))
    }

    /// Whether a message of this length may be published.
    pub(crate) fn check_size(&self, length: usize) -> Result<(), PublishError> {
        let limit = self.registry.limits().contract.sent_message_bytes_max;
        if length > limit {
            self.registry.note_limit(Limit::MessageSize);
            return Err(PublishError::TooLarge(limit as u64));
        }
        Ok(())
    }
}

fn check_code(function: &str, code: u16) -> Checked<()> {
    if is_sendable(code) {
        return Ok(());
    }
    Err(ContractBroken(format!(
        "{function} with code {code}: it must be 1000-1003, 1007-1014, 3000-4999, or 1005 for none"
    )))
}

fn check_policy(function: &str, policy: Option<SlowPolicy>) -> Checked<()> {
    match policy {
        Some(SlowPolicy::Disconnect(code)) => check_code(function, code),
        Some(
            SlowPolicy::Wait
            | SlowPolicy::DropOldest
            | SlowPolicy::DropNewest
            | SlowPolicy::LatestOnly,
        )
        | None => Ok(()),
    }
}
