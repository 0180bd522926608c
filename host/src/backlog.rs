//! Messages that wait in front of a connection's output: behind a message in chunks that is unfinished, or because the subscriber is slow
//! and its policy may still drop them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use wsrun_proto::ws::MessageKind;

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) kind: MessageKind,
    pub(crate) payload: Bytes,
    /// Where it was published, none for a broadcast; only such a message may be dropped.
    pub(crate) published: Option<Published>,
}

/// How a message came here that was not sent to this connection alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Topic(Arc<str>),
    Broadcast,
}

/// The messages of one connection, oldest first. Bounded together with the connection's output by `--max-queue`.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    messages: VecDeque<Waiting>,
    bytes: usize,
}

/// What a message counts beside its payload: empty ones cost memory too.
const MESSAGE_BYTES: usize = 64;

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The bytes of messages that may not be dropped.
    pub(crate) fn kept_bytes(&self) -> usize {
        let kept = self
            .messages
            .iter()
            .filter(|message| message.published.is_none());
        kept.map(cost).sum()
    }

    pub(crate) fn push(&mut self, message: Waiting) {
        self.bytes += cost(&message);
        self.messages.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let message = self.messages.pop_front()?;
        self.bytes -= cost(&message);
        if self.messages.is_empty() {
            // A connection that keeps up again holds nothing.
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Drops the oldest published messages until `bytes` more fit below `bytes_max`, or none is left. How many those were.
    pub(crate) fn make_room(&mut self, bytes: usize, bytes_max: usize) -> u64 {
        let mut dropped = 0;
        let mut position = 0;
        while self.bytes + bytes > bytes_max && position < self.messages.len() {
            if self.messages[position].published.is_none() {
                position += 1;
                continue;
            }
            if let Some(message) = self.messages.remove(position) {
                self.bytes -= cost(&message);
                dropped += 1;
            }
        }
        dropped
    }

    /// Drops the messages that came the same way. How many those were.
    pub(crate) fn replace(&mut self, published: &Published) -> u64 {
        let before = self.messages.len();
        let bytes = &mut self.bytes;
        self.messages.retain(|message| {
            let stays = message.published.as_ref() != Some(published);
            if !stays {
                *bytes -= cost(message);
            }
            stays
        });
        (before - self.messages.len()) as u64
    }

    /// Drops everything. How many messages that were.
    pub(crate) fn clear(&mut self) -> u64 {
        let dropped = self.messages.len();
        *self = Self::default();
        dropped as u64
    }
}

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
