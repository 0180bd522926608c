//! One connection: its state, its timers and its end. Receiving is in [`input`](super::input),
//! sending in [`send`](super::send).
//!
//! ```text
//!          start_close             peer's close frame, close_timeout
//!   Open ---------------> Closing ----------------------------------+
//!    |                                                              v
//!    +----------------------------------------------------------> Finished
//!      peer's close frame, broken rule, timeout, end of transport, abort
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Role;
use super::close::CloseFrame;
use super::close_code::{ABNORMAL_CLOSURE, CloseCode};
use super::config::Config;
use super::deflate::Contexts;
use super::end::{Cause, End, Party, Timer};
use super::error::ProtocolError;
use super::frame::{CONTROL_BYTES_MAX, Opcode};
use super::output::{ControlFrame, Output};
use super::partial::Partial;
use super::scratch::Scratch;
use super::sending::Unfinished;

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Messages go both ways.
    Open,
    /// This side has queued its close frame and waits for the peer's. Messages of the peer are
    /// still delivered.
    Closing,
    /// Further input is ignored. The driver writes the output and, once [`Connection::is_drained`],
    /// shuts the transport down.
    Finished,
}

/// One WebSocket connection, without its transport. The [crate's documentation](crate) shows how to
/// drive it.
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Arc<Config>,
    pub(super) role: Role,
    pub(super) state: State,
    /// False while the driver does not read. The timers that wait for the peer are stopped then.
    reading: bool,
    keep_alive: KeepAlive,
    /// The largest frame that is also a whole message.
    pub(super) whole_bytes_max: u64,
    /// The message or frame that has arrived in part. Boxed and pooled, because most connections
    /// have none most of the time.
    pub(super) partial: Option<Box<Partial>>,
    /// The close frame or error that is held until the messages before it can be answered. Boxed,
    /// because it is rare.
    pub(super) held: Option<Box<Held>>,
    pub(super) output: Output,
    pub(super) last_input: Instant,
    /// The time up to which the control frames so far use up their rate: each takes its part of a
    /// second. At most one second ahead.
    control_frames_until: Instant,
    /// The state of the generator of masking keys for frames that are sent without a [`Scratch`].
    mask_seed: Option<u64>,
    /// The message that is being sent in chunks.
    pub(super) sending: Option<Box<Unfinished>>,
    pub(super) contexts: Option<Box<Contexts>>,
    ending: Option<Box<Ending>>,
}

/// The state of the core's own pings.
#[derive(Debug, Clone, Copy)]
struct KeepAlive {
    /// The number in the payload of the newest ping.
    number: u32,
    awaited: bool,
    /// The time of the newest ping.
    sent: Option<Instant>,
}

/// The end of a connection that arrived behind messages in the same input.
#[derive(Debug)]
pub(super) enum Held {
    Close(CloseFrame),
    Error(ProtocolError),
}

/// The end of a connection, and the state of the closing handshake.
#[derive(Debug, Default)]
struct Ending {
    local: Option<CloseFrame>,
    peer: CloseFrame,
    end: Option<End>,
    deadline: Option<Instant>,
    /// True once the driver need not wait for the transport any more.
    transport_done: bool,
    /// True once nothing more can be sent.
    unanswerable: bool,
}

impl Connection {
    /// Makes a connection whose opening handshake is complete. Many connections may share one
    /// configuration.
    pub fn new(now: Instant, role: Role, config: impl Into<Arc<Config>>) -> Self {
        let config = config.into();
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
            held: None,
            output: Output::default(),
            last_input: now,
            control_frames_until: now,
            mask_seed: None,
            sending: None,
            contexts: None,
            ending: None,
            config,
        }
    }

    /// Handles the end, or the failure, of the transport's read side.
    pub fn handle_eof(&mut self, now: Instant) {
        if self.state == State::Finished {
            self.ending().transport_done = true;
            return;
        }
        if let Some(held) = self.held.take() {
            self.end_held(now, *held);
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

    /// Ends the connection for what was held, when the transport cannot carry an answer any more.
    fn end_held(&mut self, now: Instant, held: Held) {
        match held {
            Held::Error(error) => {
                let close = CloseFrame::with_code(error.close_code(), &error.to_string());
                self.fail(now, &close, Cause::Protocol(error), None);
            }
            Held::Close(close) => {
                let end = End {
                    code: close.reported_code(),
                    reason: close.reason().to_owned(),
                    by: Party::Peer,
                    clean: false,
                    cause: Cause::CloseFrame,
                };
                self.ending().peer = close;
                self.finish(now, end);
            }
        }
        self.ending().transport_done = true;
    }

    /// Returns true if the last input had messages and then a close frame or a broken rule, which
    /// is held. The driver answers those messages, then calls [`handle_input`](Self::handle_input)
    /// again, with no bytes if there are no more.
    pub fn is_end_held(&self) -> bool {
        self.held.is_some()
    }

    /// Handles the timers that are due. The driver calls it at the time of
    /// [`poll_timeout`](Self::poll_timeout). Earlier calls have no effect.
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
            let key = self.seeded_mask_key();
            self.fail(now, &close, Cause::TimedOut(Timer::Message), key);
        } else if self.ping_deadline().is_some_and(|deadline| deadline <= now) {
            self.send_keep_alive(now);
        }
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) is due. It may change
    /// with every call.
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

    /// Stops the timers that wait for the peer. A driver calls it when it stops reading because its
    /// own side is behind.
    pub fn pause_input(&mut self, now: Instant) {
        if self.reading {
            self.reading = false;
            if let Some(partial) = &mut self.partial {
                partial.paused = Some(now);
            }
        }
    }

    /// Restarts the timers that [`pause_input`](Self::pause_input) stopped. Silence is counted from
    /// now, and an unfinished message keeps the time that it had left.
    pub fn resume_input(&mut self, now: Instant) {
        if !self.reading {
            self.reading = true;
            self.last_input = now;
            if let Some(partial) = &mut self.partial
                && let Some(paused) = partial.paused.take()
                && let Some(started) = &mut partial.started
            {
                *started += now.saturating_duration_since(paused);
            }
        }
    }

    /// Restarts the timers after a time in which nothing was done for this connection, because the
    /// process was suspended or overloaded. The peer may have answered in that time, so it gets the
    /// whole time again, and a ping if pings are on.
    pub fn handle_standstill(&mut self, now: Instant) {
        self.last_input = now;
        if let Some(partial) = &mut self.partial {
            partial.started = Some(now);
            partial.paused = partial.paused.map(|_| now);
        }
        self.handle_progress(now);
        if self.state == State::Open && self.config.timeouts.ping_interval.is_some() {
            self.send_keep_alive(now);
        }
    }

    /// Handles the failure of the transport's write side, while there may still be something to
    /// read. The queued output is dropped, and all further output too.
    pub fn handle_write_failed(&mut self) {
        let has_sent_close = self.state == State::Closing && self.output.is_empty();
        self.output.clear();
        self.ending().unanswerable |= !has_sent_close;
    }

    /// Starts the closing handshake: queues a close frame, after the queued output. Does nothing if
    /// the connection is closing already.
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

    /// Handles progress of the transport, which took some of the output. A peer that reads, however
    /// slowly, gets all output before the close frame, and its time to answer begins after that.
    pub fn handle_progress(&mut self, now: Instant) {
        let timeout = self.config.timeouts.close_timeout;
        if let Some(ending) = &mut self.ending
            && ending.deadline.is_some()
        {
            ending.deadline = now.checked_add(timeout);
        }
    }

    /// Ends the connection at once, without a closing handshake. The output is dropped.
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

    /// Returns the state of the connection.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the end of the connection, once the state is [`State::Finished`].
    pub fn end(&self) -> Option<&End> {
        self.ending.as_ref().and_then(|ending| ending.end.as_ref())
    }

    /// Returns true once the driver may shut the transport down: the connection is finished, the
    /// output written and, in the client role, the server has ended the transport or the time for
    /// that is over.
    ///
    /// RFC 6455, 7.1.1: "the underlying TCP connection, in most normal cases, SHOULD be closed
    /// first by the server".
    pub fn is_drained(&self) -> bool {
        let Some(ending) = &self.ending else {
            return false;
        };
        self.state == State::Finished
            && self.output.is_empty()
            && (self.role == Role::Server || ending.transport_done)
    }

    /// Returns the output that waits for the transport.
    #[inline]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Returns the output that waits for the transport, to lend it a buffer and to consume written
    /// bytes.
    #[inline]
    pub fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Answers a ping.
    pub(super) fn answer_ping(&mut self, scratch: &mut Scratch) {
        if self.state == State::Open {
            let key = self.mask_key(scratch);
            self.output.push_pong(&ControlFrame::new(
                Opcode::Pong,
                &scratch.control[..scratch.control_len],
                key,
            ));
        }
    }

    /// Returns true if a pong answers the core's own ping, and stops waiting for it.
    pub(super) fn accept_keep_alive(&mut self, payload: &[u8]) -> bool {
        let answers =
            self.keep_alive.awaited && payload == keep_alive_payload(self.keep_alive.number);
        if answers {
            self.keep_alive.awaited = false;
        }
        answers
    }

    fn send_keep_alive(&mut self, now: Instant) {
        // A ping behind output that the transport does not take would not arrive. The idle timeout
        // runs anyway.
        let Some(key) = self.seeded_mask_key().filter(|_| self.output.is_empty()) else {
            self.keep_alive.sent = Some(now);
            return;
        };
        let number = self.keep_alive.number.wrapping_add(1);
        self.keep_alive = KeepAlive {
            number,
            awaited: true,
            sent: Some(now),
        };
        self.output.push_control(&ControlFrame::new(
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
        let reported = match &local {
            Some(local) => local,
            None => {
                // RFC 6455, 5.5.1: "the endpoint typically echos the status code it received". The
                // reason is echoed too, as the peer may read it.
                let key = self.mask_key(scratch);
                self.queue_close(&close, key);
                &close
            }
        };
        let end = End {
            code: reported.reported_code(),
            reason: reported.reason().to_owned(),
            by,
            clean: !self.is_unanswerable(),
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

    /// Queues a close frame, unless one was sent already or there is no masking key, and finishes.
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
        self.held = None;
        self.sending = None;
        self.contexts = None;
        self.output.drop_deferred_pong();
        let deadline = now.checked_add(self.config.timeouts.close_timeout);
        let ending = self.ending();
        ending.end = Some(end);
        ending.deadline = deadline;
    }

    fn queue_close(&mut self, close: &CloseFrame, key: Option<[u8; 4]>) {
        let mut payload = [0; CONTROL_BYTES_MAX];
        let length = close.encode(&mut payload);
        self.output.drop_deferred_pong();
        self.output
            .push_control(&ControlFrame::new(Opcode::Close, &payload[..length], key));
    }

    fn is_unanswerable(&self) -> bool {
        self.ending
            .as_ref()
            .is_some_and(|ending| ending.unanswerable)
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

    /// Counts a control frame of the peer, and fails if there are too many.
    ///
    /// Unused rate is not saved: after any time of quiet as many may come at once as in a second.
    pub(super) fn count_control_frame(&mut self, now: Instant) -> Result<(), ProtocolError> {
        let limit = self.config.limits.control_frames_per_second_max;
        let too_many = ProtocolError::TooManyControlFrames { limit };
        let interval = SECOND.checked_div(limit).ok_or(too_many)?;
        let until = self.control_frames_until.max(now) + interval;
        if until > now + SECOND {
            return Err(too_many);
        }
        self.control_frames_until = until;
        Ok(())
    }

    #[inline]
    pub(super) fn masks(&self) -> bool {
        self.role == Role::Client && !self.config.danger_unmasked
    }

    #[inline]
    pub(super) fn mask_key(&self, scratch: &mut Scratch) -> Option<[u8; 4]> {
        self.masks().then(|| scratch.mask_key())
    }

    /// Seeds the keys of [`seeded_mask_key`](Self::seeded_mask_key), once.
    #[inline]
    pub(super) fn seed_masks(&mut self, scratch: &mut Scratch) {
        if self.masks() && self.mask_seed.is_none() {
            let [a, b, c, d] = scratch.mask_key();
            let [e, f, g, h] = scratch.mask_key();
            self.mask_seed = Some(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
        }
    }

    /// Returns a masking key, or `Some(None)` in the server role, for the frames of
    /// [`handle_timeout`](Self::handle_timeout). The peer cannot choose the payloads of those
    /// frames, so that the keys need not be strong. Returns `None` before the first [`Scratch`].
    fn seeded_mask_key(&mut self) -> Option<Option<[u8; 4]>> {
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

fn keep_alive_payload(number: u32) -> [u8; 8] {
    let [a, b, c, d] = number.to_be_bytes();
    [b'w', b's', b'r', b'n', a, b, c, d]
}

const SECOND: Duration = Duration::from_secs(1);
