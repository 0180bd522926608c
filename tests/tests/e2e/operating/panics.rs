//! A panic of the host costs what it concerns, and nothing else. One is planted in each stage, which only a build for development allows.

use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::frame;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::wait::{self, PATIENCE};

const PANICS: &str = "wsrun_panics_total";

/// A server of the probe that panics the `time`th time that it comes to a stage.
fn planted(stage: &str, time: u32, arguments: &[&str]) -> Administered {
    Administered::start(
        Server::of(handlers::probe())
            .args(arguments)
            .env("WSRUN_TEST_PANIC", format!("{stage}:{time}")),
    )
}

/// It was counted and told; new and old peers are served, and the server stops as ever.
#[track_caller]
fn goes_on(mut server: Administered, others: Vec<Peer>) {
    wait::until("the panic is counted", || server.metric(PANICS) == 1);
    server.expect_log("a panic of the host");
    for mut other in others {
        assert_eq!(other.ask("echo still here"), "still here");
        other.close();
    }
    let mut new = server.open();
    assert_eq!(new.ask("echo new"), "new");
    new.close();
    wait::until("no connection is left", || {
        server.metric("wsrun_connections{handler=\"probe\"}") == 0
    });
    assert_eq!(server.metric(PANICS), 1);
    server.server.terminate();
    assert_eq!(server.server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn panic_in_a_callback_or_its_effects_costs_the_connection_that_it_was_for() {
    if !cfg!(debug_assertions) {
        return;
    }
    // Calls are counted from the first `opened`: those of two connections, and a message of the first.
    for (stage, time) in [("call", 4), ("import", 2), ("apply", 4)] {
        for scope in ["shared", "worker", "connection"] {
            let server = planted(stage, time, &["--scope", scope]);
            let mut other = server.open();
            let mut guilty = server.open();
            assert_eq!(other.ask("echo a"), "a");
            guilty.send_text("echo b");
            guilty.expect_close(1011);
            drop(guilty);
            goes_on(server, vec![other]);
        }
    }
}

#[test]
fn panic_of_what_accepts_costs_the_connection_that_was_accepted() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = planted("accept-loop", 2, &[]);
    let other = server.open();
    server.connect().read_to_end();
    goes_on(server, vec![other]);
}

#[test]
fn panic_while_a_connection_is_read_costs_that_connection() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = planted("feed", 2, &[]);
    let mut other = server.open();
    let mut guilty = server.open();
    assert_eq!(other.ask("subscribe closed-events"), "ok true");
    guilty.send_text("echo b");
    guilty.read_to_end();
    // The handler is told its end, once.
    let told = other.read_text();
    assert!(told.contains("1006"), "{told}");
    goes_on(server, vec![other]);
}

#[test]
fn panic_in_the_life_of_an_instance_closes_its_connections_and_another_begins() {
    if !cfg!(debug_assertions) {
        return;
    }
    for scope in ["shared", "connection"] {
        // Two openings and a message come in three batches at most; what follows is a batch each.
        let server = planted("life", 4, &["--scope", scope]);
        let mut other = server.open();
        let mut guilty = server.open();
        assert_eq!(other.ask("echo a"), "a");
        let close = loop {
            guilty.send_text("echo b");
            let frame = guilty.read_frame();
            if frame.opcode == frame::CLOSE {
                break frame;
            }
            assert_eq!(frame.payload, b"b");
        };
        assert_eq!(close.payload[..2], 1011_u16.to_be_bytes());
        drop(guilty);
        if scope == "connection" {
            goes_on(server, vec![other]);
        } else {
            other.expect_close(1011);
            drop(other);
            goes_on(server, Vec::new());
        }
    }
}

#[test]
fn panic_before_a_connection_is_one_costs_that_socket() {
    if !cfg!(debug_assertions) {
        return;
    }
    for stage in ["accept", "upgrade"] {
        let server = planted(stage, 2, &["--max-connections", "2"]);
        let mut other = server.open();
        assert_eq!(other.ask("echo a"), "a");
        let mut guilty = server.connect();
        guilty.send_bytes(&Request::upgrade("/").encode());
        guilty.read_to_end();
        goes_on(server, vec![other]);
    }
}

#[test]
fn panic_on_the_way_to_the_home_of_a_handler_costs_that_handshake() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = planted("door", 1, &["--workers", "2"]);
    // Some of them are accepted by the worker that has no instance.
    let (mut open, mut refused) = (Vec::new(), 0);
    wait::until("a handshake was refused", || {
        let mut peer = server.connect();
        match peer.request(&Request::upgrade("/")).status {
            101 => open.push(peer),
            status => {
                assert_eq!(status, 500);
                refused += 1;
            }
        }
        refused > 0
    });
    goes_on(server, open);
}

#[test]
fn panic_at_a_timer_costs_that_timer() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = planted("timers", 1, &[]);
    let mut other = server.open();
    assert!(other.ask("timer-conn 1 1").starts_with("ok"));
    wait::until("the timer panicked", || server.metric(PANICS) == 1);
    assert!(other.ask("timer-conn 1 2").starts_with("ok"));
    let told = other.read_text();
    assert!(told.ends_with(" 2"), "{told}");
    goes_on(server, vec![other]);
}

#[test]
fn panic_at_a_message_of_another_worker_costs_that_message() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = planted("remote", 1, &["--workers", "2", "--scope", "worker"]);
    // The end of a connection is published to other workers as well: those that are not needed stay.
    let (mut peers, mut spare) = (Vec::new(), Vec::new());
    while peers.len() < 2 {
        let mut peer = server.open();
        let worker = peer.ask("id").parse::<u64>().expect("a number") >> 48;
        match worker == peers.len() as u64 {
            true => peers.push(peer),
            false => spare.push(peer),
        }
    }
    assert_eq!(peers[0].ask("subscribe t"), "ok true");
    peers[1].send_text("publish t lost");
    peers[1].expect_text("0");
    wait::until("it panicked", || server.metric(PANICS) == 1);
    assert_eq!(peers[1].ask("publish t arrives"), "0");
    peers[0].expect_text("arrives");
    peers.append(&mut spare);
    goes_on(server, peers);
}

#[test]
fn panic_during_a_swap_keeps_the_connections_and_a_swap_succeeds_later() {
    if !cfg!(debug_assertions) {
        return;
    }
    for stage in ["swap", "settle", "asked", "spare"] {
        let server = planted(stage, 1, &["--trial-time", "50ms"]);
        let mut other = server.open();
        if stage == "spare" {
            // Another is prepared when the one that was ready has taken over.
            let mut guilty = server.open();
            guilty.send_text("trap");
            guilty.expect_close(1011);
            drop(guilty);
        } else {
            let ended = server.ctl(["swap"]);
            assert_eq!(ended.code, Some(1), "{stage}: {}", ended.stderr);
            assert!(
                !ended.stderr.contains("the server has stopped"),
                "{stage}: {}",
                ended.stderr
            );
        }
        assert_eq!(other.ask("echo a"), "a");
        let ended = server.ctl(["swap"]);
        assert_eq!(ended.code, Some(0), "{stage}: {}", ended.stderr);
        goes_on(server, vec![other]);
    }
}

#[test]
fn panic_in_an_outbound_connection_tells_the_handler_its_end() {
    if !cfg!(debug_assertions) {
        return;
    }
    let server = planted("client", 1, &["--allow-connect", "127.0.0.1:9"]);
    let mut other = server.open();
    assert_eq!(other.ask("subscribe closed-events"), "ok true");
    let id = other.ask(r#"connect {"url":"ws://127.0.0.1:9/"}"#);
    assert!(id.starts_with("ok"), "{id}");
    let told = other.read_text();
    assert!(told.contains("1006"), "{told}");
    goes_on(server, vec![other]);
}

#[test]
fn panic_at_the_answer_to_a_plain_request_costs_that_request() {
    if !cfg!(debug_assertions) {
        return;
    }
    for (guest, stage) in [("http", "call"), ("wasi-http", "incoming")] {
        let server = Administered::start(
            Server::of(handlers::built(guest)).env("WSRUN_TEST_PANIC", format!("{stage}:1")),
        );
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::get("/hello")).status, 500);
        wait::until("the panic is counted", || server.metric(PANICS) == 1);
        let mut peer = server.connect();
        assert_ne!(peer.request(&Request::get("/hello")).status, 500);
    }
}

#[test]
fn repeated_panics_of_a_handler_leave_it_alone_as_traps_do() {
    if !cfg!(debug_assertions) {
        return;
    }
    // From the first on, each time.
    let server = planted("call", 0, &["--max-failures", "3"]);
    let backed_off = "wsrun_backed_off_workers{handler=\"probe\"}";
    wait::until("it is left alone", || {
        let mut peer = server.connect();
        let _ = peer.request(&Request::upgrade("/"));
        server.metric(backed_off) == 1
    });
    wait::until("peers are told so", || {
        let mut peer = server.connect();
        peer.request(&Request::upgrade("/")).status == 503
    });
    // It computes nothing meanwhile.
    let before = server.usage().cpu();
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.usage().cpu() - before < Duration::from_millis(250));
}
