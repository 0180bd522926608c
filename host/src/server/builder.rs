//! The settings of a server, set one by one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Server, StartError};
use crate::config::{Config, HandlerConfig, HandlerSource, Inherited, Listen, TlsFiles};
use wsrun_contract::Scope;

/// The builder of a [`Server`]. It can set everything that the command line can. Settings without a
/// method of their own are set with [`configure`](Self::configure).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    config: Config,
    listen: Option<Vec<Listen>>,
    values: BTreeMap<String, String>,
    scope: Option<Scope>,
}

impl Builder {
    /// Listens on an IPv4 or IPv6 address; port 0 picks a free one. Each call adds an address.
    /// Without any, the server listens on 127.0.0.1:9000.
    pub fn listen_tcp(self, address: SocketAddr) -> Self {
        self.listen(Listen::Tcp(address))
    }

    /// Listens on a Unix socket.
    pub fn listen_unix(self, path: impl Into<PathBuf>) -> Self {
        self.listen(Listen::Unix(path.into()))
    }

    /// Listens on a socket that is bound already: a [`std::net::TcpListener`] or a
    /// [`std::os::unix::net::UnixListener`].
    pub fn listen_on(self, listener: impl Into<Inherited>) -> Self {
        self.listen(Listen::Inherited(listener.into()))
    }

    fn listen(mut self, listen: Listen) -> Self {
        self.listen.get_or_insert_default().push(listen);
        self
    }

    /// Listens on no address. Only handlers and [`Publisher::connect`](super::Publisher::connect)
    /// make connections then.
    pub fn client_only(mut self) -> Self {
        self.listen = Some(Vec::new());
        self
    }

    /// Sets the default handler: a component file or a [`Native`](crate::native::Native) handler.
    /// This handler serves clients that name no subprotocol, or one that has no handler.
    pub fn handler(mut self, source: impl Into<HandlerSource>) -> Self {
        // The first handler is the default.
        let handler = HandlerConfig::new(None, source.into());
        self.config.handlers.insert(0, handler);
        self
    }

    /// Adds a handler for clients that offer this subprotocol. Without [`handler`](Self::handler),
    /// the first one added is the default.
    pub fn protocol(mut self, name: &str, source: impl Into<HandlerSource>) -> Self {
        let handler = HandlerConfig::new(Some(name.to_owned()), source.into());
        self.config.handlers.push(handler);
        self
    }

    /// Sets a value that handlers can ask for (`host-info.config`).
    pub fn value(mut self, key: &str, value: &str) -> Self {
        self.values.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Sets the connections that share an instance, for all handlers; [`Scope::Shared`] by default.
    /// [`configure`](Self::configure) sets it for one handler.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Sets the number of worker threads, 1 by default.
    pub fn workers(mut self, workers: u16) -> Self {
        self.config.workers = workers;
        self
    }

    /// Serves TLS with this certificate chain and key (PEM files).
    pub fn tls(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.config.tls = Some(TlsFiles {
            certificate: certificate.into(),
            key: key.into(),
        });
        self
    }

    /// Answers plain requests with the files of a folder.
    pub fn static_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.connection.static_dir = Some(folder.into());
        self
    }

    /// Lets handlers answer plain requests with the files of a folder.
    pub fn files_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.config.connection.files_dir = Some(folder.into());
        self
    }

    /// Changes any setting.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Loads the handlers and binds the addresses.
    ///
    /// # Errors
    ///
    /// Fails when any part of this fails. Nothing is left bound then.
    pub fn build(self) -> Result<Server, StartError> {
        let mut config = self.config;
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(scope) = self.scope {
            for handler in &mut config.handlers {
                handler.scope = scope;
            }
        }
        if !self.values.is_empty() {
            let values = Arc::new(self.values);
            for handler in &mut config.handlers {
                handler.config = Arc::clone(&values);
            }
        }
        Server::new(config)
    }
}
