//! Request heads, for servers without an HTTP library in front and for tests.

use super::head::{Head, HeadError, head_error, header_slots};
use crate::limits::Limits;

/// Reads one request head from the pieces in which it arrives.
#[derive(Debug)]
pub struct RequestReader {
    limits: Limits,
    head: Head,
}

/// A request head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// The request target, as it was sent.
    pub target: &'a str,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor_version: u8,
    /// The headers in their order.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The number of bytes of the last input that belong to the head.
    pub consumed: usize,
}

impl RequestReader {
    /// Makes a reader with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: Head::default(),
        }
    }

    /// Takes bytes of the peer, and returns the head once it is complete.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a request, or one beyond the limits. The reader is of no further
    /// use then.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<Option<Request<'_>>, HeadError> {
        let Some(consumed) = self.head.handle_input(input, &self.limits)? else {
            return Ok(None);
        };
        let mut headers = header_slots(&self.limits);
        let mut request = httparse::Request::new(&mut headers);
        request
            .parse(self.head.bytes())
            .map_err(|error| head_error(error, &self.limits))?;
        let (Some(method), Some(target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Err(HeadError::Malformed(httparse::Error::Token));
        };
        let headers = request
            .headers
            .iter()
            .map(|header| (header.name, header.value))
            .collect();
        Ok(Some(Request {
            method,
            target,
            minor_version,
            headers,
            consumed,
        }))
    }
}
