//! Close frames: RFC 6455, 5.5.1.

use super::close_code::{CloseCode, InvalidCloseCode, NO_STATUS_RECEIVED};
use super::error::ProtocolError;
use super::frame::CONTROL_BYTES_MAX;

/// The payload of a close frame.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseFrame {
    code: Option<CloseCode>,
    reason: String,
}

impl CloseFrame {
    /// Makes a close frame with a code and a reason. A reason longer than 123 bytes is cut at a
    /// character.
    ///
    /// # Errors
    ///
    /// Fails if the code must not be sent: 0 to 999, 1004 to 1006, 1015 to 2999, 5000 and above.
    pub fn new(code: u16, reason: &str) -> Result<Self, InvalidCloseCode> {
        CloseCode::new(code)
            .map(|code| Self::with_code(code, reason))
            .ok_or(InvalidCloseCode(code))
    }

    /// Makes a close frame with a valid code. A reason longer than 123 bytes is cut at a character.
    pub fn with_code(code: CloseCode, reason: &str) -> Self {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        Self {
            code: Some(code),
            reason: reason[..end].to_owned(),
        }
    }

    /// Makes a close frame without a payload. The peer reports 1005.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns the code, if there is one.
    pub fn code(&self) -> Option<CloseCode> {
        self.code
    }

    /// Returns the code as APIs report it: 1005 if there is none.
    pub fn reported_code(&self) -> u16 {
        self.code.map_or(NO_STATUS_RECEIVED, CloseCode::get)
    }

    /// Returns the reason, which is empty if there is none.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Reads the payload of a close frame.
    ///
    /// # Errors
    ///
    /// Fails if the payload is a single byte, the code invalid or the reason not UTF-8.
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
        payload[..2].copy_from_slice(&code.get().to_be_bytes());
        payload[2..length].copy_from_slice(self.reason.as_bytes());
        length
    }
}

const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;
