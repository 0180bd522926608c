//! Programs that have the host as their library.

mod allocations;
mod server;
