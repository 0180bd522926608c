//! The status of a running server, and the requests that any thread can make to it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Swapper;
use super::exposition::exposition;
use crate::config::Config;
use wsrun_contract::Limit;
use wsrun_metrics::{FailureKind, Tallies};
use wsrun_net::listener::{Bound, Ownership, SocketFile};

/// The longest time that a server waits for handshakes that have begun, when it hands over its
/// listeners.
const HANDSHAKES_TIMEOUT: Duration = Duration::from_secs(2);
/// The interval of the checks for the end of those handshakes.
const HANDSHAKES_CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// A handle on a running server. It is cheap to clone, and may be sent to any thread.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    urls: Vec<String>,
    tallies: Arc<Tallies>,
    swapper: Swapper,
    live: watch::Sender<usize>,
    /// True once another process accepts connections instead.
    retiring: watch::Sender<bool>,
    shutdown: watch::Sender<bool>,
    handshakes: Arc<AtomicUsize>,
    started: Instant,
    listeners: Mutex<Listeners>,
}

/// Sockets that can be handed over, for each address, and the files of Unix sockets.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) sockets: Vec<Vec<OwnedFd>>,
    pub(super) files: Vec<SocketFile>,
}

impl Listeners {
    /// Returns another descriptor of each socket.
    pub(super) fn duplicate(bound: &[Vec<Bound>]) -> std::io::Result<Vec<Vec<OwnedFd>>> {
        let sockets = bound.iter().map(|bound| {
            let mut sockets: Vec<OwnedFd> = Vec::new();
            for bound in bound {
                sockets.push(bound.duplicate()?);
            }
            Ok(sockets)
        });
        sockets.collect()
    }
}

/// The phase of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The server accepts connections.
    Serving,
    /// Another process has the listeners, and the server is about to drain.
    Retiring,
    /// The server closes its connections and ends.
    Draining,
}

/// The status of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// The phase of the server's life.
    pub phase: Phase,
    /// The time since the server was built.
    pub uptime: Duration,
    /// The addresses that the server listens on.
    pub urls: Vec<String>,
    /// Worker threads.
    pub workers: u16,
    /// Open connections of all handlers, inbound and outbound.
    pub connections: usize,
    /// The longest time of a swap that nothing else holds up.
    pub swap_time_max: Duration,
    /// The handlers in the order of the configuration.
    pub handlers: Vec<HandlerStatus>,
}

/// The status of one handler, over all workers, since the server started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandlerStatus {
    /// The name of the handler.
    pub name: String,
    /// The file of the version that serves; none for a native handler.
    pub file: Option<PathBuf>,
    /// Open connections.
    pub connections: u64,
    /// Messages that were read, and messages that were queued to be sent.
    pub messages: (u64, u64),
    /// Callbacks that failed.
    pub failures: u64,
    /// Workers on which the handler is not run for a while, because it failed again and again.
    pub backed_off_workers: u64,
    /// Takeovers by a new version, and new versions that were given up, each counted on each
    /// worker.
    pub swaps: (u64, u64),
    /// Bytes that wait to be written, bytes of session data, and bytes of memories and tables.
    pub bytes: [u64; 3],
    /// The names of the limits that were reached, and how often each was.
    pub limits: Vec<(&'static str, u64)>,
}

/// The parts of a [`Control`].
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) urls: Vec<String>,
    pub(super) tallies: Arc<Tallies>,
    pub(super) swapper: Swapper,
    pub(super) live: watch::Sender<usize>,
    pub(super) retiring: watch::Sender<bool>,
    pub(super) shutdown: watch::Sender<bool>,
    pub(super) handshakes: Arc<AtomicUsize>,
    pub(super) listeners: Listeners,
}

impl Control {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            config: parts.config,
            urls: parts.urls,
            tallies: parts.tallies,
            swapper: parts.swapper,
            live: parts.live,
            retiring: parts.retiring,
            shutdown: parts.shutdown,
            handshakes: parts.handshakes,
            started: Instant::now(),
            listeners: Mutex::new(parts.listeners),
        }))
    }

    /// Returns the phase of the server's life.
    pub fn phase(&self) -> Phase {
        if *self.0.shutdown.borrow() {
            Phase::Draining
        } else if *self.0.retiring.borrow() {
            Phase::Retiring
        } else {
            Phase::Serving
        }
    }

    /// Returns the status of the server and its handlers.
    pub fn status(&self) -> Status {
        let inner = &self.0;
        let files = inner.swapper.files();
        let names = inner.tallies.names.iter().enumerate();
        let handlers = names.map(|(position, name)| inner.handler(position, name, &files));
        Status {
            phase: self.phase(),
            uptime: inner.started.elapsed(),
            urls: inner.urls.clone(),
            workers: inner.config.threads(),
            connections: *inner.live.borrow(),
            swap_time_max: inner.swap_time_max(),
            handlers: handlers.collect(),
        }
    }

    /// Returns all metrics in the text format of OpenMetrics 1.0, which Prometheus reads. Names
    /// begin with `wsrun_`, and most metrics have the label `handler`.
    pub fn metrics(&self) -> String {
        exposition(&self.0.tallies)
    }

    /// Returns a handle that replaces handlers.
    pub fn swapper(&self) -> Swapper {
        self.0.swapper.clone()
    }

    /// Begins to drain. There are no new connections, handlers are notified, and the open
    /// connections are closed one after the other. The owner of the [`Running`](super::Running)
    /// server waits for the end with its `shutdown`.
    pub fn drain(&self) {
        self.0.shutdown.send_replace(true);
        self.lock().sockets.clear();
    }

    /// Returns descriptors of all listeners, for each address, for a process that is to accept
    /// instead of this one. None when they were handed over or closed already.
    pub(crate) fn listeners(&self) -> Option<std::io::Result<Vec<Vec<OwnedFd>>>> {
        let listeners = self.lock();
        if listeners.sockets.is_empty() || self.phase() != Phase::Serving {
            return None;
        }
        let addresses = listeners.sockets.iter();
        let duplicated = addresses.map(|sockets| sockets.iter().map(OwnedFd::try_clone).collect());
        Some(duplicated.collect())
    }

    /// Leaves the socket files in place from now on, even if this process ends first: another
    /// process is about to accept on the sockets that [`listeners`](Self::listeners) returned.
    pub(crate) fn leave_files(&self) {
        self.own_files(Ownership::leave);
    }

    /// Takes the socket files back, after the other process has given up: this process removes them
    /// again when it ends.
    pub(crate) fn keep_files(&self) {
        self.own_files(Ownership::keep);
    }

    fn own_files(&self, change: impl Fn(&Ownership)) {
        let listeners = self.lock();
        let files = listeners.files.iter();
        files.for_each(|file| change(file.ownership()));
    }

    /// Stops accepting: another process accepts on the sockets that [`listeners`](Self::listeners)
    /// returned, and gets the socket files. Waits for the handshakes that have begun, at most
    /// [`HANDSHAKES_TIMEOUT`]. The caller drains the server afterwards.
    pub(crate) async fn retire(&self) {
        self.own_files(Ownership::leave);
        self.0.retiring.send_replace(true);
        let timeout = HANDSHAKES_TIMEOUT.min(self.0.config.runtime.handshake_timeout);
        let until = Instant::now() + timeout;
        // Lets the accept loops run once, to see that they are to end.
        tokio::time::sleep(HANDSHAKES_CHECK_INTERVAL).await;
        while self.0.handshakes.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            tokio::time::sleep(HANDSHAKES_CHECK_INTERVAL).await;
        }
    }

    /// Waits until another process accepts instead of this one.
    pub(crate) fn retired(&self) -> impl Future<Output = ()> + use<> {
        let mut retiring = self.0.retiring.subscribe();
        async move {
            let _ = retiring.wait_for(|retiring| *retiring).await;
        }
    }

    /// Closes the listeners, and removes the files of those that were not handed over.
    pub(super) fn close_listeners(&self) {
        *self.lock() = Listeners::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns the sum of the limits of compiling, loading to measure memory, starting, and the
    /// trial.
    fn swap_time_max(&self) -> Duration {
        let compiling = self.config.wasm.compilation.timeout.saturating_mul(2);
        let starting = self.config.handlers.iter().map(|handler| {
            let limits = &handler.limits;
            let starting = limits.compute.blocking_timeout;
            starting.saturating_add(limits.resilience.trial_time)
        });
        compiling.saturating_add(starting.max().unwrap_or_default())
    }

    fn handler(&self, position: usize, name: &str, files: &[(String, PathBuf)]) -> HandlerStatus {
        let tallies = &self.tallies;
        let file = files.iter().find(|(known, _)| known == name);
        let limits = Limit::ALL.map(|limit| {
            let hits = tallies.sum(position, |tally| tally.limits[limit as usize].get());
            (limit.name(), hits)
        });
        let failures = FailureKind::ALL
            .map(|kind| tallies.sum(position, |tally| tally.failures[kind as usize].get()));
        HandlerStatus {
            name: name.to_owned(),
            file: file.map(|(_, file)| file.clone()),
            connections: tallies.sum(position, |tally| tally.connections.get() as u64),
            messages: (
                tallies.sum(position, |tally| tally.messages_in.get()),
                tallies.sum(position, |tally| tally.messages_out.get()),
            ),
            failures: failures.iter().sum(),
            backed_off_workers: tallies.sum(position, |tally| tally.backed_off.get() as u64),
            swaps: (
                tallies.sum(position, |tally| tally.swaps.get()),
                tallies.sum(position, |tally| tally.swaps_given_up.get()),
            ),
            bytes: [
                tallies.sum(position, |tally| tally.queued_bytes.get() as u64),
                tallies.sum(position, |tally| tally.session_bytes.get() as u64),
                tallies.sum(position, |tally| tally.memory_bytes.get() as u64),
            ],
            limits: limits.into_iter().filter(|(_, hits)| *hits > 0).collect(),
        }
    }
}
