//! The values of the contract (`wit/types.wit` and its neighbours) in Rust: what handlers are told and what they answer, whether they are
//! components or native.

use std::time::Duration;

use thiserror::Error;

pub use crate::request::Request;

/// Names a connection while the host runs: the worker in the upper 16 bits, a counter below. Never reused.
pub type ConnectionId = u64;

/// Names a timer while the host runs; never reused, never 0.
pub type TimerId = u64;

/// Which side of the opening handshake this host was.
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
    /// UTF-8.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Its bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
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
    /// UTF-8 text, or binary.
    pub text: bool,
    /// The bytes. A part of a text may end inside a character; all parts together are valid UTF-8.
    pub data: &'a [u8],
    /// Whether the message begins here.
    pub first: bool,
    /// Whether the message ends here.
    pub last: bool,
    /// Payload bytes still to come in the current frame, before decompression; 0 at its end.
    pub remaining: u64,
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// The peer closed it, or its transport ended.
    Peer,
    /// The handler closed or aborted it.
    Handler,
    /// The host did: a protocol error, a limit, a timeout, a trap or a shutdown.
    Host,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseInfo {
    /// The code of the first close frame; 1005 when it carried none, 1006 when the transport ended without one.
    pub code: u16,
    /// The reason beside the code. When the host ended the connection it says why.
    pub reason: String,
    /// Who ended it.
    pub by: ClosedBy,
    /// Whether close frames went both ways (RFC 6455, 7.1.4).
    pub clean: bool,
}

/// What an accepted handshake starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// The subprotocol to agree on, one of [`Request::offered`]; none for the host's choice.
    pub protocol: Option<String>,
    /// Header fields added to the 101 response.
    pub headers: Vec<(String, String)>,
    /// Session data of the new connection.
    pub session: Vec<u8>,
}

/// How a refused handshake is answered.
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
    /// Header fields. Those of the connection and the length are the host's.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: HttpBody,
}

/// The body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpBody {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file of the granted folder, by its path in it.
    File(String),
}

/// What becomes of a published message that the queue of a subscriber has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// Nobody gets it: the publish fails with [`PublishError::Waiting`]. On other workers it waits for the subscriber.
    Wait,
    /// The oldest published messages that wait for this connection make room for it.
    DropOldest,
    /// It is left out for this connection.
    DropNewest,
    /// Of a topic, only the newest message waits for this connection.
    LatestOnly,
    /// The connection is closed with this code.
    Disconnect(u16),
}

/// Why a message, a ping or session data was not taken. Nothing was queued.
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

/// Why an automatic reply was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoReplyError {
    /// The message or the reply is larger than this many bytes.
    TooLarge(u64),
    /// There are as many as there may be.
    Limit,
}

/// Why a part of a message was not taken. Nothing was queued.
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
    /// The parts so far are not the beginning of valid UTF-8, or the last part ends inside a character.
    #[error("the text is not valid UTF-8")]
    InvalidText,
    /// The message was begun as the other kind.
    #[error("the message was begun as the other kind")]
    WrongKind,
}

/// Why a message was not published. Nobody got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// This many subscribers with the policy [`SlowPolicy::Wait`] have no room.
    #[error("{0} subscribers have no room, and their policy is to wait")]
    Waiting(u32),
    /// Larger than the limit in bytes.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(u64),
}

/// Why a subscription was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// The connection is closing, closed or not this handler's.
    #[error("the connection is closed")]
    Closed,
    /// The name is empty or longer than 256 bytes.
    #[error("the name of a topic has 1 to 256 bytes")]
    InvalidName,
    /// The connection has as many subscriptions as it may, or the handler as many topics.
    #[error("no more subscriptions or topics are allowed")]
    Limit,
}

/// Why a timer was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TimerError {
    /// The connection is closing, closed or not this handler's.
    #[error("the connection is closed")]
    Closed,
    /// The handler has as many timers as it may.
    #[error("no more timers are allowed")]
    Limit,
    /// The handler would not be told.
    #[error("the handler takes no timers")]
    NotExported,
}

/// Why no attempt is made to connect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The operator does not allow it; the text says what would.
    #[error("{0}")]
    Denied(String),
    /// An option cannot be used; the text says which and why.
    #[error("{0}")]
    Invalid(String),
    /// Another version than there is.
    #[error("no such WebSocket version: there are 13, 8 and 7")]
    UnsupportedVersion,
    /// The handler has as many outbound connections as it may.
    #[error("no more outbound connections are allowed (--max-outbound)")]
    Limit,
}

/// Whom to trust over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// A certificate for the name, issued by a root of the platform or of the operator.
    #[default]
    Full,
    /// The same, or a self-signed certificate for that name.
    AllowSelfSigned,
}

/// When the host connects again by itself, under the same connection id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconnect {
    /// Attempts in a row that may fail; 0 for no limit.
    pub attempts_max: u32,
    /// The wait before the first attempt, 500 ms when none. It doubles with each attempt that fails, and half of it is random.
    pub delay: Option<Duration>,
    /// The longest wait, 30 s when none.
    pub delay_max: Option<Duration>,
}

/// Where and how to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Subprotocols to offer, the preferred first.
    pub protocols: Vec<String>,
    /// The Host header, in place of the one that the URL means.
    pub host: Option<String>,
    /// The Origin header.
    pub origin: Option<String>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// Whom to trust.
    pub verify: Verify,
    /// The name of a client certificate of the configuration.
    pub identity: Option<String>,
    /// The protocol version: 13, 8 or 7; none for the newest.
    pub version: Option<u8>,
    /// Whether to offer permessage-deflate.
    pub compression: bool,
    /// Time for name and transport, for TLS, and for the opening handshake, each; none for the configured, which is also the most.
    pub timeout: Option<Duration>,
    /// Whether the host connects again.
    pub reconnect: Option<Reconnect>,
    /// Session data of the new connection.
    pub session: Vec<u8>,
}

/// What took too long while connecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking up the name and connecting.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The opening handshake.
    Handshake,
}

/// Why the opening handshake of a connection in the client role failed. Its text is the reason of `closed`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// The address that the name leads to is not allowed.
    #[error("denied: {0}")]
    Denied(String),
    /// The name could not be looked up, or the transport not be made.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// TLS failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A part took longer than its time.
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
    /// The answer is no HTTP/1 response, or too large.
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
    /// Header fields in order, names in lower case, values as received.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A callback broke the contract: it traps.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ContractBroken(pub(crate) String);

/// Close codes that a handler may send (RFC 6455, 7.4), and 1005 for none.
pub(crate) fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1005 | 1007..=1014 | 3000..=4999)
}
