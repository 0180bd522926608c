//! One instance of a handler in a store of its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use wasmtime::component::{ComponentNamedList, Lower, ResourceTableError, TypedFunc};
use wasmtime::{Store, Trap, UpdateDeadline};

use super::bindings::exports::wsrun::websocket::{
    broadcast_filter, handler, handshake, http, lifecycle, network_filter, pong, reconnection,
    timer_handler, writable,
};
use super::bindings::wsrun::websocket::types;
use super::code::Code;
use super::component::{PACKAGE, VERSION};
use super::context::HandlerContext;
use super::coredump;
use super::error::{DeadlineExceeded, HostCallsExceeded, callback_error};
use super::linker::Linked;
use super::message::{ChunkIn, MessageIn};
use super::meter::{ExecutionMeter, others_had_their_turn};
use super::state::{GuestState, Log};
use wsrun_contract::effects::Effects;
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::host::Host;
use wsrun_contract::{
    Acceptance, Answer, Callback, CallbackError, Capabilities, Chunk, CloseInfo, ClosedBy,
    ConnectionId, HandlerLimits, HttpBody, HttpRequest, HttpResponse, Limit, Message, Refusal,
    Request, Setting, TimerId,
};
use wsrun_metrics::panics::contained;
use wsrun_os::clock::thread_time;
use wsrun_tape::value::Two;

/// Handles of component resources that an instance may hold.
pub(super) const COMPONENT_HANDLES_MAX: usize = 10_000;

/// What one host call may copy beyond the largest message.
pub(super) const HOSTCALL_SLACK_BYTES: usize = 64 * 1024;

type Received = TypedFunc<(ConnectionId, MessageIn<'static>), ()>;
type ReceivedPacked = TypedFunc<(ConnectionId, &'static [u8], u32), ()>;
type ReceivedChunk = TypedFunc<(ConnectionId, ChunkIn<'static>), ()>;

/// Makes the instances of one handler on one worker.
pub struct Instances {
    context: HandlerContext,
    linked: Linked,
    limits: HandlerLimits,
    log: Log,
    /// An instance that has run nothing yet, for the moment when one is needed.
    spare: RefCell<Option<Instance>>,
    /// One is being made: many lives that begin at once need no more.
    preparing: Cell<bool>,
}

impl Instances {
    pub fn new(context: HandlerContext, linked: Linked, limits: HandlerLimits) -> Self {
        Self {
            log: Log::new(context.metrics.name()),
            context,
            linked,
            limits,
            spare: RefCell::default(),
            preparing: Cell::new(false),
        }
    }
}

impl GuestFactory for Instances {
    type Guest = Instance;

    async fn make(&self, host: Rc<dyn Host>) -> Result<Instance, CallbackError> {
        self.log.begin(&self.context.metrics);
        let spare = self.spare.borrow_mut().take();
        match spare {
            Some(mut spare) => {
                spare.store.data_mut().calls.host = host;
                Ok(spare)
            }
            None => Instance::new(self, host).await,
        }
    }

    fn discard_spare(&self) {
        drop(self.spare.borrow_mut().take());
    }

    async fn prepare_spare(&self, host: Rc<dyn Host>) {
        if self.spare.borrow().is_some() || self.preparing.replace(true) {
            return;
        }
        let made = contained(Instance::new(self, host)).await;
        self.preparing.set(false);
        match made {
            Ok(Ok(spare)) => *self.spare.borrow_mut() = Some(spare),
            // One that cannot be made is told when it is needed.
            Ok(Err(_)) => {}
            Err(panicked) => {
                let HandlerContext { worker, metrics } = &self.context;
                panicked.report(&worker.counters, metrics.name(), "spare");
            }
        }
    }
}

/// An instance and the callbacks that it exports.
pub struct Instance {
    store: Store<GuestState>,
    /// None: it takes no connections, and answers plain requests alone.
    sockets: Option<(handler::Guest, Received)>,
    handshake: Option<handshake::Guest>,
    writable: Option<writable::Guest>,
    received_chunk: Option<ReceivedChunk>,
    received_packed: Option<ReceivedPacked>,
    broadcast_filter: Option<broadcast_filter::Guest>,
    network_filter: Option<network_filter::Guest>,
    http: Option<http::Guest>,
    reconnection: Option<reconnection::Guest>,
    pong: Option<pong::Guest>,
    timer_handler: Option<timer_handler::Guest>,
    lifecycle: Option<lifecycle::Guest>,
    blocking_timeout: Duration,
    /// Of the answer to a plain request, and of saved state.
    response_bytes_max: usize,
    capabilities: Capabilities,
    meter: Arc<ExecutionMeter>,
    /// Behind the store, so that the last owner is never the store, whose end the worker waits for.
    _code: Arc<Code>,
}

impl Instance {
    async fn new(instances: &Instances, host: Rc<dyn Host>) -> Result<Self, CallbackError> {
        let Instances {
            context,
            linked,
            limits,
            log,
            ..
        } = instances;
        let track = linked.tape.as_ref();
        let track = track.and_then(|tape| {
            tape.track(context.worker.index, context.metrics.name(), linked.exports)
        });
        let mut store = store(linked, limits, context, host, log);
        store.data_mut().tape = track;
        begin(&mut store);
        let blocking_timeout = limits.compute.blocking_timeout;
        let meter = Arc::clone(&store.data().meter);
        let instance = linked.pre.instantiate_async(&mut store);
        let instance = bounded(&meter, blocking_timeout, instance).await;
        let instance = instance.map_err(|error| explain(&mut store, error));
        if let Some(tape) = &mut store.data_mut().tape {
            tape.end(instance.as_ref().map(|_| &()));
        }
        let instance = instance?;
        let sockets = match &linked.handler {
            Some(indices) => {
                let types = types("wsrun:websocket/handler");
                let handler = indices.load(&mut store, &instance).map_err(&types)?;
                let received = by_hand(&mut store, &instance, "handler", "received");
                Some((handler, received.map_err(&types)?))
            }
            None => None,
        };
        macro_rules! optional {
            ($interface:ident, $name:literal) => {
                match &linked.$interface {
                    Some(indices) => {
                        Some(indices.load(&mut store, &instance).map_err(types($name))?)
                    }
                    None => None,
                }
            };
        }
        Ok(Self {
            handshake: optional!(handshake, "wsrun:websocket/handshake"),
            writable: optional!(writable, "wsrun:websocket/writable"),
            received_chunk: match &linked.chunks {
                Some(_) => {
                    let function = by_hand(&mut store, &instance, "chunks", "received-chunk");
                    Some(function.map_err(types("wsrun:websocket/chunks"))?)
                }
                None => None,
            },
            received_packed: match &linked.packed {
                // A tape has each message on its own.
                Some(_) if store.data().tape.is_none() => {
                    let function = by_hand(&mut store, &instance, "packed", "received");
                    Some(function.map_err(types("wsrun:websocket/packed"))?)
                }
                Some(_) | None => None,
            },
            broadcast_filter: optional!(broadcast_filter, "wsrun:websocket/broadcast-filter"),
            network_filter: optional!(network_filter, "wsrun:websocket/network-filter"),
            http: optional!(http, "wsrun:websocket/http"),
            reconnection: optional!(reconnection, "wsrun:websocket/reconnection"),
            pong: optional!(pong, "wsrun:websocket/pong"),
            timer_handler: optional!(timer_handler, "wsrun:websocket/timer-handler"),
            lifecycle: optional!(lifecycle, "wsrun:websocket/lifecycle"),
            capabilities: Capabilities {
                packed: linked.exports.packed && store.data().tape.is_none(),
                ..linked.exports
            },
            sockets,
            store,
            blocking_timeout,
            response_bytes_max: limits
                .contract
                .effect_bytes_max
                .saturating_add(HOSTCALL_SLACK_BYTES),
            meter,
            _code: Arc::clone(&linked.code),
        })
    }
}

impl Instance {
    /// What a callback failed with. To find that out is part of what failures cost.
    fn failure(&mut self, error: wasmtime::Error) -> CallbackError {
        let began = thread_time();
        let failure = explain(&mut self.store, error);
        let took = thread_time().saturating_sub(began);
        self.store.data().calls.host.add_failing(took);
        failure
    }
}

/// A store with every limit of an instance.
pub(super) fn store(
    linked: &Linked,
    limits: &HandlerLimits,
    context: &HandlerContext,
    host: Rc<dyn Host>,
    log: &Log,
) -> Store<GuestState> {
    let engine = linked.pre.engine();
    let state = GuestState::new(engine, context, host, limits, log);
    let mut store = Store::new(engine, state);
    let beside = linked.code.instance_bytes();
    store.data_mut().limiter.begin_with(beside);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(copied_bytes_max(limits));
    store.set_max_component_handles(COMPONENT_HANDLES_MAX);
    store.epoch_deadline_callback(|store| {
        let state = store.data();
        if state.has_exceeded_host_calls() {
            return Err(HostCallsExceeded(state.host_calls_max).into());
        }
        if state.meter.used() < state.callback_timeout {
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(others_had_their_turn()),
            ))
        } else {
            Err(DeadlineExceeded(state.callback_timeout).into())
        }
    });
    store
}

/// What the arguments of one call hold at most: nothing interrupts their copy. Some of the largest messages, so that one which is too large
/// is told so; saved state and the answers to plain requests may be larger.
fn copied_bytes_max(limits: &HandlerLimits) -> usize {
    limits
        .contract
        .sent_message_bytes_max
        .saturating_mul(4)
        .min(limits.contract.effect_bytes_max)
        .saturating_add(HOSTCALL_SLACK_BYTES)
}

fn types(interface: &'static str) -> impl Fn(wasmtime::Error) -> CallbackError {
    move |error| CallbackError::Types {
        interface,
        cause: error.root_cause().to_string(),
    }
}

/// The hottest exports by hand: a generated call wants an owned message.
fn by_hand<P: ComponentNamedList + Lower>(
    store: &mut Store<GuestState>,
    instance: &wasmtime::component::Instance,
    interface: &str,
    function: &str,
) -> wasmtime::Result<TypedFunc<P, ()>> {
    let missing =
        || wasmtime::format_err!("export wsrun:websocket/{interface} has no function `{function}`");
    let name = format!("{PACKAGE}/{interface}@{VERSION}");
    let (_, interface) = instance
        .get_export(&mut *store, None, &name)
        .ok_or_else(missing)?;
    let (_, function) = instance
        .get_export(&mut *store, Some(&interface), function)
        .ok_or_else(missing)?;
    instance.get_typed_func(store, function)
}

/// Calls an export. The event and its arguments are what a tape is told.
macro_rules! call {
    ($self:ident, $event:literal, $args:expr, $call:expr) => {{
        begin(&mut $self.store);
        if let Some(tape) = &mut $self.store.data_mut().tape {
            tape.begin($event, &$args);
        }
        let result = bounded(&$self.meter, $self.blocking_timeout, $call).await;
        let result = match result {
            Ok(value) => Ok(value),
            Err(error) => Err($self.failure(error)),
        };
        if let Some(tape) = &mut $self.store.data_mut().tape {
            tape.end(result.as_ref());
        }
        result
    }};
}

impl Instance {
    async fn started(&mut self) -> Result<(), CallbackError> {
        match &self.lifecycle {
            Some(lifecycle) => call!(
                self,
                "lifecycle.started",
                (),
                lifecycle.call_started(&mut self.store)
            ),
            None => Ok(()),
        }
    }

    async fn requested(
        &mut self,
        request: &Request,
    ) -> Result<Result<Acceptance, Refusal>, CallbackError> {
        let Some(handshake) = &self.handshake else {
            return Ok(Ok(Acceptance::default()));
        };
        let request = types::Request::from(request);
        let answer = call!(
            self,
            "handshake.requested",
            (&request,),
            handshake.call_requested(&mut self.store, &request)
        )?;
        Ok(match answer {
            Ok(accepted) => Ok(Acceptance {
                protocol: accepted.protocol,
                headers: accepted.headers,
                session: accepted.session,
            }),
            Err(refused) => Err(Refusal {
                status: refused.status,
                headers: refused.headers,
                body: refused.body,
            }),
        })
    }

    async fn opened(&mut self, connection: ConnectionId) -> Result<(), CallbackError> {
        match &self.sockets {
            Some((handler, _)) => call!(
                self,
                "handler.opened",
                (connection,),
                handler.call_opened(&mut self.store, connection)
            ),
            None => Ok(()),
        }
    }

    async fn closed(
        &mut self,
        connection: ConnectionId,
        info: &CloseInfo,
    ) -> Result<(), CallbackError> {
        let Some((handler, _)) = &self.sockets else {
            return Ok(());
        };
        let info = types::CloseInfo::from(info);
        call!(
            self,
            "handler.closed",
            Two(connection, &info),
            handler.call_closed(&mut self.store, connection, &info)
        )
    }

    async fn writable(&mut self, connection: ConnectionId) -> Result<(), CallbackError> {
        match &self.writable {
            Some(writable) => call!(
                self,
                "writable.writable",
                (connection,),
                writable.call_writable(&mut self.store, connection)
            ),
            None => Ok(()),
        }
    }

    async fn lost(
        &mut self,
        connection: ConnectionId,
        info: &CloseInfo,
        attempt: u32,
        after: Duration,
    ) -> Result<(), CallbackError> {
        let Some(reconnection) = &self.reconnection else {
            return Ok(());
        };
        let info = types::CloseInfo::from(info);
        let after = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        call!(
            self,
            "reconnection.lost",
            (connection, &info, attempt, after),
            reconnection.call_lost(&mut self.store, connection, &info, attempt, after)
        )
    }

    async fn restored(&mut self, connection: ConnectionId) -> Result<(), CallbackError> {
        match &self.reconnection {
            Some(reconnection) => call!(
                self,
                "reconnection.restored",
                (connection,),
                reconnection.call_restored(&mut self.store, connection)
            ),
            None => Ok(()),
        }
    }

    async fn wanted(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<bool, CallbackError> {
        let Some(filter) = &self.broadcast_filter else {
            return Ok(true);
        };
        let message = match message {
            Message::Text(text) => types::Message::Text(text.to_owned()),
            Message::Binary(bytes) => types::Message::Binary(bytes.to_vec()),
        };
        call!(
            self,
            "broadcast-filter.wanted",
            Two(connection, &message),
            filter.call_wanted(&mut self.store, connection, &message)
        )
    }

    async fn accepts(&mut self, peer: &str, local: &str) -> Result<bool, CallbackError> {
        match &self.network_filter {
            Some(filter) => call!(
                self,
                "network-filter.accepts",
                Two(peer, local),
                filter.call_accepts(&mut self.store, peer, local)
            ),
            None => Ok(true),
        }
    }

    async fn http(&mut self, request: &HttpRequest) -> Result<Option<HttpResponse>, CallbackError> {
        let Some(http) = &self.http else {
            return Ok(None);
        };
        let HttpRequest {
            method,
            request,
            body,
        } = request;
        let request = types::Request::from(request);
        let fuel = self.store.hostcall_fuel();
        self.store.set_hostcall_fuel(self.response_bytes_max);
        let response = call!(
            self,
            "http.requested",
            (method, &request, body.as_ref()),
            http.call_requested(&mut self.store, method, &request, body)
        );
        self.store.set_hostcall_fuel(fuel);
        let response = response?;
        Ok(Some(HttpResponse {
            status: response.status,
            headers: response.headers,
            body: match response.body {
                http::Body::Bytes(bytes) => HttpBody::Bytes(bytes),
                http::Body::File(path) => HttpBody::File(path),
            },
        }))
    }

    async fn pong(
        &mut self,
        connection: ConnectionId,
        payload: &[u8],
    ) -> Result<(), CallbackError> {
        match &self.pong {
            Some(pong) => call!(
                self,
                "pong.pong",
                Two(connection, payload),
                pong.call_pong(&mut self.store, connection, payload)
            ),
            None => Ok(()),
        }
    }

    async fn fired(
        &mut self,
        timer: TimerId,
        tag: u64,
        connection: Option<ConnectionId>,
    ) -> Result<(), CallbackError> {
        match &self.timer_handler {
            Some(handler) => call!(
                self,
                "timer-handler.fired",
                (timer, tag, connection),
                handler.call_fired(&mut self.store, timer, tag, connection)
            ),
            None => Ok(()),
        }
    }

    async fn resumed(&mut self, connection: ConnectionId) -> Result<(), CallbackError> {
        match &self.lifecycle {
            Some(lifecycle) => call!(
                self,
                "lifecycle.resumed",
                (connection,),
                lifecycle.call_resumed(&mut self.store, connection)
            ),
            None => Ok(()),
        }
    }

    async fn save(&mut self) -> Result<Vec<u8>, CallbackError> {
        let fuel = self.store.hostcall_fuel();
        self.store.set_hostcall_fuel(self.response_bytes_max);
        let state = match &self.lifecycle {
            Some(lifecycle) => call!(
                self,
                "lifecycle.save",
                (),
                lifecycle.call_save(&mut self.store)
            ),
            None => Ok(Vec::new()),
        };
        self.store.set_hostcall_fuel(fuel);
        state
    }

    async fn restore(&mut self, state: &[u8]) -> Result<Result<(), String>, CallbackError> {
        match &self.lifecycle {
            Some(lifecycle) => call!(
                self,
                "lifecycle.restore",
                (state,),
                lifecycle.call_restore(&mut self.store, state)
            ),
            None => Ok(Ok(())),
        }
    }

    async fn draining(&mut self, deadline: Duration) -> Result<(), CallbackError> {
        let deadline = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        match &self.lifecycle {
            Some(lifecycle) => call!(
                self,
                "lifecycle.draining",
                (deadline,),
                lifecycle.call_draining(&mut self.store, deadline)
            ),
            None => Ok(()),
        }
    }
}

impl Guest for Instance {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn effects(&mut self) -> &mut Effects {
        &mut self.store.data_mut().calls.effects
    }

    async fn received(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<(), CallbackError> {
        let Some((_, received)) = &self.sockets else {
            return Ok(());
        };
        let message = match message {
            Message::Text(text) => MessageIn::Text(text),
            Message::Binary(bytes) => MessageIn::Binary(bytes),
        };
        let received: &TypedFunc<(ConnectionId, MessageIn<'_>), ()> = received;
        call!(
            self,
            "handler.received",
            Two(connection, message),
            received.call_async(&mut self.store, (connection, message))
        )
    }

    async fn received_packed(
        &mut self,
        connection: ConnectionId,
        messages: &[u8],
        room: u32,
    ) -> Result<(), CallbackError> {
        let Some(received_packed) = &self.received_packed else {
            return Ok(());
        };
        self.store.data_mut().calls.effects.packed = Some((connection, room as usize));
        let received_packed: &TypedFunc<(ConnectionId, &[u8], u32), ()> = received_packed;
        let result = call!(
            self,
            "packed.received",
            (connection, messages, room),
            received_packed.call_async(&mut self.store, (connection, messages, room))
        );
        self.store.data_mut().calls.effects.packed = None;
        result
    }

    async fn received_chunk(
        &mut self,
        connection: ConnectionId,
        chunk: &Chunk<'_>,
    ) -> Result<(), CallbackError> {
        let Some(received_chunk) = &self.received_chunk else {
            return Ok(());
        };
        let chunk = ChunkIn {
            text: chunk.text,
            data: chunk.data,
            first: chunk.first,
            last: chunk.last,
            remaining: chunk.remaining,
        };
        let received_chunk: &TypedFunc<(ConnectionId, ChunkIn<'_>), ()> = received_chunk;
        call!(
            self,
            "chunks.received-chunk",
            Two(connection, chunk),
            received_chunk.call_async(&mut self.store, (connection, chunk))
        )
    }

    async fn call(&mut self, callback: Callback<'_>) -> Result<Answer, CallbackError> {
        match callback {
            Callback::Started => self.started().await.map(Answer::from),
            Callback::Requested(request) => self.requested(request).await.map(Answer::Handshake),
            Callback::Opened(connection) => self.opened(connection).await.map(Answer::from),
            Callback::Closed(connection, info) => {
                self.closed(connection, info).await.map(Answer::from)
            }
            Callback::Resumed(connection) => self.resumed(connection).await.map(Answer::from),
            Callback::Fired {
                timer,
                tag,
                connection,
            } => self.fired(timer, tag, connection).await.map(Answer::from),
            Callback::Pong(connection, payload) => {
                self.pong(connection, payload).await.map(Answer::from)
            }
            Callback::Writable(connection) => self.writable(connection).await.map(Answer::from),
            Callback::Lost {
                connection,
                info,
                attempt,
                after,
            } => {
                let lost = self.lost(connection, info, attempt, after);
                lost.await.map(Answer::from)
            }
            Callback::Restored(connection) => self.restored(connection).await.map(Answer::from),
            Callback::Wanted(connection, message) => {
                self.wanted(connection, message).await.map(Answer::Bool)
            }
            Callback::Accepts { peer, local } => self.accepts(peer, local).await.map(Answer::Bool),
            Callback::Http(request) => self.http(request).await.map(Answer::from),
            Callback::Save => self.save().await.map(Answer::State),
            Callback::Restore(state) => self.restore(state).await.map(Answer::Restored),
            Callback::Draining(deadline) => self.draining(deadline).await.map(Answer::from),
        }
    }
}

impl From<&CloseInfo> for types::CloseInfo {
    fn from(info: &CloseInfo) -> Self {
        Self {
            code: info.code,
            reason: info.reason.clone(),
            by: match info.by {
                ClosedBy::Peer => types::ClosedBy::Peer,
                ClosedBy::Handler => types::ClosedBy::Handler,
                ClosedBy::Host => types::ClosedBy::Host,
            },
            clean: info.clean,
        }
    }
}

/// Gives a callback its time.
pub(super) fn begin(store: &mut Store<GuestState>) {
    let state = store.data_mut();
    state.meter.begin();
    state.begin_host_calls();
    store.set_epoch_deadline(1);
}

/// A callback that waited for too long: told apart from what wasmtime reports.
#[derive(Debug, thiserror::Error)]
#[error("blocked")]
struct Blocked(Duration);

/// Bounds the time that a call waits in the host. Its future is dropped at the limit, which ends the store, as a trap does.
pub(super) async fn bounded<T>(
    meter: &ExecutionMeter,
    limit: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    let mut call = pin!(meter.measure(call));
    // Almost every call is over at its first poll, and no timer is made for it.
    if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await {
        return result;
    }
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => Err(Blocked(limit).into()),
    }
}

pub(super) fn explain(store: &mut Store<GuestState>, error: wasmtime::Error) -> CallbackError {
    if let Some(blocked) = error.downcast_ref::<Blocked>() {
        return CallbackError::Blocked { limit: blocked.0 };
    }
    coredump::dump(store, &error);
    let state = store.data_mut();
    let metrics = Rc::clone(&state.context.metrics);
    let out_of_memory = state.limiter.take_refused();
    let overflow = error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow);
    match callback_error(&error) {
        CallbackError::Trap { message, backtrace } if out_of_memory => CallbackError::Trap {
            message: format!(
                "{message} (it had asked for more memory than {instance_bytes_max}, or for more than 131,072 elements of tables)",
                instance_bytes_max = Setting("memory.instance_bytes_max")
            ),
            backtrace,
        },
        CallbackError::Trap { message, backtrace } if copied_too_much(&error) => {
            metrics.note_limit(Limit::CopiedBytes);
            CallbackError::Trap { message, backtrace }
        }
        CallbackError::Trap { message, backtrace } if has_too_many_resources(&error) => {
            metrics.note_limit(Limit::Resources);
            CallbackError::Trap { message, backtrace }
        }
        CallbackError::Trap { message, backtrace } if overflow => {
            metrics.note_limit(Limit::WasmStack);
            CallbackError::Trap {
                message: format!(
                    "{message} ({wasm_stack_bytes_max})",
                    wasm_stack_bytes_max = Setting("wasm.stack_bytes_max")
                ),
                backtrace,
            }
        }
        error @ (CallbackError::Trap { .. }
        | CallbackError::HostCalls { .. }
        | CallbackError::Deadline { .. }
        | CallbackError::Blocked { .. }
        | CallbackError::Types { .. }) => error,
    }
}

/// Whether the arguments of one call were more than [`Store::set_hostcall_fuel`] allows. wasmtime has no type for it.
fn copied_too_much(error: &wasmtime::Error) -> bool {
    error
        .root_cause()
        .to_string()
        .contains("fuel allocated for hostcalls has been exhausted")
}

/// Whether the instance has as many resources of WASI, or handles of them, as it may. wasmtime has a type for the first alone.
fn has_too_many_resources(error: &wasmtime::Error) -> bool {
    let full = error.downcast_ref::<ResourceTableError>();
    full.is_some_and(|error| matches!(error, ResourceTableError::Full))
        || error
            .root_cause()
            .to_string()
            .contains("store handle limit exceeded")
}
