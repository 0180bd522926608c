//! The judge of the conformance suite. The suite itself is run by `scripts/autobahn-server` and `scripts/autobahn-client`.

use std::process::Command;

use wsrun_tests::{environment, handlers};

#[test]
fn judge_of_the_conformance_suite_accepts_and_rejects_what_it_should() {
    let mut judge = Command::new("python3");
    judge
        .arg(handlers::source("tests/conformance/check.py"))
        .arg("--self-test");
    environment::succeeds(judge);
}
