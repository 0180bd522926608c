//! Response heads, for the client role.
//!
//! Interim responses are skipped. RFC 9110, 15.2: "A client MUST be able to parse one or more 1xx
//! responses received prior to a final response, even if the client does not expect one." 101 is
//! final here, because no HTTP follows it.

use super::head::{Head, HeadError, head_error, header_slots};
use crate::limits::Limits;

/// Reads the head of a final response from the pieces in which it arrives.
#[derive(Debug)]
pub struct ResponseReader {
    limits: Limits,
    head: Head,
    /// The interim responses so far, and their bytes.
    interim: usize,
    interim_bytes: usize,
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
    /// The number of bytes of the last input that belong to the head.
    pub consumed: usize,
}

impl ResponseReader {
    /// Makes a reader with these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            head: Head::default(),
            interim: 0,
            interim_bytes: 0,
        }
    }

    /// Takes bytes of the peer, and returns the head once it is complete.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a response, or one beyond the limits, or one after more than 16
    /// interim ones. All heads together may have [`Limits::header_bytes_max`]. The reader is of no
    /// further use then.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<Option<Response<'_>>, HeadError> {
        let mut consumed = 0;
        loop {
            let Some(taken) = self.take_head(&input[consumed..])? else {
                return Ok(None);
            };
            consumed += taken;
            if !is_interim(self.head.bytes(), &self.limits)? {
                break;
            }
            self.interim += 1;
            if self.interim > INTERIM_MAX {
                return Err(HeadError::TooManyInterim { limit: INTERIM_MAX });
            }
            self.interim_bytes += std::mem::take(&mut self.head).bytes().len();
        }
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

    fn take_head(&mut self, input: &[u8]) -> Result<Option<usize>, HeadError> {
        let limit = self.limits.header_bytes_max;
        let left = Limits {
            header_bytes_max: limit.saturating_sub(self.interim_bytes),
            ..self.limits
        };
        let taken = self.head.handle_input(input, &left);
        taken.map_err(|error| match error {
            HeadError::TooLong { .. } => HeadError::TooLong { limit },
            HeadError::TooManyHeaders { .. }
            | HeadError::Malformed(_)
            | HeadError::BareLineFeed
            | HeadError::TooManyInterim { .. } => error,
        })
    }
}

fn is_interim(head: &[u8], limits: &Limits) -> Result<bool, HeadError> {
    let mut headers = header_slots(limits);
    let mut response = httparse::Response::new(&mut headers);
    response
        .parse(head)
        .map_err(|error| head_error(error, limits))?;
    Ok(response
        .code
        .is_some_and(|code| matches!(code, 100..=199) && code != SWITCHING_PROTOCOLS))
}

const SWITCHING_PROTOCOLS: u16 = 101;
/// The most interim responses before the final one.
const INTERIM_MAX: usize = 16;
