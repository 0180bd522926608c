//! What a handler tells of its callbacks, and what the contract says of them.

use std::collections::HashMap;

/// A callback that ended well: the guests `contract` and `model` publish one as `NAME CONNECTION BEGIN END` and more.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// The connection that it was called for, 0 for none.
    pub connection: u64,
    /// When it began and ended, in nanoseconds.
    pub begin: u128,
    /// When it ended.
    pub end: u128,
    /// What else was told.
    pub rest: String,
}

impl Event {
    /// Reads one.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(5, ' ');
        let mut part = || {
            let part = parts.next();
            part.unwrap_or_else(|| panic!("not an event: {text:?}"))
        };
        Self {
            name: part().to_owned(),
            connection: part().parse().expect("a number"),
            begin: part().parse().expect("a number"),
            end: part().parse().expect("a number"),
            rest: parts.next().unwrap_or_default().to_owned(),
        }
    }
}

/// What was told of each connection, in order.
#[derive(Debug, Default)]
pub struct Told(pub HashMap<u64, Vec<Event>>);

impl Told {
    /// One more.
    pub fn add(&mut self, event: Event) {
        self.0.entry(event.connection).or_default().push(event);
    }

    /// How many connections were told as closed.
    pub fn closed(&self) -> usize {
        self.0.values().filter(|events| is_closed(events)).count()
    }

    /// How many events were told.
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Whether nothing was told.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with it, by connection.
    pub fn errors(&self) -> Vec<String> {
        let connections = self.0.iter().filter(|(connection, _)| **connection != 0);
        let errors = connections.filter_map(|(connection, events)| {
            Some(format!("connection {connection}: {}", error(events)?))
        });
        errors.collect()
    }
}

fn is_closed(events: &[Event]) -> bool {
    events.last().is_some_and(|event| event.name == "closed")
}

/// A connection is told as `opened`, what happens to it in order, and `closed` once; never two of them at a time.
fn error(events: &[Event]) -> Option<String> {
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    let opened = names.iter().filter(|name| **name == "opened").count();
    let closed = names.iter().filter(|name| **name == "closed").count();
    // `opened` may have trapped: then it was not seen, and nothing but `closed` may follow.
    if opened > 1 || (opened == 1 && names[0] != "opened") {
        return Some(format!("opened is not the first: {names:?}"));
    }
    if opened == 0 && names != ["closed"] {
        return Some(format!("not opened: {names:?}"));
    }
    if closed > 1 || (closed == 1 && names.last() != Some(&"closed")) {
        return Some(format!("closed is not the last: {names:?}"));
    }
    // Where `closed` is to trap, the session data says so: it is kept whatever happened since.
    if (closed == 0) != names.contains(&"doomed") {
        return Some(format!(
            "closed is told to those that are not to trap: {names:?}"
        ));
    }
    let overlap = events.windows(2).find(|pair| pair[1].begin < pair[0].end);
    overlap.map(|pair| format!("{} began before {} had ended", pair[1].name, pair[0].name))
}
