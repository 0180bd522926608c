//! The settings of accepting connections and of answering plain requests.

use std::path::PathBuf;

use wsrun_proto::http::origin::Allowed;

use crate::dev::Dev;
use wsrun_contract::Setting;
use wsrun_net::network_filter::NetworkFilter;

/// The settings of accepting connections and of answering plain requests.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Which pages of other origins may connect. Requests without an Origin header are not a browser's and always may.
    pub origins: Origins,
    /// Which addresses may connect over TCP: all by default.
    pub network: NetworkFilter,
    /// Connections at a time over all workers, 10,000 by default, HTTP and handshakes included. One more is answered 503.
    pub connections_max: usize,
    /// Connections of one address over all workers, HTTP and handshakes included; of IPv6, of one /64. None, which is the default, for no
    /// limit: behind a proxy all come from one address. One more is cut off before TLS, or answered 503 where there is none. Unix sockets
    /// are not concerned.
    pub connections_per_address_max: Option<usize>,
    /// The body of a plain HTTP request to a handler, 1 MiB by default. More is answered with 413.
    pub request_body_bytes_max: u64,
    /// A folder whose files answer plain HTTP requests. Opened once, when the server is made.
    pub static_dir: Option<PathBuf>,
    /// The folder whose files handlers may answer plain HTTP requests with ([`HttpBody::File`](wsrun_contract::HttpBody::File)). Without
    /// it such an answer is sent as 404.
    pub files_dir: Option<PathBuf>,
    /// Serves the page of `wsrun dev` below `/.wsrun/`, to poke at the default handler and to see how its build goes. For development alone.
    pub dev: Option<Dev>,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        Self {
            origins: Origins::default(),
            network: NetworkFilter::default(),
            connections_max: 10_000,
            connections_per_address_max: None,
            request_body_bytes_max: 1024 * 1024,
            static_dir: None,
            files_dir: None,
            dev: None,
        }
    }
}

/// Which origins may connect.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Origins beside the server's own.
    pub allowed: Allowed,
}

impl Origins {
    /// Whether a page of `origin` may connect to the server that it calls `host`.
    pub(crate) fn allows(&self, origin: &str, host: &str, secure: bool) -> bool {
        wsrun_proto::http::origin::is_same_origin(origin, host, secure)
            || self.allowed.contains(origin)
    }
}

/// The most bytes that a request's body may be given. A handler gets it in one piece.
const REQUEST_BODY_LIMIT: u64 = 1024 * 1024 * 1024;

/// Settings of connections with which nothing could be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConnections {
    /// A folder does not exist.
    #[error("{setting} {}: there is no such folder", .folder.display())]
    NoFolder {
        /// The setting that names it.
        setting: Setting,
        /// The folder.
        folder: PathBuf,
    },
    /// A body may be larger than what is held in memory.
    #[error("{setting} {0}: it must be at most {REQUEST_BODY_LIMIT}, since a body is held in memory", setting = Setting("connection.request_body_bytes_max"))]
    RequestBody(u64),
    /// There may be no connection.
    #[error("{} 0: nobody could connect", Setting("connection.connections_max"))]
    NoConnections,
}

impl ConnectionSettings {
    /// Checks that connections can be served with these settings.
    ///
    /// # Errors
    ///
    /// Fails with the first setting that does not allow it.
    pub fn check(&self) -> Result<(), InvalidConnections> {
        for (setting, folder) in [
            (Setting("connection.static_dir"), &self.static_dir),
            (Setting("connection.files_dir"), &self.files_dir),
        ] {
            if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
                let folder = folder.clone();
                return Err(InvalidConnections::NoFolder { setting, folder });
            }
        }
        if self.request_body_bytes_max > REQUEST_BODY_LIMIT {
            return Err(InvalidConnections::RequestBody(self.request_body_bytes_max));
        }
        if self.connections_max == 0 {
            return Err(InvalidConnections::NoConnections);
        }
        Ok(())
    }
}
