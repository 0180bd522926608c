//! What a running server tells of itself, and what may be asked of it from any thread.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Swapper;
use crate::config::Config;
use crate::handler::Limit;
use crate::listener::{Bound, Ownership, SocketFile};
use crate::observability::{FailureKind, Tallies, exposition};

/// How long a server that hands its listeners over waits for handshakes that have begun.
const HANDSHAKES_TIMEOUT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// A handle on a running server. Cheap to clone, and may be sent to any thread.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    urls: Vec<String>,
    tallies: Arc<Tallies>,
    swapper: Swapper,
    live: watch::Sender<usize>,
    /// Another process accepts from now on.
    retiring: watch::Sender<bool>,
    shutdown: watch::Sender<bool>,
    handshakes: Arc<AtomicUsize>,
    started: Instant,
    listeners: Mutex<Listeners>,
}

/// Sockets that can be handed over, for each address, and their files.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) sockets: Vec<Vec<OwnedFd>>,
    pub(super) files: Vec<SocketFile>,
}

impl Listeners {
    /// Another descriptor of each.
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

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It accepts connections.
    Serving,
    /// Another process has its listeners, and it is about to drain.
    Retiring,
    /// It closes its connections and ends.
    Draining,
}

/// What a server tells of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Since it was built.
    pub uptime: Duration,
    /// Where it listens.
    pub urls: Vec<String>,
    /// Threads.
    pub workers: u16,
    /// Open connections of all handlers, inbound and outbound.
    pub connections: usize,
    /// What a swap that nothing else holds up may take.
    pub swap_time_max: Duration,
    /// In the order of the configuration.
    pub handlers: Vec<HandlerStatus>,
}

/// One handler over all workers, since the server started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HandlerStatus {
    /// Its name.
    pub name: String,
    /// The file of the version that serves; none for a native handler.
    pub file: Option<PathBuf>,
    /// Open connections.
    pub connections: u64,
    /// Messages that were read, and that were queued to be sent.
    pub messages: (u64, u64),
    /// Callbacks that failed.
    pub failures: u64,
    /// Workers on which it is left alone because it failed again and again.
    pub backed_off_workers: u64,
    /// Takeovers by a new version and versions given up, counted on each worker.
    pub swaps: (u64, u64),
    /// Bytes that wait to be written, of session data, and of memories and tables.
    pub bytes: [u64; 3],
    /// The limits that were reached, and how often.
    pub limits: Vec<(&'static str, u64)>,
}

/// What a [`Control`] is made of.
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

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        if *self.0.shutdown.borrow() {
            Phase::Draining
        } else if *self.0.retiring.borrow() {
            Phase::Retiring
        } else {
            Phase::Serving
        }
    }

    /// What it is doing and how its handlers fare.
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

    /// All numbers in the text format of OpenMetrics 1.0, which Prometheus reads. Names begin with `wsrun_`, and most have the label
    /// `handler`.
    pub fn metrics(&self) -> String {
        exposition(&self.0.tallies)
    }

    /// Replaces handlers.
    pub fn swapper(&self) -> Swapper {
        self.0.swapper.clone()
    }

    /// Begins to drain: no new connections; handlers are told; the open connections are closed one after the other. Who has the
    /// [`Running`](super::Running) server waits for the end with its `shutdown`.
    pub fn drain(&self) {
        self.0.shutdown.send_replace(true);
        self.lock().sockets.clear();
    }

    /// Descriptors of all listeners, for each address, and where each listens, for a process that is to accept in place of this one. None
    /// when they were handed over or closed already.
    pub(crate) fn listeners(&self) -> Option<std::io::Result<Vec<Vec<OwnedFd>>>> {
        let listeners = self.lock();
        if listeners.sockets.is_empty() || self.phase() != Phase::Serving {
            return None;
        }
        let addresses = listeners.sockets.iter();
        let duplicated = addresses.map(|sockets| sockets.iter().map(OwnedFd::try_clone).collect());
        Some(duplicated.collect())
    }

    /// Another process is about to accept on what [`listeners`](Self::listeners) gave: socket files stay, even if this one ends before.
    pub(crate) fn leave_files(&self) {
        self.own_files(Ownership::leave);
    }

    /// The other process has given up.
    pub(crate) fn keep_files(&self) {
        self.own_files(Ownership::keep);
    }

    fn own_files(&self, change: impl Fn(&Ownership)) {
        let listeners = self.lock();
        let files = listeners.files.iter();
        files.for_each(|file| change(file.ownership()));
    }

    /// Another process accepts on what [`listeners`](Self::listeners) gave: this one accepts no more, and leaves socket files to it. Waits
    /// for the handshakes that have begun, a moment; then the server is to be drained.
    pub(crate) async fn retire(&self) {
        self.own_files(Ownership::leave);
        self.0.retiring.send_replace(true);
        let timeout = HANDSHAKES_TIMEOUT.min(self.0.config.handshake_timeout);
        let until = Instant::now() + timeout;
        // Whoever accepts has a turn to see that it is over.
        tokio::time::sleep(LOOK).await;
        while self.0.handshakes.load(Ordering::Relaxed) > 0 && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// When another process accepts in place of this one.
    pub(crate) fn retired(&self) -> impl Future<Output = ()> + use<> {
        let mut retiring = self.0.retiring.subscribe();
        async move {
            let _ = retiring.wait_for(|retiring| *retiring).await;
        }
    }

    /// Closes the listeners and removes the files of those that were not handed over.
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
    /// Compiling, loading to weigh, starting, and the trial.
    fn swap_time_max(&self) -> Duration {
        let (compiling, limits) = (&self.config.compilation, &self.config.handler_limits);
        let compiling = compiling.timeout.saturating_mul(2);
        let starting = limits.blocking_timeout.saturating_add(limits.trial_time);
        compiling.saturating_add(starting)
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
