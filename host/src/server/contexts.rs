//! The contexts that instances run in: one for each handler on each worker.

use std::rc::Rc;
use std::sync::Arc;

use wsrun_runtime::handler::Handler;
use wsrun_wasm::context::{HandlerContext, WorkerContext};
use wsrun_wasm::meter::ExecutionMeter;
use wsrun_wasm::settings::WasmSettings;

/// What the instances of all handlers of a server share.
#[derive(Clone, Debug)]
pub(super) struct InstanceContexts {
    pub(super) settings: Arc<WasmSettings>,
    /// One for each worker, at its index.
    pub(super) meters: Arc<[Arc<ExecutionMeter>]>,
}

impl InstanceContexts {
    /// Makes the context of the instances of a handler, on its worker.
    pub(super) fn of(&self, handler: &Handler) -> HandlerContext {
        let worker = handler.worker();
        let worker = WorkerContext {
            index: worker.index,
            meter: Arc::clone(&self.meters[usize::from(worker.index)]),
            counters: Arc::clone(&worker.tally),
            coredumps: self.settings.coredumps.clone(),
            predictable_since: self.settings.danger_predictable.then_some(worker.began),
        };
        HandlerContext {
            worker: Rc::new(worker),
            metrics: Rc::clone(handler.registry.metrics()),
        }
    }
}
