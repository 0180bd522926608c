//! What a handler exports.

/// Which optional callbacks a handler has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each optional interface of the contract"
)]
pub(crate) struct Capabilities {
    pub(crate) handshake: bool,
    pub(crate) writable: bool,
    pub(crate) chunks: bool,
    pub(crate) packed: bool,
    pub(crate) broadcast_filter: bool,
    pub(crate) network_filter: bool,
    pub(crate) http: bool,
    pub(crate) reconnection: bool,
    pub(crate) pong: bool,
    pub(crate) timer_handler: bool,
    pub(crate) lifecycle: bool,
    /// `wasi:http/incoming-handler`.
    pub(crate) wasi_http: bool,
    /// That alone: it takes no connections.
    pub(crate) plain_only: bool,
}
