//! The opening request of a connection, as handlers see it.

use super::Role;

/// The opening request of a connection: of the peer in the server role, of this host in the client
/// role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The side of the opening handshake that this host is on.
    pub role: Role,
    /// The path of the target, percent-encoded as received, beginning with `/`.
    pub path: String,
    /// The part of the target after the first `?`.
    pub query: Option<String>,
    /// Header fields: names in lower case, values as received.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Subprotocols offered, in order of preference.
    pub offered: Vec<String>,
    /// The peer's address, `ip:port`, or `unix`.
    pub peer: String,
    /// This side's address, `ip:port`, or the path of the Unix socket.
    pub local: String,
    /// True over TLS.
    pub secure: bool,
    /// The Host header.
    pub host: Option<String>,
}

impl Request {
    /// Returns the value of the first header field with this name, in any case. None when there is
    /// no such field, or its value is not UTF-8.
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
