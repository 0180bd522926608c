//! What a server is told: every setting with its default and its limit.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

pub use ipnet::IpNet;

pub use crate::connection::files::FolderError;
pub use crate::connection::settings::{ConnectionSettings, InvalidConnections, Origins};
use crate::native::Native;
pub use crate::privileges::Privileges;
pub use wsrun_contract::{
    ComputeLimits, ContractLimits, HandlerLimits, InvalidLimits, MemoryLimits, Rates, Resilience,
    Scope, TrafficLimits,
};
use wsrun_contract::{Fault, LONGEST, Setting};
use wsrun_metrics::text;
pub use wsrun_net::listener::{Inherited, Listen};
pub use wsrun_net::network_filter::NetworkFilter;
pub use wsrun_net::outbound::OutboundConfig;
pub use wsrun_net::outbound::grants::{Grant, GrantError, Grants};
pub use wsrun_net::tls::TlsFiles;
pub use wsrun_runtime::runtime_settings::{InvalidRuntime, RuntimeSettings};
pub use wsrun_tape::RecordConfig;
pub use wsrun_wasm::settings::{Compilation, Coredumps, InvalidWasm, ProgramFormat, WasmSettings};

/// The most threads with connections.
const WORKERS_MAX: u16 = 1_024;

/// The highest nice value, as setpriority(2) has it. Values below 0 are for privileged users.
const NICE_MAX: u8 = 19;

/// Settings that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no handler.
    #[error(
        "no handler: name a component, or use {} NAME=FILE",
        Setting("handlers.protocol")
    )]
    NoHandler,
    /// There are too many workers, or none that accepts.
    #[error(
        "{} {workers} and {} {}: together they must be 1 to {WORKERS_MAX}, one at least of {}",
        Setting("workers"), .own, Setting("handlers.own_worker"), Setting("workers")
    )]
    Workers {
        /// The workers that accept.
        workers: u16,
        /// The workers of single handlers.
        own: u16,
    },
    /// The nice value is out of range.
    #[error("{setting} {0}: it is from 0 to {NICE_MAX}", setting = Setting("handlers.own_worker_nice"))]
    Nice(u8),
    /// A handler whose connections do not share an instance has a worker of its own.
    #[error(
        "{setting} {0}: only a handler of {scope} shared has one",
        setting = Setting("handlers.own_worker"), scope = Setting("handlers.scope")
    )]
    OwnWorkerScope(String),
    /// Two handlers have one subprotocol, or are both the default.
    #[error("{setting} {0}: this name is given twice", setting = Setting("handlers.protocol"))]
    ProtocolTwice(String),
    /// Two handlers have one name.
    #[error(
        "two handlers are called {0:?}: a handler is known by its {protocol}, or without one by the name of its file, in `wsrun ctl`, the log \
         and the metrics; rename the file, or give the other handler another {protocol}",
        protocol = Setting("handlers.protocol")
    )]
    NameTwice(String),
    /// All connections of a handler together may wait for less than one of them may.
    #[error(
        "{} {handler} is smaller than {} {connection}, which is for one connection",
        Setting("traffic.queued_bytes_max"),
        Setting("runtime.limits.queued_bytes_max")
    )]
    HandlerQueue {
        /// Bytes of all connections.
        handler: usize,
        /// Bytes of one.
        connection: usize,
    },
    /// A handler exports what its scope does not have.
    #[error("handler {name}: {misfit}")]
    Scope {
        /// The name of the handler.
        name: String,
        /// The export, and the scopes that have it.
        misfit: String,
    },
    /// A server that is turned by its caller was asked for threads of its own.
    #[error("the server runs on this thread already: call spawn instead of service")]
    Turned,
    /// A server of several workers was asked to be turned by its caller.
    #[error("{0}")]
    Threads(&'static str),
    /// The limits of a handler.
    #[error(transparent)]
    Limits(#[from] InvalidLimits),
    /// The protocol.
    #[error(transparent)]
    Runtime(#[from] InvalidRuntime),
    /// Connections and plain requests.
    #[error(transparent)]
    Connection(#[from] InvalidConnections),
    /// Components.
    #[error(transparent)]
    Wasm(#[from] InvalidWasm),
    /// A folder cannot be opened or looked into.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl ConfigError {
    /// Returns who can mend it: the operator.
    pub fn fault(&self) -> Fault {
        Fault::Operator
    }
}

/// Everything that [`Server::new`](crate::server::Server::new) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, 127.0.0.1:9000 by default. Every worker accepts on all of them.
    pub listen: Vec<Listen>,
    /// The handlers. The first is the default: it gets clients that offer no subprotocol.
    pub handlers: Vec<HandlerConfig>,
    /// Worker threads that accept, 1 by default. At most 1,024, with those of [`HandlerConfig::own_worker`]. Which of them have an instance
    /// of a handler: its [`Scope`].
    pub workers: u16,
    /// PEM files of the certificate chain and the private key; wss and https on every TCP listener.
    pub tls: Option<TlsFiles>,
    /// The protocol, its limits and timeouts, and the end of connections.
    pub runtime: RuntimeSettings,
    /// Accepting connections, and plain requests.
    pub connection: ConnectionSettings,
    /// Outbound connections.
    pub outbound: OutboundConfig,
    /// Compiling and running components.
    pub wasm: WasmSettings,
    /// Who the whole process becomes once every address is bound, before the first handler runs. None: it stays who it is.
    pub privileges: Option<Privileges>,
    /// Records what handlers are called with and ask for, to be played again by `wsrun replay`.
    pub record: Option<RecordConfig>,
}

impl Config {
    /// Checks that the settings do not contradict each other. [`Server::new`](crate::server::Server::new)
    /// does so, too.
    ///
    /// # Errors
    ///
    /// Fails with the first contradiction.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.handlers.is_empty() {
            return Err(ConfigError::NoHandler);
        }
        if self.workers == 0 || self.threads() > WORKERS_MAX {
            return Err(ConfigError::Workers {
                workers: self.workers,
                own: self.threads() - self.workers,
            });
        }
        for (position, handler) in self.handlers.iter().enumerate() {
            handler.check()?;
            handler.check_beside(&self.handlers[..position])?;
            let (all, one) = (
                handler.limits.traffic.queued_bytes_max,
                self.runtime.limits.queued_bytes_max,
            );
            if all < one {
                return Err(ConfigError::HandlerQueue {
                    handler: all,
                    connection: one,
                });
            }
        }
        self.runtime.check()?;
        self.connection.check()?;
        self.wasm.check()?;
        Ok(())
    }

    /// The threads of a server: its workers, and those of single handlers.
    pub(crate) fn threads(&self) -> u16 {
        let own = self.handlers.iter().filter(|handler| handler.own_worker);
        let own = u16::try_from(own.count()).unwrap_or(u16::MAX);
        self.workers.saturating_add(own)
    }

    /// Bounds every time, so that moments which lie that far ahead can be told.
    pub(crate) fn bound_times(&mut self) {
        for handler in &mut self.handlers {
            Arc::make_mut(&mut handler.limits).bound_times();
        }
        self.runtime.bound_times();
        for time in [
            &mut self.wasm.compilation.timeout,
            &mut self.outbound.connect_timeout,
        ] {
            *time = LONGEST.min(*time);
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9000)))],
            handlers: Vec::new(),
            workers: 1,
            tls: None,
            runtime: RuntimeSettings::default(),
            connection: ConnectionSettings::default(),
            outbound: OutboundConfig::default(),
            wasm: WasmSettings::default(),
            privileges: None,
            record: None,
        }
    }
}

/// One handler and how clients reach it.
#[derive(Clone, Debug)]
pub struct HandlerConfig {
    /// The subprotocol that leads to it. None: the default handler, which also gets clients that offer others.
    pub protocol: Option<String>,
    /// What it is.
    pub source: HandlerSource,
    /// What `host-info.config` tells it.
    pub config: Arc<BTreeMap<String, String>>,
    /// The limits of the handler. Several handlers may share them.
    pub limits: Arc<HandlerLimits>,
    /// Which connections share an instance.
    pub scope: Scope,
    /// Whether it has a worker of its own, beside [`Config::workers`]: a thread that nobody else's callbacks run on, which the other workers
    /// hand its connections over to. For one that computes much, or that is not trusted to be quick. Only in the scope
    /// [`Scope::Shared`].
    pub own_worker: bool,
    /// The nice value of that worker's thread (setpriority(2)), from 0, which is the default, to 19: where processors are short, those who
    /// are less nice come first.
    pub own_worker_nice: u8,
}

impl HandlerConfig {
    /// A handler without configuration values.
    pub fn new(protocol: Option<String>, source: HandlerSource) -> Self {
        Self {
            protocol,
            source,
            config: Arc::default(),
            limits: Arc::default(),
            scope: Scope::default(),
            own_worker: false,
            own_worker_nice: 0,
        }
    }

    /// Its name in logs and in `host-info.handler-name`: the subprotocol, else the native handler's name or that of the file without the
    /// extension.
    pub fn name(&self) -> String {
        if let Some(protocol) = &self.protocol {
            return protocol.clone();
        }
        match &self.source {
            HandlerSource::File(file) | HandlerSource::Program(file, _) => file
                .file_stem()
                .map_or_else(String::new, |stem| text::line(stem.to_string_lossy())),
            HandlerSource::Native(native) => text::line(native.name()),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.own_worker_nice > NICE_MAX {
            return Err(ConfigError::Nice(self.own_worker_nice));
        }
        if self.own_worker && self.scope != Scope::Shared {
            return Err(ConfigError::OwnWorkerScope(self.name()));
        }
        Ok(self.limits.check()?)
    }

    /// Checks that clients and operators can tell it from the handlers before it.
    fn check_beside(&self, before: &[Self]) -> Result<(), ConfigError> {
        let name = self.name();
        if before.iter().any(|other| other.protocol == self.protocol) {
            return Err(ConfigError::ProtocolTwice(name));
        }
        if before.iter().any(|other| other.name() == name) {
            return Err(ConfigError::NameTwice(name));
        }
        Ok(())
    }
}

/// Where a handler comes from.
#[derive(Clone, Debug)]
pub enum HandlerSource {
    /// A component, binary or `.wat` text.
    File(PathBuf),
    /// Rust that is linked into the program.
    Native(Native),
    /// A program that knows nothing of this host: a component that exports `wasi:cli/run`, run for each connection with the messages as its
    /// standard input and output.
    Program(PathBuf, ProgramFormat),
}

impl<P: Into<PathBuf>> From<P> for HandlerSource {
    fn from(file: P) -> Self {
        Self::File(file.into())
    }
}

impl From<Native> for HandlerSource {
    fn from(native: Native) -> Self {
        Self::Native(native)
    }
}
