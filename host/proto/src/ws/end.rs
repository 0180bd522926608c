//! The end of a connection: RFC 6455, 7.

use super::error::ProtocolError;

/// The end of a connection. It is not an error, because every connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The code to report: 1005 for a close frame without one, 1006 for an end without a close
    /// frame.
    pub code: u16,
    /// The reason of the close frame, or a short one for the other causes.
    pub reason: String,
    /// The side that ended the connection.
    pub by: Party,
    /// True if close frames went both ways.
    pub clean: bool,
    /// The cause.
    pub cause: Cause,
}

/// One of the two sides of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The other side.
    Peer,
    /// This side.
    Local,
}

/// The cause of the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The closing handshake was completed.
    CloseFrame,
    /// The transport ended without a close frame.
    Eof,
    /// The peer broke a rule.
    Protocol(ProtocolError),
    /// The peer was silent or slow for too long.
    TimedOut(Timer),
    /// The driver gave up.
    Aborted,
}

/// The timeout that ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The silence of the peer: [`Timeouts::idle_timeout`](super::Timeouts::idle_timeout).
    Idle,
    /// The rest of a message: [`Timeouts::message_timeout`](super::Timeouts::message_timeout).
    Message,
    /// The answer to a close frame: [`Timeouts::close_timeout`](super::Timeouts::close_timeout).
    Close,
}
