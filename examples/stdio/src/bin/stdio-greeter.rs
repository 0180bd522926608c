//! Greets whoever tells a name.

use std::io;

fn main() -> io::Result<()> {
    for name in io::stdin().lines() {
        println!("Hello {}!", name?);
    }
    Ok(())
}
