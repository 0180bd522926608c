//! Response heads: for the client role.

use super::head::{Head, HeadError, head_error, header_slots};
use crate::limits::Limits;

/// Reads one response head from the pieces in which it arrives.
#[derive(Debug)]
pub struct ResponseReader {
    limits: Limits,
    head: Head,
}

/// A response head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response<'a> {
    /// The status.
    pub status: u16,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// The headers in their order.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// How many bytes of the last input belong to the head.
    pub consumed: usize,
}

impl ResponseReader {
    /// A reader that keeps to the limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: Head::default(),
        }
    }

    /// Takes bytes of the peer: the head, once it is complete.
    ///
    /// # Errors
    ///
    /// If this is not a response, or one beyond the limits. The reader is of no further use.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<Option<Response<'_>>, HeadError> {
        let Some(consumed) = self.head.handle_input(input, &self.limits)? else {
            return Ok(None);
        };
        let mut headers = header_slots(&self.limits);
        let mut response = httparse::Response::new(&mut headers);
        response
            .parse(self.head.bytes())
            .map_err(|error| head_error(error, &self.limits))?;
        let (Some(status), Some(minor_version)) = (response.code, response.version) else {
            return Err(HeadError::Malformed(httparse::Error::Status));
        };
        let headers = response
            .headers
            .iter()
            .map(|header| (header.name, header.value))
            .collect();
        Ok(Some(Response {
            status,
            minor_version,
            headers,
            consumed,
        }))
    }
}
