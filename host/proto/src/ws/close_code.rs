//! Close codes: RFC 6455, 7.4.

use std::fmt;

use thiserror::Error;

/// A close code that is allowed in a close frame: never 1005, 1006 or 1015, never an unassigned
/// one.
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
    /// A message does not fit its type: text that is not UTF-8, or compressed data that cannot be
    /// inflated.
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
    /// A gateway got an invalid response from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Returns the code, if it is allowed in a close frame.
    pub fn new(code: u16) -> Option<Self> {
        // 1012 to 1014 are registered with IANA. 3000 to 3999 are for libraries, 4000 to 4999 for
        // applications.
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(Self(code))
    }

    /// Returns the number.
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

/// A close code that must not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("close code {0} must not be sent")]
pub struct InvalidCloseCode(pub u16);

/// The code that is reported for a close frame without one. RFC 6455, 7.4.1: it "MUST NOT be set as
/// a status code in a Close control frame".
pub const NO_STATUS_RECEIVED: u16 = 1005;
/// The code that is reported for an end without a close frame. It is never sent either.
pub const ABNORMAL_CLOSURE: u16 = 1006;
