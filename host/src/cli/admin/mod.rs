//! The interfaces for operators of a running server: requests over a Unix socket (`--admin`,
//! [`socket`]), and metrics and health over HTTP (`--metrics`, [`http`]).

mod clients;
pub(super) mod http;
pub(super) mod socket;
mod succession;
pub(super) mod take_over;
pub(super) mod verbs;
