//! The network of wsrun: listeners, TLS of both roles, and outbound connections up to the answered
//! handshake.
//!
//! It knows no handler, no session and no worker.

pub mod descriptors;
pub mod listener;
pub mod network_filter;
pub mod outbound;
pub mod stream;
pub mod tls;
