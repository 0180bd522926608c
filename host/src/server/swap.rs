//! New versions of handlers while the server runs.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use wasmtime::Engine;
use wasmtime::component::Linker;

use super::contexts::InstanceContexts;
use super::plans::misfit;
use crate::config::{Config, HandlerLimits, HandlerSource, WasmSettings};
use wsrun_contract::{Capabilities, Scope, Setting};
use wsrun_metrics::text;
use wsrun_runtime::handler::{BeginSwap, Extras, RequestInstances, ToHandler, ToWorker, Trial};
use wsrun_tape::Tape;
use wsrun_tape::recorder::Recorder;
use wsrun_wasm::component::{self, ComponentError, Content, Loaded};
use wsrun_wasm::incoming::Incoming;
use wsrun_wasm::instance::Instances;
use wsrun_wasm::linker::Linked;
use wsrun_wasm::state::GuestState;

/// How often a trial is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Puts new versions in the place of handlers while their connections stay. Cheap to clone, and may be sent to any thread.
#[derive(Clone)]
pub struct Swapper(Arc<Inner>);

struct Inner {
    engine: Engine,
    linker: Linker<GuestState>,
    settings: WasmSettings,
    /// What instances of new versions are recorded on.
    recorder: Option<Recorder>,
    handlers: Vec<Swappable>,
    /// One swap at a time.
    busy: Mutex<()>,
    threads: Threads,
}

/// The threads that workers run on: none before they have begun.
#[derive(Clone, Debug, Default)]
pub(super) struct Threads(Arc<Mutex<Vec<ThreadId>>>);

impl Threads {
    /// A worker begins on the calling thread.
    pub(super) fn add_this(&self) {
        self.lock().push(thread::current().id());
    }

    /// Whether the calling thread may wait for the workers.
    fn check_this(&self) -> Result<(), SwapError> {
        let threads = self.lock();
        if threads.is_empty() {
            return Err(SwapError::NotStarted);
        }
        match threads.contains(&thread::current().id()) {
            true => Err(SwapError::OwnThread),
            false => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ThreadId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Swappable {
    name: String,
    scope: Scope,
    limits: Arc<HandlerLimits>,
    /// What serves: none for a native handler.
    version: Option<Mutex<Served>>,
    /// One for each worker.
    workers: Vec<ToWorker>,
    contexts: InstanceContexts,
}

#[derive(Clone)]
struct Served {
    file: PathBuf,
    exports: Capabilities,
    /// The content that was compiled.
    content: Content,
    /// What was found when a version was tried last, and did not serve.
    tried: Option<Found>,
}

/// What is in the place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Content(Content),
    Missing,
    Unreadable(String),
}

impl Found {
    fn of(read: &Result<component::Source, ComponentError>) -> Self {
        match read {
            Ok(source) => Self::Content(source.content()),
            Err(ComponentError::Unreadable { cause, .. })
                if cause.kind() == io::ErrorKind::NotFound =>
            {
                Self::Missing
            }
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

/// Why a handler was not replaced. The old version serves on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// No handler has this name.
    #[error("there is no handler {name:?}; there are: {}", .known.join(", "))]
    UnknownHandler {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The handler is linked into the program.
    #[error(
        "handler {0:?} has no other version: it is part of this program, or a program of its own ({program})", program = Setting("HandlerSource::Program"))]
    Native(String),
    /// The file is not a handler.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// One version takes messages in parts and the other does not.
    #[error(
        "{file}: of the old and the new version only one exports wsrun:websocket/chunks, and open connections cannot change between whole \
         messages and parts: restart to change that"
    )]
    Chunks {
        /// The file.
        file: String,
    },
    /// The new version takes no connections.
    #[error(
        "{file} answers plain requests alone (it exports wasi:http/incoming-handler and no wsrun:websocket/handler), and the version that \
         serves takes connections, which nobody would answer any more: restart to change that"
    )]
    PlainOnly {
        /// The file.
        file: String,
    },
    /// The new version did not start, did not take the state over, or failed on trial.
    #[error("{file}: {text}")]
    GivenUp {
        /// The file.
        file: String,
        /// What happened.
        text: String,
    },
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
    /// The server does not run yet.
    #[error(
        "the server does not run yet: spawn() it, or call service() once, before a handler is replaced"
    )]
    NotStarted,
    /// The calling thread is one that the server runs on, which would wait for itself for ever.
    #[error(
        "swap() was called on a thread that the server runs on, and would wait for itself for ever: call it on another thread, while this \
         one goes on with service()"
    )]
    OwnThread,
}

/// A handler that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swapped {
    /// Its name.
    pub handler: String,
    /// What serves.
    pub file: PathBuf,
    /// Time from the beginning, compilation included, to the takeover on the last worker.
    pub took: Duration,
}

impl Swapper {
    pub(super) fn new(
        (engine, linker): (Engine, Linker<GuestState>),
        config: &Config,
        recorder: Option<Recorder>,
        served: &[Option<(Capabilities, Content)>],
        workers: Vec<Vec<ToWorker>>,
        threads: Threads,
        contexts: &InstanceContexts,
    ) -> Self {
        let handlers = config.handlers.iter().zip(served).zip(workers);
        let handlers = handlers.map(|((handler, served), workers)| Swappable {
            name: handler.name(),
            scope: handler.scope,
            limits: Arc::clone(&handler.limits),
            version: match (&handler.source, served) {
                (HandlerSource::File(file), Some((exports, content))) => Some(Mutex::new(Served {
                    content: *content,
                    tried: None,
                    file: file.clone(),
                    exports: *exports,
                })),
                (
                    HandlerSource::File(_) | HandlerSource::Native(_) | HandlerSource::Program(..),
                    _,
                ) => None,
            },
            workers,
            contexts: contexts.clone(),
        });
        Self(Arc::new(Inner {
            engine,
            linker,
            handlers: handlers.collect(),
            settings: config.wasm.clone(),
            recorder,
            busy: Mutex::new(()),
            threads,
        }))
    }

    /// The name of the handler that can be replaced, where there is only one.
    pub(crate) fn only(&self) -> Result<String, SwapError> {
        let files = self.files();
        match files.as_slice() {
            [(name, _)] => Ok(name.clone()),
            _ => Err(SwapError::UnknownHandler {
                name: String::new(),
                known: files.into_iter().map(|(name, _)| name).collect(),
            }),
        }
    }

    /// The names of the handlers and the files that they come from.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        let handlers = self.0.handlers.iter();
        handlers
            .filter_map(|handler| Some((handler.name.clone(), handler.served()?.file)))
            .collect()
    }

    /// Replaces a handler by the version in `file`, or in the file that it came from.
    ///
    /// The new version is compiled and started beside the old one. It takes over the state that the old one saves, the connections with all
    /// that is queued, session data, topics and timers; no event is lost, and events wait only while the state goes over. Then it is on
    /// trial: when one of its first callbacks fails, the old version is back and gets that event.
    ///
    /// Blocks until the trial is over, which may take seconds: not to be called from an async task, and not on a thread that the server
    /// runs on, as the one that calls [`service`](super::Server::service).
    ///
    /// # Errors
    ///
    /// When the old version serves on.
    pub fn swap(&self, handler: &str, file: Option<&Path>) -> Result<Swapped, SwapError> {
        self.0.threads.check_this()?;
        let _one = self.one();
        let began = Instant::now();
        let inner = &self.0;
        let found = inner.handlers.iter().find(|known| known.name == handler);
        let swappable = found.ok_or_else(|| SwapError::UnknownHandler {
            name: handler.to_owned(),
            known: inner
                .handlers
                .iter()
                .map(|known| known.name.clone())
                .collect(),
        })?;
        let served = swappable.served();
        let served = served.ok_or_else(|| SwapError::Native(handler.to_owned()))?;
        let file = file.map_or_else(|| served.file.clone(), Path::to_path_buf);
        let read = component::Source::read(&inner.settings, &file);
        self.replace(swappable, served, file, read, began)
    }

    /// Replaces every handler whose file has another content than what serves; with `again` also by one that was given up before. What came
    /// of each.
    ///
    /// Blocks as [`swap`](Self::swap) does.
    pub fn swap_changed(&self, again: bool) -> Vec<(String, Result<Swapped, SwapError>)> {
        let changed = self.0.handlers.iter().filter_map(|handler| {
            if let Err(error) = self.0.threads.check_this() {
                return Some((handler.name.clone(), Err(error)));
            }
            let _one = self.one();
            let began = Instant::now();
            let served = handler.served()?;
            let file = served.file.clone();
            let read = component::Source::read(&self.0.settings, &file);
            let found = Found::of(&read);
            // Without being told to look, a file that is away is one that is about to come.
            if found == Found::Content(served.content)
                || (!again && (found == Found::Missing || Some(&found) == served.tried.as_ref()))
            {
                return None;
            }
            let replaced = self.replace(handler, served, file, read, began);
            Some((handler.name.clone(), replaced))
        });
        changed.collect()
    }

    /// One swap at a time.
    fn one(&self) -> MutexGuard<'_, ()> {
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has what was read of `file` take over.
    fn replace(
        &self,
        swappable: &Swappable,
        served: Served,
        file: PathBuf,
        read: Result<component::Source, ComponentError>,
        began: Instant,
    ) -> Result<Swapped, SwapError> {
        let inner = &self.0;
        let name = text::line(file.display());
        swappable.serve(Served {
            tried: Some(Found::of(&read)),
            ..served.clone()
        });
        let source = read?;
        let content = source.content();
        let Loaded {
            component,
            exports,
            sha256,
        } = source.load(
            &inner.engine,
            &inner.settings,
            swappable.limits.memory.instance_bytes_max,
        )?;
        let mut linked = Linked::new(&inner.linker, &component, exports, &name)?;
        linked.tape = inner
            .recorder
            .clone()
            .map(|recorder| Tape::Record { recorder, sha256 });
        if let Some(misfit) = misfit(swappable.scope, exports) {
            return Err(SwapError::GivenUp {
                file: name,
                text: misfit,
            });
        }
        if exports.plain_only && !served.exports.plain_only {
            return Err(SwapError::PlainOnly { file: name });
        }
        if exports.chunks != served.exports.chunks {
            return Err(SwapError::Chunks { file: name });
        }
        let tried = swappable.switch(&linked, swappable.limits.resilience.trial_callbacks);
        let took = began.elapsed();
        let time = swappable.limits.resilience.trial_time;
        let outcome = tried.and_then(|tried| swappable.await_trial(tried, time));
        let settled = swappable.settle(outcome.is_ok());
        outcome.and(settled).map_err(|failed| match failed {
            Failed::Stopped => SwapError::Stopped,
            Failed::GivenUp(text) => SwapError::GivenUp { file: name, text },
        })?;
        swappable.serve(Served {
            file: file.clone(),
            exports,
            content,
            tried: None,
        });
        Ok(Swapped {
            handler: swappable.name.clone(),
            file,
            took,
        })
    }
}

/// Has the worker of a handler make the factory of a new version.
fn begin_swap(contexts: InstanceContexts, linked: Linked) -> BeginSwap {
    Box::new(move |handler, trial| {
        let registry = &handler.registry;
        let context = contexts.of(&handler);
        let limits = registry.limits().clone();
        linked.count(registry.tally());
        let extras = Extras {
            exports: linked.exports,
            incoming: Incoming::of(&context, &linked, &limits).map(|incoming| {
                let instances_max = limits.contract.http_instances_max;
                RequestInstances::new(Rc::new(incoming), instances_max)
            }),
        };
        let instances = Instances::new(context, linked, limits);
        Box::pin(async move { handler.begin_swap(instances, extras, trial).await })
    })
}

enum Failed {
    Stopped,
    GivenUp(String),
}

impl Failed {
    /// A worker does not answer: it has ended, or failed at what it was asked for.
    fn unanswered(worker: &ToWorker) -> Self {
        match worker.asked.is_closed() {
            true => Self::Stopped,
            false => Self::GivenUp("the host failed at it: its log tells how".into()),
        }
    }
}

type Tried = oneshot::Receiver<Result<(), String>>;

impl Swappable {
    fn served(&self) -> Option<Served> {
        let version = self.version.as_ref()?;
        let served = version.lock().unwrap_or_else(PoisonError::into_inner);
        Some(served.clone())
    }

    fn serve(&self, now: Served) {
        if let Some(version) = &self.version {
            *version.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
    }

    /// Has the version take over on every worker. What tells of each trial.
    fn switch(&self, linked: &Linked, callbacks: u32) -> Result<Vec<Tried>, Failed> {
        let (mut switches, mut trials) = (Vec::new(), Vec::new());
        for worker in &self.workers {
            let (switched, switch) = oneshot::channel();
            let (tried, trial) = oneshot::channel();
            let begin = begin_swap(self.contexts.clone(), linked.clone());
            let trial_of = Trial {
                callbacks,
                switched,
                tried,
            };
            worker
                .asked
                .blocking_send(ToHandler::Swap {
                    begin,
                    trial: trial_of,
                })
                .map_err(|_| Failed::Stopped)?;
            switches.push(switch);
            trials.push(trial);
        }
        // All of them answer, also when one has failed: what follows must find no takeover on its way.
        let mut outcome = Ok(());
        for (switch, worker) in switches.into_iter().zip(&self.workers) {
            let switched = switch.blocking_recv();
            if outcome.is_ok() {
                outcome = match switched {
                    Ok(switched) => switched.map_err(Failed::GivenUp),
                    Err(_) => Err(Failed::unanswered(worker)),
                };
            }
        }
        outcome.map(|()| trials)
    }

    /// Ends the trial on every worker.
    fn settle(&self, keep: bool) -> Result<(), Failed> {
        let mut settled = Vec::new();
        for worker in &self.workers {
            let (reply, outcome) = oneshot::channel();
            worker
                .asked
                .blocking_send(ToHandler::Settle { keep, reply })
                .map_err(|_| Failed::Stopped)?;
            settled.push(outcome);
        }
        let mut outcome = Ok(());
        for (settled, worker) in settled.into_iter().zip(&self.workers) {
            let settled = match settled.blocking_recv() {
                Ok(settled) => settled.map_err(Failed::GivenUp),
                Err(_) => Err(Failed::unanswered(worker)),
            };
            outcome = outcome.and(settled);
        }
        outcome
    }

    /// Waits until every worker has tried the version, or the time is up.
    fn await_trial(&self, trials: Vec<Tried>, time: Duration) -> Result<(), Failed> {
        let until = Instant::now() + time;
        let mut trials: Vec<_> = trials.into_iter().zip(&self.workers).collect();
        loop {
            let mut waiting = Vec::new();
            for (mut trial, worker) in trials {
                match trial.try_recv() {
                    Ok(tried) => tried.map_err(Failed::GivenUp)?,
                    Err(oneshot::error::TryRecvError::Empty) => waiting.push((trial, worker)),
                    Err(oneshot::error::TryRecvError::Closed) => {
                        return Err(Failed::unanswered(worker));
                    }
                }
            }
            if waiting.is_empty() || Instant::now() >= until {
                return Ok(());
            }
            trials = waiting;
            thread::sleep(LOOK);
        }
    }
}
