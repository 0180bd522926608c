//! Outbound connections: the host connects, and the connection is this handler's like any other, in the client role.
//!
//! Nothing is allowed unless the operator grants it (`--allow-connect HOST[:PORT]`).
//!
//! ```no_run
//! use wsrun_guest::client::{Options, Reconnect};
//! use wsrun_guest::{CloseInfo, Connection, Handler, Message, Role, handler, topics};
//!
//! /// Passes what a feed sends to everybody who is connected.
//! #[derive(Default)]
//! struct Relay;
//!
//! #[handler]
//! impl Handler for Relay {
//!     fn started(&mut self) {
//!         let feed = Options::new("wss://feed.example/prices")
//!             .protocol("ticker")
//!             .reconnect(Reconnect::default())
//!             .connect();
//!         if let Err(error) = feed {
//!             eprintln!("no feed: {error}");
//!         }
//!     }
//!
//!     fn opened(&mut self, connection: Connection) {
//!         let role = connection.request().map(|request| request.role);
//!         if role == Some(Role::Server) {
//!             let _ = connection.subscribe("prices");
//!         }
//!     }
//!
//!     fn received(&mut self, _connection: Connection, message: Message) {
//!         let _ = topics::publish("prices", &message);
//!     }
//!
//!     fn closed(&mut self, connection: Connection, info: CloseInfo) {
//!         if let Some(failure) = connection.failure() {
//!             eprintln!("no feed: {failure} ({})", info.reason);
//!         }
//!     }
//! }
//! ```

use std::time::Duration;

use crate::Connection;
use crate::bindings::handler::wsrun::websocket::client;
pub use crate::bindings::handler::wsrun::websocket::client::{Failure, Phase, Response};
pub use crate::error::ConnectError;
use crate::headers;
use crate::timers::whole_millis;

/// Where and how to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing happens before `connect`"]
pub struct Options {
    url: String,
    protocols: Vec<String>,
    host: Option<String>,
    origin: Option<String>,
    headers: Vec<(String, String)>,
    verify: client::Verify,
    identity: Option<String>,
    version: Option<u8>,
    compression: bool,
    timeout: Option<Duration>,
    reconnect: Option<Reconnect>,
    session: Vec<u8>,
}

impl Options {
    /// A connection to a `ws://` or `wss://` URL without a fragment, at most 8 KiB. It offers no subprotocol, and compression.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            protocols: Vec::new(),
            host: None,
            origin: None,
            headers: Vec::new(),
            verify: client::Verify::Full,
            identity: None,
            version: None,
            compression: true,
            timeout: None,
            reconnect: None,
            session: Vec::new(),
        }
    }

    /// Offers a subprotocol; call it again for more, the preferred first. No two may be the same.
    pub fn protocol(mut self, protocol: impl Into<String>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// The Host header, in place of the one that the URL means.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// The Origin header. There is none without this.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Adds a header field to the request. Those of the handshake itself are the host's: naming one is [`ConnectError::Invalid`].
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Trusts a self-signed certificate too, if it is for the name in the URL. Without this the certificate must be issued by a root of the
    /// platform or of the operator (`--connect-ca`).
    pub fn allow_self_signed(mut self) -> Self {
        self.verify = client::Verify::AllowSelfSigned;
        self
    }

    /// The name of a client certificate that the operator gave (`--client-cert NAME=CERT,KEY`); an unknown one is
    /// [`ConnectError::Denied`].
    pub fn identity(mut self, name: impl Into<String>) -> Self {
        self.identity = Some(name.into());
        self
    }

    /// The version of the protocol: 13, 8 or 7. Without this the newest.
    pub fn version(mut self, version: u8) -> Self {
        self.version = Some(version);
        self
    }

    /// Whether to offer permessage-deflate (RFC 7692), which is the default.
    pub fn compression(mut self, offered: bool) -> Self {
        self.compression = offered;
        self
    }

    /// The time for name and transport, for TLS and for the opening handshake, each, in whole milliseconds. Without this it is the
    /// operator's `--connect-timeout`, which is also the most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Lets the host connect again, under the same id, when the connection is lost or cannot be made.
    /// [`Handler::lost`](crate::Handler::lost) and [`Handler::restored`](crate::Handler::restored) tell of it.
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = Some(reconnect);
        self
    }

    /// The session data of the new connection, at most 64 KiB by default; more is [`ConnectError::Invalid`].
    pub fn session_bytes(mut self, data: impl Into<Vec<u8>>) -> Self {
        self.session = data.into();
        self
    }

    /// The session data of the new connection as a value, for [`Connection::session`].
    ///
    /// # Panics
    ///
    /// When the `Serialize` of `T` fails.
    #[cfg(feature = "session")]
    pub fn session<T: serde::Serialize + ?Sized>(self, value: &T) -> Self {
        self.session_bytes(crate::session::encode(value))
    }

    /// Connects once the callback has returned.
    ///
    /// The connection has session data and timers from then on. [`Handler::opened`](crate::Handler::opened) follows, or
    /// [`Handler::closed`](crate::Handler::closed) with 1006 and no `opened` before it: [`Connection::failure`] tells there why.
    ///
    /// # Errors
    ///
    /// When no attempt is made: the operator does not allow it, an option cannot be used, or there are too many outbound connections.
    pub fn connect(&self) -> Result<Connection, ConnectError> {
        let protocols: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let id = client::connect(client::Options {
            url: &self.url,
            protocols: &protocols,
            host: self.host.as_deref(),
            origin: self.origin.as_deref(),
            headers: &headers,
            verify: self.verify,
            identity: self.identity.as_deref(),
            version: self.version,
            compression: self.compression,
            timeout_ms: self.timeout.map(whole_millis),
            reconnect: self.reconnect.map(Reconnect::into_record),
            session: &self.session,
        })?;
        Ok(Connection::from_id(id))
    }
}

/// When the host connects again by itself: the wait doubles with each attempt in a row that fails, and half of it is random.
///
/// By default the first attempt is made after half a second, the longest wait is half a minute, and there is no limit of attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Reconnect {
    attempts_max: u32,
    delay: Option<Duration>,
    delay_max: Option<Duration>,
}

impl Reconnect {
    /// Gives up after this many attempts in a row that failed; 0 for no limit.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts;
        self
    }

    /// The wait before the first attempt, in whole milliseconds.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// The longest wait, in whole milliseconds.
    pub fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = Some(delay);
        self
    }

    fn into_record(self) -> client::Reconnect {
        client::Reconnect {
            attempts_max: self.attempts_max,
            delay_ms: self.delay.map(whole_millis),
            delay_max_ms: self.delay_max.map(whole_millis),
        }
    }
}

impl Response {
    /// The value of the first header field with this name, in any case; `None` when there is none or it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        headers::text(&self.headers, name)
    }

    /// The values of all header fields with this name, in any case, in order.
    pub fn header_values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        headers::values(&self.headers, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_leaves_what_was_not_said_to_the_host() {
        let record = Reconnect::default().into_record();
        assert_eq!(
            (record.attempts_max, record.delay_ms, record.delay_max_ms),
            (0, None, None)
        );
        let record = Reconnect::default()
            .attempts_max(3)
            .delay(Duration::from_micros(1))
            .delay_max(Duration::from_secs(2))
            .into_record();
        assert_eq!(
            (record.attempts_max, record.delay_ms, record.delay_max_ms),
            (3, Some(1), Some(2000))
        );
    }

    #[test]
    fn response_headers_are_found_in_any_case() {
        let response = Response {
            status: 401,
            headers: vec![("www-authenticate".to_owned(), b"Basic".to_vec())],
        };
        assert_eq!(response.header("WWW-Authenticate"), Some("Basic"));
        assert_eq!(response.header_values("location").count(), 0);
    }
}
