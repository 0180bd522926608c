//! Validation of UTF-8 that arrives in pieces. A bad byte is reported when it arrives, not when the
//! message ends.

/// The bytes of a character that was split between pieces.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Utf8 {
    carry: [u8; 4],
    carry_len: u8,
}

/// The error for text that cannot become UTF-8 by more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidUtf8;

impl Utf8 {
    /// Validates the next piece and passes the complete characters to `sink`.
    pub(super) fn push(
        &mut self,
        mut piece: &[u8],
        mut sink: impl FnMut(&str),
    ) -> Result<(), InvalidUtf8> {
        while self.carry_len > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            let length = usize::from(self.carry_len) + 1;
            // An unfinished character has at most three bytes, so a fourth has room.
            self.carry[length - 1] = byte;
            self.carry_len = length as u8;
            match std::str::from_utf8(&self.carry[..length]) {
                Ok(character) => {
                    sink(character);
                    self.carry_len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(InvalidUtf8),
            }
        }
        match simdutf8::compat::from_utf8(piece) {
            Ok(text) => {
                if !text.is_empty() {
                    sink(text);
                }
                Ok(())
            }
            Err(error) if error.error_len().is_none() => {
                let (whole, cut) = piece.split_at(error.valid_up_to());
                sink(simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?);
                self.carry[..cut.len()].copy_from_slice(cut);
                self.carry_len = cut.len() as u8;
                Ok(())
            }
            Err(_) => Err(InvalidUtf8),
        }
    }

    /// Checks that the text ended with a whole character, and starts a new text.
    pub(super) fn finish(&mut self) -> Result<(), InvalidUtf8> {
        if std::mem::take(&mut self.carry_len) == 0 {
            Ok(())
        } else {
            Err(InvalidUtf8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]]) -> Result<String, InvalidUtf8> {
        let mut text = String::new();
        let mut utf8 = Utf8::default();
        for piece in pieces {
            utf8.push(piece, |part| text.push_str(part))?;
        }
        utf8.finish()?;
        Ok(text)
    }

    #[test]
    fn text_cut_anywhere_comes_out_whole() {
        let text = "κόσμε 🦀 a\u{10ffff}\u{800}\u{7ff}";
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(
                    check(&pieces).as_deref(),
                    Ok(text),
                    "cut at {first} and {second}"
                );
            }
        }
    }

    #[test]
    fn bad_byte_is_told_at_once() {
        for bad in [
            &b"\xff"[..],
            b"\xc0",
            b"\xed\xa0",
            b"\xf4\x90",
            b"\xe0\x80",
            b"\xf0\x80",
            b"\xf5",
            b"\x80",
        ] {
            let mut utf8 = Utf8::default();
            let (last, before) = bad.split_last().unwrap();
            utf8.push(before, |_| {}).unwrap();
            assert_eq!(utf8.push(&[*last], |_| {}), Err(InvalidUtf8), "{bad:x?}");
            assert_eq!(
                Utf8::default().push(bad, |_| {}),
                Err(InvalidUtf8),
                "{bad:x?}"
            );
        }
    }

    #[test]
    fn text_that_ends_inside_a_character_is_invalid() {
        assert_eq!(check(&[b"ab\xe2\x82"]), Err(InvalidUtf8));
    }
}
