//! Answers each part of a message with what it is told about it, as JSON.

use serde_json::json;
use wsrun_guest::{Chunk, Connection, Handler, MessageKind, handler};

#[derive(Default)]
struct Chunked;

#[handler]
impl Handler for Chunked {
    fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
        let reply = json!({
            "text": chunk.kind == MessageKind::Text,
            "bytes": chunk.data.len(),
            "first": chunk.first,
            "final": chunk.last,
            "remaining": chunk.remaining,
        });
        let _ = connection.send(&reply.to_string());
    }
}
