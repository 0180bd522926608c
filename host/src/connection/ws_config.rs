//! The protocol configuration of a connection.

use std::sync::Arc;

use wsrun_proto::ws::deflate::Agreed;
use wsrun_proto::ws::{self, Delivery};

use wsrun_runtime::handler::Handler;
use wsrun_runtime::worker::Worker;

/// Returns the configuration of the protocol core for a connection of this handler.
pub(super) fn ws_config(
    worker: &Worker,
    handler: &Handler,
    deflate: Option<Agreed>,
) -> Arc<ws::Config> {
    let settings = &worker.settings;
    let mut limits = settings.limits;
    let delivery = if handler.exports().chunks {
        // Nothing is assembled: the size of a message costs no memory.
        limits.message_bytes_max = settings.stream_bytes_max;
        limits.frame_bytes_max = settings.stream_bytes_max;
        Delivery::Chunks
    } else {
        Delivery::Messages
    };
    worker.shared_ws_config(ws::Config {
        limits,
        timeouts: settings.timeouts,
        delivery,
        deflate,
        danger_unmasked: settings.danger_unmasked_frames,
    })
}
