//! The buffers that the connections of a worker share.

use std::cell::RefCell;

/// The size of a worker's one read buffer. An idle connection has none.
const READ_BUFFER_BYTES: usize = 256 * 1024;

/// The number of write buffers that are kept for reuse.
pub(super) const WRITE_BUFFERS_KEPT: usize = 64;

/// The capacity up to which a write buffer is kept for reuse.
const WRITE_BUFFER_BYTES_KEPT: usize = 256 * 1024;

/// The capacity up to which the buffer of a large message is kept for reuse.
const LARGE_BUFFER_BYTES_KEPT: usize = 4 * 1024 * 1024;

/// One read buffer, some write buffers, and one buffer for large messages.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    read: RefCell<Vec<u8>>,
    write: RefCell<Vec<Vec<u8>>>,
    /// Memory that was given back to the system is dear to get again, a page at a time.
    large: RefCell<Vec<u8>>,
}

impl Buffers {
    /// Lends the read buffer. It is taken out, so that nothing that runs meanwhile meets a borrow
    /// of it.
    #[inline]
    pub(super) fn take_read(&self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut *self.read.borrow_mut());
        if buffer.is_empty() {
            buffer.resize(READ_BUFFER_BYTES, 0);
        }
        buffer
    }

    #[inline]
    pub(super) fn give_read(&self, buffer: Vec<u8>) {
        *self.read.borrow_mut() = buffer;
    }

    #[inline]
    pub(super) fn take_write(&self) -> Vec<u8> {
        self.write.borrow_mut().pop().unwrap_or_default()
    }

    #[inline]
    pub(super) fn give_write(&self, mut buffer: Vec<u8>) {
        let mut buffers = self.write.borrow_mut();
        if buffers.len() < WRITE_BUFFERS_KEPT && buffer.capacity() <= WRITE_BUFFER_BYTES_KEPT {
            buffer.clear();
            buffers.push(buffer);
        }
    }

    /// Puts the large buffer in place of `small`, which has to grow to `bytes`, when it has the
    /// room. The content of `small` is copied into it.
    #[inline]
    pub(super) fn lend_large(&self, small: &mut Vec<u8>, bytes: usize) {
        let mut large = self.large.borrow_mut();
        if large.capacity() >= bytes {
            large.extend_from_slice(small);
            *small = std::mem::take(&mut large);
        }
    }

    /// Keeps the largest of the buffers that were lent: one, and none above 4 MiB.
    #[inline]
    pub(super) fn keep_large(&self, mut buffer: Vec<u8>) {
        let mut large = self.large.borrow_mut();
        if (large.capacity()..=LARGE_BUFFER_BYTES_KEPT).contains(&buffer.capacity()) {
            buffer.clear();
            *large = buffer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_buffers_are_kept_up_to_a_number_and_a_size() {
        let buffers = Buffers::default();
        for _ in 0..=WRITE_BUFFERS_KEPT {
            buffers.give_write(Vec::with_capacity(16));
        }
        assert_eq!(buffers.write.borrow().len(), WRITE_BUFFERS_KEPT);
        assert_eq!(buffers.take_write().capacity(), 16);
        buffers.give_write(Vec::with_capacity(WRITE_BUFFER_BYTES_KEPT + 1));
        assert_eq!(buffers.write.borrow().len(), WRITE_BUFFERS_KEPT - 1);
    }

    #[test]
    fn largest_buffer_is_kept_and_lent_with_what_was_there_before() {
        let buffers = Buffers::default();
        buffers.keep_large(Vec::with_capacity(LARGE_BUFFER_BYTES_KEPT + 1));
        let mut small = b"start".to_vec();
        buffers.lend_large(&mut small, 1000);
        assert!(small.capacity() < 1000, "a huge buffer is not kept");
        buffers.keep_large(Vec::with_capacity(2000));
        buffers.keep_large(Vec::with_capacity(1000));
        buffers.lend_large(&mut small, 1500);
        assert_eq!(small, b"start");
        assert!(small.capacity() >= 2000);
    }
}
