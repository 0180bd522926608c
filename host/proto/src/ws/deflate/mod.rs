//! permessage-deflate: RFC 7692.
//!
//! Without context takeover, which is the default, a connection holds no compression state between
//! two messages: the contexts belong to the [`Scratch`](super::Scratch) of its thread. With context
//! takeover a connection keeps up to about 370 KiB for sending and 46 KiB for receiving.

mod codec;
mod negotiate;

pub(in crate::ws) use codec::{Contexts, Inflater, Pool, deflate};
pub use negotiate::{DeflateResponseError, agree, negotiate, offer};

use super::Role;

/// The settings of this side for permessage-deflate. A value out of range is replaced by the
/// nearest one in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateConfig {
    /// True if contexts may be kept from message to message. Compression is better then, for the
    /// memory of two contexts per connection.
    pub context_takeover: bool,
    /// The largest window, as a power of two: 9 to 15.
    pub window_bits_max: u8,
    /// The effort of compression: 1 to 9.
    pub level: u8,
    /// The memory of compression: 1 to 9.
    pub mem_level: u8,
    /// The smallest message that is compressed.
    pub message_bytes_min: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            context_takeover: false,
            window_bits_max: 15,
            level: 3,
            mem_level: 8,
            message_bytes_min: 64,
        }
    }
}

impl DeflateConfig {
    fn window_bits(&self) -> u8 {
        self.window_bits_max.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX)
    }
}

/// The parameters that both sides agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    server: Direction,
    client: Direction,
    level: u8,
    mem_level: u8,
    message_bytes_min: usize,
}

/// The parameters of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Direction {
    context_takeover: bool,
    window_bits: u8,
}

impl Agreed {
    fn new(config: &DeflateConfig, server: Direction, client: Direction) -> Self {
        Self {
            server,
            client,
            level: config.level.clamp(1, 9),
            mem_level: config.mem_level.clamp(1, 9),
            message_bytes_min: config.message_bytes_min,
        }
    }

    /// Returns true if `sender` keeps its context from message to message.
    pub fn context_takeover(&self, sender: Role) -> bool {
        self.direction(sender).context_takeover
    }

    /// Returns the window of `sender`, as a power of two.
    pub fn window_bits(&self, sender: Role) -> u8 {
        self.direction(sender).window_bits
    }

    /// Returns the size of the smallest message that is compressed.
    pub fn message_bytes_min(&self) -> usize {
        self.message_bytes_min
    }

    pub(in crate::ws) fn settings(&self, sender: Role) -> Settings {
        Settings {
            window_bits: self.direction(sender).window_bits,
            level: self.level,
            mem_level: self.mem_level,
        }
    }

    fn direction(&self, sender: Role) -> Direction {
        match sender {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }
}

/// The settings of a compressor. Compressors with equal settings are interchangeable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ws) struct Settings {
    window_bits: u8,
    level: u8,
    mem_level: u8,
}

/// The smallest window: zlib cannot compress with 8 bits.
const WINDOW_BITS_MIN: u8 = 9;
const WINDOW_BITS_MAX: u8 = 15;
