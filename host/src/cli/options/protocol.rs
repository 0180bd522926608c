//! The options of the protocol.

use std::time::Duration;

use clap::ValueEnum;
use wsrun_proto::ws::deflate::DeflateConfig;

use crate::cli::values::{OptionalDuration, duration, optional_duration};
use crate::config::RuntimeSettings;

/// The compression of messages (RFC 7692).
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum Compression {
    /// Every offer is declined
    Off,
    /// No context takeover: connections share a worker's compressors, an idle one holds none
    #[value(alias = "on")]
    Shared,
    /// Context takeover: better for small similar messages, up to 400 KiB more per connection
    Dedicated,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ProtocolArgs {
    /// permessage-deflate
    #[arg(long, value_enum, default_value = "shared", help_heading = "Protocol")]
    pub(in crate::cli) compression: Compression,
    /// Silence of the peer after which it is pinged; `off` for never
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "30s", help_heading = "Protocol")]
    pub(in crate::cli) ping_interval: OptionalDuration,
    /// Silence of the peer after which the connection is given up; `off` for never
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "50s", help_heading = "Protocol")]
    pub(in crate::cli) idle_timeout: OptionalDuration,
    /// Time for the peer's close frame after ours
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s", help_heading = "Protocol")]
    pub(in crate::cli) close_timeout: Duration,
    /// Time for a TLS handshake, for a request's head, and between two pieces of its body
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Protocol")]
    pub(in crate::cli) handshake_timeout: Duration,
    /// Time from the first byte of a message to its last, or from part to part where a handler takes it in parts; `off` for no limit
    #[arg(long, value_name = "TIME", value_parser = optional_duration, default_value = "30s", help_heading = "Protocol")]
    pub(in crate::cli) message_timeout: OptionalDuration,
    /// Time that a peer may take nothing of what is queued for it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s", help_heading = "Protocol")]
    pub(in crate::cli) write_timeout: Duration,
    /// Takes frames with and without masks and sends none masked (against RFC 6455, 5.1): for tests with peers that cannot do better
    #[arg(long, help_heading = "Protocol")]
    pub(in crate::cli) danger_unmasked_frames: bool,
    /// Time from SIGTERM until connections that have not closed are cut
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Protocol")]
    pub(in crate::cli) shutdown_timeout: Duration,
    /// Spreads the closes after SIGTERM evenly over this time [default: 2 ms for each connection, at most half of --shutdown-timeout]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Protocol")]
    pub(in crate::cli) drain_window: Option<Duration>,
    /// The code of those closes: 1001 (going away), or 1012 (service restart)
    #[arg(long, value_name = "CODE", value_parser = ["1001", "1012"], default_value = "1001", help_heading = "Protocol")]
    pub(in crate::cli) drain_code: String,
}

impl ProtocolArgs {
    pub(in crate::cli) fn apply(&self, settings: &mut RuntimeSettings) {
        let takeover = match self.compression {
            Compression::Off => None,
            Compression::Shared => Some(false),
            Compression::Dedicated => Some(true),
        };
        settings.deflate = takeover.map(|context_takeover| DeflateConfig {
            context_takeover,
            ..DeflateConfig::default()
        });
        settings.handshake_timeout = self.handshake_timeout;
        settings.write_timeout = self.write_timeout;
        settings.shutdown_timeout = self.shutdown_timeout;
        settings.drain_window = self.drain_window;
        settings.drain_close_code = match self.drain_code.as_str() {
            "1012" => 1012,
            _ => 1001,
        };
        settings.danger_unmasked_frames = self.danger_unmasked_frames;
        settings.timeouts.ping_interval = self.ping_interval.0;
        settings.timeouts.idle_timeout = self.idle_timeout.0;
        settings.timeouts.close_timeout = self.close_timeout;
        settings.timeouts.message_timeout = self.message_timeout.0;
        if self.danger_unmasked_frames {
            tracing::warn!(
                "--danger-unmasked-frames: frames are taken with and without masks, and none is sent masked; for tests alone"
            );
        }
    }
}
