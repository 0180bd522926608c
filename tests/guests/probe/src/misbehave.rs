//! Ways to end an instance.

use std::hint::black_box;

pub(crate) fn trap() -> ! {
    std::process::abort()
}

pub(crate) fn spin() -> ! {
    loop {
        black_box(());
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
