//! Rooms in which people with names talk to each other.
//!
//! A room is a topic: the host delivers what is said. Who sits where is session data, which the host keeps too, so that people stay in
//! their rooms when the handler traps or a new version takes over; `resumed` makes the lists of who is there anew from it.

mod protocol;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use wsrun_guest::{CloseInfo, Connection, Handler, Message, close_code, handler, topics};

use crate::protocol::{Event, Request};

/// Where a connection is and under which name: its session data.
#[derive(Clone, Serialize, Deserialize)]
struct Seat {
    name: String,
    room: String,
}

#[derive(Default)]
struct Chat {
    /// Name to connection, by room. A room is there while somebody is in it.
    rooms: HashMap<String, BTreeMap<String, Connection>>,
}

#[handler]
impl Handler for Chat {
    fn received(&mut self, connection: Connection, message: Message) {
        let seat = self.seat_of(connection);
        let outcome = match message {
            Message::Text(text) => Request::parse(&text).and_then(|request| match request {
                Request::Join { name, room } => self.join(connection, seat, Seat { name, room }),
                Request::Say { text } => say(seat, &text),
                Request::Leave {} => {
                    self.leave(connection, seat);
                    Ok(())
                }
            }),
            Message::Binary(_) => Err("this chat is made of text"),
        };
        if let Err(message) = outcome {
            reply(connection, &Event::Error { message });
        }
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        let seat = self.seat_of(connection);
        self.leave(connection, seat);
    }

    /// Called in a new instance, after a trap or a swap, for each connection that is open: the silent are in the lists as well.
    fn resumed(&mut self, connection: Connection) {
        self.seat_of(connection);
    }
}

impl Chat {
    /// The seat of a connection, by its session data. A new instance has not seen it: then the list of its room learns of it here.
    fn seat_of(&mut self, connection: Connection) -> Option<Seat> {
        let seat: Seat = connection.session().ok()?;
        let room = self.rooms.entry(seat.room.clone()).or_default();
        room.entry(seat.name.clone()).or_insert(connection);
        Some(seat)
    }

    fn join(
        &mut self,
        connection: Connection,
        old: Option<Seat>,
        new: Seat,
    ) -> Result<(), &'static str> {
        let holder = self
            .rooms
            .get(&new.room)
            .and_then(|room| room.get(&new.name));
        if holder.is_some_and(|&holder| holder != connection) {
            return Err("somebody in this room has that name");
        }
        self.leave(connection, old);
        connection
            .subscribe(&new.room)
            .map_err(|_| "there are too many rooms: try again later")?;
        connection
            .set_session(&new)
            .map_err(|_| "the connection is closing")?;

        let room = self.rooms.entry(new.room.clone()).or_default();
        room.insert(new.name.clone(), connection);
        // That it fails takes a queue smaller than an event. Who is there is told to each who joins anyway.
        let _ = topics::publish_except(
            &new.room,
            &Event::Joined { name: &new.name }.to_json(),
            connection,
        );
        let who = room.keys().map(String::as_str).collect();
        reply(
            connection,
            &Event::Welcome {
                name: &new.name,
                room: &new.room,
                who,
            },
        );
        Ok(())
    }

    fn leave(&mut self, connection: Connection, seat: Option<Seat>) {
        let Some(Seat { name, room }) = seat else {
            return;
        };
        if let Some(names) = self.rooms.get_mut(&room) {
            if names.get(&name) == Some(&connection) {
                names.remove(&name);
            }
            if names.is_empty() {
                self.rooms.remove(&room);
            }
        }
        connection.unsubscribe(&room);
        // The connection may be gone already, and its session data with it.
        let _ = connection.set_session_bytes(&[]);
        let _ = topics::publish(&room, &Event::Left { name: &name }.to_json());
    }
}

fn say(seat: Option<Seat>, text: &str) -> Result<(), &'static str> {
    let Seat { name, room } = seat.ok_or("join a room first")?;
    topics::publish(&room, &Event::Said { name: &name, text }.to_json())
        .map_err(|_| "nobody heard that: try again later")?;
    Ok(())
}

fn reply(connection: Connection, event: &Event<'_>) {
    if let Err(error) = connection.send(&event.to_json()) {
        connection.close(close_code::POLICY_VIOLATION, &error.to_string());
    }
}
