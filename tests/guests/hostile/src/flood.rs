//! Sends, publishes and prints without end, and speaks to connections that are not its own.

use wsrun_guest::{Connection, topics};

/// Sends until the queue is full, and closes what it has filled.
pub(crate) fn until_full(connection: Connection) -> Option<String> {
    let message = vec![1; 100_000];
    while connection.send(&message).is_ok() {}
    connection.close(4000, "full");
    None
}

/// So many messages without a byte to a connection.
pub(crate) fn effects(connection: Connection, number: u64) -> String {
    let sent = (0..number).take_while(|_| connection.send(&[0_u8; 0][..]).is_ok());
    format!("effects: {}", sent.count())
}

/// Effects that no queue has to have room for.
pub(crate) fn effects_without_end(connection: Connection) -> ! {
    loop {
        connection.want_writable();
    }
}

/// To a topic of all connections, of which some do not read.
pub(crate) fn publish(connection: Connection, number: u32) -> String {
    let _ = connection.subscribe("storm");
    let message = vec![1; 10_000];
    let published = (0..number).take_while(|_| topics::publish("storm", &message).is_ok());
    format!("publishes: {}", published.count())
}

pub(crate) fn broadcast(number: u32) -> String {
    let message = vec![1; 10_000];
    let published = (0..number).take_while(|_| topics::broadcast(&message).is_ok());
    format!("broadcasts: {}", published.count())
}

/// Does everything to every connection that it can think of; the number of calls that told of a connection which is not its own.
pub(crate) fn foreign_connections(own: Connection) -> String {
    let mut seen = 0;
    for id in (0..3_000).chain(u64::MAX - 10..=u64::MAX) {
        let other = Connection::from_id(id);
        if other == own {
            continue;
        }
        let answers = [
            other.send("not for you").is_ok(),
            other.ping(b"x").is_ok(),
            other.subscribe("stolen").is_ok(),
            other.set_session_bytes(b"stolen").is_ok(),
            other.set_timer(std::time::Duration::ZERO, 0).is_ok(),
            other.request().is_some(),
            other.protocol().is_some(),
            !other.session_bytes().is_empty(),
            other.buffered() > 0,
        ];
        seen += answers.into_iter().filter(|answer| *answer).count();
        other.receive_flow(false);
        other.want_writable();
        other.close(4000, "not yours");
        other.abort();
    }
    format!("foreign connections: {seen}")
}

pub(crate) fn log_lines() -> String {
    for number in 0..20_000 {
        println!("noise {number}");
    }
    "lines".to_owned()
}

/// Lines that are long, and some that try to be another's.
pub(crate) fn log_bytes() -> String {
    let line = "noise \u{1b}[31m\r2030-01-01 ERROR wsrun: forged ".repeat(2_000);
    for _ in 0..20 {
        println!("{line}");
        eprintln!("{line}");
    }
    "bytes".to_owned()
}
