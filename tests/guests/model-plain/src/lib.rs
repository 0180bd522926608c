//! A version of the model test that has no optional exports.

use guest_model::Model;
use wsrun_guest::{CloseInfo, Connection, Handler, Message, handler};

#[derive(Default)]
struct Version(Model);

#[handler]
impl Handler for Version {
    fn opened(&mut self, connection: Connection) {
        self.0.opened(connection);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        self.0.received(connection, &message);
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        self.0.closed(connection, &info);
    }
}
