//! Makes outbound connections that the host makes anew, and tells what becomes of them; `README.md` beside the workspace lists the
//! commands and events.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use wsrun_guest::{
    CloseInfo, Connection, Handler, Message, SendError, close_code, handler, topics,
};

const EVENTS: &str = "events";
const FEED: &str = "feed";

#[derive(Default)]
struct Reconnecting {
    outbound: HashSet<Connection>,
}

#[handler]
impl Handler for Reconnecting {
    fn opened(&mut self, connection: Connection) {
        if self.outbound.contains(&connection) {
            let event = json!({"id": connection.id(), "protocol": connection.protocol()});
            tell("opened", connection, event);
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if self.outbound.contains(&connection) {
            let event = match message {
                Message::Text(text) => json!({"id": connection.id(), "text": text}),
                Message::Binary(bytes) => json!({"id": connection.id(), "bytes": bytes.len()}),
            };
            tell("received", connection, event);
        } else if let Some(text) = message.as_text() {
            let reply = self.run(connection, text);
            let _ = connection.send(&reply);
        }
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        if self.outbound.remove(&connection) {
            tell("closed", connection, guest_json::ended(connection, &info));
        }
    }

    fn lost(&mut self, connection: Connection, info: CloseInfo, attempt: u32, after: Duration) {
        let mut event = guest_json::ended(connection, &info);
        event["attempt"] = attempt.into();
        event["after-ms"] = u64::try_from(after.as_millis()).unwrap_or(u64::MAX).into();
        tell("lost", connection, event);
    }

    fn restored(&mut self, connection: Connection) {
        let event = json!({"id": connection.id(), "protocol": connection.protocol()});
        tell("restored", connection, event);
    }
}

impl Reconnecting {
    fn run(&mut self, connection: Connection, text: &str) -> String {
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        match command {
            "connect" => {
                let connected = guest_json::options(rest).connect();
                if let Ok(connection) = connected {
                    self.outbound.insert(connection);
                }
                guest_json::connected(connected)
            }
            "subscribe" => outcome(connection.subscribe(EVENTS)),
            "subscribe-to-feed" => outcome(by_id(first).subscribe(FEED)),
            "publish-to-feed" => outcome(topics::publish(FEED, rest)),
            "send-to" => match by_id(first).send(second) {
                Ok(()) => "ok".to_owned(),
                Err(SendError::Closed) => "err closed".to_owned(),
                Err(error) => format!("err {error}"),
            },
            "session-set" => outcome(
                by_id(first)
                    .set_session_bytes(second.as_bytes())
                    .map(|()| ""),
            ),
            "close-to" => {
                by_id(first).close(close_code::NORMAL, second);
                "ok".to_owned()
            }
            "abort-to" => {
                by_id(first).abort();
                "ok".to_owned()
            }
            _ => format!("unknown command {command}"),
        }
    }
}

fn tell(name: &str, connection: Connection, mut event: Value) {
    event["event"] = name.into();
    event["session"] = String::from_utf8_lossy(&connection.session_bytes()).into();
    let _ = topics::publish(EVENTS, &event.to_string());
}

fn by_id(text: &str) -> Connection {
    let id = text.parse();
    Connection::from_id(id.unwrap_or_else(|_| panic!("not a connection: {text:?}")))
}

fn outcome<T: std::fmt::Display, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok {value}").trim_end().to_owned(),
        Err(error) => format!("err {error}"),
    }
}
