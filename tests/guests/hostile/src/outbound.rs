//! A connection to the server itself, which the server's side of it ends.

use std::time::Duration;

use wsrun_guest::client::{Options, Reconnect};
use wsrun_guest::{CloseInfo, Connection, topics};

/// What the server's side is told to end the connection.
pub(crate) const LEAVE: &str = "leave";

/// The session data of a connection that was made here.
const OUTBOUND: &[u8] = b"outbound";

/// Connects to where the peer of this one has connected to.
pub(crate) fn connect_as(connection: Connection) {
    let request = connection.request().expect("it is open");
    let delay = Duration::from_millis(1);
    Options::new(format!("ws://{}", request.local))
        .session_bytes(OUTBOUND)
        .reconnect(Reconnect::default().delay(delay).delay_max(delay))
        .connect()
        .expect("it is allowed");
}

pub(crate) fn opened(connection: Connection) {
    if connection.session_bytes() == OUTBOUND {
        connection.send(LEAVE).expect("it is open");
    }
}

/// Tells whoever waits for it.
pub(crate) fn closed(connection: Connection, info: &CloseInfo) {
    if connection.session_bytes() == OUTBOUND {
        let _ = topics::broadcast(&format!("outbound ended with {}", info.code));
    }
}
