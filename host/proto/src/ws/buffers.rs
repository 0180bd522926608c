//! Buffers in which messages are assembled.

/// The assembled message that the driver looks at, and empty buffers for the next ones.
#[derive(Default)]
pub(super) struct MessageBuffers {
    /// The text message that was assembled last, while the driver borrows it.
    pub(super) text: String,
    /// The binary message that was assembled last, while the driver borrows it.
    pub(super) binary: Vec<u8>,
    empty: Vec<Vec<u8>>,
}

impl MessageBuffers {
    /// Returns an empty buffer to assemble a message in.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.empty.pop().unwrap_or_default()
    }

    /// Takes back the buffer of the message that was assembled last.
    pub(super) fn reclaim_message(&mut self) {
        if self.text.capacity() > 0 {
            let buffer = std::mem::take(&mut self.text).into_bytes();
            self.put_back(buffer);
        }
        if self.binary.capacity() > 0 {
            let buffer = std::mem::take(&mut self.binary);
            self.put_back(buffer);
        }
    }

    /// Keeps a buffer for the next message, unless it is large or there are enough.
    fn put_back(&mut self, mut buffer: Vec<u8>) {
        if self.empty.len() < POOLED_MAX && (1..=BUFFER_BYTES_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            self.empty.push(buffer);
        }
    }
}

const POOLED_MAX: usize = 8;
/// The largest capacity of a buffer that is kept, so that one large message does not hold its
/// memory for ever.
const BUFFER_BYTES_MAX: usize = 64 << 10;
