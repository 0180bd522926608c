//! The contract of `wit/` in Rust: what native handlers and programs that embed the host use of it.

pub use wsrun_contract::values::*;
pub use wsrun_contract::{
    CallbackError, ComputeLimits, ContractLimits, Fault, HandlerLimits, InvalidLimits,
    MemoryLimits, Rates, Request, Resilience, Scope, Setting, TrafficLimits, name_settings,
};
