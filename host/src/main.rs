//! The command `wsrun`.

use std::process::ExitCode;

fn main() -> ExitCode {
    wsrun::cli::run()
}
