//! Tells who is there: everybody gets the list when it changes. Who comes back within a few seconds, because a page was loaded again or a
//! network was changed, was not away.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use wsrun_guest::{
    Accept, CloseInfo, Connection, Handler, Message, Refusal, Request, Timer, handler, topics,
};

const TOPIC: &str = "presence";
const GRACE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Presence {
    /// Connections by name: one has several tabs. At 0 somebody is about to be away.
    here: BTreeMap<String, usize>,
    /// Who will be away when a timer fires, by its number.
    leaving: HashMap<u64, String>,
}

#[handler]
impl Handler for Presence {
    fn handshake(&mut self, request: Request) -> Result<Accept, Refusal> {
        match request.query_value("name") {
            Some(name) if (1..=24).contains(&name.len()) => Ok(Accept::new().session(&name)),
            _ => Err(Refusal::new(400).body("who are you? /?name=NAME")),
        }
    }

    fn opened(&mut self, connection: Connection) {
        let _ = connection.subscribe(TOPIC);
        let is_new = self.add(connection);
        if is_new {
            self.tell();
        } else {
            let _ = connection.send(&self.list());
        }
    }

    /// After a trap, or for a new version: this instance has not seen them come.
    fn resumed(&mut self, connection: Connection) {
        self.add(connection);
    }

    fn received(&mut self, connection: Connection, _message: Message) {
        let _ = connection.send(&self.list());
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        let Ok(name) = connection.session::<String>() else {
            return;
        };
        let Some(count) = self.here.get_mut(&name) else {
            return;
        };
        *count -= 1;
        if *count > 0 {
            return;
        }
        match wsrun_guest::timers::set(GRACE, 0) {
            Ok(timer) => {
                self.leaving.insert(timer.id(), name);
            }
            Err(_) => self.remove(&name),
        }
    }

    fn timer(&mut self, timer: Timer, _tag: u64, _connection: Option<Connection>) {
        if let Some(name) = self.leaving.remove(&timer.id()) {
            self.remove(&name);
        }
    }
}

impl Presence {
    /// Whether nobody of that name was there.
    fn add(&mut self, connection: Connection) -> bool {
        let Ok(name) = connection.session::<String>() else {
            return false;
        };
        let mut is_new = false;
        let count = self.here.entry(name).or_insert_with(|| {
            is_new = true;
            0
        });
        *count += 1;
        is_new
    }

    /// Unless somebody of that name has come back.
    fn remove(&mut self, name: &str) {
        if self.here.get(name) == Some(&0) {
            self.here.remove(name);
            self.tell();
        }
    }

    /// The whole list each time: whoever has missed one is right again with the next.
    fn tell(&self) {
        let _ = topics::publish(TOPIC, &self.list());
    }

    fn list(&self) -> String {
        let names: Vec<&String> = self.here.keys().collect();
        serde_json::json!({ "here": names }).to_string()
    }
}
