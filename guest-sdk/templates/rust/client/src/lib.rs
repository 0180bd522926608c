//! Connects out: what comes from the server at `--config url=ws://...` goes to everybody who is connected here, and what they say goes to it.

use wsrun_guest::client::{Options, Reconnect};
use wsrun_guest::{
    CloseInfo, Connection, Handler, Message, Role, SlowPolicy, close_code, handler, host, topics,
};

/// Everybody who is connected here.
const LISTENERS: &str = "listeners";

/// The connection to the server, while it is open. The host keeps topics when it lets an instance go: one that has just been made reaches the
/// server by this name before it is told of the connection.
const SERVER: &str = "server";

#[derive(Default)]
struct Relay {
    /// The connection to the server, as soon as it is known; the host makes it anew when it is lost.
    upstream: Option<Connection>,
}

#[handler]
impl Handler for Relay {
    fn started(&mut self) {
        let Some(url) = host::config("url") else {
            eprintln!("say where to connect to: --config url=ws://...");
            return;
        };
        // Who speaks is told when there is no room for it.
        topics::set_slow_policy(SERVER, SlowPolicy::Wait);
        match Options::new(url).reconnect(Reconnect::default()).connect() {
            Ok(upstream) => self.upstream = Some(upstream),
            Err(error) => eprintln!("not connected: {error}"),
        }
    }

    fn opened(&mut self, connection: Connection) {
        let topic = if is_upstream(connection) { SERVER } else { LISTENERS };
        let _ = connection.subscribe(topic);
    }

    fn received(&mut self, connection: Connection, message: Message) {
        if is_upstream(connection) {
            let _ = topics::publish(LISTENERS, &message);
            return;
        }
        if !matches!(topics::publish(SERVER, &message), Ok(1..)) {
            let _ = connection.send("the server is away: try again later");
        }
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        if let Some(failure) = connection.failure() {
            eprintln!("not connected: {failure}");
        }
        if self.upstream == Some(connection) {
            self.upstream = None;
        }
    }

    fn lost(&mut self, connection: Connection, info: CloseInfo, attempt: u32, after: std::time::Duration) {
        connection.unsubscribe(SERVER);
        eprintln!("lost the server ({}): attempt {attempt} in {after:?}", info.code);
    }

    fn restored(&mut self, connection: Connection) {
        let _ = connection.subscribe(SERVER);
    }

    /// This instance has taken over from another, whose connection to the server goes on: one is enough.
    fn resumed(&mut self, connection: Connection) {
        if !is_upstream(connection) {
            return;
        }
        if let Some(own) = self.upstream.replace(connection) {
            own.close(close_code::NORMAL, "");
        }
    }
}

fn is_upstream(connection: Connection) -> bool {
    let request = connection.request();
    request.is_some_and(|request| request.role == Role::Client)
}
