//! What the host keeps for one connection: its protocol state, its transport, and what the handler stored with it.

mod fan;
pub mod stored_request;
mod write;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use wsrun_proto::ws::{self, Cause, CloseFrame, MessageKind, Party, SendError, Sending, State};

use self::stored_request::Kept;
use crate::admission::Held;
use crate::backlog::{Backlog, Published, Waiting};
use crate::usage::Usage;
use crate::worker::{Flush, Worker};
pub use fan::Fanned;
use wsrun_contract::Request;
use wsrun_contract::packed;
pub use wsrun_contract::{CloseInfo, ClosedBy, ConnectionId, Setting};
use wsrun_contract::{Failure, ResponseHead, SlowPolicy};
use wsrun_metrics::HandlerTally;
use wsrun_os::clock;
use wsrun_os::transport::{Transport, Unconnected};

/// Output of a connection whose policy may drop messages: above it, they wait where they can still be dropped.
const DROPPABLE_OUTPUT_BYTES: usize = 64 * 1024;

/// One connection of a handler.
///
/// Its task reads (`driver`); everybody on the worker may queue and write, through the borrow of a moment.
pub struct Session {
    pub id: ConnectionId,
    request: RefCell<Kept>,
    protocol: RefCell<Option<String>>,
    /// The opening handshake is done. In the client role a session is there before.
    established: Cell<bool>,
    /// In the client role: how the last opening handshake went.
    opening: RefCell<Option<Box<Opening>>>,
    /// An end that can be mended is not told as `closed`.
    pub reconnects: Cell<bool>,
    /// The end that is to be mended, and when it was: its transport may be there for longer.
    lost: RefCell<Option<Box<(CloseInfo, Instant)>>>,
    /// Who asked for the connection, and waits for its end.
    ended: RefCell<Option<oneshot::Sender<CloseInfo>>>,
    worker: Rc<Worker>,
    data: RefCell<Box<[u8]>>,
    /// The sums of its handler, from when it is registered there, and what it has added to them.
    usage: OnceCell<Rc<Usage>>,
    counted: Cell<usize>,
    in_low_queue: Cell<Option<u64>>,
    in_low_events: Cell<Option<u64>>,
    pub connection: RefCell<ws::Connection>,
    pub transport: RefCell<Box<dyn Transport>>,
    /// The connection's task, to be woken when something changed that it did not do itself.
    waker: RefCell<Option<Waker>>,
    /// Bytes of the queue that callbacks which run count on: see [`Reservations`](crate::reservations::Reservations).
    reserved: Cell<usize>,
    /// What waits in front of the output.
    backlog: RefCell<Backlog>,
    /// A message cannot go to the output: others wait before it, or a message in parts is unfinished. Looked at for each message.
    must_wait: Cell<bool>,
    policy: Cell<Option<SlowPolicy>>,
    /// Published messages that the policy has left out.
    dropped: Cell<u64>,
    /// Bytes of events that wait for the handler: the task stops reading above a limit.
    pub queued_event_bytes: Cell<usize>,
    pub waiting_for_handler: Cell<bool>,
    /// The handler was told of it by `opened`, whichever instance that was.
    pub told: Cell<bool>,
    /// Its end is among the events for the handler, or was told.
    pub end_queued: Cell<bool>,
    /// A callback for this connection failed: no more events but `closed`.
    pub failed: Cell<bool>,
    pub receive_flow: Cell<bool>,
    pub want_writable: Cell<bool>,
    /// In the worker's list of sessions to write.
    dirty: Cell<bool>,
    /// Who closed it, where that was this side.
    local_end: Cell<Option<ClosedBy>>,
    /// The close frame of this side, where it was the first.
    local_close: RefCell<Option<Box<CloseFrame>>>,
    /// Since when the socket has taken nothing although something is queued.
    pub stalled_since: Cell<Option<Instant>>,
    /// The stream took bytes that it may not have passed on yet: TLS has a buffer of its own.
    unflushed: Cell<bool>,
    /// Held until the handler has been told of the end: what waits for it is bounded by `--max-connections`.
    _slot: Held,
    /// The transport failed on a write outside the task.
    pub broken: Cell<bool>,
}

/// How an opening handshake of the client role went.
#[derive(Debug, Default)]
pub struct Opening {
    pub failure: Option<Failure>,
    pub response: Option<ResponseHead>,
}

impl Session {
    #[expect(
        clippy::too_many_arguments,
        reason = "made in one place, from what the handshake gave"
    )]
    pub fn new(
        id: ConnectionId,
        request: &Request,
        protocol: Option<String>,
        worker: Rc<Worker>,
        data: Vec<u8>,
        connection: ws::Connection,
        transport: Box<dyn Transport>,
        slot: Held,
    ) -> Self {
        Self {
            id,
            request: RefCell::new(Kept::from(request)),
            protocol: RefCell::new(protocol),
            established: Cell::new(true),
            opening: RefCell::new(None),
            reconnects: Cell::new(false),
            lost: RefCell::new(None),
            ended: RefCell::new(None),
            worker,
            data: RefCell::new(data.into_boxed_slice()),
            usage: OnceCell::new(),
            counted: Cell::new(0),
            in_low_queue: Cell::new(None),
            in_low_events: Cell::new(None),
            connection: RefCell::new(connection),
            transport: RefCell::new(transport),
            waker: RefCell::new(None),
            reserved: Cell::new(0),
            backlog: RefCell::default(),
            must_wait: Cell::new(false),
            policy: Cell::new(None),
            dropped: Cell::new(0),
            queued_event_bytes: Cell::new(0),
            waiting_for_handler: Cell::new(false),
            told: Cell::new(false),
            end_queued: Cell::new(false),
            failed: Cell::new(false),
            receive_flow: Cell::new(true),
            want_writable: Cell::new(false),
            dirty: Cell::new(false),
            local_end: Cell::new(None),
            local_close: RefCell::new(None),
            stalled_since: Cell::new(None),
            unflushed: Cell::new(false),
            _slot: slot,
            broken: Cell::new(false),
        }
    }

    /// Counts it in the sums of its handler from here on.
    #[inline]
    pub fn join(&self, usage: &Rc<Usage>) {
        if self.usage.set(Rc::clone(usage)).is_ok() {
            usage.change_session(0, self.data.borrow().len());
            usage.change_events(0, self.queued_event_bytes.get());
            self.count();
        }
    }

    /// Brings the handler's sum of what is queued up to date.
    fn count(&self) {
        let queued = self.held();
        let before = self.counted.replace(queued);
        if before != queued
            && let Some(usage) = self.usage.get()
        {
            usage.change_queued(before, queued);
        }
    }

    /// What is counted of its handler.
    #[inline]
    fn tally(&self, count: impl FnOnce(&HandlerTally)) {
        if let Some(usage) = self.usage.get() {
            count(usage.tally());
        }
    }

    #[inline]
    fn count_sent(&self) {
        self.tally(|tally| tally.messages_out.add(1));
    }

    /// The worker that it is on.
    #[inline]
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Sets how many bytes of its events wait for the handler.
    #[inline]
    pub fn set_event_bytes(&self, bytes: usize) {
        let before = self.queued_event_bytes.replace(bytes);
        if let Some(usage) = self.usage.get() {
            usage.change_events(before, bytes);
        }
    }

    /// So many of them do not wait any more.
    pub fn settle_event_bytes(&self, bytes: usize) {
        let left = self.queued_event_bytes.get() - bytes;
        self.set_event_bytes(left);
        // The task may have stopped reading, or held the end of the connection back, until all of it was answered.
        if left == 0 {
            self.wake_if_waiting();
        }
    }

    /// Whether the connections of the handler together have room for `length` bytes more, of which this one holds `queued`. An empty queue
    /// always takes one message: who reads must not pay for those who do not.
    fn handler_takes(&self, length: usize, queued: usize) -> bool {
        queued == 0 || self.usage.get().is_none_or(|usage| usage.takes(length))
    }

    /// Whether the connections of the handler together hold little enough for it to be told of room. If not, the task is woken then.
    fn handler_queue_is_low(&self) -> bool {
        let Some(usage) = self.usage.get() else {
            return true;
        };
        if !usage.queue_is_low()
            && let Some(task) = &*self.waker.borrow()
        {
            usage.low_queue().add(task, &self.in_low_queue);
        }
        usage.queue_is_low()
    }

    /// Whether so many events wait for the handler that none of its connections is to be read. If so, the task is woken when they are fewer.
    pub fn must_wait_for_events(&self) -> bool {
        let Some(usage) = self.usage.get() else {
            return false;
        };
        if usage.events_are_full()
            && let Some(task) = &*self.waker.borrow()
        {
            usage.low_events().add(task, &self.in_low_events);
        }
        usage.events_are_full()
    }

    /// Marks a session of the client role whose transport is to be made.
    #[inline]
    pub fn begin_opening(&self) {
        self.established.set(false);
    }

    /// Lets go of a transport that has ended, and of what was queued for it, before another is made.
    pub fn release_transport(&self) {
        *self.opening.borrow_mut() = None;
        *self.transport.borrow_mut() = Box::new(Unconnected);
        *self.connection.borrow_mut() =
            ws::Connection::new(clock::now(), ws::Role::Client, ws::Config::default());
        self.backlog.borrow_mut().clear();
        self.must_wait.set(false);
        self.count();
    }

    /// Tells how the opening handshake went that did not succeed.
    #[inline]
    pub fn opening_failed(&self, opening: Opening) {
        *self.opening.borrow_mut() = Some(Box::new(opening));
    }

    /// Puts a new transport under the session: what belonged to the one before is forgotten.
    pub fn establish(
        &self,
        request: &Request,
        protocol: Option<String>,
        connection: ws::Connection,
        transport: Box<dyn Transport>,
        response: ResponseHead,
    ) {
        *self.request.borrow_mut() = Kept::from(request);
        *self.protocol.borrow_mut() = protocol;
        *self.connection.borrow_mut() = connection;
        *self.transport.borrow_mut() = transport;
        *self.opening.borrow_mut() = Some(Box::new(Opening {
            failure: None,
            response: Some(response),
        }));
        self.local_end.set(None);
        *self.local_close.borrow_mut() = None;
        self.stalled_since.set(None);
        self.unflushed.set(false);
        self.broken.set(false);
        self.backlog.borrow_mut().clear();
        self.must_wait.set(false);
        self.established.set(true);
        self.count();
    }

    /// Remembers an end that is to be mended. From here on the session is one that is being opened: who closes it now ends that.
    #[inline]
    pub fn lose(&self, info: CloseInfo) {
        self.established.set(false);
        self.local_end.set(None);
        *self.local_close.borrow_mut() = None;
        *self.lost.borrow_mut() = Some(Box::new((info, clock::now())));
    }

    /// Tells the end to somebody beside the handler.
    #[inline]
    pub fn when_ended(&self, ended: oneshot::Sender<CloseInfo>) {
        *self.ended.borrow_mut() = Some(ended);
    }

    #[inline]
    pub fn tell_end(&self, info: CloseInfo) {
        if let Some(ended) = self.ended.borrow_mut().take() {
            let _ = ended.send(info);
        }
    }

    #[inline]
    pub fn take_lost(&self) -> Option<(CloseInfo, Instant)> {
        self.lost.borrow_mut().take().map(|lost| *lost)
    }

    #[inline]
    pub fn request(&self) -> Request {
        Request::from(&*self.request.borrow())
    }

    #[inline]
    pub fn protocol(&self) -> Option<String> {
        self.protocol.borrow().clone()
    }

    /// Whether this subprotocol was agreed on; always for none.
    #[inline]
    pub fn has_protocol(&self, protocol: Option<&str>) -> bool {
        protocol.is_none() || self.protocol.borrow().as_deref() == protocol
    }

    #[inline]
    pub fn failure(&self) -> Option<Failure> {
        self.opening.borrow().as_ref()?.failure.clone()
    }

    #[inline]
    pub fn response(&self) -> Option<ResponseHead> {
        self.opening.borrow().as_ref()?.response.clone()
    }

    /// Whether messages may be sent, whatever a running callback may have asked for.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.established.get() && self.connection.borrow().state() == State::Open
    }

    /// Whether it is open, or being opened.
    #[inline]
    pub fn can_be_closed(&self) -> bool {
        let opening = !self.established.get() && self.local_end.get().is_none();
        opening || self.is_open()
    }

    /// The largest message that can be sent.
    #[inline]
    pub fn message_bytes_max(&self) -> usize {
        let limit = self.worker.settings.limits.sent_message_bytes_max;
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// Whether the queue takes a message of `length` bytes, without counting it. `uncounted` bytes come before it that the connection does not
    /// know of.
    #[inline]
    pub fn check(&self, length: usize, uncounted: usize) -> Result<(), SendError> {
        self.check_behind(length, self.backlog.borrow().bytes() + uncounted)
    }

    /// Whether a part of a message can be sent next, and how far the message is then. `before` is how far it is, where that is not what was
    /// sent of it.
    pub fn check_chunk(
        &self,
        before: Option<Sending>,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        uncounted: usize,
    ) -> Result<Sending, SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let mut sending = before.unwrap_or_else(|| self.connection.borrow().sending());
        // What stands in the backlog waits for the end of the message: it must not keep the end away.
        let backlog = if sending.is_unfinished() {
            0
        } else {
            self.backlog.borrow().bytes()
        };
        sending.advance(
            kind,
            data,
            fin,
            self.worker.settings.limits.sent_stream_bytes_max,
        )?;
        self.check_behind(data.len(), backlog + uncounted)?;
        Ok(sending)
    }

    fn check_behind(&self, length: usize, backlog: usize) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let connection = self.connection.borrow();
        connection.fits_queue(length)?;
        let waiting = self.reserved.get() + backlog;
        let queued = connection.output().len() + waiting;
        if waiting > 0 && queued + length > self.worker.settings.limits.queued_bytes_max {
            return Err(SendError::QueueFull { queued });
        }
        if !self.handler_takes(length, queued) {
            return Err(SendError::QueueFull { queued });
        }
        Ok(())
    }

    /// Whether a published message of `length` bytes would find room.
    #[inline]
    pub fn has_room(&self, length: usize) -> bool {
        let queued = self.buffered();
        self.handler_takes(length, queued) && self.fits(length, queued)
    }

    /// The same as far as this connection alone is concerned.
    fn fits(&self, length: usize, queued: usize) -> bool {
        queued == 0 || queued + length <= self.worker.settings.limits.queued_bytes_max
    }

    /// A callback counts on room for so many bytes.
    #[inline]
    pub fn reserve(&self, bytes: usize) {
        self.reserved.set(self.reserved.get() + bytes);
        if let Some(usage) = self.usage.get() {
            usage.reserve(bytes);
        }
    }

    /// It does not any more: it sends what it was for, or has failed.
    #[inline]
    pub fn release(&self, bytes: usize) {
        self.reserved.set(self.reserved.get() - bytes);
        if let Some(usage) = self.usage.get() {
            usage.release(bytes);
        }
        self.wake_if_waiting();
        if self.want_writable.get() {
            self.wake();
        }
    }

    /// Bytes that callbacks which run count on.
    #[inline]
    pub fn reserved(&self) -> usize {
        self.reserved.get()
    }

    /// Bytes that wait for the peer.
    #[inline]
    pub fn held(&self) -> usize {
        self.connection.borrow().output().len() + self.backlog.borrow().bytes()
    }

    /// Drops what may be dropped of what waits. True if there was any.
    pub fn lose_droppable(&self) -> bool {
        let dropped = self.backlog.borrow_mut().make_room(usize::MAX, 0);
        if dropped == 0 {
            return false;
        }
        self.count_dropped(dropped);
        self.count();
        true
    }

    /// Messages to it were left out.
    fn count_dropped(&self, messages: u64) {
        self.dropped.set(self.dropped.get() + messages);
        self.tally(|tally| tally.dropped.add(messages));
    }

    /// Ends it without more words, and lets go of what waits for the peer: others need the room.
    pub fn give_way(&self) {
        if self.local_end.get().is_none() {
            self.local_end.set(Some(ClosedBy::Host));
        }
        self.backlog.borrow_mut().clear();
        let reason = format!(
            "slow consumer: more waits for all connections than may ({})",
            Setting("traffic.queued_bytes_max")
        );
        self.connection.borrow_mut().abort(clock::now(), &reason);
        self.count();
        self.wake();
    }

    /// Whether the queue has drained. What waits behind an unfinished message in parts waits for the handler, not for the peer.
    pub fn is_drained(&self) -> bool {
        let connection = self.connection.borrow();
        let backlog = if connection.is_sending() {
            0
        } else {
            self.backlog.borrow().bytes()
        };
        let queued = connection.output().len() + self.reserved.get() + backlog;
        // An empty queue takes a message whatever others hold.
        queued == 0
            || (queued < self.worker.settings.limits.queued_bytes_max / 4
                && self.handler_queue_is_low())
    }

    #[inline]
    pub fn buffered(&self) -> usize {
        self.held() + self.reserved.get()
    }

    /// How many bytes the queue takes for sure, each message with [`packed::ROOM_OVERHEAD`] more than its payload.
    pub fn sure_room(&self) -> usize {
        if !self.is_open() || self.must_wait.get() {
            return 0;
        }
        let Some(usage) = self.usage.get() else {
            return 0;
        };
        let limits = &self.worker.settings.limits;
        let message_max = usize::try_from(limits.sent_message_bytes_max).unwrap_or(usize::MAX);
        limits
            .queued_bytes_max
            .saturating_sub(self.buffered())
            .min(usage.sure_room())
            .min(message_max)
            .min(packed::ROOM_MAX)
    }

    #[inline]
    pub fn policy(&self) -> Option<SlowPolicy> {
        self.policy.get()
    }

    #[inline]
    pub fn set_policy(&self, policy: Option<SlowPolicy>) {
        self.policy.set(policy);
    }

    #[inline]
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    /// The socket, for those who want to look at it.
    #[inline]
    pub fn raw_fd(&self) -> Option<std::os::fd::RawFd> {
        self.transport.borrow().raw_fd()
    }

    #[inline]
    pub fn data(&self) -> Vec<u8> {
        self.data.borrow().to_vec()
    }

    #[inline]
    pub fn set_data(&self, data: Vec<u8>) {
        if let Some(usage) = self.usage.get() {
            usage.change_session(self.data.borrow().len(), data.len());
        }
        *self.data.borrow_mut() = data.into_boxed_slice();
    }

    /// Sends a message that no callback asked for, if its queue takes it. What callbacks count on comes behind it, and what other connections
    /// hold is for [`Registry::relieve`](crate::registry::Registry::relieve) to judge.
    pub fn reply(self: &Rc<Self>, kind: MessageKind, payload: &[u8]) -> Result<(), SendError> {
        self.connection.borrow().fits_queue(payload.len())?;
        let queued = self.held();
        if !self.fits(payload.len(), queued) {
            return Err(SendError::QueueFull { queued });
        }
        self.send_admitted(kind, payload)
    }

    /// Sends what [`Session::check`] would take.
    pub fn send_admitted(
        self: &Rc<Self>,
        kind: MessageKind,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let sent = match self.must_wait.get() {
            true => self.send_later(kind, Bytes::copy_from_slice(payload), None),
            false => self.queue(|connection, scratch| {
                connection.send_promised_message(kind, payload, scratch)
            }),
        };
        sent.inspect(|()| self.count_sent())
    }

    /// The same for several messages.
    pub fn send_all_admitted<'a>(
        self: &Rc<Self>,
        messages: impl Iterator<Item = (MessageKind, &'a [u8])>,
    ) {
        if self.must_wait.get() {
            for (kind, payload) in messages {
                // Only a connection that has closed since takes no more.
                let _ = self.send_admitted(kind, payload);
            }
            return;
        }
        let sent = self.queue(|connection, scratch| {
            let mut sent = 0;
            for (kind, payload) in messages {
                let taken = connection.send_promised_message(kind, payload, scratch);
                sent += u64::from(taken.is_ok());
            }
            sent
        });
        self.tally(|tally| tally.messages_out.add(sent));
    }

    /// The same as [`send_admitted`](Self::send_admitted), without a copy where there need be none.
    pub fn send_shared_admitted(
        self: &Rc<Self>,
        kind: MessageKind,
        payload: Bytes,
    ) -> Result<(), SendError> {
        let sent = match self.must_wait.get() {
            true => self.send_later(kind, payload, None),
            false => self.queue(|connection, scratch| {
                connection.send_promised_shared(kind, payload, scratch)
            }),
        };
        sent.inspect(|()| self.count_sent())
    }

    /// Sends what [`Session::check_chunk`] would take.
    pub fn send_chunk_admitted(
        self: &Rc<Self>,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
    ) -> Result<(), SendError> {
        let sent = self.queue(|connection, scratch| {
            if !connection.is_sending() {
                // Its parts cannot stand in the backlog: what waits there goes first.
                self.empty_backlog(connection, scratch);
            }
            connection.send_promised_chunk(kind, data, fin, scratch)?;
            self.refill(connection, scratch);
            self.note_waiting(connection);
            Ok(())
        });
        sent.inspect(|()| {
            if fin {
                self.count_sent();
            }
        })
    }

    /// Sends a ping that [`Session::check`] would take.
    #[inline]
    pub fn ping_admitted(self: &Rc<Self>, payload: &[u8]) -> Result<(), SendError> {
        self.queue(|connection, scratch| connection.send_promised_ping(payload, scratch))
    }

    /// The same for a pong.
    #[inline]
    pub fn pong_admitted(self: &Rc<Self>, payload: &[u8]) -> Result<(), SendError> {
        self.queue(|connection, scratch| connection.send_promised_pong(payload, scratch))
    }

    fn note_waiting(&self, connection: &ws::Connection) {
        let waits = connection.is_sending() || !self.backlog.borrow().is_empty();
        self.must_wait.set(waits);
    }

    fn send_later(
        self: &Rc<Self>,
        kind: MessageKind,
        payload: Bytes,
        published: Option<Published>,
    ) -> Result<(), SendError> {
        if self.connection.borrow().state() != State::Open {
            return Err(SendError::Closed);
        }
        self.backlog.borrow_mut().push(Waiting {
            kind,
            payload,
            published,
        });
        self.must_wait.set(true);
        self.count();
        self.mark_dirty();
        Ok(())
    }

    /// Moves messages from the backlog to the output while that is short.
    fn refill(&self, connection: &mut ws::Connection, scratch: &mut ws::Scratch) {
        while connection.output().len() < DROPPABLE_OUTPUT_BYTES && !connection.is_sending() {
            let Some(message) = self.backlog.borrow_mut().pop() else {
                return;
            };
            let _ = connection.send_promised_message(message.kind, &message.payload, scratch);
        }
    }

    /// Moves everything from the backlog to the output. What an unfinished message in chunks stands before can never be sent.
    fn empty_backlog(&self, connection: &mut ws::Connection, scratch: &mut ws::Scratch) {
        while !connection.is_sending() {
            let Some(message) = self.backlog.borrow_mut().pop() else {
                return;
            };
            let _ = connection.send_promised_message(message.kind, &message.payload, scratch);
        }
        let lost = self.backlog.borrow_mut().clear();
        if lost > 0 {
            self.count_dropped(lost);
            tracing::debug!(
                connection = self.id,
                lost,
                "closed within a message in parts: messages that waited for its end are dropped"
            );
        }
    }

    /// Starts the closing handshake. The first to close is who closed it.
    pub fn close(self: &Rc<Self>, by: ClosedBy, close: CloseFrame) {
        if !self.established.get() {
            // The task that opens it looks at this.
            if self.local_end.get().is_none() {
                self.local_end.set(Some(by));
                *self.local_close.borrow_mut() = Some(Box::new(close));
                self.wake();
            }
            return;
        }
        if self.connection.borrow().state() != State::Open {
            return;
        }
        self.local_end.set(Some(by));
        *self.local_close.borrow_mut() = Some(Box::new(close.clone()));
        let now = clock::now();
        self.queue(|connection, scratch| {
            self.empty_backlog(connection, scratch);
            self.note_waiting(connection);
            connection.start_close(now, close, scratch);
        });
        self.wake();
    }

    /// Ends the transport without a close frame.
    pub fn abort(self: &Rc<Self>, by: ClosedBy, reason: &str) {
        if !self.established.get() {
            self.close(by, CloseFrame::empty());
            return;
        }
        if self.connection.borrow().state() == State::Finished {
            return;
        }
        self.local_end.set(Some(by));
        self.backlog.borrow_mut().clear();
        self.connection.borrow_mut().abort(clock::now(), reason);
        self.count();
        self.wake();
    }

    /// Who ended it while it was being opened.
    #[inline]
    pub fn ended_while_opening(&self) -> Option<ClosedBy> {
        self.local_end.get().filter(|_| !self.established.get())
    }

    /// How it ended, once it has.
    pub fn close_info(&self) -> Option<CloseInfo> {
        let connection = self.connection.borrow();
        let end = connection.end()?;
        let by = match (end.by, self.local_end.get()) {
            (_, Some(by)) => by,
            (Party::Peer, None) => ClosedBy::Peer,
            (Party::Local, None) => ClosedBy::Host,
        };
        // Unanswered, our close frame is still what was said; the core tells how the transport ended.
        let local_close = self.local_close.borrow();
        let (code, reason) = match &*local_close {
            Some(close) if !end.clean && end.cause != Cause::Aborted => {
                (close.reported_code(), close.reason())
            }
            Some(_) | None => (end.code, end.reason.as_str()),
        };
        Some(CloseInfo {
            code,
            reason: reason.to_owned(),
            by,
            clean: end.clean,
        })
    }

    /// Whether the transport is to end without any more words.
    #[inline]
    pub fn is_aborted(&self) -> bool {
        let connection = self.connection.borrow();
        connection
            .end()
            .is_some_and(|end| end.cause == Cause::Aborted)
    }

    #[inline]
    pub fn set_waker(&self, waker: &Waker) {
        let mut current = self.waker.borrow_mut();
        match &mut *current {
            Some(current) => current.clone_from(waker),
            None => *current = Some(waker.clone()),
        }
    }

    /// Makes the connection's task look again.
    #[inline]
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Wakes the task if it has stopped reading until the handler has caught up.
    #[inline]
    pub fn wake_if_waiting(&self) {
        if self.waiting_for_handler.replace(false) {
            self.wake();
        }
    }

    fn queue<R>(
        self: &Rc<Self>,
        put: impl FnOnce(&mut ws::Connection, &mut ws::Scratch) -> R,
    ) -> R {
        let (result, added) = {
            let mut connection = self.connection.borrow_mut();
            let before = connection.output().len();
            self.lend_buffer(&mut connection);
            let result = put(&mut connection, &mut self.worker.scratch.borrow_mut());
            (result, connection.output().len().saturating_sub(before))
        };
        self.count();
        self.mark_dirty();
        self.worker.count_queued(added);
        result
    }

    /// Lends the connection a buffer to write into, if it has none. It comes back when all of it is written.
    #[inline]
    pub fn lend_buffer(&self, connection: &mut ws::Connection) {
        if connection.output().wants_buffer() {
            connection.output_mut().lend(self.worker.take_buffer());
        }
    }

    /// Puts the session on the worker's list of those to write at the end of this turn.
    #[inline]
    pub fn mark_dirty(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            let session: Rc<dyn Flush> = Rc::clone(self) as _;
            self.worker.write_later(session);
        }
    }
}

impl Flush for Session {
    fn flush(&self) {
        self.flush();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(usage) = self.usage.get() {
            usage.change_queued(self.counted.get(), 0);
            usage.change_events(self.queued_event_bytes.get(), 0);
            usage.change_session(self.data.borrow().len(), 0);
        }
    }
}
