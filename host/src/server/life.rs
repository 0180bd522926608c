//! The life of a worker: instances, listeners, and the wait for the end.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::contexts::InstanceContexts;
use super::swap::Threads;
use super::{Source, StartError};
use crate::config::{Config, HandlerLimits};
use crate::connection::{self, Front, SharedFront};
use crate::native::NativeFactory;
use wsrun_contract::Setting;
use wsrun_metrics::HandlerMetrics;
use wsrun_net::listener::Bound;
use wsrun_net::tls::Tls;
use wsrun_os::clock;
use wsrun_os::timeslice;
use wsrun_runtime::handler::{
    Connector, FromOthers, Handler, Remote, RemoteHandler, RemoteRequests, RequestInstances,
};
use wsrun_runtime::registry::Registry;
use wsrun_runtime::worker::{Shared, Worker};
use wsrun_wasm::incoming::Incoming;
use wsrun_wasm::instance::Instances;
use wsrun_wasm::program::Programs;

/// What a worker is started with.
pub(super) struct Plan {
    pub(super) config: Arc<Config>,
    pub(super) index: u16,
    /// What its thread is given as its nice value.
    pub(super) nice: i32,
    pub(super) handlers: Vec<Source>,
    pub(super) bound: Vec<Bound>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) shared: Shared,
    pub(super) front: SharedFront,
    pub(super) contexts: InstanceContexts,
    pub(super) connector: Arc<dyn Connector>,
    /// Per handler, the senders to the other workers.
    pub(super) peers: Vec<Vec<mpsc::Sender<Remote>>>,
    pub(super) remotes: Vec<FromOthers>,
    /// Those of all workers.
    pub(super) threads: Threads,
    /// Per handler, where its instances are.
    pub(super) places: Vec<InstancePlace>,
}

/// Whether a worker has an instance of a handler.
pub(super) enum InstancePlace {
    /// Each worker has one.
    Here,
    /// This one alone.
    Home(RemoteRequests),
    /// Another.
    Elsewhere(RemoteHandler),
}

impl Plan {
    /// The worker's life on a thread of its own. True when every connection had closed before the end.
    pub(super) fn run(self, report: oneshot::Sender<Result<(), StartError>>) -> bool {
        if self.nice != 0 {
            // Only privileged users may ask for a negative one, which the configuration does not allow.
            if let Err(error) = rustix::process::setpriority_process(None, self.nice) {
                tracing::warn!(
                    "the priority of worker {} is as it was: {error}",
                    self.index
                );
            }
        }
        let slice = match self.nice {
            0 => timeslice::OF_WORKER,
            _ => timeslice::OF_LATER_WORKER,
        };
        if let Err(error) = timeslice::request(slice) {
            tracing::debug!("worker {} has the slices of others: {error}", self.index);
        }
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = report.send(Err(StartError::Host(error.to_string())));
                return false;
            }
        };
        let local = LocalSet::new();
        let (clean, front) = local.block_on(&runtime, self.work(report));
        let entered = runtime.enter();
        drop(local);
        if let Some(front) = front {
            front.dissolve();
        }
        drop(entered);
        // A read of a file that never ends must not hold the end of the server.
        runtime.shutdown_background();
        clean
    }

    /// Whether every connection had closed before the end, and the worker, which has nothing left to do.
    async fn work(
        self,
        report: oneshot::Sender<Result<(), StartError>>,
    ) -> (bool, Option<Rc<Front>>) {
        let timeout = self.shared.settings.shutdown_timeout;
        let mut shutdown = self.shared.shutdown.clone();
        let front = match self.start().await {
            Ok(front) => front,
            Err(error) => {
                let _ = report.send(Err(error));
                return (false, None);
            }
        };
        if report.send(Ok(())).is_err() {
            return (false, Some(front));
        }
        let _ = shutdown.wait_for(|shutdown| *shutdown).await;
        front.worker.begin_draining();
        (closed(&front, timeout).await, Some(front))
    }

    /// Makes the instances and begins to accept, within a `LocalSet`.
    pub(super) async fn start(mut self) -> Result<Rc<Front>, StartError> {
        self.threads.add_this();
        let mut stopped = self.shared.shutdown.clone();
        // What a handler does at its start may take its time. Dropping it drops its instance, as a deadline would.
        let front = tokio::select! {
            front = self.start_handlers() => front?,
            Ok(_) = stopped.wait_for(|stopped| *stopped) => return Err(StartError::Stopped),
        };
        let mut shutdown = self.shared.shutdown.clone();
        let stopping = Rc::clone(&front);
        tokio::task::spawn_local(async move {
            // Who could give the signal may be gone without having given it.
            let _ = shutdown.wait_for(|shutdown| *shutdown).await;
            stopping.stop();
        });
        for bound in std::mem::take(&mut self.bound) {
            let accepting = connection::accept(bound, Rc::clone(&front), self.tls.clone());
            tokio::task::spawn_local(async move {
                if let Err(error) = accepting.await {
                    tracing::error!("a listener could not be started: {error}");
                }
            });
        }
        Ok(front)
    }

    async fn start_handlers(&mut self) -> Result<Rc<Front>, StartError> {
        let worker = Rc::new(Worker::new(self.index, self.shared.clone()));
        let mut handlers = Vec::new();
        let peers = std::mem::take(&mut self.peers);
        let tallies = &self.shared.tallies.workers[usize::from(self.index)].handlers;
        let places = std::mem::take(&mut self.places);
        for ((((config, source), peers), tally), place) in self
            .config
            .handlers
            .iter()
            .zip(self.handlers.drain(..))
            .zip(peers)
            .zip(tallies)
            .zip(places)
        {
            let limits = Arc::clone(&config.limits);
            let name: Arc<str> = config.name().into();
            let exports = source.exports();
            let metrics = HandlerMetrics::new(
                Arc::clone(&name),
                Arc::clone(tally),
                limits.traffic.log_lines_per_second_max,
                clock::now(),
            );
            let registry = Registry::new(
                Arc::clone(&config.config),
                limits.clone(),
                exports.timer_handler,
                Rc::new(metrics),
                Rc::clone(&worker),
            );
            let (requests, remote) = match place {
                InstancePlace::Here => (None, None),
                InstancePlace::Home(requests) => (Some(requests), None),
                InstancePlace::Elsewhere(remote) => (None, Some(remote)),
            };
            let is_elsewhere = remote.is_some();
            let handler = Handler::new(
                Rc::new(registry),
                Rc::clone(&worker),
                exports,
                peers,
                remote,
                config.scope,
                Arc::clone(&self.connector),
            );
            let listener = Rc::downgrade(&handler);
            worker.add_drain_listener(listener);
            if is_elsewhere {
                handlers.push(handler);
                continue;
            }
            let started = match source {
                Source::Component(linked, _) => {
                    linked.count(tally);
                    if let Some(incoming) =
                        Incoming::of(&self.contexts.of(&handler), &linked, &limits)
                    {
                        let instances_max = limits.contract.http_instances_max;
                        handler
                            .set_incoming(RequestInstances::new(Rc::new(incoming), instances_max));
                    }
                    let context = self.contexts.of(&handler);
                    let instances = Instances::new(context, *linked, HandlerLimits::clone(&limits));
                    handler.start(instances).await
                }
                Source::Native(native) => handler.start(NativeFactory(native)).await,
                Source::Program(program) => {
                    program.count(tally);
                    let context = self.contexts.of(&handler);
                    let programs = Programs::new(context, program, HandlerLimits::clone(&limits));
                    handler.start(programs).await
                }
            };
            started.map_err(|cause| StartError::Handler {
                name: name.to_string(),
                cause,
            })?;
            if let Some(requests) = requests {
                handler.serve_remote(requests);
            }
            handlers.push(handler);
        }
        for (handler, from_others) in handlers.iter().zip(self.remotes.drain(..)) {
            handler.listen(from_others);
        }
        Ok(Rc::new(Front::new(worker, handlers, self.front.clone())))
    }
}

/// Waits until every connection of a worker has closed, or the time is up.
pub(super) async fn closed(front: &Front, timeout: Duration) -> bool {
    const LOOK: Duration = Duration::from_millis(10);
    let mut deadline = Instant::now() + timeout;
    while front.worker.writing.get() > 0
        // One may be on its way here.
        || front.shared.handshakes.load(Ordering::Relaxed) > 0
        || front
            .handlers()
            .iter()
            .any(|handler| !handler.registry.is_empty())
    {
        if Instant::now() >= deadline {
            let left: usize = front
                .handlers()
                .iter()
                .map(|handler| handler.registry.len())
                .sum();
            tracing::warn!(
                left,
                "connections had not closed when {shutdown_timeout} was over",
                shutdown_timeout = Setting("runtime.shutdown_timeout")
            );
            return false;
        }
        let due = Instant::now() + LOOK;
        tokio::time::sleep(LOOK).await;
        let now = Instant::now();
        if clock::is_late(due, now) {
            // Who was to close could not be seen meanwhile.
            deadline += now - due;
        }
    }
    true
}
