//! Counts up on each connection, twenty times a second; `reset` starts again from zero.
//!
//! The protocol `dumb-increment` of the libwebsockets test server of 2011. As there, the counter is data of the connection that the host
//! keeps: it goes on where it was when the handler traps.

use std::time::Duration;

use wsrun_guest::{Connection, Handler, Message, SendError, Timer, handler};

const PERIOD: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Increment;

#[handler]
impl Handler for Increment {
    fn opened(&mut self, connection: Connection) {
        schedule(connection);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if message.as_text().map(str::trim_end) == Some("reset") {
            let _ = connection.set_session(&0_u64);
        }
    }

    fn timer(&mut self, _timer: Timer, _tag: u64, connection: Option<Connection>) {
        let Some(connection) = connection else { return };
        let count = connection.session::<u64>().unwrap_or(0);
        match connection.send(&count.to_string()) {
            Ok(()) => {
                let _ = connection.set_session(&(count + 1));
            }
            // The peer does not keep up: the same number goes out with the next tick.
            Err(SendError::QueueFull { .. }) => {}
            Err(SendError::Closed | SendError::TooLarge { .. }) => return,
        }
        schedule(connection);
    }
}

fn schedule(connection: Connection) {
    if let Err(error) = connection.set_timer(PERIOD, 0) {
        connection.close(wsrun_guest::close_code::TRY_AGAIN_LATER, &error.to_string());
    }
}
