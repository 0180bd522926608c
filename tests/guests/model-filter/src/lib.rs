//! A version of the model test that filters broadcasts and has timers.

use guest_model::Model;
use wsrun_guest::{CloseInfo, Connection, Handler, Message, Timer, handler};

#[derive(Default)]
struct Version(Model);

#[handler]
impl Handler for Version {
    fn started(&mut self) {
        self.0.started();
    }

    fn opened(&mut self, connection: Connection) {
        self.0.opened(connection);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        self.0.received(connection, &message);
    }

    fn timer(&mut self, _timer: Timer, tag: u64, connection: Option<Connection>) {
        self.0.timer(tag, connection);
    }

    fn wanted(&mut self, connection: Connection, _message: Message) -> bool {
        self.0.wanted(connection)
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        self.0.closed(connection, &info);
    }
}
