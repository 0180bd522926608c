//! The options of every run of handlers, whether it serves or only connects: limits, timeouts, the
//! log.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use wsrun_proto::ws::deflate::DeflateConfig;

use super::failure::Failure;
use super::logging::{self, Format, Level};
use super::privileges::PrivilegeArgs;
use super::record::RecordArgs;
use super::values::{
    OptionalDuration, bytes, configured, count, duration, identity, optional_duration,
};
use crate::config::{
    Compilation, ComputeLimits, Config, ContractLimits, Coredumps, Grant, HandlerLimits,
    MemoryLimits, OutboundConfig, Rates, Resilience, RuntimeSettings, TlsFiles, TrafficLimits,
    WasmSettings,
};
use crate::wasm::cache::{self, CacheError};

/// The compression of messages (RFC 7692).
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compression {
    /// Every offer is declined
    Off,
    /// No context takeover: connections share a worker's compressors, an idle one holds none
    #[value(alias = "on")]
    Shared,
    /// Context takeover: better for small similar messages, up to 400 KiB more per connection
    Dedicated,
}

#[derive(Debug, clap::Args)]
pub(super) struct RuntimeArgs {
    /// What host-info.config tells the handlers; @FILE for the text of a file (64 KiB, its last line end left out), as for a secret, which
    /// would be seen in the list of processes; @@ for an @ at the beginning. Repeatable
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = configured)]
    config: Vec<(String, String)>,

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
    /// Time for a TLS handshake, for a request's head, and between two pieces of its body
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Protocol")]
    handshake_timeout: Duration,
    /// Time from the first byte of a message to its last, or from part to part where a handler takes it in parts; `off` for no limit
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "30s", help_heading = "Protocol")]
    message_timeout: OptionalDuration,
    /// Time that a peer may take nothing of what is queued for it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", help_heading = "Protocol")]
    write_timeout: Duration,
    /// Takes frames with and without masks and sends none masked (against RFC 6455, 5.1): for tests with peers that cannot do better
    #[arg(long, help_heading = "Protocol")]
    danger_unmasked_frames: bool,
    /// Time from SIGTERM until connections that have not closed are cut
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Protocol")]
    shutdown_timeout: Duration,
    /// Spreads the closes after SIGTERM evenly over this time [default: 2 ms for each connection, at most half of --shutdown-timeout]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Protocol")]
    drain_window: Option<Duration>,
    /// The code of those closes: 1001 (going away), or 1012 (service restart)
    #[arg(long, value_name = "CODE", value_parser = ["1001", "1012"], default_value = "1001", help_heading = "Protocol")]
    drain_code: String,

    /// Lets an instance go that is told of nothing for so long; the next event makes another, which is told its connections [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Handler limits")]
    hibernate_after: Option<Duration>,
    /// Instances of a handler on one worker, for `--scope connection`. More: 503
    #[arg(long, value_name = "N", value_parser = count, default_value = "10000", help_heading = "Handler limits")]
    max_instances: usize,
    /// Memories and tables of all instances of a handler on one worker. More is refused to the handler
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4GiB", help_heading = "Handler limits")]
    max_handler_memory: u64,

    /// Largest message, after inflating. More: close 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1MiB", help_heading = "Limits")]
    pub(super) max_message: u64,
    /// Largest message that a handler takes or sends in parts. More: close 1009, `too-large` for a part to be sent
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4GiB", help_heading = "Limits")]
    max_stream: u64,
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
    /// Bytes of a request's head, at least 8KiB. More: 431
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "16KiB", help_heading = "Limits")]
    max_header_bytes: u64,
    /// Header fields of a request. More: 431
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Limits")]
    max_headers: usize,

    /// Memory of a handler instance, tables included. More: allocation fails in the handler, which mostly traps
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB", help_heading = "Handler limits")]
    max_memory: u64,
    /// Time that a callback may compute. More: it is stopped, its connection closed with 1011
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "100ms", help_heading = "Handler limits")]
    callback_timeout: Duration,
    /// Time that a callback may take in all, waiting included. More: as above
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s", help_heading = "Handler limits")]
    blocking_timeout: Duration,
    /// Calls of imports in one callback. More: as above
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 1_000_000, help_heading = "Handler limits")]
    max_host_calls: u64,
    /// Stack of a callback, 64KiB to 16MiB. Deeper recursion: as above
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "512KiB", help_heading = "Handler limits")]
    max_wasm_stack: u64,
    /// Bytes of session data of a connection. More: `too-large`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64KiB", help_heading = "Handler limits")]
    max_session: u64,
    /// Session data of all connections of a handler per worker [default: 64MiB, at least --max-session]. More: `too-large`, or 503 for a
    /// handshake
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    max_handler_session: Option<u64>,
    /// Bytes queued for all connections of a handler per worker [default: 256MiB, at least twice --max-queue]. Above seven eighths only empty queues take a message; above all, those that hold most give way
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    max_handler_queue: Option<u64>,
    /// Messages per second from one connection [default: no limit]. More: it is read no faster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Handler limits")]
    max_message_rate: Option<u64>,
    /// Bytes per second from one connection [default: no limit]. More: it is read no faster
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    max_byte_rate: Option<u64>,
    /// Messages per second from all connections of a handler per worker [default: no limit]. More: they are read no faster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Handler limits")]
    max_handler_message_rate: Option<u64>,
    /// Bytes per second from all connections of a handler per worker [default: no limit]. More: they are read no faster
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    max_handler_byte_rate: Option<u64>,
    /// Messages per second that a handler sends per worker [default: no limit]. More: `queue-full`, `waiting` for a publish
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Handler limits")]
    max_send_rate: Option<u64>,
    /// Bytes per second that a handler sends per worker [default: no limit]. More: as for --max-send-rate
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    max_send_byte_rate: Option<u64>,
    /// Share of the time of its worker's thread that a handler may take, over a second. More: its events wait
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100), default_value_t = 100, help_heading = "Handler limits")]
    max_cpu_share: u32,
    /// Lines per second that a handler writes to stdout and stderr per worker. More: counted and left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 1_000, help_heading = "Handler limits")]
    max_log_rate: u64,
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

    /// Callbacks that may fail within --failure-window. One more: the handler is left alone for a second, twice as long each time up to a
    /// minute; its connections are closed with --failing-code, new ones are answered with 503
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        help_heading = "Failures and versions"
    )]
    max_failures: usize,
    /// The time in which failures are counted. A handler is left alone as well when a tenth of it, and 100 ms at least, went into failures:
    /// into backtraces, ended instances and new ones
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Failures and versions")]
    failure_window: Duration,
    /// The close code of connections of a handler that is left alone: 1013 (try again later) or 1011
    #[arg(long, value_name = "CODE", value_parser = ["1013", "1011"], default_value = "1013", help_heading = "Failures and versions")]
    failing_code: String,
    /// Bytes that a version of a handler may hand over to the next. More: the old version stays
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "16MiB", help_heading = "Failures and versions")]
    max_state: u64,
    /// Callbacks that a new version must survive; one that fails earlier brings the old version back
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        help_heading = "Failures and versions"
    )]
    trial_callbacks: u32,
    /// How long a new version is on trial at most, where fewer callbacks come
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s", help_heading = "Failures and versions")]
    trial_time: Duration,

    /// Lets handlers connect to `HOST[:PORT]`: a name, `*.example.com`, `*` for all that is public, an address or a range like
    /// `10.0.0.0/8`; what is not public must be named by address. Repeatable; without it nothing is allowed
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Connections out")]
    allow_connect: Vec<Grant>,
    /// Time for name and transport, for TLS and for the opening handshake, each
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Connections out")]
    pub(super) connect_timeout: Duration,
    /// Outbound connections of a handler per worker. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        help_heading = "Connections out"
    )]
    max_outbound: usize,
    /// Trusts the certificates of this PEM file beside the roots of the platform
    #[arg(long, value_name = "FILE", help_heading = "Connections out")]
    connect_ca: Option<PathBuf>,
    /// A client certificate and its key (PEM), for handlers that ask for this name. Repeatable
    #[arg(long, value_name = "NAME=CERT,KEY", value_parser = identity, help_heading = "Connections out")]
    client_cert: Vec<(String, TlsFiles)>,

    #[command(flatten)]
    privileges: PrivilegeArgs,

    #[command(flatten)]
    record: RecordArgs,

    /// Form of the log on standard error
    #[arg(long, value_enum, default_value = "text", help_heading = "Log")]
    log_format: Format,
    /// How much is logged
    #[arg(long, value_enum, default_value = "info", help_heading = "Log")]
    log_level: Level,

    /// Tells files and lines in backtraces of handlers that have debug information. For trusted handlers: reading it takes a worker's time
    #[arg(long, help_heading = "Failures and versions")]
    backtrace_lines: bool,
    /// Writes a wasm core dump of an instance whose callback failed into this folder, at most one a second per handler and worker. It has all
    /// of the instance's memory, secrets included
    #[arg(long, value_name = "DIR", help_heading = "Failures and versions")]
    coredump_dir: Option<PathBuf>,
    /// What the files of --coredump-dir may have together. More: no more are written
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1GiB", requires = "coredump_dir", help_heading = "Failures and versions")]
    coredump_max: u64,

    /// Folder for compiled components, which must be this user's or root's, with all above it, and writable by nobody else [default: wsrun in the user's cache folder]
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
    /// Largest component. More: refused
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB", help_heading = "Compilation")]
    max_component: u64,
    /// Memory that a compiled handler may take when it is loaded, beside that of its instances. More: refused
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "256MiB", help_heading = "Compilation")]
    max_code: u64,
    /// Time that compiling a handler may take. More: refused
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s", help_heading = "Compilation")]
    compile_timeout: Duration,
    /// Address space of the process that compiles, at least 256MiB. More: refused
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "2GiB", help_heading = "Compilation")]
    compile_memory: u64,
    /// Compiles in the process that serves, without limits of time and memory: for handlers that are trusted, where no process can be started
    #[arg(long, conflicts_with_all = ["compile_timeout", "compile_memory"], help_heading = "Compilation")]
    compile_in_process: bool,
}

impl RuntimeArgs {
    pub(super) fn start_log(&self) {
        logging::start(self.log_format, self.log_level);
    }

    /// Returns true when the process is to become another user or group.
    pub(super) fn becomes_somebody(&self) -> bool {
        self.privileges.is_given()
    }

    /// Returns true when permessage-deflate is offered.
    pub(super) fn compresses(&self) -> bool {
        !matches!(self.compression, Compression::Off)
    }

    /// Returns the values that handlers get with `host-info.config`.
    pub(super) fn values(&self) -> Result<Arc<BTreeMap<String, String>>, Failure> {
        Ok(Arc::new(each_once("--config", &self.config)?))
    }

    /// Returns a configuration without handlers and listeners, and the limits of every handler.
    pub(super) fn into_config(self) -> Result<(Config, HandlerLimits), Failure> {
        let max_queue = self
            .max_queue
            .unwrap_or_else(|| self.max_message.saturating_mul(2));
        if max_queue < self.max_message {
            return Err(Failure::usage(anyhow::anyhow!(
                "--max-queue {max_queue} is smaller than --max-message {}: such a message could never be sent",
                self.max_message
            )));
        }
        let limits = HandlerLimits {
            compute: ComputeLimits {
                callback_timeout: self.callback_timeout,
                blocking_timeout: self.blocking_timeout,
                host_calls_max: self.max_host_calls,
                cpu_share_max: self.max_cpu_share,
            },
            memory: MemoryLimits {
                instance_bytes_max: size(self.max_memory),
                handler_bytes_max: size(self.max_handler_memory),
                instances_max: self.max_instances,
                session_bytes_max: size(self.max_session),
                session_total_bytes_max: self.max_handler_session.map_or_else(
                    || {
                        let default = MemoryLimits::default().session_total_bytes_max;
                        default.max(size(self.max_session))
                    },
                    size,
                ),
                state_bytes_max: size(self.max_state),
            },
            traffic: TrafficLimits {
                received: Rates {
                    messages_max: self.max_message_rate,
                    bytes_max: self.max_byte_rate,
                },
                handler_received: Rates {
                    messages_max: self.max_handler_message_rate,
                    bytes_max: self.max_handler_byte_rate,
                },
                sent: Rates {
                    messages_max: self.max_send_rate,
                    bytes_max: self.max_send_byte_rate,
                },
                queued_bytes_max: self.max_handler_queue.map_or_else(
                    || {
                        let default = TrafficLimits::default().queued_bytes_max;
                        default.max(size(max_queue).saturating_mul(2))
                    },
                    size,
                ),
                log_lines_per_second_max: self.max_log_rate,
                ..TrafficLimits::default()
            },
            contract: ContractLimits {
                effect_bytes_max: ContractLimits::default()
                    .effect_bytes_max
                    .max(size(max_queue).saturating_mul(2)),
                sent_message_bytes_max: size(max_queue),
                timers_max: self.max_timers,
                topics_max: self.max_topics,
                subscriptions_max: self.max_subscriptions,
                ..ContractLimits::default()
            },
            resilience: Resilience {
                failures_max: self.max_failures,
                failure_window: self.failure_window,
                failing_close_code: match self.failing_code.as_str() {
                    "1011" => 1011,
                    _ => 1013,
                },
                trial_callbacks: self.trial_callbacks,
                trial_time: self.trial_time,
                hibernate_after: self.hibernate_after,
            },
        };
        let mut config = Config {
            listen: Vec::new(),
            runtime: RuntimeSettings {
                deflate: match self.compression {
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
                handshake_timeout: self.handshake_timeout,
                write_timeout: self.write_timeout,
                shutdown_timeout: self.shutdown_timeout,
                drain_window: self.drain_window,
                drain_close_code: match self.drain_code.as_str() {
                    "1012" => 1012,
                    _ => 1001,
                },
                stream_bytes_max: self.max_stream,
                danger_unmasked_frames: self.danger_unmasked_frames,
                ..RuntimeSettings::default()
            },
            outbound: OutboundConfig {
                grants: self.allow_connect.into_iter().collect(),
                connect_timeout: self.connect_timeout,
                connections_max: self.max_outbound,
                extra_roots: self.connect_ca,
                identities: each_once("--client-cert", &self.client_cert)?,
            },
            wasm: WasmSettings {
                cache_dir: if self.no_cache {
                    None
                } else {
                    self.cache_dir
                        .map(std::path::absolute)
                        .or_else(default_cache)
                        .transpose()?
                },
                compilation: Compilation {
                    // The running program, even when another file has replaced it in the file system.
                    program: (!self.compile_in_process).then(|| "/proc/self/exe".into()),
                    component_bytes_max: self.max_component,
                    timeout: self.compile_timeout,
                    memory_bytes_max: self.compile_memory,
                    code_bytes_max: self.max_code,
                },
                stack_bytes_max: size(self.max_wasm_stack),
                backtrace_lines: self.backtrace_lines,
                coredumps: match self.coredump_dir {
                    Some(folder) => Some(Coredumps {
                        folder: std::path::absolute(folder)?,
                        bytes_max: self.coredump_max,
                    }),
                    None => None,
                },
                ..WasmSettings::default()
            },
            privileges: self.privileges.into_config()?,
            record: self.record.into_config(),
            ..Config::default()
        };
        config.runtime.limits.message_bytes_max = self.max_message;
        config.runtime.limits.frame_bytes_max = self.max_frame.unwrap_or(self.max_message);
        config.runtime.limits.fragments_max = self.max_fragments;
        config.runtime.limits.queued_bytes_max = size(max_queue);
        config.runtime.limits.sent_message_bytes_max = max_queue;
        config.runtime.limits.sent_stream_bytes_max = self.max_stream;
        config.runtime.limits.control_frames_per_second_max = self.max_control_rate;
        config.runtime.limits.header_bytes_max = size(self.max_header_bytes);
        config.runtime.limits.headers_max = self.max_headers;
        config.runtime.timeouts.ping_interval = self.ping_interval.0;
        config.runtime.timeouts.idle_timeout = self.idle_timeout.0;
        config.runtime.timeouts.close_timeout = self.close_timeout;
        config.runtime.timeouts.message_timeout = self.message_timeout.0;
        if self.danger_unmasked_frames {
            tracing::warn!(
                "--danger-unmasked-frames: frames are taken with and without masks, and none is sent masked; for tests alone"
            );
        }
        Ok((config, limits))
    }
}

/// Collects pairs into a map. A name that is given twice is an error, since either value could be
/// meant.
fn each_once<T: Clone>(flag: &str, pairs: &[(String, T)]) -> Result<BTreeMap<String, T>, Failure> {
    let mut map = BTreeMap::new();
    for (name, value) in pairs {
        if map.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(anyhow::anyhow!(
                "{flag} {name}=… is given twice: a name has one value"
            )));
        }
    }
    Ok(map)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Returns the default cache folder: `$XDG_CACHE_HOME/wsrun`, else `~/.cache/wsrun`. None without a
/// home, or when nothing can be stored there.
pub(super) fn default_cache() -> Option<std::io::Result<PathBuf>> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    let folder = base.join("wsrun");
    // A cache that cannot be used does not prevent the start: the next start compiles again.
    match cache::check(&folder) {
        Ok(()) => Some(Ok(folder)),
        Err(error @ CacheError::Unreachable { .. }) => {
            tracing::debug!("{error}");
            None
        }
        Err(error @ CacheError::Unsafe { .. }) => {
            tracing::warn!("handlers are compiled at each start: {error}");
            None
        }
    }
}
