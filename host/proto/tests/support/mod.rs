//! Helpers of the core's tests: invented time, scripted input at every boundary, two connections
//! joined in memory.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses a part of this"
)]

pub(crate) mod memory;
mod pair;
mod script;
pub(crate) mod wire;

use std::cell::Cell;
use std::time::{Duration, Instant};

pub(crate) use pair::Pair;
pub(crate) use script::{Outcome, Seen, assert_fails, play, play_at_every_boundary, see, written};
use wsrun_proto::ws::deflate::{self, Agreed, DeflateConfig};
use wsrun_proto::ws::{Config, Scratch, Timeouts};

/// Returns the beginning of invented time.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant has no other source; the tests only add to it"
)]
pub(crate) fn epoch() -> Instant {
    thread_local!(static EPOCH: Instant = Instant::now());
    EPOCH.with(|epoch| *epoch)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Makes a scratch for both roles whose masking keys are predictable.
pub(crate) fn scratch() -> Scratch {
    let next = Cell::new(0x0102_0304_u32);
    Scratch::with_mask_keys(move || {
        next.set(
            next.get()
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223),
        );
        next.get().to_be_bytes()
    })
}

/// Returns the default settings without timers.
pub(crate) fn untimed() -> Config {
    let timeouts = Timeouts {
        ping_interval: None,
        idle_timeout: None,
        message_timeout: None,
        ..Timeouts::default()
    };
    Config {
        timeouts,
        ..Config::default()
    }
}

/// Returns the agreement between a client that offers everything and a server with this
/// configuration.
pub(crate) fn agreed(config: &DeflateConfig) -> Agreed {
    let offer = if config.context_takeover {
        "permessage-deflate; client_max_window_bits"
    } else {
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits"
    };
    deflate::negotiate([offer], config)
        .expect("the offer is acceptable")
        .0
}
