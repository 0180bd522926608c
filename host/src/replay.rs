//! A whole tape over again: every recorded callback is made, and what the component does is compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use wasmtime::Engine;

use wsrun_contract::guest::{Guest as _, GuestFactory as _};
use wsrun_contract::{
    self, Callback, CallbackError, Capabilities, Chunk, ConnectionId, HandlerLimits, HttpRequest,
    Message, Setting,
};
use wsrun_metrics::HandlerMetrics;
use wsrun_os::clock;
use wsrun_tape::Tape;
use wsrun_tape::format::{EndReason, Entry, GONE, Line, Made, NEW, Outcome, Reader, TapeError};
use wsrun_tape::player::{Difference, Playing};
use wsrun_tape::recorder::{failed, names};
use wsrun_tape::redact::Redaction;
use wsrun_tape::value::{FromTape, args};
use wsrun_wasm::bindings::wsrun::websocket::types;
use wsrun_wasm::component::{self, ComponentError, Loaded};
use wsrun_wasm::context::{HandlerContext, WorkerContext};
use wsrun_wasm::engine::{EngineConfig, EpochTicker, engine};
use wsrun_wasm::instance::{Instance, Instances};
use wsrun_wasm::linker::Linked;
use wsrun_wasm::meter::ExecutionMeter;
use wsrun_wasm::no_connections::NoConnections;
use wsrun_wasm::settings::{Compilation, WasmSettings};
use wsrun_wasm::taped::taped_linker;

/// The most bytes of a component that is replayed, and of its compiled code. They do not depend on
/// a server's limits: the file is the user's own, and a server with a larger --max-component has
/// served it.
const COMPONENT_BYTES_MAX: u64 = 2 << 30;
const CODE_BYTES_MAX: u64 = 8 << 30;

/// How a replay went.
#[derive(Debug)]
pub(crate) struct Report {
    /// Callbacks that were made and compared.
    pub(crate) events: u64,
    /// Instances that they were made on.
    pub(crate) instances: u64,
    /// Instances of the tape that run another version.
    pub(crate) left_out: u64,
    pub(crate) difference: Option<Found>,
    /// What the reader should know beside.
    pub(crate) notes: Vec<String>,
}

/// A difference and where it is.
#[derive(Debug)]
pub(crate) struct Found {
    /// The number of the event: of its line.
    pub(crate) event: u64,
    pub(crate) entry: Place,
    pub(crate) difference: Difference,
}

/// What is shown of an entry.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) at_ms: u64,
    pub(crate) worker: u16,
    pub(crate) instance: u64,
    pub(crate) event: String,
    pub(crate) args: Value,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error(transparent)]
    Tape(#[from] TapeError),
    #[error(transparent)]
    Component(#[from] ComponentError),
    #[error("the tape has several handlers, name one with {handler}: {}", .0.join(", "), handler = Setting("handler"))]
    SeveralHandlers(Vec<String>),
    #[error("the tape has no handler {name:?}; it has: {}", .known.join(", "))]
    UnknownHandler { name: String, known: Vec<String> },
    #[error("cannot start: {0}")]
    Host(String),
}

/// Plays the tape with this component. Of several handlers on the tape `handler` names one.
pub(crate) fn replay(
    tape: &Path,
    component: &Path,
    handler: Option<&str>,
    cache: Option<PathBuf>,
) -> Result<Report, ReplayError> {
    let host = |error: &dyn std::fmt::Display| ReplayError::Host(error.to_string());
    let (reader, header) = Reader::open(tape)?;
    let limits = header.limits.for_replay(header.workers);
    let settings = WasmSettings {
        stack_bytes_max: header.limits.wasm_stack_bytes_max(),
        cache_dir: cache,
        compilation: Compilation {
            component_bytes_max: COMPONENT_BYTES_MAX,
            code_bytes_max: CODE_BYTES_MAX,
            ..Compilation::default()
        },
        ..WasmSettings::default()
    };
    let engine = &engine(&EngineConfig::from(&settings)).map_err(|error| host(&error))?;
    let Loaded {
        component,
        exports,
        sha256,
    } = component::load(
        engine,
        &settings,
        limits.memory.instance_bytes_max,
        component,
    )?;
    let choice = Choice::make(tape, handler, &sha256)?;
    let linker = taped_linker(engine).map_err(|error| host(&error))?;
    let linked = Linked::new(&linker, &component, exports, &tape.display().to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| host(&error))?;
    let local = tokio::task::LocalSet::new();
    let play = async {
        let stage = Stage::new(engine, limits, &choice.handler)?;
        let player = Player {
            linked,
            stage,
            redaction: Arc::new(Redaction::new(&header.redacted)),
            running: BTreeMap::new(),
            report: Report {
                events: 0,
                instances: 0,
                left_out: 0,
                difference: None,
                notes: choice.notes(exports),
            },
        };
        player.play(reader, &choice).await
    };
    local.block_on(&runtime, play)
}

/// Which instances of a tape are played.
#[derive(Debug)]
struct Choice {
    handler: String,
    /// Only those of this version; all when none has it, which is then a changed handler.
    sha256: Option<String>,
    recorded_exports: Vec<String>,
}

impl Choice {
    /// Looks through the tape for what is on it.
    fn make(tape: &Path, handler: Option<&str>, sha256: &str) -> Result<Self, ReplayError> {
        let (mut reader, header) = Reader::open(tape)?;
        let mut known: Vec<String> = Vec::new();
        let mut know = |name: &str| {
            if known.iter().all(|known| known != name) {
                known.push(name.to_owned());
            }
        };
        header.handlers.iter().for_each(|served| know(&served.name));
        let mut versions: Vec<Made> = Vec::new();
        while let Some(line) = reader.next_line()? {
            if let Line::Entry(entry) = line
                && entry.event == NEW
            {
                let made = made(&reader, entry.args)?;
                know(&made.handler);
                if !versions.contains(&made) {
                    versions.push(made);
                }
            }
        }
        let handler = match handler {
            Some(name) if known.iter().any(|known| known == name) => name.to_owned(),
            Some(name) => {
                let name = name.to_owned();
                return Err(ReplayError::UnknownHandler { name, known });
            }
            None => {
                let same = versions.iter().filter(|made| made.sha256 == sha256);
                let mut same: Vec<_> = same.map(|made| made.handler.clone()).collect();
                same.dedup();
                match (known.as_slice(), same.as_slice()) {
                    ([one], _) | (_, [one]) => one.clone(),
                    _ => return Err(ReplayError::SeveralHandlers(known)),
                }
            }
        };
        versions.retain(|made| made.handler == handler);
        let same = versions.iter().find(|made| made.sha256 == sha256);
        Ok(Self {
            sha256: same.map(|made| made.sha256.clone()),
            recorded_exports: same
                .or_else(|| versions.last())
                .map(|made| made.exports.clone())
                .unwrap_or_default(),
            handler,
        })
    }

    fn is_for(&self, made: &Made) -> bool {
        made.handler == self.handler
            && self
                .sha256
                .as_ref()
                .is_none_or(|sha256| *sha256 == made.sha256)
    }

    fn notes(&self, exports: Capabilities) -> Vec<String> {
        let mut notes = Vec::new();
        if self.sha256.is_none() {
            notes.push("the component is another than the recorded one".to_owned());
        }
        let exports = names(exports);
        let mut more = exports.clone();
        more.retain(|name| {
            self.recorded_exports
                .iter()
                .all(|recorded| recorded != name)
        });
        if !more.is_empty() {
            notes.push(format!(
                "it exports what the recorded one did not, of which the tape has no events: {}",
                more.join(", ")
            ));
        }
        if exports.contains(&"wasi:http/incoming-handler") {
            notes.push("requests that wasi:http answered are not on a tape".to_owned());
        }
        notes
    }
}

fn made(reader: &Reader, args: Value) -> Result<Made, TapeError> {
    serde_json::from_value(args).map_err(|error| reader.damaged(error.to_string()))
}

/// What instances need around them. There are no connections: the tape answers for them.
struct Stage {
    context: HandlerContext,
    limits: HandlerLimits,
    _ticker: EpochTicker,
}

impl Stage {
    fn new(engine: &Engine, limits: HandlerLimits, handler: &str) -> Result<Self, ReplayError> {
        let meter = Arc::<ExecutionMeter>::default();
        let meters: Arc<[_]> = [Arc::clone(&meter)].into();
        let ticker = EpochTicker::start(engine, meters)
            .map_err(|error| ReplayError::Host(error.to_string()))?;
        let worker = WorkerContext {
            index: 0,
            meter,
            counters: Arc::default(),
            coredumps: None,
            predictable_since: None,
        };
        let lines = limits.traffic.log_lines_per_second_max;
        let metrics = HandlerMetrics::new(handler.into(), Arc::default(), lines, clock::now());
        Ok(Self {
            context: HandlerContext {
                worker: Rc::new(worker),
                metrics: Rc::new(metrics),
            },
            limits,
            _ticker: ticker,
        })
    }
}

/// An instance that is played, by its number on the tape.
struct Running {
    playing: Playing,
    /// None when it has trapped.
    instance: Option<Instance>,
}

struct Player {
    linked: Linked,
    stage: Stage,
    redaction: Arc<Redaction>,
    running: BTreeMap<u64, Running>,
    report: Report,
}

/// What a line came to.
enum Played {
    /// It is of an instance that is not played.
    No,
    Same,
    Differs(Place, Difference),
}

impl Player {
    async fn play(mut self, mut reader: Reader, choice: &Choice) -> Result<Report, ReplayError> {
        loop {
            match reader.next_line()? {
                None => {
                    self.note(
                        "the tape has no last line: the server was killed, or is still running",
                    );
                    break;
                }
                Some(Line::CutOff) => {
                    let text = format!(
                        "line {}, the last one, is cut off: the server was killed, or is still running",
                        reader.number()
                    );
                    self.note(&text);
                    break;
                }
                Some(Line::End(end)) => {
                    if end.end != EndReason::Stopped {
                        self.note(&format!("recording ended early: {}", end.text));
                    }
                    break;
                }
                Some(Line::Entry(entry)) => match self.play_entry(&reader, *entry, choice).await? {
                    Played::No => {}
                    Played::Same => self.report.events += 1,
                    Played::Differs(entry, difference) => {
                        self.report.events += 1;
                        self.report.difference = Some(Found {
                            event: reader.number(),
                            entry,
                            difference,
                        });
                        break;
                    }
                },
            }
        }
        Ok(self.report)
    }

    fn note(&mut self, text: &str) {
        self.report.notes.push(text.to_owned());
    }

    async fn play_entry(
        &mut self,
        reader: &Reader,
        entry: Entry,
        choice: &Choice,
    ) -> Result<Played, ReplayError> {
        let Entry {
            at_ms,
            worker,
            instance,
            event,
            args,
            calls,
            outcome,
        } = entry;
        let place = Place {
            at_ms,
            worker,
            instance,
            args: args.clone(),
            event,
        };
        let failed = match place.event.as_str() {
            GONE => {
                self.running.remove(&instance);
                return Ok(Played::No);
            }
            NEW => {
                let made = made(reader, args)?;
                if !choice.is_for(&made) {
                    self.report.left_out += u64::from(made.handler == choice.handler);
                    return Ok(Played::No);
                }
                self.report.instances += 1;
                let playing = Playing::new(Arc::clone(&self.redaction));
                playing.lay_out(calls, &outcome);
                let (instance, failed) = self.instantiate(&playing).await;
                let running = Running { playing, instance };
                self.running.insert(place.instance, running);
                failed
            }
            event => {
                let Some(running) = self.running.get_mut(&instance) else {
                    return Ok(Played::No);
                };
                let Some(guest) = &mut running.instance else {
                    let cause = "it is of an instance that has trapped before".to_owned();
                    return Err(reader.damaged(cause).into());
                };
                if !has(self.linked.exports, event) {
                    return Ok(Played::Differs(place, Difference::NoCallback));
                }
                running.playing.lay_out(calls, &outcome);
                let called = call(guest, event, args).await;
                let result = called.map_err(|cause| reader.damaged(cause))?;
                result.err().map(|error| {
                    running.instance = None;
                    failed(&error)
                })
            }
        };
        let Some(running) = self.running.get(&instance) else {
            return Ok(Played::No);
        };
        // What recorded as failed is called no more, and has played until here.
        let compared = running.playing.compare(outcome, failed);
        let difference = compared.map_err(|cause| reader.damaged(cause))?;
        Ok(match difference {
            None => Played::Same,
            Some(difference) => Played::Differs(place, difference),
        })
    }

    async fn instantiate(&self, playing: &Playing) -> (Option<Instance>, Option<Outcome>) {
        let mut linked = self.linked.clone();
        linked.tape = Some(Tape::Play(playing.clone()));
        let Stage {
            context, limits, ..
        } = &self.stage;
        let host = NoConnections::new(Arc::clone(context.metrics.name()), limits.clone());
        let instances = Instances::new(context.clone(), linked, limits.clone());
        match instances.make(Rc::new(host)).await {
            Ok(instance) => (Some(instance), None),
            Err(error) => (None, Some(failed(&error))),
        }
    }
}

/// Whether a component with these exports has the callback.
fn has(exports: Capabilities, event: &str) -> bool {
    match event
        .split_once('.')
        .map_or(event, |(interface, _)| interface)
    {
        "handler" => true,
        interface => names(exports).contains(&interface),
    }
}

type Called = Result<Result<(), CallbackError>, String>;

/// Makes a recorded callback. The outer error is the tape's.
async fn call(guest: &mut Instance, event: &str, value: Value) -> Called {
    Ok(match event {
        "lifecycle.started" => plain(guest, Callback::Started).await,
        "handshake.requested" => {
            let [request] = args(value)?;
            let request = types::Request::take(request)?.into();
            plain(guest, Callback::Requested(&request)).await
        }
        "handler.opened" => plain(guest, Callback::Opened(connection(value)?)).await,
        "handler.received" => {
            let [connection, message] = args(value)?;
            let connection = FromTape::take(connection)?;
            match FromTape::take(message)? {
                types::Message::Text(text) => {
                    guest.received(connection, Message::Text(&text)).await
                }
                types::Message::Binary(bytes) => {
                    guest.received(connection, Message::Binary(&bytes)).await
                }
            }
        }
        "handler.closed" => {
            let [connection, info] = args(value)?;
            let info = types::CloseInfo::take(info)?.into();
            plain(guest, Callback::Closed(FromTape::take(connection)?, &info)).await
        }
        "writable.writable" => plain(guest, Callback::Writable(connection(value)?)).await,
        "chunks.received-chunk" => {
            let [connection, chunk] = args(value)?;
            let part = |name: &str| chunk.get(name).cloned().unwrap_or_default();
            let data: Vec<u8> = FromTape::take(part("data"))?;
            let chunk = Chunk {
                text: FromTape::take(part("text"))?,
                data: &data,
                first: FromTape::take(part("first"))?,
                last: FromTape::take(part("final"))?,
                remaining: FromTape::take(part("remaining"))?,
            };
            guest
                .received_chunk(FromTape::take(connection)?, &chunk)
                .await
        }
        "reconnection.lost" => {
            let [connection, info, attempt, after] = args(value)?;
            let info = types::CloseInfo::take(info)?.into();
            let after: u32 = FromTape::take(after)?;
            let after = Duration::from_millis(after.into());
            let lost = Callback::Lost {
                connection: FromTape::take(connection)?,
                info: &info,
                attempt: FromTape::take(attempt)?,
                after,
            };
            plain(guest, lost).await
        }
        "reconnection.restored" => plain(guest, Callback::Restored(connection(value)?)).await,
        "broadcast-filter.wanted" => {
            let [connection, message] = args(value)?;
            let connection = FromTape::take(connection)?;
            let message = types::Message::take(message)?;
            let message = match &message {
                types::Message::Text(text) => Message::Text(text),
                types::Message::Binary(bytes) => Message::Binary(bytes),
            };
            plain(guest, Callback::Wanted(connection, message)).await
        }
        "network-filter.accepts" => {
            let [peer, local] = args(value)?;
            let (peer, local): (String, String) = (FromTape::take(peer)?, FromTape::take(local)?);
            let accepts = Callback::Accepts {
                peer: &peer,
                local: &local,
            };
            plain(guest, accepts).await
        }
        "http.requested" => {
            let [method, request, body] = args(value)?;
            let body: Vec<u8> = FromTape::take(body)?;
            let request = HttpRequest {
                method: FromTape::take(method)?,
                request: wsrun_contract::Request::from(types::Request::take(request)?),
                body: body.into(),
            };
            plain(guest, Callback::Http(&request)).await
        }
        "pong.pong" => {
            let [connection, payload] = args(value)?;
            let payload: Vec<u8> = FromTape::take(payload)?;
            plain(guest, Callback::Pong(FromTape::take(connection)?, &payload)).await
        }
        "timer-handler.fired" => {
            let [timer, tag, connection] = args(value)?;
            let fired = Callback::Fired {
                timer: FromTape::take(timer)?,
                tag: FromTape::take(tag)?,
                connection: FromTape::take(connection)?,
            };
            plain(guest, fired).await
        }
        "lifecycle.resumed" => plain(guest, Callback::Resumed(connection(value)?)).await,
        "lifecycle.save" => plain(guest, Callback::Save).await,
        "lifecycle.restore" => {
            let [state] = args(value)?;
            let state: Vec<u8> = FromTape::take(state)?;
            plain(guest, Callback::Restore(&state)).await
        }
        "lifecycle.draining" => {
            let [deadline] = args(value)?;
            let deadline: u32 = FromTape::take(deadline)?;
            let deadline = Duration::from_millis(deadline.into());
            plain(guest, Callback::Draining(deadline)).await
        }
        other => return Err(format!("there is no event {other:?}")),
    })
}

/// Makes a callback whose answer the tape compares.
async fn plain(guest: &mut Instance, callback: Callback<'_>) -> Result<(), CallbackError> {
    guest.call(callback).await.map(drop)
}

/// The one argument of a callback that has a connection alone.
fn connection(value: Value) -> Result<ConnectionId, String> {
    let [connection] = args(value)?;
    FromTape::take(connection)
}
