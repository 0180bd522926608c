//! The contract of `wit/` in Rust: values, limits and errors that the host, connections and instances share.
//!
//! It knows no socket, no runtime and no wasmtime.

mod callback;
mod capabilities;
mod close_code;
pub(crate) mod effects;
mod error;
pub(crate) mod guest;
pub(crate) mod host;
mod http;
mod limits;
mod outbound;
pub(crate) mod packed;
mod request;
mod scope;
mod setting;
mod values;

pub(crate) use self::callback::{Answer, Callback};
pub(crate) use self::capabilities::Capabilities;
pub(crate) use self::close_code::is_sendable;
pub use self::error::{CallbackError, Fault};
pub(crate) use self::http::{HttpRequest, NotServed, ReplySender, RequestHandler, ResponseBody};
pub use self::limits::{
    ComputeLimits, ContractLimits, HandlerLimits, InvalidLimits, MemoryLimits, Rates, Resilience,
    TrafficLimits,
};
pub(crate) use self::limits::{LONGEST, Limit};
pub(crate) use self::outbound::OutboundRules;
pub use self::request::Request;
pub use self::scope::Scope;
pub use self::setting::{Setting, name_settings};
pub use self::values::*;
