//! Masking of payloads: RFC 6455, 5.3.

/// A masking key at its position in a payload, so that a payload can be unmasked in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    key: [u8; 4],
}

impl Mask {
    /// Makes the mask for the first byte of a payload.
    #[inline]
    pub fn new(key: [u8; 4]) -> Self {
        Self { key }
    }

    /// Masks or unmasks the next piece of the payload in place.
    #[inline]
    pub fn apply(&mut self, piece: &mut [u8]) {
        apply(self.key, piece);
        self.skip(piece.len());
    }

    /// Skips a piece of the payload without changing it.
    #[inline]
    pub fn skip(&mut self, bytes: usize) {
        let turn = (bytes % 4) as u32;
        self.key = u32::from_le_bytes(self.key)
            .rotate_right(8 * turn)
            .to_le_bytes();
    }
}

/// Masks or unmasks a whole payload in place.
#[inline]
pub fn apply(key: [u8; 4], payload: &mut [u8]) {
    let [a, b, c, d] = key;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let rest = if payload.len() < BLOCK_BYTES {
        payload
    } else {
        apply_blocks(word, payload)
    };
    let (words, rest) = rest.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    let (halves, rest) = rest.as_chunks_mut::<4>();
    for bytes in halves {
        *bytes = (u32::from_ne_bytes(*bytes) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Masks or unmasks whole blocks, which the compiler turns into vector instructions, and returns
/// the rest. Not inlined: next to short payloads its set-up costs more than it saves.
#[inline(never)]
fn apply_blocks(word: u64, payload: &mut [u8]) -> &mut [u8] {
    let (blocks, rest) = payload.as_chunks_mut::<BLOCK_BYTES>();
    for block in blocks {
        let (words, _) = block.as_chunks_mut::<8>();
        for bytes in words {
            *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    rest
}

const BLOCK_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn slowly(key: [u8; 4], payload: &mut [u8]) {
        for (position, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[position % 4];
        }
    }

    #[test]
    fn apply_equals_the_definition_at_every_length() {
        let key = [0x12, 0x34, 0xab, 0xff];
        for length in 0..300 {
            let mut expected: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut masked = expected.clone();
            slowly(key, &mut expected);
            apply(key, &mut masked);
            assert_eq!(masked, expected, "length {length}");
        }
    }

    #[test]
    fn mask_turns_the_key_when_a_payload_is_cut_anywhere() {
        let key = [1, 2, 3, 4];
        let mut expected = vec![0x55; 150];
        slowly(key, &mut expected);
        for first in 0..80 {
            for second in first..80 {
                let mut pieces = vec![0x55; 150];
                let mut mask = Mask::new(key);
                let (left, right) = pieces.split_at_mut(second);
                let (left, middle) = left.split_at_mut(first);
                mask.apply(left);
                mask.apply(middle);
                mask.apply(right);
                assert_eq!(pieces, expected, "cut at {first} and {second}");
            }
        }
    }
}
