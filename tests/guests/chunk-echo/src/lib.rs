//! Sends each part of a message back as it comes, and reads no more while it cannot.

use std::collections::{HashMap, VecDeque};

use wsrun_guest::{Chunk, ChunkError, CloseInfo, Connection, Handler, handler};

#[derive(Default)]
struct ChunkEcho {
    /// Parts that the queue had no room for. No more are read, but those of the same batch still come.
    waiting: HashMap<Connection, VecDeque<Chunk>>,
}

#[handler]
impl Handler for ChunkEcho {
    fn received_chunk(&mut self, connection: Connection, chunk: Chunk) {
        self.waiting.entry(connection).or_default().push_back(chunk);
        self.writable(connection);
    }

    fn writable(&mut self, connection: Connection) {
        let Some(waiting) = self.waiting.get_mut(&connection) else {
            return;
        };
        while let Some(chunk) = waiting.front() {
            match connection.send_chunk(chunk.kind, &chunk.data, chunk.last) {
                Ok(()) => drop(waiting.pop_front()),
                Err(ChunkError::QueueFull { .. }) => {
                    connection.receive_flow(false);
                    connection.want_writable();
                    return;
                }
                Err(ChunkError::Closed) => break,
                Err(error) => panic!("what came in can go out: {error}"),
            }
        }
        self.waiting.remove(&connection);
        connection.receive_flow(true);
    }

    fn closed(&mut self, connection: Connection, _info: CloseInfo) {
        self.waiting.remove(&connection);
    }
}
