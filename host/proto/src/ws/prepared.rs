//! Messages for many connections, encoded once.

use bytes::Bytes;

use super::MessageKind;
use super::deflate::{Settings, deflate};
use super::frame::{HEADER_BYTES_MAX, Header};
use super::scratch::Scratch;

/// A message that goes to many connections. It is encoded once, compressed at most once per agreed
/// window, and its bytes are shared by the output queues.
#[derive(Debug, Clone)]
pub struct Prepared {
    kind: MessageKind,
    /// The whole frame as a server sends it.
    frame: Bytes,
    header_len: usize,
    /// The compressed frame for each settings, or `None` if it is not smaller.
    compressed: Vec<(Settings, Option<Bytes>)>,
}

impl Prepared {
    /// Makes a text message.
    pub fn text(text: &str) -> Self {
        Self::new(MessageKind::Text, text.as_bytes())
    }

    /// Makes a binary message.
    pub fn binary(data: &[u8]) -> Self {
        Self::new(MessageKind::Binary, data)
    }

    /// Makes a message of either kind. The caller ensures that the bytes of a text are UTF-8.
    pub fn new(kind: MessageKind, payload: &[u8]) -> Self {
        let (frame, header_len) = encode(kind, false, payload);
        Self {
            kind,
            frame,
            header_len,
            compressed: Vec::new(),
        }
    }

    /// Returns the type of the message.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the bytes of the message.
    pub fn payload(&self) -> &[u8] {
        &self.frame[self.header_len..]
    }

    /// Returns the bytes of the message without a copy, for a queue in front of the connection.
    pub fn shared_payload(&self) -> Bytes {
        self.frame.slice(self.header_len..)
    }

    pub(super) fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// Returns the frame for connections that agreed on these settings without context takeover.
    pub(super) fn compressed_frame(&mut self, settings: Settings, scratch: &mut Scratch) -> &Bytes {
        let position = self
            .compressed
            .iter()
            .position(|(key, _)| *key == settings)
            .unwrap_or_else(|| {
                let mut deflater = scratch.pool.take_deflater(settings);
                scratch.step_buffer();
                deflate(
                    &mut deflater,
                    &self.frame[self.header_len..],
                    &mut scratch.step,
                    &mut scratch.compressed,
                );
                scratch.pool.return_deflater(settings, deflater);
                let smaller = scratch.compressed.len() < self.payload().len();
                let frame = smaller.then(|| encode(self.kind, true, &scratch.compressed).0);
                scratch.shrink_compressed();
                self.compressed.push((settings, frame));
                self.compressed.len() - 1
            });
        self.compressed[position].1.as_ref().unwrap_or(&self.frame)
    }
}

fn encode(kind: MessageKind, rsv1: bool, payload: &[u8]) -> (Bytes, usize) {
    let header = Header {
        fin: true,
        rsv1,
        opcode: kind.opcode(),
        mask: None,
        length: payload.len() as u64,
    };
    let mut encoded = [0; HEADER_BYTES_MAX];
    let header_len = header.encode(&mut encoded);
    let mut frame = Vec::with_capacity(header_len + payload.len());
    frame.extend_from_slice(&encoded[..header_len]);
    frame.extend_from_slice(payload);
    (Bytes::from(frame), header_len)
}
