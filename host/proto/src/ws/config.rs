//! Settings of a connection.

use std::time::Duration;

use super::deflate::Agreed;
use crate::limits::Limits;

/// The settings of a connection, which do not change while it is open.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Config {
    /// The limits on what the peer can cause.
    pub limits: Limits,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// The form in which messages are delivered.
    pub delivery: Delivery,
    /// The compression that the opening handshake agreed on.
    pub deflate: Option<Agreed>,
    /// True if frames of the peer are accepted with or without a mask, and frames to it are sent
    /// without one. For tests only: without masks a page in a browser can write chosen bytes into
    /// the caches of intermediaries.
    pub danger_unmasked: bool,
}

/// The timeouts of a connection. Time is the `now` of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The silence of the peer after which a ping is sent, again and again.
    pub ping_interval: Option<Duration>,
    /// The silence of the peer after which the connection ends with 1006.
    pub idle_timeout: Option<Duration>,
    /// The time in which the peer must answer a close frame, take the last output and, in the
    /// client role, end the transport.
    pub close_timeout: Duration,
    /// The time from the first byte of a message to its last or, with [`Delivery::Chunks`], from
    /// one chunk to the next. Beyond it the connection fails with 1008.
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

/// The form in which messages are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Messages are delivered whole.
    #[default]
    Messages,
    /// Messages are delivered as they arrive, in [`Chunk`](super::Chunk)s. Nothing is assembled.
    Chunks,
}
