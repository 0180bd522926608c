//! `wsrun`, a WebSocket runtime: the host owns sockets, TLS, HTTP and the poll loop; what an application does with its connections is a
//! handler, a sandboxed WebAssembly component called through the contract in `wit/`.
//!
//! ```text
//!  cli, main ──▶ server ──▶ listener ──▶ connection ──▶ handler ◀── wasm
//!                  │                        │   core: wsrun-proto     │
//!                  └── config, tls          └── session, stream ──────┘ contract
//! ```
//!
//! * [`config`]: every setting with its default. [`server`]: starts and stops all of it.
//! * `listener`: binds and accepts. `connection`: a socket from accept to close. `session`: what the host keeps for a connection.
//! * `handler`: events in, effects out, on one worker. `imports`: what a callback may ask for;
//!   `reservations`: the room that it counts on.
//! * `wasm`: engine, instances and the functions that handlers import. It never sees a socket.
//! * `tape`: records what instances were called with and asked for, and answers from it. `replay`: plays a tape over a component.
//! * `metrics`: counters, and the rate limits of the log. `admission`: connections against their limits.
//! * `privileges`: who the process is. `file`: reading what somebody outside named. `text`: foreign text in a
//!   line. `seldom`: lines of the log that peers can cause. `descriptors`: those that are kept for the operator.
//! * `panics`: a defect of the host is kept to what it concerns.
//! * [`cli`]: the command line.

mod admission;
mod backlog;
pub mod cli;
mod clock;
pub mod config;
mod connection;
pub mod contract;
mod descriptors;
pub mod dev;
mod driver;
mod file;
mod handler;
mod imports;
mod listener;
mod metrics;
pub mod native;
mod network_filter;
mod outbound;
mod panics;
mod privileges;
mod random;
mod registry;
mod replay;
mod reservations;
mod runtime_settings;
mod seldom;
pub mod server;
mod session;
mod stream;
mod tape;
pub mod test;
mod text;
mod timeslice;
mod tls;
mod transport;
mod usage;
mod wasm;
mod worker;
