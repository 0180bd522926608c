//! Several messages in one piece of memory, in the format of `wsrun:websocket/packed`: before each
//! payload stand 4 bytes, little-endian, with the kind in the highest bit and the number of payload
//! bytes in the others.

use wsrun_proto::ws::MessageKind;

/// Bytes of the prefix before each payload.
pub const PREFIX_BYTES: usize = 4;

/// Bytes of the room (as handlers see it) that a message takes in addition to its payload: the
/// longest header of a frame.
pub const ROOM_OVERHEAD: usize = 14;

/// The largest room, in bytes, that a handler is given.
pub const ROOM_MAX: usize = 256 * 1024;

/// The bit of the prefix that is set for a text message.
const TEXT: u32 = 1 << 31;

/// Returns the prefix of a payload of `payload_bytes`, which must be fewer than 2 GiB.
pub fn prefix(kind: MessageKind, payload_bytes: usize) -> [u8; PREFIX_BYTES] {
    let length = u32::try_from(payload_bytes).unwrap_or(u32::MAX) & !TEXT;
    let kind = match kind {
        MessageKind::Text => TEXT,
        MessageKind::Binary => 0,
    };
    (length | kind).to_le_bytes()
}

/// Returns an iterator over the messages. When the rest is not a whole message, the iterator yields
/// none once and ends.
#[inline]
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages(bytes)
}

pub struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Option<(MessageKind, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let message = self.split();
        if message.is_none() {
            self.0 = &[];
        }
        Some(message)
    }
}

impl<'a> Messages<'a> {
    fn split(&mut self) -> Option<(MessageKind, &'a [u8])> {
        let (prefix, rest) = self.0.split_first_chunk()?;
        let prefix = u32::from_le_bytes(*prefix);
        let kind = match prefix & TEXT {
            0 => MessageKind::Binary,
            _ => MessageKind::Text,
        };
        let length = usize::try_from(prefix & !TEXT).ok()?;
        let (payload, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((kind, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(all: &[(MessageKind, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, payload) in all {
            bytes.extend(prefix(*kind, payload.len()));
            bytes.extend(*payload);
        }
        bytes
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let all: [(MessageKind, &[u8]); 4] = [
            (MessageKind::Text, b"text"),
            (MessageKind::Binary, &[]),
            (MessageKind::Binary, &[7; 1000]),
            (MessageKind::Text, &[]),
        ];
        let bytes = packed(&all);
        let unpacked: Option<Vec<_>> = messages(&bytes).collect();
        assert_eq!(unpacked.as_deref(), Some(all.as_slice()));
    }

    #[test]
    fn every_cut_is_noticed_once() {
        let bytes = packed(&[(MessageKind::Text, b"one"), (MessageKind::Binary, b"two")]);
        for end in 1..bytes.len() {
            let unpacked: Vec<_> = messages(&bytes[..end]).collect();
            let broken = unpacked.iter().filter(|message| message.is_none()).count();
            assert_eq!(broken, usize::from(end != 7), "cut at {end}");
        }
    }
}
