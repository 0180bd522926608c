//! The settings of every connection of a worker.

use std::time::Duration;

use wsrun_proto::limits::Limits;
use wsrun_proto::ws::Timeouts;
use wsrun_proto::ws::deflate::DeflateConfig;

use wsrun_contract::{LONGEST, Setting};

/// The settings of every connection, whatever it is carried by: the protocol, and how it ends.
#[derive(Clone, Debug)]
pub struct RuntimeSettings {
    /// permessage-deflate; none declines every offer.
    pub deflate: Option<DeflateConfig>,
    /// Limits of the protocol core.
    pub limits: Limits,
    /// Timeouts of the protocol core.
    pub timeouts: Timeouts,
    /// The largest message that is received or sent in parts, 4 GiB by default. Beyond it a received one fails the connection with 1009,
    /// and a part to be sent is refused with `too-large`.
    pub stream_bytes_max: u64,
    /// From accept to the end of the TLS handshake, and again to the end of each request's head: 10 s by default. Also the longest silence
    /// within a request's body, which has the [`message_timeout`](Timeouts::message_timeout) in all.
    pub handshake_timeout: Duration,
    /// How long a peer may take nothing of what is queued for it before the connection is aborted: 30 s by default.
    pub write_timeout: Duration,
    /// From the signal to stop until connections that have not closed are cut: 10 s by default.
    pub shutdown_timeout: Duration,
    /// Over how much of it the closes are spread. None, the default: about 2 ms for each connection, half of it at most.
    pub drain_window: Option<Duration>,
    /// The code of those closes: 1001 (going away) by default, or 1012 (service restart).
    pub drain_close_code: u16,
    /// Takes frames whether they are masked or not, and sends none masked, in both roles. For tests against peers that cannot do better:
    /// without masks a page in a browser can plant chosen bytes in the caches of intermediaries (RFC 6455, 10.3).
    pub danger_unmasked_frames: bool,
}

impl Default for RuntimeSettings {
    fn default() -> Self {
        Self {
            deflate: Some(DeflateConfig::default()),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            stream_bytes_max: 4 << 30,
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
            drain_window: None,
            drain_close_code: 1001,
            danger_unmasked_frames: false,
        }
    }
}

impl RuntimeSettings {
    /// Shortens every time to one that the clock can still tell.
    pub fn bound_times(&mut self) {
        let timeouts = &mut self.timeouts;
        let times = [
            &mut self.handshake_timeout,
            &mut self.write_timeout,
            &mut self.shutdown_timeout,
            &mut timeouts.close_timeout,
        ];
        let optional = [
            &mut self.drain_window,
            &mut timeouts.ping_interval,
            &mut timeouts.idle_timeout,
            &mut timeouts.message_timeout,
        ];
        for time in times.into_iter().chain(optional.into_iter().flatten()) {
            *time = LONGEST.min(*time);
        }
    }
}

/// Bytes that the head of a request needs at least.
const HEADER_BYTES_MIN: usize = 8_192;

/// Bytes that the head of a request may be given at most. Each connection may hold as many.
const HEADER_BYTES_LIMIT: usize = 16 * 1024 * 1024;

const HEADERS_LIMIT: usize = 10_000;

/// Settings of the protocol that contradict each other, or that nothing could be done within.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRuntime {
    /// No control frame may come.
    #[error(
        "{} 0: it must be at least 1, or no peer could answer a ping",
        Setting("runtime.limits.control_frames_per_second_max")
    )]
    NoControlFrames,
    /// No fragment may come.
    #[error(
        "{} 0: it must be at least 1, as a whole message is one",
        Setting("runtime.limits.fragments_max")
    )]
    NoFragments,
    /// Closes are spread over more time than there is.
    #[error(
        "{} {window:?} is longer than {} {shutdown:?}, when connections are cut",
        Setting("runtime.drain_window"),
        Setting("runtime.shutdown_timeout")
    )]
    DrainWindow {
        /// The time that closes are spread over.
        window: Duration,
        /// The time until connections are cut.
        shutdown: Duration,
    },
    /// The close code of a server that stops is another than those for it.
    #[error("{setting} {0}: it must be 1001 (going away) or 1012 (service restart)", setting = Setting("runtime.drain_close_code"))]
    DrainCode(u16),
    /// The number of header fields is out of range.
    #[error("{setting} {0}: it must be 1 to {HEADERS_LIMIT}", setting = Setting("runtime.limits.headers_max"))]
    Headers(usize),
    /// The head of a request may be larger than the host can hold for each connection.
    #[error("{setting} {0}: it must be at most {HEADER_BYTES_LIMIT}", setting = Setting("runtime.limits.header_bytes_max"))]
    LargeHeader(usize),
    /// The head of a request may be smaller than what parsing it needs.
    #[error("{setting} {0}: it must be at least {HEADER_BYTES_MIN}", setting = Setting("runtime.limits.header_bytes_max"))]
    SmallHeader(usize),
    /// A quiet peer would be given up before it is pinged.
    #[error(
        "{} {idle:?} is not longer than {} {ping:?}: a quiet peer would be given up without having been pinged; change one of them, or turn \
         pings off",
        Setting("runtime.timeouts.idle_timeout"),
        Setting("runtime.timeouts.ping_interval")
    )]
    IdleTimeout {
        /// The silence after which a peer is given up.
        idle: Duration,
        /// The silence after which it is pinged.
        ping: Duration,
    },
}

impl RuntimeSettings {
    /// Checks that the settings do not contradict each other.
    ///
    /// # Errors
    ///
    /// Fails with the first contradiction.
    pub fn check(&self) -> Result<(), InvalidRuntime> {
        use InvalidRuntime as Invalid;
        let (limits, timeouts) = (&self.limits, &self.timeouts);
        if limits.control_frames_per_second_max == 0 {
            return Err(Invalid::NoControlFrames);
        }
        if limits.fragments_max == 0 {
            return Err(Invalid::NoFragments);
        }
        if let Some(window) = self.drain_window
            && window > self.shutdown_timeout
        {
            return Err(Invalid::DrainWindow {
                window,
                shutdown: self.shutdown_timeout,
            });
        }
        if !matches!(self.drain_close_code, 1001 | 1012) {
            return Err(Invalid::DrainCode(self.drain_close_code));
        }
        if !(1..=HEADERS_LIMIT).contains(&limits.headers_max) {
            return Err(Invalid::Headers(limits.headers_max));
        }
        if limits.header_bytes_max > HEADER_BYTES_LIMIT {
            return Err(Invalid::LargeHeader(limits.header_bytes_max));
        }
        if limits.header_bytes_max < HEADER_BYTES_MIN {
            return Err(Invalid::SmallHeader(limits.header_bytes_max));
        }
        if let (Some(ping), Some(idle)) = (timeouts.ping_interval, timeouts.idle_timeout)
            && idle <= ping
        {
            return Err(Invalid::IdleTimeout { idle, ping });
        }
        Ok(())
    }
}
