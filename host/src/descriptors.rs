//! File descriptors that connections leave to the operator.
//!
//! A process may open so many (`ulimit -n`). If connections took all of them, `wsrun ctl`, metrics and health, a new version and its
//! compilation would have none, just when somebody has to look. So whoever accepts for peers, or connects for handlers, stops a little below
//! the limit. The kernel
//! gives the lowest number that is free: a high one tells that few are left, and costs nothing to look at.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use rustix::process::{Resource, getrlimit};

/// Kept of a usual limit; an eighth of a small one.
const RESERVE: u64 = 64;

/// Whether a descriptor that was just opened for a peer is one of the last, or within `margin` of them.
pub(crate) fn is_reserve(opened: RawFd, margin: u64) -> bool {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return false;
    };
    let reserve = RESERVE.min(limit / 8) + margin.min(limit / 8);
    let number = u64::try_from(opened).unwrap_or(0);
    number >= limit.saturating_sub(reserve)
}

/// Whether the next descriptor would be one that a peer may have.
pub(crate) fn has_room(any: impl AsFd, margin: u64) -> bool {
    let next = any.as_fd().try_clone_to_owned();
    next.is_ok_and(|next| !is_reserve(next.as_raw_fd(), margin))
}

/// Refuses a descriptor that was just opened for a handler or a peer, and is one of the last.
pub(crate) fn check(opened: &impl AsRawFd) -> io::Result<()> {
    match is_reserve(opened.as_raw_fd(), 0) {
        true => Err(exhausted()),
        false => Ok(()),
    }
}

/// What to say of it: the error that opening one more would end in, without the reserve.
pub(crate) fn exhausted() -> io::Error {
    io::Error::new(
        io::ErrorKind::QuotaExceeded,
        "too many open files: the last descriptors are kept for the operator; raise `ulimit -n` (LimitNOFILE=), or lower \
         --max-connections and --max-outbound",
    )
}
