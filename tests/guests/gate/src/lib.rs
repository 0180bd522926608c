//! Accepts and refuses opening handshakes by their path; `README.md` beside the workspace lists the paths.

use std::time::Duration;

use wsrun_guest::{Accept, Connection, Handler, Message, Refusal, Request, Timer, handler, timers};

/// One more than the host keeps by default.
const SESSION_TOO_LARGE: usize = 64 * 1024 + 1;

#[derive(Default)]
struct Gate {
    /// That this instance was told of.
    opened: Vec<Connection>,
}

#[handler]
impl Handler for Gate {
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        if let Some(millis) = request.query_value("timer") {
            let after = Duration::from_millis(millis.parse().expect("a number"));
            timers::set(after, 0).expect("there is room");
        }
        match request.path.as_str() {
            "/refuse" => Err(Refusal::new(403)
                .header("x-gate", "no")
                .body("not on the list")),
            "/refuse-twice" => Err(Refusal::new(401)
                .header("set-cookie", "a=1")
                .header("set-cookie", "b=2")
                .header("content-type", "application/json")
                .body("{}")),
            "/redirect" => Err(Refusal::redirect("/elsewhere")),
            "/bad-status" => Err(Refusal::new(200)),
            "/trap" => panic!("asked to trap"),
            "/slow" => loop {
                std::hint::black_box(());
            },
            "/bad-protocol" => Ok(Accept::new().protocol("nobody-offered-this")),
            "/bad-header" => Ok(Accept::new().header("sec-websocket-accept", "mine")),
            "/big-session" => Ok(Accept::new().session_bytes(vec![0; SESSION_TOO_LARGE])),
            _ => {
                let accept = Accept::new()
                    .header("x-gate", "yes")
                    .session_bytes("from-handshake");
                Ok(match request.offered.last() {
                    Some(protocol) => accept.protocol(protocol),
                    None => accept,
                })
            }
        }
    }

    fn opened(&mut self, connection: Connection) {
        self.opened.push(connection);
    }

    fn timer(&mut self, _: Timer, _: u64, _: Option<Connection>) {
        for connection in &self.opened {
            let _ = connection.send("the timer of the handshake");
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if message.as_text() == Some("session") {
            let session = connection.session_bytes();
            let _ = connection.send(&String::from_utf8_lossy(&session).into_owned());
        } else {
            let _ = connection.send(&message);
        }
    }
}
