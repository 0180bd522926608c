//! Limits on the memory and work that a peer can cause.

/// The limits of one connection. Each field says what happens beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload of one frame from the peer. The declared length is checked, before any
    /// payload arrives. Beyond it the connection fails with 1009.
    pub frame_bytes_max: u64,
    /// The largest message from the peer, in bytes after decompression, in either
    /// [`Delivery`](crate::ws::Delivery). Beyond it the connection fails with 1009, as soon as the
    /// first byte too many is declared or inflated.
    pub message_bytes_max: u64,
    /// The largest message to the peer, before compression. Beyond it sending fails with
    /// [`SendError::TooLarge`](crate::ws::SendError::TooLarge), and the connection goes on.
    pub sent_message_bytes_max: u64,
    /// The largest message to the peer that is sent in chunks. Beyond it sending fails with
    /// [`SendError::TooLarge`](crate::ws::SendError::TooLarge); the message stays unfinished and
    /// the connection goes on.
    pub sent_stream_bytes_max: u64,
    /// The most frames of one message from the peer. Beyond it the connection fails with 1008.
    pub fragments_max: u32,
    /// The most bytes of a head of the opening handshake: request or status line and all headers. A
    /// server refuses a larger request with 431. A client does not send a larger request, and fails
    /// the handshake on a larger response.
    pub header_bytes_max: usize,
    /// The most headers of a head of the opening handshake. A head with more is treated as one
    /// beyond `header_bytes_max`.
    pub headers_max: usize,
    /// The most output bytes that may wait for the transport. A message is always accepted while
    /// nothing waits. Otherwise one that does not fit is refused with
    /// [`SendError::QueueFull`](crate::ws::SendError::QueueFull).
    pub queued_bytes_max: usize,
    /// The most pings and pongs from the peer in a second. As many may come at once. Beyond it the
    /// connection fails with 1008.
    pub control_frames_per_second_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 1 << 20,
            message_bytes_max: 1 << 20,
            sent_message_bytes_max: 64 << 20,
            sent_stream_bytes_max: 4 << 30,
            fragments_max: 1 << 20,
            header_bytes_max: 16 << 10,
            headers_max: 100,
            queued_bytes_max: 2 << 20,
            control_frames_per_second_max: 1000,
        }
    }
}
