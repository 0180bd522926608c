//! The worker that instances run on, as they see it.

use std::rc::Rc;
use std::sync::Arc;

use super::meter::ExecutionMeter;
use super::settings::Coredumps;
use wsrun_metrics::{HandlerMetrics, HostTally};

/// The settings of all instances on a worker, and what the worker measures and counts of them.
#[derive(Debug)]
pub struct WorkerContext {
    /// The number of the worker.
    pub index: u16,
    /// Measures the time that instances compute. The ticker of the epoch reads it.
    pub meter: Arc<ExecutionMeter>,
    /// The counters of the worker that belong to no handler.
    pub counters: Arc<HostTally>,
    /// None where no core dumps are written.
    pub coredumps: Option<Coredumps>,
    /// The beginning of the clocks of instances that see the runtime's clock and the same random
    /// bytes in each run. None for the clocks and random bytes of the system.
    pub predictable_since: Option<tokio::time::Instant>,
}

/// What all instances of a handler on one worker share.
#[derive(Clone)]
pub struct HandlerContext {
    pub worker: Rc<WorkerContext>,
    pub metrics: Rc<HandlerMetrics>,
}
