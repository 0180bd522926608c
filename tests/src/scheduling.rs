//! How urgent a thread of a test is: what one measures is not to wait for what another computes, as if each had a machine of its own.

use std::process::Command;

use rustix::thread::gettid;

/// The least real-time priority.
const LEAST: &str = "1";

/// The calling thread comes before all others that have not asked for this, as what it does takes microseconds. Without the right to
/// (`CAP_SYS_NICE`) it stays as it is.
pub fn is_urgent() {
    set("--fifo", LEAST);
}

/// The calling thread, and those that it starts, have what others leave.
pub fn is_idle() {
    set("--idle", "0");
}

/// No safe crate sets the policy of a thread; the program is part of util-linux.
fn set(policy: &str, priority: &str) {
    let thread = gettid().as_raw_nonzero().to_string();
    let outcome = Command::new("chrt")
        .args([policy, "--pid", priority, &thread])
        .output();
    let failure = match outcome {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    #[expect(
        clippy::print_stderr,
        reason = "the figures that follow are worse for it"
    )]
    {
        eprintln!("chrt {policy}: {failure}: threads of this test wait for each other");
    }
}
