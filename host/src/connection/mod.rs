//! A connection from accept to close: TLS, HTTP, the opening handshake, then frames.

mod accept;
mod answer;
mod body;
mod client;
mod drive;
mod files;
mod framed;
mod hand_off;
mod http;
mod plain;
mod refusal;
mod upgrade;

use std::sync::Arc;

use wsrun_proto::ws::deflate::Agreed;
use wsrun_proto::ws::{self, Delivery};

pub(crate) use self::accept::{accept, accept_hand_off, serve};
pub(crate) use self::answer::Body as HttpBody;
pub(crate) use self::client::connect;
pub(crate) use self::files::Folders;
pub(crate) use self::hand_off::HandOff;
use crate::handler::Handler;
use crate::worker::Worker;

/// What the core is told about a connection of this handler.
fn ws_config(worker: &Worker, handler: &Handler, deflate: Option<Agreed>) -> Arc<ws::Config> {
    let config = &worker.config;
    let mut limits = config.limits;
    let delivery = if handler.exports().chunks {
        // Nothing is assembled: the size of a message costs no memory.
        limits.message_bytes_max = config.stream_bytes_max;
        limits.frame_bytes_max = config.stream_bytes_max;
        Delivery::Chunks
    } else {
        Delivery::Messages
    };
    worker.shared_ws_config(ws::Config {
        limits,
        timeouts: config.timeouts,
        delivery,
        deflate,
        danger_unmasked: config.danger_unmasked_frames,
    })
}
