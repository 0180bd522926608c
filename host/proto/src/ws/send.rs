//! Sending: messages, chunks and control frames go into the output.

use bytes::Bytes;

use super::connection::{Connection, State};
use super::deflate::{Agreed, deflate};
use super::error::SendError;
use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Opcode};
use super::output::ControlFrame;
use super::prepared::Prepared;
use super::scratch::Scratch;
use super::sending::Sending;
use super::{MessageKind, mask};

impl Connection {
    /// Queues a message.
    ///
    /// # Errors
    ///
    /// Fails if the message was refused, and nothing was queued then. A message is always accepted
    /// while the output is empty.
    #[inline]
    pub fn send_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits(payload.len())?;
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(SendError::InvalidText);
        }
        self.queue_message(kind, payload, scratch);
        Ok(())
    }

    /// Queues a message that [`fits`](Self::fits) accepted earlier. The queue may have grown since
    /// and is not checked again.
    ///
    /// # Errors
    ///
    /// Fails if the connection has begun to close since, or the text is not UTF-8.
    #[inline]
    pub fn send_promised_message(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(SendError::InvalidText);
        }
        self.queue_message(kind, payload, scratch);
        Ok(())
    }

    /// Queues a message that [`fits`](Self::fits) accepted earlier, without a copy if it is neither
    /// masked nor compressed.
    ///
    /// # Errors
    ///
    /// Those of [`send_promised_message`](Self::send_promised_message).
    pub fn send_promised_shared(
        &mut self,
        kind: MessageKind,
        payload: Bytes,
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if self.masks() || self.compression_for(payload.len()).is_some() {
            return self.send_promised_message(kind, &payload, scratch);
        }
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(&payload).is_err() {
            return Err(SendError::InvalidText);
        }
        let header = Header {
            fin: true,
            rsv1: false,
            opcode: kind.opcode(),
            mask: None,
            length: payload.len() as u64,
        };
        let mut encoded = [0; HEADER_BYTES_MAX];
        let length = header.encode(&mut encoded);
        self.output
            .push_shared(Bytes::copy_from_slice(&encoded[..length]));
        self.output.push_shared(payload);
        Ok(())
    }

    /// Queues a ping that [`fits`](Self::fits) accepted earlier.
    ///
    /// # Errors
    ///
    /// Fails if the connection has begun to close since, or the payload has more than 125 bytes.
    pub fn send_promised_ping(
        &mut self,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        self.queue_control(Opcode::Ping, payload, scratch)
    }

    /// Queues a pong that answers no ping and that [`fits`](Self::fits) accepted earlier.
    ///
    /// # Errors
    ///
    /// Those of [`send_promised_ping`](Self::send_promised_ping).
    pub fn send_promised_pong(
        &mut self,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        self.queue_control(Opcode::Pong, payload, scratch)
    }

    /// Queues a text message.
    ///
    /// # Errors
    ///
    /// Those of [`send_message`](Self::send_message).
    #[inline]
    pub fn send_text(&mut self, text: &str, scratch: &mut Scratch) -> Result<(), SendError> {
        self.fits(text.len())?;
        self.queue_message(MessageKind::Text, text.as_bytes(), scratch);
        Ok(())
    }

    /// Queues the next part of a message; `fin` ends it. Pings, pongs and close frames may go in
    /// between, other messages may not. Such messages are not compressed, as they would keep a
    /// compression context meanwhile.
    ///
    /// # Errors
    ///
    /// Fails if the part was refused, and nothing was queued then.
    pub fn send_chunk(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits_queue(data.len())?;
        self.sending()
            .advance(kind, data, fin, self.config.limits.sent_stream_bytes_max)?;
        self.send_promised_chunk(kind, data, fin, scratch)
    }

    /// Queues a part that [`Sending::advance`] accepted earlier. The queue may have grown since and
    /// is not checked again.
    ///
    /// # Errors
    ///
    /// Fails if the connection has begun to close since, or the part does not continue the message.
    pub fn send_promised_chunk(
        &mut self,
        kind: MessageKind,
        data: &[u8],
        fin: bool,
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        let mut sending = self.sending();
        let begun = sending.is_unfinished();
        sending.advance(kind, data, fin, self.config.limits.sent_stream_bytes_max)?;
        self.sending = sending.unfinished().map(Box::new);
        let opcode = if begun {
            Opcode::Continuation
        } else {
            kind.opcode()
        };
        let mask = self.mask_key(scratch);
        self.push_frame(
            Header {
                fin,
                rsv1: false,
                opcode,
                mask,
                length: data.len() as u64,
            },
            data,
        );
        Ok(())
    }

    /// Returns the progress of the message that is being sent in chunks, to check further chunks
    /// before they are sent.
    pub fn sending(&self) -> Sending {
        Sending::new(self.sending.as_deref().copied())
    }

    /// Returns true while a message begun with [`send_chunk`](Self::send_chunk) is unfinished. No
    /// other message can be sent then.
    #[inline]
    pub fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Queues a message that goes to other connections as well.
    ///
    /// # Errors
    ///
    /// Those of [`send_message`](Self::send_message).
    pub fn send_prepared(
        &mut self,
        message: &mut Prepared,
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits(message.payload().len())?;
        let deflates = self.compression_for(message.payload().len());
        let shareable = !deflates.is_some_and(|agreed| agreed.context_takeover(self.role));
        if self.masks() || !shareable {
            self.queue_message(message.kind(), message.payload(), scratch);
            return Ok(());
        }
        let frame = match deflates {
            Some(agreed) => message.compressed_frame(agreed.settings(self.role), scratch),
            None => message.frame(),
        };
        if frame.len() < SHARED_BYTES_MIN {
            self.output.tail().extend_from_slice(frame);
        } else {
            self.output.push_shared(frame.clone());
        }
        Ok(())
    }

    /// Queues a ping.
    ///
    /// # Errors
    ///
    /// Fails if the ping was refused. The payload is at most 125 bytes.
    pub fn send_ping(&mut self, payload: &[u8], scratch: &mut Scratch) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, scratch)
    }

    /// Queues a pong that answers no ping. The core answers pings itself.
    ///
    /// # Errors
    ///
    /// Those of [`send_ping`](Self::send_ping).
    pub fn send_pong(&mut self, payload: &[u8], scratch: &mut Scratch) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, scratch)
    }

    /// Checks whether [`send_message`](Self::send_message) would accept a message of this size.
    ///
    /// # Errors
    ///
    /// Those of [`send_message`](Self::send_message).
    #[inline]
    pub fn fits(&self, payload_bytes: usize) -> Result<(), SendError> {
        if self.sending.is_some() && self.state == State::Open {
            return Err(SendError::MessageUnfinished);
        }
        self.fits_queue(payload_bytes)
    }

    /// Checks the size of a message that will wait for the end of an unfinished message in chunks.
    ///
    /// # Errors
    ///
    /// Those of [`fits`](Self::fits), without [`SendError::MessageUnfinished`].
    #[inline]
    pub fn fits_queue(&self, payload_bytes: usize) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        let limit = self.config.limits.sent_message_bytes_max;
        if payload_bytes as u64 > limit {
            return Err(SendError::TooLarge { limit });
        }
        let queued = self.output.len();
        if queued > 0 && queued.saturating_add(payload_bytes) > self.config.limits.queued_bytes_max
        {
            return Err(SendError::QueueFull { queued });
        }
        Ok(())
    }

    #[inline]
    fn queue_message(&mut self, kind: MessageKind, payload: &[u8], scratch: &mut Scratch) {
        let mask = self.mask_key(scratch);
        let mut header = Header {
            fin: true,
            rsv1: false,
            opcode: kind.opcode(),
            mask,
            length: payload.len() as u64,
        };
        if let Some(agreed) = self.compression_for(payload.len()) {
            self.compress(agreed, payload, scratch);
            // With context takeover the message is in the window, so that the peer must receive it
            // compressed.
            if scratch.compressed.len() < payload.len() || agreed.context_takeover(self.role) {
                header.rsv1 = true;
                header.length = scratch.compressed.len() as u64;
                self.push_frame(header, &scratch.compressed);
                scratch.shrink_compressed();
                return;
            }
        }
        self.push_frame(header, payload);
    }

    /// Compresses a message into `scratch.compressed`.
    fn compress(&mut self, agreed: Agreed, payload: &[u8], scratch: &mut Scratch) {
        let settings = agreed.settings(self.role);
        scratch.step_buffer();
        let Scratch {
            step,
            compressed,
            pool,
            ..
        } = scratch;
        if agreed.context_takeover(self.role) {
            let contexts = self.contexts.get_or_insert_default();
            deflate(contexts.deflater(settings), payload, step, compressed);
        } else {
            let mut deflater = pool.take_deflater(settings);
            deflate(&mut deflater, payload, step, compressed);
            pool.return_deflater(settings, deflater);
        }
    }

    #[inline]
    fn compression_for(&self, payload_bytes: usize) -> Option<Agreed> {
        self.config
            .deflate
            .filter(|agreed| payload_bytes >= agreed.message_bytes_min())
    }

    #[inline]
    fn push_frame(&mut self, header: Header, payload: &[u8]) {
        let mut encoded = [0; HEADER_BYTES_MAX];
        let length = header.encode(&mut encoded);
        let tail = self.output.tail();
        tail.reserve(length + payload.len());
        tail.extend_from_slice(&encoded[..length]);
        tail.extend_from_slice(payload);
        if let Some(key) = header.mask {
            let start = tail.len() - payload.len();
            mask::apply(key, &mut tail[start..]);
        }
    }

    fn send_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        self.fits_queue(payload.len())?;
        self.queue_control(opcode, payload, scratch)
    }

    fn queue_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SendError> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Err(SendError::TooLarge {
                limit: CONTROL_BYTES_MAX as u64,
            });
        }
        let key = self.mask_key(scratch);
        self.output
            .push_control(&ControlFrame::new(opcode, payload, key));
        Ok(())
    }
}

/// The smallest payload that the queues share. Smaller ones are copied.
const SHARED_BYTES_MIN: usize = 4 << 10;
