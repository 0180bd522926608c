//! One worker: an OS thread with its own current-thread runtime, listeners and handler instances.

mod buffers;
mod write_list;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use wsrun_proto::ws::{self, Scratch};

use self::buffers::Buffers;
pub use self::write_list::Flush;
use self::write_list::WriteList;
use crate::runtime_settings::RuntimeSettings;
use wsrun_contract::{ConnectionId, OutboundRules};
use wsrun_metrics::{HostTally, Tallies};
use wsrun_os::random::random;

/// The mean time between two closes of a server that stops, as long as its time suffices.
const CLOSE_INTERVAL: Duration = Duration::from_millis(2);

/// The fractional part of the golden ratio. Its multiples modulo 1 are spread evenly.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;

/// The number of protocol configurations that are shared. Peers choose among a few windows of
/// compression.
const WS_CONFIGS_MAX: usize = 64;

/// The bit of a connection id at which the worker's number begins, above the counter.
const WORKER_SHIFT: u32 = 48;

/// What all workers of a server share.
#[derive(Clone)]
pub struct Shared {
    pub settings: Arc<RuntimeSettings>,
    /// The number of workers.
    pub threads: u16,
    /// The most outbound connections of a handler on one worker.
    pub outbound_connections_max: usize,
    pub outbound: Arc<dyn OutboundRules>,
    /// For connections of the program that runs the host.
    pub trusted: Arc<dyn OutboundRules>,
    /// Connections of all workers.
    pub live: watch::Sender<usize>,
    /// What is counted.
    pub tallies: Arc<Tallies>,
    pub shutdown: watch::Receiver<bool>,
}

/// Something that is notified when its worker begins to drain.
pub trait DrainListener {
    /// The server stops. Connections that are still open after `timeout` are cut off.
    fn draining(&self, timeout: Duration);
}

/// What the connections and handlers of one worker share. Never leaves its thread.
pub struct Worker {
    pub index: u16,
    /// The time at which the worker was made.
    pub began: tokio::time::Instant,
    pub settings: Arc<RuntimeSettings>,
    /// The number of workers.
    pub threads: u16,
    /// The most outbound connections of a handler on one worker.
    pub outbound_connections_max: usize,
    pub outbound: Arc<dyn OutboundRules>,
    /// For connections of the program that runs the host.
    pub trusted: Arc<dyn OutboundRules>,
    /// Connections of all workers.
    pub live: watch::Sender<usize>,
    /// The number of WebSockets of this worker.
    connections: Cell<usize>,
    /// Those that are notified when the worker begins to drain.
    drain_listeners: RefCell<Vec<Weak<dyn DrainListener>>>,
    pub scratch: RefCell<Scratch>,
    ws_configs: RefCell<Vec<Arc<ws::Config>>>,
    buffers: Buffers,
    writes: WriteList,
    /// Messages given to subscribers since others had their turn.
    pub deliveries: Cell<usize>,
    /// Connections that have not written their last byte.
    pub writing: Cell<usize>,
    next_connection: Cell<u64>,
    /// Connections that were given a moment to close at.
    closes: Cell<u32>,
    /// The handlers were told that the server stops.
    draining: Cell<bool>,
    /// Publishes of other workers that wait for a subscriber to have room.
    pub waiting_for_room: Cell<usize>,
    room: Notify,
    /// What is counted here of no handler.
    pub tally: Arc<HostTally>,
    pub shutdown: watch::Receiver<bool>,
}

impl Worker {
    pub fn new(index: u16, shared: Shared) -> Self {
        let Shared {
            settings,
            threads,
            outbound_connections_max,
            outbound,
            trusted,
            live,
            tallies,
            shutdown,
        } = shared;
        let tally = Arc::clone(&tallies.workers[usize::from(index)].host);
        Self {
            index,
            began: tokio::time::Instant::now(),
            settings,
            threads,
            outbound_connections_max,
            outbound,
            trusted,
            live,
            connections: Cell::new(0),
            drain_listeners: RefCell::default(),
            scratch: RefCell::new(Scratch::with_mask_keys(mask_keys())),
            ws_configs: RefCell::new(Vec::new()),
            buffers: Buffers::default(),
            writes: WriteList::default(),
            deliveries: Cell::new(0),
            writing: Cell::new(0),
            next_connection: Cell::new(1),
            closes: Cell::new(0),
            draining: Cell::new(false),
            waiting_for_room: Cell::new(0),
            room: Notify::new(),
            tally,
            shutdown,
        }
    }

    /// Some connection has written something, or has ended.
    #[inline]
    pub fn tell_room(&self) {
        if self.waiting_for_room.get() > 0 {
            self.room.notify_waiters();
        }
    }

    /// Waits for the next [`Worker::tell_room`], or a moment: a connection may also have ended.
    pub async fn wait_for_room(&self) {
        const LOOK: Duration = Duration::from_millis(50);
        self.waiting_for_room.set(self.waiting_for_room.get() + 1);
        let _ = tokio::time::timeout(LOOK, self.room.notified()).await;
        self.waiting_for_room.set(self.waiting_for_room.get() - 1);
    }

    /// Counts a new WebSocket of this worker.
    #[inline]
    pub fn add_connection(&self) {
        self.connections.set(self.connections.get() + 1);
        self.live.send_modify(|live| *live += 1);
    }

    /// Counts the end of a WebSocket of this worker.
    #[inline]
    pub fn remove_connection(&self) {
        self.connections.set(self.connections.get() - 1);
        self.live.send_modify(|live| *live -= 1);
    }

    /// Forgets what was to be written, when no task of the worker is left.
    #[inline]
    pub fn forget_writes(&self) {
        self.writes.clear();
    }

    #[inline]
    pub fn next_connection_id(&self) -> ConnectionId {
        let counter = self.next_connection.get();
        self.next_connection.set(counter + 1);
        u64::from(self.index) << WORKER_SHIFT | counter
    }

    /// Has `listener` notified when the worker begins to drain.
    #[inline]
    pub fn add_drain_listener(&self, listener: Weak<dyn DrainListener>) {
        let mut listeners = self.drain_listeners.borrow_mut();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Notifies every handler that the server stops, once and before the first of its connections
    /// closes for that.
    pub fn begin_draining(&self) {
        if self.draining.replace(true) {
            return;
        }
        let listeners = self.drain_listeners.borrow().clone();
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener.draining(self.settings.shutdown_timeout);
        }
        self.flush();
    }

    /// When the next connection closes after the server was told to stop: spread over the configured window, or one that grows with their number. Multiples of
    /// the golden ratio, modulo 1, lie evenly in it however many they are.
    pub fn close_delay(&self) -> Duration {
        let connections = self.connections.get();
        let window = self.settings.drain_window.unwrap_or_else(|| {
            CLOSE_INTERVAL
                .saturating_mul(u32::try_from(connections).unwrap_or(u32::MAX))
                .min(self.settings.shutdown_timeout / 2)
        });
        self.begin_draining();
        let place = self.closes.get() + 1;
        self.closes.set(place);
        let worker = f64::from(self.index) / f64::from(self.threads.max(1));
        window.mul_f64((f64::from(place) * GOLDEN_RATIO + worker).fract())
    }

    /// Counts what was queued since the last flush, and flushes when it is much: a long batch must
    /// not fill the queues of peers that read.
    #[inline]
    pub fn count_queued(&self, bytes: usize) {
        self.writes.count_queued(bytes);
    }

    /// Returns the shared copy of a protocol configuration: there are few of them and many connections.
    pub fn shared_ws_config(&self, config: ws::Config) -> Arc<ws::Config> {
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

    /// Returns true when the server stops.
    #[inline]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Lends the read buffer of the worker.
    #[inline]
    pub fn take_read_buffer(&self) -> Vec<u8> {
        self.buffers.take_read()
    }

    #[inline]
    pub fn give_read_buffer(&self, buffer: Vec<u8>) {
        self.buffers.give_read(buffer);
    }

    #[inline]
    pub fn take_buffer(&self) -> Vec<u8> {
        self.buffers.take_write()
    }

    #[inline]
    pub fn give_buffer(&self, buffer: Vec<u8>) {
        self.buffers.give_write(buffer);
    }

    /// Puts a kept buffer in place of one that has to grow to `bytes`, with the same content, when
    /// there is one that is large enough.
    #[inline]
    pub fn lend_large_buffer(&self, small: &mut Vec<u8>, bytes: usize) {
        self.buffers.lend_large(small, bytes);
    }

    /// Keeps a buffer for the next large message.
    #[inline]
    pub fn keep_large_buffer(&self, buffer: Vec<u8>) {
        self.buffers.keep_large(buffer);
    }

    /// Has a connection written at the end of this turn.
    #[inline]
    pub fn write_later(&self, connection: Rc<dyn Flush>) {
        self.writes.push(connection);
    }

    /// Writes when so many connections have something to write that there are no more buffers at
    /// hand, and that what was just touched of them is about to leave the processor's cache.
    #[inline]
    pub fn flush_many(&self) {
        if self.writes.len() >= buffers::WRITE_BUFFERS_KEPT {
            self.flush();
        }
    }

    /// Writes what this turn has queued: one write for each connection, however many messages. The
    /// caller does so at the end of a turn, and within one when much is queued.
    #[inline]
    pub fn flush(&self) {
        self.writes.flush();
    }
}

/// Masking keys of the client role, which must come from a strong source (RFC 6455, 10.3). They are
/// taken from the system a page at a time.
fn mask_keys() -> impl FnMut() -> [u8; 4] {
    const KEYS: usize = 256;
    let mut keys: Vec<[u8; 4]> = Vec::new();
    move || {
        if keys.is_empty() {
            let random: [u8; KEYS * 4] = random();
            keys.extend_from_slice(random.as_chunks().0);
        }
        keys.pop().expect("there are some")
    }
}
