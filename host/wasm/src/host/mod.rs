//! The functions that a handler imports: check, queue a command, return.

mod client;
mod connections;
mod host_info;
mod timers;
mod topics;

use wasmtime::component::{HasSelf, Linker};

use super::bindings::wsrun::websocket;
use super::state::GuestState;

/// Defines every import of the contract.
pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    websocket::types::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    websocket::connections::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    websocket::packed_send::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    websocket::topics::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    websocket::client::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    websocket::timers::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    websocket::host_info::add_to_linker::<_, HasSelf<_>>(linker, GuestState::called)?;
    // Imports that take a message again, by hand: generated ones copy it into a `Vec` before anything can be refused.
    linker.allow_shadowing(true);
    connections::add_send(linker)?;
    connections::add_send_chunk(linker)?;
    connections::add_send_packed(linker)?;
    connections::add_set_session(linker)?;
    topics::add_publish(linker)?;
    topics::add_broadcast(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl websocket::types::Host for GuestState {}
