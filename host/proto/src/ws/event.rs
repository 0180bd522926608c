//! Events of a connection: messages, control frames and parts of messages.

use super::MessageKind;
use super::close::CloseFrame;

/// Something that the peer did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A part of a message, with [`Delivery::Chunks`].
    Chunk(Chunk<'a>),
    /// A ping, which has been answered.
    Ping(&'a [u8]),
    /// A pong.
    Pong {
        /// What the ping carried.
        payload: &'a [u8],
        /// Whether it answers the core's own ping.
        keep_alive: bool,
    },
    /// The peer's close frame, which has been answered. The connection is finished.
    Close(&'a CloseFrame),
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// What the message is.
    pub kind: MessageKind,
    /// The bytes. A chunk of a text message may end inside a character; all the text so far is valid UTF-8 otherwise.
    pub data: &'a [u8],
    /// Whether the message begins here.
    pub first: bool,
    /// Whether the message ends here.
    pub fin: bool,
    /// The payload bytes still to come in the current frame: before decompression, if the message is compressed.
    pub remaining: u64,
}
