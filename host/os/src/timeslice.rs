//! The time slice of a thread: how long it keeps its processor while others wait for it. Uses
//! `sched_setattr(2)`, from Linux 6.12 on.
//!
//! The kernel lets a thread run for a few milliseconds before one that has just woken may run,
//! unless that one asked for shorter slices. A thread that wakes for microseconds at a time, to
//! handle a message or to check the clock, would wait that long behind a compiler, or behind a
//! worker whose guest computes.

#![expect(
    unsafe_code,
    reason = "no safe crate has the request for a slice; two system calls"
)]

use std::io;
use std::time::Duration;

use nix::libc;

/// The slice of a thread that serves connections: about what a guest may compute before others run
/// (ADR 9).
pub const OF_WORKER: Duration = Duration::from_micros(200);

/// The slice of a worker that comes after others. The kernel interrupts a thread at once only for
/// one with a shorter slice.
pub const OF_LATER_WORKER: Duration = Duration::from_micros(500);

/// The slice of the thread that interrupts those guests: the shortest that the kernel accepts.
pub const OF_TICKER: Duration = Duration::from_micros(100);

/// The thread id that stands for the calling thread.
const CALLING_THREAD: libc::c_long = 0;
const NO_FLAGS: libc::c_long = 0;

/// Asks for slices of this length for the calling thread. Its priority stays as it is. An older
/// kernel ignores the request.
///
/// # Errors
///
/// Fails when the system call fails, as in a sandbox that does not know it. Nothing has changed
/// then.
pub fn request(slice: Duration) -> io::Result<()> {
    let mut attributes = current()?;
    if ![libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(attributes.sched_policy as libc::c_int)) {
        // The operator chose a policy in which the slice means something else, or nothing.
        return Ok(());
    }
    attributes.sched_runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads `size` bytes of `attributes`, which is alive and as large, and keeps
    // no pointer to it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            CALLING_THREAD,
            &raw const attributes,
            NO_FLAGS,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the scheduling attributes of the calling thread.
fn current() -> io::Result<libc::sched_attr> {
    let bytes = size_of::<libc::sched_attr>();
    let mut attributes = libc::sched_attr {
        size: u32::try_from(bytes).expect("a few dozen bytes"),
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel writes at most `bytes` bytes to `attributes`, which is alive and as large,
    // and all of whose bits are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            CALLING_THREAD,
            &raw mut attributes,
            bytes,
            NO_FLAGS,
        )
    };
    match result {
        0 => Ok(attributes),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_keeps_its_priority_and_gets_its_slice() {
        std::thread::spawn(|| {
            rustix::process::setpriority_process(None, 5).unwrap();
            let before = current().unwrap().sched_runtime;
            request(OF_WORKER).unwrap();
            let attributes = current().unwrap();
            assert_eq!(attributes.sched_nice, 5);
            assert_eq!(rustix::process::getpriority_process(None).unwrap(), 5);
            // A kernel without such slices reports 0.
            if before > 0 {
                assert_eq!(Duration::from_nanos(attributes.sched_runtime), OF_WORKER);
            }
        })
        .join()
        .unwrap();
    }
}
