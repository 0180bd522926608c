//! A version of the model test that takes messages in parts, and answers plain requests.

use guest_model::Model;
use wsrun_guest::{
    Chunk, CloseInfo, Connection, Handler, HttpRequest, HttpResponse, Message, handler,
};

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

    fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
        self.0.received_chunk(connection, &chunk);
    }

    fn http(&mut self, _request: HttpRequest) -> HttpResponse {
        self.0.http()
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        self.0.closed(connection, &info);
    }
}
