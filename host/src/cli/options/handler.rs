//! The limits of handlers, and the treatment of failures and new versions.

use std::path::PathBuf;
use std::time::Duration;

use super::size;
use crate::cli::failure::Failure;
use crate::cli::values::{bytes, count, duration};
use crate::config::{
    ComputeLimits, ContractLimits, Coredumps, HandlerLimits, MemoryLimits, Rates, Resilience,
    TrafficLimits, WasmSettings,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct HandlerLimitArgs {
    /// Lets an instance go that is told of nothing for so long; the next event makes another, which is told its connections [default: never]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Handler limits")]
    pub(in crate::cli) hibernate_after: Option<Duration>,
    /// Instances of a handler on one worker, for `--scope connection`. More: 503
    #[arg(long, value_name = "N", value_parser = count, default_value = "10000", help_heading = "Handler limits")]
    pub(in crate::cli) max_instances: usize,
    /// Memories and tables of all instances of a handler on one worker. More is refused to the handler
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4GiB", help_heading = "Handler limits")]
    pub(in crate::cli) max_handler_memory: u64,
    /// Memory of a handler instance, tables included. More: allocation fails in the handler, which mostly traps
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB", help_heading = "Handler limits")]
    pub(in crate::cli) max_memory: u64,
    /// Time that a callback may compute. More: it is stopped, its connection closed with 1011
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "100ms", help_heading = "Handler limits")]
    pub(in crate::cli) callback_timeout: Duration,
    /// Time that a callback may take in all, waiting included. More: as above
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s", help_heading = "Handler limits")]
    pub(in crate::cli) blocking_timeout: Duration,
    /// Calls of imports in one callback. More: as above
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 1_000_000, help_heading = "Handler limits")]
    pub(in crate::cli) max_host_calls: u64,
    /// Stack of a callback, 64KiB to 16MiB. Deeper recursion: as above
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "512KiB", help_heading = "Handler limits")]
    pub(in crate::cli) max_wasm_stack: u64,
    /// Bytes of session data of a connection. More: `too-large`
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64KiB", help_heading = "Handler limits")]
    pub(in crate::cli) max_session: u64,
    /// Session data of all connections of a handler per worker [default: 64MiB, at least --max-session]. More: `too-large`, or 503 for a
    /// handshake
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    pub(in crate::cli) max_handler_session: Option<u64>,
    /// Bytes queued for all connections of a handler per worker [default: 256MiB, at least twice --max-queue]. Above seven eighths only empty queues take a message; above all, those that hold most give way
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    pub(in crate::cli) max_handler_queue: Option<u64>,
    /// Messages per second from one connection [default: no limit]. More: it is read no faster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Handler limits")]
    pub(in crate::cli) max_message_rate: Option<u64>,
    /// Bytes per second from one connection [default: no limit]. More: it is read no faster
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    pub(in crate::cli) max_byte_rate: Option<u64>,
    /// Messages per second from all connections of a handler per worker [default: no limit]. More: they are read no faster
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Handler limits")]
    pub(in crate::cli) max_handler_message_rate: Option<u64>,
    /// Bytes per second from all connections of a handler per worker [default: no limit]. More: they are read no faster
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    pub(in crate::cli) max_handler_byte_rate: Option<u64>,
    /// Messages per second that a handler sends per worker [default: no limit]. More: `queue-full`, `waiting` for a publish
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Handler limits")]
    pub(in crate::cli) max_send_rate: Option<u64>,
    /// Bytes per second that a handler sends per worker [default: no limit]. More: as for --max-send-rate
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Handler limits")]
    pub(in crate::cli) max_send_byte_rate: Option<u64>,
    /// Share of the time of its worker's thread that a handler may take, over a second. More: its events wait
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100), default_value_t = 100, help_heading = "Handler limits")]
    pub(in crate::cli) max_cpu_share: u32,
    /// Lines per second that a handler writes to stdout and stderr per worker. More: counted and left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), default_value_t = 1_000, help_heading = "Handler limits")]
    pub(in crate::cli) max_log_rate: u64,
    /// Timers of a handler per worker. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        help_heading = "Handler limits"
    )]
    pub(in crate::cli) max_timers: usize,
    /// Topics of a handler per worker. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000,
        help_heading = "Handler limits"
    )]
    pub(in crate::cli) max_topics: usize,
    /// Topics that one connection may be subscribed to. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 64,
        help_heading = "Handler limits"
    )]
    pub(in crate::cli) max_subscriptions: usize,
}

impl HandlerLimitArgs {
    pub(in crate::cli) fn apply(&self, max_queue: u64, limits: &mut HandlerLimits) {
        limits.compute = ComputeLimits {
            callback_timeout: self.callback_timeout,
            blocking_timeout: self.blocking_timeout,
            host_calls_max: self.max_host_calls,
            cpu_share_max: self.max_cpu_share,
        };
        limits.memory = MemoryLimits {
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
            ..limits.memory
        };
        limits.traffic = TrafficLimits {
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
        };
        limits.contract = ContractLimits {
            effect_bytes_max: ContractLimits::default()
                .effect_bytes_max
                .max(size(max_queue).saturating_mul(2)),
            sent_message_bytes_max: size(max_queue),
            timers_max: self.max_timers,
            topics_max: self.max_topics,
            subscriptions_max: self.max_subscriptions,
            ..ContractLimits::default()
        };
        limits.resilience.hibernate_after = self.hibernate_after;
    }
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct FailureArgs {
    /// Callbacks that may fail within --failure-window. One more: the handler is left alone for a second, twice as long each time up to a
    /// minute; its connections are closed with --failing-code, new ones are answered with 503
    #[arg(
        long,
        value_name = "N",
        default_value_t = 50,
        help_heading = "Failures and versions"
    )]
    pub(in crate::cli) max_failures: usize,
    /// The time in which failures are counted. A handler is left alone as well when a tenth of it, and 100 ms at least, went into failures:
    /// into backtraces, ended instances and new ones
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Failures and versions")]
    pub(in crate::cli) failure_window: Duration,
    /// The close code of connections of a handler that is left alone: 1013 (try again later) or 1011
    #[arg(long, value_name = "CODE", value_parser = ["1013", "1011"], default_value = "1013", help_heading = "Failures and versions")]
    pub(in crate::cli) failing_code: String,
    /// Bytes that a version of a handler may hand over to the next. More: the old version stays
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "16MiB", help_heading = "Failures and versions")]
    pub(in crate::cli) max_state: u64,
    /// Callbacks that a new version must survive; one that fails earlier brings the old version back
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100,
        help_heading = "Failures and versions"
    )]
    pub(in crate::cli) trial_callbacks: u32,
    /// How long a new version is on trial at most, where fewer callbacks come
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s", help_heading = "Failures and versions")]
    pub(in crate::cli) trial_time: Duration,
    /// Tells files and lines in backtraces of handlers that have debug information. For trusted handlers: reading it takes a worker's time
    #[arg(long, help_heading = "Failures and versions")]
    pub(in crate::cli) backtrace_lines: bool,
    /// Writes a wasm core dump of an instance whose callback failed into this folder, at most one a second per handler and worker. It has all
    /// of the instance's memory, secrets included
    #[arg(long, value_name = "DIR", help_heading = "Failures and versions")]
    pub(in crate::cli) coredump_dir: Option<PathBuf>,
    /// What the files of --coredump-dir may have together. More: no more are written
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1GiB", requires = "coredump_dir", help_heading = "Failures and versions")]
    pub(in crate::cli) coredump_max: u64,
}

impl FailureArgs {
    pub(in crate::cli) fn apply(&self, limits: &mut HandlerLimits) {
        limits.memory.state_bytes_max = size(self.max_state);
        limits.resilience = Resilience {
            failures_max: self.max_failures,
            failure_window: self.failure_window,
            failing_close_code: match self.failing_code.as_str() {
                "1011" => 1011,
                _ => 1013,
            },
            trial_callbacks: self.trial_callbacks,
            trial_time: self.trial_time,
            ..limits.resilience
        };
    }

    pub(in crate::cli) fn apply_to_wasm(&self, settings: &mut WasmSettings) -> Result<(), Failure> {
        settings.backtrace_lines = self.backtrace_lines;
        settings.coredumps = match &self.coredump_dir {
            Some(folder) => Some(Coredumps {
                folder: std::path::absolute(folder)?,
                bytes_max: self.coredump_max,
            }),
            None => None,
        };
        Ok(())
    }
}
