//! One connection: what it sends, its timers and its end. What it receives is in [`input`](super::input).
//!
//! ```text
//!          start_close             peer's close frame, close_timeout
//!   Open ---------------> Closing ----------------------------------+
//!    |                                                              v
//!    +----------------------------------------------------------> Finished
//!      peer's close frame, broken rule, timeout, end of transport, abort
//! ```

use std::time::{Duration, Instant};

use super::close::{ABNORMAL_CLOSURE, Cause, CloseCode, CloseFrame, End, Party, Timer};
use super::deflate::{Agreed, Contexts, deflate};
use super::error::{ProtocolError, SendError};
use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Opcode};
use super::input::{Input, Partial};
use super::output::{ControlFrame, Output};
use super::prepared::Prepared;
use super::scratch::Scratch;
use super::utf8::Utf8;
use super::{MessageKind, Role, mask};
use crate::limits::Limits;

/// What is decided about a connection when it opens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Config {
    /// What the peer may make this side hold or do.
    pub limits: Limits,
    /// How long this side waits.
    pub timeouts: Timeouts,
    /// How messages are handed out.
    pub delivery: Delivery,
    /// The compression that the opening handshake agreed to.
    pub deflate: Option<Agreed>,
    /// Takes frames from the peer whether they are masked or not, and sends none masked. For tests: without masks a page in a browser can
    /// plant chosen bytes in the caches of intermediaries.
    pub danger_unmasked: bool,
}

/// How long a connection waits, and for what. Silence is told by the `now` of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The silence of the peer after which a ping is sent, and again after each such time.
    pub ping_interval: Option<Duration>,
    /// The silence of the peer after which the connection ends with 1006.
    pub idle_timeout: Option<Duration>,
    /// How long the peer may take to answer a close frame, to take the last output and, in the client role, to end the transport.
    pub close_timeout: Duration,
    /// How long a message may take from its first byte to its last. Beyond it the connection fails with 1008.
    pub message_timeout: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            ping_interval: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(50)),
            close_timeout: Duration::from_secs(5),
            message_timeout: Some(Duration::from_secs(30)),
        }
    }
}

/// How messages are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Whole.
    #[default]
    Messages,
    /// As they arrive, in [`Chunk`](super::Chunk)s. Nothing is assembled.
    Chunks,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// This side has queued its close frame and waits for the peer's. Messages of the peer are still handed out.
    Closing,
    /// No more input is looked at. The driver writes the output and, once [`Connection::is_drained`], shuts the transport down.
    Finished,
}

/// The state of one WebSocket connection. It is driven from outside: see the [crate's documentation](crate).
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) role: Role,
    pub(super) state: State,
    /// False while the driver does not read, so that the peer is not blamed for it.
    reading: bool,
    keep_alive: KeepAlive,
    /// The largest frame that is also a whole message.
    pub(super) whole_bytes_max: u64,
    /// The message or frame that has arrived in part. Boxed and pooled: most connections, most of the time, have none.
    pub(super) partial: Option<Box<Partial>>,
    pub(super) output: Output,
    last_input: Instant,
    control_frames: Bucket,
    /// Masking keys for when no [`Scratch`] is at hand.
    mask_seed: Option<u64>,
    sending: Option<Box<Sending>>,
    pub(super) contexts: Option<Box<Contexts>>,
    ending: Option<Box<Ending>>,
}

/// The core's own pings.
#[derive(Debug, Clone, Copy)]
struct KeepAlive {
    /// Tells this ping from earlier ones.
    number: u32,
    awaited: bool,
    /// When the last one was sent.
    sent: Option<Instant>,
}

/// How many control frames the peer may send at once: refilled as time goes by.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u32,
    filled: Instant,
}

/// A message that is sent in chunks.
#[derive(Debug)]
struct Sending {
    kind: MessageKind,
    utf8: Utf8,
    bytes: u64,
}

/// The end of a connection, and the way to it.
#[derive(Debug, Default)]
struct Ending {
    local: Option<CloseFrame>,
    peer: CloseFrame,
    end: Option<End>,
    deadline: Option<Instant>,
    /// The transport needs no further wait.
    transport_done: bool,
}

impl Connection {
    /// A connection whose opening handshake is done.
    pub fn new(now: Instant, role: Role, config: Config) -> Self {
        Self {
            role,
            state: State::Open,
            reading: true,
            keep_alive: KeepAlive {
                number: 0,
                awaited: false,
                sent: None,
            },
            whole_bytes_max: config
                .limits
                .frame_bytes_max
                .min(config.limits.message_bytes_max),
            partial: None,
            output: Output::default(),
            last_input: now,
            control_frames: Bucket {
                tokens: config.limits.control_frames_per_second_max,
                filled: now,
            },
            mask_seed: None,
            sending: None,
            contexts: None,
            ending: None,
            config,
        }
    }

    /// Takes bytes of the peer. They are decoded in place, as the events are polled.
    #[inline]
    pub fn handle_input<'a>(
        &'a mut self,
        now: Instant,
        bytes: &'a mut [u8],
        scratch: &'a mut Scratch,
    ) -> Input<'a> {
        if !bytes.is_empty() {
            self.last_input = now;
        }
        self.seed_masks(scratch);
        scratch.retire_message();
        Input::new(now, self, bytes, scratch)
    }

    /// Takes notice that the transport's read side ended or failed.
    pub fn handle_eof(&mut self, now: Instant) {
        if self.state == State::Finished {
            self.ending().transport_done = true;
            return;
        }
        let end = End {
            code: ABNORMAL_CLOSURE,
            reason: "transport ended without a close frame".to_owned(),
            by: Party::Peer,
            clean: false,
            cause: Cause::Eof,
        };
        self.finish(now, end);
        self.ending().transport_done = true;
    }

    /// Does what is due: call it when the time of [`poll_timeout`](Self::poll_timeout) has come. Earlier calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state {
            State::Open => self.handle_open_timeout(now),
            State::Closing => {
                if self
                    .close_deadline()
                    .is_some_and(|deadline| deadline <= now)
                {
                    self.time_out(now, Timer::Close, "close frame was not answered");
                }
            }
            State::Finished => {
                let ending = self.ending();
                if ending.deadline.is_some_and(|deadline| deadline <= now) {
                    ending.deadline = None;
                    ending.transport_done = true;
                    self.output.clear();
                }
            }
        }
    }

    fn handle_open_timeout(&mut self, now: Instant) {
        if self.idle_deadline().is_some_and(|deadline| deadline <= now) {
            self.time_out(now, Timer::Idle, "peer was silent for too long");
        } else if self
            .message_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            let close = CloseFrame::with_code(CloseCode::POLICY_VIOLATION, "message took too long");
            let key = self.spare_mask_key();
            self.fail(now, &close, Cause::TimedOut(Timer::Message), key);
        } else if self.ping_deadline().is_some_and(|deadline| deadline <= now) {
            self.send_keep_alive(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. It may change with every call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open => [
                self.ping_deadline(),
                self.idle_deadline(),
                self.message_deadline(),
            ]
            .into_iter()
            .flatten()
            .min(),
            State::Closing | State::Finished => self.close_deadline(),
        }
    }

    /// Suspends the timers that wait for the peer: for a driver that stops reading because its own side is behind.
    pub fn pause_input(&mut self) {
        self.reading = false;
    }

    /// Starts those timers anew.
    pub fn resume_input(&mut self, now: Instant) {
        if !self.reading {
            self.reading = true;
            self.last_input = now;
            if let Some(partial) = &mut self.partial {
                partial.started = Some(now);
            }
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// If it was not taken; nothing was queued then. A message is always taken while the output is empty.
    #[inline]
    pub fn send_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits(payload.len())?;
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(SendError::InvalidText);
        }
        self.queue_message(kind, payload, scratch);
        Ok(())
    }

    /// Queues a text message.
    ///
    /// # Errors
    ///
    /// As [`send_message`](Self::send_message).
    #[inline]
    pub fn send_text(&mut self, text: &str, scratch: &mut Scratch) -> Result<(), SendError> {
        self.fits(text.len())?;
        self.queue_message(MessageKind::Text, text.as_bytes(), scratch);
        Ok(())
    }

    /// Queues the next part of a message; `fin` ends it. Pings, pongs and close frames may go in between, other messages may not. Such
    /// messages are not compressed: their compression context would be tied to this connection meanwhile.
    ///
    /// # Errors
    ///
    /// If it was not taken; nothing was queued then.
    pub fn send_chunk(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits_output(data.len())?;
        let limit = self.config.limits.sent_message_bytes_max;
        let mut sending = match &self.sending {
            Some(sending) if sending.kind != kind => return Err(SendError::MessageUnfinished),
            Some(sending) => Sending {
                kind,
                utf8: sending.utf8,
                bytes: sending.bytes,
            },
            None => Sending {
                kind,
                utf8: Utf8::default(),
                bytes: 0,
            },
        };
        sending.bytes = sending.bytes.saturating_add(data.len() as u64);
        if sending.bytes > limit {
            return Err(SendError::TooLarge { limit });
        }
        if kind == MessageKind::Text {
            sending
                .utf8
                .push(data, |_| {})
                .map_err(|_| SendError::InvalidText)?;
            if fin {
                sending.utf8.finish().map_err(|_| SendError::InvalidText)?;
            }
        }
        let opcode = if self.sending.is_some() {
            Opcode::Continuation
        } else {
            kind.opcode()
        };
        self.sending = (!fin).then(|| Box::new(sending));
        let mask = self.mask_key(scratch);
        self.push_frame(
            Header {
                fin,
                rsv1: false,
                opcode,
                mask,
                length: data.len() as u64,
            },
            data,
        );
        Ok(())
    }

    /// Queues a message that goes to other connections as well.
    ///
    /// # Errors
    ///
    /// As [`send_message`](Self::send_message).
    pub fn send_prepared(
        &mut self,
        message: &mut Prepared,
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits(message.payload().len())?;
        let deflates = self.deflates(message.payload().len());
        let shareable = !deflates.is_some_and(|agreed| agreed.context_takeover(self.role));
        if self.masks() || !shareable {
            self.queue_message(message.kind(), message.payload(), scratch);
            return Ok(());
        }
        let frame = match deflates {
            Some(agreed) => message.compressed_frame(agreed.settings(self.role), scratch),
            None => message.frame(),
        };
        if frame.len() < SHARED_BYTES_MIN {
            self.output.tail().extend_from_slice(frame);
        } else {
            self.output.push_shared(frame.clone());
        }
        Ok(())
    }

    /// Queues a ping.
    ///
    /// # Errors
    ///
    /// If it was not taken. The payload is at most 125 bytes.
    pub fn send_ping(&mut self, payload: &[u8], scratch: &mut Scratch) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, scratch)
    }

    /// Queues a pong that answers no ping: pings are answered by the core.
    ///
    /// # Errors
    ///
    /// As [`send_ping`](Self::send_ping).
    pub fn send_pong(&mut self, payload: &[u8], scratch: &mut Scratch) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, scratch)
    }

    /// Starts the closing handshake: queues a close frame, after what is queued. Without effect if the connection is closing already.
    pub fn start_close(&mut self, now: Instant, close: CloseFrame, scratch: &mut Scratch) {
        if self.state != State::Open {
            return;
        }
        let key = self.mask_key(scratch);
        self.queue_close(&close, key);
        self.state = State::Closing;
        let deadline = now.checked_add(self.config.timeouts.close_timeout);
        let ending = self.ending();
        ending.local = Some(close);
        ending.deadline = deadline;
    }

    /// Ends the connection at once, without a closing handshake; the output is dropped.
    pub fn abort(&mut self, now: Instant, reason: &str) {
        self.output.clear();
        self.ending().transport_done = true;
        if self.state != State::Finished {
            let end = End {
                code: ABNORMAL_CLOSURE,
                reason: reason.to_owned(),
                by: Party::Local,
                clean: false,
                cause: Cause::Aborted,
            };
            self.finish(now, end);
        }
        self.ending().deadline = None;
    }

    /// How far the connection has come.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// How the connection ended: there once the state is [`State::Finished`].
    pub fn end(&self) -> Option<&End> {
        self.ending.as_ref().and_then(|ending| ending.end.as_ref())
    }

    /// Whether the driver may shut the transport down: the connection is finished, the output written and, in the client role, the
    /// transport ended by the server or waited for long enough.
    ///
    /// RFC 6455, 7.1.1: "the underlying TCP connection, in most normal cases, SHOULD be closed first by the server".
    pub fn is_drained(&self) -> bool {
        let Some(ending) = &self.ending else {
            return false;
        };
        self.state == State::Finished
            && self.output.is_empty()
            && (self.role == Role::Server || ending.transport_done)
    }

    /// What waits for the transport.
    #[inline]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// What waits for the transport, to lend it a buffer and to consume what was written.
    #[inline]
    pub fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether [`send_message`](Self::send_message) would take a message of this size.
    ///
    /// # Errors
    ///
    /// What it would fail with.
    #[inline]
    pub fn fits(&self, payload_bytes: usize) -> Result<(), SendError> {
        if self.sending.is_some() && self.state == State::Open {
            return Err(SendError::MessageUnfinished);
        }
        self.fits_output(payload_bytes)
    }

    #[inline]
    fn fits_output(&self, payload_bytes: usize) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        let limit = self.config.limits.sent_message_bytes_max;
        if payload_bytes as u64 > limit {
            return Err(SendError::TooLarge { limit });
        }
        let queued = self.output.len();
        if queued > 0 && queued.saturating_add(payload_bytes) > self.config.limits.queued_bytes_max
        {
            return Err(SendError::QueueFull { queued });
        }
        Ok(())
    }

    #[inline]
    fn queue_message(&mut self, kind: MessageKind, payload: &[u8], scratch: &mut Scratch) {
        let mask = self.mask_key(scratch);
        let mut header = Header {
            fin: true,
            rsv1: false,
            opcode: kind.opcode(),
            mask,
            length: payload.len() as u64,
        };
        if let Some(agreed) = self.deflates(payload.len()) {
            self.compress(agreed, payload, scratch);
            // With context takeover the peer must see whatever went into the window.
            if scratch.compressed.len() < payload.len() || agreed.context_takeover(self.role) {
                header.rsv1 = true;
                header.length = scratch.compressed.len() as u64;
                self.push_frame(header, &scratch.compressed);
                scratch.retire_compressed();
                return;
            }
        }
        self.push_frame(header, payload);
    }

    /// Compresses a message into `scratch.compressed`.
    fn compress(&mut self, agreed: Agreed, payload: &[u8], scratch: &mut Scratch) {
        let settings = agreed.settings(self.role);
        scratch.step_buffer();
        let Scratch {
            step,
            compressed,
            pool,
            ..
        } = scratch;
        if agreed.context_takeover(self.role) {
            let contexts = self.contexts.get_or_insert_default();
            deflate(contexts.deflater(settings), payload, step, compressed);
        } else {
            let mut deflater = pool.take_deflater(settings);
            deflate(&mut deflater, payload, step, compressed);
            pool.give_deflater(settings, deflater);
        }
    }

    #[inline]
    fn deflates(&self, payload_bytes: usize) -> Option<Agreed> {
        self.config
            .deflate
            .filter(|agreed| payload_bytes >= agreed.message_bytes_min())
    }

    #[inline]
    fn push_frame(&mut self, header: Header, payload: &[u8]) {
        let mut encoded = [0; HEADER_BYTES_MAX];
        let length = header.encode(&mut encoded);
        let tail = self.output.tail();
        tail.reserve(length + payload.len());
        tail.extend_from_slice(&encoded[..length]);
        tail.extend_from_slice(payload);
        if let Some(key) = header.mask {
            let start = tail.len() - payload.len();
            mask::apply(key, &mut tail[start..]);
        }
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::TooLarge {
                limit: CONTROL_BYTES_MAX as u64,
            });
        }
        self.fits_output(payload.len())?;
        let key = self.mask_key(scratch);
        self.output
            .push_control(&control_frame(opcode, payload, key));
        Ok(())
    }

    /// Answers a ping.
    pub(super) fn answer_ping(&mut self, scratch: &mut Scratch) {
        if self.state == State::Open {
            let key = self.mask_key(scratch);
            self.output.push_pong(&control_frame(
                Opcode::Pong,
                &scratch.control[..scratch.control_len],
                key,
            ));
        }
    }

    /// Whether a pong answers the core's own ping.
    pub(super) fn take_keep_alive(&mut self, payload: &[u8]) -> bool {
        let answers =
            self.keep_alive.awaited && payload == keep_alive_payload(self.keep_alive.number);
        if answers {
            self.keep_alive.awaited = false;
        }
        answers
    }

    fn send_keep_alive(&mut self, now: Instant) {
        // What waits for a transport that does not move needs no ping behind it: the idle timeout runs anyway.
        let Some(key) = self.spare_mask_key().filter(|_| self.output.is_empty()) else {
            self.keep_alive.sent = Some(now);
            return;
        };
        let number = self.keep_alive.number.wrapping_add(1);
        self.keep_alive = KeepAlive {
            number,
            awaited: true,
            sent: Some(now),
        };
        self.output.push_control(&control_frame(
            Opcode::Ping,
            &keep_alive_payload(number),
            key,
        ));
    }

    /// Answers the peer's close frame and finishes.
    pub(super) fn receive_close(&mut self, now: Instant, close: CloseFrame, scratch: &mut Scratch) {
        let local = self.ending.as_mut().and_then(|ending| ending.local.take());
        let by = if local.is_some() {
            Party::Local
        } else {
            Party::Peer
        };
        let decisive = match &local {
            Some(local) => local,
            None => {
                // RFC 6455, 5.5.1: "the endpoint typically echos the status code it received".
                let answer = close
                    .code()
                    .map_or_else(CloseFrame::empty, |code| CloseFrame::with_code(code, ""));
                let key = self.mask_key(scratch);
                self.queue_close(&answer, key);
                &close
            }
        };
        let end = End {
            code: decisive.reported_code(),
            reason: decisive.reason().to_owned(),
            by,
            clean: true,
            cause: Cause::CloseFrame,
        };
        self.ending().peer = close;
        self.finish(now, end);
    }

    pub(super) fn inflates_with_takeover(&self) -> bool {
        let peer = match self.role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        self.config
            .deflate
            .is_some_and(|agreed| agreed.context_takeover(peer))
    }

    pub(super) fn peer_close(&self) -> Option<&CloseFrame> {
        self.ending.as_ref().map(|ending| &ending.peer)
    }

    /// Fails the connection because the peer broke a rule.
    #[cold]
    pub(super) fn fail_protocol(
        &mut self,
        now: Instant,
        error: ProtocolError,
        scratch: &mut Scratch,
    ) {
        let close = CloseFrame::with_code(error.close_code(), &error.to_string());
        let key = Some(self.mask_key(scratch));
        self.fail(now, &close, Cause::Protocol(error), key);
    }

    /// Tells the peer, unless a close frame was sent already, and finishes. Without a key there is no way to tell.
    fn fail(
        &mut self,
        now: Instant,
        close: &CloseFrame,
        cause: Cause,
        key: Option<Option<[u8; 4]>>,
    ) {
        if let Some(key) = key.filter(|_| self.state == State::Open) {
            self.queue_close(close, key);
        }
        let end = End {
            code: close.reported_code(),
            reason: close.reason().to_owned(),
            by: Party::Local,
            clean: false,
            cause,
        };
        self.finish(now, end);
    }

    fn time_out(&mut self, now: Instant, timer: Timer, reason: &str) {
        self.output.clear();
        let end = End {
            code: ABNORMAL_CLOSURE,
            reason: reason.to_owned(),
            by: Party::Local,
            clean: false,
            cause: Cause::TimedOut(timer),
        };
        self.finish(now, end);
        let ending = self.ending();
        ending.deadline = None;
        ending.transport_done = true;
    }

    fn finish(&mut self, now: Instant, end: End) {
        self.state = State::Finished;
        self.partial = None;
        self.sending = None;
        self.contexts = None;
        self.output.drop_late_pong();
        let deadline = now.checked_add(self.config.timeouts.close_timeout);
        let ending = self.ending();
        ending.end = Some(end);
        ending.deadline = deadline;
    }

    fn queue_close(&mut self, close: &CloseFrame, key: Option<[u8; 4]>) {
        let mut payload = [0; CONTROL_BYTES_MAX];
        let length = close.encode(&mut payload);
        self.output.drop_late_pong();
        self.output
            .push_control(&control_frame(Opcode::Close, &payload[..length], key));
    }

    fn ending(&mut self) -> &mut Ending {
        self.ending.get_or_insert_default()
    }

    fn close_deadline(&self) -> Option<Instant> {
        self.ending.as_ref().and_then(|ending| ending.deadline)
    }

    fn idle_deadline(&self) -> Option<Instant> {
        let timeout = self.config.timeouts.idle_timeout.filter(|_| self.reading)?;
        self.last_input.checked_add(timeout)
    }

    fn ping_deadline(&self) -> Option<Instant> {
        let interval = self
            .config
            .timeouts
            .ping_interval
            .filter(|_| self.reading)?;
        let last = self
            .keep_alive
            .sent
            .map_or(self.last_input, |sent| sent.max(self.last_input));
        last.checked_add(interval)
    }

    fn message_deadline(&self) -> Option<Instant> {
        let timeout = self
            .config
            .timeouts
            .message_timeout
            .filter(|_| self.reading)?;
        self.partial.as_ref()?.started?.checked_add(timeout)
    }

    /// Counts a control frame of the peer.
    pub(super) fn count_control_frame(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let limit = self.config.limits.control_frames_per_second_max;
        let bucket = &mut self.control_frames;
        if bucket.tokens == 0 {
            let elapsed = now.saturating_duration_since(bucket.filled);
            let refill = elapsed.as_nanos() * u128::from(limit) / NANOS_PER_SECOND;
            bucket.tokens = refill.min(u128::from(limit)) as u32;
            if bucket.tokens == 0 {
                return Err(ProtocolError::TooManyControlFrames { limit });
            }
            bucket.filled = now;
        }
        bucket.tokens -= 1;
        Ok(())
    }

    #[inline]
    fn masks(&self) -> bool {
        self.role == Role::Client && !self.config.danger_unmasked
    }

    #[inline]
    fn mask_key(&self, scratch: &mut Scratch) -> Option<[u8; 4]> {
        self.masks().then(|| scratch.mask_key())
    }

    /// Sets keys aside for [`spare_mask_key`](Self::spare_mask_key).
    #[inline]
    fn seed_masks(&mut self, scratch: &mut Scratch) {
        if self.masks() && self.mask_seed.is_none() {
            let [a, b, c, d] = scratch.mask_key();
            let [e, f, g, h] = scratch.mask_key();
            self.mask_seed = Some(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
        }
    }

    /// A masking key, or none where none is needed, for the frames of [`handle_timeout`](Self::handle_timeout): their payloads are the
    /// core's own, so that nobody can choose what goes over the wire. There is none until a [`Scratch`] was seen.
    fn spare_mask_key(&mut self) -> Option<Option<[u8; 4]>> {
        if !self.masks() {
            return Some(None);
        }
        let seed = self.mask_seed?;
        // One step of splitmix64.
        let next = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.mask_seed = Some(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [a, b, c, d, ..] = (mixed ^ (mixed >> 31)).to_ne_bytes();
        Some(Some([a, b, c, d]))
    }
}

fn control_frame(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> ControlFrame {
    let header = Header {
        fin: true,
        rsv1: false,
        opcode,
        mask,
        length: payload.len() as u64,
    };
    let mut encoded = [0; HEADER_BYTES_MAX];
    let start = header.encode(&mut encoded);
    let mut frame = ControlFrame {
        bytes: [0; HEADER_BYTES_MAX + CONTROL_BYTES_MAX],
        len: start + payload.len(),
    };
    frame.bytes[..start].copy_from_slice(&encoded[..start]);
    let body = &mut frame.bytes[start..start + payload.len()];
    body.copy_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(key, body);
    }
    frame
}

fn keep_alive_payload(number: u32) -> [u8; 8] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'w', b's', b'r', b'n', a, b, c, d]
}

/// Payloads from this size on are shared by the queues instead of copied.
const SHARED_BYTES_MIN: usize = 4 << 10;
const NANOS_PER_SECOND: u128 = 1_000_000_000;
