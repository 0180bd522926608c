//! Decides who gets a broadcast and who may connect; `README.md` beside the workspace lists the commands.

use wsrun_guest::{Connection, Handler, Message, handler, topics};

#[derive(Default)]
struct Filter;

#[handler]
impl Handler for Filter {
    fn received(&mut self, connection: Connection, message: Message) {
        let text = message.as_text().unwrap_or_default();
        let reply = match text.split_once(' ') {
            Some(("say", rest)) => match topics::broadcast(rest) {
                Ok(asked) => format!("said {asked}"),
                Err(error) => format!("err {error}"),
            },
            None if matches!(text, "yes" | "no") => {
                match connection.set_session_bytes(text.as_bytes()) {
                    Ok(()) => "ok".to_owned(),
                    Err(error) => format!("err {error}"),
                }
            }
            _ => format!("unknown command {text}"),
        };
        let _ = connection.send(&reply);
    }

    fn wanted(&mut self, connection: Connection, message: Message) -> bool {
        match message.as_text() {
            Some("trap") => panic!("asked to trap in the filter"),
            Some("again") => {
                let _ = topics::broadcast("a broadcast in a broadcast");
            }
            Some("also") => {
                let _ = connection.send("extra");
            }
            _ => {}
        }
        connection.session_bytes() != b"no"
    }

    fn accepts(&mut self, peer: &str, _local: &str) -> bool {
        let address = peer.rsplit_once(':').map_or(peer, |(address, _)| address);
        assert_ne!(address, "127.0.0.4", "a peer whose address traps");
        address != "127.0.0.3"
    }
}
