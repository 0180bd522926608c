//! The clock of everything that waits for the runtime: its own, which stands still in a scenario until it is advanced.

use std::time::Instant;

/// The time, as the timers of this runtime have it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
