//! The counters of handlers and workers, and the rate limits of what is logged about a handler.
//!
//! Nothing here knows who counts or how the numbers are exposed.

pub mod counters;
pub mod handler;
mod log_rate;
pub mod panics;
pub mod seldom;
pub mod text;
pub mod token_bucket;

pub use self::counters::{
    FailureKind, HandlerTally, HostTally, RefusalReason, SharedGauge, Tallies,
};
pub use self::handler::HandlerMetrics;
pub use self::token_bucket::Bucket;
