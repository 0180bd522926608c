//! What a handler exports.

/// Which optional callbacks a handler has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each optional interface of the contract"
)]
pub struct Capabilities {
    pub handshake: bool,
    pub writable: bool,
    pub chunks: bool,
    pub packed: bool,
    pub broadcast_filter: bool,
    pub network_filter: bool,
    pub http: bool,
    pub reconnection: bool,
    pub pong: bool,
    pub timer_handler: bool,
    pub lifecycle: bool,
    /// `wasi:http/incoming-handler`.
    pub wasi_http: bool,
    /// That alone: it takes no connections.
    pub plain_only: bool,
}
