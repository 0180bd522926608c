//! Programs that were not written for this host: a WASI command for each connection, with messages as its standard input and output.
//!
//! To the rest of the host all of them together are one guest. It starts a program in a task of its own when a connection opens, and hands
//! messages over through a `Line`; what the program writes goes straight into the output of its session.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use wasmtime::component::Linker;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

use super::code::Code;
use super::component::{ComponentError, first_line};
use super::context::HandlerContext;
use super::error::DeadlineExceeded;
use super::instance::{COMPONENT_HANDLES_MAX, HOSTCALL_SLACK_BYTES, explain};
use super::line::Line;
use super::meter::others_had_their_turn;
use super::no_connections::NoConnections;
use super::settings::ProgramFormat;
use super::state::{GuestState, Log, ProgramIo};
use wsrun_contract::effects::Effects;
use wsrun_contract::guest::{Guest, GuestFactory};
use wsrun_contract::host::{DirectConnection, Host};
use wsrun_contract::{
    Acceptance, Answer, Callback, CallbackError, Capabilities, Chunk, ConnectionId, HandlerLimits,
    Limit, Message, Refusal, Setting,
};
use wsrun_metrics::HandlerTally;
use wsrun_metrics::seldom::Seldom;

/// How long a program may go on when its connection is gone: it has read the end of its input by then.
const GRACE: Duration = Duration::from_secs(5);

/// What programs may import.
pub fn program_linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// A command with its imports resolved.
#[derive(Clone)]
pub struct Program {
    pre: CommandPre<GuestState>,
    format: ProgramFormat,
    /// What it is called with: its name.
    name: Arc<str>,
    code: Arc<Code>,
}

impl Program {
    /// Links a checked component.
    ///
    /// # Errors
    ///
    /// When an import is missing in the version asked for.
    pub fn new(
        linker: &Linker<GuestState>,
        code: &Arc<Code>,
        format: ProgramFormat,
        file: &str,
    ) -> Result<Self, ComponentError> {
        let types = |error: wasmtime::Error| ComponentError::Types {
            file: file.to_owned(),
            name: error.to_string(),
            cause: first_line(&error),
        };
        let pre = linker.instantiate_pre(code.component()).map_err(types)?;
        Ok(Self {
            pre: CommandPre::new(pre).map_err(types)?,
            format,
            name: file.into(),
            code: Arc::clone(code),
        })
    }

    /// Counts what is loaded for the handler, until it is gone.
    pub fn count(&self, tally: &HandlerTally) {
        self.code.count(tally);
    }

    /// What all programs of a server together seem to export.
    pub fn exports() -> Capabilities {
        Capabilities {
            handshake: true,
            writable: true,
            ..Capabilities::default()
        }
    }
}

/// Makes the one guest of a worker.
pub struct Programs {
    starter: Starter,
}

impl Programs {
    pub fn new(context: HandlerContext, program: Program, limits: HandlerLimits) -> Self {
        Self {
            starter: Starter {
                program,
                limits,
                log: Rc::new(Log::new(context.metrics.name())),
                context,
            },
        }
    }
}

impl GuestFactory for Programs {
    type Guest = AllPrograms;

    async fn make(&self, host: Rc<dyn Host>) -> Result<AllPrograms, CallbackError> {
        Ok(AllPrograms {
            starter: self.starter.clone(),
            lines: HashMap::new(),
            effects: host.new_effects(),
            host,
        })
    }

    async fn prepare_spare(&self, _: Rc<dyn Host>) {
        // There is one guest, which does not fail.
    }

    fn discard_spare(&self) {}
}

/// What a program is started with.
#[derive(Clone)]
struct Starter {
    program: Program,
    limits: HandlerLimits,
    log: Rc<Log>,
    context: HandlerContext,
}

/// The programs of all connections.
pub struct AllPrograms {
    starter: Starter,
    host: Rc<dyn Host>,
    lines: HashMap<ConnectionId, Running>,
    /// Nothing is ever asked for by a callback.
    effects: Effects,
}

struct Running {
    line: Rc<Line>,
    /// The connection is gone.
    gone: Rc<Notify>,
}

impl AllPrograms {
    fn requested(&self) -> Result<Acceptance, Refusal> {
        let metrics = &self.starter.context.metrics;
        // Those that are about to begin, and those that have not ended yet.
        let running = metrics.counters().live_instances.get();
        let running = running.max(self.lines.len());
        if running < self.starter.limits.memory.instances_max {
            return Ok(Acceptance::default());
        }
        metrics.note_limit(Limit::Instances);
        Err(Refusal {
            status: 503,
            headers: vec![("retry-after".into(), "1".into())],
            body: format!(
                "503 service unavailable: as many programs run as may ({})",
                Setting("memory.instances_max")
            ),
        })
    }

    fn begin(&mut self, connection: ConnectionId) {
        let Some(direct) = self.host.direct(connection) else {
            return;
        };
        let line = Rc::new(Line::new(direct, self.starter.program.format));
        let gone = Rc::new(Notify::new());
        tokio::task::spawn_local(self.starter.clone().run(Rc::clone(&line), Rc::clone(&gone)));
        self.lines.insert(connection, Running { line, gone });
    }

    fn end(&mut self, connection: ConnectionId) {
        if let Some(running) = self.lines.remove(&connection) {
            running.line.end();
            running.gone.notify_one();
        }
    }

    fn send_waiting(&self, connection: ConnectionId) {
        if let Some(running) = self.lines.get(&connection) {
            running.line.send_waiting();
        }
    }
}

impl Guest for AllPrograms {
    fn capabilities(&self) -> Capabilities {
        Program::exports()
    }

    fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    async fn received(
        &mut self,
        connection: ConnectionId,
        message: Message<'_>,
    ) -> Result<(), CallbackError> {
        if let Some(running) = self.lines.get(&connection) {
            let (kind, payload) = message.parts();
            running.line.put(kind, payload);
        }
        Ok(())
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
            Callback::Requested(_) => Answer::Handshake(self.requested()),
            Callback::Opened(connection) | Callback::Resumed(connection) => {
                self.begin(connection);
                Answer::None
            }
            Callback::Closed(connection, _) => {
                self.end(connection);
                Answer::None
            }
            Callback::Writable(connection) => {
                self.send_waiting(connection);
                Answer::None
            }
            Callback::Wanted(..) | Callback::Accepts { .. } => Answer::Bool(true),
            Callback::Save => Answer::State(Vec::new()),
            Callback::Restore(_) => Answer::Restored(Ok(())),
            Callback::Started
            | Callback::Fired { .. }
            | Callback::Pong(..)
            | Callback::Lost { .. }
            | Callback::Restored(_)
            | Callback::Http(_)
            | Callback::Draining(_) => Answer::None,
        })
    }
}

/// Runs a program, whose time counts as its handler's. It waits while the handler has used up its
/// share of the worker's time.
async fn paced<T>(connection: &dyn DirectConnection, program: impl Future<Output = T>) -> T {
    let mut program = pin!(program);
    let mut rest: Option<Pin<Box<tokio::time::Sleep>>> = None;
    poll_fn(|cx| {
        loop {
            if let Some(rest) = &mut rest
                && rest.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            let until = connection.rest_until();
            rest = until.map(|until| Box::pin(tokio::time::sleep_until(until.into())));
            if rest.is_none() {
                break;
            }
        }
        let mut polled = Poll::Pending;
        connection.counted(&mut || polled = program.as_mut().poll(cx));
        polled
    })
    .await
}

/// How a program ended.
enum Ended {
    Exit(i32),
    Failed(CallbackError),
    /// It went on for too long when its connection was gone.
    Abandoned,
}

impl Starter {
    /// Runs the program to its end, and closes the connection then.
    async fn run(self, line: Rc<Line>, gone: Rc<Notify>) {
        let abandoned = async {
            gone.notified().await;
            tokio::time::sleep(GRACE).await;
        };
        let connection = line.connection().id();
        let name = self.context.metrics.name();
        // Dropping the call ends the program.
        let ended = tokio::select! {
            ended = self.call(&line) => ended,
            () = abandoned => Ended::Abandoned,
        };
        let (code, reason) = match ended {
            Ended::Exit(0) => (1000, String::new()),
            Ended::Exit(status) => {
                static ENDED: Seldom = Seldom::new();
                if let Some(left_out) = ENDED.take() {
                    tracing::info!(handler = %name, connection, status, left_out, "program ended with an exit code");
                }
                // WASI 0.2 tells no more than that it is not 0.
                (
                    1011,
                    "the program ended with an exit code other than 0".to_owned(),
                )
            }
            Ended::Failed(error) => {
                self.context
                    .metrics
                    .report_failure("wasi:cli/run", Some(connection), &error);
                (1011, "the program failed".to_owned())
            }
            Ended::Abandoned => {
                static ABANDONED: Seldom = Seldom::new();
                if let Some(left_out) = ABANDONED.take() {
                    tracing::warn!(
                        handler = %name, connection, left_out,
                        "program ended: its connection has been gone for {GRACE:?}"
                    );
                }
                return;
            }
        };
        line.finish(code, &reason).await;
        line.connection().flush();
    }

    async fn call(&self, line: &Rc<Line>) -> Ended {
        let io = ProgramIo {
            name: Arc::clone(&self.program.name),
            variables: line.variables(),
            stdin: line.input(),
            stdout: line.output(),
        };
        let yields = Arc::new(AtomicBool::new(false));
        let mut store = self.store(io, Arc::clone(&yields), line.sent());
        let meter = &self.context.worker.meter;
        let connection = line.connection();
        let call = async {
            let command = self.program.pre.instantiate_async(&mut store).await?;
            command.wasi_cli_run().call_run(&mut store).await
        };
        let flush = || connection.flush();
        let program = meter.measure_program(&yields, flush, call);
        let result = paced(&**connection, program).await;
        match result {
            Ok(Ok(())) => Ended::Exit(0),
            Ok(Err(())) => Ended::Exit(1),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) => Ended::Exit(*status),
                None => Ended::Failed(explain(&mut store, error)),
            },
        }
    }

    fn store(
        &self,
        io: ProgramIo,
        yields: Arc<AtomicBool>,
        sent: Arc<AtomicU64>,
    ) -> Store<GuestState> {
        let limits = &self.limits;
        let engine = self.program.pre.engine();
        // It imports nothing of the contract.
        let host = NoConnections::new(Arc::clone(self.context.metrics.name()), limits.clone());
        let state =
            GuestState::of_program(engine, &self.context, Rc::new(host), limits, &self.log, io);
        let mut store = Store::new(engine, state);
        let beside = self.program.code.instance_bytes();
        store.data_mut().limiter.begin_with(beside);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(
            limits
                .contract
                .effect_bytes_max
                .saturating_add(HOSTCALL_SLACK_BYTES),
        );
        store.set_max_component_handles(COMPONENT_HANDLES_MAX);
        store.set_epoch_deadline(1);
        let seen = AtomicU64::new(0);
        store.epoch_deadline_callback(move |store| {
            let state = store.data();
            // The time since the program last sent a message or waited: how long it runs in all is its own business.
            let now = sent.load(Ordering::Relaxed);
            if seen.swap(now, Ordering::Relaxed) != now {
                state.meter.begin();
            }
            if state.meter.used() >= state.callback_timeout {
                return Err(DeadlineExceeded(state.callback_timeout).into());
            }
            let yields = Arc::clone(&yields);
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(async move {
                    yields.store(true, Ordering::Relaxed);
                    others_had_their_turn().await;
                    yields.store(false, Ordering::Relaxed);
                }),
            ))
        });
        store
    }
}
