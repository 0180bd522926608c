//! What an operator may ask of a running server: over a Unix socket (`--admin`, [`socket`]), and what monitoring reads over HTTP
//! (`--metrics`, [`http`]).

pub(super) mod http;
pub(super) mod socket;
pub(super) mod take_over;
pub(super) mod verbs;
