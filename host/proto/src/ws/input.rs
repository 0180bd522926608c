//! Receiving: the bytes of the peer become events.

use std::ops::Range;
use std::time::Instant;

use super::close::CloseFrame;
use super::config::Delivery;
use super::connection::{Connection, Held, State};
use super::deflate::Inflater;
use super::error::ProtocolError;
use super::event::{Chunk, Event};
use super::frame::{self, Header, Opcode};
use super::mask::{self, Mask};
use super::partial::{ChunkInfo, Frame, Message, Partial};
use super::scratch::Scratch;
use super::{MessageKind, Role};

/// The input that a connection is decoding.
///
/// A close frame or a broken rule behind messages in the same input is held, so that those messages
/// can be answered first: see [`Connection::is_end_held`]. A driver that answers later asks for the
/// same with [`hold_end`](Self::hold_end).
///
/// Events borrow from the input: `while let Some(event) = input.poll_event() { .. }`. A driver may
/// stop early. It keeps the [`unread`](Self::unread) bytes, passes them to
/// [`Connection::handle_input`] later, even if there are none, and loses nothing.
#[derive(Debug)]
pub struct Input<'a> {
    now: Instant,
    connection: &'a mut Connection,
    bytes: &'a mut [u8],
    scratch: &'a mut Scratch,
    /// The position up to which the bytes were decoded.
    position: usize,
    /// True once a message was delivered that is not answered yet, from this input or an earlier
    /// one. The end of the connection is held until it can be.
    delivered: bool,
}

impl Connection {
    /// Takes bytes of the peer. They are decoded in place, as the events are polled.
    #[inline]
    pub fn handle_input<'a>(
        &'a mut self,
        now: Instant,
        bytes: &'a mut [u8],
        scratch: &'a mut Scratch,
    ) -> Input<'a> {
        if !bytes.is_empty() {
            self.last_input = now;
        }
        self.seed_masks(scratch);
        scratch.messages.reclaim_message();
        Input::new(now, self, bytes, scratch)
    }
}

impl<'a> Input<'a> {
    #[inline]
    pub(super) fn new(
        now: Instant,
        connection: &'a mut Connection,
        bytes: &'a mut [u8],
        scratch: &'a mut Scratch,
    ) -> Self {
        Self {
            now,
            connection,
            bytes,
            scratch,
            position: 0,
            delivered: false,
        }
    }

    /// Decodes the bytes up to the next event. Returns `None` if more bytes are needed, or the
    /// connection is finished.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        if let Some((kind, payload)) = self.take_whole_message() {
            return self.deliver_payload(kind, payload);
        }
        self.poll_other_event()
    }

    /// Holds the end of the connection as if a message were in this input, for a driver that has
    /// not answered the messages of earlier inputs.
    #[inline]
    pub fn hold_end(&mut self) {
        self.delivered = true;
    }

    /// Returns the bytes that were not decoded yet, as they were received.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.position..]
    }

    /// Returns the connection, to answer while the rest of the input waits.
    pub fn connection(&mut self) -> (&mut Connection, &mut Scratch) {
        (self.connection, self.scratch)
    }

    /// Decodes a message of one frame that is not compressed and has arrived whole: the fast path.
    #[inline]
    fn take_whole_message(&mut self) -> Option<(MessageKind, Range<usize>)> {
        if self.connection.partial.is_some()
            || self.connection.state == State::Finished
            || self.connection.held.is_some()
        {
            return None;
        }
        let end = self.bytes.len();
        let [first, second, rest @ ..] = self.bytes.get_mut(self.position..)? else {
            return None;
        };
        let kind = match *first {
            FINAL_TEXT => MessageKind::Text,
            FINAL_BINARY => MessageKind::Binary,
            _ => return None,
        };
        let (length, rest) = match *second & frame::LENGTH_BITS {
            short @ ..frame::LENGTH_16 => (usize::from(short), rest),
            frame::LENGTH_16 => {
                let (length, rest) = rest.split_first_chunk_mut()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            _ => return None,
        };
        let minimal = length >= usize::from(frame::LENGTH_16)
            || *second & frame::LENGTH_BITS < frame::LENGTH_16;
        if !minimal || length as u64 > self.connection.whole_bytes_max {
            return None;
        }
        let payload_and_rest = match (self.connection.role, *second & frame::MASKED != 0) {
            (Role::Server, true) => {
                let (key, rest) = rest.split_first_chunk_mut()?;
                mask::apply(*key, rest.get_mut(..length)?);
                rest.len()
            }
            (Role::Client, false) => {
                rest.get(..length)?;
                rest.len()
            }
            (Role::Server, false) | (Role::Client, true) => return None,
        };
        let start = end - payload_and_rest;
        self.position = start + length;
        Some((kind, start..start + length))
    }

    #[inline]
    fn deliver_payload(&mut self, kind: MessageKind, payload: Range<usize>) -> Option<Event<'_>> {
        let data = &self.bytes[payload];
        let whole = match kind {
            MessageKind::Binary => Event::Binary(data),
            MessageKind::Text => match simdutf8::basic::from_utf8(data) {
                Ok(text) => Event::Text(text),
                Err(_) => {
                    self.position = self.bytes.len();
                    let error = ProtocolError::TextNotUtf8;
                    let (connection, scratch) = (&mut *self.connection, &mut *self.scratch);
                    fail(connection, self.now, error, self.delivered, scratch);
                    return None;
                }
            },
        };
        self.delivered = true;
        Some(match self.connection.config.delivery {
            Delivery::Messages => whole,
            Delivery::Chunks => Event::Chunk(Chunk {
                kind,
                data,
                first: true,
                fin: true,
                remaining: 0,
            }),
        })
    }

    #[inline(never)]
    fn poll_other_event(&mut self) -> Option<Event<'_>> {
        self.scratch.messages.reclaim_message();
        if !self.delivered
            && let Some(held) = self.connection.held.take()
        {
            self.position = self.bytes.len();
            match *held {
                Held::Error(error) => self.fail(error),
                Held::Close(close) => {
                    self.connection.receive_close(self.now, close, self.scratch);
                    return self.deliver(LocatedEvent::Close);
                }
            }
        }
        loop {
            match self.decode_next() {
                Progress::Continue => {}
                Progress::NoEvent => return None,
                Progress::Event(found) => return self.deliver(found),
            }
        }
    }

    fn fail(&mut self, error: ProtocolError) {
        self.position = self.bytes.len();
        let (connection, scratch) = (&mut *self.connection, &mut *self.scratch);
        fail(connection, self.now, error, self.delivered, scratch);
    }

    fn deliver(&mut self, found: LocatedEvent) -> Option<Event<'_>> {
        self.delivered |= matches!(
            found,
            LocatedEvent::Assembled(_)
                | LocatedEvent::Chunk { .. }
                | LocatedEvent::InflatedChunk { .. }
        );
        Some(match found {
            LocatedEvent::Payload { kind, range } => return self.deliver_payload(kind, range),
            LocatedEvent::Assembled(MessageKind::Text) => Event::Text(&self.scratch.messages.text),
            LocatedEvent::Assembled(MessageKind::Binary) => {
                Event::Binary(&self.scratch.messages.binary)
            }
            LocatedEvent::Chunk { info, range } => Event::Chunk(info.with_data(&self.bytes[range])),
            LocatedEvent::InflatedChunk { info, length } => {
                Event::Chunk(info.with_data(&self.scratch.step[..length]))
            }
            LocatedEvent::Ping => Event::Ping(self.scratch.control()),
            LocatedEvent::Pong { keep_alive } => Event::Pong {
                payload: self.scratch.control(),
                keep_alive,
            },
            LocatedEvent::Close => return self.connection.peer_close().map(Event::Close),
        })
    }

    fn decode_next(&mut self) -> Progress {
        if self.connection.state == State::Finished {
            self.position = self.bytes.len();
            return Progress::NoEvent;
        }
        let mut partial = match self.connection.partial.take() {
            Some(partial) => partial,
            None if self.position == self.bytes.len() => return Progress::NoEvent,
            None => {
                let mut partial = self.scratch.take_partial();
                partial.started = Some(self.now);
                partial
            }
        };
        match self.decode(&mut partial) {
            Ok(step) => {
                if matches!(
                    step,
                    Progress::Event(
                        LocatedEvent::Chunk { .. } | LocatedEvent::InflatedChunk { .. }
                    )
                ) {
                    // The peer has new time for the next chunk.
                    partial.started = Some(self.now);
                }
                if partial.is_complete() {
                    self.scratch.return_partial(partial);
                } else if self.connection.state != State::Finished {
                    self.connection.partial = Some(partial);
                }
                step
            }
            Err(error) => {
                self.fail(error);
                Progress::Continue
            }
        }
    }

    fn decode(&mut self, partial: &mut Partial) -> Result<Progress, ProtocolError> {
        match (&partial.frame, &partial.message) {
            (None, _) => self.read_header(partial),
            (Some(frame), _) if frame.opcode.is_control() => self.read_control(partial),
            (Some(_), Some(message)) if message.inflater.is_some() => self.read_compressed(partial),
            (Some(_), _) => self.read_plain(partial),
        }
    }

    fn read_header(&mut self, partial: &mut Partial) -> Result<Progress, ProtocolError> {
        loop {
            let known = &partial.header[..partial.header_len];
            let missing = frame::header_bytes_wanted(known) - known.len();
            if missing == 0 {
                break;
            }
            let taken = missing.min(self.bytes.len() - self.position);
            let bytes = &self.bytes[self.position..self.position + taken];
            partial.header[partial.header_len..partial.header_len + taken].copy_from_slice(bytes);
            partial.header_len += taken;
            self.position += taken;
            if taken < missing {
                // A broken rule is reported before the header is complete.
                Header::decode(&partial.header[..partial.header_len])?;
                return Ok(Progress::NoEvent);
            }
        }
        let header = Header::decode(&partial.header[..partial.header_len])?;
        let (header, _) = header.expect("all bytes that the header wants are there");
        partial.header_len = 0;
        self.begin_frame(partial, header)?;
        Ok(Progress::Continue)
    }

    fn begin_frame(&mut self, partial: &mut Partial, header: Header) -> Result<(), ProtocolError> {
        let danger_unmasked = self.connection.config.danger_unmasked;
        match (self.connection.role, header.mask) {
            (Role::Server, None) if !danger_unmasked => return Err(ProtocolError::FrameNotMasked),
            (Role::Client, Some(_)) if !danger_unmasked => return Err(ProtocolError::FrameMasked),
            (Role::Server | Role::Client, _) => {}
        }
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            Opcode::Continuation | Opcode::Close | Opcode::Ping | Opcode::Pong => None,
        };
        // RFC 7692, 6.1: RSV1 belongs to the first frame of a message.
        if header.rsv1 && (kind.is_none() || self.connection.config.deflate.is_none()) {
            return Err(ProtocolError::ReservedBitsSet);
        }
        match header.opcode {
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                self.begin_fragment(partial, header, kind)?
            }
            Opcode::Ping | Opcode::Pong => self.connection.count_control_frame(self.now)?,
            Opcode::Close => {}
        }
        partial.control_len = 0;
        partial.frame = Some(Frame {
            opcode: header.opcode,
            fin: header.fin,
            mask: header.mask.map(Mask::new),
            remaining: header.length,
        });
        Ok(())
    }

    fn begin_fragment(
        &mut self,
        partial: &mut Partial,
        header: Header,
        kind: Option<MessageKind>,
    ) -> Result<(), ProtocolError> {
        let limits = self.connection.config.limits;
        let message = match (kind, &mut partial.message) {
            (None, None) => return Err(ProtocolError::ContinuationWithoutMessage),
            (Some(_), Some(_)) => return Err(ProtocolError::MessageInterrupted),
            (None, Some(message)) => message,
            (Some(kind), message @ None) => {
                let inflater = header.rsv1.then(|| self.take_inflater());
                message.insert(Message::new(kind, inflater))
            }
        };
        message.fragments = message.fragments.saturating_add(1);
        if message.fragments > limits.fragments_max {
            return Err(ProtocolError::TooManyFragments {
                limit: limits.fragments_max,
            });
        }
        if header.length > limits.frame_bytes_max {
            return Err(ProtocolError::FrameTooLarge {
                limit: limits.frame_bytes_max,
            });
        }
        message.wire_bytes = message.wire_bytes.saturating_add(header.length);
        let limit = limits.message_bytes_max;
        // The limit is on the wire as well, against endless blocks that inflate to nothing. Data
        // that cannot be compressed becomes a little larger.
        let overhead = if message.inflater.is_some() {
            limit / 8 + 1024
        } else {
            0
        };
        if message.wire_bytes > limit.saturating_add(overhead) {
            return Err(ProtocolError::MessageTooLarge { limit });
        }
        Ok(())
    }

    fn read_control(&mut self, partial: &mut Partial) -> Result<Progress, ProtocolError> {
        let Some(frame) = &mut partial.frame else {
            return Ok(Progress::Continue);
        };
        let payload = frame.take(self.bytes, &mut self.position);
        let end = partial.control_len + payload.len();
        // The header was checked: a control frame has at most 125 bytes.
        partial.control[partial.control_len..end].copy_from_slice(&self.bytes[payload]);
        partial.control_len = end;
        if frame.remaining > 0 {
            return Ok(Progress::NoEvent);
        }
        let opcode = frame.opcode;
        partial.frame = None;
        self.scratch.control = partial.control;
        self.scratch.control_len = end;
        Ok(Progress::Event(match opcode {
            Opcode::Close => {
                let close = CloseFrame::decode(self.scratch.control())?;
                if self.delivered {
                    self.position = self.bytes.len();
                    self.connection.held = Some(Box::new(Held::Close(close)));
                    return Ok(Progress::NoEvent);
                }
                self.connection.receive_close(self.now, close, self.scratch);
                self.position = self.bytes.len();
                LocatedEvent::Close
            }
            Opcode::Ping => {
                self.connection.answer_ping(self.scratch);
                LocatedEvent::Ping
            }
            Opcode::Pong => LocatedEvent::Pong {
                keep_alive: self.connection.accept_keep_alive(self.scratch.control()),
            },
            Opcode::Continuation | Opcode::Text | Opcode::Binary => {
                unreachable!("only control frames come here")
            }
        }))
    }

    fn read_plain(&mut self, partial: &mut Partial) -> Result<Progress, ProtocolError> {
        let (Some(frame), Some(message)) = (&mut partial.frame, &mut partial.message) else {
            unreachable!("a data frame belongs to a message")
        };
        let range = frame.take(self.bytes, &mut self.position);
        if range.is_empty() && frame.remaining > 0 {
            return Ok(Progress::NoEvent);
        }
        let remaining = frame.remaining;
        let frame_over = remaining == 0;
        let fin = frame_over && frame.fin;
        if frame_over {
            partial.frame = None;
        }
        let found = match self.connection.config.delivery {
            Delivery::Messages if fin && message.is_empty() => Some(LocatedEvent::Payload {
                kind: message.kind,
                range,
            }),
            Delivery::Messages => {
                message.append(&self.bytes[range], remaining, &mut self.scratch.messages)?;
                if fin {
                    message.finish(&mut self.scratch.messages)?;
                    Some(LocatedEvent::Assembled(message.kind))
                } else {
                    None
                }
            }
            Delivery::Chunks => {
                let info = message.chunk(&self.bytes[range.clone()], fin, remaining)?;
                info.map(|info| LocatedEvent::Chunk { info, range })
            }
        };
        if fin {
            partial.message = None;
        }
        Ok(found.map_or(Progress::Continue, Progress::Event))
    }

    fn read_compressed(&mut self, partial: &mut Partial) -> Result<Progress, ProtocolError> {
        let (Some(frame), Some(message)) = (&mut partial.frame, &mut partial.message) else {
            unreachable!("a data frame belongs to a message")
        };
        let Some(inflater) = &mut message.inflater else {
            unreachable!("a compressed message has an inflater")
        };
        inflater.check()?;
        let limit = self.connection.config.limits.message_bytes_max;
        let output = self.scratch.step_buffer();
        // One byte more than the limit shows that the message is too large.
        let room = limit
            .saturating_sub(message.bytes)
            .saturating_add(1)
            .min(output.len() as u64) as usize;
        let output = &mut output[..room];
        let (produced, fin) = if frame.remaining > 0 {
            let Some(produced) = frame.inflate(self.bytes, &mut self.position, inflater, output)?
            else {
                return Ok(Progress::NoEvent);
            };
            (produced, false)
        } else if !frame.fin {
            partial.frame = None;
            return Ok(Progress::Continue);
        } else if message.wire_bytes == 0 {
            // Strictly, an empty message has a payload of one byte. An empty payload can mean
            // nothing else.
            (0, true)
        } else {
            inflater.finish(output)?
        };
        message.bytes += produced as u64;
        // Output up to the limit is delivered first, so that the error does not depend on how the
        // peer's bytes were split.
        let too_large = message.bytes > limit;
        let (produced, fin) = if too_large {
            (produced - 1, false)
        } else {
            (produced, fin)
        };
        let remaining = frame.remaining;
        let found = match self.connection.config.delivery {
            Delivery::Messages => {
                let inflated = &self.scratch.step[..produced];
                message.append(inflated, 0, &mut self.scratch.messages)?;
                if fin {
                    message.finish(&mut self.scratch.messages)?;
                    Some(LocatedEvent::Assembled(message.kind))
                } else {
                    None
                }
            }
            Delivery::Chunks => {
                let info = message.chunk(&self.scratch.step[..produced], fin, remaining)?;
                info.map(|info| LocatedEvent::InflatedChunk {
                    info,
                    length: produced,
                })
            }
        };
        if too_large {
            return Err(ProtocolError::InflatedTooLarge { limit });
        }
        if fin {
            let inflater = partial.message.take().and_then(|message| message.inflater);
            partial.frame = None;
            self.return_inflater(inflater);
        }
        Ok(found.map_or(Progress::Continue, Progress::Event))
    }

    fn take_inflater(&mut self) -> Inflater {
        let own = self
            .connection
            .contexts
            .as_mut()
            .and_then(|contexts| contexts.inflater.take());
        own.unwrap_or_else(|| self.scratch.pool.take_inflater())
    }

    fn return_inflater(&mut self, inflater: Option<Inflater>) {
        let Some(inflater) = inflater else { return };
        if self.connection.inflates_with_takeover() {
            self.connection.contexts.get_or_insert_default().inflater = Some(inflater);
        } else {
            self.scratch.pool.return_inflater(inflater);
        }
    }
}

/// The result of decoding some bytes.
enum Progress {
    Continue,
    NoEvent,
    Event(LocatedEvent),
}

/// An event, described by the place of its bytes.
enum LocatedEvent {
    /// A message that is whole in the input. Text is not validated yet.
    Payload {
        kind: MessageKind,
        range: Range<usize>,
    },
    Assembled(MessageKind),
    Chunk {
        info: ChunkInfo,
        range: Range<usize>,
    },
    InflatedChunk {
        info: ChunkInfo,
        length: usize,
    },
    Ping,
    Pong {
        keep_alive: bool,
    },
    Close,
}

/// Fails the connection because the peer broke a rule: at once, or after the delivered messages can
/// be answered.
fn fail(
    connection: &mut Connection,
    now: Instant,
    error: ProtocolError,
    delivered: bool,
    scratch: &mut Scratch,
) {
    if delivered {
        connection.partial = None;
        connection.held = Some(Box::new(Held::Error(error)));
    } else {
        connection.fail_protocol(now, error, scratch);
    }
}

/// FIN and the opcode of a text message.
const FINAL_TEXT: u8 = frame::FIN | 0x1;
/// FIN and the opcode of a binary message.
const FINAL_BINARY: u8 = frame::FIN | 0x2;
