//! The origins whose scripts may connect: RFC 6455, 10.2, and RFC 6454.
//!
//! A browser connects for any page and sends the cookies along. Only the `Origin` header identifies
//! the page.

use std::net::Ipv6Addr;

use thiserror::Error;

use super::authority::default_port;

/// Returns true if a page of `origin` belongs to the server that it connects to. `host` is the
/// `Host` header, and `secure` is true if the client uses TLS.
///
/// Names are compared as they are, without regard to case: neither subdomains nor a trailing dot
/// make equal names.
pub fn is_same_origin(origin: &str, host: &str, secure: bool) -> bool {
    let scheme = if secure { "https" } else { "http" };
    let Some(origin) = Origin::parse(origin) else {
        return false;
    };
    Origin::from_parts(scheme, host).is_some_and(|own| own == origin)
}

/// The origins whose pages may connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    any: bool,
    /// True if pages without an origin may connect: files and sandboxed frames, whoever wrote them.
    null: bool,
    origins: Vec<Origin>,
}

impl Allowed {
    /// Reads a list of origins such as `https://example.com` or `http://localhost:8080`. `*` stands
    /// for every origin, and `null` for pages that have none.
    ///
    /// # Errors
    ///
    /// Fails if an entry is none of these. A path after the host is an error, as it would have no
    /// effect.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        let mut allowed = Self::default();
        for entry in entries {
            match entry {
                "*" => allowed.any = true,
                "null" => allowed.null = true,
                entry => {
                    let origin =
                        Origin::parse(entry).ok_or_else(|| InvalidOrigin(entry.to_owned()))?;
                    allowed.origins.push(origin);
                }
            }
        }
        Ok(allowed)
    }

    /// Returns true if pages of this origin may connect.
    pub fn contains(&self, origin: &str) -> bool {
        self.any
            || (self.null && origin == "null")
            || Origin::parse(origin).is_some_and(|origin| self.origins.contains(&origin))
    }
}

/// An entry that is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not an origin: expected scheme://host or scheme://host:port")]
pub struct InvalidOrigin(pub String);

/// An origin, RFC 6454, 4: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Name(String),
    Ipv6(Ipv6Addr),
}

impl Origin {
    fn parse(origin: &str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        Self::from_parts(scheme, authority)
    }

    fn from_parts(scheme: &str, authority: &str) -> Option<Self> {
        let scheme_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(scheme_byte)
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (
                    Host::Ipv6(address.parse().ok()?),
                    if port.is_empty() {
                        port
                    } else {
                        port.strip_prefix(':')?
                    },
                )
            }
            None => {
                let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
                let name_byte =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
                if name.is_empty() || !name.bytes().all(name_byte) {
                    return None;
                }
                (Host::Name(name.to_ascii_lowercase()), port)
            }
        };
        let port = match port {
            "" => default_port(&scheme),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            _ => return None,
        };
        Some(Self { scheme, host, port })
    }
}
