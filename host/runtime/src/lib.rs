//! One worker of wsrun: sessions, mailboxes, dispatch, instances and their trials, topics, timers, and
//! the driver of a connection.
//!
//! It knows no TCP, TLS or HTTP server, no wasmtime, no file and no other worker's thread.

pub mod admission;
pub mod backlog;
pub mod driver;
pub mod handler;
pub mod imports;
pub mod registry;
pub mod reservations;
pub mod runtime_settings;
pub mod session;
pub mod usage;
pub mod worker;
