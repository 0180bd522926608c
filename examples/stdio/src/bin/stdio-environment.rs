//! Tells what it finds in its environment, a variable a line.

use std::env;

fn main() {
    for (name, value) in env::vars() {
        println!("{name}={value}");
    }
}
