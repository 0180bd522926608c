//! A server: engine, handlers, listeners and workers, started in this order and stopped in reverse.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use crate::config::Config;
use crate::handler::{Handler, REMOTE_QUEUE_MAX, Registry, Remote};
pub use crate::listener::{Address, ListenError};
pub use crate::tls::TlsError;
pub use crate::wasm::component::ComponentError;
pub use crate::wasm::error::GuestError;

use crate::listener::{self, Bound, SocketFile};
use crate::outbound::Outbound;
use crate::tls::Tls;
use crate::wasm::component;
use crate::wasm::engine::{EpochTicker, engine};
use crate::wasm::instance::Instances;
use crate::wasm::linker::{Linked, linker};
use crate::worker::Worker;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// A file is not a handler.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A handler did not come up.
    #[error("handler {name} does not start: {cause}{}", frames(.cause))]
    Handler {
        /// Its name.
        name: String,
        /// What happened.
        cause: GuestError,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The engine, a thread or a runtime cannot be made.
    #[error("cannot start: {0}")]
    Host(String),
}

fn frames(error: &GuestError) -> String {
    match error.backtrace() {
        "" => String::new(),
        frames => format!("\n{frames}"),
    }
}

/// A running server. Dropping it stops it without grace.
pub struct Server {
    addresses: Vec<Address>,
    secure: bool,
    tls: Option<Arc<Tls>>,
    shutdown: watch::Sender<bool>,
    workers: Vec<JoinHandle<bool>>,
    /// Removed with the server.
    _socket_files: Vec<SocketFile>,
    /// Advances the epoch that ends callbacks which run for too long: needed as long as a worker lives.
    _ticker: EpochTicker,
}

impl Server {
    /// Loads the handlers, binds the addresses and starts the workers. When it returns, connections are accepted.
    ///
    /// # Errors
    ///
    /// When any part of it fails: nothing is left running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        validate(&config)?;
        let host = |error: &dyn std::fmt::Display| StartError::Host(error.to_string());
        let engine = engine(config.cache_dir.clone()).map_err(|error| host(&error))?;
        let linker = linker(&engine).map_err(|error| host(&error))?;
        let mut handlers = Vec::new();
        for handler in &config.handlers {
            let (component, exports) = component::load(&engine, &handler.file)?;
            let file = handler.file.display().to_string();
            handlers.push(Linked::new(&linker, &component, exports, &file)?);
        }
        let tls = config.tls.clone().map(Tls::new).transpose()?.map(Arc::new);
        let (addresses, bound, socket_files) = bind(&config)?;
        let ticker = EpochTicker::start(&engine).map_err(|error| host(&error))?;
        let (shutdown, stopping) = watch::channel(false);
        let secure = tls.is_some();
        let mut server = Self {
            addresses,
            secure,
            tls,
            shutdown,
            workers: Vec::new(),
            _socket_files: socket_files,
            _ticker: ticker,
        };
        server.start_workers(Arc::new(config), &handlers, bound, &stopping)?;
        Ok(server)
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The URL of an address of this server.
    pub fn url(&self, address: &Address) -> String {
        match address {
            Address::Tcp(address) if self.secure => format!("wss://{address}"),
            Address::Tcp(address) => format!("ws://{address}"),
            Address::Unix(path) => format!("ws+unix:{}", path.display()),
        }
    }

    /// Reads the certificate files again.
    ///
    /// # Errors
    ///
    /// When they cannot be used: those in use before stay in use.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// The folders to watch and the files in them that [`Server::reload_tls`] reads.
    pub(crate) fn tls_files(&self) -> Vec<&Path> {
        self.tls
            .as_ref()
            .map(|tls| tls.files().to_vec())
            .unwrap_or_default()
    }

    /// Stops: no new connections, 1001 to all, and an end after the configured time. True when every connection had closed by then.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.shutdown.send_replace(true);
        let mut clean = true;
        for worker in self.workers.drain(..) {
            clean &= worker.join().unwrap_or(false);
        }
        clean
    }

    fn start_workers(
        &mut self,
        config: Arc<Config>,
        handlers: &[Linked],
        mut bound: Vec<Vec<Bound>>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let slots = Arc::new(AtomicUsize::new(0));
        let outbound = Arc::new(Outbound);
        // One channel per worker and handler.
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..config.workers)
            .map(|_| channels(handlers.len()))
            .unzip();
        let mut started = Vec::new();
        for (index, remotes) in (0..config.workers).zip(receivers) {
            let mut peers: Vec<Vec<_>> = vec![Vec::new(); handlers.len()];
            for (other, senders) in (0..config.workers).zip(&senders) {
                if other != index {
                    peers
                        .iter_mut()
                        .zip(senders)
                        .for_each(|(peers, sender)| peers.push(sender.clone()));
                }
            }
            let (report, result) = oneshot::channel();
            started.push(result);
            let plan = Plan {
                index,
                config: Arc::clone(&config),
                handlers: handlers.to_vec(),
                bound: bound.iter_mut().filter_map(Vec::pop).collect(),
                tls: self.tls.clone(),
                slots: Arc::clone(&slots),
                outbound: Arc::clone(&outbound),
                shutdown: stopping.clone(),
                peers,
                remotes,
            };
            let thread = std::thread::Builder::new()
                .name(format!("wsrun-worker-{index}"))
                .spawn(move || plan.run(report))
                .map_err(|error| StartError::Host(error.to_string()))?;
            self.workers.push(thread);
        }
        for result in started {
            result
                .blocking_recv()
                .unwrap_or_else(|_| Err(StartError::Host("a worker ended at start".into())))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn validate(config: &Config) -> Result<(), StartError> {
    let fail = |text: String| Err(StartError::Config(text));
    if config.handlers.is_empty() {
        return fail("no handler: name a component, or use --protocol NAME=FILE".into());
    }
    if config.workers == 0 || config.workers > 1_024 {
        return fail(format!(
            "--workers {}: it must be 1 to 1024",
            config.workers
        ));
    }
    for (n, handler) in config.handlers.iter().enumerate() {
        if config.handlers[..n]
            .iter()
            .any(|other| other.protocol == handler.protocol)
        {
            return fail(format!(
                "--protocol {}: this name is given twice",
                handler.name()
            ));
        }
    }
    if let Some(folder) = &config.static_dir
        && !folder.is_dir()
    {
        return fail(format!(
            "--static {}: there is no such folder",
            folder.display()
        ));
    }
    if config.connections_max == 0 {
        return fail("--max-connections 0: nobody could connect".into());
    }
    if !(1..=HEADERS_LIMIT).contains(&config.limits.headers_max) {
        return fail(format!(
            "--max-headers {}: it must be 1 to {HEADERS_LIMIT}",
            config.limits.headers_max
        ));
    }
    if config.limits.header_bytes_max > HEADER_BYTES_LIMIT {
        return fail(format!(
            "--max-header-bytes {}: it must be at most {HEADER_BYTES_LIMIT}",
            config.limits.header_bytes_max
        ));
    }
    if let (Some(ping), Some(idle)) = (config.timeouts.ping_interval, config.timeouts.idle_timeout)
        && idle <= ping
    {
        return fail(format!(
            "--idle-timeout {idle:?} is not longer than --ping-interval {ping:?}: a quiet peer would be given up without having been \
             pinged; change one of them, or turn pings off"
        ));
    }
    if config.handler_limits.blocking_timeout < config.handler_limits.callback_timeout {
        return fail(format!(
            "--blocking-timeout {:?} is shorter than --callback-timeout {:?}, which it contains",
            config.handler_limits.blocking_timeout, config.handler_limits.callback_timeout
        ));
    }
    if config.limits.header_bytes_max < HEADER_BYTES_MIN {
        return fail(format!(
            "--max-header-bytes {}: it must be at least {HEADER_BYTES_MIN}",
            config.limits.header_bytes_max
        ));
    }
    Ok(())
}

/// What hyper needs for a request's head.
const HEADER_BYTES_MIN: usize = 8_192;

/// What a request's head may be given at most: each connection may hold as much.
const HEADER_BYTES_LIMIT: usize = 16 * 1024 * 1024;
const HEADERS_LIMIT: usize = 10_000;

/// The addresses, for each of them a listener per worker, and the files that this made.
type Listening = (Vec<Address>, Vec<Vec<Bound>>, Vec<SocketFile>);

fn bind(config: &Config) -> Result<Listening, StartError> {
    let (mut addresses, mut bound, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for listen in &config.listen {
        let (address, listeners) = listener::bind(listen, config.workers)?;
        if let Address::Unix(path) = &address {
            files.push(SocketFile::new(path));
        }
        addresses.push(address);
        bound.push(listeners);
    }
    Ok((addresses, bound, files))
}

fn channels(count: usize) -> (Vec<mpsc::Sender<Remote>>, Vec<mpsc::Receiver<Remote>>) {
    (0..count).map(|_| mpsc::channel(REMOTE_QUEUE_MAX)).unzip()
}

/// What a worker thread is started with.
struct Plan {
    index: u16,
    config: Arc<Config>,
    handlers: Vec<Linked>,
    bound: Vec<Bound>,
    tls: Option<Arc<Tls>>,
    slots: Arc<AtomicUsize>,
    outbound: Arc<Outbound>,
    shutdown: watch::Receiver<bool>,
    /// Per handler, the senders to the other workers.
    peers: Vec<Vec<mpsc::Sender<Remote>>>,
    remotes: Vec<mpsc::Receiver<Remote>>,
}

impl Plan {
    /// The worker's life. True when every connection had closed before the end.
    fn run(self, report: oneshot::Sender<Result<(), StartError>>) -> bool {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = report.send(Err(StartError::Host(error.to_string())));
                return false;
            }
        };
        let local = LocalSet::new();
        let clean = local.block_on(&runtime, self.work(report));
        drop(local);
        // A read of a file that never ends must not hold the end of the server.
        runtime.shutdown_background();
        clean
    }

    async fn work(mut self, report: oneshot::Sender<Result<(), StartError>>) -> bool {
        let timeout = self.config.shutdown_timeout;
        let mut shutdown = self.shutdown.clone();
        let worker = match self.start_handlers().await {
            Ok(worker) => worker,
            Err(error) => {
                let _ = report.send(Err(error));
                return false;
            }
        };
        for bound in std::mem::take(&mut self.bound) {
            let accepting = listener::accept(bound, Rc::clone(&worker), self.tls.clone());
            tokio::task::spawn_local(async move {
                if let Err(error) = accepting.await {
                    tracing::error!("a listener could not be started: {error}");
                }
            });
        }
        if report.send(Ok(())).is_err() {
            return false;
        }
        let _ = shutdown.wait_for(|shutdown| *shutdown).await;
        closed(&worker, timeout).await
    }

    async fn start_handlers(&mut self) -> Result<Rc<Worker>, StartError> {
        let worker = Rc::new(Worker::new(
            self.index,
            Arc::clone(&self.config),
            Arc::clone(&self.outbound),
            Arc::clone(&self.slots),
            self.shutdown.clone(),
        ));
        let mut handlers = Vec::new();
        let peers = std::mem::take(&mut self.peers);
        for ((config, linked), peers) in self
            .config
            .handlers
            .iter()
            .zip(self.handlers.drain(..))
            .zip(peers)
        {
            let limits = self.config.handler_limits.clone();
            let name: Arc<str> = config.name().into();
            let exports = linked.exports;
            let registry = Registry::new(
                Arc::clone(&name),
                Arc::clone(&config.config),
                limits.clone(),
                exports.timer_handler,
                Rc::clone(&worker),
            );
            let handler = Handler::new(Rc::new(registry), Rc::clone(&worker), exports, peers);
            handler
                .start(Instances::new(&name, linked, limits))
                .await
                .map_err(|cause| StartError::Handler {
                    name: name.to_string(),
                    cause,
                })?;
            handlers.push(handler);
        }
        for (handler, mut remote) in handlers.iter().zip(self.remotes.drain(..)) {
            let handler = Rc::clone(handler);
            tokio::task::spawn_local(async move {
                while let Some(message) = remote.recv().await {
                    handler.take_remote(message).await;
                }
            });
        }
        if worker.handlers.set(handlers).is_err() {
            unreachable!("the handlers of a worker are set once");
        }
        Ok(worker)
    }
}

/// Waits until every connection of a worker has closed, or the time is up.
async fn closed(worker: &Worker, timeout: Duration) -> bool {
    const LOOK: Duration = Duration::from_millis(10);
    let deadline = Instant::now() + timeout;
    while worker.writing.get() > 0
        || worker
            .handlers()
            .iter()
            .any(|handler| !handler.registry.is_empty())
    {
        if Instant::now() >= deadline {
            let left: usize = worker
                .handlers()
                .iter()
                .map(|handler| handler.registry.len())
                .sum();
            tracing::warn!(
                left,
                "connections had not closed when --shutdown-timeout was over"
            );
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}
