//! A handler on one worker: events in, effects out.
//!
//! Connections push events into the handler's [`Queue`] and let it take its [`turn`](Handler::turn). The turn is one
//! future, the instance's life, that is polled right where the event was pushed: while the handler does not wait, no task is woken and
//! nothing is allocated for a message. When a callback does wait (it is time-sliced, or blocked in a host call), the worker's own task
//! for the handler goes on with it, and events gather in the queue meanwhile.
//!
//! Here meet the two halves that do not know each other: connections never see wasmtime, only [`Guest`](wsrun_contract::guest::Guest); instances never see a socket,
//! only the [`Registry`].

mod apply;
mod batch;
mod connecting;
mod deliver;
mod hosted;
mod outbox;
mod place;
mod queue;
mod recover;
mod remote;
mod requests;
mod seat;
mod swap;
#[cfg(test)]
pub mod tests;

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use wsrun_proto::ws::{CloseCode, MessageKind, SendError};

pub use self::connecting::Connecting;
use self::outbox::Outbox;
use self::place::{Failures, Place};
pub use self::queue::Queue;
use self::queue::{Event, Own};
use self::recover::InHand;
pub use self::remote::{
    Admitted, HandOff, NotAdmitted, RemoteHandler, RemoteRequests, remote_channel,
};
pub use self::requests::RequestInstances;
pub use self::seat::Seated;
use self::seat::{MakeLife, Owner, Seat, Seats};
use self::swap::Before;
pub use self::swap::{Extras, Trial};
use crate::imports::Imports;
use crate::registry::Registry;
use crate::worker::{DrainListener, Worker};
use wsrun_contract::effects::Connect;
use wsrun_contract::guest::GuestFactory;
use wsrun_contract::{
    Acceptance, CallbackError, Capabilities, CloseInfo, ConnectError, ConnectOptions, HttpRequest,
    HttpResponse, NotServed, Refusal, Request, ResponseBody, Scope,
};
use wsrun_metrics::panics::{caught, contained, plant, spawn};
use wsrun_os::clock;

/// Makes connections of the client role for handlers.
pub trait Connector: Send + Sync {
    /// Begins to make a connection, which is in the registry of its handler from here on. The rules
    /// were asked before.
    fn connect(&self, handler: &Rc<Handler>, connect: &Connect, asked_by: AskedBy);
}

/// The party that asks for a connection.
#[derive(Debug)]
pub enum AskedBy {
    /// The handler itself.
    Handler,
    /// The program that runs the host. It needs no grant, and is notified of the end beside the
    /// handler.
    Host(oneshot::Sender<CloseInfo>),
}

/// The callback that should have decided failed.
#[derive(Debug)]
pub struct DecisionFailed;

pub type Decision = Result<Result<Acceptance, Refusal>, DecisionFailed>;

/// A publish or broadcast of another worker.
#[derive(Clone, Debug)]
pub enum Remote {
    Publish {
        topic: Arc<str>,
        kind: MessageKind,
        payload: Bytes,
    },
    Broadcast {
        protocol: Option<Arc<str>>,
        kind: MessageKind,
        payload: Bytes,
    },
}

/// Makes the factory of a new version on the worker, and begins the swap with it.
pub type BeginSwap =
    Box<dyn FnOnce(Rc<Handler>, Trial) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What another thread asks of a handler on one worker. It does not wait behind the publishes, which a slow subscriber may hold up.
pub enum ToHandler {
    /// A connection that the embedding program wants.
    Connect {
        options: Box<ConnectOptions>,
        reply: oneshot::Sender<Result<Connecting, ConnectError>>,
    },
    /// A new version that is to take over.
    Swap { begin: BeginSwap, trial: Trial },
    /// The end of its trial.
    Settle {
        keep: bool,
        reply: oneshot::Sender<Result<(), String>>,
    },
}

/// The way to a handler on one worker, from any thread.
#[derive(Clone, Debug)]
pub struct ToWorker {
    pub publishes: mpsc::Sender<Remote>,
    pub asked: mpsc::Sender<ToHandler>,
}

/// The end of all those ways.
pub struct FromOthers {
    pub publishes: mpsc::Receiver<Remote>,
    pub asked: mpsc::Receiver<ToHandler>,
}

/// The channels to a handler on one worker.
pub fn to_worker() -> (ToWorker, FromOthers) {
    let (publishes, published) = mpsc::channel(REMOTE_QUEUE_MAX);
    let (asked, asks) = mpsc::channel(REMOTE_QUEUE_MAX);
    let ends = FromOthers {
        publishes: published,
        asked: asks,
    };
    (ToWorker { publishes, asked }, ends)
}

/// What waits in each channel to a busy worker; the next waits with its sender.
pub const REMOTE_QUEUE_MAX: usize = 64;

/// One handler on one worker.
pub struct Handler {
    pub registry: Rc<Registry>,
    exports: Cell<Capabilities>,
    /// For the tasks of outbound connections.
    me: Weak<Self>,
    connector: Arc<dyn Connector>,
    worker: Rc<Worker>,
    queue: RefCell<Queue>,
    /// What the host itself has for the life; bounded as its senders are.
    own: RefCell<VecDeque<Own>>,
    /// The event that is being delivered.
    in_hand: Cell<InHand>,
    /// The life of the instance: takes a batch of events, calls, applies, flushes, again.
    turn: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    /// Wakes the task that polls `turn` when nobody else does.
    waker: OnceCell<Waker>,
    /// Makes an instance for each plain request, where the handler exports `wasi:http/incoming-handler`.
    incoming: RefCell<Option<Rc<RequestInstances>>>,
    /// To the same handler on the other workers.
    outbox: Rc<Outbox>,
    /// To the instance, where another worker has it.
    remote: Option<RemoteHandler>,
    /// Which connections it is told of.
    owner: Owner,
    /// A seat without a life, which begins with its next event.
    asleep: Cell<bool>,
    /// When it was last told of anything, where it may sleep.
    last_event: Cell<Instant>,
    /// The failures of all instances.
    failures: Rc<RefCell<Failures>>,
    /// A turn of this handler, or of one of its seats, is being taken.
    in_turn: Rc<Cell<bool>>,
    /// The factory that new lives begin with, an `Rc<RefCell<Rc<F>>>`.
    factory: OnceCell<Rc<dyn Any>>,
    /// Makes such a life; a seat has that of its handler.
    make_life: RefCell<Option<MakeLife>>,
    /// What new lives began with before the version that is on trial.
    before: RefCell<Option<Before>>,
    /// Tells the other workers which callbacks the version that serves has.
    tell_exports: RefCell<Option<watch::Sender<Capabilities>>>,
}

impl DrainListener for Handler {
    fn draining(&self, timeout: Duration) {
        if self.remote.is_none() {
            self.push(|queue| queue.push(Event::Draining(timeout)));
        }
        for seat in self.awake_seats() {
            seat.push(|queue| queue.push(Event::Draining(timeout)));
        }
    }
}

impl Handler {
    pub fn new(
        registry: Rc<Registry>,
        worker: Rc<Worker>,
        exports: Capabilities,
        peers: Vec<mpsc::Sender<Remote>>,
        remote: Option<RemoteHandler>,
        scope: Scope,
        connector: Arc<dyn Connector>,
    ) -> Rc<Self> {
        let owner = match scope {
            Scope::Shared | Scope::Worker => Owner::All,
            Scope::Connection => Owner::Nobody(Box::<Seats>::default()),
        };
        Rc::new_cyclic(|me| Self {
            owner,
            asleep: Cell::new(false),
            last_event: Cell::new(clock::now()),
            failures: Rc::default(),
            in_turn: Rc::default(),
            factory: OnceCell::new(),
            make_life: RefCell::default(),
            before: RefCell::default(),
            registry,
            exports: Cell::new(exports),
            me: Weak::clone(me),
            connector,
            worker,
            queue: RefCell::default(),
            own: RefCell::default(),
            in_hand: Cell::default(),
            turn: RefCell::new(None),
            waker: OnceCell::new(),
            incoming: RefCell::default(),
            outbox: Outbox::new(peers),
            remote,
            tell_exports: RefCell::default(),
        })
    }

    /// A handler for one connection, that shares everything but the instance.
    fn make_seat(handler: &Rc<Self>, seat: Seat) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            registry: Rc::clone(&handler.registry),
            exports: Cell::new(handler.exports.get()),
            me: Weak::clone(me),
            connector: Arc::clone(&handler.connector),
            worker: Rc::clone(&handler.worker),
            queue: RefCell::default(),
            own: RefCell::default(),
            in_hand: Cell::default(),
            turn: RefCell::new(None),
            waker: OnceCell::new(),
            incoming: RefCell::default(),
            outbox: Rc::clone(&handler.outbox),
            remote: None,
            owner: Owner::Seat(seat),
            asleep: Cell::new(true),
            last_event: Cell::new(clock::now()),
            failures: Rc::clone(&handler.failures),
            in_turn: Rc::clone(&handler.in_turn),
            factory: OnceCell::new(),
            make_life: RefCell::default(),
            before: RefCell::default(),
            tell_exports: RefCell::default(),
        })
    }

    /// Makes the first instance, so that a handler that cannot start is told before anybody is listened to, and begins its life.
    ///
    /// # Errors
    ///
    /// When it cannot be instantiated or its `started` fails.
    pub async fn start<F: GuestFactory>(self: &Rc<Self>, factory: F) -> Result<(), CallbackError> {
        let guest = self.make(&factory).await?;
        factory
            .prepare_spare(Rc::new(Imports::new(Rc::clone(&self.registry))))
            .await;
        let factory = Rc::new(factory);
        let current = Rc::new(RefCell::new(Rc::clone(&factory)));
        let _ = self.factory.set(Rc::clone(&current) as Rc<dyn Any>);
        *self.make_life.borrow_mut() = Some(Box::new(move |handler| {
            let factory = Rc::clone(&current.borrow());
            Box::pin(handler.live(Place::new(factory, None)))
        }));
        let life = Rc::clone(self).live(Place::new(factory, Some(guest)));
        *self.turn.borrow_mut() = Some(Box::pin(life));
        self.outbox.spawn();
        self.spawn_driver();
        self.spawn_timers();
        self.spawn_sweeper();
        Ok(())
    }

    /// Returns the worker that the handler is on.
    #[inline]
    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    /// Which optional callbacks the version that serves has.
    #[inline]
    pub fn exports(&self) -> Capabilities {
        self.remote
            .as_ref()
            .map_or_else(|| self.exports.get(), RemoteHandler::exports)
    }

    /// Adds events to the queue. Ends with a [`turn`](Self::turn).
    pub fn push(&self, put: impl FnOnce(&mut Queue)) {
        put(&mut self.queue.borrow_mut());
        self.turn();
    }

    /// Adds what the host itself has for the life, which comes before the events.
    fn push_own(&self, own: Own) {
        self.own.borrow_mut().push_back(own);
        self.turn();
    }

    /// Adds events without a turn yet: for a whole read batch.
    #[inline]
    pub fn queue(&self) -> std::cell::RefMut<'_, Queue> {
        self.queue.borrow_mut()
    }

    /// Lets the handler work on its queue, as far as it goes without waiting. Does nothing when it is at work already.
    #[inline]
    pub fn turn(&self) {
        let Some(waker) = self.waker.get() else {
            return;
        };
        self.poll_turn(&mut Context::from_waker(waker));
    }

    /// Asks the handler's `handshake` export.
    async fn decide(&self, request: Rc<Request>) -> Decision {
        let (reply, decision) = oneshot::channel();
        self.push(|queue| queue.push_requested(request, reply));
        decision.await.unwrap_or(Err(DecisionFailed))
    }

    /// Asks the handler's `network-filter` export. A filter that fails lets nobody in.
    pub async fn accepts(&self, peer: String, local: String) -> bool {
        if let Some(remote) = &self.remote {
            return remote.accepts(peer, local).await;
        }
        let (reply, decision) = oneshot::channel();
        self.push(|queue| queue.push(Event::Accepts { peer, local, reply }));
        matches!(decision.await, Ok(Ok(true)))
    }

    /// Asks the handler's `http` export.
    pub async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, NotServed> {
        if let Some(remote) = &self.remote {
            return remote.answer(request).await;
        }
        let (reply, response) = oneshot::channel();
        let request = Rc::new(request);
        self.push(|queue| queue.push(Event::Http { request, reply }));
        response.await.unwrap_or(Err(NotServed::Failed))
    }

    /// Has plain requests answered by `wasi:http`.
    #[inline]
    pub fn set_incoming(&self, incoming: Rc<RequestInstances>) {
        *self.incoming.borrow_mut() = Some(incoming);
    }

    /// Has a plain request answered by an instance of its own.
    pub async fn answer_by_wasi(
        self: &Rc<Self>,
        request: http::Request<Bytes>,
        secure: bool,
    ) -> Result<http::Response<ResponseBody>, NotServed> {
        if let Some(remote) = &self.remote {
            return remote.incoming(request, secure).await;
        }
        let incoming = self.incoming.borrow().clone();
        let incoming = incoming.ok_or(NotServed::NotExported)?;
        let patience = self.worker.settings.handshake_timeout;
        incoming.answer(self, request, secure, patience).await
    }

    /// Begins to make an outbound connection, which has an id already.
    #[inline]
    pub fn connect(&self, connect: &Connect) {
        if let Some(handler) = self.me.upgrade() {
            self.connector.connect(&handler, connect, AskedBy::Handler);
        }
    }

    /// The same for the program that runs the host, which needs no grant.
    pub fn connect_for_host(&self, options: ConnectOptions) -> Result<Connecting, ConnectError> {
        self.worker.trusted.check(&options)?;
        let (ended, end) = oneshot::channel();
        // It is counted with the connection, which is there before this is over.
        let _room = self.registry.promise_session(&options)?;
        let connection = self.worker.next_connection_id();
        let connect = Connect {
            connection,
            options,
        };
        if let Some(handler) = self.me.upgrade() {
            let asked_by = AskedBy::Host(ended);
            self.connector.connect(&handler, &connect, asked_by);
        }
        Ok(Connecting::new(connection, end))
    }

    /// Attends to what other threads have for the handler here.
    pub fn listen(self: &Rc<Self>, from: FromOthers) {
        let FromOthers {
            mut publishes,
            mut asked,
        } = from;
        let handler = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Some(remote) = publishes.recv().await {
                if let Err(panicked) = contained(handler.take_remote(remote)).await {
                    handler.report_panic(&panicked, "remote");
                }
            }
        });
        let handler = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Some(asked) = asked.recv().await {
                if let Err(panicked) = caught(|| handler.take(asked)) {
                    handler.report_panic(&panicked, "asked");
                }
            }
        });
    }

    /// Does what another thread has asked for.
    fn take(self: &Rc<Self>, asked: ToHandler) {
        plant("asked");
        match asked {
            ToHandler::Connect { options, reply } => {
                let _ = reply.send(self.connect_for_host(*options));
            }
            ToHandler::Swap { begin, trial } => {
                let swap = begin(Rc::clone(self), trial);
                // Messages for the handler do not wait for it.
                spawn(&self.worker.tally, "begin-swap", swap);
            }
            ToHandler::Settle { keep, reply } => self.settle_swap(keep, reply),
        }
    }

    /// Fans a message of another worker, or of the embedding program, out here.
    pub async fn take_remote(&self, remote: Remote) {
        plant("remote");
        self.wait_for_subscribers(&remote).await;
        if self.exports().broadcast_filter && matches!(remote, Remote::Broadcast { .. }) {
            // One at a time: what waits behind it waits in the bounded channel, and in order.
            let offered = self.queue_broadcast(remote);
            self.turn();
            let _ = offered.await;
        } else {
            self.fan_out_remote(&remote).await;
        }
        self.worker.flush();
    }

    /// Waits for those whose policy is to be waited for, as long as anything moves.
    async fn wait_for_subscribers(&self, remote: &Remote) {
        let (mut before, mut since) = (None, clock::now());
        loop {
            let (waited_for, length) = match remote {
                Remote::Publish { topic, payload, .. } => (
                    self.registry.held_up_by(topic, payload.len()),
                    payload.len(),
                ),
                Remote::Broadcast {
                    protocol, payload, ..
                } => {
                    let protocol = protocol.as_deref();
                    let waited_for = self.registry.held_up_by_any(protocol, payload.len());
                    (waited_for, payload.len())
                }
            };
            if waited_for.is_empty() {
                return;
            }
            let own: usize = waited_for.iter().map(|session| session.buffered()).sum();
            let all = match self.registry.usage().takes(length) {
                true => 0,
                false => self.registry.tally().queued_bytes.get(),
            };
            if before.replace((own, all)) != Some((own, all)) {
                since = clock::now();
            } else if clock::now() >= since + self.worker.settings.write_timeout {
                // Its peer is not what it waits for: the handler leaves a message in parts unfinished, and may itself wait for this publish.
                for session in waited_for {
                    let queued = session.buffered();
                    let code = CloseCode::POLICY_VIOLATION.get();
                    self.close_slow(&session, code, &SendError::QueueFull { queued });
                }
                return;
            }
            self.worker.wait_for_room().await;
        }
    }

    /// Has the handler look at a broadcast when its turn comes; what it returns is ready then.
    fn queue_broadcast(&self, remote: Remote) -> oneshot::Receiver<()> {
        let (done, offered) = oneshot::channel();
        let own = Own::Broadcast { remote, done };
        self.own.borrow_mut().push_back(own);
        offered
    }

    fn poll_turn(&self, cx: &mut Context<'_>) {
        // Busy: an event was pushed from within the turn, which will find it.
        let Ok(mut turn) = self.turn.try_borrow_mut() else {
            return;
        };
        if self.in_turn.replace(true) {
            // That of another seat.
            self.wake();
            return;
        }
        self.registry.usage().begin_turn();
        loop {
            if turn.is_none() && self.has_work() {
                *turn = self.new_life();
                self.asleep.set(self.is_seat() && turn.is_none());
            }
            let Some(life) = &mut *turn else {
                break;
            };
            match caught(|| life.as_mut().poll(cx)) {
                Ok(Poll::Pending) => break,
                // Only that of a seat ends, between two events.
                Ok(Poll::Ready(())) => {
                    *turn = None;
                    self.life_ended();
                }
                // The next event finds another life.
                Err(panicked) => {
                    self.life_lost(&panicked, turn.take());
                    break;
                }
            }
        }
        self.registry.usage().end_turn();
        self.registry.relieve();
        self.in_turn.set(false);
    }

    /// Ends the lives of all instances, when no task is left that would: they hold what they belong to.
    pub fn dissolve(&self) {
        for seat in self.take_seats() {
            seat.dissolve();
        }
        let life = self.turn.take();
        if let Err(panicked) = caught(|| drop(life)) {
            self.report_panic(&panicked, "dissolve");
        }
        self.queue.take();
        self.own.take();
    }

    /// Whether anything waits for the life.
    fn has_work(&self) -> bool {
        !self.queue.borrow().is_empty() || self.has_own()
    }

    fn has_own(&self) -> bool {
        !self.own.borrow().is_empty()
    }

    fn spawn_driver(self: &Rc<Self>) {
        let handler = Rc::clone(self);
        tokio::task::spawn_local(poll_fn(move |cx| {
            handler.waker.get_or_init(|| cx.waker().clone());
            handler.poll_turn(cx);
            handler.poll_seats(cx.waker());
            Poll::<()>::Pending
        }));
    }

    fn spawn_timers(self: &Rc<Self>) {
        let handler = Rc::clone(self);
        tokio::task::spawn_local(poll_fn(move |cx| {
            while let Err(panicked) = caught(|| handler.poll_timers(cx)) {
                handler.report_panic(&panicked, "timers");
            }
            Poll::<()>::Pending
        }));
    }

    /// Has those be told whose timers have expired.
    fn poll_timers(self: &Rc<Self>, cx: &mut Context<'_>) {
        loop {
            let expired = self.registry.timers_mut().poll_expired(cx);
            let Poll::Ready(Some(timer)) = expired else {
                break;
            };
            plant("timers");
            let Some(seat) = self.seat_of(timer.seat) else {
                continue;
            };
            seat.queue.borrow_mut().push_fired(timer);
            if seat.is_seat() {
                seat.turn();
            }
        }
        self.turn();
    }
}
