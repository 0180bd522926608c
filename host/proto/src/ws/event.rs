//! Events of a connection: messages, parts of messages, and control frames.

use super::MessageKind;
use super::close::CloseFrame;

/// An event that the peer caused.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A part of a message, with [`Delivery::Chunks`](super::Delivery::Chunks).
    Chunk(Chunk<'a>),
    /// A ping, which was answered already.
    Ping(&'a [u8]),
    /// A pong.
    Pong {
        /// The payload of the ping that it answers.
        payload: &'a [u8],
        /// True if the core sent that ping itself.
        keep_alive: bool,
    },
    /// The peer's close frame, which was answered already. The connection is finished.
    Close(&'a CloseFrame),
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The type of the message.
    pub kind: MessageKind,
    /// The bytes. A chunk of a text message may end inside a character; otherwise all the text so
    /// far is valid UTF-8.
    pub data: &'a [u8],
    /// True in the first chunk of a message.
    pub first: bool,
    /// True in the last chunk of a message.
    pub fin: bool,
    /// The payload bytes still to come in the current frame, before decompression if the message is
    /// compressed.
    pub remaining: u64,
}
