//! What is counted. Each worker has numbers of its own, so that counting is a plain addition; whoever reads them adds them up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use wsrun_contract::Limit;

/// A number that only grows. One thread adds, any may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, count: u64) {
        // One writer: no locked instruction is needed.
        self.0.store(self.get() + count, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. One thread changes it, any may read.
#[derive(Debug, Default)]
pub struct Gauge(AtomicUsize);

impl Gauge {
    #[inline]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub fn set(&self, value: usize) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// From `before` to `after`, of one of the things that it is the sum of.
    #[inline]
    pub fn change(&self, before: usize, after: usize) {
        self.set(self.get() - before + after);
    }
}

/// The same where any thread changes it, which is rare.
#[derive(Debug, Default)]
pub struct SharedGauge(AtomicU64);

impl SharedGauge {
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    #[inline]
    pub fn subtract(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }
}

/// How a callback failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    Trap,
    Deadline,
    Blocked,
    /// It was no callback: an instance could not be made or started.
    Start,
}

impl FailureKind {
    pub const ALL: [Self; 4] = [Self::Trap, Self::Deadline, Self::Blocked, Self::Start];

    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Blocked => "blocked",
            Self::Start => "start",
        }
    }
}

/// Why a handshake was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// It is no upgrade to WebSocket, or a malformed one.
    Malformed,
    /// A page of another origin.
    Origin,
    /// No subprotocol that is served was offered.
    Subprotocol,
    /// Nothing takes WebSockets.
    NoWebSocket,
    /// By the handler itself.
    Handler,
    /// The handler trapped, overran, or accepted with what cannot be sent.
    Failed,
    /// The handler is left alone because it failed again and again.
    BackedOff,
    /// As many connections or instances, or as much session data, as there may be.
    Limit,
    /// The server ends.
    Shutdown,
}

impl RefusalReason {
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Origin,
        Self::Subprotocol,
        Self::NoWebSocket,
        Self::Handler,
        Self::Failed,
        Self::BackedOff,
        Self::Limit,
        Self::Shutdown,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Origin => "origin",
            Self::Subprotocol => "subprotocol",
            Self::NoWebSocket => "no-websocket",
            Self::Handler => "handler",
            Self::Failed => "failed",
            Self::BackedOff => "backed-off",
            Self::Limit => "limit",
            Self::Shutdown => "shutdown",
        }
    }
}

/// One handler on one worker.
#[derive(Debug, Default)]
pub struct HandlerTally {
    pub connections: Gauge,
    pub opened: Counter,
    pub messages_in: Counter,
    pub messages_out: Counter,
    pub dropped: Counter,
    pub bytes_in: Counter,
    pub bytes_out: Counter,
    pub auto_replies: Counter,
    pub callbacks: Counter,
    pub failures: [Counter; FailureKind::ALL.len()],
    /// Times that the handler was left alone for having failed too often.
    pub back_offs: Counter,
    /// 1 while that is so.
    pub backed_off: Gauge,
    pub instances: Counter,
    /// Versions that took over for good, and those that were given up.
    pub swaps: Counter,
    pub swaps_given_up: Counter,
    pub limits: PerLimit,
    pub queued_bytes: Gauge,
    pub event_bytes: Gauge,
    pub session_bytes: Gauge,
    /// Session data that is promised to be kept: whoever holds the promise, on whichever thread, takes it back here.
    pub session_promised: AtomicUsize,
    /// Instances that there are, those of plain requests and the spare one included.
    pub live_instances: Gauge,
    /// Instances that were let go because nothing happened.
    pub hibernations: Counter,
    /// Memories and tables of all its instances.
    pub memory_bytes: Gauge,
    /// What the versions of the handler that are loaded take: one number for all workers.
    pub code_bytes: Arc<SharedGauge>,
}

/// How often each limit was reached: indexed by `Limit as usize`.
#[derive(Debug)]
pub struct PerLimit([Counter; Limit::ALL.len()]);

impl Default for PerLimit {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl std::ops::Index<usize> for PerLimit {
    type Output = Counter;

    fn index(&self, limit: usize) -> &Counter {
        &self.0[limit]
    }
}

/// What a worker counts whoever the connection would be for.
#[derive(Debug, Default)]
pub struct HostTally {
    pub accepted: Counter,
    pub turned_away: Counter,
    pub handshakes_refused: [Counter; RefusalReason::ALL.len()],
    /// Panics of the host that were contained.
    pub panics: Counter,
}

/// The numbers of a server.
#[derive(Debug)]
pub struct Tallies {
    /// In the order of the configuration.
    pub names: Vec<String>,
    pub workers: Vec<WorkerTally>,
}

#[derive(Debug)]
pub struct WorkerTally {
    pub host: Arc<HostTally>,
    /// In the order of the configuration.
    pub handlers: Vec<Arc<HandlerTally>>,
}

impl Tallies {
    pub fn new(names: Vec<String>, workers: u16) -> Self {
        let code: Vec<Arc<SharedGauge>> = names.iter().map(|_| Arc::default()).collect();
        let of_handler = |code: &Arc<SharedGauge>| {
            Arc::new(HandlerTally {
                code_bytes: Arc::clone(code),
                ..HandlerTally::default()
            })
        };
        let workers = (0..workers).map(|_| WorkerTally {
            host: Arc::default(),
            handlers: code.iter().map(of_handler).collect(),
        });
        Self {
            workers: workers.collect(),
            names,
        }
    }

    /// The sum over all workers of what `of` counts, for the handler at `position`.
    pub fn sum(&self, position: usize, of: impl Fn(&HandlerTally) -> u64) -> u64 {
        let workers = self.workers.iter();
        workers.map(|worker| of(&worker.handlers[position])).sum()
    }

    /// Bytes of the versions of the handler at `position` that are loaded.
    #[inline]
    pub fn code_bytes(&self, position: usize) -> u64 {
        let worker = self.workers.first();
        worker.map_or(0, |worker| worker.handlers[position].code_bytes.get())
    }

    /// The same of what a worker counts itself.
    pub fn host_sum(&self, of: impl Fn(&HostTally) -> u64) -> u64 {
        self.workers.iter().map(|worker| of(&worker.host)).sum()
    }
}
