//! Passes a feed on to everybody, and connects to it again when it is lost.

use std::time::Duration;

use wsrun_guest::client::{Options, Reconnect};
use wsrun_guest::{
    CloseInfo, Connection, Handler, Message, Role, close_code, handler, host, topics,
};

const TOPIC: &str = "feed";

#[derive(Default)]
struct Relay {
    feed: Option<Connection>,
}

#[handler]
impl Handler for Relay {
    fn started(&mut self) {
        let Some(url) = host::config("feed") else {
            eprintln!("no feed: give --config feed=URL");
            return;
        };
        let again = Reconnect::default()
            .delay(Duration::from_millis(500))
            .delay_max(Duration::from_secs(30));
        match Options::new(url).reconnect(again).connect() {
            Ok(feed) => self.feed = Some(feed),
            Err(error) => eprintln!("no feed: {error}"),
        }
    }

    /// This instance has taken over from another, whose feed goes on: one is enough.
    fn resumed(&mut self, connection: Connection) {
        if !is_outbound(connection) {
            return;
        }
        if let Some(own) = self.feed.replace(connection) {
            own.close(close_code::NORMAL, "");
        }
    }

    fn opened(&mut self, connection: Connection) {
        if is_outbound(connection) {
            self.ask(connection);
        } else {
            let _ = connection.subscribe(TOPIC);
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if self.feed == Some(connection) {
            let _ = topics::publish(TOPIC, &message);
        }
    }

    /// Once, and not with each attempt.
    fn lost(&mut self, _: Connection, _: CloseInfo, attempt: u32, _: Duration) {
        if attempt == 1 {
            let _ = topics::publish(TOPIC, "the feed is away");
        }
    }

    fn restored(&mut self, connection: Connection) {
        self.ask(connection);
        let _ = topics::publish(TOPIC, "the feed is back");
    }
}

impl Relay {
    /// The server has forgotten what it was asked before: each of its connections begins anew.
    fn ask(&self, connection: Connection) {
        if self.feed == Some(connection) {
            let _ = connection.send("subscribe all");
        } else {
            connection.close(close_code::NORMAL, "");
        }
    }
}

fn is_outbound(connection: Connection) -> bool {
    let request = connection.request();
    request.is_some_and(|request| request.role == Role::Client)
}
