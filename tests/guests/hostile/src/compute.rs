//! Takes the processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

use wsrun_guest::{Connection, host};

pub(crate) fn spin() -> ! {
    loop {
        black_box(());
    }
}

/// Computes for so long.
pub(crate) fn compute(time: Duration) -> String {
    let begun = Instant::now();
    while begun.elapsed() < time {
        for step in 0..1_000 {
            black_box(step);
        }
    }
    "computing".to_owned()
}

/// Each fill is one instruction, within which nothing interrupts it.
pub(crate) fn fill(bytes: usize) -> ! {
    let mut block = vec![0_u8; bytes];
    loop {
        black_box(&mut block).fill(black_box(1));
    }
}

/// Calls itself until the stack is used up.
#[inline(never)]
pub(crate) fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    // What is left to do after the call keeps it from being made a loop.
    recurse(depth + 1).wrapping_mul(3) ^ depth
}

/// The same, and calls functions of the host at every depth: they have a stack of their own.
#[inline(never)]
pub(crate) fn recurse_and_call(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX {
        return 0;
    }
    // The last thousand frames before the end are among them, wherever that is.
    if depth.is_multiple_of(16) {
        black_box(host::name());
        black_box(host::connection_count());
        black_box(Connection::from_id(depth).send("to nobody").is_ok());
    }
    recurse_and_call(depth + 1).wrapping_mul(3) ^ depth
}

pub(crate) fn call_without_end() -> ! {
    loop {
        black_box(host::connection_count());
    }
}
