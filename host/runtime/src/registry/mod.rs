//! The connections of one handler on one worker, and what belongs to them.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxBuildHasher;
use wsrun_proto::topic::{TOPIC_NAME_BYTES_MAX, TopicLimits, Topics};

pub mod auto_reply;
pub mod timers;

use self::auto_reply::AutoReplies;
pub use self::timers::Timer;
use self::timers::Timers;
use crate::admission::Outbound;
use crate::reservations::Reservations;
use crate::session::Session;
use crate::usage::{SessionRoom, Usage};
use crate::worker::Worker;
use wsrun_contract::effects::{AllAdditions, FRAME_HEADER_BYTES_MAX, SetAutoReply};
use wsrun_contract::{
    ConnectError, ConnectOptions, ConnectionId, ContractBroken, HandlerLimits, Limit, PublishError,
    Setting, SlowPolicy, TimerId,
};
use wsrun_metrics::{HandlerMetrics, HandlerTally};
use wsrun_os::clock;

/// What a handler's imports look at. A connection of another handler is not in it, and so unknown.
pub struct Registry {
    config: Arc<BTreeMap<String, String>>,
    limits: Arc<HandlerLimits>,
    has_timers: Cell<bool>,
    /// The handler failed too often and is left alone until then.
    backed_off: Cell<Option<Instant>>,
    worker: Rc<Worker>,
    /// Outbound connections, those that are being made included.
    outbound: Rc<Cell<usize>>,
    sessions: RefCell<HashMap<ConnectionId, Rc<Session>, FxBuildHasher>>,
    topics: RefCell<Topics>,
    timers: RefCell<Timers>,
    next_timer: Cell<TimerId>,
    policies: RefCell<HashMap<String, TopicPolicy>>,
    auto_replies: RefCell<AutoReplies>,
    /// How many connections and topics have the policy to wait, at least: publishes look at subscribers only if there are any.
    waits: Cell<bool>,
    usage: Rc<Usage>,
    additions: AllAdditions,
    metrics: Rc<HandlerMetrics>,
}

/// What a topic says about subscribers without room.
#[derive(Debug, Default)]
struct TopicPolicy {
    policy: Option<SlowPolicy>,
    dropped: u64,
}

/// Topics that have a policy.
const TOPIC_POLICIES_MAX: usize = 1_000;

impl Registry {
    pub fn new(
        config: Arc<BTreeMap<String, String>>,
        limits: Arc<HandlerLimits>,
        has_timers: bool,
        metrics: Rc<HandlerMetrics>,
        worker: Rc<Worker>,
    ) -> Self {
        let topic_limits = TopicLimits {
            topics_max: limits.contract.topics_max,
            subscriptions_max: limits.contract.subscriptions_max,
        };
        let usage = Rc::new(Usage::new(&limits, Arc::clone(metrics.counters())));
        Self {
            config,
            limits,
            has_timers: Cell::new(has_timers),
            backed_off: Cell::new(None),
            worker,
            outbound: Rc::default(),
            sessions: RefCell::default(),
            topics: RefCell::new(Topics::new(topic_limits)),
            timers: RefCell::default(),
            next_timer: Cell::new(1),
            policies: RefCell::default(),
            auto_replies: RefCell::default(),
            waits: Cell::new(false),
            usage,
            additions: Rc::default(),
            metrics,
        }
    }

    #[inline]
    pub fn name(&self) -> &Arc<str> {
        self.metrics.name()
    }

    /// Returns what is counted and logged about the handler on this worker.
    #[inline]
    pub fn metrics(&self) -> &Rc<HandlerMetrics> {
        &self.metrics
    }

    #[inline]
    pub fn config(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    #[inline]
    pub fn limits(&self) -> &HandlerLimits {
        &self.limits
    }

    /// What its connections hold and use together.
    #[inline]
    pub fn usage(&self) -> &Rc<Usage> {
        &self.usage
    }

    /// What callbacks that run will add.
    #[inline]
    pub fn additions(&self) -> &AllAdditions {
        &self.additions
    }

    /// Returns the handler's counters.
    #[inline]
    pub fn tally(&self) -> &Arc<HandlerTally> {
        self.metrics.counters()
    }

    /// Counts that a limit was reached, and warns about it in the log now and then.
    #[inline]
    pub fn note_limit(&self, limit: Limit) {
        self.metrics.note_limit(limit);
    }

    /// A message of `length` bytes was not queued: notes whose limit that was.
    #[inline]
    pub fn note_queue_full(&self, length: usize) {
        self.note_limit(match self.usage.takes(length) {
            true => Limit::Queue,
            false => Limit::HandlerQueue,
        });
    }

    /// Has those give way who hold most, where more is queued than may be for all connections.
    #[inline]
    pub fn relieve(&self) {
        if self.usage.is_over() {
            self.make_room();
        }
    }

    /// Cuts off those who hold most, until there is room. Who may lose messages loses those first.
    #[cold]
    fn make_room(&self) {
        self.note_limit(Limit::HandlerQueue);
        let mut cut = 0;
        // Those who have only lost messages may have to go after all.
        for _ in 0..2 {
            let sessions = self.sessions.borrow();
            let held = sessions
                .values()
                .map(|session| (session.held(), session.id));
            let mut held: BinaryHeap<_> = held.filter(|(held, _)| *held > 0).collect();
            drop(sessions);
            while self.usage.surplus() > 0
                && let Some((_, id)) = held.pop()
            {
                let Some(session) = self.get(id) else {
                    continue;
                };
                // It may be this turn that has not written yet, and not the peer that does not read.
                session.flush();
                if session.held() == 0 || session.lose_droppable() {
                    continue;
                }
                self.leave(id);
                session.give_way();
                cut += 1;
            }
            if self.usage.surplus() == 0 {
                break;
            }
        }
        self.usage.relieved();
        tracing::debug!(
            handler = %self.name(), connections = cut,
            "connections were cut off that held most: more than {queued_bytes_max} waited", queued_bytes_max = Setting("traffic.queued_bytes_max"));
    }

    /// Promises to keep the session data of a connection that is to be made.
    pub fn promise_session(&self, options: &ConnectOptions) -> Result<SessionRoom, ConnectError> {
        let length = options.session.len();
        let limit = self.limits.memory.session_bytes_max;
        if length > limit {
            self.note_limit(Limit::Session);
            let text = format!("session data of {length} bytes: the limit is {limit}");
            return Err(ConnectError::Invalid(text));
        }
        self.usage.promise_session(length).ok_or_else(|| {
            self.note_limit(Limit::HandlerSession);
            ConnectError::Limit
        })
    }

    /// Whether the handler would be told of a timer.
    #[inline]
    pub fn has_timers(&self) -> bool {
        self.has_timers.get()
    }

    #[inline]
    pub fn set_has_timers(&self, has_timers: bool) {
        self.has_timers.set(has_timers);
    }

    /// How long the handler is still left alone because it failed too often.
    #[inline]
    pub fn backed_off(&self) -> Option<Duration> {
        let left = self
            .backed_off
            .get()?
            .saturating_duration_since(clock::now());
        (!left.is_zero()).then_some(left)
    }

    #[inline]
    pub fn set_backed_off(&self, until: Option<Instant>) {
        self.backed_off.set(until);
        self.tally().backed_off.set(usize::from(until.is_some()));
    }

    /// Connections that an instance was told of and that have not failed.
    #[inline]
    pub fn told(&self) -> BTreeSet<ConnectionId> {
        let sessions = self.sessions.borrow();
        let told = sessions
            .values()
            .filter(|session| session.told.get() && !session.failed.get());
        told.map(|session| session.id).collect()
    }

    #[inline]
    pub fn get(&self, connection: ConnectionId) -> Option<Rc<Session>> {
        self.sessions.borrow().get(&connection).cloned()
    }

    #[inline]
    pub fn insert(&self, session: Rc<Session>) {
        session.join(&self.usage);
        self.sessions.borrow_mut().insert(session.id, session);
        self.tally().opened.add(1);
        self.tally().connections.set(self.len());
        self.worker.add_connection();
    }

    /// Forgets a connection whose `closed` has been delivered.
    #[inline]
    pub fn remove(&self, connection: ConnectionId) {
        if self.sessions.borrow_mut().remove(&connection).is_some() {
            self.tally().connections.set(self.len());
            self.worker.remove_connection();
        }
    }

    /// Ends what only an open connection has: subscriptions and timers.
    #[inline]
    pub fn leave(&self, connection: ConnectionId) {
        self.topics.borrow_mut().unsubscribe_all(connection);
        self.timers.borrow_mut().cancel_of(connection);
    }

    /// All connections, in the order of their ids.
    #[inline]
    pub fn sessions(&self) -> Vec<Rc<Session>> {
        let mut sessions: Vec<_> = self.sessions.borrow().values().cloned().collect();
        sessions.sort_unstable_by_key(|session| session.id);
        sessions
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.sessions.borrow().len()
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sessions.borrow().is_empty()
    }

    #[inline]
    pub fn open_count(&self) -> usize {
        self.sessions
            .borrow()
            .values()
            .filter(|session| session.is_open())
            .count()
    }

    /// Open connections that agreed on `protocol`; all of them for none.
    #[inline]
    pub fn open_count_of(&self, protocol: Option<&str>) -> usize {
        let sessions = self.sessions.borrow();
        let of = sessions
            .values()
            .filter(|session| session.has_protocol(protocol));
        of.filter(|session| session.is_open()).count()
    }

    #[inline]
    pub fn topics(&self) -> Ref<'_, Topics> {
        self.topics.borrow()
    }

    #[inline]
    pub fn topics_mut(&self) -> RefMut<'_, Topics> {
        self.topics.borrow_mut()
    }

    #[inline]
    pub fn timers(&self) -> Ref<'_, Timers> {
        self.timers.borrow()
    }

    #[inline]
    pub fn timers_mut(&self) -> RefMut<'_, Timers> {
        self.timers.borrow_mut()
    }

    #[inline]
    pub fn next_timer(&self) -> TimerId {
        let timer = self.next_timer.get();
        self.next_timer.set(timer + 1);
        timer
    }

    /// Outbound connections, those that are being made included.
    #[inline]
    pub fn outbound_count(&self) -> usize {
        self.outbound.get()
    }

    /// Counts one more, until it is dropped.
    #[inline]
    pub fn count_outbound(&self) -> Outbound {
        Outbound::count(&self.outbound)
    }

    #[inline]
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// The policy of a topic.
    #[inline]
    pub fn topic_policy(&self, topic: &str) -> Option<SlowPolicy> {
        self.policies.borrow().get(topic)?.policy
    }

    /// Whether a topic may be given a policy, when `queued` more are given.
    pub fn check_topic_policy(&self, topic: &str, queued: usize) -> Result<(), ContractBroken> {
        if topic.len() > TOPIC_NAME_BYTES_MAX {
            return Err(ContractBroken(format!(
                "topics.set-slow-policy: the name of a topic has at most {TOPIC_NAME_BYTES_MAX} bytes"
            )));
        }
        let policies = self.policies.borrow();
        if policies.contains_key(topic) || policies.len() + queued < TOPIC_POLICIES_MAX {
            return Ok(());
        }
        Err(ContractBroken(format!(
            "topics.set-slow-policy: {TOPIC_POLICIES_MAX} topics have one, which is as many as may have"
        )))
    }

    pub fn set_topic_policy(&self, topic: &str, policy: Option<SlowPolicy>) {
        let mut policies = self.policies.borrow_mut();
        match policy {
            Some(policy) => {
                self.note_policy(Some(policy));
                policies.entry(topic.to_owned()).or_default().policy = Some(policy);
            }
            None => drop(policies.remove(topic)),
        }
    }

    #[inline]
    pub fn auto_replies(&self) -> Ref<'_, AutoReplies> {
        self.auto_replies.borrow()
    }

    #[inline]
    pub fn set_auto_reply(&self, set: &SetAutoReply) {
        self.auto_replies.borrow_mut().set(set);
    }

    /// Remembers that there is somebody to wait for.
    #[inline]
    pub fn note_policy(&self, policy: Option<SlowPolicy>) {
        if policy == Some(SlowPolicy::Wait) {
            self.waits.set(true);
        }
    }

    #[inline]
    pub fn count_dropped(&self, topic: &str, messages: u64) {
        if let Some(policy) = self.policies.borrow_mut().get_mut(topic) {
            policy.dropped += messages;
        }
    }

    /// Messages of a topic that were left out.
    #[inline]
    pub fn topic_dropped(&self, topic: &str) -> u64 {
        self.policies
            .borrow()
            .get(topic)
            .map_or(0, |policy| policy.dropped)
    }

    /// The subscribers that a message of `length` bytes has to wait for, and those that take it. Who is to be closed before does neither.
    fn waiting(
        &self,
        sessions: impl Iterator<Item = Rc<Session>>,
        policy: Option<SlowPolicy>,
        length: usize,
        reserved: Option<&Reservations>,
    ) -> (u32, Vec<Rc<Session>>) {
        let mut waiting = 0;
        let mut promised = Vec::new();
        for session in sessions {
            let is_closing = |reserved: &Reservations| reserved.is_closing(session.id);
            if session.policy().or(policy) == Some(SlowPolicy::Wait)
                && session.is_open()
                && !reserved.is_some_and(is_closing)
            {
                if !session.has_room(length) {
                    session.flush();
                }
                if !session.has_room(length) {
                    waiting += 1;
                }
                promised.push(session);
            }
        }
        (waiting, promised)
    }

    fn subscribers(&self, topic: &str, except: Option<ConnectionId>) -> Vec<Rc<Session>> {
        let topics = self.topics.borrow();
        let sessions = self.sessions.borrow();
        topics
            .subscribers(topic)
            .filter(|subscriber| Some(*subscriber) != except)
            .filter_map(|subscriber| sessions.get(&subscriber).cloned())
            .collect()
    }

    fn of_protocol(&self, protocol: Option<&str>) -> Vec<Rc<Session>> {
        let mut sessions = self.sessions();
        sessions.retain(|session| session.has_protocol(protocol));
        sessions
    }

    /// Whether every subscriber that is to be waited for has room, which is reserved then.
    pub fn admit_publish(
        &self,
        topic: &str,
        length: usize,
        except: Option<ConnectionId>,
        reserved: &Reservations,
        counted: bool,
    ) -> Result<(), PublishError> {
        if !self.waits.get() {
            return Ok(());
        }
        let subscribers = self.subscribers(topic, except);
        let policy = self.topic_policy(topic);
        self.reserve(subscribers, policy, length, reserved, counted)
    }

    /// The same for a broadcast.
    pub fn admit_broadcast(
        &self,
        protocol: Option<&str>,
        length: usize,
        reserved: &Reservations,
        counted: bool,
    ) -> Result<(), PublishError> {
        if !self.waits.get() {
            return Ok(());
        }
        self.reserve(self.of_protocol(protocol), None, length, reserved, counted)
    }

    fn reserve(
        &self,
        sessions: Vec<Rc<Session>>,
        policy: Option<SlowPolicy>,
        length: usize,
        reserved: &Reservations,
        counted: bool,
    ) -> Result<(), PublishError> {
        let (waiting, promised) =
            self.waiting(sessions.into_iter(), policy, length, Some(reserved));
        if waiting > 0 {
            self.note_queue_full(length);
            return Err(PublishError::Waiting(waiting));
        }
        for session in promised {
            reserved.reserve(&session, length + FRAME_HEADER_BYTES_MAX, counted);
        }
        Ok(())
    }

    /// The subscribers here that a publish of another worker must wait for.
    pub fn held_up_by(&self, topic: &str, length: usize) -> Vec<Rc<Session>> {
        if !self.waits.get() {
            return Vec::new();
        }
        let subscribers = self.subscribers(topic, None).into_iter();
        without_room(
            self.waiting(subscribers, self.topic_policy(topic), length, None),
            length,
        )
    }

    /// The same for a broadcast.
    #[inline]
    pub fn held_up_by_any(&self, protocol: Option<&str>, length: usize) -> Vec<Rc<Session>> {
        if !self.waits.get() {
            return Vec::new();
        }
        let sessions = self.of_protocol(protocol).into_iter();
        without_room(self.waiting(sessions, None, length, None), length)
    }
}

fn without_room((waiting, mut all): (u32, Vec<Rc<Session>>), length: usize) -> Vec<Rc<Session>> {
    match waiting {
        0 => all.clear(),
        _ => all.retain(|session| !session.has_room(length)),
    }
    all
}
