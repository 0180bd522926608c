//! What the store of an instance holds.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use send_wrapper::SendWrapper;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::engine::EPOCH_TICK;
use super::incoming::NothingGranted;
use super::limiter::MemoryLimiter;
use super::stdio::GuestLog;
use crate::calls::Calls;
use crate::config::HandlerLimits;
use crate::handler::Registry;

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
    pub(super) budget: Budget,
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
            budget: Budget::new(limits.callback_timeout),
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

/// The time that a callback may compute, counted in ticks during which it ran.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) limit: Duration,
    ticks_max: u32,
    ticks_left: u32,
}

impl Budget {
    fn new(limit: Duration) -> Self {
        // One more, since the first tick comes at once when the call began just before it.
        let ticks = limit.as_micros().div_ceil(EPOCH_TICK.as_micros()) + 1;
        let ticks_max = u32::try_from(ticks).unwrap_or(u32::MAX);
        Self {
            limit,
            ticks_max,
            ticks_left: ticks_max,
        }
    }

    pub(super) fn refill(&mut self) {
        self.ticks_left = self.ticks_max;
    }

    /// Uses one tick; false when that was the last.
    pub(super) fn spend(&mut self) -> bool {
        self.ticks_left = self.ticks_left.saturating_sub(1);
        self.ticks_left > 0
    }
}
