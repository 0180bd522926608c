//! `wsrun`, a WebSocket runtime: the host owns sockets, TLS, HTTP and the poll loop; what an application does with its connections is a
//! handler, a sandboxed WebAssembly component called through the contract in `wit/`.
//!
//! A module imports only modules below it; `ARCHITECTURE.md` has the order, and `scripts/layers` checks it.
//!
//! * [`server`]: starts and stops a server. [`config`]: every setting with its default.
//! * [`contract`]: values, callbacks and imports of a handler. [`native`]: handlers in Rust.
//! * [`test`]: scenarios. [`dev`]: a page that reloads itself.
//! * [`cli`]: the command line.

mod admission;
mod backlog;
pub mod cli;
pub mod config;
mod connection;
pub mod contract;
mod descriptors;
pub mod dev;
mod driver;
mod handler;
mod imports;
mod listener;
pub mod native;
mod network_filter;
mod outbound;
mod privileges;
mod registry;
mod replay;
mod reservations;
mod runtime_settings;
pub mod server;
mod session;
mod stream;
mod tape;
pub mod test;
mod tls;
mod usage;
mod wasm;
mod worker;
