//! `wit/imports.wit` as instances call it, whatever is behind it.

use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wsrun_proto::ws::MessageKind;
use wsrun_proto::ws::frame::CONTROL_BYTES_MAX;

use super::effects::{Effect, Effects, Payload};
use super::{
    AutoReplyError, ChunkError, ConnectError, ConnectOptions, ConnectionId, ContractBroken,
    Failure, PublishError, Request, ResponseHead, SendError, SlowPolicy, SubscribeError,
    TimerError, TimerId, packed,
};

/// The outcome of an import. An error traps.
pub type Checked<T> = Result<T, ContractBroken>;

const MORE_THAN_ROOM: &str = "more than the room that packed.received told";

/// The imports of one instance. A function checks, and queues an effect among those of the running
/// callback. Nothing blocks, and nothing happens before the callback has returned.
pub trait Host {
    /// Makes an empty list of effects with the limits of the handler.
    fn new_effects(&self) -> Effects;

    /// Reserves room for a message of `length` bytes in the queue of `to`, which
    /// [`Effect::Send`] uses.
    fn admit(&self, to: ConnectionId, length: usize) -> Result<(), SendError>;

    /// Reserves room for packed messages of `length` bytes that the instance was promised room for.
    /// Returns false when the connection is closed.
    fn admit_packed(&self, to: ConnectionId, length: usize) -> bool;

    /// Reserves room for a part of a message, which [`Effect::SendChunk`] uses.
    fn admit_chunk(
        &self,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
        fin: bool,
    ) -> Result<(), ChunkError>;

    /// Reserves room for session data of `length` bytes, which [`Effect::SetSession`] uses. The
    /// data counts as added from here on.
    fn admit_session(&self, connection: ConnectionId, length: usize) -> Result<(), SendError>;

    /// Checks that a message of `length` bytes may be published.
    fn check_size(&self, length: usize) -> Result<(), PublishError>;

    /// Sends a message.
    fn send(
        &self,
        effects: &mut Effects,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Checked<Result<(), SendError>> {
        if let Err(refused) = self.admit(to, bytes.len()) {
            return Ok(Err(refused));
        }
        let payload = effects.payload(kind, bytes);
        effects.push(Effect::Send { to, payload })?;
        Ok(Ok(()))
    }

    /// Sends the packed messages that were appended to the payloads at `start`, to the connection
    /// that the instance was given such messages of. Messages that do not fit the room were not even
    /// appended.
    fn send_packed(
        &self,
        effects: &mut Effects,
        to: ConnectionId,
        start: usize,
        fits: bool,
    ) -> Checked<()> {
        let broken = |what: &str| Err(ContractBroken(format!("packed-send.send: {what}")));
        let Some((_, mut room)) = effects.packed.filter(|(of, _)| *of == to) else {
            return broken("not the connection that packed.received was called for");
        };
        if !fits {
            return broken(MORE_THAN_ROOM);
        }
        let payload = effects.tail(MessageKind::Binary, start);
        for message in packed::messages(effects.bytes(payload)) {
            let Some((kind, payload)) = message else {
                return broken("the bytes are not packed messages");
            };
            if kind == MessageKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
                return broken("a text is not UTF-8");
            }
            let Some(left) = room.checked_sub(payload.len() + packed::ROOM_OVERHEAD) else {
                return broken(MORE_THAN_ROOM);
            };
            room = left;
        }
        effects.packed = Some((to, room));
        if !self.admit_packed(to, payload.byte_len()) {
            // Nobody is there any more, as where a message is on its way while its connection closes.
            return Ok(());
        }
        effects.push(Effect::SendPacked { to, payload })
    }

    /// Sends a part of a message.
    fn send_chunk(
        &self,
        effects: &mut Effects,
        to: ConnectionId,
        kind: MessageKind,
        bytes: &[u8],
        fin: bool,
    ) -> Checked<Result<(), ChunkError>> {
        if let Err(refused) = self.admit_chunk(to, kind, bytes, fin) {
            return Ok(Err(refused));
        }
        let payload = effects.payload(kind, bytes);
        effects.push(Effect::SendChunk { to, payload, fin })?;
        Ok(Ok(()))
    }

    /// Sends a ping.
    fn ping(
        &self,
        effects: &mut Effects,
        to: ConnectionId,
        payload: &[u8],
    ) -> Checked<Result<(), SendError>> {
        Ok(match self.control(effects, to, payload) {
            Ok(payload) => {
                effects.push(Effect::Ping { to, payload })?;
                Ok(())
            }
            Err(refused) => Err(refused),
        })
    }

    /// Sends a pong that answers no ping.
    fn pong(
        &self,
        effects: &mut Effects,
        to: ConnectionId,
        payload: &[u8],
    ) -> Checked<Result<(), SendError>> {
        Ok(match self.control(effects, to, payload) {
            Ok(payload) => {
                effects.push(Effect::Pong { to, payload })?;
                Ok(())
            }
            Err(refused) => Err(refused),
        })
    }

    /// Reserves room for a ping or a pong, and copies its payload.
    fn control(
        &self,
        effects: &mut Effects,
        to: ConnectionId,
        payload: &[u8],
    ) -> Result<Payload, SendError> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::TooLarge(CONTROL_BYTES_MAX as u64));
        }
        self.admit(to, payload.len())?;
        Ok(effects.payload(MessageKind::Binary, payload))
    }

    /// Starts the closing handshake.
    fn close(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) -> Checked<()>;

    /// Ends the transport.
    fn abort(&self, effects: &mut Effects, connection: ConnectionId) -> Checked<()>;

    /// Returns the bytes that are queued and that the socket has not taken.
    fn buffered(&self, connection: ConnectionId) -> u64;

    /// Counts open connections, without those that this callback closes.
    fn open_count(&self) -> usize;

    /// Asks for one `writable` of a connection.
    fn want_writable(&self, effects: &mut Effects, connection: ConnectionId) -> Checked<()>;

    /// Asks for one `writable` of all connections, or of those with the protocol.
    fn want_writable_all(&self, effects: &mut Effects, protocol: Option<String>) -> Checked<()> {
        effects.push(Effect::WantWritableAll { protocol })
    }

    /// Pauses or resumes reading.
    fn receive_flow(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        enabled: bool,
    ) -> Checked<()>;

    /// Sets the policy of a connection for published messages.
    fn set_slow_policy(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        policy: Option<SlowPolicy>,
    ) -> Checked<()>;

    /// Returns the number of published messages that a connection did not get.
    fn dropped(&self, connection: ConnectionId) -> u64;

    /// Returns the opening request of a connection.
    fn request(&self, connection: ConnectionId) -> Option<Request>;

    /// Returns the subprotocol of a connection.
    fn protocol(&self, connection: ConnectionId) -> Option<String>;

    /// Returns the reason why the last attempt to connect failed.
    fn failure(&self, connection: ConnectionId) -> Option<Failure>;

    /// Returns the server's answer to the last attempt to connect.
    fn response(&self, connection: ConnectionId) -> Option<ResponseHead>;

    /// Returns the descriptor of a connection's socket.
    fn raw_fd(&self, connection: ConnectionId) -> Option<RawFd>;

    /// Returns the session data of a connection, with what `effects` make of it.
    fn session(&self, effects: &Effects, connection: ConnectionId) -> Vec<u8>;

    /// Sets the session data of a connection.
    fn set_session(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        data: Vec<u8>,
    ) -> Checked<Result<(), SendError>> {
        if let Err(refused) = self.admit_session(connection, data.len()) {
            return Ok(Err(refused));
        }
        effects.push(Effect::SetSession { connection, data })?;
        Ok(Ok(()))
    }

    /// Subscribes a connection to a topic. Returns false when it is subscribed.
    fn subscribe(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        topic: String,
    ) -> Checked<Result<bool, SubscribeError>>;

    /// Ends a subscription. Returns false when there is none.
    fn unsubscribe(
        &self,
        effects: &mut Effects,
        connection: ConnectionId,
        topic: String,
    ) -> Checked<bool>;

    /// Publishes a message. Returns the number of subscribers on this worker.
    fn publish(
        &self,
        effects: &mut Effects,
        topic: String,
        kind: MessageKind,
        bytes: &[u8],
        except: Option<ConnectionId>,
    ) -> Checked<Result<u32, PublishError>>;

    /// Sends a message to all connections, or to those with the protocol. Returns their number on
    /// this worker.
    fn broadcast(
        &self,
        effects: &mut Effects,
        protocol: Option<String>,
        kind: MessageKind,
        bytes: &[u8],
    ) -> Checked<Result<u32, PublishError>>;

    /// Sets, or takes back, an automatic reply.
    fn set_auto_reply(
        &self,
        effects: &mut Effects,
        received: (MessageKind, &[u8]),
        reply: Option<(MessageKind, &[u8])>,
    ) -> Checked<Result<(), AutoReplyError>>;

    /// Sets the policy of a topic for subscribers without room.
    fn set_topic_policy(
        &self,
        effects: &mut Effects,
        topic: String,
        policy: Option<SlowPolicy>,
    ) -> Checked<()>;

    /// Returns the number of messages of a topic that subscribers did not get.
    fn topic_dropped(&self, topic: &str) -> u64;

    /// Sets a timer.
    fn set_timer(
        &self,
        effects: &mut Effects,
        after: Duration,
        tag: u64,
        connection: Option<ConnectionId>,
    ) -> Checked<Result<TimerId, TimerError>>;

    /// Cancels a timer. Returns false when there is none.
    fn cancel_timer(&self, effects: &mut Effects, timer: TimerId) -> Checked<bool>;

    /// Makes a connection.
    fn connect(
        &self,
        effects: &mut Effects,
        options: ConnectOptions,
    ) -> Checked<Result<ConnectionId, ConnectError>>;

    /// Returns the name of the handler.
    fn handler_name(&self) -> &Arc<str>;

    /// Returns a value of the handler's configuration.
    fn config(&self, key: &str) -> Option<&str>;

    /// Adds time that was computed for a failure of the handler.
    fn add_failing(&self, time: Duration);

    /// Returns a connection that sends at once, for programs, which have no callbacks.
    fn direct(&self, connection: ConnectionId) -> Option<Rc<dyn DirectConnection>>;
}

/// A connection of a program. What is asked for happens at once.
pub trait DirectConnection {
    /// Returns the number of the connection.
    fn id(&self) -> ConnectionId;

    /// Returns the opening request.
    fn request(&self) -> Request;

    /// Returns the subprotocol that was agreed on.
    fn protocol(&self) -> Option<String>;

    /// Returns the size of the largest message that the connection takes.
    fn message_bytes_max(&self) -> usize;

    /// Sends a message if there is room for it.
    fn try_send(&self, kind: MessageKind, payload: &[u8]) -> Result<(), SendError>;

    /// Starts the closing handshake.
    fn close(&self, code: u16, reason: &str);

    /// Asks for one `writable`.
    fn want_writable(&self);

    /// Pauses reading.
    fn pause_reading(&self);

    /// Resumes reading where it is paused.
    fn resume_reading(&self);

    /// Writes what is queued on the connections of the worker.
    fn flush(&self);

    /// Returns the time until which the handler has to rest, where it has used up its share of the
    /// worker's time.
    fn rest_until(&self) -> Option<Instant>;

    /// Does some work, and counts its time as the handler's.
    fn counted(&self, work: &mut dyn FnMut());
}
