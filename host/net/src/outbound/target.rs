//! The target of a URL.

use std::path::PathBuf;

use rustls::pki_types::ServerName;
use thiserror::Error;

/// The most bytes of a URL.
const URL_BYTES_MAX: usize = 8 * 1024;

/// The target of a URL.
#[derive(Debug)]
pub(super) struct Target {
    pub place: Place,
    /// The name that the server must prove over TLS. None without TLS.
    pub server_name: Option<ServerName<'static>>,
    /// The value of the Host header.
    pub host: String,
    /// The path, percent-encoded, beginning with `/`.
    pub path: String,
    pub query: Option<String>,
}

/// The transport's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The host, a name or an address without brackets, and the port.
    Tcp(String, u16),
    Unix(PathBuf),
}

/// The reason why a URL is not a valid target.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum TargetError {
    #[error("the URL is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    #[error(
        "this is not a URL ({0}); it must look like ws://127.0.0.1:9000/ or wss://example.com/path"
    )]
    NotUrl(url::ParseError),
    #[error("`{0}:` is not the scheme of a WebSocket URL: use ws:// or wss://")]
    Scheme(String),
    #[error("a WebSocket URL has no fragment (#…)")]
    Fragment,
    #[error("a WebSocket URL has no user name and password: say them in an Authorization header")]
    UserInfo,
    #[error("nobody can be connected to at port 0")]
    PortZero,
    #[error("`{0}` cannot be the name of a server")]
    Name(String),
}

impl Target {
    /// Parses a `ws://` or `wss://` URL.
    pub(super) fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > URL_BYTES_MAX {
            return Err(TargetError::TooLong);
        }
        let url = url::Url::parse(text).map_err(TargetError::NotUrl)?;
        let secure = match url.scheme() {
            "ws" => false,
            "wss" => true,
            other => return Err(TargetError::Scheme(other.to_owned())),
        };
        // RFC 6455, 3: "Fragment identifiers are meaningless in the context of WebSocket URIs and
        // MUST NOT be used".
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        let shown = url
            .host_str()
            .ok_or(TargetError::NotUrl(url::ParseError::EmptyHost))?;
        let port = url.port().unwrap_or(if secure { 443 } else { 80 });
        if port == 0 {
            return Err(TargetError::PortZero);
        }
        // RFC 6455, 4.1: the port is in the header only if it is not the scheme's default. The
        // parser has removed it otherwise.
        let host = match url.port() {
            Some(port) => format!("{shown}:{port}"),
            None => shown.to_owned(),
        };
        let name = shown.trim_matches(['[', ']']);
        let server_name = secure.then(|| {
            // The root's dot is not part of the names in certificates.
            let name = name.strip_suffix('.').unwrap_or(name);
            ServerName::try_from(name.to_owned()).map_err(|_| TargetError::Name(name.to_owned()))
        });
        Ok(Self {
            place: Place::Tcp(name.to_owned(), port),
            server_name: server_name.transpose()?,
            host,
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
        })
    }

    /// Returns the target of a Unix socket, for the operator's own client.
    pub(super) fn unix(path: PathBuf) -> Self {
        Self {
            place: Place::Unix(path),
            server_name: None,
            host: "localhost".to_owned(),
            path: "/".to_owned(),
            query: None,
        }
    }

    /// Returns the target of the request line.
    pub(super) fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (Place, bool, String, String) {
        let target = Target::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let path = target.path_and_query();
        (
            target.place,
            target.server_name.is_some(),
            target.host,
            path,
        )
    }

    fn tcp(name: &str, port: u16) -> Place {
        Place::Tcp(name.to_owned(), port)
    }

    #[test]
    fn url_gives_place_host_header_and_path() {
        for (url, place, secure, host, path) in [
            (
                "ws://[::1]:9000/a%20b?c=d",
                tcp("::1", 9000),
                false,
                "[::1]:9000",
                "/a%20b?c=d",
            ),
            (
                "wss://example.com",
                tcp("example.com", 443),
                true,
                "example.com",
                "/",
            ),
            (
                "wss://example.com:443/",
                tcp("example.com", 443),
                true,
                "example.com",
                "/",
            ),
            (
                "wss://example.com:80/?",
                tcp("example.com", 80),
                true,
                "example.com:80",
                "/?",
            ),
            (
                "ws://example.com:80",
                tcp("example.com", 80),
                false,
                "example.com",
                "/",
            ),
            (
                "ws://EXAMPLE.com:443",
                tcp("example.com", 443),
                false,
                "example.com:443",
                "/",
            ),
            (
                "wss://[2001:DB8::0:1]/",
                tcp("2001:db8::1", 443),
                true,
                "[2001:db8::1]",
                "/",
            ),
            (
                "ws://bücher.example/ü",
                tcp("xn--bcher-kva.example", 80),
                false,
                "xn--bcher-kva.example",
                "/%C3%BC",
            ),
            (
                "wss://example.com./",
                tcp("example.com.", 443),
                true,
                "example.com.",
                "/",
            ),
        ] {
            assert_eq!(
                parsed(url),
                (place, secure, host.to_owned(), path.to_owned()),
                "{url}"
            );
        }
    }

    #[test]
    fn numbers_in_odd_forms_are_addresses() {
        for url in [
            "ws://0x7f.1/",
            "ws://2130706433/",
            "ws://017700000001/",
            "ws://0x7f000001/",
            "ws://127.1/",
            "ws://127.0.0.1./",
            "ws://%31%32%37.0.0.1/",
            "ws://１２７.０.０.１/",
            "ws://127。0。0。1/",
            "ws://0177.0.0.01/",
        ] {
            assert_eq!(parsed(url).0, tcp("127.0.0.1", 80), "{url}");
        }
        assert_eq!(
            parsed("ws://[::ffff:127.0.0.1]/").0,
            tcp("::ffff:7f00:1", 80)
        );
    }

    #[test]
    fn what_is_no_websocket_url_is_refused() {
        let scheme = |scheme: &str| TargetError::Scheme(scheme.to_owned());
        for (url, error) in [
            ("http://a", scheme("http")),
            ("file:///etc/passwd", scheme("file")),
            ("ws+unix:/a", scheme("ws+unix")),
            (
                "a",
                TargetError::NotUrl(url::ParseError::RelativeUrlWithoutBase),
            ),
            ("ws://", TargetError::NotUrl(url::ParseError::EmptyHost)),
            (
                "ws://256.0.0.1/",
                TargetError::NotUrl(url::ParseError::InvalidIpv4Address),
            ),
            (
                "ws://[::1%25lo]/",
                TargetError::NotUrl(url::ParseError::InvalidIpv6Address),
            ),
            ("ws://a/#b", TargetError::Fragment),
            ("ws://a/#", TargetError::Fragment),
            ("ws://user@a/", TargetError::UserInfo),
            ("ws://:password@a/", TargetError::UserInfo),
            ("ws://a:0/", TargetError::PortZero),
            ("wss://a$/", TargetError::Name("a$".to_owned())),
        ] {
            assert_eq!(Target::parse(url).map(|_| ()), Err(error), "{url}");
        }
        let long = |bytes: usize| Target::parse(&format!("ws://a/{}", "b".repeat(bytes - 7)));
        assert!(long(URL_BYTES_MAX).is_ok());
        assert_eq!(
            long(URL_BYTES_MAX + 1).map(|_| ()),
            Err(TargetError::TooLong)
        );
    }
}
