use std::time::Duration;

use crate::bindings::handler::wsrun::websocket::{connections, topics};
#[cfg(feature = "session")]
use crate::error::SessionError;
use crate::{CloseCode, MessageRef, Request, SendError, SubscribeError, Timer, TimerError, timers};

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
        Ok(connections::send(self.0, message.into().into_param())?)
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

    /// Sends a ping with at most 125 bytes of payload. The answer comes to [`Handler::pong`](crate::Handler::pong).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(self, payload: &[u8]) -> Result<(), SendError> {
        Ok(connections::ping(self.0, payload)?)
    }

    /// Starts the closing handshake after everything that is queued.
    ///
    /// `code` is one of [`close_code`](crate::close_code) that may be sent, or 3000 to 4999; the host traps on any other. `reason` is cut
    /// to 123 bytes.
    pub fn close(self, code: CloseCode, reason: &str) {
        connections::close(self.0, code, reason);
    }

    /// Ends the transport at once: no close frame, and what is queued is lost.
    pub fn abort(self) {
        connections::abort(self.0);
    }

    /// Bytes queued and not yet taken by the socket, what this callback sent so far included; 0 when the connection is unknown.
    pub fn buffered(self) -> u64 {
        connections::buffered(self.0)
    }

    /// Asks for one [`Handler::writable`](crate::Handler::writable) when the queue is below a quarter of its limit, which may be at once.
    pub fn want_writable(self) {
        connections::want_writable(self.0);
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
