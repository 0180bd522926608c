//! SIGHUP, which must not end a process that is starting.

use nix::sys::signal::{SigSet, Signal};

/// SIGHUP, blocked so that it waits in the kernel.
#[derive(Clone, Copy)]
pub(super) struct Hangup(SigSet);

impl Hangup {
    /// Blocks SIGHUP. Call it while this is the only thread.
    pub(super) fn hold() -> Self {
        let hangup = SigSet::from(Signal::SIGHUP);
        // Blocking a valid set cannot fail.
        let _ = hangup.thread_block();
        Self(hangup)
    }

    pub(super) fn release(self) {
        let _ = self.0.thread_unblock();
    }
}
