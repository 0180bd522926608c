//! What the commands of a callback make of the things that its later calls ask about, so that no call looks through all of them.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use rustc_hash::FxBuildHasher;

use super::Command;
use crate::contract::{ConnectionId, TimerId};

/// How many commands there are that add something which a handler has a limit for. What is queued counts as done, so that carrying it out
/// cannot fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Additions {
    pub(crate) timers: usize,
    pub(crate) auto_replies: usize,
    pub(crate) topic_policies: usize,
    pub(crate) connects: usize,
    pub(crate) subscriptions: usize,
}

impl Additions {
    /// All numbers of both, put together by `with`.
    fn zip(self, other: Self, with: fn(usize, usize) -> usize) -> Self {
        Self {
            timers: with(self.timers, other.timers),
            auto_replies: with(self.auto_replies, other.auto_replies),
            topic_policies: with(self.topic_policies, other.topic_policies),
            connects: with(self.connects, other.connects),
            subscriptions: with(self.subscriptions, other.subscriptions),
        }
    }
}

/// Those of all callbacks of a handler that run: several do, where connections have instances of their own.
pub(crate) type AllAdditions = Rc<Cell<Additions>>;

/// Sums and small maps beside the commands of one callback.
#[derive(Debug)]
pub(crate) struct Asked {
    /// There is something in it.
    is_used: bool,
    additions: Additions,
    /// They are in this, too, until the commands have been carried out or dropped.
    all: AllAdditions,
    /// Where the newest session data of a connection is among the commands.
    session_data: HashMap<ConnectionId, usize, FxBuildHasher>,
    /// Timers that are set (true) or cancelled.
    timers: HashMap<TimerId, bool, FxBuildHasher>,
    subscriptions: Subscriptions,
}

/// Subscriptions as they will be.
#[derive(Debug, Default)]
struct Subscriptions {
    of: HashMap<ConnectionId, Own, FxBuildHasher>,
    /// How many more, or fewer, subscribers topics have.
    change: HashMap<Rc<str>, isize>,
    /// Connections that are to be closed and are not in `change` yet.
    closed: Vec<ConnectionId>,
}

/// Those of one connection.
#[derive(Debug, Default)]
struct Own {
    topics: BTreeMap<Rc<str>, bool>,
    /// How many more, or fewer, it has.
    change: isize,
}

impl Asked {
    pub(super) fn new(all: AllAdditions) -> Self {
        Self {
            is_used: false,
            additions: Additions::default(),
            all,
            session_data: HashMap::default(),
            timers: HashMap::default(),
            subscriptions: Subscriptions::default(),
        }
    }

    /// Whether calls ask about commands of this kind.
    pub(super) fn concerns(command: &Command) -> bool {
        match command {
            Command::SetSession { .. }
            | Command::Subscribe { .. }
            | Command::Unsubscribe { .. }
            | Command::SetAutoReply(_)
            | Command::SetTopicPolicy { .. }
            | Command::Connect(_)
            | Command::SetTimer { .. }
            | Command::CancelTimer { .. }
            | Command::Close { .. }
            | Command::Abort { .. } => true,
            Command::Send { .. }
            | Command::SendPacked { .. }
            | Command::SendChunk { .. }
            | Command::Ping { .. }
            | Command::Pong { .. }
            | Command::WantWritable { .. }
            | Command::WantWritableAll { .. }
            | Command::ReceiveFlow { .. }
            | Command::SetPolicy { .. }
            | Command::Publish { .. }
            | Command::Broadcast { .. } => false,
        }
    }

    /// Notes a command that will stand at `position`.
    pub(super) fn note(&mut self, command: &Command, position: usize) {
        self.is_used = true;
        let mut added = Additions::default();
        if let Command::SetSession { connection, .. } = command {
            self.session_data.insert(*connection, position);
        } else if let Command::Subscribe { connection, topic } = command {
            added.subscriptions = 1;
            self.subscriptions.set(*connection, topic, true);
        } else if let Command::Unsubscribe { connection, topic } = command {
            self.subscriptions.set(*connection, topic, false);
        } else if let Command::Close { connection, .. } | Command::Abort { connection } = command {
            self.subscriptions.closed.push(*connection);
        } else if let Command::SetTimer { timer, .. } = command {
            added.timers = 1;
            self.timers.insert(*timer, true);
        } else if let Command::CancelTimer { timer } = command {
            self.timers.insert(*timer, false);
        } else if let Command::SetAutoReply(_) = command {
            added.auto_replies = 1;
        } else if let Command::SetTopicPolicy { .. } = command {
            added.topic_policies = 1;
        } else if let Command::Connect(_) = command {
            added.connects = 1;
        }
        self.additions = self.additions.zip(added, usize::wrapping_add);
        let all = self.all.get().zip(added, usize::wrapping_add);
        self.all.set(all);
    }

    /// Where the newest session data of a connection is among the commands.
    pub(super) fn session_data(&self, connection: ConnectionId) -> Option<usize> {
        self.session_data.get(&connection).copied()
    }

    /// Whether a timer was set, or cancelled, by this callback.
    pub(crate) fn timer(&self, timer: TimerId) -> Option<bool> {
        self.timers.get(&timer).copied()
    }

    /// What becomes of one subscription, if a command touches it.
    pub(crate) fn subscription(&self, connection: ConnectionId, topic: &str) -> Option<bool> {
        self.subscriptions
            .of
            .get(&connection)?
            .topics
            .get(topic)
            .copied()
    }

    /// How many more, or fewer, subscriptions a connection has.
    pub(crate) fn subscriptions(&self, connection: ConnectionId) -> isize {
        let own = self.subscriptions.of.get(&connection);
        own.map_or(0, |own| own.change)
    }

    /// How many more, or fewer, subscribers a topic has. `subscribed` gives the topics that a connection is subscribed to before.
    pub(crate) fn change_of_subscribers<'a, T>(
        &mut self,
        topic: &str,
        subscribed: impl Fn(ConnectionId) -> T,
    ) -> isize
    where
        T: Iterator<Item = &'a str>,
    {
        let Subscriptions {
            of, change, closed, ..
        } = &mut self.subscriptions;
        for connection in closed.drain(..) {
            // Closed twice, it has none the second time.
            let own = of.entry(connection).or_default();
            for topic in subscribed(connection) {
                if !own.topics.contains_key(topic) {
                    own.topics.insert(topic.into(), true);
                }
            }
            for (topic, is_subscribed) in &mut own.topics {
                if std::mem::replace(is_subscribed, false) {
                    *change.entry(Rc::clone(topic)).or_default() -= 1;
                }
            }
        }
        change.get(topic).copied().unwrap_or(0)
    }

    pub(super) fn clear(&mut self) {
        if self.is_used {
            let all = Rc::clone(&self.all);
            *self = Self::new(all);
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let all = self.all.get().zip(self.additions, usize::wrapping_sub);
        self.all.set(all);
    }
}

impl Subscriptions {
    /// A subscription that was not as it is to be.
    fn set(&mut self, connection: ConnectionId, topic: &str, subscribed: bool) {
        let by = if subscribed { 1 } else { -1 };
        let name: Rc<str> = topic.into();
        let own = self.of.entry(connection).or_default();
        own.topics.insert(Rc::clone(&name), subscribed);
        own.change += by;
        *self.change.entry(name).or_default() += by;
    }
}
