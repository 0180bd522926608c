//! Written by `cargo run -p wsrun-guest-bindgen` from `wit/`; not part of the API.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::unwrap_used,
    clippy::use_self,
    reason = "generated code, and the one place of this crate where the component ABI is touched"
)]

#[rustfmt::skip]
pub mod broadcast_filter;
#[rustfmt::skip]
pub mod chunks;
#[rustfmt::skip]
pub mod handler;
#[rustfmt::skip]
pub mod handshake;
#[rustfmt::skip]
pub mod http;
#[rustfmt::skip]
pub mod lifecycle;
#[rustfmt::skip]
pub mod network_filter;
#[rustfmt::skip]
pub mod packed;
#[rustfmt::skip]
pub mod pong;
#[rustfmt::skip]
pub mod reconnection;
#[rustfmt::skip]
pub mod timer;
#[rustfmt::skip]
pub mod writable;
