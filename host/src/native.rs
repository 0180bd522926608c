//! Handlers written in Rust, linked into the program that embeds the host.
//!
//! They stand behind the same trait as components and get the same events in the same order; what they ask for is queued and applied when
//! the callback returns, all of it or, when it panics, nothing. They run on the worker's own thread without a sandbox and without a
//! deadline: a callback that blocks holds up everything on its worker.
//!
//! ```
//! use wsrun::contract::{ConnectionId, Message};
//! use wsrun::native::{Context, Handler};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
//!         let _ = cx.send(connection, message);
//!     }
//! }
//! ```

use std::fmt;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wsrun_proto::ws::MessageKind;

use wsrun_contract::effects::Effects;
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::host::Host;
use wsrun_contract::{
    Acceptance, Answer, AutoReplyError, Callback, CallbackError, Capabilities, Chunk, ChunkError,
    CloseInfo, ConnectError, ConnectOptions, ConnectionId, ContractBroken, Failure, HttpBody,
    HttpRequest, HttpResponse, Message, PublishError, Refusal, Request, ResponseHead, SendError,
    SlowPolicy, SubscribeError, TimerError, TimerId,
};

/// Which callbacks a handler wants that cost something, or change what else it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// [`Handler::received_chunk`] in place of [`Handler::received`].
    pub chunks: bool,
    /// [`Handler::wanted`].
    pub broadcast_filter: bool,
    /// [`Handler::accepts`].
    pub network_filter: bool,
    /// [`Handler::http`].
    pub http: bool,
}

/// What an application does with its connections. Every method has a default that does nothing; see `wit/exports.wit` for when each is
/// called.
pub trait Handler: 'static {
    /// Which of the optional callbacks it wants.
    fn features() -> Features
    where
        Self: Sized,
    {
        Features::default()
    }

    /// The instance was made: at start, and again after a panic.
    fn started(&mut self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Accepts or refuses an opening handshake.
    ///
    /// # Errors
    ///
    /// The refusal is what the peer is answered.
    fn handshake(
        &mut self,
        cx: &mut Context<'_>,
        request: &Request,
    ) -> Result<Acceptance, Refusal> {
        let _ = (cx, request);
        Ok(Acceptance::default())
    }

    /// A connection is open.
    fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The peer sent a message.
    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        let _ = (cx, connection, message);
    }

    /// The peer sent a part of a message ([`Features::chunks`]).
    fn received_chunk(
        &mut self,
        cx: &mut Context<'_>,
        connection: ConnectionId,
        chunk: &Chunk<'_>,
    ) {
        let _ = (cx, connection, chunk);
    }

    /// The connection is gone; its session data can be read for the last time.
    fn closed(&mut self, cx: &mut Context<'_>, connection: ConnectionId, info: &CloseInfo) {
        let _ = (cx, connection, info);
    }

    /// The queue of the connection has drained, once for each [`Context::want_writable`].
    fn writable(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The peer sent a pong.
    fn pong(&mut self, cx: &mut Context<'_>, connection: ConnectionId, payload: &[u8]) {
        let _ = (cx, connection, payload);
    }

    /// A timer fired.
    fn timer(
        &mut self,
        cx: &mut Context<'_>,
        timer: TimerId,
        tag: u64,
        connection: Option<ConnectionId>,
    ) {
        let _ = (cx, timer, tag, connection);
    }

    /// Whether a broadcast is for this connection ([`Features::broadcast_filter`]).
    fn wanted(
        &mut self,
        cx: &mut Context<'_>,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> bool {
        let _ = (cx, connection, message);
        true
    }

    /// Whether a peer may go on, before anything is read ([`Features::network_filter`]; the default handler alone is asked).
    fn accepts(&mut self, cx: &mut Context<'_>, peer: &str, local: &str) -> bool {
        let _ = (cx, peer, local);
        true
    }

    /// Answers a plain HTTP request ([`Features::http`]; the default handler alone is asked).
    fn http(
        &mut self,
        cx: &mut Context<'_>,
        method: &str,
        request: &Request,
        body: &[u8],
    ) -> HttpResponse {
        let _ = (cx, method, request, body);
        HttpResponse {
            status: 404,
            headers: Vec::new(),
            body: HttpBody::Bytes(Vec::new()),
        }
    }

    /// An outbound connection is gone and will be made again after `after`.
    fn lost(
        &mut self,
        cx: &mut Context<'_>,
        connection: ConnectionId,
        info: &CloseInfo,
        attempt: u32,
        after: Duration,
    ) {
        let _ = (cx, connection, info, attempt, after);
    }

    /// A lost connection is open again.
    fn restored(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// A connection that was opened with an earlier instance, which panicked, is this one's.
    fn resumed(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = (cx, connection);
    }

    /// The host is going to close every connection and to end; what is still open after `deadline` is cut.
    fn draining(&mut self, cx: &mut Context<'_>, deadline: Duration) {
        let _ = (cx, deadline);
    }
}

/// What a callback may ask for. Nothing here blocks or calls back; effects are applied in order when the callback returns.
///
/// A broken contract, such as a close code that may not be sent, fails the callback as a panic does.
pub struct Context<'a> {
    host: &'a dyn Host,
    effects: &'a mut Effects,
    broken: Option<ContractBroken>,
}

impl Context<'_> {
    fn checked<T>(&mut self, outcome: Result<T, ContractBroken>, otherwise: T) -> T {
        outcome.unwrap_or_else(|broken| {
            self.broken.get_or_insert(broken);
            otherwise
        })
    }

    /// Sends a whole message. `Ok` means queued.
    ///
    /// # Errors
    ///
    /// When the connection is closed, its queue is full or the message is too large.
    pub fn send<'m>(
        &mut self,
        to: ConnectionId,
        message: impl Into<Message<'m>>,
    ) -> Result<(), SendError> {
        let (kind, bytes) = message.into().parts();
        let outcome = self.host.send(self.effects, to, kind, bytes);
        self.checked(outcome, Err(SendError::Closed))
    }

    /// Sends a part of a message; `last` ends it.
    ///
    /// # Errors
    ///
    /// When it was not taken; the message is where it was.
    pub fn send_chunk(
        &mut self,
        to: ConnectionId,
        text: bool,
        data: &[u8],
        last: bool,
    ) -> Result<(), ChunkError> {
        let kind = if text {
            MessageKind::Text
        } else {
            MessageKind::Binary
        };
        let outcome = self.host.send_chunk(self.effects, to, kind, data, last);
        self.checked(outcome, Err(ChunkError::Closed))
    }

    /// Sends a ping with at most 125 bytes.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn ping(&mut self, to: ConnectionId, payload: &[u8]) -> Result<(), SendError> {
        let outcome = self.host.ping(self.effects, to, payload);
        self.checked(outcome, Err(SendError::Closed))
    }

    /// Sends a pong that answers no ping, with at most 125 bytes.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn pong(&mut self, to: ConnectionId, payload: &[u8]) -> Result<(), SendError> {
        let outcome = self.host.pong(self.effects, to, payload);
        self.checked(outcome, Err(SendError::Closed))
    }

    /// Starts the closing handshake after everything that is queued.
    pub fn close(&mut self, connection: ConnectionId, code: u16, reason: &str) {
        let outcome = self
            .host
            .close(self.effects, connection, code, reason.to_owned());
        self.checked(outcome, ());
    }

    /// Ends the transport at once.
    pub fn abort(&mut self, connection: ConnectionId) {
        let outcome = self.host.abort(self.effects, connection);
        self.checked(outcome, ());
    }

    /// Bytes queued and not yet taken by the socket.
    pub fn buffered(&self, connection: ConnectionId) -> u64 {
        self.host.buffered(connection)
    }

    /// Asks for one [`Handler::writable`].
    pub fn want_writable(&mut self, connection: ConnectionId) {
        let outcome = self.host.want_writable(self.effects, connection);
        self.checked(outcome, ());
    }

    /// Asks for one [`Handler::writable`] of every open connection, or of those that agreed on `protocol`.
    pub fn want_writable_all(&mut self, protocol: Option<&str>) {
        let outcome = self
            .host
            .want_writable_all(self.effects, protocol.map(str::to_owned));
        self.checked(outcome, ());
    }

    /// Stops (`false`) or resumes (`true`) reading from the peer.
    pub fn receive_flow(&mut self, connection: ConnectionId, enabled: bool) {
        let outcome = self.host.receive_flow(self.effects, connection, enabled);
        self.checked(outcome, ());
    }

    /// What becomes of published messages that a connection has no room for.
    pub fn set_slow_policy(&mut self, connection: ConnectionId, policy: Option<SlowPolicy>) {
        let outcome = self.host.set_slow_policy(self.effects, connection, policy);
        self.checked(outcome, ());
    }

    /// Published messages that were left out for a connection.
    pub fn dropped(&self, connection: ConnectionId) -> u64 {
        self.host.dropped(connection)
    }

    /// The opening request; none when the connection is unknown.
    pub fn request(&self, connection: ConnectionId) -> Option<Request> {
        self.host.request(connection)
    }

    /// The subprotocol agreed on.
    pub fn protocol(&self, connection: ConnectionId) -> Option<String> {
        self.host.protocol(connection)
    }

    /// The socket of a connection, to look at (`getsockopt`, `TCP_INFO`). Reading, writing or closing it breaks the connection.
    pub fn raw_fd(&self, connection: ConnectionId) -> Option<RawFd> {
        self.host.raw_fd(connection)
    }

    /// Has the host answer a message without calling the handler, on every connection of the handler on this worker; none takes it back.
    ///
    /// # Errors
    ///
    /// When one of the two is larger than 2 KiB, or there are 16 already.
    pub fn set_auto_reply<'m>(
        &mut self,
        received: impl Into<Message<'m>>,
        reply: Option<Message<'m>>,
    ) -> Result<(), AutoReplyError> {
        let received = received.into().parts();
        let outcome = self
            .host
            .set_auto_reply(self.effects, received, reply.map(Message::parts));
        self.checked(outcome, Err(AutoReplyError::Limit))
    }

    /// The bytes that the host keeps for a connection.
    pub fn session(&self, connection: ConnectionId) -> Vec<u8> {
        self.host.session(self.effects, connection)
    }

    /// Replaces those bytes.
    ///
    /// # Errors
    ///
    /// When the connection is unknown or the data too large.
    pub fn set_session(
        &mut self,
        connection: ConnectionId,
        data: impl Into<Vec<u8>>,
    ) -> Result<(), SendError> {
        let outcome = self.host.set_session(self.effects, connection, data.into());
        self.checked(outcome, Err(SendError::Closed))
    }

    /// Subscribes a connection to a topic; `Ok(false)` when it was subscribed already.
    ///
    /// # Errors
    ///
    /// When the connection is closed, the name is invalid or a limit is reached.
    pub fn subscribe(
        &mut self,
        connection: ConnectionId,
        topic: &str,
    ) -> Result<bool, SubscribeError> {
        let outcome = self
            .host
            .subscribe(self.effects, connection, topic.to_owned());
        self.checked(outcome, Err(SubscribeError::Closed))
    }

    /// Ends a subscription; false when there was none.
    pub fn unsubscribe(&mut self, connection: ConnectionId, topic: &str) -> bool {
        let outcome = self
            .host
            .unsubscribe(self.effects, connection, topic.to_owned());
        self.checked(outcome, false)
    }

    /// Sends a message to every subscriber of a topic but `except`, on all workers. The number of those on this worker.
    ///
    /// # Errors
    ///
    /// When subscribers are to be waited for, or the message is too large: nobody got it.
    pub fn publish<'m>(
        &mut self,
        topic: &str,
        message: impl Into<Message<'m>>,
        except: Option<ConnectionId>,
    ) -> Result<u32, PublishError> {
        let (kind, bytes) = message.into().parts();
        let outcome = self
            .host
            .publish(self.effects, topic.to_owned(), kind, bytes, except);
        self.checked(outcome, Ok(0))
    }

    /// Sends a message to every open connection, or to those that agreed on `protocol`, on all workers.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn broadcast<'m>(
        &mut self,
        protocol: Option<&str>,
        message: impl Into<Message<'m>>,
    ) -> Result<u32, PublishError> {
        let (kind, bytes) = message.into().parts();
        let outcome = self
            .host
            .broadcast(self.effects, protocol.map(str::to_owned), kind, bytes);
        self.checked(outcome, Ok(0))
    }

    /// What becomes of messages of a topic that a subscriber has no room for.
    pub fn set_topic_policy(&mut self, topic: &str, policy: Option<SlowPolicy>) {
        let outcome = self
            .host
            .set_topic_policy(self.effects, topic.to_owned(), policy);
        self.checked(outcome, ());
    }

    /// Messages of a topic that were left out on this worker.
    pub fn topic_dropped(&self, topic: &str) -> u64 {
        self.host.topic_dropped(topic)
    }

    /// Calls [`Handler::timer`] once, `after` from now.
    ///
    /// # Errors
    ///
    /// When the connection is closed or a limit is reached.
    pub fn set_timer(
        &mut self,
        after: Duration,
        tag: u64,
        connection: Option<ConnectionId>,
    ) -> Result<TimerId, TimerError> {
        let outcome = self.host.set_timer(self.effects, after, tag, connection);
        self.checked(outcome, Err(TimerError::Limit))
    }

    /// Cancels a timer; false when it has fired, was cancelled or never was.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        let outcome = self.host.cancel_timer(self.effects, timer);
        self.checked(outcome, false)
    }

    /// Makes an outbound connection once the callback has returned.
    ///
    /// # Errors
    ///
    /// When it is not granted, an option cannot be used or a limit is reached.
    pub fn connect(&mut self, options: ConnectOptions) -> Result<ConnectionId, ConnectError> {
        let outcome = self.host.connect(self.effects, options);
        self.checked(outcome, Err(ConnectError::Limit))
    }

    /// Why the last opening handshake of an outbound connection failed.
    pub fn failure(&self, connection: ConnectionId) -> Option<Failure> {
        self.host.failure(connection)
    }

    /// How the server answered the last opening handshake.
    pub fn response(&self, connection: ConnectionId) -> Option<ResponseHead> {
        self.host.response(connection)
    }

    /// The name of this handler.
    pub fn handler_name(&self) -> &str {
        self.host.handler_name()
    }

    /// A value of the configuration.
    pub fn config(&self, key: &str) -> Option<&str> {
        self.host.config(key)
    }

    /// Open connections of this handler on this worker.
    pub fn connection_count(&self) -> usize {
        self.host.open_count()
    }
}

/// Makes the instances of a native handler: one on each worker, and another after each that panicked.
#[derive(Clone)]
pub struct Native {
    name: String,
    features: Features,
    make: Arc<dyn Fn() -> Box<dyn Handler> + Send + Sync>,
}

impl Native {
    /// A handler that is made by `make`, on the thread where it will live.
    pub fn new<H: Handler>(name: &str, make: impl Fn() -> H + Send + Sync + 'static) -> Self {
        Self {
            name: name.to_owned(),
            features: H::features(),
            make: Arc::new(move || Box::new(make())),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn exports(&self) -> Capabilities {
        Capabilities {
            packed: false,
            plain_only: false,
            handshake: true,
            writable: true,
            chunks: self.features.chunks,
            broadcast_filter: self.features.broadcast_filter,
            network_filter: self.features.network_filter,
            http: self.features.http,
            reconnection: true,
            pong: true,
            timer_handler: true,
            lifecycle: true,
            wasi_http: false,
        }
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native")
            .field("name", &self.name)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

/// Makes the instances of a native handler.
pub(crate) struct NativeFactory(pub(crate) Native);

impl GuestFactory for NativeFactory {
    type Guest = NativeGuest;

    async fn make(&self, host: Rc<dyn Host>) -> Result<NativeGuest, CallbackError> {
        let handler = catch_unwind(AssertUnwindSafe(|| (self.0.make)()))
            .map_err(|panic| panicked(panic.as_ref()))?;
        Ok(NativeGuest {
            handler,
            effects: host.new_effects(),
            host,
            capabilities: self.0.exports(),
        })
    }

    async fn prepare_spare(&self, _: Rc<dyn Host>) {
        // It is made at once: a spare would only run the program's own code earlier than it expects.
    }

    fn discard_spare(&self) {}
}

/// An instance.
pub(crate) struct NativeGuest {
    handler: Box<dyn Handler>,
    host: Rc<dyn Host>,
    effects: Effects,
    capabilities: Capabilities,
}

impl NativeGuest {
    fn run<R>(
        &mut self,
        callback: impl FnOnce(&mut dyn Handler, &mut Context<'_>) -> R,
    ) -> Result<R, CallbackError> {
        let mut context = Context {
            host: &*self.host,
            effects: &mut self.effects,
            broken: None,
        };
        let handler = &mut *self.handler;
        // After a panic neither the handler nor what it asked for is looked at again.
        let result = catch_unwind(AssertUnwindSafe(|| callback(handler, &mut context)))
            .map_err(|panic| panicked(panic.as_ref()))?;
        match context.broken {
            None => Ok(result),
            Some(broken) => Err(trap(broken.to_string())),
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> CallbackError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    trap(format!("panic: {}", text.unwrap_or_default()))
}

fn trap(message: String) -> CallbackError {
    CallbackError::Trap {
        message,
        backtrace: String::new(),
    }
}

impl Guest for NativeGuest {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    async fn received(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<(), CallbackError> {
        self.run(|handler, cx| handler.received(cx, connection, message))
    }

    async fn received_packed(
        &mut self,
        _: ConnectionId,
        _: &[u8],
        _: u32,
    ) -> Result<(), CallbackError> {
        // It is not capable of that.
        Ok(())
    }

    async fn received_chunk(
        &mut self,
        connection: ConnectionId,
        chunk: &Chunk<'_>,
    ) -> Result<(), CallbackError> {
        self.run(|handler, cx| handler.received_chunk(cx, connection, chunk))
    }

    async fn call(&mut self, callback: Callback<'_>) -> Result<Answer, CallbackError> {
        self.run(|handler, cx| match callback {
            Callback::Started => {
                handler.started(cx);
                Answer::None
            }
            Callback::Requested(request) => Answer::Handshake(handler.handshake(cx, request)),
            Callback::Opened(connection) => {
                handler.opened(cx, connection);
                Answer::None
            }
            Callback::Closed(connection, info) => {
                handler.closed(cx, connection, info);
                Answer::None
            }
            Callback::Resumed(connection) => {
                handler.resumed(cx, connection);
                Answer::None
            }
            Callback::Fired {
                timer,
                tag,
                connection,
            } => {
                handler.timer(cx, timer, tag, connection);
                Answer::None
            }
            Callback::Pong(connection, payload) => {
                handler.pong(cx, connection, payload);
                Answer::None
            }
            Callback::Writable(connection) => {
                handler.writable(cx, connection);
                Answer::None
            }
            Callback::Lost {
                connection,
                info,
                attempt,
                after,
            } => {
                handler.lost(cx, connection, info, attempt, after);
                Answer::None
            }
            Callback::Restored(connection) => {
                handler.restored(cx, connection);
                Answer::None
            }
            Callback::Wanted(connection, message) => {
                Answer::Bool(handler.wanted(cx, connection, message))
            }
            Callback::Accepts { peer, local } => Answer::Bool(handler.accepts(cx, peer, local)),
            Callback::Http(HttpRequest {
                method,
                request,
                body,
            }) => Answer::Http(handler.http(cx, method, request, body)),
            // It is linked in and has no next version.
            Callback::Save => Answer::State(Vec::new()),
            Callback::Restore(_) => Answer::Restored(Ok(())),
            Callback::Draining(deadline) => {
                handler.draining(cx, deadline);
                Answer::None
            }
        })
    }
}
