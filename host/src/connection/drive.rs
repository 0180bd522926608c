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

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use wsrun_proto::ws::{CloseCode, CloseFrame, Event, MessageKind, SendError, State};

use crate::clock;
use crate::command::Fixed;
use crate::contract::ClosedBy;
use crate::handler::{Handler, RatesIn, Usage};
use crate::outbound;
use crate::panics::{Panicked, caught, plant};
use crate::seldom::Seldom;
use crate::session::Session;
use crate::worker::Worker;

/// Bytes of events of one connection that may wait for the handler. Reading stops above it.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Reads of one connection before others get their turn.
const READS_PER_TURN: u32 = 8;

/// Bytes of a finished connection that are read and thrown away, so that the close frame is not lost to a reset.
const DISCARD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Runs a connection until its transport is gone, and closes it when the server stops. `early` is what the peer sent behind its
/// handshake.
///
/// The future of every connection: it has the size of its [`Driver`].
pub(super) fn drive(
    session: Rc<Session>,
    handler: Rc<Handler>,
    worker: Rc<Worker>,
    early: Vec<u8>,
) -> impl Future<Output = ()> {
    let mut driver = Driver::new(session, handler, worker, early);
    poll_fn(move |cx| match caught(|| driver.poll(cx)) {
        Ok(polled) => polled,
        Err(panicked) => {
            driver.fail(&panicked);
            Poll::Ready(())
        }
    })
}

struct Driver {
    session: Rc<Session>,
    handler: Rc<Handler>,
    worker: Rc<Worker>,
    /// Received and not looked at yet: the handler, or the peer, has to catch up first.
    unread: Vec<u8>,
    /// The core was stopped between two messages: there may be more in it even if nothing is unread.
    stopped_early: bool,
    sleep: Pin<Box<Sleep>>,
    /// When `sleep` ends. It may be earlier than what is due: then it is set again.
    deadline: Instant,
    /// `closed` was pushed.
    told: bool,
    /// When the transport was last looked at without reading.
    looked: Instant,
    /// Counts this connection among those that have something to write.
    writing: Option<Writing>,
    shut_down: bool,
    discarded: usize,
    /// How fast this connection is read; none without a limit. Boxed: few have one.
    rates: Option<Box<RatesIn>>,
    /// It is not read before.
    rate_until: Option<Instant>,
    /// It waits for what all connections of the handler share.
    rate_queue: Option<RateQueue>,
    stop: Stop,
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
    fn new(session: Rc<Session>, handler: Rc<Handler>, worker: Rc<Worker>, early: Vec<u8>) -> Self {
        let sleep = Box::pin(tokio::time::sleep(worker.config.timeouts.close_timeout));
        let limits = handler.registry.limits();
        let rates = RatesIn::new(limits.message_rate_max, limits.byte_rate_max);
        Self {
            deadline: sleep.deadline().into_std(),
            session,
            handler,
            writing: Some(Writing::new(&worker)),
            worker,
            unread: early,
            stopped_early: false,
            sleep,
            told: false,
            looked: clock::now(),
            shut_down: false,
            discarded: 0,
            rates: rates.map(Box::new),
            rate_until: None,
            rate_queue: None,
            stop: Stop::No,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.set_waker(cx.waker());
        // Asked once: a turn is short, and a callback that is not gives way.
        let now = clock::now();
        if matches!(self.stop, Stop::No) && self.worker.is_draining() {
            self.stop = Stop::At(now + self.worker.close_delay());
        }
        for _ in 0..READS_PER_TURN {
            let _ = self.session.poll_write(cx);
            self.tell_writable();
            if self.session.broken.get() {
                self.session.connection.borrow_mut().handle_eof(now);
            }
            let progress = match self.state() {
                State::Finished => {
                    self.tell_closed();
                    match self.poll_end(cx) {
                        Poll::Ready(()) => return Poll::Ready(()),
                        Poll::Pending => false,
                    }
                }
                State::Open | State::Closing => self.poll_input(cx, now),
            };
            if !progress && !self.poll_timers(cx, now) {
                return Poll::Pending;
            }
        }
        // Not only when nothing is to be read: a peer that never pauses has the same deadlines.
        self.poll_timers(cx, clock::now());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends the connection after a panic of the host: the handler is told, if it was not yet.
    fn fail(&mut self, panicked: &Panicked) {
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
        if !self.may_read() || self.is_too_fast() {
            // The peer is not to blame for silence that we do not hear.
            self.session.connection.borrow_mut().pause_input();
            return false;
        }
        self.session.connection.borrow_mut().resume_input(now);
        let held = self.session.connection.borrow().is_end_held();
        if held || self.stopped_early || !self.unread.is_empty() {
            let mut bytes = std::mem::take(&mut self.unread);
            self.feed(&mut bytes, now);
            return true;
        }
        let mut buffer = self.worker.take_read_buffer();
        let length_max = self.readable_bytes().min(buffer.len());
        let mut read = ReadBuf::new(&mut buffer[..length_max]);
        let result = Pin::new(&mut *self.session.stream.borrow_mut()).poll_read(cx, &mut read);
        let length = read.filled().len();
        self.count_read(length);
        let progress = match result {
            Poll::Ready(Ok(())) if length > 0 => {
                self.feed(&mut buffer[..length], now);
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

    fn may_read(&self) -> bool {
        let session = &self.session;
        if session.must_wait_for_events() {
            return false;
        }
        if session.queued_event_bytes.get() >= EVENT_BYTES_MAX {
            session.waiting_for_handler.set(true);
            return false;
        }
        let connection = session.connection.borrow();
        if connection.is_end_held()
            && (session.queued_event_bytes.get() > 0 || session.reserved() > 0)
        {
            session.waiting_for_handler.set(true);
            return false;
        }
        let flows = session.receive_flow.get() || connection.state() != State::Open;
        let queued_max = self.worker.config.limits.queued_bytes_max / 2;
        let output = connection.output().len();
        if output <= queued_max && output + session.reserved() > queued_max {
            // What is reserved is sent, or given back, when its callback has returned.
            session.waiting_for_handler.set(true);
            return false;
        }
        flows && output <= queued_max
    }

    /// Hands received bytes to the core, its messages to the handler, and lets the handler take its turn.
    fn feed(&mut self, bytes: &mut [u8], now: Instant) {
        let session = &self.session;
        plant("feed");
        self.stopped_early = false;
        let (mut replies, mut reply_bytes) = (Vec::new(), 0);
        let messages_max = self.readable_messages();
        let mut messages = 0;
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
                    if reply_bytes >= self.worker.config.limits.queued_bytes_max / 4
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
                    Event::Text(_)
                    | Event::Binary(_)
                    | Event::Chunk(_)
                    | Event::Pong { .. }
                    | Event::Ping(_)
                    | Event::Close(_) => {}
                }
                if session.queued_event_bytes.get() >= EVENT_BYTES_MAX || messages >= messages_max {
                    self.stopped_early = true;
                    break;
                }
            }
            self.unread = input.unread().to_vec();
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
    }

    /// Sends an automatic reply. A peer that does not read is read no further, so that there is room for what it has asked for.
    fn reply(&self, reply: &Fixed) {
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
        if may_retry && !*self.worker.shutdown.borrow() && outbound::retries_end(&info) {
            // Whoever makes it again tells the handler: topics and timers stay.
            session.lose(info);
            return;
        }
        self.handler.registry.leave(self.session.id);
        self.handler
            .push(|queue| queue.push_closed(Rc::clone(&self.session), info));
        self.worker.flush();
    }

    /// Ends the transport of a finished connection: what is queued goes out, then our side is shut, then the peer's end is awaited.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.session.broken.get() || self.is_overdue() {
            return Poll::Ready(());
        }
        let flushed = self.session.is_flushed();
        if self.session.is_aborted() {
            return Poll::Ready(());
        }
        if flushed && !self.shut_down {
            match Pin::new(&mut *self.session.stream.borrow_mut()).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => {
                    self.shut_down = true;
                    self.writing = None;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let mut buffer = self.worker.take_read_buffer();
        let mut stream = self.session.stream.borrow_mut();
        let ended = loop {
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if read.filled().is_empty() => break true,
                Poll::Ready(Ok(())) => self.discarded += read.filled().len(),
                Poll::Ready(Err(_)) => break true,
                Poll::Pending => break false,
            }
            if self.discarded > DISCARD_BYTES_MAX {
                break true;
            }
        };
        drop(stream);
        self.worker.give_read_buffer(buffer);
        if ended && (self.shut_down || self.discarded > DISCARD_BYTES_MAX) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn is_overdue(&self) -> bool {
        let deadline = self.session.connection.borrow().poll_timeout();
        deadline.is_none_or(|deadline| clock::now() >= deadline)
    }

    /// Runs what is due and sets the timer for what is next. True when something happened.
    fn poll_timers(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let next = self.next_deadline(now);
        if next < self.deadline {
            self.deadline = next;
            self.sleep.as_mut().reset(next.into());
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        let now = clock::now();
        if next > now {
            self.deadline = next;
            self.sleep.as_mut().reset(next.into());
            return self.sleep.as_mut().poll(cx).is_ready();
        }
        if let Stop::At(at) = self.stop
            && now >= at
        {
            self.stop = Stop::Done;
            self.close_for_the_end();
        }
        let stalled = self.session.stalled_since.get();
        if stalled.is_some_and(|since| now >= since + self.worker.config.write_timeout) {
            self.session.abort(ClosedBy::Host, "peer does not read");
            self.session.broken.set(true);
        } else {
            self.looked = now;
            if self.session.stream.borrow().has_failed() {
                self.session.broken.set(true);
            }
            self.session.connection.borrow_mut().handle_timeout(now);
            self.session.mark_dirty();
            self.worker.flush();
        }
        // Far away until the next look says otherwise.
        self.deadline = now + FAR;
        self.sleep.as_mut().reset(self.deadline.into());
        true
    }

    fn close_for_the_end(&self) {
        self.handler.registry.leave(self.session.id);
        let code = self.worker.config.drain_close_code;
        let close = CloseFrame::new(code, "server is shutting down");
        self.session.close(
            ClosedBy::Host,
            close.unwrap_or_else(|_| CloseFrame::empty()),
        );
        self.worker.flush();
    }

    fn next_deadline(&self, now: Instant) -> Instant {
        let far = now + FAR;
        let core = self.session.connection.borrow().poll_timeout();
        let look = (!self.session.receive_flow.get() && !self.told).then_some(self.looked + LOOK);
        let stalled = self
            .session
            .stalled_since
            .get()
            .map(|since| since + self.worker.config.write_timeout);
        let rate = self.rate_until.filter(|until| *until > now);
        let sends = (self.session.want_writable.get() && !self.told)
            .then(|| self.handler.registry.usage().may_send_at())
            .flatten();
        let stop = match self.stop {
            Stop::At(at) => Some(at),
            Stop::No | Stop::Done => None,
        };
        core.into_iter()
            .chain(stop)
            .chain(rate)
            .chain(sends)
            .chain(stalled)
            .chain(look)
            .fold(far, Instant::min)
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

/// How often a connection that the handler does not want to be read is looked at for a transport that failed.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Later than any timeout that matters.
const FAR: std::time::Duration = std::time::Duration::from_secs(3_600);
