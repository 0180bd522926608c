//! A version of the model test that decides on handshakes, has timers, pongs and a life, and answers plain requests.

use guest_model::Model;
use wsrun_guest::{
    Accept, CloseInfo, Connection, Handler, HttpRequest, HttpResponse, Message, Refusal, Request,
    Timer, handler,
};

#[derive(Default)]
struct Version(Model);

#[handler]
impl Handler for Version {
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        self.0.handshake(&request)
    }

    fn started(&mut self) {
        self.0.started();
    }

    fn resumed(&mut self, connection: Connection) {
        self.0.resumed(connection);
    }

    fn opened(&mut self, connection: Connection) {
        self.0.opened(connection);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        self.0.received(connection, &message);
    }

    fn pong(&mut self, connection: Connection, _payload: Vec<u8>) {
        self.0.pong(connection);
    }

    fn timer(&mut self, _timer: Timer, tag: u64, connection: Option<Connection>) {
        self.0.timer(tag, connection);
    }

    fn writable(&mut self, connection: Connection) {
        self.0.writable(connection);
    }

    fn http(&mut self, _request: HttpRequest) -> HttpResponse {
        self.0.http()
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        self.0.closed(connection, &info);
    }
}
