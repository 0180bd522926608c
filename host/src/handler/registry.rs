//! The connections of one handler on one worker, and what belongs to them.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use wsrun_proto::topic::{TopicLimits, Topics};

use super::timers::Timers;
use crate::command::TimerId;
use crate::config::HandlerLimits;
use crate::session::{ConnectionId, Session};

/// What a handler's imports look at. A connection of another handler is not in it, and so unknown.
pub(crate) struct Registry {
    name: Arc<str>,
    config: Arc<BTreeMap<String, String>>,
    limits: HandlerLimits,
    has_timers: bool,
    sessions: RefCell<HashMap<ConnectionId, Rc<Session>>>,
    topics: RefCell<Topics>,
    timers: RefCell<Timers>,
    next_timer: Cell<TimerId>,
}

impl Registry {
    pub(crate) fn new(
        name: Arc<str>,
        config: Arc<BTreeMap<String, String>>,
        limits: HandlerLimits,
        has_timers: bool,
    ) -> Self {
        let topic_limits = TopicLimits {
            topics_max: limits.topics_max,
            subscriptions_max: limits.subscriptions_max,
        };
        Self {
            name,
            config,
            limits,
            has_timers,
            sessions: RefCell::default(),
            topics: RefCell::new(Topics::new(topic_limits)),
            timers: RefCell::default(),
            next_timer: Cell::new(1),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn config(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    pub(crate) fn limits(&self) -> &HandlerLimits {
        &self.limits
    }

    /// Whether the handler would be told of a timer.
    pub(crate) fn has_timers(&self) -> bool {
        self.has_timers
    }

    pub(crate) fn get(&self, connection: ConnectionId) -> Option<Rc<Session>> {
        self.sessions.borrow().get(&connection).cloned()
    }

    pub(crate) fn insert(&self, session: Rc<Session>) {
        self.sessions.borrow_mut().insert(session.id, session);
    }

    /// Forgets a connection whose `closed` has been delivered.
    pub(crate) fn remove(&self, connection: ConnectionId) {
        self.sessions.borrow_mut().remove(&connection);
    }

    /// Ends what only an open connection has: subscriptions and timers.
    pub(crate) fn leave(&self, connection: ConnectionId) {
        self.topics.borrow_mut().unsubscribe_all(connection);
        self.timers.borrow_mut().cancel_of(connection);
    }

    /// All connections, in the order of their ids.
    pub(crate) fn sessions(&self) -> Vec<Rc<Session>> {
        let mut sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        sessions.sort_unstable_by_key(|session| session.id);
        sessions
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.borrow().is_empty()
    }

    pub(crate) fn open_count(&self) -> usize {
        self.sessions
            .borrow()
            .values()
            .filter(|session| session.is_open())
            .count()
    }

    /// Open connections that agreed on `protocol`; all of them for none.
    pub(crate) fn open_count_of(&self, protocol: Option<&str>) -> usize {
        let sessions = self.sessions.borrow();
        let of = sessions
            .values()
            .filter(|session| protocol.is_none() || session.protocol.as_deref() == protocol);
        of.filter(|session| session.is_open()).count()
    }

    pub(crate) fn topics(&self) -> Ref<'_, Topics> {
        self.topics.borrow()
    }

    pub(crate) fn topics_mut(&self) -> RefMut<'_, Topics> {
        self.topics.borrow_mut()
    }

    pub(crate) fn timers(&self) -> Ref<'_, Timers> {
        self.timers.borrow()
    }

    pub(crate) fn timers_mut(&self) -> RefMut<'_, Timers> {
        self.timers.borrow_mut()
    }

    pub(crate) fn next_timer(&self) -> TimerId {
        let timer = self.next_timer.get();
        self.next_timer.set(timer + 1);
        timer
    }
}
