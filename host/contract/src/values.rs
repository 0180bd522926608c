//! The values of the contract (`wit/types.wit` and its neighbours) in Rust: the arguments and
//! results of callbacks and imports, for components and native handlers alike.

use std::time::Duration;

use super::setting::Setting;

use thiserror::Error;
use wsrun_proto::ws::MessageKind;

/// The number of a connection while the host runs: the worker in the upper 16 bits, a counter
/// below. Numbers are never reused.
pub type ConnectionId = u64;

/// The number of a timer while the host runs. Numbers are never reused and never 0.
pub type TimerId = u64;

/// The side of the opening handshake that this host is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The peer connected to this host.
    #[default]
    Server,
    /// This host connected to the peer.
    Client,
}

/// A whole message (RFC 6455, 5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message, valid UTF-8.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Returns the payload.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Makes a message of a payload that is valid where it has to be.
    #[inline]
    pub fn from_parts(kind: MessageKind, payload: &'a [u8]) -> Self {
        match kind {
            MessageKind::Text => match simdutf8::basic::from_utf8(payload) {
                Ok(text) => Self::Text(text),
                Err(_) => unreachable!("the core delivers only valid UTF-8 as text"),
            },
            MessageKind::Binary => Self::Binary(payload),
        }
    }

    /// Returns the kind and the payload.
    #[inline]
    pub fn parts(self) -> (MessageKind, &'a [u8]) {
        match self {
            Self::Text(text) => (MessageKind::Text, text.as_bytes()),
            Self::Binary(bytes) => (MessageKind::Binary, bytes),
        }
    }
}

impl<'a> From<&'a str> for Message<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Message<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

/// A part of a message, as it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// True for UTF-8 text, false for binary.
    pub text: bool,
    /// The bytes. A part of a text may end inside a character; all parts together are valid UTF-8.
    pub data: &'a [u8],
    /// True for the first part of a message.
    pub first: bool,
    /// True for the last part of a message.
    pub last: bool,
    /// Payload bytes still to come in the current frame, before decompression; 0 at its end.
    pub remaining: u64,
}

/// The party that ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The peer closed it, or its transport ended.
    Peer,
    /// The handler closed or aborted it.
    Handler,
    /// The host ended it: a protocol error, a limit, a timeout, a trap or a shutdown.
    Host,
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseInfo {
    /// The code of the first close frame. 1005 when that frame carried none; 1006 when the
    /// transport ended without a close frame.
    pub code: u16,
    /// The reason beside the code. When the host ended the connection, it says why.
    pub reason: String,
    /// The party that ended it.
    pub by: ClosedBy,
    /// True when close frames went both ways (RFC 6455, 7.1.4).
    pub clean: bool,
}

/// An accepted handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// The subprotocol to agree on, one of [`Request::offered`](crate::Request::offered). None leaves the choice to the
    /// host.
    pub protocol: Option<String>,
    /// Header fields added to the 101 response.
    pub headers: Vec<(String, String)>,
    /// Session data of the new connection.
    pub session: Vec<u8>,
}

/// A refused handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 300 to 599; anything else is sent as 500.
    pub status: u16,
    /// Header fields of the response.
    pub headers: Vec<(String, String)>,
    /// The body, `text/plain` unless a header says otherwise.
    pub body: String,
}

/// The answer to a plain HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// 200 to 599; anything else is sent as 500.
    pub status: u16,
    /// Header fields. The host sets the connection's and the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: HttpBody,
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// The body itself.
    Bytes(Vec<u8>),
    /// A file of the granted folder, by its path in that folder.
    File(String),
}

/// The policy for a published message that does not fit into the queue of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// Nobody gets the message: the publish fails with [`PublishError::Waiting`]. A subscriber on
    /// another worker does not fail it: there the message waits for the subscriber.
    Wait,
    /// The oldest published messages that wait for this connection are dropped to make room.
    DropOldest,
    /// The message is dropped for this connection.
    DropNewest,
    /// Only the newest message of each topic waits for this connection.
    LatestOnly,
    /// The connection is closed with this code.
    Disconnect(u16),
}

/// The reason why a message, a ping or session data was not taken. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The connection is closing, closed or not this handler's.
    #[error("the connection is closed")]
    Closed,
    /// The connection's queue would exceed its limit.
    #[error("the queue of the connection is full: {0} bytes")]
    QueueFull(u64),
    /// Larger than the limit in bytes.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
}

/// The reason why an automatic reply was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoReplyError {
    /// The message or the reply is larger than this many bytes.
    TooLarge(u64),
    /// The connection has as many automatic replies as are allowed.
    Limit,
}

/// The reason why a part of a message was not taken. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// The connection is closing, closed or not this handler's.
    #[error("the connection is closed")]
    Closed,
    /// The connection's queue would exceed its limit.
    #[error("the queue of the connection is full: {0} bytes")]
    QueueFull(u64),
    /// The message would become larger than the limit in bytes.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
    /// The parts so far are not the beginning of valid UTF-8, or the last part ends inside a
    /// character.
    #[error("the text is not valid UTF-8")]
    InvalidText,
    /// The message was begun as the other kind.
    #[error("the message was begun as the other kind")]
    WrongKind,
}

/// The reason why a message was not published. Nobody got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// This many subscribers with the policy [`SlowPolicy::Wait`] have no room.
    #[error("{0} subscribers have no room, and their policy is to wait")]
    Waiting(u32),
    /// Larger than the limit in bytes.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
}

/// The reason why a subscription was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// The connection is closing, closed or not this handler's.
    #[error("the connection is closed")]
    Closed,
    /// The name is empty or longer than 256 bytes.
    #[error("the name of a topic has 1 to 256 bytes")]
    InvalidName,
    /// The connection has as many subscriptions, or the handler as many topics, as are allowed.
    #[error("no more subscriptions or topics are allowed")]
    Limit,
}

/// The reason why a timer was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TimerError {
    /// The connection is closing, closed or not this handler's.
    #[error("the connection is closed")]
    Closed,
    /// The handler has as many timers as are allowed.
    #[error("no more timers are allowed")]
    Limit,
    /// The handler has no callback for timers.
    #[error("the handler takes no timers")]
    NotExported,
}

/// The reason why no attempt is made to connect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The operator does not allow it. The text says which option would.
    #[error("{0}")]
    Denied(String),
    /// An option cannot be used. The text says which and why.
    #[error("{0}")]
    Invalid(String),
    /// There is no such protocol version.
    #[error("no such WebSocket version: there are 13, 8 and 7")]
    UnsupportedVersion,
    /// The handler has as many outbound connections as are allowed.
    #[error("no more outbound connections are allowed ({connections_max})", connections_max = Setting("outbound.connections_max"))]
    Limit,
}

/// The certificates that are trusted over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// A certificate for the name, issued by a root of the platform or of the operator.
    #[default]
    Full,
    /// As [`Verify::Full`], or a self-signed certificate for the name.
    AllowSelfSigned,
}

/// The rules for connecting again without a call of the handler, under the same connection id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconnect {
    /// Attempts in a row that may fail; 0 means no limit.
    pub attempts_max: u32,
    /// The wait before the first attempt, 500 ms when none. It doubles with each attempt that
    /// fails, and half of it is random.
    pub delay: Option<Duration>,
    /// The longest wait, 30 s when none.
    pub delay_max: Option<Duration>,
}

/// The target and the options of an outbound connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Subprotocols to offer, the preferred first.
    pub protocols: Vec<String>,
    /// The Host header. None takes it from the URL.
    pub host: Option<String>,
    /// The Origin header.
    pub origin: Option<String>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// The certificates that are trusted.
    pub verify: Verify,
    /// The name of a client certificate of the configuration.
    pub identity: Option<String>,
    /// The protocol version: 13, 8 or 7. None takes the newest.
    pub version: Option<u8>,
    /// True to offer permessage-deflate.
    pub compression: bool,
    /// The time limit of each of three parts: name and transport, TLS, and the opening handshake.
    /// None takes the configured limit, which is also the maximum.
    pub timeout: Option<Duration>,
    /// The rules for connecting again. None never connects again.
    pub reconnect: Option<Reconnect>,
    /// Session data of the new connection.
    pub session: Vec<u8>,
}

/// The part of connecting that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the name and connecting.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The opening handshake.
    Handshake,
}

/// The reason why the opening handshake of a connection in the client role failed. Its text becomes
/// the reason of `closed`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The address that the name resolves to is not allowed.
    #[error("denied: {0}")]
    Denied(String),
    /// The name could not be resolved, or the transport could not be made.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A part took longer than its time limit.
    #[error("timed out: {}", match .0 {
        Phase::Connect => "no transport",
        Phase::Tls => "the TLS handshake did not end",
        Phase::Handshake => "the opening handshake was not answered",
    })]
    TimedOut(Phase),
    /// The server ended the transport before it had answered.
    #[error("server ended the transport in the opening handshake")]
    Ended,
    /// The server answered with this status.
    #[error("server refused with status {0}")]
    Refused(u16),
    /// The server answered with a redirection, which is not followed.
    #[error("server redirected{}", .0.as_ref().map(|to| format!(" to {to}")).unwrap_or_default())]
    Redirected(Option<String>),
    /// The answer is not an HTTP/1 response, or is too large.
    #[error("invalid response: {0}")]
    InvalidResponse(String),
    /// The answer does not upgrade to WebSocket.
    #[error("response does not upgrade to WebSocket")]
    NotUpgraded,
    /// The accept header is missing or repeated.
    #[error("accept header is missing")]
    AcceptMissing,
    /// The accept header does not answer the key.
    #[error("accept header does not answer the key")]
    AcceptWrong,
    /// The server chose a subprotocol that was not offered.
    #[error("server chose a subprotocol that was not offered")]
    ProtocolNotOffered,
    /// The server chose an extension that was not offered.
    #[error("server chose an extension that was not offered: {0}")]
    ExtensionNotOffered(String),
}

/// The answer of a server to the opening handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The HTTP status.
    pub status: u16,
    /// Header fields in order: names in lower case, values as received.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The error of a callback that broke the contract. The callback traps with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ContractBroken(pub String);
