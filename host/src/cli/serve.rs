//! `wsrun HANDLER`: serves until a signal stops it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use wsrun_proto::http::origin::Allowed;

use super::admin::http;
use super::admin::socket::AdminSocket;
use super::admin::take_over::Predecessor;
use super::failure::{Failure, is_there};
use super::hangup::Hangup;
use super::logging::log_swap;
use super::output::say;
use super::runtime::RuntimeArgs;
use super::service_manager;
use super::start::{SAME_SIGNAL, start};
use super::values::{address, bytes, count, listen, network, protocol, scope};
use super::watch::Watch;
use crate::config::{
    Config, ConnectionSettings, HandlerConfig, HandlerSource, IpNet, Listen, NetworkFilter,
    Origins, ProgramFormat, Scope, TlsFiles,
};
use crate::server::{Control, Running, Swapper, TlsError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The handler: a component (.wasm, or .wat text). It gets clients that no --protocol names
    handler: Option<PathBuf>,
    /// Where to listen: IP:PORT (port 0 picks one) or unix:PATH. Repeatable; not used when a service manager hands listeners over
    /// (LISTEN_FDS)
    #[arg(long, value_name = "ADDR", value_parser = listen, default_value = "127.0.0.1:9000")]
    listen: Vec<Listen>,
    /// A handler for clients that offer this subprotocol. Repeatable; without HANDLER the first is the default
    #[arg(long, value_name = "NAME=FILE", value_parser = protocol)]
    protocol: Vec<(String, PathBuf)>,
    /// Answers plain HTTP requests with files of this folder
    #[arg(long = "static", value_name = "DIR")]
    static_dir: Option<PathBuf>,
    /// Grants the default handler this folder to answer plain HTTP requests with files of
    #[arg(long = "files", value_name = "DIR")]
    files_dir: Option<PathBuf>,
    /// Runs HANDLER, any program that was built as a WASI 0.2 command, for each connection: messages are its standard input and output. Its
    /// exit code 0 closes with 1000, another with 1011; its standard error goes to the log
    #[arg(long, requires = "handler", conflicts_with_all = ["protocol", "watch", "scope", "files_dir", "record"], help_heading = "Programs")]
    stdio: bool,
    /// What a message is to a program: `lines`, a line of text, or `frames`, a byte (1 text, 2 binary), four bytes of length, and the payload
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "lines",
        requires = "stdio",
        help_heading = "Programs"
    )]
    stdio_format: StdioFormat,
    /// Worker threads. All of them accept, and do TLS and HTTP
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u16,
    /// Which connections share an instance: `shared`, all of a handler, on one worker; `worker`, those of a worker;
    /// `connection`, each has its own. As `NAME=SCOPE` for one handler, by its --protocol or `default`. Repeatable
    #[arg(long, value_name = "SCOPE", value_parser = scope, default_value = "shared")]
    scope: Vec<(Option<String>, Scope)>,
    /// Gives this handler, by its --protocol or `default`, a thread of its own beside the --workers: whatever it computes, the others do not
    /// wait for it. Repeatable
    #[arg(long, value_name = "NAME", conflicts_with = "stdio")]
    own_worker: Vec<String>,
    /// The nice value of the threads of --own-worker, 0 to 19: where processors are short, the others come first
    #[arg(long, value_name = "N", default_value_t = 0, requires = "own_worker", value_parser = clap::value_parser!(u8).range(..20))]
    own_worker_nice: u8,
    /// Replaces a handler when its file changes, without closing a connection. SIGHUP does so once
    #[arg(long)]
    watch: bool,
    /// Listens here, a Unix socket of this user, for `wsrun ctl` and --take-over
    #[arg(long, value_name = "PATH", help_heading = "Operating")]
    admin: Option<PathBuf>,
    /// Answers /metrics, /live and /ready here by HTTP: IP:PORT
    #[arg(long, value_name = "ADDR", value_parser = address, help_heading = "Operating")]
    metrics: Option<SocketAddr>,
    /// Takes the listeners over from the server with this --admin socket, which drains when this one accepts. --listen is not used
    #[arg(long, value_name = "PATH", help_heading = "Operating")]
    take_over: Option<PathBuf>,
    /// Certificate chain (PEM); read again on SIGHUP and when the file changes
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,

    /// Lets peers of this network connect (10.0.0.0/8, or an address), and no others. Repeatable. Unix sockets are not concerned
    #[arg(long, value_name = "CIDR", value_parser = network, help_heading = "Network")]
    allow_from: Vec<IpNet>,
    /// Cuts peers of this network off, whatever --allow-from says. Repeatable
    #[arg(long, value_name = "CIDR", value_parser = network, help_heading = "Network")]
    deny_from: Vec<IpNet>,

    /// Lets pages of another origin connect, as in `https://example.com`; `*` for all. Repeatable. The server's own origin may always, as
    /// may clients that are no browser
    #[arg(long, value_name = "ORIGIN", help_heading = "Protocol")]
    allow_origin: Vec<String>,
    /// Connections at a time, handshakes included. More: 503
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        help_heading = "Limits"
    )]
    max_connections: usize,
    /// Connections at a time of one address, of one /64 for IPv6 [default: no limit]. More: cut off, 503 without TLS. Not for a server
    /// behind a proxy
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Limits")]
    max_connections_per_address: Option<usize>,
    /// Connections of a handler at a time, over all workers [default: as --max-connections]. More: 503
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Handler limits")]
    max_handler_connections: Option<usize>,
    /// Body of a plain HTTP request to a handler. More: 413
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1MiB", help_heading = "Limits")]
    max_request_body: u64,
    /// Plain HTTP requests that one worker answers by wasi:http at a time. More: they wait for --handshake-timeout, then 503
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        help_heading = "Handler limits"
    )]
    max_http_instances: usize,

    #[command(flatten)]
    runtime: RuntimeArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum StdioFormat {
    Lines,
    Frames,
}

pub(super) fn run(args: Args, hangup: Hangup) -> Result<ExitCode, Failure> {
    // The runtime starts no thread before something runs on it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // The first thing: without a handler SIGHUP ends a process, and a signal that comes early would
    // be lost.
    let mut signals = {
        let _entered = runtime.enter();
        Signals::catch()?
    };
    hangup.release();
    args.runtime.start_log();
    // While this is the only thread, since the variables are removed from the environment.
    let inherited = service_manager::listeners()?;
    let mut operating = Operating {
        watched: args.watch,
        predecessor: None,
        admin: None,
        metrics: None,
        metrics_later: None,
    };
    let (admin, metrics, take_over) = (args.admin.clone(), args.metrics, args.take_over.clone());
    let mut config = config(args)?;
    if let Some(listeners) = inherited {
        tracing::info!(
            count = listeners.len(),
            "listening on what the service manager handed over, not on --listen"
        );
        config.listen = listeners;
    }
    if let Some(path) = &take_over {
        // The socket file of the predecessor stays in place: no right to the folder is needed, and
        // clients always find the file.
        let same = admin.as_deref().filter(|admin| is_same(path, admin));
        let asked =
            runtime.block_on(signals.unless_stopped(Predecessor::ask(path, same.is_some())));
        let handed = match asked {
            Some(Ok(handed)) => handed,
            // The thread that asks may not end before the process does.
            Some(Err(error)) => {
                runtime.shutdown_background();
                return Err(error.into());
            }
            None => {
                runtime.shutdown_background();
                tracing::info!("stopping before it serves");
                service_manager::stopping();
                return Ok(ExitCode::SUCCESS);
            }
        };
        tracing::info!(
            count = handed.listen.len(),
            "listening on what another server hands over, not on --listen"
        );
        config.listen = handed.listen;
        operating.predecessor = Some(handed.predecessor);
        operating.admin = handed
            .socket
            .zip(same)
            .map(|(socket, path)| AdminSocket::inherit(socket, path));
    }
    operating.bind(admin.as_deref(), metrics)?;
    // The limit is raised as far as the system allows. A lower limit does not prevent the start.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let result = runtime.block_on(serve(config, operating, signals));
    // After a second signal the server is still stopping, and nothing waits for it.
    runtime.shutdown_background();
    result
}

/// The signals that this process handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns the result of `work`, or none if the process is told to stop before.
    async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        // Every branch is cancel-safe: signals are kept, and unfinished work is not continued.
        tokio::select! {
            done = work => Some(done),
            _ = self.terminate.recv() => None,
            _ = self.interrupt.recv() => None,
        }
    }
}

/// Starts the server, prints its addresses, and waits for signals.
async fn serve(
    config: Config,
    operating: Operating,
    signals: Signals,
) -> Result<ExitCode, Failure> {
    let Signals {
        mut terminate,
        mut interrupt,
        mut hangup,
    } = signals;
    // Watched before the files are read, so that a change during the start is noticed.
    let certificates = tls_files(&config);
    let mut renewals = (!certificates.is_empty()).then(|| Watch::new(certificates.clone()));
    let mut rebuilds = operating
        .watched
        .then(|| Watch::new(handler_files(&config)));
    let server = match start(config, &mut terminate, &mut interrupt).await? {
        Ok(server) => server,
        Err(ended) => return Ok(ended),
    };
    let swapper = server.swapper();
    let (stop, mut stopped) = tokio::sync::mpsc::channel(1);
    for address in server.addresses() {
        say(&format!("listening on {}", server.url(address)));
    }
    operating.start(&server, stop);
    let urls: Vec<_> = server
        .addresses()
        .iter()
        .map(|address| server.url(address))
        .collect();
    let status = format!("serving on {}", urls.join(", "));
    service_manager::ready(&status);
    loop {
        // Every branch is cancel-safe: signals and the channel keep what was not taken.
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = stopped.recv() => break,
            _ = hangup.recv() => {
                service_manager::reloading();
                match reload(&server) {
                    Ok(()) => service_manager::ready(&status),
                    Err(error) => service_manager::ready(&format!("{status}; certificate not replaced: {error}")),
                }
                swap_changed(&swapper, true);
            }
            Some(watch) = changed(&mut rebuilds, || served_files(&swapper)) => {
                watch.settle(served_files(&swapper)).await;
                swap_changed(&swapper, false);
            }
            Some(watch) = changed(&mut renewals, || certificates.clone()) => {
                watch.settle(certificates.clone()).await;
                let _ = reload(&server);
            }
        }
    }
    tracing::info!("stopping");
    service_manager::stopping();
    let mut stopping = tokio::task::spawn_blocking(|| server.shutdown());
    let asked = Instant::now();
    let clean = loop {
        // Every branch is cancel-safe: the task that stops the server runs on, whatever is polled.
        tokio::select! {
            clean = &mut stopping => break clean?,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // Whoever signals a process and its group sends the signal twice.
        if asked.elapsed() >= SAME_SIGNAL {
            tracing::warn!("stopped by a second signal, connections were still open");
            return Ok(ExitCode::FAILURE);
        }
    };
    tracing::info!(clean, "stopped");
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The parts of a running server besides serving: watching files, admin socket and metrics.
struct Operating {
    watched: bool,
    predecessor: Option<Predecessor>,
    admin: Option<AdminSocket>,
    metrics: Option<TcpListener>,
    /// The metrics address, on which the previous server may still listen.
    metrics_later: Option<http::Later>,
}

impl Operating {
    /// Binds the addresses before anything is started, so that an address in use is reported at
    /// once.
    fn bind(&mut self, admin: Option<&Path>, metrics: Option<SocketAddr>) -> Result<(), Failure> {
        if let Some(path) = admin
            && self.admin.is_none()
        {
            let socket = AdminSocket::bind(path);
            self.admin = Some(socket.with_context(|| format!("--admin {}", path.display()))?);
        }
        if let Some(address) = metrics
            && self.predecessor.is_some()
        {
            let later = http::Later::bind(address);
            self.metrics_later = Some(later.with_context(|| format!("--metrics {address}"))?);
        } else if let Some(address) = metrics {
            let listener = http::bind(address);
            self.metrics = Some(listener.with_context(|| format!("--metrics {address}"))?);
        }
        Ok(())
    }

    /// Starts answering. Call it once the server accepts.
    fn start(self, server: &Running, stop: tokio::sync::mpsc::Sender<()>) {
        if let Some(listener) = self.metrics {
            serve_metrics(listener, server.control());
        }
        let Some(predecessor) = self.predecessor else {
            if let Some(socket) = self.admin {
                serve_admin(socket, server.control(), stop);
            }
            return;
        };
        let (admin, later, control) = (self.admin, self.metrics_later, server.control());
        tokio::spawn(async move {
            let released = tokio::task::spawn_blocking(|| predecessor.release()).await;
            match released.unwrap_or_else(|error| Err(error.into())) {
                Ok(true) => tracing::info!("the server before drains"),
                Ok(false) => tracing::info!("the server before has ended already"),
                Err(error) => {
                    tracing::error!("the server before was not told to drain, stop it: {error:#}");
                }
            }
            // Until now the previous server has answered there.
            if let Some(socket) = admin {
                serve_admin(socket, control.clone(), stop);
            }
            match later.map(http::Later::listen) {
                Some(Ok(listener)) => serve_metrics(listener, control),
                Some(Err(error)) => tracing::error!("--metrics could not be started: {error}"),
                None => {}
            }
        });
    }
}

fn serve_admin(socket: AdminSocket, control: Control, stop: tokio::sync::mpsc::Sender<()>) {
    let serving = socket.serve(control, stop);
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!("--admin could not be started: {error}");
        }
    });
}

/// Returns true when two paths lead to the same file.
fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

fn serve_metrics(listener: TcpListener, control: Control) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!("metrics on http://{address}/metrics");
    }
    let serving = http::serve(listener, control);
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!("--metrics could not be started: {error}");
        }
    });
}

/// Replaces the handlers whose files have changed, in a separate thread so that signals are still
/// handled.
fn swap_changed(swapper: &Swapper, again: bool) {
    let swapper = swapper.clone();
    tokio::task::spawn_blocking(move || {
        for (handler, outcome) in swapper.swap_changed(again) {
            log_swap(&handler, &outcome);
        }
    });
}

/// Waits until watched files may have changed. Returns none when no files are watched.
async fn changed(
    watch: &mut Option<Watch>,
    files: impl Fn() -> Vec<PathBuf>,
) -> Option<&mut Watch> {
    let watch = watch.as_mut()?;
    watch.changed(files).await;
    Some(watch)
}

/// Returns the files of the versions that serve.
fn served_files(swapper: &Swapper) -> Vec<PathBuf> {
    let files = swapper.files().into_iter();
    files.map(|(_, file)| file).collect()
}

/// Returns the files that handlers come from and may be replaced by.
fn handler_files(config: &Config) -> Vec<PathBuf> {
    let handlers = config.handlers.iter();
    handlers
        .filter_map(|handler| match &handler.source {
            HandlerSource::File(file) => Some(file.clone()),
            HandlerSource::Native(_) | HandlerSource::Program(..) => None,
        })
        .collect()
}

fn tls_files(config: &Config) -> Vec<PathBuf> {
    let files = config.tls.iter();
    files
        .flat_map(|files| [files.certificate.clone(), files.key.clone()])
        .collect()
}

fn reload(server: &Running) -> Result<(), TlsError> {
    if server.tls_files().is_empty() {
        tracing::info!("nothing to read again: there is no certificate");
        return Ok(());
    }
    let reloaded = server.reload_tls();
    match &reloaded {
        Ok(()) => tracing::info!("certificate read"),
        Err(error) => {
            tracing::error!("certificate not replaced, the old one stays in use: {error}");
        }
    }
    reloaded
}

/// The name of the handler without a --protocol, in flags that name a handler.
const DEFAULT: &str = "default";

fn config(args: Args) -> Result<Config, Failure> {
    let values = args.runtime.values()?;
    let named_default = args.protocol.iter().any(|(name, _)| name == DEFAULT);
    let asks_default = args.own_worker.iter().any(|own| own == DEFAULT)
        || args
            .scope
            .iter()
            .any(|(name, _)| name.as_deref() == Some(DEFAULT));
    if args.handler.is_some() && named_default && asks_default {
        return Err(Failure::usage(anyhow::anyhow!(
            "`{DEFAULT}` in --scope and --own-worker would mean two handlers, HANDLER and that of --protocol {DEFAULT}=…: serve HANDLER by a \
             --protocol of its own"
        )));
    }
    // Checked first, so that a mistyped name is reported rather than another error.
    let files = args.protocol.iter().map(|(_, file)| file);
    for file in args.handler.iter().chain(files) {
        is_there(file)?;
    }
    let default = args.handler.map(|file| (None, file));
    let named = args
        .protocol
        .into_iter()
        .map(|(name, file)| (Some(name), file));
    let scopes = args.scope;
    if let Some((name, _)) = twice(&scopes) {
        let of = name
            .as_ref()
            .map_or(String::new(), |name| format!(" {name}=…"));
        return Err(Failure::usage(anyhow::anyhow!(
            "--scope{of} is given twice"
        )));
    }
    let mut unused: Vec<&str> = scopes
        .iter()
        .filter_map(|(name, _)| name.as_deref())
        .collect();
    let mut scope_of = |protocol: Option<&str>| {
        let name = protocol.unwrap_or(DEFAULT);
        unused.retain(|unused| *unused != name);
        let of = |wanted: Option<&str>| {
            let last = scopes.iter().rfind(|(name, _)| name.as_deref() == wanted);
            last.map(|(_, scope)| *scope)
        };
        of(Some(name)).or_else(|| of(None)).unwrap_or_default()
    };
    let mut unknown_own = args.own_worker.clone();
    let mut has_own_worker = |protocol: Option<&str>| {
        let name = protocol.unwrap_or(DEFAULT);
        unknown_own.retain(|unknown| unknown != name);
        args.own_worker.iter().any(|own| own == name)
    };
    let (config, mut limits) = args.runtime.into_config()?;
    if args.stdio {
        // A program runs as long as its connection.
        limits.resilience.hibernate_after = None;
    }
    limits.traffic.connections_max = args.max_handler_connections;
    limits.contract.http_instances_max = args.max_http_instances;
    let limits = Arc::new(limits);
    let handlers: Vec<_> = default
        .into_iter()
        .chain(named)
        .map(|(protocol, file)| HandlerConfig {
            scope: match args.stdio {
                false => scope_of(protocol.as_deref()),
                true => Scope::Worker,
            },
            own_worker: has_own_worker(protocol.as_deref()),
            own_worker_nice: args.own_worker_nice,
            protocol,
            source: match args.stdio {
                false => HandlerSource::File(file),
                true => HandlerSource::Program(
                    file,
                    match args.stdio_format {
                        StdioFormat::Lines => ProgramFormat::Lines,
                        StdioFormat::Frames => ProgramFormat::Frames,
                    },
                ),
            },
            config: Arc::clone(&values),
            limits: Arc::clone(&limits),
        })
        .collect();
    if let Some(name) = unused.first() {
        return Err(Failure::usage(anyhow::anyhow!(
            "--scope {name}=…: no handler has this name; it is that of a --protocol, or `default`"
        )));
    }
    if let Some(name) = unknown_own.first() {
        return Err(Failure::usage(anyhow::anyhow!(
            "--own-worker {name}: no handler has this name; it is that of a --protocol, or `default`"
        )));
    }
    let config = Config {
        listen: args.listen,
        handlers,
        workers: args.workers,
        connection: ConnectionSettings {
            static_dir: args.static_dir,
            files_dir: args.files_dir,
            request_body_bytes_max: args.max_request_body,
            network: NetworkFilter::new(args.allow_from, args.deny_from),
            origins: Origins {
                allowed: origins(&args.allow_origin)?,
            },
            connections_max: args.max_connections,
            connections_per_address_max: args.max_connections_per_address,
            ..ConnectionSettings::default()
        },
        tls: args
            .tls_cert
            .zip(args.tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        ..config
    };
    Ok(config)
}

/// Returns the first pair whose name is that of an earlier one.
fn twice<K: PartialEq, V>(pairs: &[(K, V)]) -> Option<&(K, V)> {
    let mut numbered = pairs.iter().enumerate();
    let later = numbered.find(|(n, (name, _))| pairs[..*n].iter().any(|(other, _)| other == name));
    later.map(|(_, pair)| pair)
}

fn origins(entries: &[String]) -> Result<Allowed, Failure> {
    Allowed::parse(entries.iter().map(String::as_str))
        .map_err(|error| Failure::usage(anyhow::anyhow!("--allow-origin: {error}")))
}
