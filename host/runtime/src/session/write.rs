//! What is queued for a connection goes to its socket: as far as that takes it, and in turns where it is much.

use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

use wsrun_proto::ws;

use super::Session;
use wsrun_os::clock;

/// Slices given to one write.
const SLICES_MAX: usize = 64;

/// Bytes of one connection that are written before others get their turn: a message of a MiB, in one frame or many, is not held up. The
/// kernel copies them, and over loopback delivers them as well, before a write returns.
const WRITTEN_PER_TURN_MAX: usize = (1024 + 64) * 1024;

/// How far a write came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Everything, or the connection is broken.
    All,
    /// Until the socket took no more.
    SocketIsFull,
    /// As much as one connection may in a turn: its task is woken after others.
    InPart,
}

impl Session {
    /// Writes what is queued, as far as the socket takes it now. Any part of the worker may call this; the task is woken to wait for
    /// the rest.
    pub fn flush(&self) {
        self.dirty.set(false);
        let mut cx = Context::from_waker(Waker::noop());
        // Somebody else may have drained what the task was waiting for.
        let written = self.write(&mut cx);
        self.count();
        if written == Written::SocketIsFull || self.want_writable.get() {
            self.wake();
        }
    }

    /// Writes until the queue is empty (`Ready`), the socket is full (`Pending`, with `cx` registered) or others have their turn (`Pending`,
    /// after which the connection's task is woken).
    pub fn poll_write(&self, cx: &mut Context<'_>) -> Poll<()> {
        let written = self.write(cx);
        self.count();
        match written {
            Written::All => Poll::Ready(()),
            Written::SocketIsFull | Written::InPart => Poll::Pending,
        }
    }

    fn write(&self, cx: &mut Context<'_>) -> Written {
        let mut connection = self.connection.borrow_mut();
        if self.broken.get() {
            connection.handle_write_failed();
            return Written::All;
        }
        self.refill_waiting(&mut connection);
        let output = connection.output_mut();
        if output.is_empty() && !self.unflushed.get() {
            if let Some(buffer) = output.reclaim() {
                self.worker.give_buffer(buffer);
            }
            return Written::All;
        }
        let mut transport = self.transport.borrow_mut();
        let mut progress = false;
        let mut left = WRITTEN_PER_TURN_MAX;
        let mut in_part = false;
        let result = loop {
            self.refill_waiting(&mut connection);
            let output = connection.output_mut();
            if output.is_empty() {
                break transport.poll_flush(cx);
            }
            if left == 0 {
                self.wake_after_others();
                in_part = true;
                break Poll::Pending;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = output.slices_within(&mut slices, left);
            match transport.poll_write(cx, &slices[..count]) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    progress = true;
                    self.tally(|tally| tally.bytes_out.add(written as u64));
                    self.unflushed.set(true);
                    output.consume(written);
                    left -= written;
                }
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        match result {
            Poll::Ready(Ok(())) => {
                self.stalled_since.set(None);
                self.unflushed.set(false);
                if let Some(buffer) = connection.output_mut().reclaim() {
                    self.worker.give_buffer(buffer);
                }
                if progress {
                    self.worker.tell_room();
                    connection.handle_progress(clock::now());
                }
                Written::All
            }
            Poll::Ready(Err(_)) => {
                self.broken.set(true);
                self.stalled_since.set(None);
                connection.handle_write_failed();
                drop(connection);
                self.wake();
                Written::All
            }
            Poll::Pending => {
                if progress {
                    self.worker.tell_room();
                }
                if progress || self.stalled_since.get().is_none() {
                    let now = clock::now();
                    self.stalled_since.set(Some(now));
                    connection.handle_progress(now);
                }
                match in_part {
                    true => Written::InPart,
                    false => Written::SocketIsFull,
                }
            }
        }
    }

    #[inline]
    fn refill_waiting(&self, connection: &mut ws::Connection) {
        if self.must_wait.get() {
            self.refill(connection, &mut self.worker.scratch.borrow_mut());
            self.note_waiting(connection);
        }
    }

    /// Whether everything that was queued is on its way.
    #[inline]
    pub fn is_flushed(&self) -> bool {
        self.connection.borrow().output().is_empty() && !self.unflushed.get()
    }

    /// Makes the connection's task look again when all else that is ready has run and the sockets were looked at.
    fn wake_after_others(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            clock::wake_after_others(&mut Context::from_waker(waker));
        }
    }
}
