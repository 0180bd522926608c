//! A room for each path: what is sent to `/rooms/tea` goes to everybody there.

use wsrun_guest::{Accept, Connection, Handler, Message, Refusal, Request, handler, topics};

#[derive(Default)]
struct Rooms;

#[handler]
impl Handler for Rooms {
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        match request.path.strip_prefix("/rooms/") {
            Some(room) if is_name(room) => Ok(Accept::new().session_bytes(room)),
            _ => Err(Refusal::new(404).body("rooms are at /rooms/NAME")),
        }
    }

    fn opened(&mut self, connection: Connection) {
        if connection.subscribe(&room(connection)).is_err() {
            connection.close(4000, "there are too many rooms");
        }
    }

    fn received(&mut self, connection: Connection, message: Message) {
        // To the others of the room; `publish` would be to the sender as well.
        if let Err(error) = topics::publish_except(&room(connection), &message, connection) {
            let _ = connection.send(&error.to_string());
        }
    }
}

/// The room that the handshake has let a connection into.
fn room(connection: Connection) -> String {
    String::from_utf8(connection.session_bytes()).unwrap_or_default()
}

fn is_name(room: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=32).contains(&room.len()) && room.bytes().all(allowed)
}
