//! Sends what it receives to every connection: the handler of the fan-out measurements.

use wsrun_guest::{Connection, Handler, Message, close_code, handler, topics};

#[derive(Default)]
struct Fan;

#[handler]
impl Handler for Fan {
    fn opened(&mut self, connection: Connection) {
        if let Err(error) = connection.subscribe(TOPIC) {
            connection.close(close_code::TRY_AGAIN_LATER, &error.to_string());
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if let Err(error) = topics::publish(TOPIC, &message) {
            connection.close(close_code::TRY_AGAIN_LATER, &error.to_string());
        }
    }
}

const TOPIC: &str = "all";
