//! Where one request ends and the next begins: RFC 9112, 2.2, 6 and 7. For servers with an HTTP library that reads more than the RFC allows.
//!
//! What two servers read differently is a way to smuggle a request past one of them, so that everything is refused that is not clear: lines
//! that end with LF alone, a body whose length is told twice, a target with a fragment.

use thiserror::Error;

use super::head::header_slots;
use crate::header::token::{is_token_byte, list, texts, values};
use crate::limits::Limits;

/// Follows the requests of one connection. Each byte is looked at once, however small the pieces are in which it arrives; bytes of bodies are
/// counted and not looked at.
#[derive(Debug)]
pub struct Framing {
    limits: Limits,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Lines),
    Body(u64),
    Chunked(Chunked),
    /// Nothing further is understood.
    Refused(RequestError),
}

/// The lines of a head that is not complete.
#[derive(Debug, Default)]
struct Lines {
    /// Bytes that were looked at.
    seen: usize,
    line_start: usize,
    /// There was a line that is not empty. Empty ones before it are passed over (RFC 9112, 2.2).
    begun: bool,
    /// The method is over.
    has_method: bool,
}

/// Where a chunked body is (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy)]
enum Chunked {
    Size {
        digits: u8,
        size: u64,
    },
    /// Extensions, which mean nothing here, and their length.
    Extension {
        size: u64,
        bytes: usize,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataEndLf,
    Trailer {
        bytes: usize,
        line_is_empty: bool,
    },
    TrailerLf {
        bytes: usize,
        line_is_empty: bool,
    },
}

/// Why a request, and everything behind it, is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The head is longer than [`Limits::header_bytes_max`].
    #[error("the head of a request may have at most {limit} bytes")]
    HeadTooLong {
        /// The limit.
        limit: usize,
    },
    /// The head has more headers than [`Limits::headers_max`].
    #[error("a request may have at most {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// The target is longer than any implementation must take.
    #[error("the request target may have at most {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    /// It is not HTTP/1.
    #[error("this is not a request of HTTP/1")]
    NotHttp,
    /// A line ends with LF alone, which others may understand differently.
    #[error("a line ends without CR")]
    BareLineFeed,
    /// The target has a fragment, which is never sent.
    #[error("the request target has a fragment (#…)")]
    Fragment,
    /// `Content-Length` is repeated or not a number, or there is a `Transfer-Encoding` beside it or in HTTP/1.0.
    #[error("the length of the body is not clear")]
    LengthUnclear,
    /// The last transfer coding is not `chunked`, so that nothing tells where the body ends.
    #[error("the last transfer coding is not `chunked`")]
    NotChunked,
    /// There are transfer codings before `chunked`.
    #[error("no transfer coding but `chunked` is understood")]
    CodingNotUnderstood,
    /// A chunked body does not follow its grammar.
    #[error("the chunked body is malformed")]
    ChunksMalformed,
}

impl RequestError {
    /// The status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::HeadTooLong { .. } | Self::TooManyHeaders { .. } => 431,
            Self::TargetTooLong => 414,
            // RFC 9112, 6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond with
            // 501 (Not Implemented)."
            Self::CodingNotUnderstood => 501,
            Self::NotHttp
            | Self::BareLineFeed
            | Self::Fragment
            | Self::LengthUnclear
            | Self::NotChunked
            | Self::ChunksMalformed => 400,
        }
    }
}

impl Framing {
    /// At the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Head(Lines::default()),
        }
    }

    /// How many bytes at the beginning of `input` are understood: a whole head, or part of a body, and never anything behind the end of a
    /// request. 0 if more is needed; then `input` comes again with more behind it.
    ///
    /// # Errors
    ///
    /// If the request is not one that is understood, from there on each time.
    pub fn next(&mut self, input: &[u8]) -> Result<usize, RequestError> {
        let result = match &mut self.stage {
            Stage::Head(lines) => match lines.end(input, self.limits.header_bytes_max) {
                Ok(None) => return Ok(0),
                Ok(Some(end)) => check_head(&input[..end], &self.limits).map(|next| (end, next)),
                Err(error) => Err(error),
            },
            Stage::Body(left) => {
                let passed =
                    usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= passed as u64;
                let next = (*left == 0).then(Stage::head);
                Ok((passed, next))
            }
            Stage::Chunked(chunked) => {
                let trailers_max = self.limits.header_bytes_max;
                chunked
                    .pass(input, trailers_max)
                    .map(|(passed, over)| (passed, over.then(Stage::head)))
            }
            Stage::Refused(error) => Err(*error),
        };
        match result {
            Ok((passed, next)) => {
                if let Some(next) = next {
                    self.stage = next;
                }
                Ok(passed)
            }
            Err(error) => {
                self.stage = Stage::Refused(error);
                Err(error)
            }
        }
    }

    /// Whether what comes next belongs to the body of a request that was passed on.
    pub fn is_in_body(&self) -> bool {
        match self.stage {
            Stage::Body(_) | Stage::Chunked(_) => true,
            Stage::Refused(error) => error == RequestError::ChunksMalformed,
            Stage::Head(_) => false,
        }
    }
}

impl Stage {
    fn head() -> Self {
        Self::Head(Lines::default())
    }
}

impl Lines {
    /// Where the head ends, if it does.
    fn end(&mut self, input: &[u8], limit: usize) -> Result<Option<usize>, RequestError> {
        while let Some(&byte) = input.get(self.seen) {
            if self.seen == limit {
                return Err(RequestError::HeadTooLong { limit });
            }
            let position = self.seen;
            self.seen += 1;
            if byte == b'\n' {
                if position == self.line_start || input[position - 1] != b'\r' {
                    return Err(RequestError::BareLineFeed);
                }
                let is_empty = position - 1 == self.line_start;
                if is_empty && self.begun {
                    return Ok(Some(position + 1));
                }
                self.begun |= !is_empty;
                self.line_start = position + 1;
            } else if !self.has_method && !self.is_in_method(position, byte) {
                // Not HTTP, as a handshake of TLS: who waits for the end of the line waits for ever.
                return Err(RequestError::NotHttp);
            }
        }
        Ok(None)
    }

    /// Whether a byte may stand before the first space of the first line.
    fn is_in_method(&mut self, position: usize, byte: u8) -> bool {
        self.has_method = byte == b' ' && position > self.line_start;
        let ends_empty_line = byte == b'\r' && position == self.line_start;
        self.has_method || ends_empty_line || is_token_byte(byte)
    }
}

/// What follows a head.
fn check_head(head: &[u8], limits: &Limits) -> Result<Option<Stage>, RequestError> {
    let mut slots = header_slots(limits);
    let mut request = httparse::Request::new(&mut slots);
    let complete = request.parse(head).map_err(|error| {
        if error == httparse::Error::TooManyHeaders {
            RequestError::TooManyHeaders {
                limit: limits.headers_max,
            }
        } else {
            RequestError::NotHttp
        }
    })?;
    let (httparse::Status::Complete(length), Some(target), Some(minor_version)) =
        (complete, request.path, request.version)
    else {
        return Err(RequestError::NotHttp);
    };
    if length != head.len() {
        return Err(RequestError::NotHttp);
    }
    if target.contains('#') {
        return Err(RequestError::Fragment);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(RequestError::TargetTooLong);
    }
    let headers: Vec<(&str, &[u8])> = request
        .headers
        .iter()
        .map(|header| (header.name, header.value))
        .collect();
    let stage = match body(minor_version, &headers)? {
        Body::Length(0) => Stage::head(),
        Body::Length(length) => Stage::Body(length),
        Body::Chunked => Stage::Chunked(Chunked::Size { digits: 0, size: 0 }),
    };
    Ok(Some(stage))
}

enum Body {
    Length(u64),
    Chunked,
}

/// How long a body is: RFC 9112, 6.3.
fn body(minor_version: u8, headers: &[(&str, &[u8])]) -> Result<Body, RequestError> {
    let has_length = values(headers, "content-length").next().is_some();
    if values(headers, "transfer-encoding").next().is_some() {
        if has_length || minor_version == 0 {
            return Err(RequestError::LengthUnclear);
        }
        let mut codings = Vec::new();
        for value in texts(headers, "transfer-encoding") {
            codings.extend(list(value.ok_or(RequestError::NotChunked)?));
        }
        let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
        return match codings.as_slice() {
            [only] if is_chunked(only) => Ok(Body::Chunked),
            [.., last] if !is_chunked(last) => Err(RequestError::NotChunked),
            // RFC 9112, 7.1: chunked is not applied more than once.
            [before @ .., _] if before.iter().any(is_chunked) => Err(RequestError::LengthUnclear),
            [] => Err(RequestError::NotChunked),
            [..] => Err(RequestError::CodingNotUnderstood),
        };
    }
    let mut lengths = texts(headers, "content-length");
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(Body::Length(0)),
        (Some(Some(length)), None)
            if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            let length = length.parse().map_err(|_| RequestError::LengthUnclear)?;
            Ok(Body::Length(length))
        }
        (Some(_), _) => Err(RequestError::LengthUnclear),
    }
}

impl Chunked {
    /// How many bytes of the input are understood, and whether the body ends with them.
    fn pass(&mut self, input: &[u8], trailers_max: usize) -> Result<(usize, bool), RequestError> {
        const MALFORMED: RequestError = RequestError::ChunksMalformed;
        let mut position = 0;
        while let Some(&byte) = input.get(position) {
            if let Self::Data { left } = self {
                let there = input.len() - position;
                let passed = usize::try_from(*left).map_or(there, |left| left.min(there));
                position += passed;
                *left -= passed as u64;
                if *left == 0 {
                    *self = Self::DataEnd;
                }
                continue;
            }
            position += 1;
            *self = match (*self, byte) {
                (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                    if digits == SIZE_DIGITS_MAX {
                        return Err(MALFORMED);
                    }
                    let digit = char::from(byte).to_digit(16).unwrap_or_default();
                    Self::Size {
                        digits: digits + 1,
                        size: (size << 4) | u64::from(digit),
                    }
                }
                (Self::Size { digits: 0, .. }, _) => return Err(MALFORMED),
                (Self::Size { size, .. }, b';' | b' ' | b'\t') => {
                    Self::Extension { size, bytes: 1 }
                }
                (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => {
                    Self::SizeEnd { size }
                }
                (Self::Extension { size, bytes }, _)
                    if byte != b'\n' && bytes < EXTENSION_BYTES_MAX =>
                {
                    Self::Extension {
                        size,
                        bytes: bytes + 1,
                    }
                }
                (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer {
                    bytes: 0,
                    line_is_empty: true,
                },
                (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
                (Self::DataEnd, b'\r') => Self::DataEndLf,
                (Self::DataEndLf, b'\n') => Self::Size { digits: 0, size: 0 },
                (
                    Self::Trailer {
                        bytes,
                        line_is_empty,
                    },
                    b'\r',
                ) => Self::TrailerLf {
                    bytes,
                    line_is_empty,
                },
                (Self::Trailer { bytes, .. }, _) if byte != b'\n' && bytes < trailers_max => {
                    Self::Trailer {
                        bytes: bytes + 1,
                        line_is_empty: false,
                    }
                }
                (
                    Self::TrailerLf {
                        line_is_empty: true,
                        ..
                    },
                    b'\n',
                ) => return Ok((position, true)),
                (Self::TrailerLf { bytes, .. }, b'\n') => Self::Trailer {
                    bytes,
                    line_is_empty: true,
                },
                (
                    Self::Size { .. }
                    | Self::Extension { .. }
                    | Self::SizeEnd { .. }
                    | Self::Data { .. }
                    | Self::DataEnd
                    | Self::DataEndLf
                    | Self::Trailer { .. }
                    | Self::TrailerLf { .. },
                    _,
                ) => return Err(MALFORMED),
            };
        }
        Ok((position, false))
    }
}

/// What HTTP libraries take as a URI. RFC 9112, 3, asks for 8,000 at least.
const TARGET_BYTES_MAX: usize = 65_534;
/// Of a `u64`.
const SIZE_DIGITS_MAX: u8 = 16;
const EXTENSION_BYTES_MAX: usize = 1024;
