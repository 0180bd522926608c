//! What a callback may ask for: checks, and queues a [`Command`]. The functions that components import (`wasm::host`) and the
//! [`Context`](crate::native::Context) of native handlers are thin layers over it.
//!
//! Nothing here blocks, and nothing happens before the callback has returned.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wsrun_proto::topic::SubscribeError as SubscribeRefused;
use wsrun_proto::ws::frame::CONTROL_BYTES_MAX;
use wsrun_proto::ws::{MessageKind, SendError as Refused};

use crate::command::{Command, Commands, Connect, Fixed, Payload, SetAutoReply};
use crate::contract::{
    AutoReplyError, ChunkError, ConnectError, ConnectOptions, ConnectionId, ContractBroken,
    PublishError, SendError, SlowPolicy, SubscribeError, TimerError, TimerId, is_sendable,
};
use crate::handler::{Limit, Registry};
use crate::packed;

/// The requests of the running callback, and what they are checked against.
pub(crate) struct Calls {
    /// The handler's connections on this worker.
    pub(crate) registry: Rc<Registry>,
    pub(crate) commands: Commands,
    /// They come from an instance that answers a plain request, beside the one of the sockets: it counts nothing on connections that the
    /// other counts on, and everything is checked again when it is carried out.
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
        let commands = Commands::new(registry.limits(), Arc::clone(registry.tally()));
        Self {
            registry,
            commands,
            of_request: false,
            packed: None,
        }
    }

    /// Whether the queue of `to` takes `length` more bytes, after what this callback sent so far; counts them if so.
    pub(crate) fn admit(&self, to: ConnectionId, length: usize) -> Result<(), SendError> {
        let Some(session) = self.registry.get(to) else {
            return Err(SendError::Closed);
        };
        if session.is_open() && !self.takes_send(1, length) {
            return Err(SendError::QueueFull(session.buffered() as u64));
        }
        let admitted = if self.of_request {
            session.check(length)
        } else {
            session.admit(length)
        };
        if matches!(admitted, Err(Refused::QueueFull { .. })) {
            self.registry.note_queue_full(length);
        }
        if matches!(admitted, Err(Refused::TooLarge { .. })) {
            self.registry.note_limit(Limit::MessageSize);
        }
        admitted.map_err(|refused| match refused {
            Refused::QueueFull { queued } => SendError::QueueFull(queued as u64),
            Refused::TooLarge { limit } => SendError::TooLarge(limit),
            Refused::Closed | Refused::InvalidText | Refused::MessageUnfinished | _ => {
                SendError::Closed
            }
        })
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
        let payload = self.commands.payload(kind, bytes);
        self.commands.push(Command::Send { to, payload })?;
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
        let payload = self.commands.tail(MessageKind::Binary, start);
        let Some(session) = self.registry.get(to) else {
            // Nobody is there any more, as where a message is on its way while its connection closes.
            return Ok(());
        };
        for message in packed::messages(self.commands.bytes(payload)) {
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
            // It was told of room, and is not asked again: others may have had their turn meanwhile and have used it up.
            session.promise(payload.len());
        }
        self.commands.push(Command::SendPacked { to, payload })
    }

    /// Whether the handler may send so much now; counts it if so.
    fn takes_send(&self, messages: usize, bytes: usize) -> bool {
        let taken = self.registry.usage().take_send(messages, bytes);
        taken
            .inspect_err(|limit| self.registry.note_limit(*limit))
            .is_ok()
    }

    /// Whether a part of a message can be sent now; counts it if so.
    pub(crate) fn admit_chunk(
        &self,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
        fin: bool,
    ) -> Result<(), ChunkError> {
        let Some(session) = self.registry.get(to) else {
            return Err(ChunkError::Closed);
        };
        if session.is_open() && !self.takes_send(1, bytes.len()) {
            return Err(ChunkError::QueueFull(session.buffered() as u64));
        }
        let admitted = if self.of_request {
            session.check_chunk(None, kind, bytes, fin).map(drop)
        } else {
            session.admit_chunk(kind, bytes, fin)
        };
        if matches!(admitted, Err(Refused::QueueFull { .. })) {
            self.registry.note_queue_full(bytes.len());
        }
        if matches!(admitted, Err(Refused::TooLarge { .. })) {
            self.registry.note_limit(Limit::MessageSize);
        }
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
        let payload = self.commands.payload(kind, bytes);
        self.commands
            .push(Command::SendChunk { to, payload, fin })?;
        Ok(Ok(()))
    }

    pub(crate) fn ping(
        &mut self,
        to: ConnectionId,
        payload: &[u8],
    ) -> Checked<Result<(), SendError>> {
        self.control(to, payload, |to, payload| Command::Ping { to, payload })
    }

    pub(crate) fn pong(
        &mut self,
        to: ConnectionId,
        payload: &[u8],
    ) -> Checked<Result<(), SendError>> {
        self.control(to, payload, |to, payload| Command::Pong { to, payload })
    }

    fn control(
        &mut self,
        to: ConnectionId,
        payload: &[u8],
        command: impl FnOnce(ConnectionId, Payload) -> Command,
    ) -> Checked<Result<(), SendError>> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Ok(Err(SendError::TooLarge(CONTROL_BYTES_MAX as u64)));
        }
        if let Err(refused) = self.admit(to, payload.len()) {
            return Ok(Err(refused));
        }
        let payload = self.commands.payload(MessageKind::Binary, payload);
        self.commands.push(command(to, payload))?;
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
        {
            if !self.of_request {
                session.set_closing();
            }
            self.commands.push(Command::Close {
                connection,
                code,
                reason,
            })?;
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self, connection: ConnectionId) -> Checked<()> {
        if let Some(session) = self.registry.get(connection) {
            if !self.of_request {
                session.set_closing();
            }
            self.commands.push(Command::Abort { connection })?;
        }
        Ok(())
    }

    pub(crate) fn buffered(&self, connection: ConnectionId) -> u64 {
        self.registry
            .get(connection)
            .map_or(0, |session| session.buffered() as u64)
    }

    pub(crate) fn want_writable(&mut self, connection: ConnectionId) -> Checked<()> {
        if self.is_open(connection) {
            self.commands.push(Command::WantWritable { connection })?;
        }
        Ok(())
    }

    pub(crate) fn want_writable_all(&mut self, protocol: Option<String>) -> Checked<()> {
        self.commands.push(Command::WantWritableAll { protocol })
    }

    pub(crate) fn receive_flow(&mut self, connection: ConnectionId, enabled: bool) -> Checked<()> {
        if self.is_open(connection) {
            self.commands.push(Command::ReceiveFlow {
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
            self.commands
                .push(Command::SetPolicy { connection, policy })?;
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
        let queued = self.commands.list.iter().rev().find_map(|command| {
            if let Command::SetSession {
                connection: of,
                data,
            } = command
                && *of == connection
            {
                return Some(data.clone());
            }
            None
        });
        queued
            .or_else(|| self.registry.get(connection).map(|session| session.data()))
            .unwrap_or_default()
    }

    /// Whether session data of this length would be taken.
    pub(crate) fn admit_session(
        &self,
        connection: ConnectionId,
        length: usize,
    ) -> Result<(), SendError> {
        if self.registry.get(connection).is_none() {
            return Err(SendError::Closed);
        }
        let limit = self.registry.limits().session_bytes_max;
        if length > limit {
            self.registry.note_limit(Limit::Session);
            return Err(SendError::TooLarge(limit as u64));
        }
        // What is queued counts as added: its place is taken when it is carried out.
        let queued = self.commands.session_bytes() + length;
        if !self.registry.usage().takes_session(queued) {
            self.registry.note_limit(Limit::HandlerSession);
            let limit = self.registry.usage().session_max();
            return Err(SendError::TooLarge(limit as u64));
        }
        Ok(())
    }

    pub(crate) fn set_session(
        &mut self,
        connection: ConnectionId,
        data: Vec<u8>,
    ) -> Checked<Result<(), SendError>> {
        if let Err(refused) = self.admit_session(connection, data.len()) {
            return Ok(Err(refused));
        }
        self.commands
            .push(Command::SetSession { connection, data })?;
        Ok(Ok(()))
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
        let mut added = 0;
        let mut mine: BTreeMap<&str, bool> = BTreeMap::new();
        for (of, to, subscribed) in self.commands.list.iter().filter_map(Command::subscription) {
            added += usize::from(subscribed);
            if of == connection {
                mine.insert(to, subscribed);
            }
        }
        let own = mine
            .into_iter()
            .map(|(to, now)| {
                let before = self.registry.topics().is_subscribed(connection, to);
                isize::from(now) - isize::from(before)
            })
            .sum();
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
        self.commands
            .push(Command::Subscribe { connection, topic })?;
        Ok(Ok(true))
    }

    pub(crate) fn unsubscribe(&mut self, connection: ConnectionId, topic: String) -> Checked<bool> {
        if !self.is_subscribed(connection, &topic) {
            return Ok(false);
        }
        self.commands
            .push(Command::Unsubscribe { connection, topic })?;
        Ok(true)
    }

    pub(crate) fn publish(
        &mut self,
        topic: String,
        kind: MessageKind,
        bytes: &[u8],
        except: Option<ConnectionId>,
    ) -> Checked<Result<u32, PublishError>> {
        // The set as it will be when the message is applied: the table, changed by what is queued before it.
        let mut changes: BTreeMap<ConnectionId, bool> = BTreeMap::new();
        for (connection, to, subscribed) in
            self.commands.list.iter().filter_map(Command::subscription)
        {
            if to == topic {
                changes.insert(connection, subscribed);
            }
        }
        for command in &self.commands.list {
            if let Command::Close { connection, .. } | Command::Abort { connection } = command {
                changes.insert(*connection, false);
            }
        }
        let count = {
            let topics = self.registry.topics();
            let mut count = topics.count(&topic);
            for (connection, subscribed) in &changes {
                match (topics.is_subscribed(*connection, &topic), subscribed) {
                    (false, true) => count += 1,
                    (true, false) => count -= 1,
                    (true, true) | (false, false) => {}
                }
            }
            let left_out = except.is_some_and(|except| {
                let now = changes.get(&except).copied();
                now.unwrap_or_else(|| topics.is_subscribed(except, &topic))
            });
            count - usize::from(left_out)
        };
        if let Err(refused) = self.check_size(bytes.len()) {
            return Ok(Err(refused));
        }
        if !self.takes_send(count, bytes.len().saturating_mul(count)) {
            return Ok(Err(PublishError::Waiting(0)));
        }
        match self
            .registry
            .admit_publish(&topic, bytes.len(), except, !self.of_request)
        {
            Ok(waited_for) => self.commands.waited_for.extend(waited_for),
            Err(refused) => return Ok(Err(refused)),
        }
        let payload = self.commands.payload(kind, bytes);
        self.commands.push(Command::Publish {
            topic,
            payload,
            except,
        })?;
        Ok(Ok(u32::try_from(count).unwrap_or(u32::MAX)))
    }

    pub(crate) fn broadcast(
        &mut self,
        protocol: Option<String>,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Checked<Result<u32, PublishError>> {
        if self.commands.in_filter {
            return Err(ContractBroken(
                "topics.broadcast within broadcast-filter.wanted".into(),
            ));
        }
        if let Err(refused) = self.check_size(bytes.len()) {
            return Ok(Err(refused));
        }
        let count = self.registry.open_count_of(protocol.as_deref());
        if !self.takes_send(count, bytes.len().saturating_mul(count)) {
            return Ok(Err(PublishError::Waiting(0)));
        }
        let admitted =
            self.registry
                .admit_broadcast(protocol.as_deref(), bytes.len(), !self.of_request);
        match admitted {
            Ok(waited_for) => self.commands.waited_for.extend(waited_for),
            Err(refused) => return Ok(Err(refused)),
        }
        let payload = self.commands.payload(kind, bytes);
        self.commands
            .push(Command::Broadcast { protocol, payload })?;
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
            let queued = self.commands.list.iter();
            let queued = queued.filter(|command| matches!(command, Command::SetAutoReply(_)));
            if !self
                .registry
                .auto_replies()
                .takes(kind, bytes, queued.count())
            {
                self.registry.note_limit(Limit::AutoReplies);
                return Ok(Err(AutoReplyError::Limit));
            }
        }
        let fixed = |(kind, bytes): (MessageKind, &[u8])| Fixed {
            kind,
            bytes: bytes.into(),
        };
        self.commands
            .push(Command::SetAutoReply(Box::new(SetAutoReply {
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
            let queued = self
                .commands
                .list
                .iter()
                .filter(|command| matches!(command, Command::SetTopicPolicy { .. }))
                .count();
            self.registry.check_topic_policy(&topic, queued)?;
        }
        self.commands
            .push(Command::SetTopicPolicy { topic, policy })
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
        let queued = self
            .commands
            .list
            .iter()
            .filter(|command| matches!(command, Command::SetTimer { .. }))
            .count();
        if self.registry.timers().len() + queued >= self.registry.limits().timers_max {
            self.registry.note_limit(Limit::Timers);
            return Ok(Err(TimerError::Limit));
        }
        let timer = self.registry.next_timer();
        let after = after.min(TIMER_MAX);
        self.commands.push(Command::SetTimer {
            timer,
            after,
            tag,
            connection,
        })?;
        Ok(Ok(timer))
    }

    pub(crate) fn cancel_timer(&mut self, timer: TimerId) -> Checked<bool> {
        let mut known = self.registry.timers().contains(timer);
        for command in &self.commands.list {
            if matches!(command, Command::SetTimer { timer: set, .. } if *set == timer) {
                known = true;
            }
            if matches!(command, Command::CancelTimer { timer: cancelled } if *cancelled == timer) {
                known = false;
            }
        }
        if known {
            self.commands.push(Command::CancelTimer { timer })?;
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
        let limit = self.registry.limits().session_bytes_max;
        if options.session.len() > limit {
            let text = format!(
                "session data of {} bytes: the limit is {limit}",
                options.session.len()
            );
            return Ok(Err(ConnectError::Invalid(text)));
        }
        let queued = self
            .commands
            .list
            .iter()
            .filter(|command| matches!(command, Command::Connect(_)))
            .count();
        if self.registry.outbound_count() + queued >= worker.config.outbound.connections_max {
            self.registry.note_limit(Limit::Outbound);
            return Ok(Err(ConnectError::Limit));
        }
        let connection = worker.next_connection_id();
        self.commands.push(Command::Connect(Box::new(Connect {
            connection,
            options,
        })))?;
        Ok(Ok(connection))
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        self.registry
            .get(connection)
            .is_some_and(|session| session.is_open())
    }

    /// Open, or about to be: a connection in the client role has an id before it is made.
    fn can_be_closed(&self, connection: ConnectionId) -> bool {
        self.registry
            .get(connection)
            .is_some_and(|session| session.can_be_closed())
    }

    fn is_subscribed(&self, connection: ConnectionId, topic: &str) -> bool {
        queued(&self.commands.list, connection, topic)
            .unwrap_or_else(|| self.registry.topics().is_subscribed(connection, topic))
    }

    /// Whether a message of this length may be published.
    pub(crate) fn check_size(&self, length: usize) -> Result<(), PublishError> {
        let limit = self.registry.limits().sent_message_bytes_max;
        if length > limit {
            self.registry.note_limit(Limit::MessageSize);
            return Err(PublishError::TooLarge(limit as u64));
        }
        Ok(())
    }
}

/// What the queued commands of this callback make of one subscription, if they touch it.
fn queued(commands: &[Command], connection: ConnectionId, topic: &str) -> Option<bool> {
    let of_this = |(of, to, subscribed): (ConnectionId, &str, bool)| {
        (of == connection && to == topic).then_some(subscribed)
    };
    commands
        .iter()
        .rev()
        .filter_map(Command::subscription)
        .find_map(of_this)
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
