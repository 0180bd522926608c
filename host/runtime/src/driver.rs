//! The loop around the protocol core: the only place that reads a WebSocket's socket.
//!
//! ```text
//!            readable                 messages               commands
//! socket ───────────────▶ core ────────────────▶ handler ─────────────▶ outputs ──▶ one write per connection
//! ```
//!
//! One task per connection. It reads into the worker's buffer, lets the core decide, gives messages to the handler, and lets the handler
//! take its turn before it reads again. It stops reading while the peer does not read what is sent to it, while the handler has more
//! events of this connection than it may, and while the handler said so.

mod ending;
mod retry;
#[cfg(test)]
mod tests;
mod timers;

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wsrun_proto::ws::{CloseCode, CloseFrame, Event, MessageKind, SendError, State};

use self::retry::retries_end;
use crate::handler::Handler;
use crate::session::Session;
use crate::usage::{RatesIn, Usage};
use crate::worker::Worker;
use wsrun_contract::ClosedBy;
use wsrun_contract::effects::CannedMessage;
use wsrun_metrics::panics::{Panicked, plant};
use wsrun_metrics::seldom::Seldom;
use wsrun_os::clock;

/// Bytes of events of one connection that may wait for the handler. Reading stops above it.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Reads of one connection before others get their turn.
const READS_PER_TURN: u32 = 8;

/// Pings that are answered before what was answered is written: more unsent pongs become one (RFC 6455, 5.5.3), which is for peers that do
/// not read.
const PINGS_PER_WRITE: u32 = 16;

/// Runs one connection: the loop around the protocol core, without a timer of its own.
pub struct Driver {
    session: Rc<Session>,
    handler: Rc<Handler>,
    worker: Rc<Worker>,
    /// Received, and from `unread_from` on not looked at yet: the handler, or the peer, has to catch up first.
    unread: Vec<u8>,
    unread_from: usize,
    /// The core was stopped between two messages: there may be more in it even if nothing is unread.
    stopped_early: bool,
    /// When something is due, as of the last poll.
    deadline: Instant,
    /// `closed` was pushed.
    told: bool,
    /// When the transport was last looked at without reading.
    looked: Instant,
    /// Counts this connection among those that have something to write.
    writing: Option<Writing>,
    shut_down: bool,
    /// Something was due, and the sockets were looked at since.
    looked_again: bool,
    /// What few connections need.
    rare: Option<Box<Rare>>,
    /// How fast this connection is read; none without a limit. Boxed: few have one.
    rates: Option<Box<RatesIn>>,
    /// It is not read before.
    rate_until: Option<Instant>,
    /// It waits for what all connections of the handler share.
    rate_queue: Option<RateQueue>,
    stop: Stop,
}

/// What belongs to a connection that is slow, or ends.
#[derive(Default)]
struct Rare {
    /// Writing has failed: until when the rest of what the peer had sent is read.
    read_until: Option<Instant>,
    /// It is closing and the handler was behind: until when that puts its end off.
    behind_until: Option<Instant>,
    /// It is finished: how much was read and thrown away since, and until when that puts its end off.
    discarded: usize,
    discard_until: Option<Instant>,
    /// The last look at what the kernel holds for the peer, and what it held.
    looked: Option<Instant>,
    untaken: Option<usize>,
}

/// What the end of the server has to do with a connection.
enum Stop {
    /// Nothing yet.
    No,
    /// It is closed then: peers that are closed all at once come back all at once.
    At(Instant),
    /// It was closed for it.
    Done,
}

/// A place among those that wait to be read.
struct RateQueue(Rc<Usage>);

impl RateQueue {
    fn new(usage: &Rc<Usage>) -> Self {
        if let Some(rates) = usage.rates_in() {
            rates.begin_waiting();
        }
        Self(Rc::clone(usage))
    }
}

impl Drop for RateQueue {
    fn drop(&mut self) {
        if let Some(rates) = self.0.rates_in() {
            rates.end_waiting();
        }
    }
}

/// One of [`Worker::writing`].
struct Writing(Rc<Worker>);

impl Writing {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.writing.set(worker.writing.get() + 1);
        Self(Rc::clone(worker))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writing.set(self.0.writing.get() - 1);
    }
}

impl Driver {
    /// Makes the driver of a connection whose opening handshake is done. `early` is what the peer
    /// sent behind its handshake.
    pub fn new(
        session: Rc<Session>,
        handler: Rc<Handler>,
        worker: Rc<Worker>,
        early: Vec<u8>,
    ) -> Self {
        let now = clock::now();
        let limits = handler.registry.limits();
        let rates = RatesIn::new(
            limits.traffic.received.messages_max,
            limits.traffic.received.bytes_max,
        );
        Self {
            deadline: now + FAR,
            session,
            handler,
            writing: Some(Writing::new(&worker)),
            worker,
            unread: early,
            unread_from: 0,
            stopped_early: false,
            told: false,
            looked: now,
            shut_down: false,
            looked_again: false,
            rare: None,
            rates: rates.map(Box::new),
            rate_until: None,
            rate_queue: None,
            stop: Stop::No,
        }
    }

    /// Does what can be done at `now`, and is ready when the transport is gone. While it is pending,
    /// it wants to be polled again when its waker is woken, and at its [`deadline`](Self::deadline).
    ///
    /// The time is taken once: a turn is short, and a callback that is not gives way.
    pub fn poll(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        self.session.set_waker(cx.waker());
        if matches!(self.stop, Stop::No) && self.worker.is_draining() {
            self.stop = Stop::At(now + self.worker.close_delay());
        }
        for _ in 0..READS_PER_TURN {
            let _ = self.session.poll_write(cx);
            self.tell_writable();
            let progress = match self.state() {
                State::Finished => {
                    self.tell_closed();
                    match self.poll_end(cx, now) {
                        Poll::Ready(()) => return Poll::Ready(()),
                        Poll::Pending => false,
                    }
                }
                State::Open | State::Closing => self.poll_input(cx, now),
            };
            if !progress && !self.poll_timers(cx, now, now) {
                return Poll::Pending;
            }
        }
        // Not only when nothing is to be read: a peer that never pauses has the same deadlines.
        self.poll_timers(cx, clock::now(), now);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns when a driver that is pending is to be polled again at the latest.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends the connection after a panic of the host: the handler is told, if it was not yet.
    pub fn fail(&mut self, panicked: &Panicked) {
        let session = &self.session;
        panicked.report(
            &self.worker.tally,
            self.handler.registry.name(),
            "connection",
        );
        session.reconnects.set(false);
        session.abort(ClosedBy::Host, "the host failed");
        session.broken.set(true);
        session.connection.borrow_mut().handle_eof(clock::now());
        if !session.end_queued.get() {
            self.told = false;
            self.tell_closed();
        }
    }

    fn state(&self) -> State {
        self.session.connection.borrow().state()
    }

    /// Reads once and lets the core and the handler work on it. False when there is nothing to read or nobody to read for.
    fn poll_input(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let waits = self.waits_for_handler();
        if self.session.broken.get() && self.has_read_the_rest(now, waits) {
            self.session.connection.borrow_mut().handle_eof(now);
            return true;
        }
        if waits || !self.may_read() || self.is_too_fast() {
            // The peer is not to blame for silence that we do not hear.
            self.session.connection.borrow_mut().pause_input(now);
            if waits && self.state() == State::Closing {
                self.wait_for_close_answer(now);
            }
            return false;
        }
        self.session.connection.borrow_mut().resume_input(now);
        let held = self.session.connection.borrow().is_end_held();
        if held || self.stopped_early || !self.unread.is_empty() {
            let mut bytes = std::mem::take(&mut self.unread);
            let from = std::mem::take(&mut self.unread_from);
            let left = self.feed(&mut bytes[from..], now);
            if left > 0 {
                self.unread_from = bytes.len() - left;
                self.unread = bytes;
            }
            return true;
        }
        let mut buffer = self.worker.take_read_buffer();
        let length_max = self.readable_bytes().min(buffer.len());
        let read = &mut buffer[..length_max];
        let result = self.session.transport.borrow_mut().poll_read(cx, read);
        let length = match result {
            Poll::Ready(Ok(length)) => length,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.count_read(length);
        let progress = match result {
            Poll::Ready(Ok(_)) if length > 0 => {
                let left = self.feed(&mut buffer[..length], now);
                self.unread = buffer[length - left..length].to_vec();
                true
            }
            Poll::Ready(_) => {
                self.session.connection.borrow_mut().handle_eof(now);
                true
            }
            Poll::Pending => false,
        };
        self.worker.give_read_buffer(buffer);
        progress
    }

    /// Has a closing peer its time again while the handler is behind: the answer to our close frame may be there already, behind what is not
    /// read. It has it for as long again in all: a peer that floods keeps the handler behind for ever.
    fn wait_for_close_answer(&mut self, now: Instant) {
        let timeout = self.worker.settings.timeouts.close_timeout;
        let until = *self
            .rare()
            .behind_until
            .get_or_insert_with(|| now.checked_add(timeout).unwrap_or(now + FAR));
        if now < until {
            self.session.connection.borrow_mut().handle_progress(now);
        }
    }

    /// Whether nothing more is to be read of a peer to which nothing more can be written. What it sent before is in the kernel's hands: it is
    /// read for as long as a close may take, and longer only while the handler is behind.
    fn has_read_the_rest(&mut self, now: Instant, waits: bool) -> bool {
        let flows = self.flows();
        let timeout = self.worker.settings.timeouts.close_timeout;
        let rare = self.rare();
        let until = match rare.read_until {
            Some(until) if !waits => until,
            Some(_) | None => now.checked_add(timeout).unwrap_or(now + FAR),
        };
        rare.read_until = Some(until);
        // What the handler does not want to be read now is nobody's later.
        !flows || (now >= until && !clock::is_late(until, now))
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether the peer has used up what it is read at.
    fn is_too_fast(&mut self) -> bool {
        let usage = self.handler.registry.usage();
        if self.rates.is_none() && usage.rates_in().is_none() {
            return false;
        }
        let now = clock::now();
        if self.rate_until.is_some_and(|until| now < until) {
            return true;
        }
        self.rate_until = None;
        self.rate_queue = None;
        if self.state() != State::Open {
            return false;
        }
        let own = self.rates.as_ref().and_then(|rates| rates.wait_until(now));
        let shared = usage.rates_in().and_then(|rates| rates.wait_until(now));
        let Some((until, limit)) = own.into_iter().chain(shared).max_by_key(|(at, _)| *at) else {
            return false;
        };
        if shared.is_some() {
            self.rate_queue = Some(RateQueue::new(usage));
        }
        self.rate_until = Some(until);
        self.handler.registry.note_limit(limit);
        true
    }

    /// Its own rates and those of the handler, where there are any.
    fn all_rates(&self) -> impl Iterator<Item = &RatesIn> {
        let shared = self.handler.registry.usage().rates_in();
        self.rates.as_deref().into_iter().chain(shared)
    }

    fn readable_bytes(&self) -> usize {
        if self.all_rates().next().is_none() {
            return usize::MAX;
        }
        let now = clock::now();
        let bytes = self.all_rates().map(|rates| rates.bytes(now)).min();
        bytes.unwrap_or(usize::MAX).max(1)
    }

    fn count_read(&self, bytes: usize) {
        self.handler.registry.tally().bytes_in.add(bytes as u64);
        if bytes > 0 && self.all_rates().next().is_some() {
            let now = clock::now();
            self.all_rates()
                .for_each(|rates| rates.take_bytes(now, bytes));
        }
    }

    /// Messages that may be taken out of what was read.
    fn readable_messages(&self) -> usize {
        if self.all_rates().next().is_none() {
            return usize::MAX;
        }
        let now = clock::now();
        let messages = self.all_rates().map(|rates| rates.messages(now)).min();
        messages.unwrap_or(usize::MAX).max(1)
    }

    fn count_messages(&self, messages: usize) {
        let tally = self.handler.registry.tally();
        tally.messages_in.add(messages as u64);
        if messages > 0 && self.all_rates().next().is_some() {
            let now = clock::now();
            self.all_rates()
                .for_each(|rates| rates.take_messages(now, messages));
        }
    }

    /// Whether so much of this connection, or of all, waits for the handler that nothing more is read.
    fn waits_for_handler(&self) -> bool {
        let session = &self.session;
        if session.must_wait_for_events() {
            return true;
        }
        let queued = session.queued_event_bytes.get();
        let reserved = session.reserved();
        let waits = queued >= EVENT_BYTES_MAX || {
            let connection = session.connection.borrow();
            let output_max = self.output_max();
            let output = connection.output().len();
            // What is reserved is sent, or given back, when its callback has returned.
            (output <= output_max && output + reserved > output_max)
                || ((queued > 0 || reserved > 0) && connection.is_end_held())
        };
        if waits {
            session.waiting_for_handler.set(true);
        }
        waits
    }

    /// Bytes that wait for the peer, above which it is not read.
    fn output_max(&self) -> usize {
        self.worker.settings.limits.queued_bytes_max / 2
    }

    fn may_read(&self) -> bool {
        let queued = self.session.connection.borrow().output().len();
        self.flows() && queued <= self.output_max()
    }

    /// Whether the handler wants it to be read. Its end is read in any case.
    fn flows(&self) -> bool {
        self.session.receive_flow.get() || self.state() != State::Open
    }

    /// Hands received bytes to the core, its messages to the handler, and lets the handler take its turn. Returns how many bytes, at the end,
    /// were not looked at.
    fn feed(&mut self, bytes: &mut [u8], now: Instant) -> usize {
        let session = &self.session;
        plant("feed");
        self.stopped_early = false;
        let (mut replies, mut reply_bytes) = (Vec::new(), 0);
        let messages_max = self.readable_messages();
        let mut messages = 0;
        let mut pings = 0;
        let left;
        {
            let mut connection = session.connection.borrow_mut();
            session.lend_buffer(&mut connection);
            let mut scratch = self.worker.scratch.borrow_mut();
            let mut input = connection.handle_input(now, bytes, &mut scratch);
            if session.queued_event_bytes.get() > 0 || session.reserved() > 0 {
                // The handler waits, or works for others: messages of earlier reads are answered before the end, too, and what a callback
                // was told will be sent is sent.
                input.hold_end();
            }
            let mut queue = self.handler.queue();
            let wanted = !session.failed.get();
            let auto_replies = self.handler.registry.auto_replies();
            while let Some(event) = input.poll_event() {
                messages += usize::from(begins_message(&event));
                if !auto_replies.is_empty()
                    && wanted
                    && let Some((kind, payload)) = whole_message(&event)
                    && let Some(reply) = auto_replies.to(kind, payload)
                {
                    replies.push(reply.clone());
                    reply_bytes += reply.bytes.len() + AUTO_REPLY_OVERHEAD;
                    // They fit: nothing is read while more than half of the queue is used.
                    if reply_bytes >= self.worker.settings.limits.queued_bytes_max / 4
                        || messages >= messages_max
                    {
                        self.stopped_early = true;
                        break;
                    }
                    continue;
                }
                match event {
                    Event::Text(text) if wanted => {
                        queue.push_received(session, MessageKind::Text, text.as_bytes())
                    }
                    Event::Binary(payload) if wanted => {
                        queue.push_received(session, MessageKind::Binary, payload)
                    }
                    Event::Pong {
                        payload,
                        keep_alive: false,
                    } if wanted && self.handler.exports().pong => {
                        queue.push_pong(session, payload);
                    }
                    Event::Chunk(chunk) if wanted => queue.push_chunk(session, &chunk),
                    Event::Ping(_) => {
                        pings += 1;
                        if pings == PINGS_PER_WRITE {
                            self.stopped_early = true;
                            break;
                        }
                    }
                    Event::Text(_)
                    | Event::Binary(_)
                    | Event::Chunk(_)
                    | Event::Pong { .. }
                    | Event::Close(_) => {}
                }
                if session.queued_event_bytes.get() >= EVENT_BYTES_MAX || messages >= messages_max {
                    self.stopped_early = true;
                    break;
                }
            }
            left = input.unread().len();
        }
        self.count_messages(messages);
        let tally = self.handler.registry.tally();
        tally.auto_replies.add(replies.len() as u64);
        for reply in replies {
            self.reply(&reply);
        }
        session.mark_dirty();
        self.handler.turn();
        self.worker.flush();
        left
    }

    /// Sends an automatic reply. A peer that does not read is read no further, so that there is room for what it has asked for.
    fn reply(&self, reply: &CannedMessage) {
        let session = &self.session;
        match session.reply(reply.kind, &reply.bytes) {
            Ok(()) => self.handler.registry.relieve(),
            Err(SendError::Closed) => {}
            Err(error) => {
                static DEAF: Seldom = Seldom::new();
                if let Some(left_out) = DEAF.take() {
                    tracing::warn!(
                        handler = %self.handler.registry.name(), connection = session.id, left_out,
                        "closing a connection that does not read automatic replies: {error}"
                    );
                }
                self.handler.registry.leave(session.id);
                session.close(
                    ClosedBy::Host,
                    CloseFrame::with_code(CloseCode::POLICY_VIOLATION, "slow consumer"),
                );
            }
        }
    }

    fn tell_writable(&self) {
        let session = &self.session;
        if session.want_writable.get()
            && !self.told
            && !session.broken.get()
            && session.is_drained()
            && self.handler.registry.usage().may_send_at().is_none()
        {
            session.want_writable.set(false);
            self.handler
                .push(|queue| queue.push_writable(Rc::clone(session)));
            self.worker.flush();
        }
    }

    fn tell_closed(&mut self) {
        if self.told {
            return;
        }
        self.told = true;
        let info = self
            .session
            .close_info()
            .expect("a finished connection knows its end");
        tracing::debug!(
            handler = %self.handler.registry.name(), connection = self.session.id,
            code = info.code, by = ?info.by, clean = info.clean, dropped = self.session.dropped(), "connection closed"
        );
        self.worker.tell_room();
        let session = &self.session;
        let may_retry = session.reconnects.get() && !session.failed.get();
        if may_retry && !*self.worker.shutdown.borrow() && retries_end(&info) {
            // Whoever makes it again tells the handler: topics and timers stay.
            session.lose(info);
            return;
        }
        self.handler.registry.leave(self.session.id);
        self.handler
            .push(|queue| queue.push_closed(Rc::clone(&self.session), info));
        self.worker.flush();
    }
}

fn begins_message(event: &Event<'_>) -> bool {
    match event {
        Event::Text(_) | Event::Binary(_) => true,
        Event::Chunk(chunk) => chunk.first,
        Event::Ping(_) | Event::Pong { .. } | Event::Close(_) => false,
    }
}

fn whole_message<'a>(event: &'a Event<'_>) -> Option<(MessageKind, &'a [u8])> {
    if let Event::Text(text) = event {
        Some((MessageKind::Text, text.as_bytes()))
    } else if let Event::Binary(payload) = event {
        Some((MessageKind::Binary, payload))
    } else {
        None
    }
}

/// What an automatic reply counts beside its bytes.
const AUTO_REPLY_OVERHEAD: usize = 64;

/// Later than any timeout that matters.
const FAR: Duration = Duration::from_secs(3_600);
