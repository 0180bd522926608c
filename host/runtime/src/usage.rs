//! What the connections of a handler on one worker hold and use together.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

use wsrun_contract::{HandlerLimits, Limit};
use wsrun_metrics::Bucket;
use wsrun_metrics::HandlerTally;
use wsrun_os::clock::{self, thread_time};

/// Sums over all connections, against the limits of the handler.
pub struct Usage {
    /// Holds the sums.
    tally: Arc<HandlerTally>,
    queued_max: usize,
    /// How much of what counts as queued is only reserved by callbacks that run.
    reserved: Cell<usize>,
    /// More than this has to be queued before it is looked again for connections that give way.
    relieved_to: Cell<usize>,
    session_max: usize,
    /// Tasks that wait for `queued` to become low, and those that wait for `events`.
    low_queue: Waiters,
    low_events: Waiters,
    /// What all connections together are read at; none without a limit.
    rates_in: Option<RatesIn>,
    send_messages: Option<RefCell<Bucket>>,
    send_bytes: Option<RefCell<Bucket>>,
    cpu: Option<Cpu>,
    /// What the host has computed for failures of the handler since that was last taken.
    failing: Cell<Duration>,
}

/// Tasks of connections that wait for the same thing.
#[derive(Default)]
pub struct Waiters {
    tasks: RefCell<Vec<Waker>>,
    /// How often all of them were woken.
    wakes: Cell<u64>,
}

impl Waiters {
    /// Adds a task, once until the next wake. `added` is where it remembers that.
    #[inline]
    pub fn add(&self, task: &Waker, added: &Cell<Option<u64>>) {
        if added.replace(Some(self.wakes.get())) != Some(self.wakes.get()) {
            self.tasks.borrow_mut().push(task.clone());
        }
    }

    #[inline]
    fn wake(&self) {
        if !self.tasks.borrow().is_empty() {
            self.wakes.set(self.wakes.get() + 1);
            for task in self.tasks.take() {
                task.wake();
            }
        }
    }
}

/// How fast connections are read.
pub struct RatesIn {
    messages: Option<RefCell<Bucket>>,
    bytes: Option<RefCell<Bucket>>,
    /// Connections that wait for their turn.
    waiting: Cell<u32>,
}

/// The time of the worker's thread that a handler takes.
struct Cpu {
    /// Microseconds.
    bucket: RefCell<Bucket>,
    /// Since when the running turn has not been counted.
    since: Cell<Option<Instant>>,
}

impl Usage {
    pub fn new(limits: &HandlerLimits, tally: Arc<HandlerTally>) -> Self {
        let now = clock::now();
        let bucket = |rate: Option<u64>| rate.map(|rate| RefCell::new(Bucket::new(now, rate)));
        let share = u64::from(limits.compute.cpu_share_max);
        Self {
            tally,
            queued_max: limits.traffic.queued_bytes_max,
            reserved: Cell::new(0),
            relieved_to: Cell::new(limits.traffic.queued_bytes_max),
            session_max: limits.memory.session_total_bytes_max,
            low_queue: Waiters::default(),
            low_events: Waiters::default(),
            rates_in: RatesIn::new(
                limits.traffic.handler_received.messages_max,
                limits.traffic.handler_received.bytes_max,
            ),
            send_messages: bucket(limits.traffic.sent.messages_max),
            send_bytes: bucket(limits.traffic.sent.bytes_max),
            cpu: (share < 100).then(|| Cpu {
                bucket: RefCell::new(Bucket::new(now, share * MICROSECONDS_PER_PERCENT)),
                since: Cell::new(None),
            }),
            failing: Cell::default(),
        }
    }

    /// Whether `bytes` more may be queued for a connection that has something in its queue already.
    #[inline]
    pub fn takes(&self, bytes: usize) -> bool {
        bytes <= self.room()
    }

    /// How much more may be queued for such connections. The last eighth is kept for those whose queue is empty.
    #[inline]
    pub fn room(&self) -> usize {
        (self.queued_max - self.queued_max / 8).saturating_sub(self.tally.queued_bytes.get())
    }

    /// Whether more is queued than may be, so that those who hold most have to give way.
    #[inline]
    pub fn is_over(&self) -> bool {
        let queued = self.queued();
        if queued <= self.queued_max {
            self.relieved_to.set(self.queued_max);
            return false;
        }
        queued > self.relieved_to.get()
    }

    /// How much more is queued than is left when somebody has to give way. Some room is made at once: looking for them takes a while.
    #[inline]
    pub fn surplus(&self) -> usize {
        let aim = self.queued_max - self.queued_max / 16;
        self.queued().saturating_sub(aim)
    }

    /// Those who could have given way. What is left is held by nobody that could be found: it is not looked for again at once.
    #[inline]
    pub fn relieved(&self) {
        let left = self.queued();
        if left > self.queued_max {
            self.relieved_to.set(left + self.queued_max / 16);
        }
    }

    /// What is queued, without what is only reserved.
    fn queued(&self) -> usize {
        let queued = self.tally.queued_bytes.get();
        queued.saturating_sub(self.reserved.get())
    }

    /// A callback counts on room for so many bytes.
    #[inline]
    pub fn reserve(&self, bytes: usize) {
        self.reserved.set(self.reserved.get() + bytes);
        self.change_queued(0, bytes);
    }

    /// It does not any more.
    #[inline]
    pub fn release(&self, bytes: usize) {
        self.reserved.set(self.reserved.get() - bytes);
        self.change_queued(bytes, 0);
    }

    /// The same, and none where what is sent has a rate.
    #[inline]
    pub fn sure_room(&self) -> usize {
        if self.send_messages.is_some() || self.send_bytes.is_some() {
            return 0;
        }
        self.room()
    }

    /// One connection has queued `after` bytes where there were `before`.
    #[inline]
    pub fn change_queued(&self, before: usize, after: usize) {
        self.tally.queued_bytes.change(before, after);
        if after < before && self.queue_is_low() {
            self.low_queue.wake();
        }
    }

    /// The same for events that wait for the handler.
    #[inline]
    pub fn change_events(&self, before: usize, after: usize) {
        self.tally.event_bytes.change(before, after);
        if after < before && self.tally.event_bytes.get() <= self.queued_max / 4 * 3 {
            self.low_events.wake();
        }
    }

    /// Whether so many events wait that no connection is read.
    #[inline]
    pub fn events_are_full(&self) -> bool {
        self.tally.event_bytes.get() >= self.queued_max
    }

    #[inline]
    pub fn change_session(&self, before: usize, after: usize) {
        self.tally.session_bytes.change(before, after);
    }

    /// Promises to keep so much more session data, if that may be. The promise ends with what is returned, when the data is counted.
    pub fn promise_session(&self, bytes: usize) -> Option<SessionRoom> {
        let promised = self.tally.session_promised.load(Ordering::Relaxed);
        let kept = self.tally.session_bytes.get().saturating_add(promised);
        if kept.saturating_add(bytes) > self.session_max {
            return None;
        }
        let tally = Arc::clone(&self.tally);
        tally.session_promised.fetch_add(bytes, Ordering::Relaxed);
        Some(SessionRoom { tally, bytes })
    }

    #[inline]
    pub fn session_max(&self) -> usize {
        self.session_max
    }

    /// Whether there is room again for those who were refused.
    #[inline]
    pub fn queue_is_low(&self) -> bool {
        self.tally.queued_bytes.get() <= self.queued_max / 4 * 3
    }

    /// Those who wait for that.
    #[inline]
    pub fn low_queue(&self) -> &Waiters {
        &self.low_queue
    }

    /// Those who wait for the handler to have worked on its events.
    #[inline]
    pub fn low_events(&self) -> &Waiters {
        &self.low_events
    }

    /// What is counted of the handler.
    #[inline]
    pub fn tally(&self) -> &HandlerTally {
        &self.tally
    }

    #[inline]
    pub fn rates_in(&self) -> Option<&RatesIn> {
        self.rates_in.as_ref()
    }

    /// Whether the handler may send anything, or which limit is reached. What is sent is told by [`count_send`](Self::count_send).
    #[inline]
    pub fn may_send(&self) -> Result<(), Limit> {
        if self.send_messages.is_none() && self.send_bytes.is_none() {
            return Ok(());
        }
        let now = clock::now();
        for (bucket, limit) in [
            (&self.send_messages, Limit::MessageRateOut),
            (&self.send_bytes, Limit::ByteRateOut),
        ] {
            if let Some(bucket) = bucket
                && !bucket.borrow_mut().has_any(now)
            {
                return Err(limit);
            }
        }
        Ok(())
    }

    /// Counts messages of `bytes` in all that the handler sends. They may be more than the rate has left.
    #[inline]
    pub fn count_send(&self, messages: usize, bytes: usize) {
        if self.send_messages.is_none() && self.send_bytes.is_none() {
            return;
        }
        let now = clock::now();
        if let Some(bucket) = &self.send_messages {
            bucket.borrow_mut().take(now, messages as u64);
        }
        if let Some(bucket) = &self.send_bytes {
            bucket.borrow_mut().take(now, bytes as u64);
        }
    }

    /// When the handler may send again what is worth being told of; none when it may.
    pub fn may_send_at(&self) -> Option<Instant> {
        if self.send_messages.is_none() && self.send_bytes.is_none() {
            return None;
        }
        let now = clock::now();
        [&self.send_messages, &self.send_bytes]
            .into_iter()
            .flatten()
            .filter_map(|bucket| bucket.borrow_mut().ready_at(now, SEND_PART, 0))
            .max()
    }

    /// A turn of the handler begins, where its time is limited.
    #[inline]
    pub fn begin_turn(&self) {
        if let Some(cpu) = &self.cpu {
            cpu.since.set(Some(clock::now()));
        }
    }

    /// It ends.
    #[inline]
    pub fn end_turn(&self) {
        if let Some(cpu) = &self.cpu {
            cpu.count(clock::now());
            cpu.since.set(None);
        }
    }

    /// Counts the time of what is done for the handler beside its turns, in a task of its own, as if it were in one.
    pub async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| self.counted(|| work.as_mut().poll(cx))).await
    }

    /// Does some work, and counts its time as the handler's.
    pub fn counted<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(cpu) = &self.cpu else {
            return work();
        };
        let began = clock::now();
        let done = work();
        cpu.take(clock::now(), began);
        done
    }

    /// The host has computed so long for a failure.
    #[inline]
    pub fn add_failing(&self, time: Duration) {
        self.failing.set(self.failing.get().saturating_add(time));
    }

    /// Counts what `work` takes of this thread as time of a failure.
    pub async fn failing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let began = thread_time();
            let polled = work.as_mut().poll(cx);
            self.add_failing(thread_time().saturating_sub(began));
            polled
        })
        .await
    }

    /// What failures have taken since the last call.
    #[inline]
    pub fn take_failing(&self) -> Duration {
        self.failing.take()
    }

    /// How long the handler has to wait before it may go on, within a turn.
    #[inline]
    pub fn rest_until(&self) -> Option<Instant> {
        let cpu = self.cpu.as_ref()?;
        let now = clock::now();
        cpu.count(now);
        let mut bucket = cpu.bucket.borrow_mut();
        if bucket.has_any(now) {
            return None;
        }
        // Not for each microsecond.
        bucket.ready_at(now, CPU_PART, 0)
    }
}

/// Session data that is promised to be kept. It counts as if it were there until this is dropped.
#[derive(Debug)]
pub struct SessionRoom {
    tally: Arc<HandlerTally>,
    bytes: usize,
}

impl SessionRoom {
    /// Adds another promise of the same handler.
    #[inline]
    pub fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// So much of it is counted now.
    #[inline]
    pub fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.tally
            .session_promised
            .fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for SessionRoom {
    fn drop(&mut self) {
        self.release(self.bytes);
    }
}

impl Cpu {
    fn count(&self, now: Instant) {
        let Some(since) = self.since.get() else {
            return;
        };
        if self.take(now, since) {
            self.since.set(Some(now));
        }
    }

    /// Counts the time from `since` to `now`, unless it is too little to be.
    fn take(&self, now: Instant, since: Instant) -> bool {
        let taken = now.saturating_duration_since(since).as_micros();
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        if taken > 0 {
            self.bucket.borrow_mut().take(now, taken);
        }
        taken > 0
    }
}

impl RatesIn {
    pub fn new(messages: Option<u64>, bytes: Option<u64>) -> Option<Self> {
        if messages.is_none() && bytes.is_none() {
            return None;
        }
        let now = clock::now();
        let bucket = |rate: Option<u64>| rate.map(|rate| RefCell::new(Bucket::new(now, rate)));
        Some(Self {
            messages: bucket(messages),
            bytes: bucket(bytes),
            waiting: Cell::new(0),
        })
    }

    /// Until when nothing may be read, and for which limit. Others that wait come first.
    pub fn wait_until(&self, now: Instant) -> Option<(Instant, Limit)> {
        let ahead = self.waiting.get();
        let at = |bucket: &Option<RefCell<Bucket>>, part, limit| {
            let mut bucket = bucket.as_ref()?.borrow_mut();
            // Who waits must not be passed by who comes; but those who wait may not keep what is there from everybody.
            bucket.ready_at(now, part, 0)?;
            bucket.ready_at(now, part, ahead).map(|at| (at, limit))
        };
        let messages = at(&self.messages, 0.0, Limit::MessageRateIn);
        let bytes = at(&self.bytes, READ_PART, Limit::ByteRateIn);
        messages.into_iter().chain(bytes).max_by_key(|(at, _)| *at)
    }

    #[inline]
    pub fn begin_waiting(&self) {
        self.waiting.set(self.waiting.get() + 1);
    }

    #[inline]
    pub fn end_waiting(&self) {
        self.waiting.set(self.waiting.get() - 1);
    }

    #[inline]
    pub fn messages(&self, now: Instant) -> usize {
        available(self.messages.as_ref(), now)
    }

    #[inline]
    pub fn bytes(&self, now: Instant) -> usize {
        available(self.bytes.as_ref(), now)
    }

    #[inline]
    pub fn take_messages(&self, now: Instant, messages: usize) {
        if let Some(bucket) = &self.messages {
            bucket.borrow_mut().take(now, messages as u64);
        }
    }

    #[inline]
    pub fn take_bytes(&self, now: Instant, bytes: usize) {
        if let Some(bucket) = &self.bytes {
            bucket.borrow_mut().take(now, bytes as u64);
        }
    }
}

fn available(bucket: Option<&RefCell<Bucket>>, now: Instant) -> usize {
    bucket.map_or(usize::MAX, |bucket| {
        usize::try_from(bucket.borrow_mut().available(now)).unwrap_or(usize::MAX)
    })
}

const MICROSECONDS_PER_PERCENT: u64 = 10_000;

/// What is read at once where a rate is used up: not a byte at a time.
const READ_PART: f64 = 1.0 / 20.0;

/// What a handler that waits to send may send at least when it is told.
const SEND_PART: f64 = 1.0 / 4.0;

/// What a handler that has used up its time may use when it goes on.
const CPU_PART: f64 = 1.0 / 20.0;
