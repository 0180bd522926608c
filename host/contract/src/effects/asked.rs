//! What the effects of a callback make of the things that its later calls ask about, so that no call looks through all of them.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use rustc_hash::FxBuildHasher;

use super::super::{ConnectionId, TimerId};
use super::effect::Effect;

/// How many effects there are that add something which a handler has a limit for. What is queued counts as done, so that carrying it out
/// cannot fail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions {
    pub timers: usize,
    pub auto_replies: usize,
    pub topic_policies: usize,
    pub connects: usize,
    pub subscriptions: usize,
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
pub type AllAdditions = Rc<Cell<Additions>>;

/// Sums and small maps beside the effects of one callback.
#[derive(Debug)]
pub struct Asked {
    /// There is something in it.
    is_used: bool,
    additions: Additions,
    /// They are in this, too, until the effects have been carried out or dropped.
    all: AllAdditions,
    /// Where the newest session data of a connection is among the effects.
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

    /// Whether calls ask about effects of this kind.
    pub(super) fn concerns(effect: &Effect) -> bool {
        match effect {
            Effect::SetSession { .. }
            | Effect::Subscribe { .. }
            | Effect::Unsubscribe { .. }
            | Effect::SetAutoReply(_)
            | Effect::SetTopicPolicy { .. }
            | Effect::Connect(_)
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. }
            | Effect::Close { .. }
            | Effect::Abort { .. } => true,
            Effect::Send { .. }
            | Effect::SendPacked { .. }
            | Effect::SendChunk { .. }
            | Effect::Ping { .. }
            | Effect::Pong { .. }
            | Effect::WantWritable { .. }
            | Effect::WantWritableAll { .. }
            | Effect::ReceiveFlow { .. }
            | Effect::SetPolicy { .. }
            | Effect::Publish { .. }
            | Effect::Broadcast { .. } => false,
        }
    }

    /// Notes an effect that will stand at `position`.
    pub(super) fn note(&mut self, effect: &Effect, position: usize) {
        self.is_used = true;
        let mut added = Additions::default();
        if let Effect::SetSession { connection, .. } = effect {
            self.session_data.insert(*connection, position);
        } else if let Effect::Subscribe { connection, topic } = effect {
            added.subscriptions = 1;
            self.subscriptions.set(*connection, topic, true);
        } else if let Effect::Unsubscribe { connection, topic } = effect {
            self.subscriptions.set(*connection, topic, false);
        } else if let Effect::Close { connection, .. } | Effect::Abort { connection } = effect {
            self.subscriptions.closed.push(*connection);
        } else if let Effect::SetTimer { timer, .. } = effect {
            added.timers = 1;
            self.timers.insert(*timer, true);
        } else if let Effect::CancelTimer { timer } = effect {
            self.timers.insert(*timer, false);
        } else if let Effect::SetAutoReply(_) = effect {
            added.auto_replies = 1;
        } else if let Effect::SetTopicPolicy { .. } = effect {
            added.topic_policies = 1;
        } else if let Effect::Connect(_) = effect {
            added.connects = 1;
        }
        self.additions = self.additions.zip(added, usize::wrapping_add);
        let all = self.all.get().zip(added, usize::wrapping_add);
        self.all.set(all);
    }

    /// Where the newest session data of a connection is among the effects.
    #[inline]
    pub(super) fn session_data(&self, connection: ConnectionId) -> Option<usize> {
        self.session_data.get(&connection).copied()
    }

    /// Whether a timer was set, or cancelled, by this callback.
    #[inline]
    pub fn timer(&self, timer: TimerId) -> Option<bool> {
        self.timers.get(&timer).copied()
    }

    /// What becomes of one subscription, if an effect touches it.
    pub fn subscription(&self, connection: ConnectionId, topic: &str) -> Option<bool> {
        self.subscriptions
            .of
            .get(&connection)?
            .topics
            .get(topic)
            .copied()
    }

    /// How many more, or fewer, subscriptions a connection has.
    #[inline]
    pub fn subscriptions(&self, connection: ConnectionId) -> isize {
        let own = self.subscriptions.of.get(&connection);
        own.map_or(0, |own| own.change)
    }

    /// How many more, or fewer, subscribers a topic has. `subscribed` gives the topics that a connection is subscribed to before.
    pub fn change_of_subscribers<'a, T>(
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

    #[inline]
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
