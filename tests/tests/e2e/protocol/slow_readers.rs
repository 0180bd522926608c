//! Clients that read slowly, or not at all, or send on although they were told to stop: who is served to the end, and who is cut off.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::wait;

const MIB: usize = 1 << 20;

/// Reads this much each time, and pauses: some 200 KB in a second. A third of a send buffer of some megabytes takes several seconds so.
const SLICE: usize = 32 * 1024;
const PAUSE: Duration = Duration::from_millis(150);

/// How long it is read slowly: more than twice the time that a peer may take nothing.
const SLOWLY: Duration = Duration::from_secs(8);
const WRITE_TIMEOUT: &str = "3s";

/// Reads slowly for a while, then to the end.
fn read_slowly(stream: &mut TcpStream, until: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    stream
        .set_read_timeout(Some(wait::PATIENCE))
        .expect("a timeout");
    let began = Instant::now();
    let mut all = Vec::new();
    let mut buffer = [0; SLICE];
    while !until(&all) {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => all.extend(&buffer[..length]),
            other => panic!(
                "ended after {} bytes and {:?}: {other:?}",
                all.len(),
                began.elapsed()
            ),
        }
        if began.elapsed() < SLOWLY {
            thread::sleep(PAUSE);
        }
    }
    all
}

#[test]
fn peer_that_reads_slowly_is_sent_everything() {
    const MESSAGES: usize = 100;
    const BYTES: usize = 100_000;
    let server = Server::of(handlers::probe())
        .args(["--write-timeout", WRITE_TIMEOUT, "--max-queue", "16MiB"])
        .start();
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .write_all(&Request::upgrade("/").encode())
        .expect("the request is taken");
    let flood = format!("send-flood {MESSAGES} {BYTES}");
    stream
        .write_all(&Frame::new(frame::TEXT, flood).encode())
        .expect("the message is taken");
    let end = format!("sent {MESSAGES} ok");
    let all = read_slowly(&mut stream, |all| all.ends_with(end.as_bytes()));
    assert!(all.len() > MESSAGES * BYTES, "{}", all.len());
}

#[test]
fn peer_that_reads_slowly_gets_the_close_frame_behind_what_was_queued() {
    const MESSAGES: usize = 60;
    const BYTES: usize = 100_000;
    // Most of it is in the hands of the kernel when the connection closes.
    let server = Server::of(handlers::probe())
        .args(["--close-timeout", WRITE_TIMEOUT, "--max-queue", "16MiB"])
        .start();
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .write_all(&Request::upgrade("/").encode())
        .expect("the request is taken");
    let flood = format!("in-one send-flood {MESSAGES} {BYTES}; close 4000 enough");
    stream
        .write_all(&Frame::new(frame::TEXT, flood).encode())
        .expect("the message is taken");
    let all = read_slowly(&mut stream, |all| all.ends_with(b"enough"));
    assert!(all.len() > MESSAGES * BYTES, "{}", all.len());
}

#[test]
fn download_that_is_read_slowly_is_sent_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = 12 * MIB;
    fs::write(folder.path().join("large.bin"), vec![b'l'; bytes]).expect("it can be written");
    let server = Server::of(handlers::echo())
        .args(["--write-timeout", "2s", "--static"])
        .arg(folder.path())
        .start();
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream
        .write_all(&Request::get("/large.bin").encode())
        .expect("the request is taken");
    read_slowly(&mut stream, |all| all.len() > bytes);
}

#[test]
fn client_that_reads_no_response_over_tls_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    fs::write(folder.path().join("large.bin"), vec![b'l'; 6 * MIB]).expect("it can be written");
    let server = Server::of(handlers::echo())
        .args([
            "--write-timeout",
            "1s",
            "--handshake-timeout",
            "5s",
            "--static",
        ])
        .arg(folder.path())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let before = server.usage().open_files();
    // One of them is larger than what the sockets take, by less than the TLS library takes beyond.
    let deaf: Vec<_> = (1..=120)
        .map(|number| {
            let client = certificate.trusting_client();
            let mut peer = Peer::tls(server.address(), client).expect("the TLS handshake succeeds");
            let range = format!("bytes=0-{}", number * 48 * 1024);
            peer.send_bytes(&Request::get("/large.bin").with("Range", &range).encode());
            peer
        })
        .collect();
    wait::until("every one of them is cut off", || {
        server.usage().open_files() <= before
    });
    drop(deaf);
}

#[test]
fn client_that_sends_a_message_over_the_limit_to_its_end_is_told_why_it_was_refused() {
    let server = Server::of(handlers::echo())
        .args(["--max-message", "1MiB"])
        .start();
    let mut peer = server.open();
    let piece = vec![0; MIB];
    let mut head = Frame::new(frame::BINARY, "").declaring(32 * MIB as u64);
    head.payload = Vec::new();
    peer.send_bytes(&head.encode());
    for number in 0..32 {
        let sent = peer.try_send_bytes(&piece);
        assert!(sent.is_ok(), "piece {number}: {sent:?}");
    }
    peer.expect_close(1009);
}

#[test]
fn client_that_sends_without_end_after_the_close_is_cut_off() {
    let server = Server::of(handlers::echo())
        .args(["--message-timeout", "2s", "--close-timeout", "1s"])
        .start();
    let before = server.usage().open_files();
    let mut peer = server.open();
    let head = Frame::new(frame::BINARY, "").declaring(1 << 40);
    peer.send_bytes(&head.encode());
    let piece = vec![0; 64 * 1024];
    let began = Instant::now();
    while peer.try_send_bytes(&piece).is_ok() {
        assert!(began.elapsed() < wait::PATIENCE, "it is read for ever");
        thread::sleep(Duration::from_millis(20));
    }
    wait::until("the descriptor is given back", || {
        server.usage().open_files() <= before
    });
}

#[test]
fn client_that_sends_a_body_over_the_limit_to_its_end_is_told_why_it_was_refused() {
    let server = Server::of(handlers::built("http"))
        .args(["--max-request-body", "64KiB"])
        .start();
    let mut peer = server.connect();
    let request = Request::method("POST", "/echo").with("Content-Length", &(2 * MIB).to_string());
    peer.send_bytes(&request.encode());
    let piece = vec![b'x'; MIB];
    for number in 0..2 {
        let sent = peer.try_send_bytes(&piece);
        assert!(sent.is_ok(), "piece {number}: {sent:?}");
    }
    assert_eq!(peer.read_response().status, 413);
}

#[test]
fn what_a_peer_said_is_heard_although_nothing_can_be_written_to_it() {
    let server = Server::of(handlers::probe())
        .args(["--max-queue", "16MiB"])
        .start();
    let mut watcher = server.open();
    assert_eq!(watcher.ask("subscribe closed-events"), "ok true");
    assert_eq!(watcher.ask("subscribe words"), "ok true");
    let mut peer = server.open();
    // Until the queue is full, with more than the sockets take: nothing is read from this peer then.
    peer.send_text("send-flood 400 100000");
    thread::sleep(Duration::from_millis(500));
    peer.send_text("publish words last words");
    peer.send(&Frame::close(4001, "bye"));
    thread::sleep(Duration::from_millis(200));
    // It goes with much unread: a reset.
    drop(peer);
    watcher.expect_text("last words");
    let event = watcher.read_text();
    assert!(
        event.contains("\"code\":4001") && event.contains("\"by\":\"peer\""),
        "{event}"
    );
}
