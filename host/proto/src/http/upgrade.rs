//! The server's side of the opening handshake: RFC 6455, 4.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use thiserror::Error;

use super::authority::Authority;
use crate::header::token::{has_token, is_token, list, texts, values};
use crate::ws::deflate::{self, Agreed, DeflateConfig};

/// Checks a request for an upgrade. `minor_version` is 0 for HTTP/1.0 and 1 for HTTP/1.1. Header
/// names are compared without regard to case.
///
/// # Errors
///
/// Fails if the request is not an upgrade, or a malformed one. The error has the status and headers
/// of the response.
pub fn check(
    method: &str,
    minor_version: u8,
    headers: &[(&str, &[u8])],
) -> Result<Upgrade, UpgradeError> {
    if !has_token(headers, "upgrade", "websocket") {
        return Err(UpgradeError::NotAnUpgrade);
    }
    if method != "GET" {
        return Err(UpgradeError::MethodNotGet);
    }
    if minor_version == 0 {
        return Err(UpgradeError::HttpTooOld);
    }
    if !has_token(headers, "connection", "upgrade") {
        return Err(UpgradeError::ConnectionNotUpgrade);
    }
    if announces_body(headers) {
        return Err(UpgradeError::BodyAnnounced);
    }
    let host = host(minor_version, headers)?.ok_or(UpgradeError::HostInvalid)?;
    // RFC 6455, 4.4: a server lists the versions that it speaks.
    if exactly_one(headers, "sec-websocket-version") != Some(VERSION) {
        return Err(UpgradeError::VersionNotSupported);
    }
    let key = exactly_one(headers, "sec-websocket-key").ok_or(UpgradeError::KeyInvalid)?;
    if STANDARD.decode(key).map(|nonce| nonce.len()) != Ok(KEY_BYTES) {
        return Err(UpgradeError::KeyInvalid);
    }
    // RFC 6454, 7.3 allows one. With two, a check could look at the wrong one.
    let origin = match values(headers, "origin").count() {
        0 => None,
        _ => Some(
            exactly_one(headers, "origin")
                .ok_or(UpgradeError::OriginInvalid)?
                .to_owned(),
        ),
    };
    let extensions = texts(headers, "sec-websocket-extensions")
        .flatten()
        .map(str::to_owned)
        .collect();
    Ok(Upgrade {
        offered: offered_protocols(headers)?,
        origin,
        host: Some(host.to_owned()),
        extensions,
        accept: accept_value(key),
    })
}

/// Returns the `Host` header of any request. RFC 9112, 3.2: HTTP/1.1 has exactly one, older
/// versions may have none.
///
/// # Errors
///
/// Fails if the header is missing, repeated or malformed.
pub fn host<'a>(
    minor_version: u8,
    headers: &'a [(&'a str, &'a [u8])],
) -> Result<Option<&'a str>, UpgradeError> {
    if minor_version == 0 && values(headers, "host").next().is_none() {
        return Ok(None);
    }
    let host = exactly_one(headers, "host").ok_or(UpgradeError::HostInvalid)?;
    if Authority::parse(host).is_none() {
        return Err(UpgradeError::HostInvalid);
    }
    Ok(Some(host))
}

/// A valid request for an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The subprotocols that the client speaks, in the order of its preference.
    pub offered: Vec<String>,
    /// The `Origin` header: the site whose script connects, if a browser does.
    pub origin: Option<String>,
    /// The `Host` header.
    pub host: Option<String>,
    extensions: Vec<String>,
    accept: String,
}

impl Upgrade {
    /// Returns the response, with status 101, that accepts the upgrade.
    ///
    /// # Errors
    ///
    /// Fails if `protocol` was not offered.
    pub fn accept(
        &self,
        protocol: Option<&str>,
        deflate: Option<&DeflateConfig>,
    ) -> Result<Accepted, UpgradeError> {
        let mut headers = vec![
            ("upgrade", "websocket".to_owned()),
            ("connection", "Upgrade".to_owned()),
            ("sec-websocket-accept", self.accept.clone()),
        ];
        if let Some(protocol) = protocol {
            if !self.offered.iter().any(|offered| offered == protocol) {
                return Err(UpgradeError::ProtocolNotOffered);
            }
            headers.push(("sec-websocket-protocol", protocol.to_owned()));
        }
        let offers = self.extensions.iter().map(String::as_str);
        let agreed = deflate
            .and_then(|config| deflate::negotiate(offers, config))
            .map(|(agreed, response)| {
                headers.push(("sec-websocket-extensions", response));
                agreed
            });
        Ok(Accepted {
            headers,
            deflate: agreed,
        })
    }
}

/// The response to a valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The headers of the response.
    pub headers: Vec<(&'static str, String)>,
    /// The compression that was agreed to, for [`Config::deflate`](crate::ws::Config::deflate).
    pub deflate: Option<Agreed>,
}

/// The reason why a request is not upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The request asks for something else than a WebSocket, which is all that is served here.
    #[error("request is not a WebSocket upgrade")]
    NotAnUpgrade,
    /// The method is not GET.
    #[error("method is not GET")]
    MethodNotGet,
    /// The request is HTTP/1.0 or older.
    #[error("HTTP version is older than 1.1")]
    HttpTooOld,
    /// `Connection` does not contain `upgrade`.
    #[error("connection header does not ask for an upgrade")]
    ConnectionNotUpgrade,
    /// The request announces a body, whose bytes would be read as frames.
    #[error("request has a body")]
    BodyAnnounced,
    /// `Host` is missing, repeated or malformed.
    #[error("host header is missing, repeated or malformed")]
    HostInvalid,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("WebSocket version is not 13")]
    VersionNotSupported,
    /// `Sec-WebSocket-Key` is not one base64 value of 16 bytes.
    #[error("key is missing, repeated or malformed")]
    KeyInvalid,
    /// `Origin` is repeated or not ASCII.
    #[error("origin header is repeated or malformed")]
    OriginInvalid,
    /// `Sec-WebSocket-Protocol` holds something that is not a token, or a token twice.
    #[error("subprotocols are malformed or repeated")]
    ProtocolsInvalid,
    /// This side chose a subprotocol that the client did not offer.
    #[error("subprotocol was not offered")]
    ProtocolNotOffered,
}

impl UpgradeError {
    /// Returns the status of the response.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotAnUpgrade | Self::VersionNotSupported => 426,
            Self::MethodNotGet => 405,
            Self::HttpTooOld
            | Self::ConnectionNotUpgrade
            | Self::BodyAnnounced
            | Self::HostInvalid
            | Self::KeyInvalid
            | Self::OriginInvalid
            | Self::ProtocolsInvalid => 400,
            Self::ProtocolNotOffered => 500,
        }
    }

    /// Returns the headers that the response has because of this error.
    pub fn headers(&self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::NotAnUpgrade => vec![("upgrade", "websocket"), ("connection", "Upgrade")],
            Self::VersionNotSupported => {
                vec![
                    ("sec-websocket-version", VERSION),
                    ("upgrade", "websocket"),
                    ("connection", "Upgrade"),
                ]
            }
            Self::MethodNotGet => vec![("allow", "GET")],
            Self::HttpTooOld
            | Self::ConnectionNotUpgrade
            | Self::BodyAnnounced
            | Self::HostInvalid
            | Self::KeyInvalid
            | Self::OriginInvalid
            | Self::ProtocolsInvalid
            | Self::ProtocolNotOffered => Vec::new(),
        }
    }
}

/// Returns the value of `Sec-WebSocket-Accept` for a key.
pub fn accept_value(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(ACCEPT_GUID);
    STANDARD.encode(hash.finalize())
}

fn offered_protocols(headers: &[(&str, &[u8])]) -> Result<Vec<String>, UpgradeError> {
    let mut offered: Vec<String> = Vec::new();
    for value in texts(headers, "sec-websocket-protocol") {
        for protocol in list(value.ok_or(UpgradeError::ProtocolsInvalid)?) {
            // RFC 6455, 4.1: "The elements that comprise this value MUST be non-empty strings [..]
            // and MUST all be unique strings."
            if !is_token(protocol)
                || offered.len() == PROTOCOLS_MAX
                || offered.iter().any(|name| name == protocol)
            {
                return Err(UpgradeError::ProtocolsInvalid);
            }
            offered.push(protocol.to_owned());
        }
    }
    Ok(offered)
}

fn exactly_one<'a>(headers: &'a [(&'a str, &'a [u8])], name: &'static str) -> Option<&'a str> {
    let mut texts = texts(headers, name);
    let first = texts.next()?;
    if texts.next().is_some() { None } else { first }
}

fn announces_body(headers: &[(&str, &[u8])]) -> bool {
    values(headers, "transfer-encoding").next().is_some()
        || texts(headers, "content-length").any(|length| length != Some("0"))
}

const VERSION: &str = "13";
const KEY_BYTES: usize = 16;
/// The most subprotocols of a request. The search for repeated names takes time that grows with the
/// square of their number.
const PROTOCOLS_MAX: usize = 100;
/// The constant of RFC 6455, 1.3.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
