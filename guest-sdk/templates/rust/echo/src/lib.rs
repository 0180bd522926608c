//! Sends back what it receives.

use wsrun_guest::{Connection, Handler, Message, handler};

#[derive(Default)]
struct Echo;

#[handler]
impl Handler for Echo {
    fn received(&mut self, connection: Connection, message: Message) {
        let _ = connection.send(&message);
    }
}
