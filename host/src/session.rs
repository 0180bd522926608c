//! What the host keeps for one connection: its protocol state, its stream, and what the handler stored with it.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::io::AsyncWrite;
use wsrun_proto::ws::{self, Cause, CloseFrame, MessageKind, Party, Prepared, SendError, State};

use crate::request::Request;
use crate::transport::Stream;
use crate::worker::{Slot, Worker};

/// Names a connection while the host runs: the worker in the upper 16 bits, a counter below.
pub(crate) type ConnectionId = u64;

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClosedBy {
    Peer,
    Handler,
    Host,
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub(crate) struct CloseInfo {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) by: ClosedBy,
    pub(crate) clean: bool,
}

/// The header of a frame that this side sends (RFC 6455, 5.2).
const FRAME_HEADER_BYTES_MAX: usize = 10;

/// Slices given to one write.
const SLICES_MAX: usize = 64;

/// One connection of a handler.
///
/// Its task (`connection::drive`) reads; everybody on the worker may queue and write, through the borrow of a moment.
pub(crate) struct Session {
    pub(crate) id: ConnectionId,
    pub(crate) request: Rc<Request>,
    pub(crate) protocol: Option<String>,
    worker: Rc<Worker>,
    data: RefCell<Vec<u8>>,
    pub(crate) connection: RefCell<ws::Connection>,
    pub(crate) stream: RefCell<Stream>,
    /// The connection's task, to be woken when something changed that it did not do itself.
    waker: RefCell<Option<Waker>>,
    /// Payload bytes and close that the running callback has queued for this connection: seen by its next `send`, undone by a trap.
    pending_bytes: Cell<usize>,
    pending_close: Cell<bool>,
    /// Bytes of events that wait for the handler: the task stops reading above a limit.
    pub(crate) queued_event_bytes: Cell<usize>,
    pub(crate) waiting_for_handler: Cell<bool>,
    /// A callback for this connection failed: no more events but `closed`.
    pub(crate) failed: Cell<bool>,
    pub(crate) receive_flow: Cell<bool>,
    pub(crate) want_writable: Cell<bool>,
    /// In the worker's list of sessions to write.
    dirty: Cell<bool>,
    /// Who closed it, where that was this side.
    local_end: Cell<Option<ClosedBy>>,
    /// The close frame of this side, where it was the first.
    local_close: RefCell<Option<CloseFrame>>,
    /// Since when the socket has taken nothing although something is queued.
    pub(crate) stalled_since: Cell<Option<Instant>>,
    /// The stream took bytes that it may not have passed on yet: TLS has a buffer of its own.
    unflushed: Cell<bool>,
    /// Held until the handler has been told of the end: what waits for it is bounded by `--max-connections`.
    _slot: Slot,
    /// The transport failed on a write outside the task.
    pub(crate) broken: Cell<bool>,
}

impl Session {
    #[expect(
        clippy::too_many_arguments,
        reason = "made in one place, from what the handshake gave"
    )]
    pub(crate) fn new(
        id: ConnectionId,
        request: Rc<Request>,
        protocol: Option<String>,
        worker: Rc<Worker>,
        data: Vec<u8>,
        connection: ws::Connection,
        stream: Stream,
        slot: Slot,
    ) -> Self {
        Self {
            id,
            request,
            protocol,
            worker,
            data: RefCell::new(data),
            connection: RefCell::new(connection),
            stream: RefCell::new(stream),
            waker: RefCell::new(None),
            pending_bytes: Cell::new(0),
            pending_close: Cell::new(false),
            queued_event_bytes: Cell::new(0),
            waiting_for_handler: Cell::new(false),
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

    /// Whether messages may be sent, after what the running callback did.
    pub(crate) fn is_open(&self) -> bool {
        !self.pending_close.get() && self.connection.borrow().state() == State::Open
    }

    /// Counts a message of `length` bytes for the running callback if the queue takes it. What is admitted is sent.
    pub(crate) fn admit(&self, length: usize) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let connection = self.connection.borrow();
        let pending = self.pending_bytes.get();
        connection.fits(length)?;
        let queued = connection.output().len() + pending;
        if pending > 0 && queued + length > self.worker.config.limits.queued_bytes_max {
            return Err(SendError::QueueFull { queued });
        }
        self.pending_bytes
            .set(pending + length + FRAME_HEADER_BYTES_MAX);
        Ok(())
    }

    pub(crate) fn set_closing(&self) {
        self.pending_close.set(true);
    }

    /// Forgets what the callback had queued: it is being applied, or dropped.
    pub(crate) fn clear_pending(&self) {
        self.pending_bytes.set(0);
        self.pending_close.set(false);
    }

    pub(crate) fn buffered(&self) -> usize {
        self.connection.borrow().output().len() + self.pending_bytes.get()
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        self.data.borrow().clone()
    }

    pub(crate) fn set_data(&self, data: Vec<u8>) {
        *self.data.borrow_mut() = data;
    }

    /// Sends what [`Session::admit`] took.
    pub(crate) fn send_admitted(
        self: &Rc<Self>,
        kind: MessageKind,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.queue(|connection, scratch| connection.send_promised_message(kind, payload, scratch))
    }

    /// The same for a ping.
    pub(crate) fn ping_admitted(self: &Rc<Self>, payload: &[u8]) -> Result<(), SendError> {
        self.queue(|connection, scratch| connection.send_promised_ping(payload, scratch))
    }

    pub(crate) fn send_prepared(self: &Rc<Self>, message: &mut Prepared) -> Result<(), SendError> {
        self.queue(|connection, scratch| connection.send_prepared(message, scratch))
    }

    /// Starts the closing handshake. The first to close is who closed it.
    pub(crate) fn close(self: &Rc<Self>, by: ClosedBy, close: CloseFrame) {
        if self.connection.borrow().state() != State::Open {
            return;
        }
        self.local_end.set(Some(by));
        *self.local_close.borrow_mut() = Some(close.clone());
        let now = Instant::now();
        self.queue(|connection, scratch| connection.start_close(now, close, scratch));
        self.wake();
    }

    /// Ends the transport without a close frame.
    pub(crate) fn abort(self: &Rc<Self>, by: ClosedBy, reason: &str) {
        if self.connection.borrow().state() == State::Finished {
            return;
        }
        self.local_end.set(Some(by));
        self.connection.borrow_mut().abort(Instant::now(), reason);
        self.wake();
    }

    /// How it ended, once it has.
    pub(crate) fn close_info(&self) -> Option<CloseInfo> {
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
    pub(crate) fn is_aborted(&self) -> bool {
        let connection = self.connection.borrow();
        connection
            .end()
            .is_some_and(|end| end.cause == Cause::Aborted)
    }

    /// Writes what is queued, as far as the socket takes it now. Any part of the worker may call this; the task is woken to wait for
    /// the rest.
    pub(crate) fn flush(self: &Rc<Self>) {
        self.dirty.set(false);
        let mut cx = Context::from_waker(Waker::noop());
        if self.poll_write(&mut cx).is_pending() {
            self.wake();
        }
    }

    /// Writes until the queue is empty (`Ready`) or the socket is full (`Pending`, with `cx` registered).
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut connection = self.connection.borrow_mut();
        let output = connection.output_mut();
        if self.broken.get() {
            return Poll::Ready(());
        }
        if output.is_empty() && !self.unflushed.get() {
            if let Some(buffer) = output.reclaim() {
                self.worker.give_buffer(buffer);
            }
            return Poll::Ready(());
        }
        let mut stream = self.stream.borrow_mut();
        let mut progress = false;
        let result = loop {
            if output.is_empty() {
                break Pin::new(&mut *stream).poll_flush(cx);
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = output.slices(&mut slices);
            match Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    progress = true;
                    self.unflushed.set(true);
                    output.consume(written);
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        match result {
            Poll::Ready(Ok(())) => {
                self.stalled_since.set(None);
                self.unflushed.set(false);
                if let Some(buffer) = output.reclaim() {
                    self.worker.give_buffer(buffer);
                }
                if progress {
                    connection.handle_progress(Instant::now());
                }
                Poll::Ready(())
            }
            Poll::Ready(Err(_)) => {
                self.broken.set(true);
                drop(connection);
                self.wake();
                Poll::Ready(())
            }
            Poll::Pending => {
                if progress || self.stalled_since.get().is_none() {
                    let now = Instant::now();
                    self.stalled_since.set(Some(now));
                    connection.handle_progress(now);
                }
                Poll::Pending
            }
        }
    }

    /// Whether everything that was queued is on its way.
    pub(crate) fn is_flushed(&self) -> bool {
        self.connection.borrow().output().is_empty() && !self.unflushed.get()
    }

    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut current = self.waker.borrow_mut();
        match &mut *current {
            Some(current) => current.clone_from(waker),
            None => *current = Some(waker.clone()),
        }
    }

    /// Makes the connection's task look again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Wakes the task if it has stopped reading until the handler has caught up.
    pub(crate) fn wake_if_waiting(&self) {
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
        self.mark_dirty();
        self.worker.count_queued(added);
        result
    }

    /// Lends the connection a buffer to write into, if it has none. It comes back when all of it is written.
    pub(crate) fn lend_buffer(&self, connection: &mut ws::Connection) {
        if connection.output().wants_buffer() {
            connection.output_mut().lend(self.worker.take_buffer());
        }
    }

    /// Puts the session on the worker's list of those to write at the end of this turn.
    pub(crate) fn mark_dirty(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            self.worker.dirty.borrow_mut().push(Rc::clone(self));
        }
    }
}
