//! Does what a text message tells it, one command for each import and each way to misbehave; `README.md` beside the workspace lists the
//! commands and their replies. Binary messages are sent back. What comes on connections that the probe made is published instead.

mod flood;
mod misbehave;
mod reply;
mod wasi;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::{Value, json};
use wsrun_guest::auto_reply::{self, AutoReplyError};
use wsrun_guest::{
    CloseInfo, Connection, Handler, Message, MessageKind, Role, SlowPolicy, Timer, handler, host,
    timers, topics,
};

use crate::reply::{or_none, published, result, result_with};

const OPENED_EVENTS: &str = "opened-events";
const CLOSED_EVENTS: &str = "closed-events";
const CLIENT_MESSAGES: &str = "client-messages";

/// The tag of a timer that tells which instance it is told to, by the messages that this one received.
const TELLS_CALLS: u64 = 1_000_000;

#[derive(Default)]
struct Probe {
    /// Messages that this instance received.
    calls: u64,
    /// Which side this host is, of connections that this instance has seen: one that could not be made has no request to ask.
    roles: HashMap<Connection, Role>,
    trap_when_closed: HashSet<Connection>,
    last_flood: String,
}

#[handler]
impl Handler for Probe {
    fn opened(&mut self, connection: Connection) {
        if self.role(connection) == Role::Client {
            let protocol = connection.protocol();
            let event = json!({"id": connection.id(), "role": "client", "protocol": protocol});
            publish(OPENED_EVENTS, &event);
            return;
        }
        if connection
            .request()
            .is_some_and(|request| request.query_value("hello").is_some())
        {
            say(connection, &format!("id {}", connection.id()));
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        self.calls += 1;
        if self.role(connection) == Role::Client {
            let event = match message {
                Message::Text(text) => json!({"id": connection.id(), "text": text}),
                Message::Binary(bytes) => json!({"id": connection.id(), "bytes": bytes.len()}),
            };
            publish(CLIENT_MESSAGES, &event);
            return;
        }
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
        let mut event = guest_json::ended(connection, &info);
        event["role"] = guest_json::role(self.role(connection)).into();
        event["session"] = String::from_utf8_lossy(&connection.session_bytes()).into();
        publish(CLOSED_EVENTS, &event);
        self.roles.remove(&connection);
        if self.trap_when_closed.remove(&connection) {
            panic!("asked to trap when closed");
        }
    }

    fn writable(&mut self, connection: Connection) {
        if connection.request().is_none() {
            let event = format!("writable after closed: {}", connection.id());
            let _ = topics::publish(CLOSED_EVENTS, &event);
        }
        if self.role(connection) == Role::Client {
            let event = json!({"id": connection.id(), "writable": true});
            publish(CLIENT_MESSAGES, &event);
        } else {
            say(connection, "writable");
        }
    }

    fn pong(&mut self, connection: Connection, payload: Vec<u8>) {
        let payload = String::from_utf8_lossy(&payload);
        if self.role(connection) == Role::Client {
            let event = json!({"id": connection.id(), "pong": payload});
            publish(CLIENT_MESSAGES, &event);
        } else {
            say(connection, &format!("pong {payload}"));
        }
    }

    fn timer(&mut self, timer: Timer, tag: u64, connection: Option<Connection>) {
        let mut event = format!("timer {} {tag}", timer.id());
        if tag == TELLS_CALLS {
            event = format!("{event} calls {}", self.calls);
        }
        match connection {
            Some(connection) => say(connection, &event),
            None => {
                let _ = topics::broadcast(&event);
            }
        }
    }
}

impl Probe {
    fn role(&mut self, connection: Connection) -> Role {
        *self.roles.entry(connection).or_insert_with(|| {
            connection
                .request()
                .map_or(Role::Server, |request| request.role)
        })
    }

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
            "on" => return self.run(Connection::from_id(number(first)), second),
            "echo" => rest.to_owned(),
            "id" => connection.id().to_string(),
            "auto-reply" => match auto_reply::set(first, second) {
                Ok(()) => "ok".into(),
                Err(AutoReplyError::Limit) => "err limit".into(),
                Err(AutoReplyError::TooLarge { bytes_max }) => format!("err too-large {bytes_max}"),
            },
            "auto-reply-remove" => {
                auto_reply::remove(first);
                "ok".into()
            }
            "calls" => self.calls.to_string(),

            "session-set" => result(connection.set_session_bytes(rest.as_bytes())),
            "session-get" => String::from_utf8_lossy(&connection.session_bytes()).into_owned(),
            "session-set-size" => result(connection.set_session_bytes(&vec![b'x'; number(rest)])),
            "session-size" => connection.session_bytes().len().to_string(),
            "buffered" => connection.buffered().to_string(),
            "protocol" => or_none(connection.protocol()),
            "request" => json_or_none(connection.request().as_ref().map(guest_json::request)),
            "request-of" => {
                let request = Connection::from_id(number(rest)).request();
                json_or_none(request.as_ref().map(guest_json::request))
            }
            "flow" => {
                connection.receive_flow(first == "on");
                "ok".to_owned()
            }
            "want-writable" => {
                connection.want_writable();
                "ok".to_owned()
            }
            "want-writable-all" => {
                if rest.is_empty() {
                    Connection::want_writable_all();
                } else {
                    Connection::want_writable_all_of_protocol(rest);
                }
                "ok".to_owned()
            }
            "policy" => {
                connection.set_slow_policy(policy(rest));
                "ok".to_owned()
            }
            "policy-of" => {
                Connection::from_id(number(first)).set_slow_policy(policy(second));
                "ok".to_owned()
            }
            "topic-policy" => {
                topics::set_slow_policy(first, policy(second));
                "ok".to_owned()
            }
            "dropped" => connection.dropped().to_string(),
            "dropped-of" => Connection::from_id(number(rest)).dropped().to_string(),
            "topic-dropped" => topics::dropped(rest).to_string(),

            "connect" => {
                let connected = guest_json::options(rest).connect();
                if let Ok(connection) = connected {
                    self.roles.insert(connection, Role::Client);
                }
                guest_json::connected(connected)
            }
            "failure" => {
                let failure = Connection::from_id(number(rest)).failure();
                or_none(failure.as_ref().map(guest_json::failure))
            }
            "response" => {
                let response = Connection::from_id(number(rest)).response();
                json_or_none(response.as_ref().map(guest_json::response))
            }

            "config" => or_none(host::config(rest)),
            "hostname" => host::hostname(),
            "name" => host::name(),
            "count" => host::connection_count().to_string(),

            "subscribe" => result_with(connection.subscribe(rest)),
            "unsubscribe" => connection.unsubscribe(rest).to_string(),
            "publish" => published(topics::publish(first, second)),
            "publish-others" => published(topics::publish_except(first, second, connection)),
            "publish-flood" => {
                let (count, size) = second.split_once(' ').expect("T N SIZE");
                flood::publish(first, number(count), number(size))
            }
            "broadcast" => published(topics::broadcast(rest)),
            "broadcast-protocol" => published(topics::broadcast_to_protocol(first, second)),

            "timer" => result_with(timers::set(millis(first), number(second)).map(Timer::id)),
            "timer-conn" => result_with(
                connection
                    .set_timer(millis(first), number(second))
                    .map(Timer::id),
            ),
            "cancel" => Timer::from_id(number(rest)).cancel().to_string(),

            "ping" => result(connection.ping(rest.as_bytes())),
            "pong" => result(connection.pong(rest.as_bytes())),
            "chunk" => {
                let (last, data) = second.split_once(' ').unwrap_or((second, ""));
                result(connection.send_chunk(kind(first), data.as_bytes(), last == "true"))
            }
            "chunks-flood" => {
                self.last_flood = flood::chunks(connection, number(first), number(second));
                self.last_flood.clone()
            }
            "send-size" => result(connection.send(&vec![b'x'; number(rest)])),
            "send-to" => result(Connection::from_id(number(first)).send(second)),
            "send-flood" => {
                self.last_flood = flood::messages(connection, number(first), number(second));
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
                let _ = topics::publish(CLOSED_EVENTS, &result(connection.send(rest)));
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
                let _ = topics::publish(first, second);
                panic!("asked to trap after publishing");
            }
            "session-then-trap" => {
                let _ = connection.set_session_bytes(rest.as_bytes());
                panic!("asked to trap after setting session data");
            }
            "trap" => misbehave::trap(),
            "panic" => panic!("{rest}"),
            "loop" => misbehave::spin(),
            "compute" => {
                misbehave::compute(millis(rest));
                "ok".to_owned()
            }
            "fill" => misbehave::fill(number(rest)),
            "poll" => misbehave::poll(),
            "alloc" => misbehave::allocate(),
            "recurse" => misbehave::recurse(0).to_string(),
            "nest" => misbehave::nest(number(rest)).to_string(),
            "calls-flood" => {
                for _ in 0..number::<u64>(rest) {
                    connection.buffered();
                }
                "ok".to_owned()
            }

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

fn publish(topic: &str, event: &Value) {
    let _ = topics::publish(topic, &event.to_string());
}

fn json_or_none(value: Option<Value>) -> String {
    or_none(value.as_ref().map(Value::to_string))
}

fn kind(name: &str) -> MessageKind {
    match name {
        "text" => MessageKind::Text,
        "binary" => MessageKind::Binary,
        _ => panic!("not a kind of message: {name:?}"),
    }
}

/// `POLICY [CODE]`.
fn policy(text: &str) -> Option<SlowPolicy> {
    let (name, code) = text.split_once(' ').unwrap_or((text, ""));
    Some(match name {
        "wait" => SlowPolicy::Wait,
        "drop-oldest" => SlowPolicy::DropOldest,
        "drop-newest" => SlowPolicy::DropNewest,
        "latest-only" => SlowPolicy::LatestOnly,
        "disconnect" => SlowPolicy::Disconnect(number(code)),
        "none" => return None,
        _ => panic!("not a policy: {name:?}"),
    })
}

/// A test that sends something else has a mistake in it, and the trap shows it.
fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text:?}"))
}

fn millis(text: &str) -> Duration {
    Duration::from_millis(number(text))
}
