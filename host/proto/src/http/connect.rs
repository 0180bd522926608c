//! The client's side of the opening handshake: RFC 6455, 4.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::authority::Authority;
use super::head::HeadError;
use super::response::{Response, ResponseReader};
use super::upgrade::accept_value;
use crate::header::token::{has_token, is_token, texts};
use crate::limits::Limits;
use crate::ws::deflate::{self, Agreed, DeflateConfig, DeflateResponseError};

/// The options of a client's handshake.
#[derive(Debug, Clone, Default)]
pub struct ConnectOptions {
    /// The `Host` header: the name and, unless it is the scheme's default, the port.
    pub host: String,
    /// The path and query; `/` if empty.
    pub path: String,
    /// The origin, if any: the `Origin` header, or `Sec-WebSocket-Origin` before version 13.
    pub origin: Option<String>,
    /// The subprotocols that are offered, the preferred one first.
    pub protocols: Vec<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The compression that is offered, if any.
    pub deflate: Option<DeflateConfig>,
    /// The version of the protocol.
    pub version: Version,
    /// The limits of the response, and of the request.
    pub limits: Limits,
}

/// A version of the protocol: RFC 6455, or a draft of it that old servers speak. The versions
/// differ in the handshake alone: before version 13 the origin goes into another header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// RFC 6455.
    #[default]
    V13,
    /// draft-ietf-hybi-thewebsocketprotocol-08 to 12. The origin is sent as in 08 to 10.
    V8,
    /// draft-ietf-hybi-thewebsocketprotocol-07.
    V7,
}

/// A number that names no [`Version`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there is no WebSocket version {0}: there are 13, 8 and 7")]
pub struct UnsupportedVersion(pub u8);

impl Version {
    /// All versions, the newest first.
    pub const ALL: [Self; 3] = [Self::V13, Self::V8, Self::V7];

    /// Returns the value of `Sec-WebSocket-Version`.
    pub fn number(self) -> u8 {
        match self {
            Self::V13 => 13,
            Self::V8 => 8,
            Self::V7 => 7,
        }
    }

    fn origin_header(self) -> &'static str {
        match self {
            Self::V13 => "Origin",
            Self::V8 | Self::V7 => "Sec-WebSocket-Origin",
        }
    }
}

impl TryFrom<u8> for Version {
    type Error = UnsupportedVersion;

    fn try_from(number: u8) -> Result<Self, UnsupportedVersion> {
        let found = Self::ALL
            .into_iter()
            .find(|version| version.number() == number);
        found.ok_or(UnsupportedVersion(number))
    }
}

/// An opening handshake in the client role. The driver writes
/// [`request_bytes`](Self::request_bytes), then passes the bytes that arrive to
/// [`handle_input`](Self::handle_input).
#[derive(Debug)]
pub struct Connect {
    request: String,
    accept: String,
    protocols: Vec<String>,
    deflate: Option<DeflateConfig>,
    reader: ResponseReader,
    response: Option<ResponseHead>,
}

/// The status and headers of the server's response, whether the handshake succeeded or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status.
    pub status: u16,
    /// The headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A handshake that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// The number of bytes of the last input that belong to the response. Frames follow them.
    pub consumed: usize,
    /// The subprotocol that the server chose.
    pub protocol: Option<String>,
    /// The compression that was agreed to.
    pub deflate: Option<Agreed>,
}

/// The reason why the handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An option cannot be put into a request. It has a character that would end a line, or is a
    /// header that the handshake sets itself.
    #[error("{0} cannot be sent")]
    InvalidOption(&'static str),
    /// The request is beyond [`Limits::header_bytes_max`] or [`Limits::headers_max`].
    #[error("the request is larger than {bytes} bytes or {headers} headers")]
    RequestTooLarge {
        /// The most bytes.
        bytes: usize,
        /// The most headers.
        headers: usize,
    },
    /// The server does not speak HTTP/1, or its response is too large.
    #[error("invalid response: {0}")]
    InvalidResponse(#[from] HeadError),
    /// The server answered with another status.
    #[error("server refused with status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// The server sent a redirect. The caller decides whether to follow it.
    #[error("server redirected with status {status}")]
    Redirected {
        /// The status.
        status: u16,
        /// The new address, if it is text.
        location: Option<String>,
    },
    /// The response does not upgrade to WebSocket.
    #[error("response does not upgrade to WebSocket")]
    NotUpgraded,
    /// The response has no `Sec-WebSocket-Accept`, or more than one.
    #[error("accept header is missing")]
    AcceptMissing,
    /// `Sec-WebSocket-Accept` does not answer the key: a cached response, or a server that does not
    /// know WebSocket.
    #[error("accept header does not answer the key")]
    AcceptWrong,
    /// The server chose a subprotocol that was not offered, or more than one.
    #[error("server chose a subprotocol that was not offered")]
    ProtocolNotOffered,
    /// The server chose an extension or parameters that were not offered.
    #[error("{0}")]
    Extension(#[from] DeflateResponseError),
}

impl Connect {
    /// Makes a handshake with a key, which must be random.
    ///
    /// # Errors
    ///
    /// Fails if an option cannot be put into a request.
    pub fn new(options: ConnectOptions, key: [u8; 16]) -> Result<Self, ConnectError> {
        check_options(&options)?;
        let key = STANDARD.encode(key);
        let path = if options.path.is_empty() {
            "/"
        } else {
            &options.path
        };
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: {}\r\n",
            options.host,
            options.version.number()
        );
        let mut push = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                request.push_str(part);
            }
        };
        if let Some(origin) = &options.origin {
            push(options.version.origin_header(), origin);
        }
        if !options.protocols.is_empty() {
            push("Sec-WebSocket-Protocol", &options.protocols.join(", "));
        }
        if let Some(config) = &options.deflate {
            push("Sec-WebSocket-Extensions", &deflate::offer(config));
        }
        for (name, value) in &options.headers {
            push(name, value);
        }
        request.push_str("\r\n");
        let connect = Self {
            request,
            accept: accept_value(&key),
            protocols: options.protocols,
            deflate: options.deflate,
            reader: ResponseReader::new(options.limits),
            response: None,
        };
        let (bytes, headers) = (options.limits.header_bytes_max, options.limits.headers_max);
        if connect.request.len() > bytes || connect.request_headers().count() > headers {
            return Err(ConnectError::RequestTooLarge { bytes, headers });
        }
        Ok(connect)
    }

    /// Returns the request.
    pub fn request_bytes(&self) -> &[u8] {
        self.request.as_bytes()
    }

    /// Returns the headers of the request in their order.
    pub fn request_headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.request.split("\r\n").skip(1);
        lines.filter_map(|line| line.split_once(": "))
    }

    /// Returns the server's response, or `None` until [`handle_input`](Self::handle_input) has read
    /// a whole one.
    pub fn response(&self) -> Option<&ResponseHead> {
        self.response.as_ref()
    }

    /// Takes bytes of the server, and returns the outcome once the response is complete.
    ///
    /// # Errors
    ///
    /// Fails if the handshake fails. The driver closes the transport then.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<Option<Established>, ConnectError> {
        let Some(response) = self.reader.handle_input(input)? else {
            return Ok(None);
        };
        let headers = response.headers.as_slice();
        self.response = Some(ResponseHead {
            status: response.status,
            headers: owned(headers),
        });
        check_status(&response)?;
        if !has_token(headers, "upgrade", "websocket")
            || !has_token(headers, "connection", "upgrade")
        {
            return Err(ConnectError::NotUpgraded);
        }
        let mut accepts = texts(headers, "sec-websocket-accept");
        match (accepts.next(), accepts.next()) {
            (Some(Some(accept)), None) if accept == self.accept => {}
            (Some(_), None) => return Err(ConnectError::AcceptWrong),
            (None, _) | (Some(_), Some(_)) => return Err(ConnectError::AcceptMissing),
        }
        Ok(Some(Established {
            consumed: response.consumed,
            protocol: chosen_protocol(headers, &self.protocols)?,
            deflate: chosen_deflate(headers, self.deflate.as_ref())?,
        }))
    }
}

fn check_options(options: &ConnectOptions) -> Result<(), ConnectError> {
    let visible = |text: &str| text.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    let value = |text: &str| {
        text.bytes()
            .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
    };
    if Authority::parse(&options.host).is_none() {
        return Err(ConnectError::InvalidOption("host"));
    }
    if !(options.path.is_empty() || options.path.starts_with('/'))
        || !visible(&options.path)
        || options.path.contains('#')
    {
        return Err(ConnectError::InvalidOption("path"));
    }
    if options
        .origin
        .as_deref()
        .is_some_and(|origin| origin.is_empty() || !visible(origin))
    {
        return Err(ConnectError::InvalidOption("origin"));
    }
    let repeated =
        |position: usize| options.protocols[..position].contains(&options.protocols[position]);
    if (0..options.protocols.len())
        .any(|position| !is_token(&options.protocols[position]) || repeated(position))
    {
        return Err(ConnectError::InvalidOption("subprotocol"));
    }
    let is_reserved = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("sec-websocket-") || RESERVED_HEADERS.contains(&name.as_str())
    };
    if options
        .headers
        .iter()
        .any(|(name, text)| !is_token(name) || is_reserved(name) || !value(text))
    {
        return Err(ConnectError::InvalidOption("header"));
    }
    Ok(())
}

fn check_status(response: &Response<'_>) -> Result<(), ConnectError> {
    match response.status {
        101 if response.minor_version >= 1 => Ok(()),
        101 => Err(ConnectError::NotUpgraded),
        status @ 300..=399 => {
            let location = texts(&response.headers, "location")
                .next()
                .flatten()
                .map(str::to_owned);
            Err(ConnectError::Redirected { status, location })
        }
        status => Err(ConnectError::Refused { status }),
    }
}

fn chosen_protocol(
    headers: &[(&str, &[u8])],
    offered: &[String],
) -> Result<Option<String>, ConnectError> {
    let mut chosen = texts(headers, "sec-websocket-protocol");
    match (chosen.next(), chosen.next()) {
        (None, _) => Ok(None),
        (Some(Some(protocol)), None) if offered.iter().any(|name| name == protocol) => {
            Ok(Some(protocol.to_owned()))
        }
        (Some(_), _) => Err(ConnectError::ProtocolNotOffered),
    }
}

fn chosen_deflate(
    headers: &[(&str, &[u8])],
    offered: Option<&DeflateConfig>,
) -> Result<Option<Agreed>, ConnectError> {
    let mut responses = Vec::new();
    for value in texts(headers, "sec-websocket-extensions") {
        responses.push(value.ok_or(DeflateResponseError::Malformed)?);
    }
    let agreed = deflate::agree(responses, &offered.copied().unwrap_or_default())?;
    if agreed.is_some() && offered.is_none() {
        return Err(DeflateResponseError::ExtensionNotOffered.into());
    }
    Ok(agreed)
}

fn owned(headers: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
        .collect()
}

/// Headers that the handshake sets itself, or that would announce a body.
const RESERVED_HEADERS: [&str; 7] = [
    "host",
    "upgrade",
    "connection",
    "origin",
    "content-length",
    "transfer-encoding",
    "expect",
];
