//! The boundaries of the requests on one connection: RFC 9112, 2.2, 6 and 7. A server uses them in
//! front of an HTTP library that accepts more than the RFC allows.
//!
//! A request that two servers read differently can be smuggled past one of them. Everything
//! ambiguous is therefore refused: lines that end with LF alone, a body with two lengths, a target
//! with a fragment.

use thiserror::Error;

use super::head::header_slots;
use crate::header::token::{is_token_byte, list, texts, values};
use crate::limits::Limits;

/// The position in the requests of one connection. Each byte of a head is read once, however small
/// the pieces are in which it arrives. Bytes of bodies are counted and not read.
#[derive(Debug)]
pub struct Framing {
    limits: Limits,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(HeadLines),
    Body(u64),
    Chunked(Chunked),
    /// The request was refused, and so is all further input.
    Refused(RequestError),
}

/// The lines of a head that is not complete.
#[derive(Debug, Default)]
struct HeadLines {
    /// The number of bytes that were read.
    bytes_read: usize,
    line_start: usize,
    /// True once a line was not empty. Empty lines before it are skipped (RFC 9112, 2.2).
    has_content: bool,
    /// True once the method is complete.
    has_method: bool,
}

/// The position in a chunked body (RFC 9112, 7.1).
#[derive(Debug, Clone, Copy)]
enum Chunked {
    Size {
        digits: u8,
        size: u64,
    },
    /// The extensions of a chunk, which are ignored, and their length.
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

/// The reason why a request, and everything after it, is refused.
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
    /// The target is longer than the largest that HTTP libraries accept.
    #[error("the request target may have at most {TARGET_BYTES_MAX} bytes")]
    TargetTooLong,
    /// The input is not HTTP/1.
    #[error("this is not a request of HTTP/1")]
    NotHttp,
    /// A line ends with LF alone, which other servers may read differently.
    #[error("a line ends without CR")]
    BareLineFeed,
    /// The target has a fragment, which is never sent.
    #[error("the request target has a fragment (#…)")]
    Fragment,
    /// `Content-Length` is repeated or not a number, or there is a `Transfer-Encoding` beside it or
    /// in HTTP/1.0.
    #[error("the length of the body is not clear")]
    LengthUnclear,
    /// The last transfer coding is not `chunked`, so that the end of the body is unknown.
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
    /// Returns the status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::HeadTooLong { .. } | Self::TooManyHeaders { .. } => 431,
            Self::TargetTooLong => 414,
            // RFC 9112, 6.1: "A server that receives a request message with a transfer coding it
            // does not understand SHOULD respond with 501 (Not Implemented)."
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
    /// Starts at the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            stage: Stage::Head(HeadLines::default()),
        }
    }

    /// Returns the number of bytes at the beginning of `input` that may be passed on: a whole head,
    /// or part of a body, and never anything after the end of a request. The number is 0 if more
    /// bytes are needed. The caller then passes the same `input` again with more bytes after it.
    ///
    /// # Errors
    ///
    /// Fails if the request is refused, and then each time.
    pub fn next(&mut self, input: &[u8]) -> Result<usize, RequestError> {
        let result = match &mut self.stage {
            Stage::Head(lines) => match lines.find_end(input, self.limits.header_bytes_max) {
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
                    .advance(input, trailers_max)
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

    /// Returns true if the next bytes belong to the body of a request that was passed on.
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
        Self::Head(HeadLines::default())
    }
}

impl HeadLines {
    /// Returns the length of the head, once its end has arrived.
    fn find_end(&mut self, input: &[u8], limit: usize) -> Result<Option<usize>, RequestError> {
        while let Some(&byte) = input.get(self.bytes_read) {
            if self.bytes_read == limit {
                return Err(RequestError::HeadTooLong { limit });
            }
            let position = self.bytes_read;
            self.bytes_read += 1;
            if byte == b'\n' {
                if position == self.line_start || input[position - 1] != b'\r' {
                    return Err(RequestError::BareLineFeed);
                }
                let is_empty = position - 1 == self.line_start;
                if is_empty && self.has_content {
                    return Ok(Some(position + 1));
                }
                self.has_content |= !is_empty;
                self.line_start = position + 1;
            } else if !self.has_method && !self.is_in_method(position, byte) {
                // A client that speaks another protocol, such as TLS, may wait for an answer and
                // never send the end of the line.
                return Err(RequestError::NotHttp);
            }
        }
        Ok(None)
    }

    /// Returns true if a byte may stand before the first space of the first line.
    fn is_in_method(&mut self, position: usize, byte: u8) -> bool {
        self.has_method = byte == b' ' && position > self.line_start;
        let ends_empty_line = byte == b'\r' && position == self.line_start;
        self.has_method || ends_empty_line || is_token_byte(byte)
    }
}

/// Checks a head, and returns what follows it.
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

/// Returns the length of a body: RFC 9112, 6.3.
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
    /// Returns the number of bytes that belong to the body, and true if it ends with them.
    fn advance(
        &mut self,
        input: &[u8],
        trailers_max: usize,
    ) -> Result<(usize, bool), RequestError> {
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

/// The longest URI that HTTP libraries accept. RFC 9112, 3, asks for 8,000 at least.
const TARGET_BYTES_MAX: usize = 65_534;
/// The hexadecimal digits of a `u64`.
const SIZE_DIGITS_MAX: u8 = 16;
const EXTENSION_BYTES_MAX: usize = 1024;
