//! Close frames and the end of a connection: RFC 6455, 5.5.1 and 7.

use std::fmt;

use thiserror::Error;

use super::error::ProtocolError;
use super::frame::CONTROL_BYTES_MAX;

/// A close code that may stand in a close frame: never 1005, 1006 or 1015, never an unassigned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down, or the browser left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The peer sent a kind of data that this side does not take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// A message is not what its type says: text that is not UTF-8, compressed data that cannot be inflated.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A rule of this side, for which no other code fits, was broken.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message is too large.
    pub const TOO_LARGE: Self = Self(1009);
    /// The server did not agree to an extension that the client needs.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// The server met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A gateway got an invalid answer from behind it.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The code, if it may stand in a close frame.
    pub fn new(code: u16) -> Option<Self> {
        // 1012 to 1014 are registered with IANA, 3000 to 3999 are for libraries, 4000 to 4999 for applications.
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(Self(code))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A close code that must not stand in a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("close code {0} must not be sent")]
pub struct InvalidCloseCode(pub u16);

/// The payload of a close frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseFrame {
    code: Option<CloseCode>,
    reason: String,
}

impl CloseFrame {
    /// A close frame with a code and a reason. A reason longer than 123 bytes is cut at a character.
    ///
    /// # Errors
    ///
    /// If the code must not be sent: 0 to 999, 1004 to 1006, 1015 to 2999, 5000 and above.
    pub fn new(code: u16, reason: &str) -> Result<Self, InvalidCloseCode> {
        CloseCode::new(code)
            .map(|code| Self::with_code(code, reason))
            .ok_or(InvalidCloseCode(code))
    }

    /// The same for a code that is known to be valid.
    pub fn with_code(code: CloseCode, reason: &str) -> Self {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        Self {
            code: Some(code),
            reason: reason[..end].to_owned(),
        }
    }

    /// A close frame without a payload; the peer reports 1005.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The code, if there is one.
    pub fn code(&self) -> Option<CloseCode> {
        self.code
    }

    /// The code as APIs report it: 1005 if there is none.
    pub fn reported_code(&self) -> u16 {
        self.code.map_or(NO_STATUS_RECEIVED, CloseCode::get)
    }

    /// The reason, empty if there is none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Reads the payload of a close frame.
    ///
    /// # Errors
    ///
    /// If the payload is a single byte, the code invalid or the reason not UTF-8.
    pub fn decode(payload: &[u8]) -> Result<Self, ProtocolError> {
        match payload {
            [] => Ok(Self::empty()),
            [_] => Err(ProtocolError::CloseCodeCut),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                let code = CloseCode::new(code).ok_or(ProtocolError::CloseCodeInvalid(code))?;
                let reason =
                    std::str::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonNotUtf8)?;
                Ok(Self {
                    code: Some(code),
                    reason: reason.to_owned(),
                })
            }
        }
    }

    /// Writes the payload and returns its length.
    pub fn encode(&self, payload: &mut [u8; CONTROL_BYTES_MAX]) -> usize {
        let Some(code) = self.code else { return 0 };
        let length = 2 + self.reason.len();
        payload[..2].copy_from_slice(&code.0.to_be_bytes());
        payload[2..length].copy_from_slice(self.reason.as_bytes());
        length
    }
}

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

/// Reported for a close frame without a code. RFC 6455, 7.4.1: it "MUST NOT be set as a status code in a Close control frame".
pub const NO_STATUS_RECEIVED: u16 = 1005;
/// Reported for an end without a close frame; never sent either.
pub const ABNORMAL_CLOSURE: u16 = 1006;

const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;
