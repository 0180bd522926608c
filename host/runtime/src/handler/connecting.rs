//! Connections of the client role that the embedding program asks for.

use tokio::sync::oneshot;

use wsrun_contract::{CloseInfo, ConnectionId};

/// An outbound connection of the embedding program. The handler gets its events like those of any
/// other connection.
#[derive(Debug)]
pub struct Connecting {
    /// The id of the connection.
    pub connection: ConnectionId,
    ended: oneshot::Receiver<CloseInfo>,
}

impl Connecting {
    #[inline]
    pub fn new(connection: ConnectionId, ended: oneshot::Receiver<CloseInfo>) -> Self {
        Self { connection, ended }
    }

    /// Waits until the connection has ended or has failed, and the handler has been notified.
    /// Returns none when the server ended before.
    pub async fn ended(self) -> Option<CloseInfo> {
        self.ended.await.ok()
    }
}
