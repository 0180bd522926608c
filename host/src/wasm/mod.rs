//! Everything that knows wasmtime.
//!
//! One [`Engine`](wasmtime::Engine) for the process. A component is loaded and checked once ([`component`]), linked once
//! ([`linker`]), and instantiated per worker ([`instance`]), each instance in a store of its own: a trap ends a whole store, so nothing
//! else may live in it. Plain requests by `wasi:http` have a short-lived instance each ([`incoming`]). The functions that a handler imports ([`host`]) ask the host of the
//! instance and queue effects; no socket is touched while a callback runs.

pub(crate) mod bindings;
pub(crate) mod cache;
pub(crate) mod code;
pub(crate) mod compile;
pub(crate) mod component;
pub(crate) mod context;
mod coredump;
pub(crate) mod engine;
pub(crate) mod error;
mod host;
pub(crate) mod incoming;
pub(crate) mod instance;
mod limiter;
mod line;
pub(crate) mod linker;
mod message;
pub(crate) mod meter;
mod names;
pub(crate) mod no_connections;
mod predictable;
pub(crate) mod program;
pub(crate) mod settings;
pub(crate) mod state;
mod stdio;
mod tape_values;
pub(crate) mod taped;
