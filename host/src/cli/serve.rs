//! `wsrun HANDLER`: serves until a signal says stop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use notify::Watcher as _;
use tokio::signal::unix::{SignalKind, signal};
use wsrun_proto::http::origin::Allowed;
use wsrun_proto::ws::deflate::DeflateConfig;

use super::logging::{self, Format, Level};
use super::values::{OptionalDuration, bytes, duration, listen, optional_duration, pair, protocol};
use super::{Failure, say};
use crate::config::{Config, HandlerConfig, HandlerLimits, HandlerSource, Listen, Origins, TlsFiles};
use crate::server::{Running, Server, StartError};

/// How messages are compressed (RFC 7692).
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compression {
    /// Every offer is declined
    Off,
    /// No context takeover: connections share a worker's compressors, an idle one holds none
    Shared,
    /// Context takeover: better for small similar messages, up to 400 KiB more per connection
    Dedicated,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The handler: a component (.wasm, or .wat text). It gets clients that no --protocol names
    handler: Option<PathBuf>,
    /// Where to listen: IP:PORT (port 0 picks one) or unix:PATH. Repeatable
    #[arg(long, value_name = "ADDR", value_parser = listen, default_value = "127.0.0.1:9000")]
    listen: Vec<Listen>,
    /// A handler for clients that offer this subprotocol. Repeatable; without HANDLER the first is the default
    #[arg(long, value_name = "NAME=FILE", value_parser = protocol)]
    protocol: Vec<(String, PathBuf)>,
    /// Answers plain HTTP requests with files of this folder
    #[arg(long = "static", value_name = "DIR")]
    static_dir: Option<PathBuf>,
    /// Worker threads, each with an instance of every handler
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: u16,
    /// What host-info.config tells the handlers. Repeatable
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = pair)]
    config: Vec<(String, String)>,

    /// Certificate chain (PEM); read again on SIGHUP and when the file changes
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,

    /// Lets pages of another origin connect, as in `https://example.com`; `*` for all. Repeatable. The server's own origin may always, as
    /// may clients that are no browser
    #[arg(long, value_name = "ORIGIN", help_heading = "Protocol")]
    allow_origin: Vec<String>,
    /// permessage-deflate
    #[arg(long, value_enum, default_value = "shared", help_heading = "Protocol")]
    compression: Compression,
    /// Silence of the peer after which it is pinged; `off` for never
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "30s", help_heading = "Protocol")]
    ping_interval: OptionalDuration,
    /// Silence of the peer after which the connection is given up; `off` for never
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "50s", help_heading = "Protocol")]
    idle_timeout: OptionalDuration,
    /// Time for the peer's close frame after ours
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s", help_heading = "Protocol")]
    close_timeout: Duration,
    /// Time for a TLS handshake, and for a request's head
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Protocol")]
    handshake_timeout: Duration,
    /// Time from the first byte of a message to its last; `off` for no limit
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "30s", help_heading = "Protocol")]
    message_timeout: OptionalDuration,
    /// Time that a peer may take nothing of what is queued for it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", help_heading = "Protocol")]
    write_timeout: Duration,
    /// Time from SIGTERM until connections that have not closed are cut
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Protocol")]
    shutdown_timeout: Duration,

    /// Largest message, after inflating. More: close 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1MiB", help_heading = "Limits")]
    max_message: u64,
    /// Largest frame [default: as --max-message]. More: close 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Limits")]
    max_frame: Option<u64>,
    /// Fragments of one message. More: close 1008
    #[arg(long, value_name = "N", default_value_t = 1 << 20, help_heading = "Limits")]
    max_fragments: u32,
    /// Bytes queued for one connection [default: twice --max-message]. More: `queue-full` for a send, close 1008 for a subscriber
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Limits")]
    max_queue: Option<u64>,
    /// Pings and pongs per second from one peer. More: close 1008
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        help_heading = "Limits"
    )]
    max_control_rate: u32,
    /// Connections at a time, handshakes included. More: 503
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        help_heading = "Limits"
    )]
    max_connections: usize,
    /// Bytes of a request's head, at least 8KiB. More: 431
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "16KiB", help_heading = "Limits")]
    max_header_bytes: u64,
    /// Header fields of a request. More: 431
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Limits")]
    max_headers: usize,

    /// Memory of a handler instance, tables included. More: allocation fails in the handler, which mostly traps
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB", help_heading = "Handler limits")]
    max_memory: u64,
    /// Time that a callback may compute, in steps of 5ms. More: it is stopped, its connection closed with 1011
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "100ms", help_heading = "Handler limits")]
    callback_timeout: Duration,
    /// Time that a callback may take in all, waiting included. More: as above
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s", help_heading = "Handler limits")]
    blocking_timeout: Duration,
    /// Bytes of session data of a connection. More: `too-large`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64KiB", help_heading = "Handler limits")]
    max_session: u64,
    /// Timers of a handler per worker. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        help_heading = "Handler limits"
    )]
    max_timers: usize,
    /// Topics of a handler per worker. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        help_heading = "Handler limits"
    )]
    max_topics: usize,
    /// Topics that one connection may be subscribed to. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        help_heading = "Handler limits"
    )]
    max_subscriptions: usize,

    /// Form of the log on standard error
    #[arg(long, value_enum, default_value = "text", help_heading = "Log")]
    log_format: Format,
    /// How much is logged
    #[arg(long, value_enum, default_value = "info", help_heading = "Log")]
    log_level: Level,

    /// Folder for compiled components, writable by this user alone [default: wsrun in the user's cache folder]
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "no_cache",
        help_heading = "Compilation"
    )]
    cache_dir: Option<PathBuf>,
    /// Compiles the handlers at each start
    #[arg(long, help_heading = "Compilation")]
    no_cache: bool,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    logging::start(args.log_format, args.log_level);
    let config = config(args)?;
    // As many sockets as the system allows; a lower limit is no reason not to start.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(config));
    // After a second signal the server is still stopping; nobody waits for it.
    runtime.shutdown_background();
    result
}

/// Starts, tells where, and waits for signals.
async fn serve(config: Config) -> Result<ExitCode, Failure> {
    // Before the server starts: a signal that comes early is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let server = tokio::task::spawn_blocking(|| Server::new(config)?.spawn())
        .await?
        .map_err(failure)?;
    for address in server.addresses() {
        say(&format!("listening on {}", server.url(address)));
    }
    let (changed, mut changes) = tokio::sync::mpsc::channel(1);
    let _watcher = watch(&server.tls_files(), changed);
    loop {
        // Every arm is safe to cancel: signals and the channel keep what was not taken.
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload(&server),
            Some(()) = changes.recv() => {
                // Certificate and key are two files: the second is mostly written right after the first.
                tokio::time::sleep(SETTLE).await;
                while changes.try_recv().is_ok() {}
                reload(&server);
            }
        }
    }
    tracing::info!("stopping");
    let mut stopping = tokio::task::spawn_blocking(|| server.shutdown());
    let asked = Instant::now();
    let clean = loop {
        // Every arm is safe to cancel: the task that stops goes on whatever is polled.
        tokio::select! {
            clean = &mut stopping => break clean?,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // What sends a signal to a process and to its group sends it twice.
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

fn reload(server: &Running) {
    if server.tls_files().is_empty() {
        tracing::info!("nothing to read again: there is no certificate");
        return;
    }
    match server.reload_tls() {
        Ok(()) => tracing::info!("certificate read"),
        Err(error) => {
            tracing::error!("certificate not replaced, the old one stays in use: {error}")
        }
    }
}

/// Watches the folders of `files`: editors and ACME clients replace files instead of writing into them.
fn watch(
    files: &[&Path],
    changed: tokio::sync::mpsc::Sender<()>,
) -> Option<notify::RecommendedWatcher> {
    let first = files.first()?;
    let names: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| file.file_name().map(PathBuf::from))
        .collect();
    let handler = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let concerns = event.paths.iter().any(|path| {
            path.file_name()
                .is_some_and(|name| names.iter().any(|n| n == name))
        });
        // Symbolic links to a versioned folder change without any event that names the file.
        let is_write = !matches!(event.kind, notify::EventKind::Access(_));
        if is_write
            && (concerns
                || event
                    .paths
                    .iter()
                    .any(|path| path.is_symlink() || path.is_dir()))
        {
            let _ = changed.try_send(());
        }
    };
    let watched = notify::recommended_watcher(handler).and_then(|mut watcher| {
        for file in files {
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    watched
        .inspect_err(|error| {
            tracing::warn!(
                "cannot watch the folder of {}, use SIGHUP: {error}",
                first.display()
            )
        })
        .ok()
}

/// Signals so close together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

const SETTLE: Duration = Duration::from_millis(200);

fn failure(error: StartError) -> Failure {
    match error {
        StartError::Host(_) | StartError::Listen(_) => Failure::from(error),
        StartError::Config(_)
        | StartError::Component(_)
        | StartError::Handler { .. }
        | StartError::Tls(_) => Failure::usage(error),
    }
}

fn config(args: Args) -> Result<Config, Failure> {
    let shared: Arc<BTreeMap<String, String>> = Arc::new(args.config.into_iter().collect());
    let default = args.handler.map(|file| (None, file));
    let named = args
        .protocol
        .into_iter()
        .map(|(name, file)| (Some(name), file));
    let handlers = default
        .into_iter()
        .chain(named)
        .map(|(protocol, file)| HandlerConfig {
            protocol,
            source: HandlerSource::File(file),
            config: Arc::clone(&shared),
        })
        .collect();
    let max_queue = args
        .max_queue
        .unwrap_or_else(|| args.max_message.saturating_mul(2));
    if max_queue < args.max_message {
        return Err(Failure::usage(anyhow::anyhow!(
            "--max-queue {max_queue} is smaller than --max-message {}: such a message could never be sent",
            args.max_message
        )));
    }
    let mut config = Config {
        listen: args.listen,
        handlers,
        workers: args.workers,
        static_dir: args.static_dir,
        tls: args
            .tls_cert
            .zip(args.tls_key)
            .map(|(certificate, key)| TlsFiles { certificate, key }),
        origins: Origins {
            allowed: origins(&args.allow_origin)?,
        },
        deflate: match args.compression {
            Compression::Off => None,
            Compression::Shared => Some(DeflateConfig {
                context_takeover: false,
                ..DeflateConfig::default()
            }),
            Compression::Dedicated => Some(DeflateConfig {
                context_takeover: true,
                ..DeflateConfig::default()
            }),
        },
        connections_max: args.max_connections,
        handshake_timeout: args.handshake_timeout,
        write_timeout: args.write_timeout,
        shutdown_timeout: args.shutdown_timeout,
        handler_limits: HandlerLimits {
            memory_bytes_max: size(args.max_memory),
            callback_timeout: args.callback_timeout,
            blocking_timeout: args.blocking_timeout,
            effect_bytes_max: HandlerLimits::default()
                .effect_bytes_max
                .max(size(max_queue).saturating_mul(2)),
            sent_message_bytes_max: size(max_queue),
            session_bytes_max: size(args.max_session),
            timers_max: args.max_timers,
            topics_max: args.max_topics,
            subscriptions_max: args.max_subscriptions,
            ..HandlerLimits::default()
        },
        cache_dir: if args.no_cache {
            None
        } else {
            args.cache_dir
                .map(std::path::absolute)
                .or_else(default_cache)
                .transpose()?
        },
        ..Config::default()
    };
    config.limits.message_bytes_max = args.max_message;
    config.limits.frame_bytes_max = args.max_frame.unwrap_or(args.max_message);
    config.limits.fragments_max = args.max_fragments;
    config.limits.queued_bytes_max = size(max_queue);
    config.limits.sent_message_bytes_max = max_queue;
    config.limits.control_frames_per_second_max = args.max_control_rate;
    config.limits.header_bytes_max = size(args.max_header_bytes);
    config.limits.headers_max = args.max_headers;
    config.timeouts.ping_interval = args.ping_interval.0;
    config.timeouts.idle_timeout = args.idle_timeout.0;
    config.timeouts.close_timeout = args.close_timeout;
    config.timeouts.message_timeout = args.message_timeout.0;
    Ok(config)
}

fn origins(entries: &[String]) -> Result<Allowed, Failure> {
    Allowed::parse(entries.iter().map(String::as_str))
        .map_err(|error| Failure::usage(anyhow::anyhow!("--allow-origin: {error}")))
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `$XDG_CACHE_HOME/wsrun`, else `~/.cache/wsrun`; none without a home.
fn default_cache() -> Option<std::io::Result<PathBuf>> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    // A folder that cannot be made is no reason not to start: the next start compiles again.
    let folder = base.join("wsrun");
    std::fs::create_dir_all(&folder)
        .is_ok()
        .then_some(Ok(folder))
}
