//! Which connections share an instance.

use std::collections::BTreeSet;

use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Server, run};

/// What an id tells of the worker that made it.
fn worker_of(peer: &mut Peer) -> u64 {
    peer.ask("id").parse::<u64>().expect("a number") >> 48
}

/// So many that the kernel spreads them over all workers.
const MANY: usize = 60;

#[test]
fn shared_handler_has_one_instance_for_the_connections_of_all_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let server = Server::of(handlers::probe())
        .args(["--workers", "4"])
        .listen("127.0.0.1:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    let mut peers: Vec<_> = (0..MANY).map(|_| server.open()).collect();
    let mut unix = Peer::unix(&path);
    unix.upgrade(&Request::upgrade("/"));
    peers.push(unix);
    let workers: BTreeSet<u64> = peers.iter_mut().map(worker_of).collect();
    assert_eq!(workers.len(), 1, "{workers:?}");
    // A global of the handler, which counts calls, is one for all.
    let mut last = 0;
    for peer in &mut peers {
        let calls: u64 = peer.ask("calls").parse().expect("a number");
        assert!(calls > last, "{calls} after {last}");
        last = calls;
    }
    assert_eq!(peers[0].ask("count"), peers.len().to_string());
    for peer in &mut peers {
        peer.send_binary(&vec![7; 100_000]);
        assert_eq!(peer.read_frame().payload.len(), 100_000);
    }
    for peer in peers {
        peer.close();
    }
}

#[test]
fn worker_scope_has_an_instance_for_each_worker() {
    let server = Server::of(handlers::probe())
        .args(["--workers", "4", "--scope", "worker"])
        .start();
    let mut peers: Vec<_> = (0..MANY).map(|_| server.open()).collect();
    let workers: BTreeSet<u64> = peers.iter_mut().map(worker_of).collect();
    assert!(workers.len() > 1, "{workers:?}");
}

#[test]
fn tls_goes_with_the_connection_and_frames_behind_the_request_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::probe())
        .args(["--workers", "4"])
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let mut workers = BTreeSet::new();
    for _ in 0..24 {
        let mut peer = Peer::tls(server.address(), certificate.trusting_client())
            .expect("the TLS handshake succeeds");
        // In one record with the request: what is read of it too early must not be lost.
        let mut bytes = Request::upgrade("/").encode();
        bytes.extend(Frame::new(frame::TEXT, "echo early").encode());
        bytes.extend(Frame::new(frame::TEXT, "echo earlier").encode());
        peer.send_bytes(&bytes);
        assert_eq!(peer.read_response().status, 101);
        peer.expect_text("early");
        peer.expect_text("earlier");
        workers.insert(worker_of(&mut peer));
        peer.send_binary(&vec![9; 200_000]);
        assert_eq!(peer.read_frame().payload.len(), 200_000);
        peer.close();
    }
    assert_eq!(workers.len(), 1, "{workers:?}");
}

#[test]
fn decisions_of_a_shared_handler_are_made_at_its_home() {
    let server = Server::of(handlers::built("gate"))
        .args(["--workers", "4", "--max-failures", "1000"])
        .start();
    for _ in 0..MANY {
        let mut peer = server.connect();
        let refused = peer.request(&Request::upgrade("/refuse"));
        assert_eq!(
            (refused.status, refused.header("x-gate")),
            (403, Some("no"))
        );
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::upgrade("/trap")).status, 500);
        let mut peer = server.connect();
        let accepted = peer.upgrade(&Request::upgrade("/"));
        assert_eq!(accepted.header("x-gate"), Some("yes"));
    }
}

#[test]
fn shared_handler_that_is_left_alone_refuses_at_every_worker() {
    let server = Server::of(handlers::built("gate"))
        .args(["--workers", "4", "--max-failures", "3"])
        .start();
    for _ in 0..4 {
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::upgrade("/trap")).status, 500);
    }
    for _ in 0..20 {
        let mut peer = server.connect();
        let refused = peer.request(&Request::upgrade("/"));
        assert_eq!(refused.status, 503);
        assert!(refused.header("retry-after").is_some());
    }
}

#[test]
fn plain_requests_of_a_shared_handler_are_answered_at_its_home() {
    let server = Server::of(handlers::built("http"))
        .args(["--workers", "4"])
        .start();
    for _ in 0..MANY {
        let mut peer = server.connect();
        let answer = peer.request(&Request::get("/anything"));
        assert!(answer.header("content-type").is_some(), "{answer:?}");
    }
    let server = Server::of(handlers::built("wasi-http"))
        .args(["--workers", "4"])
        .start();
    for _ in 0..MANY {
        let mut peer = server.connect();
        let page = peer.request(&Request::get("/"));
        assert!(page.text().starts_with("<!doctype html>"), "{page:?}");
    }
}

#[test]
fn each_handler_has_its_own_scope_and_homes_are_spread() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("two={}", handlers::probe().display()))
        .arg("--protocol")
        .arg(format!("three={}", handlers::probe().display()))
        .args(["--workers", "2", "--scope", "three=worker"])
        .start();
    let mut workers = Vec::new();
    for protocol in ["one", "two", "three"] {
        let peers = (0..MANY).map(|_| server.open_protocol(protocol));
        let workers_of: BTreeSet<u64> = peers.map(|mut peer| worker_of(&mut peer)).collect();
        workers.push(workers_of);
    }
    assert_eq!(workers[0].len(), 1);
    assert_eq!(workers[1].len(), 1);
    assert_ne!(workers[0], workers[1]);
    assert_eq!(workers[2].len(), 2);
}

#[test]
fn scope_of_nobody_is_a_mistake() {
    let echo = handlers::echo().display().to_string();
    for (scope, says) in [
        ("chat=worker", "no handler has this name"),
        ("thread", "is no scope"),
    ] {
        let ended = run([echo.as_str(), "--scope", scope]);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
}
