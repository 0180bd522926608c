//! The limits of connections.

use super::size;
use crate::cli::failure::Failure;
use crate::cli::values::bytes;
use crate::config::RuntimeSettings;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LimitArgs {
    /// Largest message, after inflating. More: close 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1MiB", help_heading = "Limits")]
    pub(in crate::cli) max_message: u64,
    /// Largest message that a handler takes or sends in parts. More: close 1009, `too-large` for a part to be sent
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "4GiB", help_heading = "Limits")]
    pub(in crate::cli) max_stream: u64,
    /// Largest frame [default: as --max-message]. More: close 1009
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Limits")]
    pub(in crate::cli) max_frame: Option<u64>,
    /// Fragments of one message. More: close 1008
    #[arg(long, value_name = "N", default_value_t = 1 << 20, help_heading = "Limits")]
    pub(in crate::cli) max_fragments: u32,
    /// Bytes queued for one connection [default: twice --max-message]. More: `queue-full` for a send, close 1008 for a subscriber
    #[arg(long, value_name = "BYTES", value_parser = bytes, help_heading = "Limits")]
    pub(in crate::cli) max_queue: Option<u64>,
    /// Pings and pongs per second from one peer. More: close 1008
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        help_heading = "Limits"
    )]
    pub(in crate::cli) max_control_rate: u32,
    /// Bytes of a request's head, at least 8KiB. More: 431
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "16KiB", help_heading = "Limits")]
    pub(in crate::cli) max_header_bytes: u64,
    /// Header fields of a request. More: 431
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Limits")]
    pub(in crate::cli) max_headers: usize,
}

impl LimitArgs {
    /// Returns the bytes that may be queued for one connection.
    pub(in crate::cli) fn queue(&self) -> Result<u64, Failure> {
        let default = self.max_message.saturating_mul(2);
        let max_queue = self.max_queue.unwrap_or(default);
        if max_queue < self.max_message {
            return Err(Failure::usage(anyhow::anyhow!(
                "--max-queue {max_queue} is smaller than --max-message {}: such a message could never be sent",
                self.max_message
            )));
        }
        Ok(max_queue)
    }

    pub(in crate::cli) fn apply(&self, max_queue: u64, settings: &mut RuntimeSettings) {
        settings.stream_bytes_max = self.max_stream;
        let limits = &mut settings.limits;
        limits.message_bytes_max = self.max_message;
        limits.frame_bytes_max = self.max_frame.unwrap_or(self.max_message);
        limits.fragments_max = self.max_fragments;
        limits.queued_bytes_max = size(max_queue);
        limits.sent_message_bytes_max = max_queue;
        limits.sent_stream_bytes_max = self.max_stream;
        limits.control_frames_per_second_max = self.max_control_rate;
        limits.header_bytes_max = size(self.max_header_bytes);
        limits.headers_max = self.max_headers;
    }
}
