//! The imports of instances that are recorded or played: each call goes over the tape.
//!
//! They take the place of the usual ones in a linker of their own, so that a server that records nothing pays nothing for them. What is not
//! here needs no tape: streams, folders, sockets and HTTP of WASI, none of which leads anywhere, answer the same each time.

use serde_json::Value;
use wasmtime::Engine;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::cli::WasiCliView as _;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::io::poll;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::{WasiCtxView, WasiView as _};

use super::bindings::wsrun::websocket::client::{ConnectError, Failure, Options, Response};
use super::bindings::wsrun::websocket::connections::{AutoReplyError, ChunkError};
use super::bindings::wsrun::websocket::timers::TimerError;
use super::bindings::wsrun::websocket::topics::SubscribeError;
use super::bindings::wsrun::websocket::types::{
    Message, PublishError, Request, SendError, SlowPolicy,
};
use super::bindings::wsrun::websocket::{client, connections, host_info, timers, topics, types};
use super::linker::linker;
use super::message::{ChunkIn, MessageIn};
use super::state::GuestState;
use wsrun_contract::{ConnectionId, TimerId};
use wsrun_tape::Track;
use wsrun_tape::format::Answer;
use wsrun_tape::redact::Redaction;
use wsrun_tape::value::{Agreed, FromTape, ToTape, Two};

/// Everything that a handler may import, over the tape.
pub fn taped_linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = linker(engine)?;
    linker.allow_shadowing(true);
    connections::add_to_linker::<_, HasTape>(&mut linker, taped)?;
    topics::add_to_linker::<_, HasTape>(&mut linker, taped)?;
    client::add_to_linker::<_, HasTape>(&mut linker, taped)?;
    timers::add_to_linker::<_, HasTape>(&mut linker, taped)?;
    host_info::add_to_linker::<_, HasTape>(&mut linker, taped)?;
    wall_clock::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    monotonic_clock::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    random::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    insecure::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    insecure_seed::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    environment::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    poll::add_to_linker::<_, HasTape>(&mut linker, wasi)?;
    linker.allow_shadowing(false);
    Ok(linker)
}

struct HasTape;

impl HasData for HasTape {
    type Data<'a> = Taped<'a>;
}

fn taped(state: &mut GuestState) -> Taped<'_> {
    Taped(state.called())
}

/// Calls of WASI are counted where they reach it.
fn wasi(state: &mut GuestState) -> Taped<'_> {
    Taped(state)
}

/// The state of an instance, reached over its tape.
struct Taped<'a>(&'a mut GuestState);

impl Taped<'_> {
    /// The arguments of a call; none where there is no tape, as in instances that answer plain requests.
    fn put(&self, args: &impl ToTape) -> Option<Value> {
        self.0.tape.as_ref().and_then(|track| track.put(args))
    }

    /// Has the tape answer, or the host and the tape take note.
    fn over<T: ToTape + FromTape>(
        &mut self,
        call: &'static str,
        args: Option<Value>,
        real: impl FnOnce(&mut GuestState) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        if let Some(answer) = self.play(call, &args)? {
            return Ok(answer);
        }
        let result = real(self.0);
        self.record(call, args, &result);
        result
    }

    /// For calls without effect whose answer is the same each time: where the tape has none, the host answers.
    fn look<T: ToTape + FromTape>(
        &mut self,
        call: &'static str,
        real: impl FnOnce(&mut GuestState) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        if let Some(Track::Playing(playing)) = &self.0.tape
            && !playing.expects(call)
        {
            return real(self.0);
        }
        let args = self.put(&());
        self.over(call, args, real)
    }

    /// What the tape has, if it is one that is played.
    fn play<T: FromTape>(&self, call: &str, args: &Option<Value>) -> wasmtime::Result<Option<T>> {
        let Some(Track::Playing(playing)) = &self.0.tape else {
            return Ok(None);
        };
        let answer = playing.answer(call, args.clone().unwrap_or_default())?;
        let answer = T::take(answer).map_err(|cause| playing.unreadable(call, &cause))?;
        Ok(Some(answer))
    }

    fn record<T: ToTape>(&mut self, call: &str, args: Option<Value>, result: &wasmtime::Result<T>) {
        if let Some(Track::Recording(recording)) = &mut self.0.tape
            && recording.is_on()
        {
            let answer = match result {
                Ok(value) => Answer::Gave(value.put(recording.redaction())),
                Err(error) => Answer::Trapped(error.root_cause().to_string()),
            };
            recording.call(call, args.unwrap_or_default(), answer);
        }
    }

    /// For calls that give a resource: it must be there in a replay as well.
    fn with_resource<T: 'static>(
        &mut self,
        call: &'static str,
        args: Option<Value>,
        real: impl FnOnce(&mut GuestState) -> wasmtime::Result<Resource<T>>,
    ) -> wasmtime::Result<Resource<T>> {
        self.play::<()>(call, &args)?;
        let result = real(self.0);
        match &result {
            Ok(_) => self.record(call, args, &Ok(())),
            Err(error) => {
                let again = wasmtime::format_err!("{}", error.root_cause());
                self.record::<()>(call, args, &Err(again));
            }
        }
        result
    }
}

/// Methods that are another's, over the tape. Arguments are written as a list.
macro_rules! over_tape {
    ($host:path: $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty, $call:literal, $args:expr;)*) => {$(
        fn $name(&mut self, $($arg: $type),*) -> wasmtime::Result<$out> {
            let args = self.put(&$args);
            self.over($call, args, |state| <GuestState as $host>::$name(state, $($arg),*))
        }
    )*};
}

type Sent = Result<(), SendError>;

impl types::Host for Taped<'_> {}

impl connections::Host for Taped<'_> {
    over_tape! { connections::Host:
        fn send(to: ConnectionId, message: Message) -> Sent, "connections.send", Two(to, &message);
        fn send_chunk(to: ConnectionId, text: bool, data: Vec<u8>, fin: bool) -> Result<(), ChunkError>,
            "connections.send-chunk", (to, text, &data, fin);
        fn ping(to: ConnectionId, payload: Vec<u8>) -> Sent, "connections.ping", Two(to, &payload);
        fn pong(to: ConnectionId, payload: Vec<u8>) -> Sent, "connections.pong", Two(to, &payload);
        fn close(connection: ConnectionId, code: u16, reason: String) -> (), "connections.close", (connection, code, &reason);
        fn abort(connection: ConnectionId) -> (), "connections.abort", (connection,);
        fn buffered(connection: ConnectionId) -> u64, "connections.buffered", (connection,);
        fn want_writable(connection: ConnectionId) -> (), "connections.want-writable", (connection,);
        fn want_writable_all(protocol: Option<String>) -> (), "connections.want-writable-all",
            (Agreed(protocol.clone()),);
        fn set_slow_policy(connection: ConnectionId, policy: Option<SlowPolicy>) -> (),
            "connections.set-slow-policy", Two(connection, &policy);
        fn dropped(connection: ConnectionId) -> u64, "connections.dropped", (connection,);
        fn receive_flow(connection: ConnectionId, enabled: bool) -> (), "connections.receive-flow", Two(connection, enabled);
        fn set_auto_reply(received: Message, reply: Option<Message>) -> Result<(), AutoReplyError>,
            "connections.set-auto-reply", Two(&received, &reply);
        fn request_of(connection: ConnectionId) -> Option<Request>, "connections.request-of", (connection,);
        fn session(connection: ConnectionId) -> Vec<u8>, "connections.session", (connection,);
        fn set_session(connection: ConnectionId, data: Vec<u8>) -> Sent, "connections.set-session", Two(connection, &data);
    }

    fn protocol(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<String>> {
        let args = self.put(&(connection,));
        let agreed = self.over("connections.protocol", args, |state| {
            connections::Host::protocol(state, connection).map(Agreed)
        })?;
        let Agreed(protocol) = agreed;
        Ok(protocol)
    }
}

impl topics::Host for Taped<'_> {
    over_tape! { topics::Host:
        fn subscribe(connection: ConnectionId, topic: String) -> Result<bool, SubscribeError>,
            "topics.subscribe", Two(connection, &topic);
        fn unsubscribe(connection: ConnectionId, topic: String) -> bool, "topics.unsubscribe", Two(connection, &topic);
        fn publish(topic: String, message: Message, except: Option<ConnectionId>) -> Result<u32, PublishError>,
            "topics.publish", (&topic, &message, except);
        fn broadcast(protocol: Option<String>, message: Message) -> Result<u32, PublishError>,
            "topics.broadcast", Two(Agreed(protocol.clone()), &message);
        fn set_slow_policy(topic: String, policy: Option<SlowPolicy>) -> (), "topics.set-slow-policy", Two(&topic, &policy);
        fn dropped(topic: String) -> u64, "topics.dropped", (&topic,);
    }
}

impl client::Host for Taped<'_> {
    over_tape! { client::Host:
        fn connect(options: Options) -> Result<ConnectionId, ConnectError>, "client.connect", (&options,);
        fn failure_of(connection: ConnectionId) -> Option<Failure>, "client.failure-of", (connection,);
        fn response_of(connection: ConnectionId) -> Option<Response>, "client.response-of", (connection,);
    }
}

impl timers::Host for Taped<'_> {
    over_tape! { timers::Host:
        fn set(after_ms: u32, tag: u64, connection: Option<ConnectionId>) -> Result<TimerId, TimerError>,
            "timers.set", (after_ms, tag, connection);
        fn cancel(timer: TimerId) -> bool, "timers.cancel", (timer,);
    }
}

impl host_info::Host for Taped<'_> {
    over_tape! { host_info::Host:
        fn hostname() -> String, "host-info.hostname", ();
        fn handler_name() -> String, "host-info.handler-name", ();
        fn config(key: String) -> Option<String>, "host-info.config", (&key,);
        fn connection_count() -> u32, "host-info.connection-count", ();
    }
}

impl wall_clock::Host for Taped<'_> {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let args = self.put(&());
        let now = self.over("wasi:clocks/wall-clock.now", args, |state| {
            wall_clock::Host::now(&mut state.clocks()).map(WallTime)
        });
        now.map(|WallTime(time)| time)
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        let args = self.put(&());
        let resolution = self.over("wasi:clocks/wall-clock.resolution", args, |state| {
            wall_clock::Host::resolution(&mut state.clocks()).map(WallTime)
        });
        resolution.map(|WallTime(time)| time)
    }
}

impl monotonic_clock::Host for Taped<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let args = self.put(&());
        self.over("wasi:clocks/monotonic-clock.now", args, |state| {
            monotonic_clock::Host::now(&mut state.clocks())
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        let args = self.put(&());
        self.over("wasi:clocks/monotonic-clock.resolution", args, |state| {
            monotonic_clock::Host::resolution(&mut state.clocks())
        })
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let args = self.put(&(when,));
        self.with_resource(
            "wasi:clocks/monotonic-clock.subscribe-instant",
            args,
            |state| monotonic_clock::Host::subscribe_instant(&mut state.clocks(), when),
        )
    }

    fn subscribe_duration(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let args = self.put(&(when,));
        self.with_resource(
            "wasi:clocks/monotonic-clock.subscribe-duration",
            args,
            |state| monotonic_clock::Host::subscribe_duration(&mut state.clocks(), when),
        )
    }
}

impl random::Host for Taped<'_> {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let args = self.put(&(length,));
        self.over("wasi:random/random.get-random-bytes", args, |state| {
            random::Host::get_random_bytes(state.ctx().ctx.random(), length)
        })
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        let args = self.put(&());
        self.over("wasi:random/random.get-random-u64", args, |state| {
            random::Host::get_random_u64(state.ctx().ctx.random())
        })
    }
}

impl insecure::Host for Taped<'_> {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let args = self.put(&(length,));
        self.over(
            "wasi:random/insecure.get-insecure-random-bytes",
            args,
            |state| insecure::Host::get_insecure_random_bytes(state.ctx().ctx.random(), length),
        )
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        let args = self.put(&());
        self.over(
            "wasi:random/insecure.get-insecure-random-u64",
            args,
            |state| insecure::Host::get_insecure_random_u64(state.ctx().ctx.random()),
        )
    }
}

impl insecure_seed::Host for Taped<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        let args = self.put(&());
        self.over("wasi:random/insecure-seed.insecure-seed", args, |state| {
            insecure_seed::Host::insecure_seed(state.ctx().ctx.random())
        })
    }
}

/// Nothing is granted, so that a look that was not recorded changes nothing: a panic, which looks for `RUST_BACKTRACE`, is then shown as the
/// trap that it is.
impl environment::Host for Taped<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.look("wasi:cli/environment.get-environment", |state| {
            environment::Host::get_environment(&mut state.cli())
        })
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        self.look("wasi:cli/environment.get-arguments", |state| {
            environment::Host::get_arguments(&mut state.cli())
        })
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.look("wasi:cli/environment.initial-cwd", |state| {
            environment::Host::initial_cwd(&mut state.cli())
        })
    }
}

/// What is ready is a matter of time: the tape has it, and nothing waits in a replay.
impl poll::Host for Taped<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let numbers: Vec<u32> = pollables.iter().map(Resource::rep).collect();
        let args = self.put(&(numbers,));
        const CALL: &str = "wasi:io/poll.poll";
        if let Some(answer) = self.play(CALL, &args)? {
            return Ok(answer);
        }
        let WasiCtxView { table, .. } = self.0.ctx();
        let result = poll::Host::poll(table, pollables).await;
        self.record(CALL, args, &result);
        result
    }
}

impl poll::HostPollable for Taped<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        let args = self.put(&(pollable.rep(),));
        const CALL: &str = "wasi:io/poll.pollable.ready";
        if let Some(answer) = self.play(CALL, &args)? {
            return Ok(answer);
        }
        let WasiCtxView { table, .. } = self.0.ctx();
        let result = poll::HostPollable::ready(table, pollable).await;
        self.record(CALL, args, &result);
        result
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        let args = self.put(&(pollable.rep(),));
        const CALL: &str = "wasi:io/poll.pollable.block";
        if let Some(answer) = self.play(CALL, &args)? {
            return Ok(answer);
        }
        let WasiCtxView { table, .. } = self.0.ctx();
        let result = poll::HostPollable::block(table, pollable).await;
        self.record(CALL, args, &result);
        result
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        let WasiCtxView { table, .. } = self.0.ctx();
        poll::HostPollable::drop(table, pollable)
    }
}

/// A time of the system's clock, as it is on a tape.
struct WallTime(Datetime);

impl ToTape for WallTime {
    fn put(&self, redaction: &Redaction) -> Value {
        Two(self.0.seconds, self.0.nanoseconds).put(redaction)
    }
}

impl FromTape for WallTime {
    fn take(value: Value) -> Result<Self, String> {
        let [seconds, nanoseconds] = wsrun_tape::value::args(value)?;
        Ok(Self(Datetime {
            seconds: FromTape::take(seconds)?,
            nanoseconds: FromTape::take(nanoseconds)?,
        }))
    }
}

impl ToTape for MessageIn<'_> {
    fn put(&self, redaction: &Redaction) -> Value {
        match self {
            Self::Text(text) => serde_json::json!({"text": text}),
            Self::Binary(bytes) => serde_json::json!({"binary": bytes.put(redaction)}),
        }
    }
}

impl ToTape for ChunkIn<'_> {
    fn put(&self, redaction: &Redaction) -> Value {
        serde_json::json!({
            "text": self.text,
            "data": self.data.put(redaction),
            "first": self.first,
            "final": self.last,
            "remaining": self.remaining,
        })
    }
}
