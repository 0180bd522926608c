//! Ways to end an instance.

use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) fn trap() -> ! {
    std::process::abort()
}

pub(crate) fn spin() -> ! {
    loop {
        black_box(());
    }
}

/// Computes for so long.
pub(crate) fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        for step in 0..1_000 {
            black_box(step);
        }
    }
}

/// Fills so many bytes for ever: each fill is one instruction, within which nothing interrupts it.
pub(crate) fn fill(bytes: usize) -> ! {
    let mut block = vec![0_u8; bytes];
    loop {
        black_box(&mut block).fill(black_box(1));
    }
}

/// Waits for no time at all, for ever.
pub(crate) fn poll() -> ! {
    loop {
        std::thread::sleep(Duration::ZERO);
    }
}

/// Allocates and touches memory until there is no more.
pub(crate) fn allocate() -> ! {
    let mut blocks = Vec::new();
    loop {
        blocks.push(black_box(vec![1_u8; 1024 * 1024]));
    }
}

/// Calls itself until the stack is used up.
pub(crate) fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(depth) == u64::MAX {
        return 0;
    }
    recurse(depth + 1) + frame[63]
}

/// Calls itself so often, with nothing but wasm's own stack.
#[inline(never)]
pub(crate) fn nest(depth: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    // What is left to do after the call keeps it from being made a loop.
    nest(depth - 1).wrapping_mul(3) ^ depth
}
