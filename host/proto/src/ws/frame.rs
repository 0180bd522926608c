//! Frame headers: RFC 6455, 5.2.

use super::error::ProtocolError;

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation,
    /// A text message or its first fragment.
    Text,
    /// A binary message or its first fragment.
    Binary,
    /// A close frame.
    Close,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
}

impl Opcode {
    /// Returns the opcode for four bits, if it is assigned.
    pub fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    /// Returns the four bits.
    pub fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Returns true for a control frame.
    pub fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Close | Self::Ping | Self::Pong => true,
        }
    }
}

/// A frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// True in the last frame of a message.
    pub fin: bool,
    /// The bit that marks a compressed message.
    pub rsv1: bool,
    /// The type of the frame.
    pub opcode: Opcode,
    /// The masking key, if the payload is masked.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload in bytes.
    pub length: u64,
}

impl Header {
    /// Reads a header from the start of `bytes`. Returns the header and its length, or `None` if
    /// more bytes are needed.
    ///
    /// # Errors
    ///
    /// Fails if a single frame breaks a rule: RSV2 or RSV3, the opcode, the form of the length, the
    /// shape of control frames. Each error is reported as soon as the byte that causes it has
    /// arrived. The caller checks RSV1 and the mask.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ProtocolError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        if first & (RSV2 | RSV3) != 0 {
            return Err(ProtocolError::ReservedBitsSet);
        }
        let bits = first & OPCODE_BITS;
        let opcode = Opcode::from_bits(bits).ok_or(ProtocolError::UnknownOpcode(bits))?;
        let (fin, rsv1) = (first & FIN != 0, first & RSV1 != 0);
        if opcode.is_control() && !fin {
            return Err(ProtocolError::ControlFrameFragmented);
        }
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let short = second & LENGTH_BITS;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(ProtocolError::ControlFrameTooLong);
        }
        let (length, rest) = match short {
            LENGTH_16 => {
                let Some((length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            LENGTH_64 => {
                let Some((length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        // RFC 6455, 5.2: "the minimal number of bytes MUST be used to encode the length"; "the most
        // significant bit MUST be 0".
        if length > i64::MAX as u64 {
            return Err(ProtocolError::LengthTopBitSet);
        }
        if (short == LENGTH_16 && length < 126)
            || (short == LENGTH_64 && length <= u64::from(u16::MAX))
        {
            return Err(ProtocolError::LengthNotMinimal);
        }
        let (mask, rest) = if second & MASKED != 0 {
            let Some((key, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (Some(*key), rest)
        } else {
            (None, rest)
        };
        Ok(Some((
            Self {
                fin,
                rsv1,
                opcode,
                mask,
                length,
            },
            bytes.len() - rest.len(),
        )))
    }

    /// Writes the header and returns its length.
    ///
    /// # Panics
    ///
    /// Panics if the length has its top bit set, which no payload in memory has.
    #[inline]
    pub fn encode(&self, header: &mut [u8; HEADER_BYTES_MAX]) -> usize {
        assert!(
            self.length <= i64::MAX as u64,
            "a payload length has 63 bits"
        );
        header[0] =
            self.opcode.bits() | if self.fin { FIN } else { 0 } | if self.rsv1 { RSV1 } else { 0 };
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        let length = match self.length {
            0..=125 => {
                header[1] = masked | self.length as u8;
                2
            }
            126..=0xffff => {
                header[1] = masked | LENGTH_16;
                header[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
                4
            }
            0x1_0000.. => {
                header[1] = masked | LENGTH_64;
                header[2..10].copy_from_slice(&self.length.to_be_bytes());
                10
            }
        };
        let Some(key) = self.mask else { return length };
        header[length..length + 4].copy_from_slice(&key);
        length + 4
    }
}

/// Returns the length of a header, as far as its first bytes determine it. The result grows until
/// it is the length of the whole header.
pub(super) fn header_bytes_wanted(bytes: &[u8]) -> usize {
    let Some(second) = bytes.get(1) else {
        return bytes.len() + 1;
    };
    let mask = if second & MASKED != 0 { 4 } else { 0 };
    match second & LENGTH_BITS {
        LENGTH_16 => 4 + mask,
        LENGTH_64 => 10 + mask,
        _ => 2 + mask,
    }
}

/// The longest header: two bytes, a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;
/// The longest payload of a control frame.
pub const CONTROL_BYTES_MAX: usize = 125;

pub(super) const FIN: u8 = 0x80;
pub(super) const MASKED: u8 = 0x80;
pub(super) const LENGTH_BITS: u8 = 0x7f;
/// The value of the seven length bits when a 16-bit length follows.
pub(super) const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const OPCODE_BITS: u8 = 0x0f;
