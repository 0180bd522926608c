//! Does what a text message tells it, one command for each import and each way to misbehave; `README.md` beside the workspace lists the
//! commands and their replies. Binary messages are sent back.

mod misbehave;
mod reply;
mod wasi;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use wsrun_guest::{
    CloseInfo, ClosedBy, Connection, Handler, Message, Request, Role, Timer, handler, host, timers,
    topics,
};

use crate::reply::{or_none, result, result_with};

const CLOSED_EVENTS: &str = "closed-events";

#[derive(Default)]
struct Probe {
    /// Messages that this instance received.
    calls: u64,
    trap_when_closed: HashSet<Connection>,
    last_flood: String,
}

#[handler]
impl Handler for Probe {
    fn opened(&mut self, connection: Connection) {
        if connection
            .request()
            .is_some_and(|request| request.query_value("hello").is_some())
        {
            say(connection, &format!("id {}", connection.id()));
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        self.calls += 1;
        match message {
            Message::Text(text) => {
                if let Some(reply) = self.run(connection, &text) {
                    say(connection, &reply);
                }
            }
            Message::Binary(bytes) => {
                let _ = connection.send(&bytes);
            }
        }
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        let event = json!({
            "id": connection.id(),
            "code": info.code,
            "reason": info.reason,
            "by": match info.by {
                ClosedBy::Peer => "peer",
                ClosedBy::Handler => "handler",
                ClosedBy::Host => "host",
            },
            "clean": info.clean,
            "session": String::from_utf8_lossy(&connection.session_bytes()),
        });
        topics::publish(CLOSED_EVENTS, &event.to_string());
        if self.trap_when_closed.remove(&connection) {
            panic!("asked to trap when closed");
        }
    }

    fn writable(&mut self, connection: Connection) {
        if connection.request().is_none() {
            let event = format!("writable after closed: {}", connection.id());
            topics::publish(CLOSED_EVENTS, &event);
        }
        say(connection, "writable");
    }

    fn pong(&mut self, connection: Connection, payload: Vec<u8>) {
        say(
            connection,
            &format!("pong {}", String::from_utf8_lossy(&payload)),
        );
    }

    fn timer(&mut self, timer: Timer, tag: u64, connection: Option<Connection>) {
        let event = format!("timer {} {tag}", timer.id());
        match connection {
            Some(connection) => say(connection, &event),
            None => {
                topics::broadcast(&event);
            }
        }
    }
}

impl Probe {
    /// Runs a command; the reply, where it has one.
    fn run(&mut self, connection: Connection, text: &str) -> Option<String> {
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
        Some(match command {
            "in-one" => {
                let replies = rest
                    .split("; ")
                    .filter_map(|command| self.run(connection, command));
                replies.collect::<Vec<_>>().join("; ")
            }
            "echo" => rest.to_owned(),
            "id" => connection.id().to_string(),
            "calls" => self.calls.to_string(),

            "session-set" => result(connection.set_session_bytes(rest.as_bytes())),
            "session-get" => String::from_utf8_lossy(&connection.session_bytes()).into_owned(),
            "session-set-size" => result(connection.set_session_bytes(&vec![b'x'; number(rest)])),
            "session-size" => connection.session_bytes().len().to_string(),
            "buffered" => connection.buffered().to_string(),
            "protocol" => or_none(connection.protocol()),
            "request" => or_none(connection.request().as_ref().map(request_json)),
            "request-of" => or_none(
                Connection::from_id(number(rest))
                    .request()
                    .as_ref()
                    .map(request_json),
            ),
            "flow" => {
                connection.receive_flow(first == "on");
                "ok".to_owned()
            }
            "want-writable" => {
                connection.want_writable();
                "ok".to_owned()
            }

            "config" => or_none(host::config(rest)),
            "hostname" => host::hostname(),
            "name" => host::name(),
            "count" => host::connection_count().to_string(),

            "subscribe" => result_with(connection.subscribe(rest)),
            "unsubscribe" => connection.unsubscribe(rest).to_string(),
            "publish" => topics::publish(first, second).to_string(),
            "publish-others" => topics::publish_except(first, second, connection).to_string(),
            "broadcast" => topics::broadcast(rest).to_string(),
            "broadcast-protocol" => topics::broadcast_to_protocol(first, second).to_string(),

            "timer" => result_with(timers::set(millis(first), number(second)).map(Timer::id)),
            "timer-conn" => result_with(
                connection
                    .set_timer(millis(first), number(second))
                    .map(Timer::id),
            ),
            "cancel" => Timer::from_id(number(rest)).cancel().to_string(),

            "ping" => result(connection.ping(rest.as_bytes())),
            "send-size" => result(connection.send(&vec![b'x'; number(rest)])),
            "send-to" => result(Connection::from_id(number(first)).send(second)),
            "send-flood" => {
                self.last_flood = flood(connection, number(first), number(second));
                self.last_flood.clone()
            }
            "last-flood" => self.last_flood.clone(),
            "close" => {
                connection.close(number(first), second);
                return None;
            }
            "close-to" => {
                Connection::from_id(number(first)).close(4000, second);
                "ok".to_owned()
            }
            "close-then-send" => {
                connection.close(4000, "");
                topics::publish(CLOSED_EVENTS, &result(connection.send(rest)));
                return None;
            }
            "abort" => {
                connection.abort();
                return None;
            }

            "close-trap" => {
                self.trap_when_closed.insert(connection);
                "ok".to_owned()
            }
            "send-then-trap" => {
                say(connection, rest);
                panic!("asked to trap after sending");
            }
            "publish-then-trap" => {
                topics::publish(first, second);
                panic!("asked to trap after publishing");
            }
            "session-then-trap" => {
                let _ = connection.set_session_bytes(rest.as_bytes());
                panic!("asked to trap after setting session data");
            }
            "trap" => misbehave::trap(),
            "panic" => panic!("{rest}"),
            "loop" => misbehave::spin(),
            "alloc" => misbehave::allocate(),
            "recurse" => misbehave::recurse(0).to_string(),

            "sleep-wasi" => wasi::sleep(millis(rest)),
            "print" => wasi::print(rest),
            "eprint" => wasi::eprint(rest),
            "stdin" => wasi::stdin(),
            "fs" => wasi::open_file(rest),
            "env" => wasi::environment(),
            "args" => wasi::arguments(),
            "net" => wasi::connect(rest),
            "resolve" => wasi::resolve(rest),
            "clock" => wasi::clock(),
            "random" => wasi::random(),
            "exit" => wasi::exit(number(rest)),

            _ => format!("unknown command {command}"),
        })
    }
}

fn say(connection: Connection, text: &str) {
    let _ = connection.send(text);
}

/// Sends `count` messages of `size` bytes and stops at the first that is not taken.
fn flood(connection: Connection, count: u32, size: usize) -> String {
    let message = vec![b'f'; size];
    for sent in 0..count {
        if let Err(error) = connection.send(&message) {
            return format!("sent {sent} {}", result(Err(error)));
        }
    }
    format!("sent {count} ok")
}

fn request_json(request: &Request) -> String {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(value)))
        .collect();
    json!({
        "role": match request.role {
            Role::Server => "server",
            Role::Client => "client",
        },
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "offered": request.offered,
        "peer": request.peer,
        "local": request.local,
        "secure": request.secure,
        "host": request.host,
    })
    .to_string()
}

/// A test that sends something else has a mistake in it, and the trap shows it.
fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text:?}"))
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(number(text))
}
