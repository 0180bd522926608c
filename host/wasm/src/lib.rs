//! Everything that knows wasmtime. It knows no session, no socket and no other handler.
//!
//! One [`Engine`](wasmtime::Engine) for the process. A component is loaded and checked once ([`component`]), linked once
//! ([`linker`]), and instantiated per worker ([`instance`]), each instance in a store of its own: a trap ends a whole store, so nothing
//! else may live in it. Plain requests by `wasi:http` have a short-lived instance each ([`incoming`]). The functions that a handler imports (`host`) ask the host of the
//! instance and queue effects; no socket is touched while a callback runs.

pub mod bindings;
pub mod cache;
pub mod code;
pub mod compile;
pub mod component;
pub mod context;
mod coredump;
pub mod engine;
pub mod error;
mod host;
mod http_hooks;
pub mod incoming;
pub mod instance;
mod limiter;
mod line;
pub mod linker;
mod message;
pub mod meter;
mod names;
pub mod no_connections;
mod predictable;
pub mod program;
pub mod settings;
pub mod state;
mod stdio;
mod tape_values;
pub mod taped;
