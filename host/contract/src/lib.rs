//! The contract of `wit/` in Rust: values, limits and errors that the host, connections and instances share.
//!
//! It knows no socket, no runtime and no wasmtime.

mod callback;
mod capabilities;
mod close_code;
pub mod effects;
mod error;
pub mod guest;
pub mod host;
mod http;
mod limits;
mod outbound;
pub mod packed;
mod request;
mod scope;
mod setting;
pub mod values;

pub use self::callback::{Answer, Callback};
pub use self::capabilities::Capabilities;
pub use self::close_code::is_sendable;
pub use self::error::{CallbackError, Fault};
pub use self::http::{HttpRequest, NotServed, ReplySender, RequestHandler, ResponseBody};
pub use self::limits::{
    ComputeLimits, ContractLimits, HandlerLimits, InvalidLimits, MemoryLimits, Rates, Resilience,
    TrafficLimits,
};
pub use self::limits::{LONGEST, Limit};
pub use self::outbound::OutboundRules;
pub use self::request::Request;
pub use self::scope::Scope;
pub use self::setting::{Setting, name_settings};
pub use self::values::*;
