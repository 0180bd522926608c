//! Components that export `wasi:http/incoming-handler`: an instance of its own for each plain request.

use std::ffi::OsString;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Builder, Ended, Server, run};
use wsrun_tests::wait::until;

fn server() -> Builder {
    Server::of(handlers::built("wasi-http"))
}

#[track_caller]
fn post(peer: &mut Peer, target: &str, body: &[u8]) {
    let request = Request::method("POST", target).with("Content-Length", &body.len().to_string());
    peer.send_bytes(&[&request.encode(), body].concat());
}

#[test]
fn seed_23_one_component_serves_its_page_by_wasi_http_and_its_sockets() {
    let server = server().start();
    let mut peer = server.connect();
    let page = peer.request(&Request::get("/?a=1"));
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html"));
    assert!(page.text().starts_with("<!doctype html>"), "{page:?}");
    let body = vec![b'e'; 300_000];
    post(&mut peer, "/echo", &body);
    assert_eq!(peer.read_response().body, body);
    assert_eq!(peer.request(&Request::get("/elsewhere")).status, 404);
    peer.send_bytes(&Request::method("HEAD", "/").encode());
    assert_eq!(
        peer.try_read_head().expect("there is an answer").status,
        404
    );
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("a socket"), "a socket");
}

#[test]
fn request_publishes_to_the_sockets_of_its_handler() {
    let server = server().start();
    let mut first = server.open();
    let mut second = server.open();
    assert_eq!(first.ask("open"), "open");
    assert_eq!(second.ask("open"), "open");
    let mut peer = server.connect();
    assert_eq!(peer.request(&Request::get("/count")).text(), "2");
    post(&mut peer, "/broadcast", b"to everybody");
    assert_eq!(peer.read_response().status, 202);
    first.expect_text("to everybody");
    second.expect_text("to everybody");
    // A trap takes everything back that the instance had asked for, though its response was sent.
    post(&mut peer, "/broadcast-then-trap", b"to nobody");
    let _ = peer.try_read_response();
    server.expect_log("incoming-handler.handle");
    assert_eq!(first.ask("nothing came"), "nothing came");
}

#[test]
fn body_streams_while_it_is_written_and_waits_for_the_client() {
    let server = server()
        .args(["--blocking-timeout", "20s", "--callback-timeout", "20s"])
        .start();
    let mut peer = server.connect();
    for bytes in [0, 1, 999, 1_000, 1_000_000] {
        let response = peer.request(&Request::get(&format!("/stream/{bytes}")));
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.body.len(), bytes);
    }
    // A body that has no end costs no memory while nobody reads it.
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let mut peers: Vec<Peer> = (0..20)
        .map(|_| {
            let mut peer = server.connect();
            peer.send_bytes(&Request::get("/stream/1000000000").encode());
            peer
        })
        .collect();
    for peer in &mut peers {
        assert_eq!(peer.try_read_head().expect("the head comes").status, 200);
    }
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(grown < 100 << 20, "{grown} bytes for 20 bodies");
    drop(peers);
    assert_eq!(server.connect().request(&Request::get("/")).status, 200);
}

#[test]
fn failure_is_a_500_and_one_behind_the_head_ends_the_connection() {
    let server = server().start();
    let mut peer = server.connect();
    for target in ["/trap", "/loop", "/nothing", "/stream/x"] {
        let response = peer.request(&Request::get(target));
        assert_eq!(response.status, 500, "{target}");
        assert_eq!(
            response.text(),
            "500 internal server error: the handler failed\n"
        );
    }
    server.expect_log("returned without a response");
    let mut peer = server.connect();
    peer.send_bytes(&Request::get("/stream-then-trap").encode());
    let answer = peer.read_to_end();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // The last chunk, which would make it whole, is missing.
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
    let mut socket = server.open();
    assert_eq!(socket.ask("unharmed"), "unharmed");
}

#[test]
fn requests_beyond_the_limit_wait_and_are_then_refused() {
    let server = server()
        .args(["--max-http-instances", "1", "--handshake-timeout", "500ms"])
        .args(["--blocking-timeout", "20s", "--callback-timeout", "10s"])
        .start();
    let mut holds = server.connect();
    holds.send_bytes(&Request::get("/stream/1000000000").encode());
    assert_eq!(holds.try_read_head().expect("the head comes").status, 200);
    let refused = server.connect().request(&Request::get("/"));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let mut socket = server.open();
    assert_eq!(socket.ask("sockets go on"), "sockets go on");
    // Its client is gone: the next write of the instance fails, and it ends.
    drop(holds);
    until("the place is free", || {
        server.connect().request(&Request::get("/")).status == 200
    });
}

#[test]
fn clients_that_read_nothing_do_not_keep_others_from_an_instance() {
    let server = server()
        .args(["--max-http-instances", "2", "--handshake-timeout", "10m"])
        .args(["--blocking-timeout", "10m", "--callback-timeout", "1m"])
        .start();
    let mut silent: Vec<Peer> = (0..4)
        .map(|_| {
            let mut peer = server.connect();
            peer.send_bytes(&Request::get("/stream/1000000000").encode());
            peer
        })
        .collect();
    // Two have the instances, and the other two wait before this one.
    for peer in &mut silent {
        assert_eq!(peer.try_read_head().expect("the head comes").status, 200);
    }
    assert_eq!(server.connect().request(&Request::get("/")).status, 200);
    // A body that was cut does not look whole.
    let rest = silent[0].read_to_end();
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[test]
fn instance_is_ended_when_its_time_is_over() {
    let server = server()
        .args(["--blocking-timeout", "500ms", "--callback-timeout", "500ms"])
        .start();
    let mut peer = server.connect();
    peer.send_bytes(&Request::get("/stream/1000000000").encode());
    assert_eq!(peer.try_read_head().expect("the head comes").status, 200);
    server.expect_log("--blocking-timeout");
    peer.read_to_end();
}

#[test]
fn body_over_the_limit_reaches_no_instance() {
    let server = server().args(["--max-request-body", "1000"]).start();
    let mut peer = server.connect();
    post(&mut peer, "/echo", &[b'x'; 1001]);
    assert_eq!(peer.read_response().status, 413);
    peer.read_to_end();
}

#[test]
fn outgoing_requests_are_denied() {
    let server = server().start();
    let answer = server.connect().request(&Request::get("/fetch"));
    assert!(
        answer.text().contains("HttpRequestDenied"),
        "{}",
        answer.text()
    );
}

#[test]
fn files_come_before_wasi_http() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file.txt"), "a file").expect("the folder can be written");
    let server = server().arg("--static").arg(folder.path()).start();
    let mut peer = server.connect();
    assert_eq!(peer.request(&Request::get("/file.txt")).text(), "a file");
    assert!(peer.request(&Request::get("/")).text().contains("wasi"));
}

#[test]
fn inspect_tells_of_plain_requests() {
    let wasi = handlers::built("wasi-http");
    let ended = run(["inspect".as_ref(), wasi.as_os_str()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("wasi:http/incoming-handler@0.2."),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("an instance for each"), "{ended:?}");
    let http = handlers::built("http");
    let ended = run(["inspect".as_ref(), http.as_os_str()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("answers plain requests"), "{ended:?}");
    assert!(ended.stdout.contains("--files DIR"), "{ended:?}");
}

/// Servers whose handler may be in the worker of its client, in another, or be asked beside an instance for each connection.
const PLACES: [[&str; 4]; 3] = [
    ["--workers", "1", "--scope", "shared"],
    ["--workers", "2", "--scope", "shared"],
    ["--workers", "1", "--scope", "connection"],
];

/// Blocks until the trial is over.
fn swap(admin: &str, new: &str) -> Ended {
    let file = handlers::built(new);
    let arguments = ["ctl", "--admin", admin, "swap"].map(OsString::from);
    run(arguments.into_iter().chain([file.into_os_string()]))
}

/// Starts `old`, has `new` take over, and sends a request during its trial, which that fails. The old version's socket lives on.
#[track_caller]
fn failing_the_trial(place: &[&str], old: &str, new: &str, ask: impl Fn(&mut Peer)) {
    let server = Server::of(handlers::built(old)).args(place);
    let admin = Administered::start(server.args(["--trial-time", "60s"]));
    let mut socket = admin.open();
    assert_eq!(socket.ask("before"), "before");
    let socket_path = admin.socket();
    thread::scope(|scope| {
        let swap = scope.spawn(|| swap(&socket_path, new));
        admin.expect_log("a new version has taken over");
        ask(&mut admin.connect());
        let ended = swap.join().expect("it ends");
        assert_eq!(ended.code, Some(1), "{place:?}: {}", ended.stderr);
    });
    admin.expect_log("the new version was given up");
    assert_eq!(socket.ask("after"), "after");
    let refused = admin.metric("wsrun_handshakes_refused_total{reason=\"malformed\"}");
    assert_eq!(refused, 0, "a plain request is no handshake");
}

#[test]
fn request_that_fails_the_trial_of_another_interface_is_answered_by_the_old_version() {
    for place in &PLACES {
        failing_the_trial(place, "wasi-http", "http", |peer| {
            // Where `http` traps for what is no number.
            let response = peer.request(&Request::get("/status/x"));
            assert_eq!((response.status, response.text()), (404, "not found\n"));
            assert_eq!(peer.request(&Request::get("/")).status, 200);
        });
    }
}

#[test]
fn failure_by_wasi_http_fails_the_trial_and_the_old_version_answers() {
    for place in &PLACES {
        failing_the_trial(place, "http", "wasi-http", |peer| {
            let response = peer.request(&Request::get("/header/trap"));
            assert_eq!(response.text(), "with a header\n");
        });
    }
}

#[test]
fn failure_behind_the_head_of_a_response_fails_the_trial_too() {
    failing_the_trial(&PLACES[0], "http", "wasi-http", |peer| {
        peer.send_bytes(&Request::get("/stream-then-trap").encode());
        assert!(peer.try_read_response().is_err(), "it is cut short");
    });
}

#[test]
fn clients_are_answered_throughout_swaps_between_the_two_interfaces() {
    let server = Server::of(handlers::built("http"));
    let server = server.args(["--workers", "2", "--trial-time", "50ms"]);
    let admin = Administered::start(server);
    let (socket_path, address) = (admin.socket(), admin.address());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut peer = Peer::tcp(address);
                while !done.load(Ordering::Relaxed) {
                    post(&mut peer, "/echo", b"body");
                    let response = peer.read_response();
                    assert_eq!(response.status, 200, "{response:?}");
                }
            });
        }
        let swaps = scope.spawn(|| {
            for new in ["wasi-http", "http", "wasi-http", "http"] {
                let ended = swap(&socket_path, new);
                assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            }
        });
        let swapped = swaps.join();
        done.store(true, Ordering::Relaxed);
        swapped.expect("all swaps succeed");
    });
}

#[test]
fn handler_whose_requests_fail_again_and_again_is_left_alone_and_comes_back() {
    let server = server().args(["--max-failures", "2"]).start();
    let mut socket = server.open();
    assert_eq!(socket.ask("open"), "open");
    for _ in 0..3 {
        let response = server.connect().request(&Request::get("/trap"));
        assert_eq!(response.status, 500);
    }
    assert_eq!(socket.expect_close(1013), "handler fails again and again");
    server.expect_log("left alone for 1s");
    until("it answers again", || {
        server.connect().request(&Request::get("/")).status == 200
    });
}
