//! What an operator may ask of a running server: over a Unix socket (`--admin`, [`socket`]), and what monitoring reads over HTTP
//! (`--metrics`, [`http`]).

mod clients;
pub(super) mod http;
pub(super) mod socket;
mod succession;
pub(super) mod take_over;
pub(super) mod verbs;
