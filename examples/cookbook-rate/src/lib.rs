//! Holds back who sends too much: five messages at once, one more each second, and an end for those who do not listen.

use std::collections::HashMap;
use std::time::Instant;

use wsrun_guest::{CloseInfo, Connection, Handler, Message, close_code, handler};

const BURST: f64 = 5.0;
const PER_SECOND: f64 = 1.0;
const REFUSED_MAX: u32 = 10;

/// What a connection may still send.
struct Bucket {
    tokens: f64,
    filled_at: Instant,
    refused: u32,
}

#[derive(Default)]
struct Limited {
    buckets: HashMap<Connection, Bucket>,
}

#[handler]
impl Handler for Limited {
    fn received(&mut self, connection: Connection, message: Message) {
        let bucket = self.buckets.entry(connection).or_insert_with(Bucket::full);
        if bucket.take() {
            let _ = connection.send(&message);
        } else if bucket.refused > REFUSED_MAX {
            connection.close(close_code::POLICY_VIOLATION, "too many messages");
        } else {
            let _ = connection.send("slow down");
        }
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        self.buckets.remove(&connection);
    }
}

impl Bucket {
    fn full() -> Self {
        Self {
            tokens: BURST,
            filled_at: Instant::now(),
            refused: 0,
        }
    }

    fn take(&mut self) -> bool {
        let now = Instant::now();
        let seconds = now.duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + seconds * PER_SECOND).min(BURST);
        self.filled_at = now;
        if self.tokens < 1.0 {
            self.refused += 1;
            return false;
        }
        self.tokens -= 1.0;
        self.refused = 0;
        true
    }
}
