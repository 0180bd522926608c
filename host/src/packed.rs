//! Several messages in one piece of memory, as `wsrun:websocket/packed` has them: for each 4 bytes, little-endian, with the kind in the highest
//! bit and the number of payload bytes in the others, and then these.

use wsrun_proto::ws::MessageKind;

/// Bytes before each payload.
pub(crate) const PREFIX_BYTES: usize = 4;

/// What a message takes of the room that a handler is told of, beside its payload: the longest header of a frame.
pub(crate) const ROOM_OVERHEAD: usize = 14;

/// The room that a handler is told of, at most.
pub(crate) const ROOM_MAX: usize = 256 * 1024;

/// Set for a text.
const TEXT: u32 = 1 << 31;

/// What stands before a payload of so many bytes, which are fewer than 2 GiB.
pub(crate) fn prefix(kind: MessageKind, payload_bytes: usize) -> [u8; PREFIX_BYTES] {
    let length = u32::try_from(payload_bytes).unwrap_or(u32::MAX) & !TEXT;
    let kind = match kind {
        MessageKind::Text => TEXT,
        MessageKind::Binary => 0,
    };
    (length | kind).to_le_bytes()
}

/// The messages, and none for what is not one.
pub(crate) fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages(bytes)
}

pub(crate) struct Messages<'a>(&'a [u8]);

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
