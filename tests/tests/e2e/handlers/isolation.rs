//! What one tenant leaves in its memories, tables and globals is never seen by another.
//!
//! The native stack is not looked at, since no guest can: WebAssembly has no instruction that reads it. A guest has locals, which have no
//! address and which each call begins with at zero, and its calls return what they return. Whatever a compiler of a language needs an address of
//! (arrays, large frames) it puts into linear memory, which is looked at. What is asserted of locals is that zero, in frames that lie where
//! others have left the marker.

use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::server::Server;

/// Instances that look for the marker, each after one that has left it.
const REUSES: usize = 10_000;

/// What the length of a message asks for: see the head of `canary.wat`.
const FILL: usize = 1;
const SCAN: usize = 2;
const MEMORIES: usize = 4;
const TABLES: usize = 8;
const GLOBALS: usize = 16;
const EVERYWHERE: usize = MEMORIES | TABLES | GLOBALS;

#[test]
fn marker_that_one_handler_leaves_is_found_by_no_instance_of_another() {
    let canary = handlers::source("tests/guests/canary.wat");
    let server = Server::of(&canary)
        .arg("--protocol")
        .arg(format!("other={}", canary.display()))
        // So many failures, and the time that they take, are what is wanted here.
        .args(["--max-failures", "1000000", "--failure-window", "100ms"])
        .args(["--log-level", "error"]);
    let server = Administered::start(server);
    let traps = |protocol: &str, asked: usize| {
        let mut peer = match protocol {
            "" => server.open(),
            protocol => server.open_protocol(protocol),
        };
        peer.send_text(&"x".repeat(asked));
        peer.expect_close(1011);
    };
    // Who finds it computes for ever.
    let failed = |kind: &str| {
        server.metric(&format!(
            "wsrun_callbacks_failed_total{{handler=\"other\",kind=\"{kind}\"}}"
        ))
    };
    // An instance that fills and looks finds it, wherever it is: the test can fail.
    let places = [MEMORIES, TABLES, GLOBALS];
    for (number, place) in (1..).zip(places) {
        traps("other", FILL | SCAN | place);
        assert_eq!(failed("deadline"), number);
    }
    for _ in 0..REUSES {
        traps("", FILL | EVERYWHERE);
        traps("other", SCAN | EVERYWHERE);
    }
    assert_eq!(failed("trap"), REUSES as u64);
    assert_eq!(
        failed("deadline"),
        places.len() as u64,
        "the marker of another handler was found"
    );
}
