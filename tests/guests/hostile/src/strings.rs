//! Passes values to the host that are far too large.

use std::time::Duration;

use wsrun_guest::auto_reply;
use wsrun_guest::client::Options;
use wsrun_guest::{Connection, Message, MessageKind, host, topics};

/// A string of so many bytes for everything that takes one; the number of calls that took it.
pub(crate) fn in_every_import(connection: Connection, bytes: usize) -> String {
    let text = "x".repeat(bytes);
    let message = Message::Text(text.clone());
    let taken = [
        connection.ping(text.as_bytes()).is_ok(),
        connection.pong(text.as_bytes()).is_ok(),
        connection.subscribe(&text).is_ok(),
        connection.unsubscribe(&text),
        connection.set_session_bytes(text.as_bytes()).is_ok(),
        connection
            .send_chunk(MessageKind::Text, text.as_bytes(), true)
            .is_ok(),
        connection.send(&text).is_ok(),
        topics::publish(&text, &message).is_ok(),
        topics::broadcast(&message).is_ok(),
        topics::dropped(&text) > 0,
        auto_reply::set(&text, &text).is_ok(),
        host::config(&text).is_some(),
        Options::new(&text).connect().is_ok(),
        Options::new("ws://127.0.0.1")
            .protocol(&text)
            .host(&text)
            .origin(&text)
            .connect()
            .is_ok(),
        Options::new("ws://127.0.0.1")
            .header(&text, &text)
            .identity(&text)
            .connect()
            .is_ok(),
        Options::new("ws://127.0.0.1")
            .session_bytes(text.as_bytes())
            .timeout(Duration::MAX)
            .connect()
            .is_ok(),
    ];
    print!("{text}");
    eprint!("{text}");
    Connection::want_writable_all_of_protocol(&text);
    let taken = taken.into_iter().filter(|taken| *taken).count();
    format!("strings that were taken: {taken}")
}

/// Messages, each of so many bytes.
pub(crate) fn messages(connection: Connection, bytes: usize) -> String {
    let message = vec![1; bytes];
    let sent = (0..100).filter(|_| connection.send(&message).is_ok());
    format!("messages that were taken: {}", sent.count())
}
