//! Counts from 1 to 10, a number every 100 milliseconds.

use std::thread::sleep;
use std::time::Duration;

fn main() {
    for number in 1..=10 {
        println!("{number}");
        sleep(Duration::from_millis(100));
    }
}
