use crate::bindings::chunks::exports::wsrun::websocket::chunks;
use crate::bindings::handler::wsrun::websocket::types::{MessageParam, MessageResult};

/// What a message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Arbitrary bytes.
    Binary,
}

/// One whole message (RFC 6455, 5.6).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// UTF-8 text.
    Text(String),
    /// Arbitrary bytes.
    Binary(Vec<u8>),
}

impl Message {
    /// What it is made of.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// The text; `None` for a binary message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The payload, whichever kind it is.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload, whichever kind it is.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl From<MessageResult> for Message {
    fn from(message: MessageResult) -> Self {
        match message {
            MessageResult::Text(text) => Self::Text(text),
            MessageResult::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A message to send, borrowed: the host takes its own copy.
///
/// What sends takes `impl Into<MessageRef>`: a `&Message`, a `&str` or `&String` for text, a `&[u8]` or `&Vec<u8>` for binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageRef<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Arbitrary bytes.
    Binary(&'a [u8]),
}

impl<'a> MessageRef<'a> {
    pub(crate) fn into_param(self) -> MessageParam<'a> {
        match self {
            Self::Text(text) => MessageParam::Text(text),
            Self::Binary(bytes) => MessageParam::Binary(bytes),
        }
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => Self::Text(text),
            Message::Binary(bytes) => Self::Binary(bytes),
        }
    }
}

impl<'a> From<&'a str> for MessageRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for MessageRef<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for MessageRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for MessageRef<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for MessageRef<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A part of a message that the peer sent: see [`Handler::received_chunk`](crate::Handler::received_chunk).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The kind of the message, the same in all its parts.
    pub kind: MessageKind,
    /// The bytes, at most 256 KiB. A part of a text may end inside a character; all parts together are valid UTF-8.
    pub data: Vec<u8>,
    /// Whether the message begins here.
    pub first: bool,
    /// Whether the message ends here (`final` in the contract).
    pub last: bool,
    /// Payload bytes still to come in the current frame, before decompression; 0 at its end.
    pub remaining: u64,
}

impl From<chunks::Chunk> for Chunk {
    fn from(chunk: chunks::Chunk) -> Self {
        Self {
            kind: if chunk.text {
                MessageKind::Text
            } else {
                MessageKind::Binary
            },
            data: chunk.data,
            first: chunk.first,
            last: chunk.final_,
            remaining: chunk.remaining,
        }
    }
}
