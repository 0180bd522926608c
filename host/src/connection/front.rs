//! What an accepted socket needs of its server.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use tokio::sync::watch;

use super::files::Folders;
use super::settings::ConnectionSettings;
use wsrun_runtime::admission::Admission;
use wsrun_runtime::handler::Handler;
use wsrun_runtime::worker::Worker;

/// What accepted sockets need of all workers of a server together.
#[derive(Clone)]
pub(crate) struct SharedFront {
    pub(crate) settings: Arc<ConnectionSettings>,
    /// The subprotocols of the handlers, in the order of the configuration.
    pub(crate) protocols: Arc<[Option<String>]>,
    /// What plain requests are answered from.
    pub(crate) folders: Arc<Folders>,
    /// The number of connections of all workers that hold a permit of `--max-connections`, HTTP
    /// connections and handshakes included.
    pub(crate) slots: Arc<AtomicUsize>,
    /// Connections of all workers by handler and by address.
    pub(crate) admission: Arc<Admission>,
    /// The number of sockets of all workers that were accepted and are no WebSockets yet.
    pub(crate) handshakes: Arc<AtomicUsize>,
    /// Set once another process accepts in place of this one.
    pub(crate) retiring: watch::Receiver<bool>,
}

/// The accepting side of one worker: its handlers, and what all workers share. Never leaves the
/// worker's thread.
pub(crate) struct Front {
    pub(crate) worker: Rc<Worker>,
    /// In the order of the configuration.
    handlers: RefCell<Rc<[Rc<Handler>]>>,
    pub(crate) shared: SharedFront,
}

impl Front {
    pub(crate) fn new(worker: Rc<Worker>, handlers: Vec<Rc<Handler>>, shared: SharedFront) -> Self {
        Self {
            worker,
            handlers: RefCell::new(handlers.into()),
            shared,
        }
    }

    /// Returns the handlers, in the order of the configuration.
    pub(crate) fn handlers(&self) -> Rc<[Rc<Handler>]> {
        Rc::clone(&self.handlers.borrow())
    }

    /// Begins to stop: connections close from now on, each at its own moment.
    pub(crate) fn stop(&self) {
        self.worker.begin_draining();
        for handler in self.handlers().iter() {
            for session in handler.registry.sessions() {
                session.wake();
            }
        }
    }

    /// Drops the handlers, when no task of the worker is left. The tasks of their instances hold
    /// the handlers: without this nothing of them would ever be freed.
    pub(crate) fn dissolve(&self) {
        let handlers = self.handlers.replace(Rc::new([]));
        for handler in handlers.iter() {
            handler.dissolve();
        }
        self.worker.forget_writes();
    }
}
