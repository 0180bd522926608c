//! What a handler may use, and what is told when it wants more.

use std::time::Duration;

/// Limits of one instance of a handler.
#[derive(Clone, Debug)]
pub struct HandlerLimits {
    /// Bytes of all its memories and tables, 64 MiB by default. Growing beyond it fails inside the handler, which mostly traps.
    pub memory_bytes_max: usize,
    /// Time that one callback may compute, 100 ms by default, counted in ticks of 5 ms. Beyond it the callback is stopped like a trap.
    pub callback_timeout: Duration,
    /// Time that one callback may take in all, waiting in a host call included: 5 s by default.
    pub blocking_timeout: Duration,
    /// Effects (sends, closes, timers…) of one callback, 262,144 by default. One more traps.
    pub effects_max: usize,
    /// Calls of imports, of the contract and of WASI, in one callback: 1,000,000 by default. One more traps.
    pub host_calls_max: u64,
    /// Bytes of the effects of one callback, 64 MiB by default. More traps.
    pub effect_bytes_max: usize,
    /// Bytes of a message that is published or broadcast, 2 MiB by default: as much as a queue holds. More traps.
    pub sent_message_bytes_max: usize,
    /// Bytes of session data of a connection, 64 KiB by default. More is refused with `too-large`.
    pub session_bytes_max: usize,
    /// Timers of a handler on one worker, 10,000 by default. One more is refused with `limit`.
    pub timers_max: usize,
    /// Topics of a handler on one worker, 100,000 by default. One more is refused with `limit`.
    pub topics_max: usize,
    /// Topics that one connection is subscribed to, 64 by default. One more is refused with `limit`.
    pub subscriptions_max: usize,
    /// Instances that answer plain requests by `wasi:http` at a time on one worker, 64 by default. One more request waits for as long as
    /// [`Config::handshake_timeout`](crate::config::Config::handshake_timeout), and is then answered with 503.
    pub http_instances_max: usize,
    /// Bytes that a version may hand over to the next, 16 MiB by default. More keeps the old version.
    pub state_bytes_max: usize,
    /// Callbacks that may fail within [`failure_window`](Self::failure_window), 50 by default. With one more the handler is left alone for
    /// a second, twice as long each time up to a minute: its connections are closed, new ones are answered with 503.
    pub failures_max: usize,
    /// 10 s by default.
    pub failure_window: Duration,
    /// The code that connections are closed with then: 1013 (try again later) by default, or 1011.
    pub failing_close_code: u16,
    /// Callbacks that a new version must survive, 100 by default; one that fails earlier brings the old version back.
    pub trial_callbacks: u32,
    /// How long a new version is on trial at most where fewer callbacks come: 2 s by default.
    pub trial_time: Duration,
    /// Instances of a handler on one worker, with spare ones and those that answer plain requests: 10,000 by default. At it, in the scope
    /// `connection`, a handshake is answered 503, and an event that would wake an instance waits for another to end, as long as
    /// [`Config::handshake_timeout`](crate::config::Config::handshake_timeout); then its connection fails.
    pub instances_max: usize,
    /// Memories and tables of all instances of a handler on one worker, 4 GiB by default. Growing beyond it fails in the handler.
    pub handler_memory_bytes_max: usize,
    /// An instance that is told of nothing for so long is let go, and its memory given back. Its connections stay, and the next event makes
    /// another instance, which is told them by `lifecycle.resumed`. None, the default, for never: globals are lost with the instance.
    pub hibernate_after: Option<Duration>,
    /// Inbound connections of a handler over all workers. None, the default, for as many as [`Config::connections_max`](crate::config::Config::connections_max). One more handshake
    /// is answered 503.
    pub connections_max: Option<usize>,
    /// Messages per second that one connection is read at, with what a second brings in one go; none, the default, for no limit. A peer that
    /// sends faster is not read meanwhile, its control frames neither, and nothing is lost.
    pub message_rate_max: Option<u64>,
    /// The same for the bytes of frames, as they are on the wire.
    pub byte_rate_max: Option<u64>,
    /// Messages per second that all connections of a handler on one worker are read at together; none, the default, for no limit.
    pub handler_message_rate_max: Option<u64>,
    /// The same for the bytes of frames.
    pub handler_byte_rate_max: Option<u64>,
    /// Messages, pings and pongs per second that a handler sends on one worker, a published one counted for each subscriber; none, the
    /// default, for no limit. Beyond it sends are refused with `queue-full`, and publishes with `waiting` of 0.
    pub send_rate_max: Option<u64>,
    /// The same for the bytes of payloads.
    pub send_byte_rate_max: Option<u64>,
    /// Bytes queued for all connections of a handler on one worker together, 256 MiB by default; a message that several wait for counts for
    /// each. Beyond it sends are refused with `queue-full`, and published messages follow the policies for slow subscribers. As many
    /// bytes of events may wait for the handler; beyond that no connection of it is read.
    pub queued_bytes_max: usize,
    /// Session data of all connections of a handler on one worker together, 64 MiB by default. More is refused with `too-large`.
    pub session_total_bytes_max: usize,
    /// Percent of the time of its worker's thread that a handler may take, measured over a second: 100 by default, which is no limit.
    /// Beyond it the handler's events wait.
    pub cpu_share_max: u32,
    /// Lines per second that a handler's stdout and stderr may log on one worker, 1,000 by default, with what a second brings in one go.
    /// More are counted and not written.
    pub log_lines_per_second_max: u64,
}

impl Default for HandlerLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * 1024 * 1024,
            callback_timeout: Duration::from_millis(100),
            blocking_timeout: Duration::from_secs(5),
            effects_max: 262_144,
            host_calls_max: 1_000_000,
            effect_bytes_max: 64 * 1024 * 1024,
            sent_message_bytes_max: 2 * 1024 * 1024,
            session_bytes_max: 64 * 1024,
            timers_max: 10_000,
            topics_max: 100_000,
            subscriptions_max: 64,
            http_instances_max: 64,
            state_bytes_max: 16 * 1024 * 1024,
            failures_max: 50,
            failure_window: Duration::from_secs(10),
            failing_close_code: 1013,
            trial_callbacks: 100,
            trial_time: Duration::from_secs(2),
            instances_max: 10_000,
            handler_memory_bytes_max: 4 << 30,
            hibernate_after: None,
            connections_max: None,
            message_rate_max: None,
            byte_rate_max: None,
            handler_message_rate_max: None,
            handler_byte_rate_max: None,
            send_rate_max: None,
            send_byte_rate_max: None,
            queued_bytes_max: 256 * 1024 * 1024,
            session_total_bytes_max: 64 * 1024 * 1024,
            cpu_share_max: 100,
            log_lines_per_second_max: 1_000,
        }
    }
}

/// The longest time that anything is waited for: the timers of the runtime reach two years, and the clock not without end.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

macro_rules! limits {
    ($($variant:ident $name:literal $explanation:literal,)*) => {
        /// A limit of a handler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Limit { $($variant,)* }

        impl Limit {
            pub(crate) const ALL: [Self; [$($name,)*].len()] = [$(Self::$variant,)*];

            /// Its label in the metrics.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What an operator would change, and what happens at it.
            pub(crate) fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)* }
            }
        }
    };
}

limits! {
    CallbackTimeout "callback-timeout" "--callback-timeout: a callback was stopped",
    BlockingTimeout "blocking-timeout" "--blocking-timeout: a callback was stopped",
    Memory "memory" "--max-memory: the handler did not get more",
    TableElements "table-elements" "131,072 elements of an instance's tables: the handler did not get more",
    HandlerMemory "handler-memory" "--max-handler-memory: the handler did not get more",
    Instances "instances" "--max-instances: a connection waits, or was refused",
    Effects "effects" "a callback asked for more than it may",
    Connections "connections" "--max-handler-connections: a handshake was answered 503",
    AddressConnections "address-connections" "--max-connections-per-address: a peer was cut off",
    MessageRateIn "message-rate-in" "--max-message-rate or --max-handler-message-rate: a peer is read no faster",
    ByteRateIn "byte-rate-in" "--max-byte-rate or --max-handler-byte-rate: a peer is read no faster",
    MessageRateOut "message-rate-out" "--max-send-rate: the handler could not send",
    ByteRateOut "byte-rate-out" "--max-send-byte-rate: the handler could not send",
    MessageSize "message-size" "--max-queue, --max-stream: the handler wanted to send more at once",
    Queue "queue" "--max-queue: a peer does not read, and the handler could not send to it",
    HandlerQueue "handler-queue" "--max-handler-queue: what waits for all connections together is as much as may wait, and those that hold most give way",
    Session "session" "--max-session: session data was refused",
    HandlerSession "handler-session" "--max-handler-session: session data was refused",
    CpuShare "cpu-share" "--max-cpu-share: the handler waits",
    Topics "topics" "--max-topics: a subscription was refused",
    Subscriptions "subscriptions" "--max-subscriptions: a subscription was refused",
    Timers "timers" "--max-timers: a timer was refused",
    AutoReplies "auto-replies" "an automatic reply was refused",
    Outbound "outbound" "--max-outbound: a connection was refused",
    HttpInstances "http-instances" "--max-http-instances: a request waited",
    State "state" "--max-state: the old version serves on",
    LogRate "log-rate" "--max-log-rate: lines of the handler's output were left out",
    LogBytes "log-bytes" "64 KiB/s of the handler's output: lines of it were left out",
    WasmStack "wasm-stack" "--max-wasm-stack: a callback was stopped",
    HostCalls "host-calls" "--max-host-calls: a callback was stopped",
    CopiedBytes "copied-bytes" "the arguments of one call of the host were more than may be copied: a callback was stopped",
    Resources "resources" "4,096 resources of WASI or 10,000 handles: a callback was stopped",
    Coredumps "coredumps" "--coredump-max: a core dump was not written",
    Failures "failures" "--max-failures, or a tenth of --failure-window spent on them: the handler is left alone",
}
