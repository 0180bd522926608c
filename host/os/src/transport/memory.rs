//! A transport in memory for tests, and the peer's end of it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Transport;

/// The transport. It takes everything until the peer says otherwise.
pub struct MemoryTransport(Rc<RefCell<State>>);

/// The other end.
pub struct MemoryPeer(Rc<RefCell<State>>);

struct State {
    /// What the peer has sent and nobody has read.
    sent: VecDeque<u8>,
    has_ended: bool,
    /// What was written and the peer has not looked at.
    written: Vec<u8>,
    /// How many writes that were.
    writes: usize,
    /// How many bytes more are taken.
    room: usize,
    untaken: Option<usize>,
    is_broken: bool,
    is_shut_down: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Returns both ends of a connection.
pub fn pipe() -> (MemoryTransport, MemoryPeer) {
    let state = Rc::new(RefCell::new(State {
        sent: VecDeque::new(),
        has_ended: false,
        written: Vec::new(),
        writes: 0,
        room: usize::MAX,
        untaken: None,
        is_broken: false,
        is_shut_down: false,
        reader: None,
        writer: None,
    }));
    (MemoryTransport(Rc::clone(&state)), MemoryPeer(state))
}

impl MemoryPeer {
    /// Sends bytes.
    pub fn send(&self, bytes: &[u8]) {
        self.0.borrow_mut().sent.extend(bytes);
        self.wake();
    }

    /// Ends the peer's side behind what it has sent.
    pub fn end(&self) {
        self.0.borrow_mut().has_ended = true;
        self.wake();
    }

    /// Makes every further write fail.
    pub fn reset(&self) {
        self.0.borrow_mut().is_broken = true;
        self.wake();
    }

    /// Lets so many more bytes be written.
    pub fn set_room(&self, bytes: usize) {
        self.0.borrow_mut().room = bytes;
        self.wake();
    }

    /// Sets what [`Transport::untaken_bytes`] returns.
    pub fn set_untaken(&self, bytes: usize) {
        self.0.borrow_mut().untaken = Some(bytes);
    }

    /// Takes what was written since the last call.
    pub fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().written)
    }

    /// Returns how many writes there were.
    pub fn writes(&self) -> usize {
        self.0.borrow().writes
    }

    /// Returns how many bytes of what was sent nobody has read.
    pub fn unread_bytes(&self) -> usize {
        self.0.borrow().sent.len()
    }

    pub fn is_shut_down(&self) -> bool {
        self.0.borrow().is_shut_down
    }

    fn wake(&self) {
        let mut state = self.0.borrow_mut();
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Transport for MemoryTransport {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        let length = state.sent.len().min(buffer.len());
        if length == 0 && !state.has_ended {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (to, from) in buffer.iter_mut().zip(state.sent.drain(..length)) {
            *to = from;
        }
        Poll::Ready(Ok(length))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        if state.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.room == 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut length = 0;
        for slice in slices {
            let taken = &slice[..slice.len().min(state.room)];
            state.written.extend_from_slice(taken);
            state.room -= taken.len();
            length += taken.len();
        }
        state.writes += 1;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().is_shut_down = true;
        Poll::Ready(Ok(()))
    }

    fn has_failed(&self) -> bool {
        self.0.borrow().is_broken
    }

    fn untaken_bytes(&self) -> Option<usize> {
        self.0.borrow().untaken
    }
}
