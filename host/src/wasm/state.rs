//! What the store of an instance holds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use send_wrapper::SendWrapper;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::incoming::NothingGranted;
use super::limiter::MemoryLimiter;
use super::pulse::Pulse;
use super::stdio::GuestLog;
use crate::calls::Calls;
use crate::config::HandlerLimits;
use crate::handler::Registry;
use crate::tape::Track;

/// Random bytes per call of `wasi:random`.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;

/// Resources (streams, pollables…) that an instance may hold.
const RESOURCES_MAX: usize = 4_096;

/// Where the instances of a handler on one worker write to, one after the other.
pub(crate) struct Log {
    stdout: GuestLog,
    stderr: GuestLog,
}

impl Log {
    pub(crate) fn new(handler: &Arc<str>) -> Self {
        Self {
            stdout: GuestLog::new(handler, "stdout"),
            stderr: GuestLog::new(handler, "stderr"),
        }
    }

    /// The output of another instance begins, with a line of its own.
    pub(super) fn begin(&self) {
        self.stdout.end_line();
        self.stderr.end_line();
    }
}

pub(crate) struct GuestState {
    /// What the callback asks for. The store must be `Send` for async calls but never leaves its thread; the wrapper checks that.
    pub(super) calls: SendWrapper<Calls>,
    pub(super) limiter: MemoryLimiter,
    /// The time that a callback may compute.
    pub(super) callback_timeout: Duration,
    /// Of the worker that this runs on.
    pub(super) pulse: Arc<Pulse>,
    /// Where callbacks and calls are recorded, or played from.
    pub(super) tape: Option<Track>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_hooks: NothingGranted,
    table: ResourceTable,
}

impl GuestState {
    pub(super) fn new(registry: Rc<Registry>, limits: &HandlerLimits, log: &Log) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let wasi = WasiCtx::builder()
            .stdout(log.stdout.clone())
            .stderr(log.stderr.clone())
            .max_random_size(RANDOM_BYTES_MAX)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        Self {
            limiter: MemoryLimiter::new(limits.memory_bytes_max),
            callback_timeout: limits.callback_timeout,
            pulse: registry.pulse(),
            tape: None,
            calls: SendWrapper::new(Calls::new(registry)),
            wasi,
            http: WasiHttpCtx::new(),
            http_hooks: NothingGranted,
            table,
        }
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http_hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
