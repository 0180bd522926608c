//! The end of a connection: RFC 6455, 7.

use super::error::ProtocolError;

/// How a connection ended. Not an error: every connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The code to report: 1005 for a close frame without one, 1006 for an end without a close frame.
    pub code: u16,
    /// The reason of the close frame, or a short one for the other causes.
    pub reason: String,
    /// Who ended it.
    pub by: Party,
    /// Whether close frames went both ways.
    pub clean: bool,
    /// Why it ended.
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

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The closing handshake was done.
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

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Any sign of life: [`Timeouts::idle_timeout`](super::Timeouts::idle_timeout).
    Idle,
    /// The rest of a message: [`Timeouts::message_timeout`](super::Timeouts::message_timeout).
    Message,
    /// The answer to a close frame: [`Timeouts::close_timeout`](super::Timeouts::close_timeout).
    Close,
}
