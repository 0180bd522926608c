//! What is counted, and how it is told.

mod exposition;
mod tally;

pub(crate) use self::exposition::exposition;
pub(crate) use self::tally::{
    FailureKind, HandlerTally, HostTally, RefusalReason, SharedGauge, Tallies,
};
