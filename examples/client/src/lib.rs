//! Connects out: prints the numbers of the increment protocol, and draws circles on the board of the mirror protocol.
//!
//! The test client of libwebsockets of 2011. `wsrun connect` makes the first connection; the second is the handler's own.

mod circle;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wsrun_guest::client::{ConnectError, Options};
use wsrun_guest::{
    CloseInfo, Connection, Handler, Message, Request, SendError, Timer, close_code, handler, host,
};

use crate::circle::Circle;

const PERIOD: Duration = Duration::from_millis(50);
const CIRCLES_DEFAULT: u64 = 60;
const BOARD_PROTOCOL_DEFAULT: &str = "mirror";

/// What a connection is for: its session data, so that a trap of the handler loses none of it. Each knows the other.
#[derive(Serialize, Deserialize)]
enum Purpose {
    Counter { board: u64 },
    Board { counter: u64 },
}

#[derive(Default)]
struct Client;

#[handler]
impl Handler for Client {
    fn opened(&mut self, connection: Connection) {
        match connection.session() {
            Ok(Purpose::Board { .. }) => draw_later(connection, 0),
            Ok(Purpose::Counter { .. }) => {}
            // The one that the command made.
            Err(_) => match open_board(connection) {
                Ok(board) => {
                    let purpose = Purpose::Counter { board: board.id() };
                    let _ = connection.set_session(&purpose);
                }
                Err(error) => {
                    eprintln!("there is no board to draw on: {error}");
                    connection.close(close_code::NORMAL, "");
                }
            },
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if let (Ok(Purpose::Counter { .. }), Some(number)) =
            (connection.session(), message.as_text())
        {
            println!("{number}");
        }
    }

    /// The tag is the number of circles that are drawn.
    fn timer(&mut self, _timer: Timer, drawn: u64, board: Option<Connection>) {
        let Some(board) = board else { return };
        if drawn >= circles() {
            println!("{drawn} circles are drawn");
            board.close(close_code::NORMAL, "");
            return;
        }
        match board.send(&Circle::random().to_string()) {
            Ok(()) => draw_later(board, drawn + 1),
            // The server does not keep up: another one goes out with the next tick.
            Err(SendError::QueueFull { .. }) => draw_later(board, drawn),
            Err(SendError::Closed | SendError::TooLarge { .. }) => {}
        }
    }

    /// Whichever ends, the other has nothing left to do.
    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        if let Some(failure) = connection.failure() {
            eprintln!("not connected: {failure}");
        } else if info.code != close_code::NORMAL {
            eprintln!("closed with {} {}", info.code, info.reason);
        }
        if let Ok(Purpose::Counter { board: other } | Purpose::Board { counter: other }) =
            connection.session()
        {
            Connection::from_id(other).close(close_code::NORMAL, "");
        }
    }
}

/// Opens the second connection, to where the first one went.
fn open_board(counter: Connection) -> Result<Connection, ConnectError> {
    let request = counter.request();
    let request = request.ok_or_else(|| ConnectError::Invalid("the counter is gone".to_owned()))?;
    let mut options = Options::new(url(&request))
        .protocol(host::config("board").unwrap_or_else(|| BOARD_PROTOCOL_DEFAULT.to_owned()))
        .session(&Purpose::Board {
            counter: counter.id(),
        });
    if let Some(origin) = request.header("origin") {
        options = options.origin(origin);
    }
    options.connect()
}

fn url(request: &Request) -> String {
    let scheme = if request.secure { "wss" } else { "ws" };
    let host = request.host.as_deref().unwrap_or(&request.peer);
    let query = request.query.as_deref();
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{scheme}://{host}{}{query}", request.path)
}

fn circles() -> u64 {
    host::config("circles")
        .and_then(|circles| circles.parse().ok())
        .unwrap_or(CIRCLES_DEFAULT)
}

fn draw_later(board: Connection, drawn: u64) {
    if let Err(error) = board.set_timer(PERIOD, drawn) {
        eprintln!("no timer: {error}");
        board.close(close_code::NORMAL, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wsrun_guest::Role;

    #[test]
    fn url_of_the_board_is_that_of_the_counter() {
        let mut request = Request {
            role: Role::Client,
            path: "/a".to_owned(),
            query: Some("b=c".to_owned()),
            headers: Vec::new(),
            offered: vec!["increment".to_owned()],
            peer: "127.0.0.1:9000".to_owned(),
            local: "127.0.0.1:50000".to_owned(),
            secure: true,
            host: Some("localhost:9000".to_owned()),
        };
        assert_eq!(url(&request), "wss://localhost:9000/a?b=c");
        request.secure = false;
        request.query = None;
        assert_eq!(url(&request), "ws://localhost:9000/a");
    }
}
