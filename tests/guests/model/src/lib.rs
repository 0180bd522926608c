//! What the handlers of the model test (`tests/tests/e2e/model/`) have in common. They differ in which optional exports they have; which
//! version one is, and where it fails, is written in the file: the test replaces the bytes behind `version=`.
//!
//! A text is `NUMBER COMMAND; COMMAND…`, all carried out in one callback, and is answered with `NUMBER RESULT; RESULT…`. Every callback that
//! ends is told to the topic `events`, which the connection with the path `/observe` has:
//! `EVENT CONNECTION BEGIN END INSTANCE VERSION DETAIL`, the times in nanoseconds.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt::Display;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wsrun_guest::client::Options;
use wsrun_guest::{
    Accept, Chunk, ChunkError, CloseInfo, ClosedBy, Connection, HttpResponse, Message, MessageKind,
    Refusal, Request, SendError, SlowPolicy, auto_reply, timers, topics,
};

/// `NAME:WHAT-FAILS:PUBLISHES`, filled up with spaces: which version it is, the callback that fails, and what `started` publishes.
static MARKER: [u8; 48] = *b"version=one:nothing:0                           ";

const EVENTS: &str = "events";
const OBSERVER: &str = "/observe";

/// An instance.
pub struct Model {
    /// No two instances have the same.
    instance: u64,
    /// Messages in parts that have not ended.
    parts: HashMap<Connection, Vec<u8>>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            instance: RandomState::new().build_hasher().finish(),
            parts: HashMap::new(),
        }
    }
}

fn version() -> [String; 3] {
    // Not a constant: the file is changed after the compiler has seen it.
    let marker = black_box(&MARKER);
    let text = String::from_utf8_lossy(&marker["version=".len()..]);
    let mut parts = text.trim_end().splitn(3, ':').map(str::to_owned);
    [(); 3].map(|()| parts.next().expect("three parts"))
}

fn fails_in(what: &str) {
    let [name, fails, _] = version();
    assert!(fails != what, "version {name} fails in {what}");
}

fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos()
}

fn path_of(connection: Connection) -> String {
    connection
        .request()
        .map(|request| request.path)
        .unwrap_or_default()
}

fn is_observer(connection: Connection) -> bool {
    path_of(connection) == OBSERVER
}

impl Model {
    fn report(&self, event: &str, connection: u64, begin: u128, detail: impl Display) {
        let [version, _, _] = version();
        let instance = self.instance;
        let end = now();
        let text = format!("{event} {connection} {begin} {end} {instance} {version} {detail}");
        // Who observes always reads.
        let _ = topics::publish(EVENTS, &text);
    }

    pub fn started(&mut self) {
        fails_in("started");
        let [_, _, publishes] = version();
        for number in 0..number(&publishes) {
            let number: u64 = number;
            let _ = topics::publish("started", &number.to_string());
        }
    }

    pub fn handshake(&mut self, request: &Request) -> Result<Accept, Refusal> {
        if request.path != OBSERVER {
            fails_in("handshake");
        }
        if let Some(tag) = request.query_value("timer") {
            timers::set(Duration::from_millis(30), number(&tag)).expect("there are few timers");
        }
        match request.path.as_str() {
            "/refused" => Err(Refusal::new(403)),
            _ => Ok(Accept::new()),
        }
    }

    pub fn opened(&mut self, connection: Connection) {
        let begin = now();
        let request = connection.request();
        let path = request.as_ref().map_or("", |request| &request.path);
        if path == OBSERVER {
            connection
                .subscribe(EVENTS)
                .expect("there is room for a subscription");
            return;
        }
        fails_in("opened");
        let tag = request
            .as_ref()
            .and_then(|request| request.query_value("timer"));
        self.report("opened", connection.id(), begin, tag.unwrap_or_default());
    }

    pub fn resumed(&mut self, connection: Connection) {
        let begin = now();
        if !is_observer(connection) {
            fails_in("resumed");
            self.report("resumed", connection.id(), begin, "");
        }
    }

    pub fn received(&mut self, connection: Connection, message: &Message) {
        self.message(connection, message.as_text().unwrap_or_default());
    }

    pub fn received_chunk(&mut self, connection: Connection, chunk: &Chunk) {
        if !is_observer(connection) {
            fails_in("chunk");
        }
        let parts = self.parts.entry(connection).or_default();
        parts.extend(&chunk.data);
        if chunk.last {
            let text = self.parts.remove(&connection).unwrap_or_default();
            self.message(connection, &String::from_utf8_lossy(&text));
        }
    }

    fn message(&mut self, connection: Connection, text: &str) {
        let begin = now();
        if is_observer(connection) {
            let _ = connection.send(text);
            return;
        }
        fails_in("received");
        let (number, commands) = text.split_once(' ').unwrap_or((text, ""));
        let results: Vec<String> = commands
            .split("; ")
            .map(|command| run(connection, command))
            .collect();
        let results = results.join("; ");
        let replied = sent(connection.send(&format!("{number} {results}")));
        let detail = format!("{number} {replied} {results}");
        self.report("received", connection.id(), begin, detail);
    }

    pub fn writable(&mut self, connection: Connection) {
        let begin = now();
        fails_in("writable");
        self.report("writable", connection.id(), begin, "");
    }

    pub fn pong(&mut self, connection: Connection) {
        let begin = now();
        if !is_observer(connection) {
            fails_in("pong");
            self.report("pong", connection.id(), begin, "");
        }
    }

    /// A timer without a connection is told as that of connection 0.
    pub fn timer(&mut self, tag: u64, connection: Option<Connection>) {
        let begin = now();
        fails_in("timer");
        self.report("timer", connection.map_or(0, Connection::id), begin, tag);
    }

    pub fn wanted(&mut self, connection: Connection) -> bool {
        if !is_observer(connection) {
            fails_in("wanted");
        }
        true
    }

    pub fn http(&mut self) -> HttpResponse {
        fails_in("http");
        let [version, _, _] = version();
        HttpResponse::text(version)
    }

    pub fn closed(&mut self, connection: Connection, info: &CloseInfo) {
        let begin = now();
        self.parts.remove(&connection);
        if is_observer(connection) {
            return;
        }
        fails_in("closed");
        let by = match info.by {
            ClosedBy::Peer => "peer",
            ClosedBy::Handler => "handler",
            ClosedBy::Host => "host",
        };
        let detail = format!("{} {by}", info.code);
        self.report("closed", connection.id(), begin, detail);
    }
}

fn run(connection: Connection, command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    match words[..] {
        ["say"] => "said".to_owned(),
        ["id"] => connection.id().to_string(),
        ["compute", millis] => {
            let until = now() + u128::from(number::<u64>(millis)) * 1_000_000;
            while now() < until {
                black_box(());
            }
            "computed".to_owned()
        }
        ["send", count, size] => send(connection, number(count), number(size)),
        ["to", id, count, size] => {
            let other = Connection::from_id(number(id));
            send(other, number(count), number(size))
        }
        ["close"] => {
            connection.close(4000, "as asked");
            "closing".to_owned()
        }
        ["chunk", kind, last, size] => {
            let kind = match kind {
                "text" => MessageKind::Text,
                _ => MessageKind::Binary,
            };
            let data = vec![b'c'; number(size)];
            match connection.send_chunk(kind, &data, last == "true") {
                Ok(()) => "ok".to_owned(),
                Err(ChunkError::Closed) => "closed".to_owned(),
                Err(ChunkError::QueueFull { .. }) => "full".to_owned(),
                Err(ChunkError::WrongKind) => "wrong-kind".to_owned(),
                Err(error) => panic!("{error}"),
            }
        }
        ["publish", topic, first, count, size] => {
            published(connection, first, count, size, |text| {
                topics::publish(topic, text).is_ok()
            })
        }
        ["broadcast", first, count, size] => published(connection, first, count, size, |text| {
            topics::broadcast(text).is_ok()
        }),
        ["subscribe", topic] => match connection.subscribe(topic) {
            Ok(new) => new.to_string(),
            Err(error) => error.to_string(),
        },
        ["policy", name] => {
            connection.set_slow_policy(policy(name));
            "set".to_owned()
        }
        ["dropped"] => connection.dropped().to_string(),
        ["auto", received, reply] => match auto_reply::set(received, reply) {
            Ok(()) => "set".to_owned(),
            Err(error) => panic!("{error}"),
        },
        ["timer", millis, tag] => {
            let after = Duration::from_millis(number(millis));
            match connection.set_timer(after, number(tag)) {
                Ok(_) => "set".to_owned(),
                Err(error) => error.to_string(),
            }
        }
        ["want-writable"] => {
            connection.want_writable();
            "wanted".to_owned()
        }
        ["session", size] => {
            sent(connection.set_session_bytes(&vec![b's'; number(size)])).to_owned()
        }
        ["connect", count, size, url] => {
            let options = Options::new(url).session_bytes(vec![b's'; number(size)]);
            let count: u64 = number(count);
            let made = (0..count).take_while(|_| options.connect().is_ok()).count();
            format!("connecting {made}")
        }
        ["trap"] => panic!("asked to"),
        _ => panic!("an unknown command: {command:?}"),
    }
}

/// How many were taken, and what became of the first that was not.
fn send(connection: Connection, count: u64, size: usize) -> String {
    let message = vec![b'b'; size];
    for number in 0..count {
        match sent(connection.send(&message)) {
            "ok" => {}
            refused => return format!("sent {number} {refused}"),
        }
    }
    format!("sent {count} ok")
}

fn sent(result: Result<(), SendError>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(SendError::Closed) => "closed",
        Err(SendError::QueueFull { .. }) => "full",
        Err(SendError::TooLarge { .. }) => "too-large",
    }
}

/// Publishes texts that tell who published them and their number from `first` on. How many were taken.
fn published(
    connection: Connection,
    first: &str,
    count: &str,
    size: &str,
    publish: impl Fn(&str) -> bool,
) -> String {
    let (first, count, size): (u64, u64, usize) = (number(first), number(count), number(size));
    let padding = "p".repeat(size);
    let all = first..first + count;
    let taken =
        all.take_while(|number| publish(&format!("p {} {number} {padding}", connection.id())));
    format!("published {}", taken.count())
}

fn policy(name: &str) -> Option<SlowPolicy> {
    Some(match name {
        "wait" => SlowPolicy::Wait,
        "drop-oldest" => SlowPolicy::DropOldest,
        "drop-newest" => SlowPolicy::DropNewest,
        "latest-only" => SlowPolicy::LatestOnly,
        "disconnect" => SlowPolicy::Disconnect(4100),
        _ => return None,
    })
}

/// A test that sends something else has a mistake in it, and the trap shows it.
fn number<T: FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("not a number: {text:?}"))
}
