//! The sans-IO WebSocket core of wsrun: RFC 6455 and RFC 7692 without sockets, clocks or randomness.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod http;
pub mod limits;
pub mod topic;
pub mod ws;
