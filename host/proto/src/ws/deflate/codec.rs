//! Compression contexts: RFC 7692, 7.2.

use std::fmt;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::Settings;
use crate::ws::error::ProtocolError;

/// The contexts of connections without context takeover, shared by the connections of a thread.
#[derive(Default)]
pub(in crate::ws) struct Pool {
    deflaters: Vec<(Settings, Deflate)>,
    inflaters: Vec<Inflater>,
}

impl Pool {
    pub(in crate::ws) fn take_deflater(&mut self, settings: Settings) -> Deflate {
        match self.deflaters.iter().position(|(key, _)| *key == settings) {
            Some(position) => self.deflaters.swap_remove(position).1,
            None => new_deflater(settings),
        }
    }

    pub(in crate::ws) fn return_deflater(&mut self, settings: Settings, mut deflater: Deflate) {
        deflater.reset();
        if self.deflaters.len() >= DEFLATERS_MAX {
            // The oldest is dropped, so that settings that are no longer in use do not keep new
            // ones out.
            self.deflaters.remove(0);
        }
        self.deflaters.push((settings, deflater));
    }

    pub(in crate::ws) fn take_inflater(&mut self) -> Inflater {
        self.inflaters.pop().unwrap_or_else(Inflater::new)
    }

    pub(in crate::ws) fn return_inflater(&mut self, mut inflater: Inflater) {
        if self.inflaters.len() < INFLATERS_MAX {
            inflater.reset();
            self.inflaters.push(inflater);
        }
    }
}

/// The contexts of a connection with context takeover.
#[derive(Default)]
pub(in crate::ws) struct Contexts {
    deflater: Option<Deflate>,
    pub(in crate::ws) inflater: Option<Inflater>,
}

impl Contexts {
    pub(in crate::ws) fn deflater(&mut self, settings: Settings) -> &mut Deflate {
        self.deflater.get_or_insert_with(|| new_deflater(settings))
    }
}

impl fmt::Debug for Contexts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Contexts").finish_non_exhaustive()
    }
}

fn new_deflater(settings: Settings) -> Deflate {
    Deflate::new_with_config(zlib_rs::DeflateConfig {
        // A negative number means raw DEFLATE data, without the header of zlib.
        window_bits: -i32::from(settings.window_bits),
        level: i32::from(settings.level),
        mem_level: i32::from(settings.mem_level),
        ..zlib_rs::DeflateConfig::default()
    })
}

/// Compresses a whole message into `compressed`, which is cleared first.
pub(in crate::ws) fn deflate(
    deflater: &mut Deflate,
    message: &[u8],
    step: &mut [u8],
    compressed: &mut Vec<u8>,
) {
    compressed.clear();
    if message.is_empty() {
        // RFC 7692, 7.2.3.6: the empty message. zlib does not flush if there is nothing to flush.
        compressed.push(0);
        return;
    }
    let mut rest = message;
    loop {
        let (total_in, total_out) = (deflater.total_in(), deflater.total_out());
        deflater
            .compress(rest, step, DeflateFlush::SyncFlush)
            .expect("a compressor that is only ever flushed is in a consistent state");
        let consumed = (deflater.total_in() - total_in) as usize;
        let produced = (deflater.total_out() - total_out) as usize;
        compressed.extend_from_slice(&step[..produced]);
        rest = &rest[consumed..];
        // A flush is complete when it leaves room.
        if produced < step.len() {
            break;
        }
    }
    debug_assert!(rest.is_empty() && compressed.ends_with(&FLUSH_TAIL));
    compressed.truncate(compressed.len() - FLUSH_TAIL.len());
}

/// A decompressor. It accepts any window up to 15 bits, whatever was agreed, because its memory
/// does not depend on it.
pub(in crate::ws) struct Inflater {
    inflate: Inflate,
    /// True once a block said that it is the last one. Data after it starts a new stream.
    ended: bool,
    /// True once the data is invalid.
    failed: bool,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inflater").finish_non_exhaustive()
    }
}

/// The result of one step of inflating.
#[derive(Debug, Clone, Copy)]
pub(in crate::ws) struct Inflated {
    pub(in crate::ws) consumed: usize,
    pub(in crate::ws) produced: usize,
}

impl Inflater {
    fn new() -> Self {
        Self {
            inflate: Inflate::new(false, super::WINDOW_BITS_MAX),
            ended: false,
            failed: false,
        }
    }

    fn reset(&mut self) {
        self.inflate.reset(false);
        self.ended = false;
        self.failed = false;
    }

    /// Fails if the data is invalid. The caller has delivered the valid data before it.
    pub(in crate::ws) fn check(&self) -> Result<(), ProtocolError> {
        if self.failed {
            Err(ProtocolError::DeflateInvalid)
        } else {
            Ok(())
        }
    }

    /// Inflates part of `input` into `output`. Once all input is consumed and `output` has room
    /// left, everything is inflated.
    pub(in crate::ws) fn inflate(
        &mut self,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<Inflated, ProtocolError> {
        self.check()?;
        if self.ended && !input.is_empty() {
            // RFC 7692, 7.2.3.4: a block with BFINAL may be followed by others. A compressor that
            // finishes its stream starts over with an empty window, and so do we.
            self.inflate.reset(false);
            self.ended = false;
        }
        let (total_in, total_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, output, InflateFlush::SyncFlush);
        let consumed = (self.inflate.total_in() - total_in) as usize;
        let produced = (self.inflate.total_out() - total_out) as usize;
        match status {
            Ok(Status::StreamEnd) => self.ended = true,
            Ok(Status::Ok | Status::BufError) => {
                self.failed = consumed == 0 && produced == 0 && !input.is_empty();
            }
            // Output before the invalid data is delivered first, so that the error does not depend
            // on how the peer's bytes were split.
            Err(_) => self.failed = true,
        }
        if self.failed && produced == 0 {
            return Err(ProtocolError::DeflateInvalid);
        }
        Ok(Inflated { consumed, produced })
    }

    /// Inflates the rest after the whole payload was consumed. Returns the number of bytes
    /// produced, and true once that was all.
    ///
    /// RFC 7692, 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload". A
    /// whole message ends with the header of an empty block, and these octets are the lengths in
    /// that block: all four are consumed, produce nothing, and end a block. One more byte is
    /// offered, which must then be left over. Otherwise the payload was cut short: its last block
    /// would consume the four octets, and more of what follows, as its own data.
    pub(in crate::ws) fn finish(
        &mut self,
        output: &mut [u8],
    ) -> Result<(usize, bool), ProtocolError> {
        let pending = self.inflate(&[], output)?.produced;
        if pending > 0 || self.failed {
            return Ok((pending, false));
        }
        if self.ended {
            // The payload ended with a block that was marked as the last one, so that there is no
            // header of an empty block.
            return Ok((0, true));
        }
        let (total_in, total_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(&FLUSH_TAIL_AND_ONE_MORE, output, InflateFlush::Block);
        let is_whole = status == Ok(Status::Ok)
            && self.inflate.total_in() - total_in == FLUSH_TAIL.len() as u64
            && self.inflate.total_out() == total_out;
        if !is_whole {
            self.failed = true;
            return Err(ProtocolError::DeflateInvalid);
        }
        Ok((0, true))
    }
}

/// The bytes at the end of a flush, which are left out on the wire.
const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The end of a flush and one more byte, which is not a valid header of a block.
const FLUSH_TAIL_AND_ONE_MORE: [u8; 5] = [0x00, 0x00, 0xff, 0xff, 0xff];
/// The most deflaters that are kept: one for each of a few settings in use, about 370 KiB each.
const DEFLATERS_MAX: usize = 4;
/// The most inflaters that are kept, 46 KiB each. A message that arrives in pieces holds one.
const INFLATERS_MAX: usize = 8;
