//! The connections that have something to write at the end of a turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The number of queued bytes at which a turn writes before it goes on.
const FLUSH_BYTES: usize = 64 * 1024;

/// Something with queued bytes, which it writes.
pub trait Flush {
    /// Writes what is queued, as far as the transport takes it.
    fn flush(&self);
}

/// A list of connections with queued bytes. Each of them is written once in a turn, however many
/// messages it was sent.
#[derive(Default)]
pub(super) struct WriteList {
    waiting: RefCell<Vec<Rc<dyn Flush>>>,
    /// The bytes that were queued since the last flush.
    queued_bytes: Cell<usize>,
}

impl WriteList {
    #[inline]
    pub(super) fn push(&self, connection: Rc<dyn Flush>) {
        self.waiting.borrow_mut().push(connection);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Forgets all connections without writing.
    #[inline]
    pub(super) fn clear(&self) {
        drop(self.waiting.take());
    }

    /// Counts bytes that were queued, and writes when there are many of them.
    #[inline]
    pub(super) fn count_queued(&self, bytes: usize) {
        let queued = self.queued_bytes.get() + bytes;
        self.queued_bytes.set(queued);
        if queued >= FLUSH_BYTES {
            self.flush();
        }
    }

    /// Writes every connection of the list.
    pub(super) fn flush(&self) {
        self.queued_bytes.set(0);
        loop {
            let Some(connection) = self.waiting.borrow_mut().pop() else {
                return;
            };
            connection.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(Cell<usize>);

    impl Flush for Counting {
        fn flush(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn connections_are_written_when_much_is_queued() {
        let list = WriteList::default();
        let connection = Rc::new(Counting(Cell::new(0)));
        list.push(Rc::clone(&connection) as Rc<dyn Flush>);
        list.count_queued(FLUSH_BYTES - 1);
        assert_eq!((connection.0.get(), list.len()), (0, 1));
        list.count_queued(1);
        assert_eq!((connection.0.get(), list.len()), (1, 0));
        list.push(Rc::clone(&connection) as Rc<dyn Flush>);
        list.count_queued(FLUSH_BYTES - 1);
        assert_eq!(connection.0.get(), 1, "the count began again");
    }
}
