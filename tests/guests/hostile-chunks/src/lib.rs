//! Sends each part of a message back, and traps at one that is the text `go`: `hostile` cannot, since whoever takes messages in parts is
//! given no whole ones.

use wsrun_guest::{Chunk, Connection, Handler, handler};

#[derive(Default)]
struct HostileChunks;

#[handler]
impl Handler for HostileChunks {
    fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
        let sent = connection.send_chunk(chunk.kind, &chunk.data, chunk.last);
        assert!(chunk.data != b"go", "asked to trap, and {sent:?} is lost");
    }
}
