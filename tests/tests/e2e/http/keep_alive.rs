//! One HTTP connection, several requests, and the upgrade behind them.

use std::fs;
use std::time::Duration;

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::Server;

fn served(arguments: &[&str]) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..10 {
        let file = folder.path().join(format!("{number}.txt"));
        fs::write(file, format!("file {number}")).expect("the folder can be written");
    }
    let large = folder.path().join("large.bin");
    fs::write(large, vec![b'l'; 3 << 20]).expect("the folder can be written");
    let server = Server::of(handlers::built("http"))
        .arg("--static")
        .arg(folder.path())
        .args(arguments)
        .start();
    (folder, server)
}

#[test]
fn pipelined_requests_are_answered_in_order_and_then_upgraded() {
    let (_folder, server) = served(&[]);
    let mut peer = server.connect();
    let mut wire = Vec::new();
    for number in 0..10 {
        wire.extend(Request::get(&format!("/{number}.txt")).encode());
        // Answered by the handler, and no faster than the file behind it may be.
        wire.extend(Request::get("/hello").encode());
    }
    wire.extend(Request::get("/large.bin").encode());
    wire.extend(
        Request::method("POST", "/echo")
            .with("Content-Length", "5")
            .encode(),
    );
    wire.extend(b"hello");
    wire.extend(Request::upgrade("/").encode());
    for text in ["first", "second", "third"] {
        wire.extend(Frame::new(frame::TEXT, text).encode());
    }
    peer.send_bytes(&wire);
    for number in 0..10 {
        assert_eq!(peer.read_response().text(), format!("file {number}"));
        assert_eq!(peer.read_response().text(), "hello\n");
    }
    assert_eq!(peer.read_response().body.len(), 3 << 20);
    let response = peer.read_response();
    assert!(
        response.text().contains(r#""body":"hello""#),
        "{response:?}"
    );
    assert_eq!(peer.read_response().status, 101);
    for text in ["first", "second", "third"] {
        peer.expect_text(text);
    }
    peer.close();
}

#[test]
fn frames_in_the_packet_of_the_upgrade_are_read() {
    let (_folder, server) = served(&[]);
    let mut peer = server.connect();
    let mut wire = Request::upgrade("/").encode();
    wire.extend(Frame::new(frame::TEXT, "early").encode());
    let late = Frame::new(frame::TEXT, "in two packets").encode();
    let (beginning, rest) = late.split_at(4);
    wire.extend(beginning);
    peer.send_bytes(&wire);
    assert_eq!(peer.read_response().status, 101);
    peer.expect_text("early");
    peer.send_bytes(rest);
    peer.expect_text("in two packets");
}

#[test]
fn requests_with_bodies_keep_the_connection() {
    let (_folder, server) = served(&[]);
    let mut peer = server.connect();
    for body in ["", "x", &"y".repeat(100_000)] {
        let mut wire = Request::method("POST", "/echo")
            .with("Content-Length", &body.len().to_string())
            .encode();
        wire.extend(body.as_bytes());
        peer.send_bytes(&wire);
        let response = peer.read_response();
        let bytes = format!(r#""bytes":{}"#, body.len());
        assert!(response.text().contains(&bytes), "{response:?}");
    }
    peer.send_bytes(
        &Request::method("POST", "/echo")
            .with("Transfer-Encoding", "chunked")
            .encode(),
    );
    peer.send_bytes(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: yes\r\n\r\n");
    assert!(peer.read_response().text().contains(r#""body":"abcde""#));
    // What looks like a request within a body is a body.
    let smuggled = Request::get("/0.txt").encode();
    let mut wire = Request::method("POST", "/echo")
        .with("Content-Length", &smuggled.len().to_string())
        .encode();
    wire.extend(&smuggled);
    wire.extend(Request::get("/1.txt").encode());
    peer.send_bytes(&wire);
    let response = peer.read_response();
    assert!(response.text().contains(r"GET /0.txt"), "{response:?}");
    assert_eq!(peer.read_response().text(), "file 1");
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("after all of it"), "after all of it");
}

#[test]
fn connection_ends_when_a_side_says_so() {
    let (_folder, server) = served(&[]);
    let mut peer = server.connect();
    let mut wire = Request::get("/0.txt").with("Connection", "close").encode();
    wire.extend(Request::get("/1.txt").encode());
    peer.send_bytes(&wire);
    let answer = String::from_utf8_lossy(&peer.read_to_end()).into_owned();
    assert!(answer.contains("file 0"), "{answer}");
    assert!(!answer.contains("file 1"), "{answer}");

    let mut peer = server.connect();
    peer.send_bytes(b"GET /0.txt HTTP/1.0\r\n\r\nGET /1.txt HTTP/1.0\r\n\r\n");
    let answer = String::from_utf8_lossy(&peer.read_to_end()).into_owned();
    assert!(
        answer.contains("file 0") && !answer.contains("file 1"),
        "{answer}"
    );

    let mut peer = server.connect();
    peer.send_bytes(b"GET /0.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(peer.read_response().text(), "file 0");
    peer.send_bytes(b"GET /1.txt HTTP/1.0\r\n\r\n");
    assert_eq!(peer.read_response().text(), "file 1");
    peer.expect_end();
}

#[test]
fn idle_connection_is_let_go() {
    let (_folder, server) = served(&["--handshake-timeout", "500ms"]);
    let mut peer = server.connect();
    assert_eq!(peer.request(&Request::get("/0.txt")).status, 200);
    assert_eq!(peer.request(&Request::get("/hello")).status, 200);
    peer.read_to_end();
}

#[test]
fn response_that_nobody_reads_ends_the_connection() {
    let (_folder, server) = served(&["--write-timeout", "500ms"]);
    let files = server.usage().open_files();
    let mut peer = server.connect();
    let request = Request::get("/large.bin").encode().repeat(100);
    peer.set_write_timeout(Duration::from_secs(2));
    let _ = peer.try_send_bytes(&request);
    wsrun_tests::wait::until("the descriptors are given back", || {
        server.usage().open_files() <= files
    });
}
