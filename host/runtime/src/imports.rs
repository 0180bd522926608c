//! The implementation of the imports: checks against the connections, topics and timers of a
//! handler, and what the running callback has asked for already.

use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wsrun_proto::topic::SubscribeError as SubscribeRefused;
use wsrun_proto::ws::{CloseFrame, MessageKind, SendError as Refused};

use crate::registry::Registry;
use crate::reservations::{Reservation, Reservations};
use crate::session::Session;
use wsrun_contract::effects::{
    CannedMessage, Connect, Effect, Effects, FRAME_HEADER_BYTES_MAX, SetAutoReply,
};
use wsrun_contract::host::{Checked, DirectConnection, Host};
use wsrun_contract::{
    AutoReplyError, ChunkError, ClosedBy, ConnectError, ConnectOptions, ConnectionId,
    ContractBroken, Failure, Limit, PublishError, Request, ResponseHead, SendError, SlowPolicy,
    SubscribeError, TimerError, TimerId, is_sendable,
};

/// The imports of one instance.
pub struct Imports {
    /// The handler's connections on this worker.
    registry: Rc<Registry>,
    /// The room that the running callback counts on. The dispatcher takes it with the effects.
    reserved: Rc<Reservations>,
}

/// The longest time of a timer, as the contract can say it.
const TIMER_MAX: Duration = Duration::from_millis(u32::MAX as u64);

/// The largest message that is answered automatically, and the largest answer.
const AUTO_REPLY_BYTES_MAX: usize = 2 * 1024;

impl Imports {
    /// Makes the imports of an instance.
    #[inline]
    pub fn new(registry: Rc<Registry>) -> Self {
        Self {
            registry,
            reserved: Rc::default(),
        }
    }

    /// Returns what the running callback has reserved.
    #[inline]
    pub fn reserved(&self) -> &Rc<Reservations> {
        &self.reserved
    }

    /// Looks at what this callback has reserved at a connection, to reserve more.
    #[inline]
    fn reserve(
        &self,
        at: ConnectionId,
        reserve: impl FnOnce(&mut Reservation) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let session = || self.registry.get(at);
        let reserved = self.reserved.at(at, session, reserve);
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

    /// How many subscribers a message has, by what they are when it is carried out.
    fn count_subscribers(
        &self,
        effects: &mut Effects,
        topic: &str,
        except: Option<ConnectionId>,
    ) -> usize {
        let topics = self.registry.topics();
        let mut count = topics.count(topic);
        if let Some(asked) = effects.asked_mut() {
            let change =
                asked.change_of_subscribers(topic, |connection| topics.subscriptions(connection));
            // Who has gone since is counted in both.
            count = count.saturating_add_signed(change);
        }
        let is_left_out = except.is_some_and(|except| self.is_subscribed(effects, except, topic));
        count.saturating_sub(usize::from(is_left_out))
    }

    /// Counts a message that is sent to `count` connections.
    fn count_publish(&self, count: usize, length: usize) {
        let usage = self.registry.usage();
        usage.count_send(count, length.saturating_mul(count));
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
        session.is_some_and(|session| is(&session)) && !self.reserved.is_closing(connection)
    }

    fn is_subscribed(&self, effects: &Effects, connection: ConnectionId, topic: &str) -> bool {
        if self.reserved.is_closing(connection) {
            return false;
        }
        let asked = effects.asked();
        let asked = asked.and_then(|asked| asked.subscription(connection, topic));
        asked.unwrap_or_else(|| self.registry.topics().is_subscribed(connection, topic))
    }
}

impl Host for Imports {
    fn admit(&self, to: ConnectionId, length: usize) -> Result<(), SendError> {
        let admitted = self.reserve(to, |reservation| {
            if reservation.is_closing() {
                return Err(Refused::Closed);
            }
            let session = &reservation.session;
            let checked = session.check(length, reservation.uncounted());
            self.note_refused(checked, length)?;
            self.take_send(session, length)?;
            reservation.reserve(length + FRAME_HEADER_BYTES_MAX, self.reserved.is_counted());
            Ok(())
        });
        admitted.map_err(refused_send)
    }

    fn admit_chunk(
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
            reservation.reserve(
                bytes.len() + FRAME_HEADER_BYTES_MAX,
                self.reserved.is_counted(),
            );
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

    fn close(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) -> Checked<()> {
        check_code("connections.close", code)?;
        if let Some(session) = self.registry.get(connection)
            && session.can_be_closed()
            && self.reserved.close(&session)
        {
            effects.push(Effect::Close {
                connection,
                code,
                reason,
            })?;
        }
        Ok(())
    }

    fn abort(&self, effects: &mut Effects, connection: ConnectionId) -> Checked<()> {
        if let Some(session) = self.registry.get(connection) {
            self.reserved.close(&session);
            effects.push(Effect::Abort { connection })?;
        }
        Ok(())
    }

    fn buffered(&self, connection: ConnectionId) -> u64 {
        let uncounted = self.reserved.uncounted(connection);
        let session = self.registry.get(connection);
        session.map_or(0, |session| (session.buffered() + uncounted) as u64)
    }

    fn open_count(&self) -> usize {
        let closing = self.reserved.count_closing(&Session::is_open);
        self.registry.open_count().saturating_sub(closing)
    }

    fn want_writable(&self, effects: &mut Effects, connection: ConnectionId) -> Checked<()> {
        if self.is_open(connection) {
            effects.push(Effect::WantWritable { connection })?;
        }
        Ok(())
    }

    fn receive_flow(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        enabled: bool,
    ) -> Checked<()> {
        if self.is_open(connection) {
            effects.push(Effect::ReceiveFlow {
                connection,
                enabled,
            })?;
        }
        Ok(())
    }

    fn set_slow_policy(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        policy: Option<SlowPolicy>,
    ) -> Checked<()> {
        check_policy("connections.set-slow-policy", policy)?;
        if self.registry.get(connection).is_some() {
            effects.push(Effect::SetPolicy { connection, policy })?;
        }
        Ok(())
    }

    fn dropped(&self, connection: ConnectionId) -> u64 {
        self.registry
            .get(connection)
            .map_or(0, |session| session.dropped())
    }

    fn protocol(&self, connection: ConnectionId) -> Option<String> {
        self.registry
            .get(connection)
            .and_then(|session| session.protocol())
    }

    fn session(&self, effects: &Effects, connection: ConnectionId) -> Vec<u8> {
        // What this callback has set is seen before it is applied.
        if let Some(queued) = effects.session_data(connection) {
            return queued.to_vec();
        }
        let session = self.registry.get(connection);
        session.map(|session| session.data()).unwrap_or_default()
    }

    fn admit_session(&self, connection: ConnectionId, length: usize) -> Result<(), SendError> {
        if self.registry.get(connection).is_none() {
            return Err(SendError::Closed);
        }
        let limit = self.registry.limits().memory.session_bytes_max;
        if length > limit {
            self.registry.note_limit(Limit::Session);
            return Err(SendError::TooLarge(limit as u64));
        }
        let promised = self.registry.usage().promise_session(length);
        let Some(room) = promised else {
            self.registry.note_limit(Limit::HandlerSession);
            let limit = self.registry.usage().session_max();
            return Err(SendError::TooLarge(limit as u64));
        };
        self.reserved.hold_session_room(room);
        Ok(())
    }

    fn subscribe(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        topic: String,
    ) -> Checked<Result<bool, SubscribeError>> {
        if !self.is_open(connection) {
            return Ok(Err(SubscribeError::Closed));
        }
        if self.is_subscribed(effects, connection, &topic) {
            return Ok(Ok(false));
        }
        // What is queued counts as done, so that applying it cannot fail.
        let asked = effects.asked();
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
        effects.push(Effect::Subscribe { connection, topic })?;
        Ok(Ok(true))
    }

    fn unsubscribe(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        topic: String,
    ) -> Checked<bool> {
        if !self.is_subscribed(effects, connection, &topic) {
            return Ok(false);
        }
        effects.push(Effect::Unsubscribe { connection, topic })?;
        Ok(true)
    }

    fn publish(
        &self,
        effects: &mut Effects,
        topic: String,
        kind: MessageKind,
        bytes: &[u8],
        except: Option<ConnectionId>,
    ) -> Checked<Result<u32, PublishError>> {
        if let Err(refused) = self.check_size(bytes.len()) {
            return Ok(Err(refused));
        }
        let count = self.count_subscribers(effects, &topic, except);
        if let Err(limit) = self.registry.usage().may_send() {
            self.registry.note_limit(limit);
            return Ok(Err(PublishError::Waiting(0)));
        }
        let admitted = self.registry.admit_publish(
            &topic,
            bytes.len(),
            except,
            &self.reserved,
            self.reserved.is_counted(),
        );
        if let Err(refused) = admitted {
            return Ok(Err(refused));
        }
        self.count_publish(count, bytes.len());
        let payload = effects.payload(kind, bytes);
        effects.push(Effect::Publish {
            topic,
            payload,
            except,
        })?;
        Ok(Ok(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    fn broadcast(
        &self,
        effects: &mut Effects,
        protocol: Option<String>,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Checked<Result<u32, PublishError>> {
        if effects.in_filter {
            return Err(ContractBroken(
                "topics.broadcast within broadcast-filter.wanted".into(),
            ));
        }
        if let Err(refused) = self.check_size(bytes.len()) {
            return Ok(Err(refused));
        }
        let of_protocol = protocol.as_deref();
        let closing = self
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
            &self.reserved,
            self.reserved.is_counted(),
        );
        if let Err(refused) = admitted {
            return Ok(Err(refused));
        }
        self.count_publish(count, bytes.len());
        let payload = effects.payload(kind, bytes);
        effects.push(Effect::Broadcast { protocol, payload })?;
        Ok(Ok(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    fn set_auto_reply(
        &self,
        effects: &mut Effects,
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
        let fixed = |(kind, bytes): (MessageKind, &[u8])| CannedMessage {
            kind,
            bytes: bytes.into(),
        };
        effects.push(Effect::SetAutoReply(Box::new(SetAutoReply {
            received: fixed((kind, bytes)),
            reply: reply.map(fixed),
        })))?;
        Ok(Ok(()))
    }

    fn set_topic_policy(
        &self,
        effects: &mut Effects,
        topic: String,
        policy: Option<SlowPolicy>,
    ) -> Checked<()> {
        check_policy("topics.set-slow-policy", policy)?;
        if policy.is_some() {
            let queued = self.registry.additions().get().topic_policies;
            self.registry.check_topic_policy(&topic, queued)?;
        }
        effects.push(Effect::SetTopicPolicy { topic, policy })
    }

    fn set_timer(
        &self,
        effects: &mut Effects,
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
        if self.registry.timers().count() + queued >= self.registry.limits().contract.timers_max {
            self.registry.note_limit(Limit::Timers);
            return Ok(Err(TimerError::Limit));
        }
        let timer = self.registry.next_timer();
        let after = after.min(TIMER_MAX);
        effects.push(Effect::SetTimer {
            timer,
            after,
            tag,
            connection,
        })?;
        Ok(Ok(timer))
    }

    fn cancel_timer(&self, effects: &mut Effects, timer: TimerId) -> Checked<bool> {
        let asked = effects.asked().and_then(|asked| asked.timer(timer));
        let known = asked.unwrap_or_else(|| self.registry.timers().contains(timer));
        if known {
            effects.push(Effect::CancelTimer { timer })?;
        }
        Ok(known)
    }

    fn connect(
        &self,
        effects: &mut Effects,
        options: ConnectOptions,
    ) -> Checked<Result<ConnectionId, ConnectError>> {
        let worker = self.registry.worker();
        if let Err(refused) = worker.outbound.check(&options) {
            return Ok(Err(refused));
        }
        let queued = self.registry.additions().get().connects;
        if self.registry.outbound_count() + queued >= worker.outbound_connections_max {
            self.registry.note_limit(Limit::Outbound);
            return Ok(Err(ConnectError::Limit));
        }
        let room = match self.registry.promise_session(&options) {
            Ok(room) => room,
            Err(refused) => return Ok(Err(refused)),
        };
        let connection = worker.next_connection_id();
        self.reserved.hold_session_room(room);
        effects.push(Effect::Connect(Box::new(Connect {
            connection,
            options,
        })))?;
        Ok(Ok(connection))
    }

    fn check_size(&self, length: usize) -> Result<(), PublishError> {
        let limit = self.registry.limits().contract.sent_message_bytes_max;
        if length > limit {
            self.registry.note_limit(Limit::MessageSize);
            return Err(PublishError::TooLarge(limit as u64));
        }
        Ok(())
    }

    fn new_effects(&self) -> Effects {
        let counters = Arc::clone(self.registry.tally());
        let refused = move || counters.limits[Limit::Effects as usize].add(1);
        Effects::new(
            self.registry.limits(),
            Rc::clone(self.registry.additions()),
            Box::new(refused),
        )
    }

    fn admit_packed(&self, to: ConnectionId, length: usize) -> bool {
        // The instance was told of the room, and nothing is checked again: others may have had their
        // turn meanwhile and have used it up.
        let reserved = self.reserve(to, |reservation| {
            if reservation.is_closing() {
                return Err(Refused::Closed);
            }
            reservation.reserve(length, self.reserved.is_counted());
            Ok(())
        });
        reserved.is_ok()
    }

    fn request(&self, connection: ConnectionId) -> Option<Request> {
        let session = self.registry.get(connection)?;
        Some(session.request())
    }

    fn failure(&self, connection: ConnectionId) -> Option<Failure> {
        self.registry.get(connection)?.failure()
    }

    fn response(&self, connection: ConnectionId) -> Option<ResponseHead> {
        self.registry.get(connection)?.response()
    }

    fn raw_fd(&self, connection: ConnectionId) -> Option<RawFd> {
        self.registry.get(connection)?.raw_fd()
    }

    fn topic_dropped(&self, topic: &str) -> u64 {
        self.registry.topic_dropped(topic)
    }

    fn handler_name(&self) -> &Arc<str> {
        self.registry.name()
    }

    fn config(&self, key: &str) -> Option<&str> {
        self.registry.config(key)
    }

    fn add_failing(&self, time: Duration) {
        self.registry.usage().add_failing(time);
    }

    fn direct(&self, connection: ConnectionId) -> Option<Rc<dyn DirectConnection>> {
        let session = self.registry.get(connection)?;
        Some(Rc::new(Direct {
            registry: Rc::clone(&self.registry),
            session,
        }))
    }
}

/// A connection of a program.
struct Direct {
    registry: Rc<Registry>,
    session: Rc<Session>,
}

impl DirectConnection for Direct {
    fn id(&self) -> ConnectionId {
        self.session.id
    }

    fn request(&self) -> Request {
        self.session.request()
    }

    fn protocol(&self) -> Option<String> {
        self.session.protocol()
    }

    fn message_bytes_max(&self) -> usize {
        self.session.message_bytes_max()
    }

    fn try_send(&self, kind: MessageKind, payload: &[u8]) -> Result<(), SendError> {
        let session = &self.session;
        let sent = session
            .check(payload.len(), 0)
            .and_then(|()| session.send_admitted(kind, payload));
        if sent.is_ok() {
            session.mark_dirty();
        }
        sent.map_err(refused_send)
    }

    fn close(&self, code: u16, reason: &str) {
        let frame = CloseFrame::new(code, reason).unwrap_or_else(|_| CloseFrame::empty());
        self.session.close(ClosedBy::Handler, frame);
        self.session.mark_dirty();
        self.session.wake();
    }

    fn want_writable(&self) {
        self.session.want_writable.set(true);
        self.session.wake();
    }

    fn pause_reading(&self) {
        self.session.receive_flow.set(false);
    }

    fn resume_reading(&self) {
        if !self.session.receive_flow.replace(true) {
            self.session.wake();
        }
    }

    fn flush(&self) {
        self.registry.worker().flush();
    }

    fn rest_until(&self) -> Option<Instant> {
        self.registry.usage().rest_until()
    }

    fn counted(&self, work: &mut dyn FnMut()) {
        self.registry.usage().counted(work);
    }
}

fn refused_send(refused: Refused) -> SendError {
    match refused {
        Refused::QueueFull { queued } => SendError::QueueFull(queued as u64),
        Refused::TooLarge { limit } => SendError::TooLarge(limit),
        Refused::Closed | Refused::InvalidText | Refused::MessageUnfinished | _ => {
            SendError::Closed
        }
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
