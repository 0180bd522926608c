//! The contract in Rust, generated from `wit/`.

#![allow(
    unnameable_types,
    unreachable_pub,
    missing_docs,
    clippy::all,
    reason = "generated code"
)]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "full-handler",
    imports: { default: trappable },
    exports: { default: async },
});
