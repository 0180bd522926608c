//! A frame and a message that have arrived in part.

use std::ops::Range;
use std::time::Instant;

use super::MessageKind;
use super::buffers::MessageBuffers;
use super::deflate::Inflater;
use super::error::ProtocolError;
use super::event::Chunk;
use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Opcode};
use super::mask::Mask;
use super::utf8::Utf8;

/// A frame that has arrived in part, and the message that it belongs to.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) header: [u8; HEADER_BYTES_MAX],
    pub(super) header_len: usize,
    pub(super) frame: Option<Frame>,
    pub(super) control: [u8; CONTROL_BYTES_MAX],
    pub(super) control_len: usize,
    pub(super) message: Option<Message>,
    /// The time at which the first byte arrived.
    pub(super) started: Option<Instant>,
    /// The time at which the driver stopped reading.
    pub(super) paused: Option<Instant>,
}

impl Default for Partial {
    fn default() -> Self {
        Self {
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            frame: None,
            control: [0; CONTROL_BYTES_MAX],
            control_len: 0,
            message: None,
            started: None,
            paused: None,
        }
    }
}

impl Partial {
    pub(super) fn is_complete(&self) -> bool {
        self.header_len == 0 && self.frame.is_none() && self.message.is_none()
    }
}

/// A frame whose header has arrived.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) mask: Option<Mask>,
    pub(super) remaining: u64,
}

impl Frame {
    /// Takes the payload that has arrived, and unmasks it.
    pub(super) fn take(&mut self, bytes: &mut [u8], position: &mut usize) -> Range<usize> {
        let start = *position;
        let range = start..start + self.available(bytes.len() - start);
        if let Some(mask) = &mut self.mask {
            mask.apply(&mut bytes[range.clone()]);
        }
        self.remaining -= range.len() as u64;
        *position = range.end;
        range
    }

    /// Inflates payload that has arrived. Returns the number of bytes produced, or `None` if no
    /// payload has arrived.
    pub(super) fn inflate(
        &mut self,
        bytes: &mut [u8],
        position: &mut usize,
        inflater: &mut Inflater,
        output: &mut [u8],
    ) -> Result<Option<usize>, ProtocolError> {
        let start = *position;
        let available = self.available(bytes.len() - start).min(UNMASK_BYTES_MAX);
        if available == 0 {
            return Ok(None);
        }
        let piece = &mut bytes[start..start + available];
        let mut mask = self.mask;
        if let Some(mask) = &mut mask {
            mask.apply(piece);
        }
        let step = inflater.inflate(piece, output)?;
        if step.consumed < available
            && let Some(before) = &mut self.mask
        {
            // Payload that was not consumed must stay as it was received.
            before.skip(step.consumed);
            let mut after = *before;
            after.apply(&mut piece[step.consumed..]);
        } else {
            self.mask = mask;
        }
        *position += step.consumed;
        self.remaining -= step.consumed as u64;
        Ok(Some(step.produced))
    }

    pub(super) fn available(&self, arrived: usize) -> usize {
        usize::try_from(self.remaining).map_or(arrived, |remaining| remaining.min(arrived))
    }
}

/// A message whose first frame has begun.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: MessageKind,
    pub(super) fragments: u32,
    /// The payload bytes declared so far.
    pub(super) wire_bytes: u64,
    /// The bytes inflated so far.
    pub(super) bytes: u64,
    /// True until some of the message was delivered or assembled.
    pub(super) untouched: bool,
    pub(super) utf8: Utf8,
    pub(super) text: String,
    pub(super) binary: Vec<u8>,
    /// The decompressor of a compressed message.
    pub(super) inflater: Option<Inflater>,
}

impl Message {
    pub(super) fn new(kind: MessageKind, inflater: Option<Inflater>) -> Self {
        Self {
            kind,
            fragments: 0,
            wire_bytes: 0,
            bytes: 0,
            untouched: true,
            utf8: Utf8::default(),
            text: String::new(),
            binary: Vec::new(),
            inflater,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.untouched
    }

    /// Appends to the one buffer of the message. The buffer grows with the data that has arrived,
    /// up to `declared` more bytes.
    pub(super) fn append(
        &mut self,
        data: &[u8],
        declared: u64,
        buffers: &mut MessageBuffers,
    ) -> Result<(), ProtocolError> {
        if data.is_empty() {
            return Ok(());
        }
        if self.untouched {
            self.untouched = false;
            let buffer = buffers.take();
            match self.kind {
                MessageKind::Text => self.text = String::from_utf8(buffer).unwrap_or_default(),
                MessageKind::Binary => self.binary = buffer,
            }
        }
        match self.kind {
            MessageKind::Text => {
                let text = &mut self.text;
                self.utf8
                    .push(data, |part| text.push_str(part))
                    .map_err(|_| ProtocolError::TextNotUtf8)
            }
            MessageKind::Binary => {
                let length = self.binary.len() + data.len();
                if length > self.binary.capacity() {
                    let more = usize::try_from(declared).unwrap_or(usize::MAX);
                    self.binary
                        .reserve_exact(data.len() + more.min(length * RESERVE_FACTOR));
                }
                self.binary.extend_from_slice(data);
                Ok(())
            }
        }
    }

    /// Moves the assembled message to where the driver can borrow it.
    pub(super) fn finish(&mut self, buffers: &mut MessageBuffers) -> Result<(), ProtocolError> {
        self.utf8.finish().map_err(|_| ProtocolError::TextNotUtf8)?;
        buffers.text = std::mem::take(&mut self.text);
        buffers.binary = std::mem::take(&mut self.binary);
        Ok(())
    }

    /// Describes a chunk. Returns `None` for an empty chunk that does not end the message.
    pub(super) fn chunk(
        &mut self,
        data: &[u8],
        fin: bool,
        remaining: u64,
    ) -> Result<Option<ChunkInfo>, ProtocolError> {
        if self.kind == MessageKind::Text {
            self.utf8
                .push(data, |_| {})
                .map_err(|_| ProtocolError::TextNotUtf8)?;
            if fin {
                self.utf8.finish().map_err(|_| ProtocolError::TextNotUtf8)?;
            }
        }
        if data.is_empty() && !fin {
            return Ok(None);
        }
        let first = std::mem::take(&mut self.untouched);
        Ok(Some(ChunkInfo {
            kind: self.kind,
            first,
            fin,
            remaining,
        }))
    }
}

/// A chunk without its bytes.
pub(super) struct ChunkInfo {
    pub(super) kind: MessageKind,
    pub(super) first: bool,
    pub(super) fin: bool,
    pub(super) remaining: u64,
}

impl ChunkInfo {
    pub(super) fn with_data<'a>(&self, data: &'a [u8]) -> Chunk<'a> {
        Chunk {
            kind: self.kind,
            data,
            first: self.first,
            fin: self.fin,
            remaining: self.remaining,
        }
    }
}

/// The most that is reserved beyond the data that has arrived, as a multiple of it. Reserved memory
/// that is never written is not used up.
const RESERVE_FACTOR: usize = 3;
/// The most payload that is unmasked at once to be inflated. Bytes that are not consumed are masked
/// again.
const UNMASK_BYTES_MAX: usize = 4 << 10;
