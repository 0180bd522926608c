//! What the store of an instance holds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use send_wrapper::SendWrapper;
use wasmtime::Engine;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::context::HandlerContext;
use super::http_hooks::NothingGranted;
use super::limiter::MemoryLimiter;
use super::line::{ProgramInput, ProgramOutput};
use super::meter::ExecutionMeter;
use super::predictable;
use super::stdio::OutputLog;
use wsrun_contract::HandlerLimits;
use wsrun_contract::effects::Effects;
use wsrun_contract::host::Host;
use wsrun_metrics::HandlerMetrics;
use wsrun_tape::Track;

/// Random bytes per call of `wasi:random`.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Resources (streams, pollables…) that an instance may hold.
const RESOURCES_MAX: usize = 4_096;

/// Where the instances of a handler on one worker write to, one after the other.
pub struct Log {
    stdout: OutputLog,
    stderr: OutputLog,
}

impl Log {
    pub fn new(handler: &Arc<str>) -> Self {
        Self {
            stdout: OutputLog::new(handler, "stdout"),
            stderr: OutputLog::new(handler, "stderr"),
        }
    }

    /// The output of another instance begins, with a line of its own.
    pub(super) fn begin(&self, metrics: &Rc<HandlerMetrics>) {
        self.stdout.of(metrics).end_line();
        self.stderr.of(metrics).end_line();
    }
}

/// What a program is given.
pub(super) struct ProgramIo {
    /// Its first argument.
    pub(super) name: Arc<str>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) stdin: ProgramInput,
    pub(super) stdout: ProgramOutput,
}

/// The imports of an instance, and what its running callback has asked for so far.
pub(super) struct Calls {
    pub(super) host: Rc<dyn Host>,
    pub(super) effects: Effects,
}

pub struct GuestState {
    /// The imports. The store must be `Send` for async calls but never leaves its thread; the wrapper checks that.
    pub(super) calls: SendWrapper<Calls>,
    /// The handler on its worker.
    pub(super) context: SendWrapper<HandlerContext>,
    pub(super) limiter: MemoryLimiter,
    /// The time that a callback may compute.
    pub(super) callback_timeout: Duration,
    /// Of the worker that this runs on.
    pub(super) meter: Arc<ExecutionMeter>,
    /// Where callbacks and calls are recorded, or played from.
    pub(super) tape: Option<Track>,
    /// Calls of imports that the callback may still make, and whether it has made more.
    host_calls_left: u64,
    host_calls_exceeded: bool,
    pub(super) host_calls_max: u64,
    engine: Engine,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_hooks: NothingGranted,
    table: ResourceTable,
}

impl GuestState {
    pub(super) fn new(
        engine: &Engine,
        context: &HandlerContext,
        host: Rc<dyn Host>,
        limits: &HandlerLimits,
        log: &Log,
    ) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(log.stdout.of(&context.metrics));
        Self::with(wasi, engine, context, host, limits, log)
    }

    /// The state of a program with a standard input and output of its own.
    pub(super) fn of_program(
        engine: &Engine,
        context: &HandlerContext,
        host: Rc<dyn Host>,
        limits: &HandlerLimits,
        log: &Log,
        io: ProgramIo,
    ) -> Self {
        let mut wasi = WasiCtx::builder();
        wasi.arg(&*io.name)
            .envs(&io.variables)
            .stdin(io.stdin)
            .stdout(io.stdout);
        Self::with(wasi, engine, context, host, limits, log)
    }

    fn with(
        mut wasi: WasiCtxBuilder,
        engine: &Engine,
        context: &HandlerContext,
        host: Rc<dyn Host>,
        limits: &HandlerLimits,
        log: &Log,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        if let Some(since) = context.worker.predictable_since {
            predictable::make(&mut wasi, since);
        }
        let wasi = wasi
            .stderr(log.stderr.of(&context.metrics))
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        Self {
            limiter: MemoryLimiter::new(
                limits.memory.instance_bytes_max,
                limits.memory.handler_bytes_max,
                Arc::clone(context.metrics.counters()),
            ),
            callback_timeout: limits.compute.callback_timeout,
            meter: Arc::clone(&context.worker.meter),
            tape: None,
            calls: SendWrapper::new(Calls {
                effects: host.new_effects(),
                host,
            }),
            context: SendWrapper::new(context.clone()),
            host_calls_left: limits.compute.host_calls_max,
            host_calls_exceeded: false,
            host_calls_max: limits.compute.host_calls_max,
            engine: engine.clone(),
            wasi,
            http: WasiHttpCtx::new(),
            http_hooks: NothingGranted,
            table,
        }
    }

    /// A callback begins: it has not called the host.
    pub(super) fn begin_host_calls(&mut self) {
        self.host_calls_left = self.host_calls_max;
        self.host_calls_exceeded = false;
    }

    /// Counts a call of an import. Every way from a guest to the host's functions leads through here.
    pub(super) fn called(&mut self) -> &mut Self {
        match self.host_calls_left.checked_sub(1) {
            Some(left) => self.host_calls_left = left,
            None => self.exceed_host_calls(),
        }
        self
    }

    /// Whether the callback has called the host too often, and is to be stopped.
    pub(super) fn has_exceeded_host_calls(&self) -> bool {
        self.host_calls_exceeded
    }

    /// The guest looks at the epoch at its next loop or call, which ends it. Other guests yield once.
    #[cold]
    fn exceed_host_calls(&mut self) {
        if !self.host_calls_exceeded {
            self.host_calls_exceeded = true;
            self.engine.increment_epoch();
        }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.called();
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.called();
        WasiHttpCtxView {
            hooks: &mut self.http_hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
