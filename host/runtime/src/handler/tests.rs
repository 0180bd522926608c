//! A handler with a guest whose callbacks fail on demand.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::LocalSet;
use wsrun_proto::ws::{self, MessageKind, Role, State};

use super::{AskedBy, Connector, Handler, NotAdmitted, Remote};
use crate::admission::{Held, Slot};
use crate::imports::Imports;
use crate::registry::Registry;
use crate::reservations::ReservedEffects;
use crate::session::Session;
use crate::worker::{Shared, Worker};
use wsrun_contract::effects::{Connect, Effects};
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::host::{Checked, Host};
use wsrun_contract::{
    Acceptance, Answer, Callback, CallbackError, Capabilities, Chunk, ChunkError, CloseInfo,
    ClosedBy, ConnectError, ConnectOptions, ConnectionId, HandlerLimits, HttpBody, HttpResponse,
    Message, OutboundRules, PublishError, Request, Scope, SendError, SubscribeError, TimerError,
    TimerId,
};
use wsrun_metrics::{HandlerMetrics, Tallies};
use wsrun_os::clock;
use wsrun_os::transport::Transport;
use wsrun_os::transport::memory::{MemoryPeer, pipe};

/// What the guests of a test share with it.
#[derive(Default)]
struct Script {
    log: RefCell<Vec<String>>,
    /// How many of the next `started` fail.
    failing_starts: Cell<u32>,
    /// Session data that handshakes are accepted with; they fail without.
    session: Cell<Option<usize>>,
}

struct Fake {
    script: Rc<Script>,
    host: Rc<dyn Host>,
    effects: Effects,
}

/// The imports of a callback that a test makes itself.
struct Calls {
    imports: Imports,
    effects: Effects,
}

/// Functions of the imports with the effects of the callback.
macro_rules! imports {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Calls {
            $(fn $name(&mut self, $($arg: $type),*) -> $result {
                self.imports.$name(&mut self.effects, $($arg),*)
            })*
        }
    };
}

imports! {
    send(to: ConnectionId, kind: MessageKind, bytes: &[u8]) -> Checked<Result<(), SendError>>;
    send_chunk(to: ConnectionId, kind: MessageKind, bytes: &[u8], fin: bool) -> Checked<Result<(), ChunkError>>;
    close(connection: ConnectionId, code: u16, reason: String) -> Checked<()>;
    set_session(connection: ConnectionId, data: Vec<u8>) -> Checked<Result<(), SendError>>;
    session(connection: ConnectionId) -> Vec<u8>;
    subscribe(connection: ConnectionId, topic: String) -> Checked<Result<bool, SubscribeError>>;
    unsubscribe(connection: ConnectionId, topic: String) -> Checked<bool>;
    publish(topic: String, kind: MessageKind, bytes: &[u8], except: Option<ConnectionId>) -> Checked<Result<u32, PublishError>>;
    broadcast(protocol: Option<String>, kind: MessageKind, bytes: &[u8]) -> Checked<Result<u32, PublishError>>;
    set_timer(after: Duration, tag: u64, connection: Option<ConnectionId>) -> Checked<Result<TimerId, TimerError>>;
    cancel_timer(timer: TimerId) -> Checked<bool>;
}

impl Calls {
    fn new(registry: Rc<Registry>) -> Self {
        let imports = Imports::new(registry);
        let effects = imports.new_effects();
        Self { imports, effects }
    }

    fn open_count(&self) -> usize {
        self.imports.open_count()
    }

    fn clear(&mut self) {
        self.effects.clear();
        self.imports.reserved().clear();
    }

    fn take(&mut self) -> ReservedEffects {
        ReservedEffects {
            effects: self.effects.take(),
            reserved: self.imports.reserved().take(),
        }
    }
}

fn failure() -> CallbackError {
    CallbackError::Blocked {
        limit: Duration::ZERO,
    }
}

impl Fake {
    fn log(&self, line: String) {
        self.script.log.borrow_mut().push(line);
    }
}

impl Fake {
    fn started(&self) -> Result<(), CallbackError> {
        let failing = self.script.failing_starts.get();
        if failing > 0 {
            self.script.failing_starts.set(failing - 1);
            self.log("start failed".into());
            return Err(failure());
        }
        self.log("started".into());
        Ok(())
    }

    fn requested(&self) -> Result<Acceptance, CallbackError> {
        self.log("requested".into());
        let bytes = self.script.session.get().ok_or_else(failure)?;
        Ok(Acceptance {
            session: vec![0; bytes],
            ..Acceptance::default()
        })
    }

    /// Fails for the first connection when the message is `fail`, and leaves the second out.
    fn wanted(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<bool, CallbackError> {
        self.log(format!("wanted {connection}"));
        if connection == 1 && message.as_bytes() == b"fail" {
            return Err(failure());
        }
        if message.as_bytes() == b"close 3" {
            if connection == 1 {
                self.host
                    .close(&mut self.effects, 3, 1000, String::new())
                    .unwrap();
            }
            let sent = self
                .host
                .send(&mut self.effects, 3, MessageKind::Text, b"lost")
                .unwrap();
            self.log(format!("sent {sent:?}"));
        }
        Ok(connection != 2)
    }
}

impl Guest for Fake {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// Fails for `fail`, after it has asked for something.
    async fn received(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<(), CallbackError> {
        let (kind, payload) = message.parts();
        self.log(format!("received {connection}"));
        let set = self
            .host
            .set_session(&mut self.effects, connection, payload.to_vec());
        assert_eq!(set, Ok(Ok(())));
        let sent = self.host.send(&mut self.effects, connection, kind, payload);
        assert_eq!(sent, Ok(Ok(())));
        if payload == b"fail" {
            Err(failure())
        } else {
            Ok(())
        }
    }

    async fn received_packed(
        &mut self,
        _: ConnectionId,
        _: &[u8],
        _: u32,
    ) -> Result<(), CallbackError> {
        Ok(())
    }

    async fn received_chunk(
        &mut self,
        _: ConnectionId,
        _: &Chunk<'_>,
    ) -> Result<(), CallbackError> {
        Ok(())
    }

    async fn call(&mut self, callback: Callback<'_>) -> Result<Answer, CallbackError> {
        Ok(match callback {
            Callback::Started => {
                self.started()?;
                Answer::None
            }

            Callback::Requested(_) => Answer::Handshake(Ok(self.requested()?)),
            Callback::Opened(connection) => {
                self.log(format!("opened {connection}"));
                Answer::None
            }
            Callback::Closed(connection, info) => {
                self.log(format!("closed {connection} {}", info.code));
                Answer::None
            }
            Callback::Resumed(connection) => {
                self.log(format!("resumed {connection}"));
                Answer::None
            }
            Callback::Fired { timer, .. } => {
                self.log(format!("fired {timer}"));
                Answer::None
            }
            Callback::Wanted(connection, message) => {
                Answer::Bool(self.wanted(connection, message)?)
            }
            Callback::Accepts { peer: "fail", .. } => return Err(failure()),
            Callback::Accepts { peer, .. } => Answer::Bool(peer == "good"),
            Callback::Http(_) => Answer::Http(HttpResponse {
                status: 204,
                headers: Vec::new(),
                body: HttpBody::Bytes(Vec::new()),
            }),
            Callback::Save => Answer::State(Vec::new()),
            Callback::Restore(_) => Answer::Restored(Ok(())),
            Callback::Writable(_)
            | Callback::Lost { .. }
            | Callback::Restored(_)
            | Callback::Pong(..)
            | Callback::Draining(_) => Answer::None,
        })
    }
}

struct Factory(Rc<Script>);

impl GuestFactory for Factory {
    type Guest = Fake;

    async fn make(&self, host: Rc<dyn Host>) -> Result<Fake, CallbackError> {
        Ok(Fake {
            script: Rc::clone(&self.0),
            effects: host.new_effects(),
            host,
        })
    }

    async fn prepare_spare(&self, _: Rc<dyn Host>) {}

    fn discard_spare(&self) {}
}

/// Grants every outbound connection.
struct EverythingGranted;

impl OutboundRules for EverythingGranted {
    fn check(&self, _: &ConnectOptions) -> Result<(), ConnectError> {
        Ok(())
    }
}

/// Makes no connections.
struct NoConnector;

impl Connector for NoConnector {
    fn connect(&self, _: &Rc<Handler>, _: &Connect, _: AskedBy) {}
}

/// What the socket takes of a connection whose peer does not read.
const SOCKET_BYTES: usize = 200_000;

/// A handler on a worker without listeners.
pub struct Bench {
    script: Rc<Script>,
    pub worker: Rc<Worker>,
    pub handler: Rc<Handler>,
    /// Ends of the transports: they stay open as long as the test.
    peers: Vec<MemoryPeer>,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with_limits(HandlerLimits::default()).await
    }

    async fn with_limits(limits: HandlerLimits) -> Self {
        let script = Rc::<Script>::default();
        let (_, shutdown) = watch::channel(false);
        let shared = Shared {
            settings: Arc::default(),
            threads: 1,
            outbound_connections_max: 100,
            outbound: Arc::new(EverythingGranted),
            trusted: Arc::new(EverythingGranted),
            live: watch::channel(0).0,
            tallies: Arc::new(Tallies::new(vec!["test".into()], 1)),
            shutdown,
        };
        let worker = Rc::new(Worker::new(0, shared));
        let lines = limits.traffic.log_lines_per_second_max;
        let metrics = HandlerMetrics::new("test".into(), Arc::default(), lines, Instant::now());
        let registry = Rc::new(Registry::new(
            Arc::default(),
            Arc::new(limits),
            true,
            Rc::new(metrics),
            Rc::clone(&worker),
        ));
        let exports = Capabilities {
            handshake: true,
            pong: true,
            broadcast_filter: true,
            network_filter: true,
            ..Capabilities::default()
        };
        let handler = Handler::new(
            registry,
            Rc::clone(&worker),
            exports,
            Vec::new(),
            None,
            Scope::Shared,
            Arc::new(NoConnector),
        );
        handler.start(Factory(Rc::clone(&script))).await.unwrap();
        tokio::task::yield_now().await;
        Self {
            script,
            worker,
            handler,
            peers: Vec::new(),
        }
    }

    fn open(&mut self) -> Rc<Session> {
        let (ours, theirs) = pipe();
        theirs.set_room(SOCKET_BYTES);
        self.peers.push(theirs);
        self.open_on(Box::new(ours))
    }

    pub fn open_on(&self, transport: Box<dyn Transport>) -> Rc<Session> {
        let connection = ws::Connection::new(clock::now(), Role::Server, ws::Config::default());
        let session = Rc::new(Session::new(
            self.worker.next_connection_id(),
            &Default::default(),
            None,
            Rc::clone(&self.worker),
            Vec::new(),
            connection,
            transport,
            Held::Inbound(Slot::take(&Arc::default(), 1).unwrap()),
        ));
        self.handler.registry.insert(Rc::clone(&session));
        self.handler
            .push(|queue| queue.push_opened(Rc::clone(&session)));
        session
    }

    fn receive(&self, session: &Rc<Session>, text: &str) {
        self.handler
            .push(|queue| queue.push_received(session, MessageKind::Text, text.as_bytes()));
    }

    fn close(&self, session: &Rc<Session>) {
        let info = CloseInfo {
            code: 1000,
            reason: String::new(),
            by: ClosedBy::Peer,
            clean: true,
        };
        self.handler
            .push(|queue| queue.push_closed(Rc::clone(session), info));
    }

    pub fn log(&self) -> Vec<String> {
        self.script.log.borrow().clone()
    }

    /// Waits until the log has this line.
    async fn wait_for(&self, line: &str) {
        let wait = async {
            while !self.log().iter().any(|logged| logged == line) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .unwrap_or_else(|_| panic!("no {line:?} in {:?}", self.log()));
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn handler_takes_its_turn_where_the_event_is_pushed() {
    run(async {
        let mut bench = Bench::new().await;
        let session = bench.open();
        bench.receive(&session, "x");
        // Nothing was awaited: no task had to be woken.
        assert_eq!(bench.log(), ["started", "opened 1", "received 1"]);
        assert_eq!(session.data(), b"x");
    });
}

#[test]
fn much_to_write_goes_out_in_turns() {
    const MESSAGE: usize = 5 * 1024 * 1024;
    const TURN: usize = (1024 + 64) * 1024;

    #[derive(Default)]
    struct Woken(AtomicUsize);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    run(async {
        let bench = Bench::new().await;
        let (ours, theirs) = pipe();
        let session = bench.open_on(Box::new(ours));
        let woken = Arc::new(Woken::default());
        session.set_waker(&Waker::from(Arc::clone(&woken)));
        let mut cx = Context::from_waker(Waker::noop());
        let queued = || session.connection.borrow().output().len();

        let message = vec![7; MESSAGE];
        let mut scratch = ws::Scratch::default();
        session
            .connection
            .borrow_mut()
            .send_message(MessageKind::Binary, &message, &mut scratch)
            .unwrap();
        let all = queued();
        for turn in 1..=4 {
            // Whoever writes: somebody else on the worker, or the connection's task.
            match turn {
                1 => session.flush(),
                _ => assert!(session.poll_write(&mut cx).is_pending()),
            }
            assert_eq!(queued(), all - turn * TURN);
            assert_eq!(woken.0.load(Ordering::Relaxed), turn - 1, "not at once");
            tokio::task::yield_now().await;
            assert_eq!(woken.0.load(Ordering::Relaxed), turn);
        }
        assert!(session.poll_write(&mut cx).is_ready());
        assert!(session.is_flushed());
        let written = theirs.take_written();
        assert_eq!(written[all - MESSAGE..], message);
    });
}

#[test]
fn failed_callback_has_no_effect_and_the_rest_goes_on() {
    run(async {
        let mut bench = Bench::new().await;
        let (guilty, other) = (bench.open(), bench.open());
        bench.receive(&guilty, "kept");
        bench.receive(&guilty, "fail");
        bench.receive(&guilty, "ignored");
        bench.receive(&other, "x");
        assert_eq!(guilty.data(), b"kept");
        assert_eq!(guilty.connection.borrow().state(), State::Closing);
        assert_eq!(other.connection.borrow().state(), State::Open);
        assert!(other.is_open());
        assert_eq!(guilty.queued_event_bytes.get(), 0);
        let log = bench.log();
        assert_eq!(
            log[3..],
            [
                "received 1",
                "received 1",
                "started",
                "resumed 2",
                "received 2"
            ]
        );
    });
}

#[test]
fn end_of_a_connection_waits_for_an_instance_and_is_told_once() {
    run(async {
        let mut bench = Bench::new().await;
        let (guilty, other) = (bench.open(), bench.open());
        bench.script.failing_starts.set(2);
        bench.receive(&guilty, "fail");
        bench.close(&other);
        bench.close(&guilty);
        bench.wait_for("closed 1 1000").await;
        let log = bench.log();
        assert_eq!(
            log[4..],
            [
                "start failed",
                "start failed",
                "started",
                "resumed 2",
                "closed 2 1000",
                "closed 1 1000"
            ]
        );
        assert!(bench.handler.registry.is_empty());
    });
}

#[test]
fn handshake_of_a_callback_that_fails_is_answered() {
    run(async {
        let bench = Bench::new().await;
        let decision = bench.handler.decide(Rc::default()).await;
        assert!(decision.is_err());
        assert_eq!(bench.log(), ["started", "requested", "started"]);
    });
}

#[test]
fn filter_that_fails_closes_that_connection_and_is_asked_about_the_others() {
    run(async {
        let mut bench = Bench::new().await;
        let sessions = [bench.open(), bench.open(), bench.open()];
        let remote = |text: &'static str| Remote::Broadcast {
            protocol: None,
            kind: MessageKind::Text,
            payload: text.into(),
        };
        bench.handler.take_remote(remote("x")).await;
        assert_eq!(bench.log()[4..], ["wanted 1", "wanted 2", "wanted 3"]);
        bench.handler.take_remote(remote("fail")).await;
        let log = bench.log();
        assert_eq!(
            log[7..],
            [
                "wanted 1",
                "started",
                "resumed 2",
                "wanted 2",
                "resumed 3",
                "wanted 3"
            ]
        );
        let open: Vec<bool> = sessions.iter().map(|session| session.is_open()).collect();
        assert_eq!(open, [false, true, true]);
    });
}

#[test]
fn filter_sees_what_it_has_asked_for_at_connections_before() {
    run(async {
        let mut bench = Bench::new().await;
        let sessions = [bench.open(), bench.open(), bench.open()];
        let remote = Remote::Broadcast {
            protocol: None,
            kind: MessageKind::Text,
            payload: "close 3".into(),
        };
        bench.handler.take_remote(remote).await;
        let log = bench.log();
        let closed = "sent Err(Closed)";
        assert_eq!(
            log[4..],
            ["wanted 1", closed, "wanted 2", closed, "wanted 3", closed]
        );
        // It was carried out behind the broadcast, and nothing is left of it.
        let state = |session: &Rc<Session>| session.connection.borrow().state();
        assert_eq!(
            sessions.each_ref().map(state),
            [State::Open, State::Open, State::Closing]
        );
        assert!(sessions.iter().all(|session| session.reserved() == 0));
        bench.receive(&sessions[0], "x");
        assert_eq!(bench.log().last().unwrap(), "received 1");
    });
}

#[test]
fn network_filter_that_fails_lets_nobody_in() {
    run(async {
        let bench = Bench::new().await;
        let accepts = |peer: &str| bench.handler.accepts(peer.to_owned(), String::new());
        assert!(accepts("good").await);
        assert!(!accepts("bad").await);
        assert!(!accepts("fail").await);
        assert!(accepts("good").await);
    });
}

#[test]
fn request_whose_message_no_longer_fits_closes_the_connection() {
    run(async {
        let mut bench = Bench::new().await;
        let (full, other) = (bench.open(), bench.open());
        let large = vec![b'x'; 1_500_000];
        // Two instances that answer requests wait, and do not see what the other has asked for.
        let mut asked = Vec::new();
        for _ in 0..2 {
            let mut calls = Calls::new(Rc::clone(&bench.handler.registry));
            calls.imports.reserved().set_beside(true);
            for session in [&full, &other] {
                let length = if session.id == full.id {
                    large.len()
                } else {
                    10
                };
                let sent = calls.send(session.id, MessageKind::Binary, &large[..length]);
                assert_eq!(sent, Ok(Ok(())));
            }
            asked.push(calls.take());
        }
        for effects in asked {
            bench.handler.apply_of_request(effects).await;
        }
        assert_eq!(full.connection.borrow().state(), State::Closing);
        assert_eq!(other.connection.borrow().state(), State::Open);
        assert_eq!(other.buffered(), 0);
    });
}

#[test]
fn what_two_callbacks_count_on_is_each_ones_own_and_ends_with_it() {
    run(async {
        let mut bench = Bench::new().await;
        let session = bench.open();
        let limit = bench.worker.settings.limits.queued_bytes_max;
        let half = vec![b'x'; limit / 2 - 100];
        let calls = || Calls::new(Rc::clone(&bench.handler.registry));
        let send = |calls: &mut Calls| calls.send(session.id, MessageKind::Binary, &half);
        let (mut one, mut other) = (calls(), calls());
        assert_eq!(send(&mut one), Ok(Ok(())));
        assert_eq!(send(&mut other), Ok(Ok(())));
        let full = |sent| matches!(sent, Ok(Err(SendError::QueueFull(_))));
        assert!(full(send(&mut one)), "both count");
        // A close and a message in parts are the business of whoever asked for them.
        let text = MessageKind::Text;
        assert_eq!(one.send_chunk(session.id, text, b"a", false), Ok(Ok(())));
        let binary = MessageKind::Binary;
        let wrong = one.send_chunk(session.id, binary, b"b", true);
        assert_eq!(wrong, Ok(Err(ChunkError::WrongKind)));
        assert_eq!(other.send_chunk(session.id, binary, b"b", true), Ok(Ok(())));
        one.close(session.id, 1000, String::new()).unwrap();
        assert_eq!(one.open_count(), 0);
        assert_eq!(other.open_count(), 1);
        let closed = one.send(session.id, text, b"lost");
        assert_eq!(closed, Ok(Err(SendError::Closed)));
        assert_eq!(other.send(session.id, text, b"sent"), Ok(Ok(())));
        // Trapped, or done: what the other counts on stays.
        one.clear();
        assert!(send(&mut one).is_ok_and(|sent| sent.is_ok()));
        assert!(full(send(&mut one)));
        drop(one);
        let left = session.buffered();
        assert!(left >= half.len() && left < half.len() + 100, "{left}");
        bench.handler.apply_unfiltered(other.take()).await;
        assert_eq!(session.reserved(), 0);
        let queued = bench.handler.registry.tally().queued_bytes.get();
        assert_eq!(queued, session.held());
    });
}

#[test]
fn session_data_of_handshakes_that_are_under_way_counts() {
    run(async {
        let mut limits = HandlerLimits::default();
        limits.memory.session_total_bytes_max = 100;
        let bench = Bench::with_limits(limits).await;
        bench.script.session.set(Some(60));
        let request = Rc::<Request>::default();
        let under_way = bench.handler.admit(&request).await;
        assert!(under_way.is_ok());
        let another = bench.handler.admit(&request).await;
        assert!(matches!(another, Err(NotAdmitted::SessionFull)));
        drop(under_way);
        assert!(
            bench.handler.admit(&request).await.is_ok(),
            "it came to nothing"
        );
    });
}

#[test]
fn limits_hold_for_callbacks_that_run_together() {
    run(async {
        let mut bench = Bench::new().await;
        let session = bench.open();
        let registry = &bench.handler.registry;
        let max = registry.limits().contract.timers_max;
        let calls = || Calls::new(Rc::clone(registry));
        let timer = |calls: &mut Calls| calls.set_timer(Duration::from_secs(60), 0, None).unwrap();
        let (mut one, mut other) = (calls(), calls());
        for _ in 0..max / 2 {
            timer(&mut one).unwrap();
            timer(&mut other).unwrap();
        }
        assert!(timer(&mut one).is_err());
        assert!(timer(&mut other).is_err());
        drop(one);
        timer(&mut other).unwrap();
        // Session data in the same way.
        let (mut one, mut other) = (calls(), calls());
        let mut kept = 0;
        let data = vec![0; registry.limits().memory.session_bytes_max];
        while one.set_session(session.id, data.clone()).unwrap().is_ok() {
            kept += data.len();
        }
        assert!(kept <= registry.limits().memory.session_total_bytes_max);
        assert!(
            other
                .set_session(session.id, data.clone())
                .unwrap()
                .is_err()
        );
        drop(one);
        assert!(other.set_session(session.id, data).unwrap().is_ok());
    });
}

/// Hours, if each call looked through what the callback has asked for before.
#[test]
fn calls_of_a_callback_that_asks_for_much_are_as_quick_as_the_first() {
    run(async {
        const ROUNDS: usize = 20_000;
        let mut bench = Bench::new().await;
        let sessions: Vec<_> = (0..20).map(|_| bench.open()).collect();
        let mut calls = Calls::new(Rc::clone(&bench.handler.registry));
        let text = MessageKind::Text;
        for round in 0..ROUNDS {
            let id = sessions[round % sessions.len()].id;
            let topic = || format!("t{}", round % 30);
            assert_eq!(calls.subscribe(id, topic()), Ok(Ok(true)));
            assert_eq!(calls.publish(topic(), text, b"", None), Ok(Ok(1)));
            assert_eq!(calls.publish(topic(), text, b"", Some(id)), Ok(Ok(0)));
            assert_eq!(calls.unsubscribe(id, topic()), Ok(true));
            assert_eq!(calls.publish(topic(), text, b"", None), Ok(Ok(0)));
            let data = round.to_le_bytes().to_vec();
            assert_eq!(calls.set_session(id, data.clone()), Ok(Ok(())));
            assert_eq!(calls.session(id), data);
            if round < bench.handler.registry.limits().contract.timers_max {
                let timer = calls.set_timer(Duration::from_secs(60), 0, None);
                assert_eq!(calls.cancel_timer(timer.unwrap().unwrap()), Ok(true));
            }
            assert_eq!(calls.cancel_timer(0), Ok(false));
        }
        let last = sessions.last().unwrap();
        assert_eq!(calls.subscribe(last.id, "last".into()), Ok(Ok(true)));
        calls.close(last.id, 1000, String::new()).unwrap();
        assert_eq!(calls.publish("last".into(), text, b"", None), Ok(Ok(0)));
        assert_eq!(calls.unsubscribe(last.id, "last".into()), Ok(false));
        assert_eq!(calls.broadcast(None, text, b""), Ok(Ok(19)));
    });
}

#[test]
fn who_holds_most_gives_way_and_who_may_lose_messages_loses_them_first() {
    run(async {
        let mut limits = HandlerLimits::default();
        limits.traffic.queued_bytes_max = 16 << 20;
        let mut bench = Bench::with_limits(limits).await;
        let registry = Rc::clone(&bench.handler.registry);
        let max = registry.limits().traffic.queued_bytes_max;
        let each = bench.worker.settings.limits.queued_bytes_max;
        let data = vec![b'x'; each - 1_000];
        let fill = |session: &Rc<Session>| {
            let sent = session.reply(MessageKind::Binary, &data);
            assert_eq!(sent, Ok(()));
            registry.relieve();
        };
        // What their sockets take is not counted.
        let sessions: Vec<_> = (0..max / data.len() + 10).map(|_| bench.open()).collect();
        let small = bench.open();
        assert_eq!(small.reply(MessageKind::Binary, &data[..300_000]), Ok(()));
        small.flush();
        sessions.iter().for_each(fill);
        let queued = registry.tally().queued_bytes.get();
        assert!(queued <= max, "{queued}");
        let cut = sessions.iter().filter(|session| !session.is_open());
        let cut = cut.count();
        assert!((1..=11).contains(&cut), "{cut} of {}", sessions.len());
        assert!(small.is_open(), "it holds least");
        // Whose queue is empty is sent to.
        let new = bench.open();
        assert_eq!(new.check(data.len(), 0), Ok(()));
    });
}
