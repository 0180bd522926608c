//! Output that waits for the transport.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::frame::{CONTROL_BYTES_MAX, HEADER_BYTES_MAX, Header, Opcode};
use super::mask;

/// The queue of encoded frames of one connection. The driver writes the [`slices`](Self::slices),
/// then [`consume`](Self::consume)s the written bytes.
///
/// An idle queue needs no memory. A driver with many connections lends a buffer before it lets the
/// core work, and reclaims it when everything was written.
#[derive(Debug, Default)]
pub struct Output {
    /// The output before the tail: full buffers, and payloads shared with other connections.
    segments: VecDeque<Bytes>,
    segments_len: usize,
    tail: Vec<u8>,
    /// The number of bytes of the tail that were consumed.
    tail_read: usize,
    /// The number of bytes that were ever consumed. With it a position in the stream stays valid
    /// when buffers change.
    consumed: u64,
    pongs: Pongs,
}

/// The pongs that wait. Their number is limited, so that a peer that sends pings and does not read
/// cannot fill the output.
#[derive(Debug, Default)]
struct Pongs {
    queued: u8,
    /// The position in the stream at which the last queued pong ends.
    end: u64,
    /// The answer to the newest ping beyond the queued ones.
    deferred: Option<Box<ControlFrame>>,
}

/// An encoded control frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct ControlFrame {
    bytes: [u8; HEADER_BYTES_MAX + CONTROL_BYTES_MAX],
    len: usize,
}

impl ControlFrame {
    /// Encodes a control frame; the payload is at most 125 bytes.
    pub(super) fn new(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Self {
        let header = Header {
            fin: true,
            rsv1: false,
            opcode,
            mask,
            length: payload.len() as u64,
        };
        let mut encoded = [0; HEADER_BYTES_MAX];
        let start = header.encode(&mut encoded);
        let mut frame = Self {
            bytes: [0; HEADER_BYTES_MAX + CONTROL_BYTES_MAX],
            len: start + payload.len(),
        };
        frame.bytes[..start].copy_from_slice(&encoded[..start]);
        let body = &mut frame.bytes[start..start + payload.len()];
        body.copy_from_slice(payload);
        if let Some(key) = mask {
            mask::apply(key, body);
        }
        frame
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Output {
    /// Returns true if nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts the bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.segments_len + self.tail.len() - self.tail_read
    }

    /// Fills `slices` with the next bytes to write, and returns the number of slices filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.slices_within(slices, usize::MAX)
    }

    /// Fills `slices` with at most `bytes_max` of the next bytes to write, and returns the number
    /// of slices filled.
    pub fn slices_within<'a>(&'a self, slices: &mut [IoSlice<'a>], bytes_max: usize) -> usize {
        let segments = self.segments.iter().map(|segment| &segment[..]);
        let tail = &self.tail[self.tail_read..];
        let pieces = segments.chain((!tail.is_empty()).then_some(tail));
        let mut filled = 0;
        let mut left = bytes_max;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            if left == 0 {
                break;
            }
            let piece = &piece[..piece.len().min(left)];
            left -= piece.len();
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// Removes written bytes.
    ///
    /// # Panics
    ///
    /// Panics if fewer bytes wait.
    pub fn consume(&mut self, mut bytes: usize) {
        assert!(bytes <= self.len(), "consumed more than was queued");
        self.consumed += bytes as u64;
        while let Some(segment) = self.segments.front_mut() {
            let part = bytes.min(segment.len());
            segment.advance(part);
            bytes -= part;
            self.segments_len -= part;
            if !segment.is_empty() {
                break;
            }
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.segments = VecDeque::new();
            }
        }
        self.tail_read += bytes;
        if self.tail_read == self.tail.len() {
            self.tail.clear();
            self.tail_read = 0;
        } else if self.tail_read >= COMPACT_BYTES_MIN && self.tail_read >= self.tail.len() / 2 {
            // A tail that is never written to its end must not keep the consumed bytes.
            self.tail.drain(..self.tail_read);
            self.tail_read = 0;
        }
        if self.pongs.queued > 0 && self.consumed >= self.pongs.end {
            self.pongs.queued = 0;
            if let Some(pong) = self.pongs.deferred.take() {
                self.push_pong(&pong);
            }
        }
    }

    /// Returns true if there is no buffer to fill.
    #[inline]
    pub fn wants_buffer(&self) -> bool {
        self.tail.capacity() == 0
    }

    /// Takes an empty buffer to fill, unless there is one already.
    #[inline]
    pub fn lend(&mut self, buffer: Vec<u8>) {
        if self.tail.capacity() == 0 {
            self.tail = buffer;
            self.tail.clear();
        }
    }

    /// Gives the buffer back if there is one and everything was consumed.
    #[inline]
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        (self.is_empty() && self.tail.capacity() > 0).then(|| std::mem::take(&mut self.tail))
    }

    /// Returns the buffer to which whole frames are appended.
    #[inline]
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends bytes that are shared instead of copied.
    pub(super) fn push_shared(&mut self, bytes: Bytes) {
        if self.tail.len() > self.tail_read {
            let mut before = Bytes::from(std::mem::take(&mut self.tail));
            before.advance(std::mem::take(&mut self.tail_read));
            self.segments_len += before.len();
            self.segments.push_back(before);
        }
        self.segments_len += bytes.len();
        self.segments.push_back(bytes);
    }

    /// Appends a pong. While many wait, keeps it instead, in place of an older one.
    ///
    /// RFC 6455, 5.5.3: "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in
    /// response to previous Ping frame(s), the endpoint MAY elect to send a Pong frame for only the
    /// most recently processed Ping frame."
    pub(super) fn push_pong(&mut self, pong: &ControlFrame) {
        if self.pongs.queued >= PONGS_QUEUED_MAX {
            self.pongs.deferred = Some(Box::new(*pong));
            return;
        }
        self.tail.extend_from_slice(pong.as_slice());
        self.pongs.queued += 1;
        self.pongs.end = self.consumed + self.len() as u64;
    }

    pub(super) fn push_control(&mut self, frame: &ControlFrame) {
        self.tail.extend_from_slice(frame.as_slice());
    }

    /// Drops the pong that was kept, as nothing may follow a close frame.
    pub(super) fn drop_deferred_pong(&mut self) {
        self.pongs.deferred = None;
    }

    /// Drops everything that waits.
    pub(super) fn clear(&mut self) {
        self.consumed += self.len() as u64;
        self.segments = VecDeque::new();
        self.segments_len = 0;
        self.tail.clear();
        self.tail_read = 0;
        self.pongs.deferred = None;
    }
}

/// The most pongs in the queue. Of further ones only the newest is kept.
const PONGS_QUEUED_MAX: u8 = 16;
/// The number of consumed bytes from which on the rest of the tail is moved to its start. For less
/// the copy costs more than it saves.
const COMPACT_BYTES_MIN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: &mut Output, at_most: usize) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = output.slices(&mut slices);
        let bytes: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .take(at_most)
            .collect();
        output.consume(bytes.len());
        bytes
    }

    #[test]
    fn slices_end_at_their_bound_within_a_piece_or_behind_one() {
        let mut output = Output::default();
        output.push_shared(Bytes::from_static(b"shared"));
        output.tail().extend_from_slice(b"after");
        for (bytes_max, pieces) in [
            (0, &[][..]),
            (1, &[&b"s"[..]]),
            (6, &[b"shared"]),
            (7, &[b"shared", b"a"]),
            (99, &[b"shared", b"after"]),
        ] {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = output.slices_within(&mut slices, bytes_max);
            let filled: Vec<&[u8]> = slices[..filled].iter().map(|slice| &**slice).collect();
            assert_eq!(filled, pieces, "{bytes_max}");
        }
    }

    #[test]
    fn shared_bytes_keep_their_place_at_every_write_size() {
        for size in 1..30 {
            let mut output = Output::default();
            output.tail().extend_from_slice(b"before");
            output.push_shared(Bytes::from_static(b"shared one"));
            output.push_shared(Bytes::from_static(b"shared two"));
            output.tail().extend_from_slice(b"after");
            let mut all = Vec::new();
            while !output.is_empty() {
                all.extend(written(&mut output, size));
            }
            assert_eq!(all, b"beforeshared oneshared twoafter");
            assert_eq!(output.segments.capacity(), 0);
        }
    }

    #[test]
    fn consumed_bytes_do_not_pile_up_while_the_tail_never_drains() {
        let mut output = Output::default();
        output.tail().extend_from_slice(&[0; 1000]);
        for _ in 0..10_000 {
            output.tail().extend_from_slice(&[0; 1000]);
            output.consume(1000);
        }
        assert!(
            output.tail.capacity() < 4 * COMPACT_BYTES_MIN,
            "{}",
            output.tail.capacity()
        );
    }

    #[test]
    fn buffer_is_reclaimed_only_when_everything_was_consumed() {
        let mut output = Output::default();
        output.lend(Vec::with_capacity(100));
        output.tail().push(1);
        assert!(output.reclaim().is_none());
        output.consume(1);
        assert_eq!(output.reclaim().unwrap().capacity(), 100);
        assert!(output.reclaim().is_none());
    }
}
