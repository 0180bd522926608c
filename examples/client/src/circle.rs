//! Circles as the board understands them: `d #rrggbb x1 y1 x2 y2` for a line, `;` between lines.

use std::collections::hash_map::RandomState;
use std::f64::consts::TAU;
use std::fmt::Write as _;
use std::hash::BuildHasher;

const BOARD_WIDTH: u64 = 1000;
const BOARD_HEIGHT: u64 = 500;
const RADIUS_MIN: u64 = 5;
const RADIUS_MAX: u64 = 60;
/// Lines that one is made of.
const SIDES: u32 = 24;

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

    pub(crate) fn to_message(&self) -> String {
        let mut message = String::new();
        let mut last = self.point(0);
        for side in 1..=SIDES {
            let next = self.point(side);
            if !message.is_empty() {
                message.push(';');
            }
            let ((x1, y1), (x2, y2)) = (last, next);
            write!(message, "d #{:06x} {x1} {y1} {x2} {y2}", self.color)
                .expect("a string takes everything");
            last = next;
        }
        message
    }

    fn point(&self, side: u32) -> (i32, i32) {
        let angle = TAU * f64::from(side % SIDES) / f64::from(SIDES);
        let radius = self.radius as f64;
        let x = self.x as f64 + radius * angle.cos();
        let y = self.y as f64 + radius * angle.sin();
        (x.round() as i32, y.round() as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circle_is_a_closed_line_in_one_message() {
        let circle = Circle {
            color: 0xd92d20,
            x: 500,
            y: 250,
            radius: 60,
        };
        let message = circle.to_message();
        let lines: Vec<&str> = message.split(';').collect();
        assert_eq!(lines.len(), SIDES as usize);
        assert_eq!(lines[0], "d #d92d20 560 250 558 266");
        assert_eq!(lines[SIDES as usize - 1], "d #d92d20 558 234 560 250");
        assert!(message.len() <= 4096, "more than the board takes");
    }
}
