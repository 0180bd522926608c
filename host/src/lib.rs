//! `wsrun`, a WebSocket runtime: the host owns sockets, TLS, HTTP and the poll loop; what an application does with its connections is a
//! handler, a sandboxed WebAssembly component called through the contract in `wit/`.
//!
//! A module imports only modules below it; `ARCHITECTURE.md` has the order, and `scripts/layers` checks it.
//!
//! * [`server`]: starts and stops a server. [`config`]: every setting with its default.
//! * [`contract`]: values, callbacks and imports of a handler. [`native`]: handlers in Rust.
//! * [`mod@test`]: scenarios. [`dev`]: a page that reloads itself.
//! * [`cli`]: the command line.

pub mod cli;
pub mod config;
mod connection;
pub mod contract;
pub mod dev;
pub mod native;
mod privileges;
mod replay;
pub mod server;
pub mod test;
