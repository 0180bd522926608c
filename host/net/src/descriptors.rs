//! File descriptors that connections leave to the operator.
//!
//! A process may open only so many descriptors (`ulimit -n`). If connections took all of them,
//! `wsrun ctl`, metrics, health, and a new version with its compilation would have none, just when
//! an operator has to look. So the code that accepts for peers, or connects for handlers, stops a
//! little below the limit.
//!
//! The kernel gives the lowest number that is free. A high number shows that few are left, and
//! costs nothing to check.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use rustix::process::{Resource, getrlimit};

use wsrun_contract::Setting;

/// Descriptors that are kept free; an eighth of the limit where that is less.
const RESERVE: u64 = 64;

/// Returns true when a descriptor that was just opened for a peer is one of the last, or within
/// `margin` of them.
pub fn is_reserve(opened: RawFd, margin: u64) -> bool {
    let Some(limit) = getrlimit(Resource::Nofile).current else {
        return false;
    };
    let reserve = RESERVE.min(limit / 8) + margin.min(limit / 8);
    let number = u64::try_from(opened).unwrap_or(0);
    number >= limit.saturating_sub(reserve)
}

/// Returns true when a peer may have the next descriptor. Checks this by opening one.
pub fn has_room(any: impl AsFd, margin: u64) -> bool {
    let next = any.as_fd().try_clone_to_owned();
    next.is_ok_and(|next| !is_reserve(next.as_raw_fd(), margin))
}

/// Refuses a descriptor that was just opened for a handler or a peer when it is one of the last.
///
/// # Errors
///
/// Fails with [`exhausted`].
pub fn check(opened: &impl AsRawFd) -> io::Result<()> {
    match is_reserve(opened.as_raw_fd(), 0) {
        true => Err(exhausted()),
        false => Ok(()),
    }
}

/// Returns the error for a refused descriptor, which stands for the error that the system would
/// give at the limit.
pub fn exhausted() -> io::Error {
    io::Error::new(
        io::ErrorKind::QuotaExceeded,
        format!(
            "too many open files: the last descriptors are kept for the operator; raise `ulimit -n` (LimitNOFILE=), or lower {} and {}",
            Setting("connection.connections_max"),
            Setting("outbound.connections_max")
        ),
    )
}
