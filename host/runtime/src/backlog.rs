//! Messages that wait in front of a connection's output. They wait behind an unfinished message in
//! chunks, or because the subscriber is slow and its policy may still drop them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use wsrun_proto::ws::MessageKind;

/// A message that waits.
#[derive(Debug)]
pub struct Waiting {
    pub kind: MessageKind,
    pub payload: Bytes,
    /// The topic, or the broadcast, that the message was published to. Only such a message may be
    /// dropped; none for a message that was sent to this connection alone.
    pub published: Option<Published>,
}

/// The source of a message that was not sent to this connection alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Published {
    Topic(Arc<str>),
    Broadcast,
}

/// The messages of one connection, oldest first. `--max-queue` bounds them together with the
/// connection's output.
///
/// No operation searches all messages for one of them: a handler that publishes much would pay for
/// that search with each slow subscriber.
#[derive(Debug, Default)]
pub struct Backlog {
    messages: VecDeque<Entry>,
    /// The number of the first entry. The entries after it are numbered consecutively.
    first: u64,
    /// The number of entries whose message was dropped.
    empty: usize,
    /// The bytes of all messages that wait.
    bytes: usize,
    /// The bytes of the messages that may not be dropped.
    kept_bytes: usize,
    /// The numbers of messages that may be dropped, oldest first. Some numbers are of messages that
    /// are gone already.
    droppable: VecDeque<u64>,
    /// The number of the newest message of each source. None until [`replace`](Self::replace) is
    /// called, and again once the backlog is empty. Boxed, because few connections have one.
    #[expect(
        clippy::box_collection,
        reason = "every session has the field, and few have a map"
    )]
    newest: Option<Box<HashMap<Published, u64>>>,
}

/// A position in the backlog, which holds a message or held one.
#[derive(Debug)]
struct Entry {
    message: Option<Waiting>,
    /// The number of the message before it from the same source, where that is known.
    older: Option<u64>,
}

/// The bytes that a message counts in addition to its payload: empty messages cost memory too.
const MESSAGE_BYTES: usize = 64;

impl Backlog {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.messages.len() == self.empty
    }

    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the bytes of the messages that may not be dropped.
    #[inline]
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    pub fn push(&mut self, message: Waiting) {
        let number = self.first + self.messages.len() as u64;
        self.bytes += cost(&message);
        let mut older = None;
        match &message.published {
            Some(published) => {
                self.droppable.push_back(number);
                if let Some(newest) = &mut self.newest {
                    older = newest.insert(published.clone(), number);
                }
            }
            None => self.kept_bytes += cost(&message),
        }
        self.messages.push_back(Entry {
            message: Some(message),
            older,
        });
    }

    pub fn pop(&mut self) -> Option<Waiting> {
        while let Some(entry) = self.messages.pop_front() {
            self.first += 1;
            let Some(message) = entry.message else {
                self.empty -= 1;
                continue;
            };
            self.count_out(&message);
            if let (Some(newest), Some(published)) = (&mut self.newest, &message.published)
                && newest.get(published).is_some_and(|at| *at < self.first)
            {
                newest.remove(published);
            }
            self.compact();
            if self.is_empty() {
                // A connection that keeps up again holds no memory.
                *self = Self::default();
            }
            return Some(message);
        }
        *self = Self::default();
        None
    }

    /// Drops the oldest published messages until `bytes` more fit into `bytes_max`, or until none
    /// is left. Returns the number of dropped messages.
    pub fn make_room(&mut self, bytes: usize, bytes_max: usize) -> u64 {
        let mut dropped = 0;
        while self.bytes.saturating_add(bytes) > bytes_max
            && let Some(number) = self.droppable.pop_front()
        {
            dropped += u64::from(self.drop_at(number));
        }
        self.compact();
        dropped
    }

    /// Drops all messages from the same source. Returns their number.
    pub fn replace(&mut self, published: &Published) -> u64 {
        if self.newest.is_none() {
            self.index_newest();
        }
        let newest = self.newest.as_mut();
        let mut at = newest.and_then(|newest| newest.remove(published));
        let mut dropped = 0;
        while let Some(number) = at {
            at = self.entry(number).and_then(|entry| entry.older);
            if !self.drop_at(number) {
                // The messages before it from the same source are gone too.
                break;
            }
            dropped += 1;
        }
        self.compact();
        dropped
    }

    /// Drops all messages. Returns their number.
    #[inline]
    pub fn clear(&mut self) -> u64 {
        let dropped = self.messages.len() - self.empty;
        *self = Self::default();
        dropped as u64
    }

    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let position = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.messages.get_mut(position)
    }

    /// Drops one message. Returns false if it is gone already.
    fn drop_at(&mut self, number: u64) -> bool {
        let message = self.entry(number).and_then(|entry| entry.message.take());
        let Some(message) = message else {
            return false;
        };
        self.count_out(&message);
        self.empty += 1;
        true
    }

    fn count_out(&mut self, message: &Waiting) {
        self.bytes -= cost(message);
        if message.published.is_none() {
            self.kept_bytes -= cost(message);
        }
    }

    /// Records the newest message of each source. From here on `push` keeps the record up to date,
    /// until the backlog is empty.
    fn index_newest(&mut self) {
        let mut newest = Box::<HashMap<Published, u64>>::default();
        for (number, entry) in (self.first..).zip(&mut self.messages) {
            let message = entry.message.as_ref();
            if let Some(published) = message.and_then(|message| message.published.as_ref()) {
                entry.older = newest.insert(published.clone(), number);
            }
        }
        self.newest = Some(newest);
    }

    /// Removes empty entries, so that there are never more than twice as many entries and numbers
    /// as messages (plus [`COMPACT_FROM`]).
    fn compact(&mut self) {
        while self
            .messages
            .front()
            .is_some_and(|entry| entry.message.is_none())
        {
            self.messages.pop_front();
            self.first += 1;
            self.empty -= 1;
        }
        if self.empty > COMPACT_FROM && self.empty > self.messages.len() / 2 {
            self.messages.retain(|entry| entry.message.is_some());
            self.empty = 0;
            self.droppable.clear();
            for (number, entry) in (self.first..).zip(&self.messages) {
                let message = entry.message.as_ref();
                if message.is_some_and(|message| message.published.is_some()) {
                    self.droppable.push_back(number);
                }
            }
            if self.newest.is_some() {
                self.index_newest();
            }
        }
        while self
            .droppable
            .front()
            .is_some_and(|number| *number < self.first)
        {
            self.droppable.pop_front();
        }
    }
}

/// The number of empty entries up to which they are left as they are.
const COMPACT_FROM: usize = 64;

fn cost(message: &Waiting) -> usize {
    message.payload.len() + MESSAGE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &'static str, published: Option<Published>) -> Waiting {
        Waiting {
            kind: MessageKind::Text,
            payload: Bytes::from_static(text.as_bytes()),
            published,
        }
    }

    fn texts(backlog: &mut Backlog) -> Vec<Bytes> {
        std::iter::from_fn(|| backlog.pop())
            .map(|message| message.payload)
            .collect()
    }

    #[test]
    fn room_is_made_by_the_oldest_published_messages_alone() {
        let mut backlog = Backlog::default();
        backlog.push(message("sent", None));
        for text in ["a", "b", "c"] {
            backlog.push(message(text, Some(Published::Broadcast)));
        }
        let bytes = backlog.bytes();
        assert_eq!(backlog.make_room(MESSAGE_BYTES + 1, bytes), 1);
        assert_eq!(backlog.make_room(usize::MAX / 2, bytes), 2);
        assert_eq!(backlog.bytes(), MESSAGE_BYTES + 4);
        assert_eq!(texts(&mut backlog), ["sent"]);
        assert_eq!(backlog.bytes(), 0);
    }

    /// Compares every operation with a plain list, over a fixed pseudo-random sequence.
    #[test]
    fn backlog_agrees_with_a_list() {
        let ways = [None, Some("x"), Some("y"), Some("z"), Some("")].map(|way| {
            way.map(|name| match name {
                "" => Published::Broadcast,
                topic => Published::Topic(topic.into()),
            })
        });
        let mut random = 88_172_645_463_325_252_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut backlog = Backlog::default();
        let mut model: Vec<(Option<Published>, u64)> = Vec::new();
        for number in 0..200_000_u64 {
            let text = number.to_le_bytes();
            // A long run, so that entries are compacted, and the backlog is emptied at times.
            match next(100) {
                0..70 => {
                    let published = ways[next(ways.len())].clone();
                    backlog.push(Waiting {
                        kind: MessageKind::Binary,
                        payload: Bytes::copy_from_slice(&text),
                        published: published.clone(),
                    });
                    model.push((published, number));
                }
                70..75 => {
                    let way = ways[1 + next(ways.len() - 1)].clone().expect("published");
                    let before = model.len();
                    model.retain(|(published, _)| published.as_ref() != Some(&way));
                    assert_eq!(backlog.replace(&way), (before - model.len()) as u64);
                }
                75..90 => {
                    let (bytes, max) = (next(400), backlog.bytes());
                    let mut over = bytes.div_ceil(MESSAGE_BYTES + 8);
                    let before = model.len();
                    model.retain(|(published, _)| {
                        let goes = over > 0 && published.is_some();
                        over -= usize::from(goes);
                        !goes
                    });
                    let dropped = backlog.make_room(bytes, max);
                    assert_eq!(dropped, (before - model.len()) as u64);
                }
                _ => {
                    let popped = backlog.pop().map(|message| message.payload);
                    let expected = (!model.is_empty()).then(|| model.remove(0).1);
                    let expected =
                        expected.map(|number| Bytes::copy_from_slice(&number.to_le_bytes()));
                    assert_eq!(popped, expected);
                    if next(50) == 0 {
                        let rest = texts(&mut backlog).len();
                        assert_eq!(rest, std::mem::take(&mut model).len());
                        assert_eq!(backlog.messages.capacity(), 0);
                    }
                }
            }
            let cost = MESSAGE_BYTES + 8;
            let kept = model.iter().filter(|(published, _)| published.is_none());
            assert_eq!(backlog.kept_bytes(), kept.count() * cost);
            assert_eq!(backlog.bytes(), model.len() * cost);
            assert_eq!(backlog.is_empty(), model.is_empty());
            assert!(backlog.messages.len() <= 2 * model.len() + COMPACT_FROM);
            assert!(backlog.droppable.len() <= backlog.messages.len());
        }
    }

    /// If each message searched those that wait, this test would take hours instead of a moment.
    #[test]
    fn what_waits_is_not_looked_through_for_each_message() {
        const MESSAGES: usize = 300_000;
        let latest = |number: usize| Published::Topic(format!("t{}", number % 64).into());
        let mut backlog = Backlog::default();
        for _ in 0..MESSAGES {
            backlog.push(message("sent", None));
        }
        for number in 0..MESSAGES {
            backlog.push(message("x", Some(latest(number))));
        }
        let bytes = backlog.bytes();
        for number in 0..MESSAGES {
            assert_eq!(backlog.make_room(MESSAGE_BYTES + 1, bytes), 1);
            backlog.push(message("y", Some(latest(number))));
            assert_eq!(backlog.kept_bytes(), MESSAGES * (MESSAGE_BYTES + 4));
        }
        let mut dropped = 0;
        for number in 0..MESSAGES {
            dropped += backlog.replace(&latest(number));
            backlog.push(message("z", Some(latest(number))));
        }
        assert_eq!(dropped, (2 * MESSAGES - 64) as u64);
        assert_eq!(texts(&mut backlog).len(), MESSAGES + 64);
    }

    #[test]
    fn newest_of_a_topic_takes_the_place_of_the_older() {
        let topic = |name: &str| Some(Published::Topic(name.into()));
        let mut backlog = Backlog::default();
        backlog.push(message("x1", topic("x")));
        backlog.push(message("y1", topic("y")));
        backlog.push(message("all", Some(Published::Broadcast)));
        backlog.push(message("sent", None));
        assert_eq!(backlog.replace(&Published::Topic("x".into())), 1);
        backlog.push(message("x2", topic("x")));
        assert_eq!(texts(&mut backlog), ["y1", "all", "sent", "x2"]);
    }
}
