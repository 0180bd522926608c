//! Several messages in one call. What the handler answers to the connection they came from is gathered, and sent in one call too.
//!
//! Nothing of it shows: a message is gathered only where the host is sure to take it, and whatever else has an effect on the connection, or
//! tells of its queue, sends what was gathered before.

use std::cell::RefCell;

use crate::bindings::packed::wsrun::websocket::packed_send;
use crate::{Connection, Message, MessageRef};

/// Set in what stands before a text.
const TEXT: u32 = 1 << 31;

/// What a message takes of the room beside its payload.
const OVERHEAD: usize = 14;

struct Gathered {
    /// Whose messages are being received.
    connection: Option<Connection>,
    /// Bytes that it still takes for sure.
    room: usize,
    messages: Vec<u8>,
}

thread_local! {
    static GATHERED: RefCell<Gathered> = const {
        RefCell::new(Gathered { connection: None, room: 0, messages: Vec::new() })
    };
}

/// Has each of the packed messages received, and then sends what was gathered meanwhile.
pub(crate) fn each(
    connection: Connection,
    mut packed: &[u8],
    room: u32,
    mut receive: impl FnMut(Message),
) {
    GATHERED.with_borrow_mut(|gathered| {
        gathered.connection = Some(connection);
        gathered.room = usize::try_from(room).unwrap_or(usize::MAX);
    });
    while let Some((prefix, rest)) = packed.split_first_chunk() {
        let prefix = u32::from_le_bytes(*prefix);
        let length = usize::try_from(prefix & !TEXT).expect("memory has 32 bits");
        let (payload, rest) = rest.split_at(length);
        packed = rest;
        receive(if prefix & TEXT == 0 {
            Message::Binary(payload.to_vec())
        } else {
            Message::Text(String::from_utf8(payload.to_vec()).expect("the host checks texts"))
        });
    }
    flush();
    GATHERED.with_borrow_mut(|gathered| {
        gathered.connection = None;
        gathered.messages.shrink_to(BYTES_KEPT);
    });
}

const BYTES_KEPT: usize = 64 * 1024;

/// Keeps a message to be sent with others. False when it has to be sent at once.
pub(crate) fn gather(to: Connection, message: MessageRef<'_>) -> bool {
    GATHERED.with_borrow_mut(|gathered| {
        if gathered.connection != Some(to) {
            return false;
        }
        let (text, payload) = match message {
            MessageRef::Text(text) => (TEXT, text.as_bytes()),
            MessageRef::Binary(bytes) => (0, bytes),
        };
        let Some(left) = gathered.room.checked_sub(payload.len() + OVERHEAD) else {
            gathered.send();
            // What comes after it must not go before it, and is not sure to be taken.
            gathered.room = 0;
            return false;
        };
        gathered.room = left;
        let length = u32::try_from(payload.len()).expect("memory has 32 bits");
        gathered.messages.extend((length | text).to_le_bytes());
        gathered.messages.extend_from_slice(payload);
        true
    })
}

/// Sends what was gathered, and gathers no more during this call: something else is to have its effect behind it, and may take the room.
pub(crate) fn flush() {
    GATHERED.with_borrow_mut(|gathered| {
        gathered.send();
        gathered.room = 0;
    });
}

impl Gathered {
    fn send(&mut self) {
        if let Some(connection) = self.connection
            && !self.messages.is_empty()
        {
            packed_send::send(connection.id(), &self.messages);
            self.messages.clear();
        }
    }
}
