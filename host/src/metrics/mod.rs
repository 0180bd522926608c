//! The counters of handlers and workers, and the rate limits of what is logged about a handler.
//!
//! Nothing here knows who counts or how the numbers are exposed.

mod counters;
mod handler;
mod log_rate;
mod token_bucket;

pub(crate) use self::counters::{
    FailureKind, HandlerTally, HostTally, RefusalReason, SharedGauge, Tallies,
};
pub(crate) use self::handler::HandlerMetrics;
pub(crate) use self::token_bucket::Bucket;
