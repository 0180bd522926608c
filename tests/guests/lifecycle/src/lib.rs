//! Counts how often this instance was started: `started 1` is right, after a trap too.

use std::time::Duration;

use wsrun_guest::{Connection, Handler, Message, handler, host, topics};

#[derive(Default)]
struct Lifecycle {
    starts: u32,
    calls: u32,
}

#[handler]
impl Handler for Lifecycle {
    fn started(&mut self) {
        assert_eq!(self.calls, 0, "started comes before everything else");
        self.starts += 1;
        let broadcasts = host::config("broadcasts")
            .map_or(0, |number| number.parse().expect("broadcasts is a number"));
        for number in 0..broadcasts {
            topics::broadcast(&format!("broadcast {number}")).expect("there is room");
        }
    }

    fn draining(&mut self, deadline: Duration) {
        let _ = topics::broadcast(&format!("draining {}", deadline.as_millis()));
    }

    fn opened(&mut self, connection: Connection) {
        self.calls += 1;
        let _ = connection.send(&format!("started {}", self.starts));
    }

    fn received(&mut self, connection: Connection, message: Message) {
        self.calls += 1;
        if message.as_text() == Some("trap") {
            panic!("asked to trap");
        }
        let _ = connection.send(&format!("started {}", self.starts));
    }
}
