//! Sends back what it receives, backwards: the version that takes over from the echo and back, which each answer tells apart.

use wsrun_guest::{Connection, Handler, Message, handler};

#[derive(Default)]
struct Reverse;

#[handler]
impl Handler for Reverse {
    fn received(&mut self, connection: Connection, message: Message) {
        let mut bytes = message.as_bytes().to_vec();
        bytes.reverse();
        let _ = connection.send(&bytes);
    }
}
