use crate::bindings::handler::wsrun::websocket::types::Request;
use crate::bindings::handshake::exports::wsrun::websocket::handshake;
use crate::headers;

impl Request {
    /// The value of the first header field with this name, in any case; `None` when there is none or it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        headers::text(&self.headers, name)
    }

    /// The value of the first header field with this name, in any case, as received.
    pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
        self.header_values(name).next()
    }

    /// The values of all header fields with this name, in any case, in order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        headers::values(&self.headers, name)
    }

    /// The percent-decoded value of the first query parameter with this name: `""` for `?name`, `None` when there is none or it is not
    /// UTF-8.
    ///
    /// ```
    /// # use wsrun_guest::{Request, Role};
    /// # let request = Request {
    /// #     role: Role::Server, path: "/".into(), query: Some("room=tea%20room&quiet".into()), headers: vec![], offered: vec![],
    /// #     peer: String::new(), local: String::new(), secure: false, host: None,
    /// # };
    /// // /?room=tea%20room&quiet
    /// assert_eq!(request.query_value("room").as_deref(), Some("tea room"));
    /// assert_eq!(request.query_value("quiet").as_deref(), Some(""));
    /// assert_eq!(request.query_value("loud"), None);
    /// ```
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query.as_deref()?.split('&').find_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (percent_decode(key)? == name).then(|| percent_decode(value))?
        })
    }

    /// True when the peer offered this subprotocol.
    pub fn offers(&self, protocol: &str) -> bool {
        self.offered.iter().any(|offered| offered == protocol)
    }
}

/// As `application/x-www-form-urlencoded`: `+` is a space, and a `%` without two digits stands for itself.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.as_bytes().iter();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        let digits = bytes.as_slice();
        decoded.push(match (byte, digits) {
            (b'+', _) => b' ',
            (b'%', [high, low, ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.nth(1);
                    high << 4 | low
                }
                _ => byte,
            },
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// What an accepted connection starts with: the answer of [`Handler::handshake`](crate::Handler::handshake).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Accept {
    protocol: Option<String>,
    headers: Vec<(String, String)>,
    session: Vec<u8>,
}

impl Accept {
    /// Accepts and leaves the rest to the host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Agrees on a subprotocol, which must be one of [`Request::offered`]: anything else fails the handshake with 500. Without this it is
    /// the `--protocol` name that led here, or none.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocol = Some(protocol.into());
        self
    }

    /// Adds a header field to the response. The fields of the handshake itself are the host's: naming one fails it with 500.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The session data of the new connection, at most 64 KiB by default; more fails the handshake with 500.
    pub fn session_bytes(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.session = data.into();
        self
    }

    /// The session data of the new connection as a value, for [`Connection::session`](crate::Connection::session).
    ///
    /// # Panics
    ///
    /// When the `Serialize` of `T` fails.
    #[cfg(feature = "session")]
    pub fn session<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.session_bytes(crate::session::encode(value))
    }

    pub(crate) fn into_acceptance(self) -> handshake::Acceptance {
        handshake::Acceptance {
            protocol: self.protocol,
            headers: self.headers,
            session: self.session,
        }
    }
}

/// How a refused handshake is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Refusal {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Refusal {
    /// Refuses with an HTTP status, 300 to 599; anything else is sent as 500.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// Refuses with 302 and a `location`.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::new(302).header("location", location)
    }

    /// Adds a header field to the response. The host's own fields are left out.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body, sent as `text/plain; charset=utf-8` unless a header says otherwise.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn into_refusal(self) -> handshake::Refusal {
        handshake::Refusal {
            status: self.status,
            headers: self.headers,
            body: self.body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn request(query: &str) -> Request {
        Request {
            role: Role::Server,
            path: "/".to_owned(),
            query: Some(query.to_owned()),
            headers: vec![
                ("cookie".to_owned(), b"a=1".to_vec()),
                ("x-raw".to_owned(), vec![0xff]),
                ("cookie".to_owned(), b"b=2".to_vec()),
            ],
            offered: vec!["chat".to_owned()],
            peer: "127.0.0.1:5".to_owned(),
            local: "127.0.0.1:9000".to_owned(),
            secure: false,
            host: None,
        }
    }

    #[test]
    fn header_lookup_ignores_case_and_returns_the_first() {
        let request = request("");
        assert_eq!(request.header("Cookie"), Some("a=1"));
        assert_eq!(request.header_values("cookie").count(), 2);
        assert_eq!(request.header("x-raw"), None);
        assert_eq!(request.header_bytes("x-raw"), Some(&[0xff][..]));
    }

    #[test]
    fn query_values_are_percent_decoded() {
        let request = request("a=1%2B1+x&%62=%&c=%zz&d=%ff&a=2&e=%c3%a9");
        assert_eq!(request.query_value("a").as_deref(), Some("1+1 x"));
        assert_eq!(request.query_value("b").as_deref(), Some("%"));
        assert_eq!(request.query_value("c").as_deref(), Some("%zz"));
        assert_eq!(request.query_value("d"), None);
        assert_eq!(request.query_value("e").as_deref(), Some("é"));
        assert!(request.offers("chat"));
    }
}
