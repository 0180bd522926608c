//! The host and port of a `Host` header, or of a request target that is a URL: RFC 3986, 3.2, and
//! RFC 9110, 7.2.

use std::net::Ipv6Addr;

/// A host and its port.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads a name or an address, and a port. Returns `None` for anything else. A user name is
    /// never part of it.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (&text[..address.len() + 2], port)
            }
            None => {
                let host = text.split(':').next()?;
                if host.is_empty() || !host.bytes().all(is_name_byte) {
                    return None;
                }
                (host, &text[host.len()..])
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Returns true if both name the same host and port. A missing port means `default_port`.
    pub fn is_same(&self, other: &Authority<'_>, default_port: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// Returns the port of a scheme of HTTP or WebSocket.
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Returns true if a byte is allowed in a name.
///
/// RFC 3986, 3.2.2, without the comma: a server that reads a list would see two hosts there.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_a_name_or_an_address_and_port_a_number() {
        for text in [
            "a",
            "a.",
            "a_b",
            "a:80",
            "a:",
            "1.2.3.4:1",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(Authority::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            ":80",
            "a:b",
            "a:80b",
            "a:+80",
            "a:65536",
            "a:80:80",
            "a b",
            "a,b",
            "u@a",
            "a/",
            "a?",
            "a#",
            "::1",
            "[::1",
            "::1]",
            "[a]",
            "[::1]80",
            "[::1]:x",
            "[fe80::1%25eth0]",
            "ä",
            "<a>",
        ] {
            assert!(Authority::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn port_of_the_scheme_may_be_left_out() {
        let same = |one, other, port| {
            let one = Authority::parse(one).unwrap();
            one.is_same(&Authority::parse(other).unwrap(), port)
        };
        assert!(same("localhost:80", "localhost", 80));
        assert!(same("LOCALHOST", "localhost:", 443));
        assert!(same("[::1]:443", "[::1]", 443));
        assert!(!same("localhost:80", "localhost", 443));
        assert!(!same("localhost:81", "localhost", 80));
        assert!(!same("localhost", "localhost.", 80));
    }
}
