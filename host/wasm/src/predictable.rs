//! Clocks and random numbers of handlers in a scenario: the same in each run.

use std::time::Duration;

use sha2::Digest as _;
use tokio::time::Instant;
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// The time at which the wall clock begins: 2026-01-01T00:00:00Z.
const WALL_CLOCK_BEGIN: Duration = Duration::from_secs(1_767_225_600);

/// The time at which the monotonic clock begins.
const MONOTONIC_BEGIN: Duration = Duration::from_secs(1);

/// The number of random bytes after which they repeat.
const RANDOM_BYTES: usize = 4_096;

/// Gives an instance the clock of the runtime, counted from `began`, and the fixed random bytes.
pub(super) fn make(wasi: &mut WasiCtxBuilder, began: Instant) {
    let random = || Deterministic::new(random_bytes());
    wasi.wall_clock(Clock(began))
        .monotonic_clock(Clock(began))
        .secure_random(random())
        .insecure_random(random())
        .insecure_random_seed(SEED);
}

const SEED: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834;

fn random_bytes() -> Vec<u8> {
    let blocks = (0_u32..).map(|block| sha2::Sha256::digest(block.to_be_bytes()));
    blocks
        .flat_map(|block| block.to_vec())
        .take(RANDOM_BYTES)
        .collect()
}

/// A clock that shows the time since the worker began.
struct Clock(Instant);

impl Clock {
    fn passed(&self) -> Duration {
        Instant::now().saturating_duration_since(self.0)
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        WALL_CLOCK_BEGIN + self.passed()
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        // Some runtimes, Go's among them, treat a clock at zero as broken.
        let passed = MONOTONIC_BEGIN + self.passed();
        u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX)
    }
}
