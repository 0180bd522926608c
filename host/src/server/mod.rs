//! A server: engine, handlers, listeners and workers, started in this order and stopped in reverse.
//!
//! [`Server::builder`] takes the settings and [`Builder::build`] loads the handlers and binds the addresses. Then the program chooses who
//! turns the loop:
//!
//! * [`Server::spawn`] gives it threads of its own and returns a [`Running`] server.
//! * [`Server::service`] does a turn on the caller's thread, for a program that owns its main loop; [`Server::as_fd`] is the one descriptor
//!   that a foreign poll loop watches for it.
//!
//! ```
//! use std::time::Duration;
//! use wsrun::contract::{ConnectionId, Message};
//! use wsrun::native::{Context, Handler, Native};
//! use wsrun::server::Server;
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
//!         let _ = cx.send(connection, message);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder()
//!     .listen_tcp("127.0.0.1:0".parse()?)
//!     .handler(Native::new("echo", || Echo))
//!     .build()?;
//! println!("listening on {}", server.url(&server.addresses()[0]));
//! let running = server.spawn()?;
//! // From any thread, as long as it runs:
//! running.publisher().broadcast("echo", None, "hello, everybody")?;
//! assert!(running.shutdown());
//! # Ok(())
//! # }
//! ```

mod builder;
mod contexts;
mod control;
mod exposition;
mod life;
mod local;
mod plans;
mod publisher;
mod record;
mod starting;
mod swap;

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

pub use self::builder::Builder;
use self::contexts::InstanceContexts;
pub use self::control::{Control, HandlerStatus, Phase, Status};
pub use self::publisher::{ConnectFailed, PublishFailed, Publisher};
pub use self::swap::{SwapError, Swapped, Swapper};
use crate::config::{Config, ConfigError, HandlerConfig, HandlerSource, Listen};
use crate::connection::{Folders, Front, OutboundConnector, SharedFront};
pub use crate::privileges::PrivilegeError;
use wsrun_contract::Capabilities;
pub use wsrun_contract::{CallbackError, Fault};
pub use wsrun_net::listener::{Address, ListenError};
pub use wsrun_net::tls::TlsError;
use wsrun_runtime::admission::Admission;
pub use wsrun_runtime::handler::Connecting;
pub use wsrun_tape::RecordError;
pub use wsrun_wasm::cache::CacheError;
pub use wsrun_wasm::component::ComponentError;

use self::control::Listeners;
use self::life::{Plan, closed};
use self::local::Turns;
use self::plans::{Parts, misfit};
use self::record::Recorded;
pub(crate) use self::starting::Starting;
use self::swap::Threads;
use crate::native::Native;
use crate::privileges::Identity;
use wsrun_metrics::Tallies;
use wsrun_metrics::text;
use wsrun_net::listener::{self, Bound, SocketFile};
use wsrun_net::outbound::Outbound;
use wsrun_net::tls::Tls;
use wsrun_runtime::worker;
use wsrun_tape::recorder::{Finish, Recorder};
use wsrun_wasm::engine::{EngineConfig, EpochTicker, engine};
use wsrun_wasm::linker::{Linked, linker};
use wsrun_wasm::meter::ExecutionMeter;
use wsrun_wasm::program::{Program, program_linker};
use wsrun_wasm::taped::taped_linker;
use wsrun_wasm::{cache, component};

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file is not a handler.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A handler did not come up.
    #[error("handler {name} does not start: {cause}{}", frames(.cause))]
    Handler {
        /// Its name.
        name: String,
        /// What happened.
        cause: CallbackError,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The process does not become the user or group that it was told to be.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// Nothing can be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It was stopped before it served.
    #[error("the server was stopped while it started")]
    Stopped,
    /// The engine, a thread or a runtime cannot be made.
    #[error("cannot start: {0}")]
    Host(String),
}

impl StartError {
    /// Returns who can mend it.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Config(error) => error.fault(),
            Self::Component(_) | Self::Handler { .. } => Fault::Handler,
            Self::Tls(_) | Self::Listen(_) | Self::Privileges(_) | Self::Record(_) => {
                Fault::Operator
            }
            Self::Stopped | Self::Host(_) => Fault::Host,
        }
    }
}

fn frames(error: &CallbackError) -> String {
    match error.backtrace() {
        "" => String::new(),
        frames => format!("\n{frames}"),
    }
}

/// A handler that was loaded.
#[derive(Clone)]
enum Source {
    /// Boxed: it is large.
    Component(Box<Linked>, component::Content),
    Native(Native),
    Program(Program),
}

impl Source {
    fn exports(&self) -> Capabilities {
        match self {
            Self::Component(linked, _) => linked.exports,
            Self::Native(native) => native.exports(),
            Self::Program(_) => Program::exports(),
        }
    }

    /// Of a file that can be replaced: what it exports, and the content that was compiled.
    fn served(&self) -> Option<(Capabilities, component::Content)> {
        match self {
            Self::Component(linked, content) => Some((linked.exports, *content)),
            Self::Native(_) | Self::Program(_) => None,
        }
    }
}

/// A server that is bound and not yet running: [`spawn`](Self::spawn) it, or turn it with [`service`](Self::service). Dropping it ends it
/// without grace.
pub struct Server {
    /// Before `shared`: tasks end while what they use is there.
    local: Option<Local>,
    /// One for each worker, until they are started.
    plans: Vec<Plan>,
    shared: Shared,
}

/// A server on threads of its own. Dropping it stops it.
pub struct Running {
    workers: Vec<JoinHandle<bool>>,
    shared: Shared,
}

/// What a server is, whoever turns it.
struct Shared {
    config: Arc<Config>,
    addresses: Vec<Address>,
    tls: Option<Arc<Tls>>,
    publisher: Publisher,
    swapper: Swapper,
    live: watch::Sender<usize>,
    control: Control,
    /// Advances the epoch that ends callbacks which run for too long: needed as long as a worker lives.
    _ticker: EpochTicker,
    /// Written to its end when the workers have ended.
    _tape: Option<Finish>,
}

/// A worker on the caller's thread.
struct Local {
    front: Rc<Front>,
    turns: Turns,
}

impl Server {
    /// Takes the settings of a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Loads the handlers, binds the addresses and drops privileges.
    ///
    /// # Errors
    ///
    /// When any part of it fails: nothing is left bound. A process that did not become the user it was told to be
    /// ([`StartError::Privileges`]) may have changed in part and should end.
    pub fn new(config: Config) -> Result<Self, StartError> {
        Self::new_unless(config, &Starting::default())
    }

    /// The same, unless it is stopped meanwhile.
    pub(crate) fn new_unless(mut config: Config, starting: &Starting) -> Result<Self, StartError> {
        config.bound_times();
        config.check()?;
        let identity = config.privileges.as_ref().map(Identity::look_up);
        let identity = identity.transpose()?.flatten();
        let host = |error: &dyn std::fmt::Display| StartError::Host(error.to_string());
        if let Some(folder) = &config.wasm.cache_dir {
            cache::check(folder).map_err(ComponentError::from)?;
        }
        let engine = engine(&EngineConfig::from(&config.wasm)).map_err(|error| host(&error))?;
        let linker = match config.record {
            None => linker(&engine),
            Some(_) => taped_linker(&engine),
        };
        let linker = linker.map_err(|error| host(&error))?;
        let mut handlers = Vec::new();
        let mut recorded = Recorded::default();
        for handler in &config.handlers {
            let instance_bytes_max = handler.limits.memory.instance_bytes_max;
            handlers.push(match &handler.source {
                HandlerSource::File(file) => {
                    let source = component::Source::read(&config.wasm, file)?;
                    let content = source.content();
                    let loaded = source.load(&engine, &config.wasm, instance_bytes_max)?;
                    if config.record.is_some() {
                        recorded.note(&loaded, file, handler.name());
                    }
                    let file = text::line(file.display());
                    let linked = Linked::new(&linker, &loaded.component, loaded.exports, &file)?;
                    Source::Component(Box::new(linked), content)
                }
                HandlerSource::Native(_) if config.record.is_some() => {
                    return Err(RecordError::Native(handler.name()).into());
                }
                HandlerSource::Native(native) => Source::Native(native.clone()),
                HandlerSource::Program(..) if config.record.is_some() => {
                    return Err(RecordError::Native(handler.name()).into());
                }
                HandlerSource::Program(file, format) => {
                    let component =
                        component::load_program(&engine, &config.wasm, instance_bytes_max, file)?;
                    let linker = program_linker(&engine).map_err(|error| host(&error))?;
                    let file = text::line(file.display());
                    Source::Program(Program::new(&linker, &component, *format, &file)?)
                }
            });
        }
        for (source, handler) in handlers.iter().zip(&config.handlers) {
            if let Some(misfit) = misfit(handler.scope, source.exports()) {
                let name = handler.name();
                return Err(ConfigError::Scope { name, misfit }.into());
            }
        }
        let tls = config.tls.clone().map(Tls::new).transpose()?.map(Arc::new);
        let outbound = Outbound::new(
            &config.outbound,
            config.runtime.limits,
            config.runtime.deflate,
        )?;
        let trusted = Arc::new(outbound.trusted());
        let outbound = Arc::new(outbound);
        let folders = Folders::open(&config.connection).map_err(ConfigError::from)?;
        starting.begin_to_bind()?;
        let (addresses, bound, socket_files) = bind(&config)?;
        // Nothing of a handler has run: making an instance is the workers' first act.
        if let Some(identity) = identity {
            identity.assume()?;
        }
        folders
            .check(&config.connection, config.privileges.is_some())
            .map_err(ConfigError::from)?;
        let recorder = recorded.begin(&config, &mut handlers)?;
        let meters = (0..config.threads()).map(|worker| match worker < config.workers {
            true => Arc::default(),
            false => Arc::new(ExecutionMeter::of_one_handler()),
        });
        let meters: Arc<[_]> = meters.collect();
        let ticker =
            EpochTicker::start(&engine, Arc::clone(&meters)).map_err(|error| host(&error))?;
        let config = Arc::new(config);
        let (shutdown, stopping) = watch::channel(false);
        let (retiring, retired) = watch::channel(false);
        let handshakes = Arc::<AtomicUsize>::default();
        let listeners = Listeners {
            sockets: Listeners::duplicate(&bound).map_err(|error| host(&error))?,
            files: socket_files,
        };
        let (live, _) = watch::channel(0);
        let names = config.handlers.iter().map(HandlerConfig::name).collect();
        let tallies = Arc::new(Tallies::new(names, config.threads()));
        let admission = Arc::new(Admission::new(config.handlers.len()));
        let threads = Threads::default();
        let contexts = InstanceContexts {
            settings: Arc::new(config.wasm.clone()),
            meters,
        };
        let parts = Parts {
            config: Arc::clone(&config),
            handlers,
            tls: tls.clone(),
            threads: threads.clone(),
            connector: Arc::new(OutboundConnector::new(
                Arc::clone(&outbound),
                Arc::clone(&trusted),
            )),
            shared: worker::Shared {
                settings: Arc::new(config.runtime.clone()),
                threads: config.threads(),
                outbound_connections_max: config.outbound.connections_max,
                outbound: Arc::clone(&outbound) as _,
                trusted: Arc::clone(&trusted) as _,
                live: live.clone(),
                tallies: Arc::clone(&tallies),
                shutdown: stopping,
            },
            contexts: contexts.clone(),
            front: SharedFront {
                settings: Arc::new(config.connection.clone()),
                protocols: config
                    .handlers
                    .iter()
                    .map(|handler| handler.protocol.clone())
                    .collect(),
                folders: Arc::new(folders),
                slots: Arc::default(),
                admission,
                handshakes: Arc::clone(&handshakes),
                retiring: retired,
            },
        };
        let served: Vec<_> = parts.handlers.iter().map(Source::served).collect();
        let (plans, publisher) = parts.plans(bound);
        let workers = publisher.workers();
        let swapper = Swapper::new(
            (engine, linker),
            &config,
            recorder.clone(),
            &served,
            workers,
            threads,
            &contexts,
        );
        let urls = addresses.iter().map(|address| url(address, tls.is_some()));
        let control = Control::new(control::Parts {
            config: Arc::clone(&config),
            urls: urls.collect(),
            tallies,
            swapper: swapper.clone(),
            live: live.clone(),
            retiring,
            shutdown,
            handshakes,
            listeners,
        });
        starting.is_built(&control);
        Ok(Self {
            local: None,
            plans,
            shared: Shared {
                config,
                addresses,
                tls,
                publisher,
                swapper,
                live,
                control,
                _ticker: ticker,
                _tape: recorder.as_ref().map(Recorder::finish_later),
            },
        })
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[Address] {
        &self.shared.addresses
    }

    /// The URL of an address of this server.
    pub fn url(&self, address: &Address) -> String {
        self.shared.url(address)
    }

    /// Publishes from any thread.
    pub fn publisher(&self) -> Publisher {
        self.shared.publisher.clone()
    }

    /// Replaces handlers from any thread.
    pub fn swapper(&self) -> Swapper {
        self.shared.swapper.clone()
    }

    /// Tells of the server, and drains it, from any thread.
    pub fn control(&self) -> Control {
        self.shared.control.clone()
    }

    /// Runs it on threads of its own, one for each worker. When this returns, connections are accepted.
    ///
    /// # Errors
    ///
    /// When a handler or a thread does not start, or the server is being turned by [`service`](Self::service): nothing is left running.
    pub fn spawn(self) -> Result<Running, StartError> {
        if self.local.is_some() {
            return Err(ConfigError::Turned.into());
        }
        let mut running = Running {
            workers: Vec::new(),
            shared: self.shared,
        };
        let mut started = Vec::new();
        for plan in self.plans {
            let (report, result) = oneshot::channel();
            started.push(result);
            let thread = std::thread::Builder::new()
                .name(format!("wsrun-worker-{}", plan.index))
                .spawn(move || plan.run(report))
                .map_err(|error| StartError::Host(error.to_string()))?;
            running.workers.push(thread);
        }
        for result in started {
            result
                .blocking_recv()
                .unwrap_or_else(|_| Err(StartError::Host("a worker ended at start".into())))?;
        }
        Ok(running)
    }

    /// Does one turn on this thread: accepts, reads, calls handlers and writes what is ready. With a timeout of zero it returns at once,
    /// otherwise it waits that long for something to do. True when there was something. The first turn starts the handlers.
    ///
    /// The server stays on the thread of its first turn. Not to be called from within an async runtime: there, use [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// When a handler does not start, more than one worker was asked for, or waiting fails.
    pub fn service(&mut self, timeout: Duration) -> Result<bool, StartError> {
        let local = self.start_here()?;
        local
            .turns
            .service(timeout)
            .map_err(|error| StartError::Host(error.to_string()))
    }

    /// The descriptor that is readable when [`service`](Self::service) has something to do: the only one that a poll loop has to watch,
    /// from the first turn to the end, whatever connections come and go. It is only to be polled for reading, never read.
    ///
    /// # Errors
    ///
    /// As the first [`service`](Self::service).
    pub fn as_fd(&mut self) -> Result<BorrowedFd<'_>, StartError> {
        Ok(self.start_here()?.turns.fd())
    }

    /// Open connections, handshakes of outbound ones included.
    pub fn connections(&self) -> usize {
        *self.shared.live.borrow()
    }

    /// Stops: no new connections, 1001 to all, and an end after the configured time. True when every connection had closed by then.
    pub fn shutdown(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.shared.control.drain();
        let Some(mut local) = self.local.take() else {
            return true;
        };
        let timeout = self.shared.config.runtime.shutdown_timeout;
        let deadline = Instant::now() + timeout;
        let clean = local.turns.block_on(async {
            local.front.worker.begin_draining();
            closed(&local.front, timeout).await
        });
        // What is written last is not lost with the tasks.
        while clean && local.turns.step() && Instant::now() < deadline {}
        clean
    }

    /// Starts the one worker within the caller's `LocalSet`, which turns it from there on.
    pub(crate) async fn start_within(&mut self) -> Result<Rc<Front>, StartError> {
        let plan = self.plans.pop().ok_or_else(|| {
            StartError::Host("the server did not start and cannot be turned".into())
        })?;
        plan.start().await
    }

    fn start_here(&mut self) -> Result<&mut Local, StartError> {
        if self.local.is_none() {
            if self.shared.config.threads() > 1 {
                let text =
                    "service() turns one worker: ask for one and no own_worker, or spawn() threads";
                return Err(ConfigError::Threads(text).into());
            }
            let plan = self.plans.pop().ok_or_else(|| {
                StartError::Host("the server did not start and cannot be turned".into())
            })?;
            let turns = Turns::new().map_err(|error| StartError::Host(error.to_string()))?;
            let front = turns.block_on(plan.start())?;
            self.local = Some(Local { front, turns });
        }
        Ok(self.local.as_mut().expect("it was just made"))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.turns.end(|| self.front.dissolve());
    }
}

impl Running {
    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[Address] {
        &self.shared.addresses
    }

    /// The URL of an address of this server.
    pub fn url(&self, address: &Address) -> String {
        self.shared.url(address)
    }

    /// Publishes from any thread.
    pub fn publisher(&self) -> Publisher {
        self.shared.publisher.clone()
    }

    /// Replaces handlers from any thread.
    pub fn swapper(&self) -> Swapper {
        self.shared.swapper.clone()
    }

    /// Tells of the server, and drains it, from any thread.
    pub fn control(&self) -> Control {
        self.shared.control.clone()
    }

    /// Open connections, handshakes of outbound ones included.
    pub fn connections(&self) -> usize {
        *self.shared.live.borrow()
    }

    /// Waits until there is no connection, inbound or outbound.
    pub(crate) fn idle(&self) -> impl Future<Output = ()> + use<> {
        let mut live = self.shared.live.subscribe();
        async move {
            let _ = live.wait_for(|connections| *connections == 0).await;
        }
    }

    /// Reads the certificate files again.
    ///
    /// # Errors
    ///
    /// When they cannot be used: those in use before stay in use.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.shared.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// The folders to watch and the files in them that [`Running::reload_tls`] reads.
    pub(crate) fn tls_files(&self) -> Vec<&Path> {
        self.shared
            .tls
            .as_ref()
            .map(|tls| tls.files().to_vec())
            .unwrap_or_default()
    }

    /// Stops: no new connections, 1001 to all, and an end after the configured time. True when every connection had closed by then.
    pub fn shutdown(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        self.shared.control.drain();
        let mut clean = true;
        for worker in self.workers.drain(..) {
            clean &= worker.join().unwrap_or(false);
        }
        clean
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn url(&self, address: &Address) -> String {
        url(address, self.tls.is_some())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.control.close_listeners();
    }
}

fn url(address: &Address, tls: bool) -> String {
    match address {
        Address::Tcp(address) if tls => format!("wss://{address}"),
        Address::Tcp(address) => format!("ws://{address}"),
        Address::Unix(path) => format!("ws+unix:{}", path.display()),
    }
}

/// The addresses, for each of them a listener per worker, and the files that this made.
type Listening = (Vec<Address>, Vec<Vec<Bound>>, Vec<SocketFile>);

fn bind(config: &Config) -> Result<Listening, StartError> {
    let (mut addresses, mut bound, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for listen in &config.listen {
        let (address, listeners) = listener::bind(listen, config.workers)?;
        match listen {
            Listen::Unix(path) => files.push(SocketFile::new(path)),
            Listen::Inherited(inherited) => {
                files.extend(inherited.own_file().map(|path| SocketFile::new(&path)));
            }
            Listen::Tcp(_) => {}
        }
        addresses.push(address);
        bound.push(listeners);
    }
    Ok((addresses, bound, files))
}
