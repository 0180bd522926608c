//! What a handler is called with, what it may ask, and what becomes of it.

mod connections;
mod event_contract;
mod examples;
mod flow;
mod handshake;
mod hibernation;
mod isolation;
mod refused;
mod reservations;
mod scopes;
mod server_role;
mod stdio;
mod timers;
mod traps;
