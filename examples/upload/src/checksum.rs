//! The checksum that both sides can make of a message while it flows.

use std::fmt;

const WORD_BYTES: usize = 8;

/// Length and checksum of bytes that come in parts.
///
/// The checksum is the sum of the message's little-endian 64-bit words, the last one filled up with zeros, modulo 2^64.
#[derive(Clone, Default)]
pub(crate) struct Checksum {
    bytes: u64,
    sum: u64,
}

impl Checksum {
    pub(crate) fn update(&mut self, part: &[u8]) {
        // A part may begin in the middle of a word.
        let begun = (self.bytes % WORD_BYTES as u64) as usize;
        let head = (WORD_BYTES - begun) % WORD_BYTES;
        let (head, rest) = part.split_at(head.min(part.len()));
        let (words, tail) = rest.as_chunks::<WORD_BYTES>();
        let sum = words.iter().fold(partial(begun, head), |sum, word| {
            sum.wrapping_add(u64::from_le_bytes(*word))
        });
        self.sum = self.sum.wrapping_add(sum).wrapping_add(partial(0, tail));
        self.bytes += part.len() as u64;
    }
}

/// What bytes add that begin at `position` of a word and do not reach beyond it.
fn partial(position: usize, bytes: &[u8]) -> u64 {
    let mut word = [0; WORD_BYTES];
    word[position..position + bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// `BYTES CHECKSUM`: decimal, and 16 hexadecimal digits.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:016x}", self.bytes, self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_sum_of_words() {
        let mut checksum = Checksum::default();
        checksum.update(b"\x01\0\0\0\0\0\0\x80\x02\0\0\0\0\0\0\x80\x03");
        assert_eq!(checksum.to_string(), "17 0000000000000006");
    }

    #[test]
    fn checksum_does_not_depend_on_the_parts() {
        let message: Vec<u8> = (0..100_u8).map(|index| index.wrapping_mul(37)).collect();
        let mut whole = Checksum::default();
        whole.update(&message);
        for first in 0..message.len() {
            for second in first..message.len() {
                let mut parts = Checksum::default();
                parts.update(&message[..first]);
                parts.update(&message[first..second]);
                parts.update(&message[second..]);
                assert_eq!(parts.to_string(), whole.to_string(), "{first} {second}");
            }
        }
    }
}
