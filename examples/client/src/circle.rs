//! Circles as the board understands them: `c #rrggbb x y r;`, in the coordinates of its page.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

const BOARD_WIDTH: u64 = 1000;
const BOARD_HEIGHT: u64 = 500;
const RADIUS_MIN: u64 = 5;
const RADIUS_MAX: u64 = 60;

pub(crate) struct Circle {
    color: u64,
    x: u64,
    y: u64,
    radius: u64,
}

impl Circle {
    /// A circle somewhere on the board. A hasher of the standard library has random keys: enough for a drawing.
    pub(crate) fn random() -> Self {
        let state = RandomState::new();
        let below = |part: u8, bound: u64| state.hash_one(part) % bound;
        Self {
            color: below(0, 1 << 24),
            x: below(1, BOARD_WIDTH),
            y: below(2, BOARD_HEIGHT),
            radius: RADIUS_MIN + below(3, RADIUS_MAX - RADIUS_MIN),
        }
    }
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            color,
            x,
            y,
            radius,
        } = self;
        write!(f, "c #{color:06x} {x} {y} {radius};")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_is_one_command_of_the_board() {
        let circle = Circle {
            color: 0x2d20,
            x: 500,
            y: 250,
            radius: 60,
        };
        assert_eq!(circle.to_string(), "c #002d20 500 250 60;");
    }
}
