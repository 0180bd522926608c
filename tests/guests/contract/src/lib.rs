//! Tells who observes it of every callback that it survives: `EVENT CONNECTION BEGIN END`, the times in nanoseconds. Fails as clients tell it.

use std::hint::black_box;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wsrun_guest::{
    Accept, CloseInfo, Connection, Handler, Message, Refusal, Request, Timer, handler, topics,
};

#[derive(Default)]
struct Contract;

const EVENTS: &str = "events";

/// The tag of a timer that is to trap.
const TRAPS: u64 = 2;

fn now() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos()
}

fn report(event: &str, connection: Connection, begin: u128) {
    let text = format!("{event} {} {begin} {}", connection.id(), now());
    topics::publish(EVENTS, &text).expect("the observer reads");
}

fn spin() -> ! {
    loop {
        black_box(());
    }
}

fn path_of(connection: Connection) -> String {
    connection
        .request()
        .map(|request| request.path)
        .unwrap_or_default()
}

#[handler]
impl Handler for Contract {
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        match request.path.as_str() {
            "/refused" => Err(Refusal::new(403)),
            "/handshake-traps" => panic!("asked to"),
            "/handshake-spins" => spin(),
            _ => Ok(Accept::new()),
        }
    }

    fn opened(&mut self, connection: Connection) {
        let begin = now();
        match path_of(connection).as_str() {
            "/observe" => {
                connection
                    .subscribe(EVENTS)
                    .expect("there is room for a subscription");
                return;
            }
            "/opened-traps" => panic!("asked to"),
            "/opened-closes" => connection.close(1000, ""),
            _ => {}
        }
        report("opened", connection, begin);
    }

    fn resumed(&mut self, connection: Connection) {
        let begin = now();
        match path_of(connection).as_str() {
            "/observe" => {}
            "/resumed-traps" => panic!("asked to"),
            _ => report("resumed", connection, begin),
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        let begin = now();
        let text = message.as_text().unwrap_or_default();
        match text {
            "trap" => panic!("asked to"),
            "spin" => spin(),
            "compute" => {
                while now() < begin + 3_000_000 {
                    black_box(());
                }
            }
            "close" => {
                connection.close(4000, "as asked");
            }
            "abort" => connection.abort(),
            "timer" => {
                let _ = connection.set_timer(Duration::from_millis(1), 1);
            }
            "trap-timer" => {
                let _ = connection.set_timer(Duration::from_millis(1), TRAPS);
            }
            // Beyond the time after which an instance sleeps.
            "late-timer" => {
                let _ = connection.set_timer(Duration::from_millis(15), 1);
            }
            "trap-closed" => {
                if connection.set_session_bytes(b"trap-closed").is_ok() {
                    return report("doomed", connection, begin);
                }
            }
            "ready" => {
                let _ = connection.send(text);
                return;
            }
            _ => {
                let _ = connection.send(text);
            }
        }
        report("received", connection, begin);
    }

    fn pong(&mut self, connection: Connection, payload: Vec<u8>) {
        let begin = now();
        assert!(payload != b"trap", "asked to");
        report("pong", connection, begin);
    }

    fn timer(&mut self, _timer: Timer, tag: u64, connection: Option<Connection>) {
        let begin = now();
        assert!(tag != TRAPS, "asked to");
        if let Some(connection) = connection {
            report("timer", connection, begin);
        }
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        let begin = now();
        if path_of(connection) == "/observe" {
            return;
        }
        assert!(connection.session_bytes() != b"trap-closed", "asked to");
        report("closed", connection, begin);
    }
}
