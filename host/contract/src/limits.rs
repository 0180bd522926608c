//! The limits of a handler, in groups, and what is told when it wants more.

use std::time::Duration;

use super::setting::{self, Setting};

/// The limits of one handler. Each counts on one worker, unless it says otherwise.
#[derive(Clone, Debug, Default)]
pub struct HandlerLimits {
    /// Time and calls.
    pub compute: ComputeLimits,
    /// Instances, and the memory of instances and sessions.
    pub memory: MemoryLimits,
    /// Connections, rates, and what is queued.
    pub traffic: TrafficLimits,
    /// What callbacks may ask for.
    pub contract: ContractLimits,
    /// Failures, trials of new versions, and hibernation.
    pub resilience: Resilience,
}

/// The limits of a handler's time.
#[derive(Clone, Debug)]
pub struct ComputeLimits {
    /// The time that one callback may compute, 100 ms by default. Beyond it the callback is stopped
    /// like a trap.
    pub callback_timeout: Duration,
    /// The time that one callback may take in all, waiting in a host call included: 5 s by default.
    pub blocking_timeout: Duration,
    /// Calls of imports, of the contract and of WASI, in one callback: 1,000,000 by default. One
    /// more traps.
    pub host_calls_max: u64,
    /// Percent of the time of its worker's thread that a handler may take, measured over a second:
    /// 100 by default, which is no limit. Beyond it the handler's events wait.
    pub cpu_share_max: u32,
}

impl Default for ComputeLimits {
    fn default() -> Self {
        Self {
            callback_timeout: Duration::from_millis(100),
            blocking_timeout: Duration::from_secs(5),
            host_calls_max: 1_000_000,
            cpu_share_max: 100,
        }
    }
}

/// The limits of a handler's instances and of the memory that it holds.
#[derive(Clone, Debug)]
pub struct MemoryLimits {
    /// Bytes of all memories and tables of one instance, 64 MiB by default. Growing beyond it fails
    /// inside the handler, which mostly traps.
    pub instance_bytes_max: usize,
    /// Bytes of the memories and tables of all instances on one worker, 4 GiB by default. Growing
    /// beyond it fails in the handler.
    pub handler_bytes_max: usize,
    /// Instances on one worker, with spare ones and those that answer plain requests: 10,000 by
    /// default. At it, in the scope `connection`, a handshake is answered 503, and an event that
    /// would wake an instance waits for another to end, as long as the handshake timeout; then its
    /// connection fails.
    pub instances_max: usize,
    /// Bytes of session data of a connection, 64 KiB by default. More is refused with `too-large`.
    pub session_bytes_max: usize,
    /// Bytes of session data of all connections on one worker together, 64 MiB by default. More is
    /// refused with `too-large`.
    pub session_total_bytes_max: usize,
    /// Bytes that a version may hand over to the next, 16 MiB by default. More keeps the old
    /// version.
    pub state_bytes_max: usize,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            instance_bytes_max: 64 * 1024 * 1024,
            handler_bytes_max: 4 << 30,
            instances_max: 10_000,
            session_bytes_max: 64 * 1024,
            session_total_bytes_max: 64 * 1024 * 1024,
            state_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// A rate of messages and of bytes, with what a second brings in one go. None, the default, is no
/// limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Messages per second.
    pub messages_max: Option<u64>,
    /// Bytes per second.
    pub bytes_max: Option<u64>,
}

/// The limits of a handler's connections and of what they carry.
#[derive(Clone, Debug)]
pub struct TrafficLimits {
    /// The messages, and the bytes of frames on the wire, that one connection is read at. A peer
    /// that sends faster is not read meanwhile, its control frames neither, and nothing is lost.
    pub received: Rates,
    /// The messages and bytes that all connections on one worker are read at together.
    pub handler_received: Rates,
    /// The messages, pings and pongs, and the bytes of their payloads, that a handler sends on one
    /// worker. A published message counts for each subscriber. Beyond it sends are refused with
    /// `queue-full`, and publishes with `waiting` of 0.
    pub sent: Rates,
    /// Bytes queued for all connections on one worker together, 256 MiB by default; a message that
    /// several wait for counts for each. Beyond it sends are refused with `queue-full`, and
    /// published messages follow the policies for slow subscribers. As many bytes of events may
    /// wait for the handler; beyond that no connection of it is read.
    pub queued_bytes_max: usize,
    /// Inbound connections over all workers. None, the default, for as many as the server takes.
    /// One more handshake is answered 503.
    pub connections_max: Option<usize>,
    /// Lines per second that a handler's stdout and stderr may log on one worker, 1,000 by default,
    /// with what a second brings in one go. More are counted and not written.
    pub log_lines_per_second_max: u64,
}

impl Default for TrafficLimits {
    fn default() -> Self {
        Self {
            received: Rates::default(),
            handler_received: Rates::default(),
            sent: Rates::default(),
            queued_bytes_max: 256 * 1024 * 1024,
            connections_max: None,
            log_lines_per_second_max: 1_000,
        }
    }
}

/// The limits of what callbacks may ask for.
#[derive(Clone, Debug)]
pub struct ContractLimits {
    /// Effects (sends, closes, timers…) of one callback, 262,144 by default. One more traps.
    pub effects_max: usize,
    /// Bytes of the effects of one callback, 64 MiB by default. More traps.
    pub effect_bytes_max: usize,
    /// Bytes of a message that is published or broadcast, 2 MiB by default: as much as a queue
    /// holds. More traps.
    pub sent_message_bytes_max: usize,
    /// Timers on one worker, 10,000 by default. One more is refused with `limit`.
    pub timers_max: usize,
    /// Topics on one worker, 100,000 by default. One more is refused with `limit`.
    pub topics_max: usize,
    /// Topics that one connection is subscribed to, 64 by default. One more is refused with
    /// `limit`.
    pub subscriptions_max: usize,
    /// Instances that answer plain requests by `wasi:http` at a time on one worker, 64 by default.
    /// One more request waits for as long as the handshake timeout, and is then answered with 503.
    pub http_instances_max: usize,
}

impl Default for ContractLimits {
    fn default() -> Self {
        Self {
            effects_max: 262_144,
            effect_bytes_max: 64 * 1024 * 1024,
            sent_message_bytes_max: 2 * 1024 * 1024,
            timers_max: 10_000,
            topics_max: 100_000,
            subscriptions_max: 64,
            http_instances_max: 64,
        }
    }
}

/// The treatment of a handler that fails, that is replaced, or that is idle.
#[derive(Clone, Debug)]
pub struct Resilience {
    /// Callbacks that may fail within [`failure_window`](Self::failure_window), 50 by default. With
    /// one more the handler is left alone for a second, twice as long each time up to a minute: its
    /// connections are closed, new ones are answered with 503.
    pub failures_max: usize,
    /// The time in which failures are counted, 10 s by default.
    pub failure_window: Duration,
    /// The code that connections are closed with then: 1013 (try again later) by default, or 1011.
    pub failing_close_code: u16,
    /// Callbacks that a new version must survive, 100 by default; one that fails earlier brings the
    /// old version back.
    pub trial_callbacks: u32,
    /// The longest trial of a new version where fewer callbacks come: 2 s by default.
    pub trial_time: Duration,
    /// The silence after which an instance is let go, and its memory given back. Its connections
    /// stay, and the next event makes another instance, which is told them by `lifecycle.resumed`.
    /// None, the default, for never: globals are lost with the instance.
    pub hibernate_after: Option<Duration>,
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            failures_max: 50,
            failure_window: Duration::from_secs(10),
            failing_close_code: 1013,
            trial_callbacks: 100,
            trial_time: Duration::from_secs(2),
            hibernate_after: None,
        }
    }
}

/// The least instances: a worker has one for what belongs to no connection, and a spare one.
const INSTANCES_MIN: usize = 3;

/// Limits of a handler that contradict each other, or that nothing could be done within.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLimits {
    /// All instances together have less memory than one may have.
    #[error(
        "{} {handler} is smaller than {} {instance}, which is for one instance",
        Setting("memory.handler_bytes_max"),
        Setting("memory.instance_bytes_max")
    )]
    HandlerMemory {
        /// Bytes of all instances.
        handler: usize,
        /// Bytes of one.
        instance: usize,
    },
    /// There are too few instances.
    #[error(
        "{} {instances}: it must be at least {INSTANCES_MIN}, as a worker has one for what belongs to no connection, and a spare one",
        Setting("memory.instances_max")
    )]
    Instances {
        /// The configured number.
        instances: usize,
    },
    /// No instance may answer plain requests.
    #[error(
        "{} 0: no request could be answered",
        Setting("contract.http_instances_max")
    )]
    NoHttpInstances,
    /// All session data together is less than that of one connection may be.
    #[error(
        "{} {total} is smaller than {} {one}, which is for one connection",
        Setting("memory.session_total_bytes_max"),
        Setting("memory.session_bytes_max")
    )]
    SessionData {
        /// Bytes of all connections.
        total: usize,
        /// Bytes of one.
        one: usize,
    },
    /// The share of the processor is no percentage.
    #[error(
        "{} {percent}: it must be 1 to 100 percent",
        Setting("compute.cpu_share_max")
    )]
    CpuShare {
        /// The configured share.
        percent: u32,
    },
    /// The time of a callback in all is shorter than the time that it may compute.
    #[error(
        "{} {blocking:?} is shorter than {} {callback:?}, which it contains",
        Setting("compute.blocking_timeout"),
        Setting("compute.callback_timeout")
    )]
    BlockingTimeout {
        /// The time in all.
        blocking: Duration,
        /// The time of computing.
        callback: Duration,
    },
}

impl HandlerLimits {
    /// Checks that the limits do not contradict each other.
    ///
    /// # Errors
    ///
    /// Fails with the first contradiction.
    #[inline]
    pub fn check(&self) -> Result<(), InvalidLimits> {
        self.memory.check()?;
        if self.contract.http_instances_max == 0 {
            return Err(InvalidLimits::NoHttpInstances);
        }
        self.compute.check()
    }

    /// Shortens every time to one that the clock can still tell.
    pub fn bound_times(&mut self) {
        let (compute, resilience) = (&mut self.compute, &mut self.resilience);
        let times = [
            &mut compute.callback_timeout,
            &mut compute.blocking_timeout,
            &mut resilience.failure_window,
            &mut resilience.trial_time,
        ];
        for time in times.into_iter().chain(&mut resilience.hibernate_after) {
            *time = LONGEST.min(*time);
        }
    }
}

impl MemoryLimits {
    fn check(&self) -> Result<(), InvalidLimits> {
        if self.handler_bytes_max < self.instance_bytes_max {
            return Err(InvalidLimits::HandlerMemory {
                handler: self.handler_bytes_max,
                instance: self.instance_bytes_max,
            });
        }
        if self.instances_max < INSTANCES_MIN {
            return Err(InvalidLimits::Instances {
                instances: self.instances_max,
            });
        }
        if self.session_total_bytes_max < self.session_bytes_max {
            return Err(InvalidLimits::SessionData {
                total: self.session_total_bytes_max,
                one: self.session_bytes_max,
            });
        }
        Ok(())
    }
}

impl ComputeLimits {
    fn check(&self) -> Result<(), InvalidLimits> {
        if !(1..=100).contains(&self.cpu_share_max) {
            return Err(InvalidLimits::CpuShare {
                percent: self.cpu_share_max,
            });
        }
        if self.blocking_timeout < self.callback_timeout {
            return Err(InvalidLimits::BlockingTimeout {
                blocking: self.blocking_timeout,
                callback: self.callback_timeout,
            });
        }
        Ok(())
    }
}

/// The longest time that anything is waited for: the timers of the runtime reach two years, and the clock not without end.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

macro_rules! limits {
    ($($variant:ident $name:literal $explanation:literal,)*) => {
        /// A limit of a handler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit { $($variant,)* }

        impl Limit {
            pub const ALL: [Self; [$($name,)*].len()] = [$(Self::$variant,)*];

            /// Its label in the metrics.
            #[inline]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Returns what an operator would change, and what happens at it.
            #[inline]
            pub fn explanation(self) -> String {
                setting::with_names(match self { $(Self::$variant => $explanation,)* })
            }
        }
    };
}

limits! {
    CallbackTimeout "callback-timeout" "{compute.callback_timeout}: a callback was stopped",
    BlockingTimeout "blocking-timeout" "{compute.blocking_timeout}: a callback was stopped",
    Memory "memory" "{memory.instance_bytes_max}: the handler did not get more",
    TableElements "table-elements" "131,072 elements of an instance's tables: the handler did not get more",
    HandlerMemory "handler-memory" "{memory.handler_bytes_max}: the handler did not get more",
    Instances "instances" "{memory.instances_max}: a connection waits, or was refused",
    Effects "effects" "a callback asked for more than it may",
    Connections "connections" "{traffic.connections_max}: a handshake was answered 503",
    AddressConnections "address-connections" "{connection.connections_per_address_max}: a peer was cut off",
    MessageRateIn "message-rate-in" "{traffic.received.messages_max} or {traffic.handler_received.messages_max}: a peer is read no faster",
    ByteRateIn "byte-rate-in" "{traffic.received.bytes_max} or {traffic.handler_received.bytes_max}: a peer is read no faster",
    MessageRateOut "message-rate-out" "{traffic.sent.messages_max}: the handler could not send",
    ByteRateOut "byte-rate-out" "{traffic.sent.bytes_max}: the handler could not send",
    MessageSize "message-size" "{runtime.limits.queued_bytes_max}, {runtime.stream_bytes_max}: the handler wanted to send more at once",
    Queue "queue" "{runtime.limits.queued_bytes_max}: a peer does not read, and the handler could not send to it",
    HandlerQueue "handler-queue" "{traffic.queued_bytes_max}: what waits for all connections together is as much as may wait, and those that hold most give way",
    Session "session" "{memory.session_bytes_max}: session data was refused",
    HandlerSession "handler-session" "{memory.session_total_bytes_max}: session data was refused",
    CpuShare "cpu-share" "{compute.cpu_share_max}: the handler waits",
    Topics "topics" "{contract.topics_max}: a subscription was refused",
    Subscriptions "subscriptions" "{contract.subscriptions_max}: a subscription was refused",
    Timers "timers" "{contract.timers_max}: a timer was refused",
    AutoReplies "auto-replies" "an automatic reply was refused",
    Outbound "outbound" "{outbound.connections_max}: a connection was refused",
    HttpInstances "http-instances" "{contract.http_instances_max}: a request waited",
    State "state" "{memory.state_bytes_max}: the old version serves on",
    LogRate "log-rate" "{traffic.log_lines_per_second_max}: lines of the handler's output were left out",
    LogBytes "log-bytes" "64 KiB/s of the handler's output: lines of it were left out",
    WasmStack "wasm-stack" "{wasm.stack_bytes_max}: a callback was stopped",
    HostCalls "host-calls" "{compute.host_calls_max}: a callback was stopped",
    CopiedBytes "copied-bytes" "the arguments of one call of the host were more than may be copied: a callback was stopped",
    Resources "resources" "4,096 resources of WASI or 10,000 handles: a callback was stopped",
    Coredumps "coredumps" "{wasm.coredumps.bytes_max}: a core dump was not written",
    Failures "failures" "{resilience.failures_max}, or a tenth of {resilience.failure_window} spent on them: the handler is left alone",
}
