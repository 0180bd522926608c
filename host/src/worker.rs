//! One worker: an OS thread with its own current-thread runtime, listeners and handler instances.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use wsrun_proto::ws::{self, Scratch};

use crate::admission::{AddressSlot, Admission, HandlerSlot};
use crate::connection::Folders;
use crate::connection::settings::ConnectionSettings;
use crate::contract::{ConnectionId, OutboundRules};
use crate::handler::Handler;
use crate::metrics::{HostTally, Tallies};
use crate::outbound;
use crate::runtime_settings::RuntimeSettings;
use crate::session::Session;
use crate::wasm::context::WorkerContext;
use crate::wasm::meter::ExecutionMeter;
use crate::wasm::settings::WasmSettings;

/// Bytes of a worker's one read buffer: an idle connection has none.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Between two closes of a server that stops, on average, as long as its time suffices.
const CLOSE_INTERVAL: Duration = Duration::from_millis(2);

/// The part of 1 that divides it as the whole is divided.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;

/// Queued bytes at which a turn writes before it goes on.
const FLUSH_BYTES: usize = 64 * 1024;

/// Write buffers kept for reuse, and the largest of them.
const BUFFERS_KEPT: usize = 64;
const BUFFER_BYTES_KEPT: usize = 256 * 1024;
const LARGE_BUFFER_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// Decisions about connections that are shared. Peers choose among some windows of compression.
const WS_CONFIGS_MAX: usize = 64;

/// Where the counter of a connection id ends and the worker's number begins.
const WORKER_SHIFT: u32 = 48;

/// What all workers of a server share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) wasm: Arc<WasmSettings>,
    pub(crate) settings: Arc<RuntimeSettings>,
    pub(crate) connection: Arc<ConnectionSettings>,
    /// The subprotocols of the handlers, in the order of the configuration.
    pub(crate) protocols: Arc<[Option<String>]>,
    /// The number of workers.
    pub(crate) threads: u16,
    /// The most outbound connections of a handler on one worker.
    pub(crate) outbound_connections_max: usize,
    pub(crate) outbound: Arc<dyn OutboundRules>,
    /// For connections of the program that runs the host.
    pub(crate) trusted: Arc<dyn OutboundRules>,
    /// What plain requests are answered from.
    pub(crate) folders: Arc<Folders>,
    /// Connections of all workers.
    pub(crate) live: watch::Sender<usize>,
    /// Connections of all workers that hold a slot, HTTP and handshakes included.
    pub(crate) slots: Arc<AtomicUsize>,
    /// Connections of all workers by handler and by address.
    pub(crate) admission: Arc<Admission>,
    /// What is counted.
    pub(crate) tallies: Arc<Tallies>,
    /// Sockets of all workers that were accepted and are no connections yet.
    pub(crate) handshakes: Arc<AtomicUsize>,
    /// Another process accepts from now on.
    pub(crate) retiring: watch::Receiver<bool>,
    pub(crate) shutdown: watch::Receiver<bool>,
    /// One for each worker, at its index.
    pub(crate) meters: Arc<[Arc<ExecutionMeter>]>,
}

/// What the connections and handlers of one worker share. Never leaves its thread.
pub(crate) struct Worker {
    pub(crate) index: u16,
    pub(crate) settings: Arc<RuntimeSettings>,
    pub(crate) connection: Arc<ConnectionSettings>,
    /// The subprotocols of the handlers, in the order of the configuration.
    pub(crate) protocols: Arc<[Option<String>]>,
    /// The number of workers.
    pub(crate) threads: u16,
    /// The most outbound connections of a handler on one worker.
    pub(crate) outbound_connections_max: usize,
    pub(crate) outbound: Arc<dyn OutboundRules>,
    /// For connections of the program that runs the host.
    pub(crate) trusted: Arc<dyn OutboundRules>,
    /// What plain requests are answered from.
    pub(crate) folders: Arc<Folders>,
    /// Connections of all workers.
    pub(crate) live: watch::Sender<usize>,
    /// Set when the handlers are made, which point back, and let go of at the end.
    handlers: RefCell<Rc<[Rc<Handler>]>>,
    pub(crate) scratch: RefCell<Scratch>,
    ws_configs: RefCell<Vec<Arc<ws::Config>>>,
    read_buffer: RefCell<Vec<u8>>,
    buffers: RefCell<Vec<Vec<u8>>>,
    /// For the next large message: memory that was given back is dear to get again, a page at a time.
    large_buffer: RefCell<Vec<u8>>,
    /// Sessions with something to write at the end of this turn.
    pub(crate) dirty: RefCell<Vec<Rc<Session>>>,
    /// Bytes queued since the last flush.
    queued_bytes: Cell<usize>,
    /// Messages given to subscribers since others had their turn.
    pub(crate) deliveries: Cell<usize>,
    /// Connections that have not written their last byte.
    pub(crate) writing: Cell<usize>,
    next_connection: Cell<u64>,
    /// Connections that were given a moment to close at.
    closes: Cell<u32>,
    /// The handlers were told that the server stops.
    draining: Cell<bool>,
    /// Publishes of other workers that wait for a subscriber to have room.
    pub(crate) waiting_for_room: Cell<usize>,
    room: Notify,
    /// Connections of all workers that hold a slot, HTTP and handshakes included.
    pub(crate) slots: Arc<AtomicUsize>,
    /// Connections of all workers by handler and by address.
    pub(crate) admission: Arc<Admission>,
    /// What is counted here of no handler.
    pub(crate) tally: Arc<HostTally>,
    /// Sockets of all workers that were accepted and are no connections yet.
    pub(crate) handshakes: Arc<AtomicUsize>,
    /// Another process accepts from now on.
    pub(crate) retiring: watch::Receiver<bool>,
    pub(crate) shutdown: watch::Receiver<bool>,
    /// The worker as instances see it.
    pub(crate) instances: Rc<WorkerContext>,
}

impl Worker {
    pub(crate) fn new(index: u16, shared: Shared) -> Self {
        let Shared {
            wasm,
            settings,
            connection,
            protocols,
            threads,
            outbound_connections_max,
            outbound,
            trusted,
            folders,
            live,
            slots,
            admission,
            tallies,
            handshakes,
            retiring,
            shutdown,
            meters,
        } = shared;
        let began = tokio::time::Instant::now();
        let tally = Arc::clone(&tallies.workers[usize::from(index)].host);
        let instances = WorkerContext {
            index,
            meter: Arc::clone(&meters[usize::from(index)]),
            counters: Arc::clone(&tally),
            coredumps: wasm.coredumps.clone(),
            predictable_since: wasm.danger_predictable.then_some(began),
        };
        Self {
            index,
            settings,
            connection,
            protocols,
            threads,
            outbound_connections_max,
            outbound,
            trusted,
            folders,
            live,
            handlers: RefCell::new(Rc::new([])),
            scratch: RefCell::new(Scratch::with_mask_keys(mask_keys())),
            ws_configs: RefCell::new(Vec::new()),
            read_buffer: RefCell::new(Vec::new()),
            buffers: RefCell::new(Vec::new()),
            large_buffer: RefCell::default(),
            dirty: RefCell::new(Vec::new()),
            queued_bytes: Cell::new(0),
            deliveries: Cell::new(0),
            writing: Cell::new(0),
            next_connection: Cell::new(1),
            closes: Cell::new(0),
            draining: Cell::new(false),
            waiting_for_room: Cell::new(0),
            room: Notify::new(),
            slots,
            admission,
            tally,
            handshakes,
            retiring,
            shutdown,
            instances: Rc::new(instances),
        }
    }

    /// Some connection has written something, or has ended.
    #[inline]
    pub(crate) fn tell_room(&self) {
        if self.waiting_for_room.get() > 0 {
            self.room.notify_waiters();
        }
    }

    /// Waits for the next [`Worker::tell_room`], or a moment: a connection may also have ended.
    pub(crate) async fn wait_for_room(&self) {
        const LOOK: Duration = Duration::from_millis(50);
        self.waiting_for_room.set(self.waiting_for_room.get() + 1);
        let _ = tokio::time::timeout(LOOK, self.room.notified()).await;
        self.waiting_for_room.set(self.waiting_for_room.get() - 1);
    }

    /// In the order of the configuration.
    pub(crate) fn handlers(&self) -> Rc<[Rc<Handler>]> {
        Rc::clone(&self.handlers.borrow())
    }

    pub(crate) fn set_handlers(&self, handlers: Vec<Rc<Handler>>) {
        *self.handlers.borrow_mut() = handlers.into();
    }

    /// Lets go of the handlers, when no task of the worker is left. They point back, and the lives of their instances at themselves:
    /// without this nothing of them would ever be freed.
    pub(crate) fn dissolve(&self) {
        let handlers = self.handlers.replace(Rc::new([]));
        for handler in handlers.iter() {
            handler.dissolve();
        }
        self.dirty.take();
    }

    pub(crate) fn next_connection_id(&self) -> ConnectionId {
        let counter = self.next_connection.get();
        self.next_connection.set(counter + 1);
        u64::from(self.index) << WORKER_SHIFT | counter
    }

    /// Tells every handler that the server stops, once and before the first of its connections closes for that.
    pub(crate) fn tell_draining(&self) {
        if self.draining.replace(true) {
            return;
        }
        for handler in self.handlers().iter() {
            handler.tell_draining(self.settings.shutdown_timeout);
        }
        self.flush();
    }

    /// When the next connection closes after the server was told to stop: spread over the configured window, or one that grows with their number. Multiples of
    /// the golden ratio, modulo 1, lie evenly in it however many they are.
    pub(crate) fn close_delay(&self) -> Duration {
        let handlers = self.handlers();
        let connections: usize = handlers.iter().map(|handler| handler.registry.len()).sum();
        let window = self.settings.drain_window.unwrap_or_else(|| {
            CLOSE_INTERVAL
                .saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX))
                .min(self.settings.shutdown_timeout / 2)
        });
        self.tell_draining();
        let place = self.closes.get() + 1;
        self.closes.set(place);
        let worker = f64::from(self.index) / f64::from(self.threads.max(1));
        window.mul_f64((f64::from(place) * GOLDEN_RATIO + worker).fract())
    }

    /// Counts what was queued since the last flush, and flushes when it is much: a long batch must not fill the queues of peers that
    /// read.
    pub(crate) fn count_queued(&self, bytes: usize) {
        let queued = self.queued_bytes.get() + bytes;
        self.queued_bytes.set(queued);
        if queued >= FLUSH_BYTES {
            self.flush();
        }
    }

    /// The same for all connections about which the same was decided: there are few such decisions and many connections.
    pub(crate) fn shared_ws_config(&self, config: ws::Config) -> Arc<ws::Config> {
        let mut shared = self.ws_configs.borrow_mut();
        if let Some(same) = shared.iter().find(|shared| ***shared == config) {
            return Arc::clone(same);
        }
        let config = Arc::new(config);
        if shared.len() < WS_CONFIGS_MAX {
            shared.push(Arc::clone(&config));
        }
        config
    }

    /// The server stops: connections close from now on, each at its own moment.
    pub(crate) fn stop(&self) {
        self.tell_draining();
        for handler in self.handlers().iter() {
            for session in handler.registry.sessions() {
                session.wake();
            }
        }
    }

    /// Whether the handlers were told that the server stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Lends the read buffer: it is taken out, so that nothing that runs meanwhile can meet a borrow of it.
    pub(crate) fn take_read_buffer(&self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut *self.read_buffer.borrow_mut());
        if buffer.is_empty() {
            buffer.resize(READ_BUFFER_BYTES, 0);
        }
        buffer
    }

    pub(crate) fn give_read_buffer(&self, buffer: Vec<u8>) {
        *self.read_buffer.borrow_mut() = buffer;
    }

    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_default()
    }

    pub(crate) fn give_buffer(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.buffers.borrow_mut();
        if buffers.len() < BUFFERS_KEPT && buffer.capacity() <= BUFFER_BYTES_KEPT {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Puts a larger buffer in place of one that has to grow to `bytes`, if there is one. What is in it stays.
    pub(crate) fn lend_large_buffer(&self, small: &mut Vec<u8>, bytes: usize) {
        let mut large = self.large_buffer.borrow_mut();
        if large.capacity() >= bytes {
            large.extend_from_slice(small);
            *small = std::mem::take(&mut large);
        }
    }

    /// Keeps the largest of what was lent: one, and not where it is huge.
    pub(crate) fn keep_large_buffer(&self, mut buffer: Vec<u8>) {
        let mut large = self.large_buffer.borrow_mut();
        if (large.capacity()..=LARGE_BUFFER_BYTES_KEPT).contains(&buffer.capacity()) {
            buffer.clear();
            *large = buffer;
        }
    }

    /// Writes when so many connections have something to be written that there are no more buffers at hand, and that what was just touched of
    /// them is about to leave the processor's cache.
    pub(crate) fn flush_many(&self) {
        let dirty = self.dirty.borrow().len();
        if dirty >= BUFFERS_KEPT {
            self.flush();
        }
    }

    /// Writes what this turn has queued: one write per connection, however many messages. Comes at the end of a turn, and within one when
    /// much is queued.
    pub(crate) fn flush(&self) {
        self.queued_bytes.set(0);
        loop {
            let Some(session) = self.dirty.borrow_mut().pop() else {
                return;
            };
            session.flush();
        }
    }
}

/// Masking keys of the client role, which must come from a strong source (RFC 6455, 10.3). Taken from the system a page at a time.
fn mask_keys() -> impl FnMut() -> [u8; 4] {
    const KEYS: usize = 256;
    let mut keys: Vec<[u8; 4]> = Vec::new();
    move || {
        if keys.is_empty() {
            let random: [u8; KEYS * 4] = outbound::random();
            keys.extend_from_slice(random.as_chunks().0);
        }
        keys.pop().expect("there are some")
    }
}

/// What a connection counts against while it lives.
pub(crate) enum Held {
    /// One of `--max-connections`.
    Inbound(#[expect(dead_code, reason = "held to be dropped")] Slot),
    /// One of `--max-outbound`.
    Outbound(#[expect(dead_code, reason = "held to be dropped")] Outbound),
}

/// One of the outbound connections of a handler on one worker.
pub(crate) struct Outbound(Rc<Cell<usize>>);

impl Outbound {
    pub(crate) fn count(counter: &Rc<Cell<usize>>) -> Self {
        counter.set(counter.get() + 1);
        Self(Rc::clone(counter))
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One of `--max-connections`.
pub(crate) struct Slot {
    slots: Arc<AtomicUsize>,
    /// What else it counts against.
    address: Option<AddressSlot>,
    handler: Option<HandlerSlot>,
}

impl Slot {
    pub(crate) fn take(worker: &Worker) -> Option<Self> {
        let slots = Arc::clone(&worker.slots);
        let max = worker.connection.connections_max;
        slots
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used < max).then_some(used + 1)
            })
            .ok()?;
        Some(Self {
            slots,
            address: None,
            handler: None,
        })
    }

    /// Counts it against its address as well.
    pub(crate) fn hold_address(&mut self, address: Option<AddressSlot>) {
        self.address = address;
    }

    /// Counts it against its handler as well.
    pub(crate) fn hold_handler(&mut self, handler: Option<HandlerSlot>) {
        self.handler = handler;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.fetch_sub(1, Ordering::Relaxed);
    }
}
