//! Heads of HTTP/1.1, collected from the pieces in which they arrive.

use thiserror::Error;

use crate::limits::Limits;

/// The reason why a head cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The head is longer than [`Limits::header_bytes_max`].
    #[error("head is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The head has more headers than [`Limits::headers_max`].
    #[error("head has more than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// The head is not HTTP/1.
    #[error("head is not HTTP/1: {0}")]
    Malformed(httparse::Error),
    /// A line ends with LF alone, which other servers may read differently.
    #[error("line ends without CR")]
    BareLineFeed,
    /// More interim responses (1xx) came before the final one than any server has reason to send.
    #[error("there are more than {limit} interim responses")]
    TooManyInterim {
        /// The limit.
        limit: usize,
    },
}

/// The bytes of a head. Each byte is read once, however small the pieces are.
#[derive(Debug, Default)]
pub(super) struct Head {
    bytes: Vec<u8>,
    complete: bool,
}

impl Head {
    /// Takes bytes up to the end of the head, and returns their number once the head is complete.
    pub(super) fn handle_input(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, HeadError> {
        if self.complete {
            return Ok(Some(0));
        }
        let limit = limits.header_bytes_max;
        for (position, &byte) in input.iter().enumerate() {
            if self.bytes.len() == limit {
                return Err(HeadError::TooLong { limit });
            }
            if byte == b'\n' {
                if !self.bytes.ends_with(b"\r") {
                    return Err(HeadError::BareLineFeed);
                }
                self.complete = self.bytes.ends_with(b"\r\n\r");
            }
            self.bytes.push(byte);
            if self.complete {
                return Ok(Some(position + 1));
            }
        }
        Ok(None)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Makes room for as many headers as the limits allow.
pub(super) fn header_slots<'a>(limits: &Limits) -> Vec<httparse::Header<'a>> {
    vec![httparse::EMPTY_HEADER; limits.headers_max]
}

pub(super) fn head_error(error: httparse::Error, limits: &Limits) -> HeadError {
    if error == httparse::Error::TooManyHeaders {
        HeadError::TooManyHeaders {
            limit: limits.headers_max,
        }
    } else {
        HeadError::Malformed(error)
    }
}
