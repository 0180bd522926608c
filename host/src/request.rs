//! The opening request of a connection, as handlers see it.

use crate::contract::Role;

/// What the peer asked for, and from where; in the client role what this host asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Which side this host was.
    pub role: Role,
    /// The path of the target, percent-encoded as received, beginning with `/`.
    pub path: String,
    /// What follows the first `?`.
    pub query: Option<String>,
    /// Names in lower case, values as received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Subprotocols offered, in order of preference.
    pub offered: Vec<String>,
    /// The peer's address, `ip:port`, or `unix`.
    pub peer: String,
    /// This side's address, `ip:port`, or the path of the Unix socket.
    pub local: String,
    /// Over TLS.
    pub secure: bool,
    /// The Host header.
    pub host: Option<String>,
}

impl Request {
    /// The value of the first header field with this name, in any case; none when there is none or it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self
            .headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named
            .next()
            .and_then(|(_, value)| str::from_utf8(value).ok())
    }
}
