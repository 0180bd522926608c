//! Frames written by hand (RFC 6455, 5.2), the forbidden ones too.

/// Continuation of a message.
pub const CONTINUATION: u8 = 0x0;
/// Text.
pub const TEXT: u8 = 0x1;
/// Binary.
pub const BINARY: u8 = 0x2;
/// Close.
pub const CLOSE: u8 = 0x8;
/// Ping.
pub const PING: u8 = 0x9;
/// Pong.
pub const PONG: u8 = 0xA;

/// The first reserved bit: compressed (RFC 7692, 6).
pub const RSV1: u8 = 0x40;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame, to send or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The last of its message.
    pub last: bool,
    /// The reserved bits, where they stand in the first byte.
    pub reserved: u8,
    /// What it is.
    pub opcode: u8,
    /// Whether the payload is masked on the wire.
    pub masked: bool,
    /// The payload, not masked.
    pub payload: Vec<u8>,
    /// The length that the header tells, when it is not the payload's.
    pub declared_length: Option<u64>,
    /// Says the length in 8 bytes though fewer would do.
    pub longest_form: bool,
}

impl Frame {
    /// A masked frame that is a message of its own.
    pub fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        Self {
            last: true,
            reserved: 0,
            opcode,
            masked: true,
            payload: payload.as_ref().to_vec(),
            declared_length: None,
            longest_form: false,
        }
    }

    /// A close frame.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// The same with more fragments to come.
    pub fn to_be_continued(mut self) -> Self {
        self.last = false;
        self
    }

    /// The same without a mask, which only a server may send.
    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    /// The same with reserved bits.
    pub fn reserved(mut self, bits: u8) -> Self {
        self.reserved = bits;
        self
    }

    /// The same with a header that tells another length.
    pub fn declaring(mut self, length: u64) -> Self {
        self.declared_length = Some(length);
        self
    }

    /// The same with the length in 8 bytes.
    pub fn in_longest_form(mut self) -> Self {
        self.longest_form = true;
        self
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.payload.len() + 14);
        self.encode_onto(&mut wire);
        wire
    }

    /// Appends the bytes on the wire.
    pub fn encode_onto(&self, wire: &mut Vec<u8>) {
        wire.push(u8::from(self.last) << 7 | self.reserved | self.opcode);
        let mask_bit = u8::from(self.masked) << 7;
        let length = self.declared_length.unwrap_or(self.payload.len() as u64);
        match length {
            0..=125 if !self.longest_form => wire.push(mask_bit | length as u8),
            126..=0xffff if !self.longest_form => {
                wire.push(mask_bit | 126);
                wire.extend((length as u16).to_be_bytes());
            }
            _ => {
                wire.push(mask_bit | 127);
                wire.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            wire.extend(MASK);
            wire.extend(
                self.payload
                    .iter()
                    .zip(MASK.iter().cycle())
                    .map(|(byte, key)| byte ^ key),
            );
        } else {
            wire.extend(&self.payload);
        }
    }

    /// Takes one whole frame off the front of the input, if one is there.
    pub fn decode(input: &mut Vec<u8>) -> Option<Self> {
        let [first, second] = *input.first_chunk()?;
        let (header, length) = match second & 0x7f {
            126 => (
                4,
                u64::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?)),
            ),
            127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?)),
            short => (2, u64::from(short)),
        };
        let masked = second & 0x80 != 0;
        let start = header + if masked { 4 } else { 0 };
        let end = start + usize::try_from(length).expect("a frame of the server fits in memory");
        if input.len() < end {
            return None;
        }
        let key = if masked {
            input[header..start].to_vec()
        } else {
            vec![0; 4]
        };
        let payload = input[start..end]
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key)
            .collect();
        input.drain(..end);
        Some(Self {
            last: first & 0x80 != 0,
            reserved: first & 0x70,
            opcode: first & 0x0f,
            masked,
            payload,
            declared_length: None,
            longest_form: false,
        })
    }

    /// The payload as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the payload is UTF-8")
    }

    /// Whether it is a ping that the server asks on its own with, whether its peer is there.
    pub fn is_keep_alive(&self) -> bool {
        self.opcode == PING && self.payload.len() == 8 && self.payload.starts_with(b"wsrn")
    }

    /// Code and reason of a close frame; 1005 when it has none.
    pub fn close_info(&self) -> (u16, &str) {
        match self.payload.first_chunk() {
            Some(code) => (
                u16::from_be_bytes(*code),
                std::str::from_utf8(&self.payload[2..]).expect("a reason is UTF-8"),
            ),
            None => (1005, ""),
        }
    }
}
