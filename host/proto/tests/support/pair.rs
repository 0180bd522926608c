//! A client and a server joined in memory, as in quinn-proto.

use std::time::{Duration, Instant};

use wsrun_proto::ws::{CloseFrame, Config, Connection, MessageKind, Role, Scratch, SendError};

use super::script::{Seen, see, written};
use super::{epoch, scratch};

pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) scratch: Scratch,
    pub(crate) client: Connection,
    pub(crate) server: Connection,
    pub(crate) client_saw: Vec<Seen>,
    pub(crate) server_saw: Vec<Seen>,
    /// The largest piece that the transport carries at once.
    pub(crate) piece_bytes_max: usize,
}

impl Pair {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            now: epoch(),
            scratch: scratch(),
            client: Connection::new(epoch(), Role::Client, config),
            server: Connection::new(epoch(), Role::Server, config),
            client_saw: Vec::new(),
            server_saw: Vec::new(),
            piece_bytes_max: usize::MAX,
        }
    }

    /// Carries bytes until neither side has any.
    pub(crate) fn run(&mut self) {
        while !(self.client.output().is_empty() && self.server.output().is_empty()) {
            for piece in written(self.client.output_mut()).chunks(self.piece_bytes_max) {
                self.server_saw
                    .extend(see(&mut self.server, &mut self.scratch, piece));
            }
            for piece in written(self.server.output_mut()).chunks(self.piece_bytes_max) {
                self.client_saw
                    .extend(see(&mut self.client, &mut self.scratch, piece));
            }
        }
    }

    pub(crate) fn client_sends(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.client.send_message(kind, payload, &mut self.scratch)
    }

    pub(crate) fn server_sends(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.server.send_message(kind, payload, &mut self.scratch)
    }

    pub(crate) fn client_closes(&mut self, code: u16, reason: &str) {
        self.client.start_close(
            self.now,
            CloseFrame::new(code, reason).expect("a code that may be sent"),
            &mut self.scratch,
        );
    }

    pub(crate) fn server_closes(&mut self, code: u16, reason: &str) {
        self.server.start_close(
            self.now,
            CloseFrame::new(code, reason).expect("a code that may be sent"),
            &mut self.scratch,
        );
    }

    /// Lets time pass for both sides.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
    }
}
