//! What one tenant leaves in its memory is never seen by another.

use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::server::Server;

/// Instances that look for the marker, each after one that has left it.
const REUSES: usize = 10_000;

const FILL: &str = "x";
const SCAN: &str = "xx";
const FILL_AND_SCAN: &str = "xxx";

#[test]
fn marker_in_the_memory_of_one_handler_is_found_by_no_instance_of_another() {
    let canary = handlers::source("tests/guests/canary.wat");
    let server = Server::of(&canary)
        .arg("--protocol")
        .arg(format!("other={}", canary.display()))
        .args(["--max-failures", "1000000", "--log-level", "error"]);
    let server = Administered::start(server);
    let traps = |protocol: &str, text: &str| {
        let mut peer = match protocol {
            "" => server.open(),
            protocol => server.open_protocol(protocol),
        };
        peer.send_text(text);
        peer.expect_close(1011);
    };
    // Who finds it computes for ever.
    let failed = |kind: &str| {
        server.metric(&format!(
            "wsrun_callbacks_failed_total{{handler=\"other\",kind=\"{kind}\"}}"
        ))
    };
    // An instance that fills and looks finds it: the test can fail.
    traps("other", FILL_AND_SCAN);
    assert_eq!(failed("deadline"), 1);
    for _ in 0..REUSES {
        traps("", FILL);
        traps("other", SCAN);
    }
    assert_eq!(failed("trap"), REUSES as u64);
    assert_eq!(
        failed("deadline"),
        1,
        "the marker of another handler was found"
    );
}
