//! Messages as they cross the boundary: borrowed on both sides, so that each is copied once.

use wasmtime::component::{ComponentType, Lift, Lower, WasmList, WasmStr};

/// `message` on its way into the handler.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(variant)]
pub(super) enum MessageIn<'a> {
    #[component(name = "text")]
    Text(&'a str),
    #[component(name = "binary")]
    Binary(&'a [u8]),
}

/// `message` on its way out, still in the handler's memory. Lifted without the copy that a `Vec` costs.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum MessageOut {
    #[component(name = "text")]
    Text(WasmStr),
    #[component(name = "binary")]
    Binary(WasmList<u8>),
}

/// `chunk` on its way into the handler.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(super) struct ChunkIn<'a> {
    #[component(name = "text")]
    pub(super) text: bool,
    #[component(name = "data")]
    pub(super) data: &'a [u8],
    #[component(name = "first")]
    pub(super) first: bool,
    #[component(name = "final")]
    pub(super) last: bool,
    #[component(name = "remaining")]
    pub(super) remaining: u64,
}
