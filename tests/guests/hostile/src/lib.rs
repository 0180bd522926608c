//! Attacks its host and its neighbours in the way that `--config attack=NAME` tells, as often as a text `go` comes; `README.md` beside
//! the workspace lists the attacks. Any other message is sent back, so that the handler is a peaceful one until then.

mod compute;
mod flood;
mod hoard;
mod outbound;
mod strings;
mod wasi;

use std::time::Duration;

use wsrun_guest::{
    Accept, CloseInfo, Connection, Handler, HttpRequest, HttpResponse, Message, Refusal, Request,
    Timer, handler, host, topics,
};

/// Peers of this address are refused by a trap, where that is the attack: all others may connect, the neighbour among them.
const ADDRESS_THAT_TRAPS: &str = "127.0.0.3";

struct Hostile {
    attack: String,
    hoard: Vec<Vec<u8>>,
}

impl Default for Hostile {
    fn default() -> Self {
        Self {
            attack: host::config("attack").unwrap_or_default(),
            hoard: Vec::new(),
        }
    }
}

#[handler]
impl Handler for Hostile {
    fn opened(&mut self, connection: Connection) {
        self.traps_in("opened");
        outbound::opened(connection);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        match message.as_text() {
            Some("go") => {
                if let Some(done) = self.attack(connection) {
                    let _ = connection.send(&format!("done {done}"));
                }
            }
            Some(outbound::LEAVE) => connection.abort(),
            _ => drop(connection.send(&message)),
        }
    }

    fn closed(&mut self, connection: Connection, info: CloseInfo) {
        self.traps_in("closed");
        outbound::closed(connection, &info);
    }

    fn lost(&mut self, _: Connection, _: CloseInfo, _: u32, _: Duration) {
        self.traps_in("lost");
    }

    fn restored(&mut self, _: Connection) {
        self.traps_in("restored");
    }

    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        if request.query_value("attack").is_some() {
            self.traps_in("handshake");
        }
        Ok(Accept::new())
    }

    fn writable(&mut self, _: Connection) {
        self.traps_in("writable");
    }

    fn wanted(&mut self, _: Connection, _: Message) -> bool {
        self.traps_in("wanted");
        true
    }

    fn accepts(&mut self, peer: &str, _local: &str) -> bool {
        if peer.starts_with(ADDRESS_THAT_TRAPS) {
            self.traps_in("accepts");
        }
        true
    }

    fn http(&mut self, _: HttpRequest) -> HttpResponse {
        self.traps_in("http");
        HttpResponse::text("peaceful\n")
    }

    fn pong(&mut self, _: Connection, _: Vec<u8>) {
        self.traps_in("pong");
    }

    fn timer(&mut self, _: Timer, tag: u64, connection: Option<Connection>) {
        self.traps_in("timer");
        if let (Some(connection), "timer-storm") = (connection, self.attack.as_str()) {
            let _ = connection.set_timer(Duration::ZERO, tag);
        }
    }

    fn started(&mut self) {
        // The first instance, which nobody is connected to, starts: otherwise there would be no server.
        if host::connection_count() > 0 {
            self.traps_in("started");
            if self.attack == "start-loop" {
                compute::spin();
            }
        }
    }

    fn resumed(&mut self, _: Connection) {
        self.traps_in("resumed");
    }

    fn draining(&mut self, _: Duration) {
        self.traps_in("draining");
    }

    fn save(&mut self) -> Vec<u8> {
        self.traps_in("save");
        // Without state nothing is restored.
        b"state".to_vec()
    }

    fn restore(&mut self, _: Vec<u8>) -> Result<(), String> {
        self.traps_in("restore");
        Ok(())
    }
}

impl Hostile {
    fn traps_in(&self, callback: &str) {
        let asked = self.attack.strip_prefix("trap-in-");
        assert!(asked != Some(callback), "asked to trap in {callback}");
    }

    /// The attack; what came of it, where it comes back and the connection is to be told.
    fn attack(&mut self, connection: Connection) -> Option<String> {
        Some(match self.attack.as_str() {
            "loop" => compute::spin(),
            "slow-loop" => compute::compute(Duration::from_millis(95)),
            "short-loops" => compute::compute(Duration::from_millis(3)),
            "fill" => compute::fill(32_000_000),
            "recursion" => compute::recurse(0).to_string(),
            "recursion-with-imports" => compute::recurse_and_call(0).to_string(),
            "host-calls" => compute::call_without_end(),

            "memory-bomb" => hoard::allocate(),
            "memory-hoard" => hoard::keep(&mut self.hoard),
            "session-bomb" => hoard::session_too_large(connection),
            "session-hoard" => hoard::sessions(connection),
            "subscription-leak" => hoard::subscriptions(connection),
            "timer-leak" => hoard::timers(Duration::from_secs(4_000_000)),
            "timer-storm" => hoard::timers_of(connection, 1_000),
            "auto-reply-leak" => hoard::auto_replies(),
            "topic-policy-leak" => hoard::topic_policies(),

            "send-flood" => return flood::until_full(connection),
            "many-effects" => flood::effects_without_end(connection),
            "most-effects" => flood::effects(connection, 40_000),
            "publish-storm" => flood::publish(connection, 1_000),
            "broadcast-storm" => flood::broadcast(1_000),
            "close-others" => flood::foreign_connections(connection),
            "log-lines" => flood::log_lines(),
            "log-bytes" => flood::log_bytes(),

            "huge-strings" => strings::in_every_import(connection, 2_500_000),
            "huge-messages" => strings::messages(connection, 8 << 20),

            "sleep" => wasi::sleep(Duration::from_secs(100)),
            "zero-sleeps" => wasi::sleep_without_time(),
            "exit" => std::process::exit(0),
            "abort" => std::process::abort(),
            "forbidden" => wasi::ask_for_everything(),

            "trap-in-received" => panic!("asked to trap in received"),
            "trap-in-timer" => {
                connection
                    .set_timer(Duration::ZERO, 0)
                    .expect("it is exported");
                return None;
            }
            "trap-in-pong" => {
                connection.ping(b"answer").expect("it is open");
                return None;
            }
            "trap-in-writable" => {
                connection.want_writable();
                return None;
            }
            "trap-in-wanted" => {
                let _ = topics::broadcast("filtered");
                return None;
            }
            "trap-in-lost" | "trap-in-restored" => {
                outbound::connect_as(connection);
                return None;
            }
            // An instance that follows is what fails.
            "trap-in-started" | "trap-in-resumed" | "start-loop" => {
                panic!("asked to make room for the next")
            }
            attack => format!("nothing: {attack} is not done by messages"),
        })
    }
}
