//! Takes messages of any size in parts and answers with their length and checksum; sends messages of any size in parts when asked to.
//!
//! Neither is ever in memory as a whole.

mod checksum;

use std::collections::{HashMap, VecDeque};

use wsrun_guest::{
    Chunk, ChunkError, CloseInfo, Connection, Handler, MessageKind, close_code, handler,
};

use crate::checksum::Checksum;

/// The longest text that is looked at for a command.
const COMMAND_BYTES_MAX: usize = 32;

/// Nothing is read while as many answers wait.
const ANSWERS_MAX: usize = 16;

/// What is sent, again and again: byte `i` of a message is `i % 256`.
static PART: [u8; 64 * 1024] = part();

const fn part() -> [u8; 64 * 1024] {
    let mut part = [0; 64 * 1024];
    let mut index = 0;
    while index < part.len() {
        part[index] = (index % 256) as u8;
        index += 1;
    }
    part
}

#[derive(Default)]
struct Upload {
    peers: HashMap<Connection, Peer>,
}

#[derive(Default)]
struct Peer {
    incoming: Option<Incoming>,
    /// In the order of what they answer. The queue has no room for the first of them yet.
    answers: VecDeque<Answer>,
}

/// The message that is coming in.
#[derive(Default)]
struct Incoming {
    checksum: Checksum,
    /// Its beginning, if it is a text.
    text: Vec<u8>,
}

enum Answer {
    /// Length and checksum of a message.
    Text(String),
    /// A message that was asked for; its own length and checksum follow.
    Message(Outgoing),
}

/// A message that goes out.
struct Outgoing {
    checksum: Checksum,
    bytes_left: u64,
}

#[handler]
impl Handler for Upload {
    fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
        let peer = self.peers.entry(connection).or_default();
        let mut incoming = peer.incoming.take().unwrap_or_default();
        incoming.update(&chunk);
        if !chunk.last {
            peer.incoming = Some(incoming);
            return;
        }
        peer.answers.push_back(match parse_send(&incoming.text) {
            Some(bytes) => Answer::Message(Outgoing::new(bytes)),
            None => Answer::Text(incoming.checksum.to_string()),
        });
        peer.send(connection);
    }

    fn writable(&mut self, connection: Connection) {
        if let Some(peer) = self.peers.get_mut(&connection) {
            peer.send(connection);
        }
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        self.peers.remove(&connection);
    }
}

impl Peer {
    /// Sends what there is to send, as far as it goes. No more is read while many answers wait.
    fn send(&mut self, connection: Connection) {
        match self.send_until_full(connection) {
            Ok(()) => {}
            Err(ChunkError::QueueFull { .. }) => connection.want_writable(),
            Err(error) => connection.close(close_code::MESSAGE_TOO_BIG, &error.to_string()),
        }
        connection.receive_flow(self.answers.len() < ANSWERS_MAX);
    }

    fn send_until_full(&mut self, connection: Connection) -> Result<(), ChunkError> {
        while let Some(answer) = self.answers.front_mut() {
            match answer {
                Answer::Text(text) => {
                    connection.send_chunk(MessageKind::Text, text.as_bytes(), true)?;
                    self.answers.pop_front();
                }
                Answer::Message(message) => {
                    message.send(connection)?;
                    *answer = Answer::Text(message.checksum.to_string());
                }
            }
        }
        Ok(())
    }
}

impl Incoming {
    fn update(&mut self, chunk: &Chunk) {
        self.checksum.update(&chunk.data);
        if chunk.kind == MessageKind::Text {
            // One byte more than a command has tells that it is none.
            let room = COMMAND_BYTES_MAX + 1 - self.text.len();
            let beginning = &chunk.data[..chunk.data.len().min(room)];
            self.text.extend_from_slice(beginning);
        }
    }
}

impl Outgoing {
    fn new(bytes: u64) -> Self {
        Self {
            checksum: Checksum::default(),
            bytes_left: bytes,
        }
    }

    fn send(&mut self, connection: Connection) -> Result<(), ChunkError> {
        loop {
            let length = usize::try_from(self.bytes_left).unwrap_or(usize::MAX);
            let part = &PART[..PART.len().min(length)];
            let last = part.len() == length;
            connection.send_chunk(MessageKind::Binary, part, last)?;
            self.checksum.update(part);
            self.bytes_left -= part.len() as u64;
            if last {
                return Ok(());
            }
        }
    }
}

/// `send N`.
fn parse_send(text: &[u8]) -> Option<u64> {
    if text.len() > COMMAND_BYTES_MAX {
        return None;
    }
    let number = str::from_utf8(text)
        .ok()?
        .trim_end()
        .strip_prefix("send ")?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_short_text_is_a_command() {
        assert_eq!(parse_send(b"send 1073741824"), Some(1 << 30));
        assert_eq!(parse_send(b"send 0\n"), Some(0));
        assert_eq!(parse_send(b"send -1"), None);
        assert_eq!(parse_send(b"sending 1"), None);
        assert_eq!(parse_send(b""), None);
        assert_eq!(parse_send(b"send 0000000000000000000000000001"), None);
    }
}
