//! Settings of a connection.

use std::time::Duration;

use super::deflate::Agreed;
use crate::limits::Limits;

/// What is decided about a connection when it opens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Config {
    /// What the peer may make this side hold or do.
    pub limits: Limits,
    /// How long this side waits.
    pub timeouts: Timeouts,
    /// How messages are handed out.
    pub delivery: Delivery,
    /// The compression that the opening handshake agreed to.
    pub deflate: Option<Agreed>,
    /// Takes frames from the peer whether they are masked or not, and sends none masked. For tests: without masks a page in a browser can
    /// plant chosen bytes in the caches of intermediaries.
    pub danger_unmasked: bool,
}

/// How long a connection waits, and for what. Silence is told by the `now` of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The silence of the peer after which a ping is sent, and again after each such time.
    pub ping_interval: Option<Duration>,
    /// The silence of the peer after which the connection ends with 1006.
    pub idle_timeout: Option<Duration>,
    /// How long the peer may take to answer a close frame, to take the last output and, in the client role, to end the transport.
    pub close_timeout: Duration,
    /// How long a message may take from its first byte to its last, or, with [`Delivery::Chunks`], from one chunk to the next. Beyond it
    /// the connection fails with 1008.
    pub message_timeout: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            ping_interval: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(50)),
            close_timeout: Duration::from_secs(5),
            message_timeout: Some(Duration::from_secs(30)),
        }
    }
}

/// How messages are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Whole.
    #[default]
    Messages,
    /// As they arrive, in [`Chunk`](super::Chunk)s. Nothing is assembled.
    Chunks,
}
