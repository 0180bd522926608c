//! Many messages in one callback, up to the first that is not taken.

use wsrun_guest::{Connection, MessageKind, topics};

use crate::reply::{ErrorName, result};

/// Sends `count` binary messages of `size` bytes.
pub(crate) fn messages(connection: Connection, count: u32, size: usize) -> String {
    let message = vec![b'f'; size];
    for sent in 0..count {
        if let Err(error) = connection.send(&message) {
            return format!("sent {sent} {}", result(Err(error)));
        }
    }
    format!("sent {count} ok")
}

/// Sends one binary message in `count` parts of `size` bytes.
pub(crate) fn chunks(connection: Connection, count: u32, size: usize) -> String {
    let part = vec![b'f'; size];
    for sent in 0..count {
        let last = sent + 1 == count;
        if let Err(error) = connection.send_chunk(MessageKind::Binary, &part, last) {
            return format!("sent {sent} {}", result(Err(error)));
        }
    }
    format!("sent {count} ok")
}

/// Publishes `count` text messages of `size` bytes, which begin with their number.
pub(crate) fn publish(topic: &str, count: u32, size: usize) -> String {
    for number in 0..count {
        let mut message = format!("{number} ");
        while message.len() < size {
            message.push('p');
        }
        if let Err(error) = topics::publish(topic, &message) {
            return format!("sent {number} err {}", error.name());
        }
    }
    format!("sent {count}")
}
