use std::time::Duration;

use crate::bindings::handler::wsrun::websocket::{client, connections, topics};
use crate::client::{Failure, Response};
#[cfg(feature = "session")]
use crate::error::SessionError;
use crate::{
    ChunkError, CloseCode, MessageKind, MessageRef, Request, SendError, SlowPolicy, SubscribeError,
    Timer, TimerError, packed, timers,
};

/// One WebSocket of this handler, named by the host's number for it.
///
/// It is a plain value: copy it, keep it in maps, send it over the wire. It stays valid to hold after the connection is gone; sending to
/// it then is [`SendError::Closed`], and what has no result does nothing.
///
/// Nothing here blocks. Effects are applied in order when the callback returns, and none of them if it panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection(u64);

impl Connection {
    /// The connection with this number. A number that is not this handler's is an unknown connection, never somebody else's.
    pub const fn from_id(id: u64) -> Self {
        Self(id)
    }

    /// The host's number: unique while the host runs.
    pub const fn id(self) -> u64 {
        self.0
    }

    /// Sends a message: a `&Message`, a `&str` as text or a `&[u8]` as binary.
    ///
    /// # Errors
    ///
    /// When the connection is closed, its queue is full or the message is too large. `Ok` means queued.
    pub fn send<'a>(self, message: impl Into<MessageRef<'a>>) -> Result<(), SendError> {
        let message = message.into();
        if packed::gather(self, message) {
            return Ok(());
        }
        Ok(connections::send(self.0, message.into_param())?)
    }

    /// Sends a text message.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_text(self, text: &str) -> Result<(), SendError> {
        self.send(text)
    }

    /// Sends a binary message.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_binary(self, bytes: &[u8]) -> Result<(), SendError> {
        self.send(bytes)
    }

    /// Sends one message in parts, each a frame: the first call begins it, `last` ends it. A part of a text may end inside a character.
    ///
    /// Whole messages sent meanwhile, and published ones, wait in the queue until the last part was sent; pings and the close frame do not.
    /// The parts are not compressed. At most 4 GiB in all by default.
    ///
    /// A message larger than the queue flows in constant memory when [`want_writable`](Self::want_writable) paces it:
    ///
    /// ```no_run
    /// use std::collections::HashMap;
    /// use wsrun_guest::{ChunkError, Connection, Handler, MessageKind, handler};
    ///
    /// const PART: [u8; 64 * 1024] = [0; 64 * 1024];
    ///
    /// /// Sends a gigabyte to whoever connects.
    /// #[derive(Default)]
    /// struct Download {
    ///     bytes_left: HashMap<Connection, usize>,
    /// }
    ///
    /// #[handler]
    /// impl Handler for Download {
    ///     fn opened(&mut self, connection: Connection) {
    ///         self.bytes_left.insert(connection, 1 << 30);
    ///         self.writable(connection);
    ///     }
    ///
    ///     fn writable(&mut self, connection: Connection) {
    ///         let Some(left) = self.bytes_left.get_mut(&connection) else { return };
    ///         while *left > 0 {
    ///             let part = &PART[..PART.len().min(*left)];
    ///             match connection.send_chunk(MessageKind::Binary, part, part.len() == *left) {
    ///                 Ok(()) => *left -= part.len(),
    ///                 Err(ChunkError::QueueFull { .. }) => return connection.want_writable(),
    ///                 Err(error) => panic!("{error}"),
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When the connection is closed, its queue is full, the message is too large, or the part does not fit the ones before it. `Ok` means
    /// queued.
    pub fn send_chunk(self, kind: MessageKind, data: &[u8], last: bool) -> Result<(), ChunkError> {
        let text = kind == MessageKind::Text;
        packed::flush();
        Ok(connections::send_chunk(self.0, text, data, last)?)
    }

    /// Sends a ping with at most 125 bytes of payload. The answer comes to [`Handler::pong`](crate::Handler::pong).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(self, payload: &[u8]) -> Result<(), SendError> {
        packed::flush();
        Ok(connections::ping(self.0, payload)?)
    }

    /// Sends a pong that answers no ping, with at most 125 bytes of payload. The host answers pings itself.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn pong(self, payload: &[u8]) -> Result<(), SendError> {
        packed::flush();
        Ok(connections::pong(self.0, payload)?)
    }

    /// Starts the closing handshake after everything that is queued.
    ///
    /// `code` is one of [`close_code`](crate::close_code) that may be sent, or 3000 to 4999; the host traps on any other. `reason` is cut
    /// to 123 bytes.
    pub fn close(self, code: CloseCode, reason: &str) {
        packed::flush();
        connections::close(self.0, code, reason);
    }

    /// Ends the transport at once: no close frame, and what is queued is lost.
    pub fn abort(self) {
        packed::flush();
        connections::abort(self.0);
    }

    /// Bytes queued and not yet taken by the socket, what this callback sent so far included; 0 when the connection is unknown.
    pub fn buffered(self) -> u64 {
        packed::flush();
        connections::buffered(self.0)
    }

    /// Asks for one [`Handler::writable`](crate::Handler::writable) when the queue is below a quarter of its limit, which may be at once.
    pub fn want_writable(self) {
        packed::flush();
        connections::want_writable(self.0);
    }

    /// Asks for one [`Handler::writable`](crate::Handler::writable) of every open connection of this handler on this worker.
    pub fn want_writable_all() {
        packed::flush();
        connections::want_writable_all(None);
    }

    /// Asks for one [`Handler::writable`](crate::Handler::writable) of every open connection of this handler on this worker that agreed on
    /// a subprotocol.
    pub fn want_writable_all_of_protocol(protocol: &str) {
        packed::flush();
        connections::want_writable_all(Some(protocol));
    }

    /// What becomes of published messages that this connection has no room for, in place of the policy of their topic; `None` takes it
    /// back. The host traps on a close code that may not be sent.
    pub fn set_slow_policy(self, policy: impl Into<Option<SlowPolicy>>) {
        packed::flush();
        connections::set_slow_policy(self.0, policy.into());
    }

    /// Published messages that a policy has left out for this connection so far; 0 when unknown.
    pub fn dropped(self) -> u64 {
        packed::flush();
        connections::dropped(self.0)
    }

    /// Stops (`false`) or resumes (`true`) reading from the peer. While stopped its pings and close frames are not seen either.
    pub fn receive_flow(self, enabled: bool) {
        connections::receive_flow(self.0, enabled);
    }

    /// The opening request; `None` when the connection is unknown.
    pub fn request(self) -> Option<Request> {
        connections::request_of(self.0)
    }

    /// The subprotocol agreed on; `None` when there is none or the connection is unknown.
    pub fn protocol(self) -> Option<String> {
        connections::protocol(self.0)
    }

    /// Why the last opening handshake failed, for a connection that [`client::Options`](crate::client::Options) made; `None` when it
    /// succeeded or is under way. [`Handler::closed`](crate::Handler::closed) and [`Handler::lost`](crate::Handler::lost) can ask.
    pub fn failure(self) -> Option<Failure> {
        client::failure_of(self.0)
    }

    /// How the server answered the last opening handshake; `None` when it did not, or the connection is not of the client role.
    pub fn response(self) -> Option<Response> {
        client::response_of(self.0)
    }

    /// The bytes that the host keeps for this connection: they survive a trap of the handler. Empty at first and when unknown.
    pub fn session_bytes(self) -> Vec<u8> {
        connections::session(self.0)
    }

    /// Replaces the session data, at most 64 KiB by default. Visible at once; undone if the callback panics.
    ///
    /// # Errors
    ///
    /// When the connection is closed or the data is too large.
    pub fn set_session_bytes(self, data: &[u8]) -> Result<(), SendError> {
        Ok(connections::set_session(self.0, data)?)
    }

    /// The session data as a value that [`set_session`](Self::set_session) or [`Accept::session`](crate::Accept::session) wrote.
    ///
    /// ```no_run
    /// # use wsrun_guest::Connection;
    /// # fn received(connection: Connection) {
    /// let messages: u64 = connection.session().unwrap_or_default();
    /// let _ = connection.set_session(&(messages + 1));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When there is none, or when the bytes are not a `T`.
    #[cfg(feature = "session")]
    pub fn session<T: serde::de::DeserializeOwned>(self) -> Result<T, SessionError> {
        crate::session::decode(&self.session_bytes())
    }

    /// Replaces the session data by a value, encoded with [postcard](https://postcard.jamesmunns.com/wire-format).
    ///
    /// # Errors
    ///
    /// When the connection is closed or the data is too large.
    ///
    /// # Panics
    ///
    /// When the `Serialize` of `T` fails, as it does for a sequence of unknown length.
    #[cfg(feature = "session")]
    pub fn set_session<T: serde::Serialize + ?Sized>(self, value: &T) -> Result<(), SendError> {
        self.set_session_bytes(&crate::session::encode(value))
    }

    /// Subscribes the connection to a topic, a name of 1 to 256 bytes; `Ok(false)` when it was subscribed already.
    ///
    /// # Errors
    ///
    /// When the connection is closed, the name is invalid or a limit is reached.
    pub fn subscribe(self, topic: &str) -> Result<bool, SubscribeError> {
        Ok(topics::subscribe(self.0, topic)?)
    }

    /// Ends a subscription; `false` when there was none.
    pub fn unsubscribe(self, topic: &str) -> bool {
        topics::unsubscribe(self.0, topic)
    }

    /// Calls [`Handler::timer`](crate::Handler::timer) with `tag` and this connection once, no earlier than `after` from now. The timer
    /// is cancelled when the connection closes.
    ///
    /// # Errors
    ///
    /// When the connection is closed, a limit is reached or the handler has no `timer` method.
    pub fn set_timer(self, after: Duration, tag: u64) -> Result<Timer, TimerError> {
        timers::set_for(after, tag, Some(self))
    }
}
