//! Sends what anybody draws to everybody, the one who drew it included.
//!
//! The protocol `lws-mirror` of the libwebsockets test server of 2011. Whoever joins late is sent the newest messages first; `clear`
//! forgets them.

use std::collections::VecDeque;

use wsrun_guest::{Connection, Handler, Message, close_code, handler, topics};

const TOPIC: &str = "mirror";
const MESSAGE_BYTES_MAX: usize = 4096;
/// The oldest messages are forgotten beyond either.
const HISTORY_MESSAGES_MAX: usize = 2000;
const HISTORY_BYTES_MAX: usize = 256 * 1024;

#[derive(Default)]
struct Mirror {
    history: VecDeque<Message>,
    history_bytes: usize,
}

#[handler]
impl Handler for Mirror {
    fn opened(&mut self, connection: Connection) {
        if let Err(error) = connection.subscribe(TOPIC) {
            connection.close(close_code::TRY_AGAIN_LATER, &error.to_string());
            return;
        }
        for message in &self.history {
            if connection.send(message).is_err() {
                return;
            }
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if message.as_bytes().len() > MESSAGE_BYTES_MAX {
            connection.close(
                close_code::MESSAGE_TOO_BIG,
                "a message has at most 4096 bytes",
            );
            return;
        }
        if let Err(error) = topics::publish(TOPIC, &message) {
            connection.close(close_code::TRY_AGAIN_LATER, &error.to_string());
            return;
        }
        if message.as_text() == Some("clear") {
            self.history.clear();
            self.history_bytes = 0;
        } else {
            self.remember(message);
        }
    }
}

impl Mirror {
    fn remember(&mut self, message: Message) {
        self.history_bytes += message.as_bytes().len();
        self.history.push_back(message);
        while self.history.len() > HISTORY_MESSAGES_MAX || self.history_bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.history.pop_front() else {
                return;
            };
            self.history_bytes -= oldest.as_bytes().len();
        }
    }
}
