//! What is sent, made once: nothing is framed, masked or compressed while the clock runs.

use std::io::Write as _;

use anyhow::{Context as _, bail, ensure};
use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder};

/// A message and the frame that carries it to the server.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) payload: Vec<u8>,
    pub(crate) frame: Vec<u8>,
}

impl Message {
    /// A message of `size` bytes, which are ASCII, without a line end.
    pub(crate) fn plain(size: usize, text: bool) -> Self {
        let payload: Vec<u8> = (0..size).map(|n| b'a' + (n % 26) as u8).collect();
        let opcode = if text { TEXT } else { BINARY };
        let frame = masked(FIN | opcode, &payload);
        Self { payload, frame }
    }

    /// Text that looks like an application's, compressed as permessage-deflate without context takeover has it.
    pub(crate) fn deflated(size: usize) -> anyhow::Result<Self> {
        let mut payload = Vec::with_capacity(size + 80);
        let mut n = 0_u32;
        while payload.len() < size {
            n += 1;
            write!(
                payload,
                r#"{{"id":{n},"user":"user{}","score":{},"text":"message number {n}"}},"#,
                n * 7919 % 1000,
                n * 104_729 % 100_000
            )?;
        }
        payload.truncate(size);
        let frame = masked(FIN | RSV1 | TEXT, &deflate(&payload)?);
        Ok(Self { payload, frame })
    }

    /// The same bytes without WebSocket: what the raw servers are sent.
    pub(crate) fn as_server_frame(&self) -> Vec<u8> {
        let mut frame = head(FIN | BINARY, 0, self.payload.len());
        frame.extend_from_slice(&self.payload);
        frame
    }
}

/// A close frame with code 1000.
pub(crate) fn close_frame() -> Vec<u8> {
    masked(FIN | CLOSE, &1000_u16.to_be_bytes())
}

/// What a connection is expected to send: one reply over and over. Comparing with it checks every byte and costs a `memcmp`.
#[derive(Debug)]
pub(crate) struct Expected {
    stream: Vec<u8>,
    period: usize,
}

impl Expected {
    /// The longest read that can be compared at once.
    pub(crate) const READ_BYTES_MAX: usize = 256 * 1024;

    pub(crate) fn new(reply: &[u8]) -> Self {
        let period = reply.len();
        let wanted = period + Self::READ_BYTES_MAX;
        let stream = reply.iter().copied().cycle().take(wanted).collect();
        Self { stream, period }
    }

    /// The bytes of one reply.
    pub(crate) fn period(&self) -> usize {
        self.period
    }

    /// Whether `bytes` go on where `offset` bytes had come.
    #[inline]
    pub(crate) fn matches(&self, offset: u64, bytes: &[u8]) -> bool {
        let at = (offset % self.period as u64) as usize;
        self.stream[at..at + bytes.len()] == *bytes
    }
}

/// The first message of a server's bytes: how many bytes it took, fragments and all, and whether it is `payload`. `None` if there is more
/// to come.
pub(crate) fn first_message(bytes: &[u8], payload: &[u8]) -> anyhow::Result<Option<usize>> {
    let mut at = 0;
    let mut message = Vec::new();
    let mut compressed = false;
    loop {
        let Some((&[first, second], mut rest)) = bytes[at..].split_first_chunk() else {
            return Ok(None);
        };
        ensure!(second & MASKED == 0, "the server masked a frame");
        let length = match second {
            126 => {
                let Some((length, after)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                rest = after;
                u64::from(u16::from_be_bytes(*length))
            }
            127 => {
                let Some((length, after)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                rest = after;
                u64::from_be_bytes(*length)
            }
            short => u64::from(short),
        };
        let length = usize::try_from(length)?;
        let Some(piece) = rest.get(..length) else {
            return Ok(None);
        };
        let opcode = first & 0x0f;
        if opcode >= CLOSE {
            bail!(
                "a control frame with opcode {opcode:#x} came in place of a message: {}",
                String::from_utf8_lossy(piece.get(2..).unwrap_or_default())
            );
        }
        compressed |= first & RSV1 != 0;
        message.extend_from_slice(piece);
        at = bytes.len() - rest.len() + length;
        if first & FIN != 0 {
            break;
        }
    }
    if compressed {
        message = inflate(&message).context("the reply does not inflate")?;
    }
    ensure!(
        message == payload,
        "the server sent back {} bytes that are not the message",
        message.len()
    );
    Ok(Some(at))
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, MASKED, payload.len());
    frame.extend_from_slice(&KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(b, k)| b ^ k));
    frame
}

fn head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    let mut head = vec![first];
    match length {
        0..=125 => head.push(mask | length as u8),
        126..=0xffff => {
            head.push(mask | 126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        0x1_0000.. => {
            head.push(mask | 127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

/// RFC 7692, 7.2.1: deflate, ended by an empty stored block, of which the last four bytes are left out.
fn deflate(payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(payload)?;
    encoder.flush()?;
    let mut compressed = encoder.get_ref().clone();
    ensure!(compressed.ends_with(&TAIL), "a flush ends a block");
    compressed.truncate(compressed.len() - TAIL.len());
    Ok(compressed)
}

fn inflate(compressed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut decoder = DeflateDecoder::new(Vec::new());
    decoder.write_all(compressed)?;
    decoder.write_all(&TAIL)?;
    decoder.flush()?;
    Ok(decoder.get_ref().clone())
}

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const MASKED: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_message_is_found_whole_at_no_earlier_byte() {
        let message = Message::plain(300, false);
        let reply = message.as_server_frame();
        for length in 0..reply.len() {
            let found = first_message(&reply[..length], &message.payload);
            assert_eq!(found.expect("it is no error"), None, "{length} bytes");
        }
        let twice = reply.repeat(2);
        let found = first_message(&twice, &message.payload).expect("it is right");
        assert_eq!(found, Some(reply.len()));
    }

    #[test]
    fn first_message_joins_fragments_and_refuses_another_payload() {
        let fragments = [&[BINARY, 2][..], b"ab", &[FIN, 1], b"c"].concat();
        let found = first_message(&fragments, b"abc").expect("it is right");
        assert_eq!(found, Some(fragments.len()));
        assert!(first_message(&fragments, b"abd").is_err());
    }

    #[test]
    fn deflated_message_inflates_to_its_payload() {
        let message = Message::deflated(1024).expect("it compresses");
        assert!(message.frame.len() < 600, "{}", message.frame.len());
        let compressed = deflate(&message.payload).expect("it compresses");
        let mut reply = head(FIN | RSV1 | TEXT, 0, compressed.len());
        reply.extend_from_slice(&compressed);
        let found = first_message(&reply, &message.payload).expect("it is right");
        assert_eq!(found, Some(reply.len()));
    }

    #[test]
    fn expected_stream_notices_each_changed_byte() {
        let expected = Expected::new(b"abcdef");
        assert!(expected.matches(6 * 7 + 4, b"efabcdefab"));
        for at in 0..10 {
            let mut wrong = *b"efabcdefab";
            wrong[at] ^= 1;
            assert!(!expected.matches(6 * 7 + 4, &wrong), "byte {at}");
        }
    }
}
