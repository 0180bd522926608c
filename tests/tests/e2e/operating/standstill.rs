//! A process that stood still (stopped by a debugger, by `docker pause`, with its virtual machine) and goes on: what came meanwhile is
//! looked at before anybody is given up for silence.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Server, binary};
use wsrun_tests::wait::PATIENCE;

/// Longer than every timeout of these servers.
const STANDSTILL: Duration = Duration::from_secs(5);

/// Does something while the server stands still.
fn while_stopped<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    server.signal(Signal::STOP);
    let result = work();
    thread::sleep(STANDSTILL);
    server.signal(Signal::CONT);
    result
}

#[test]
fn peers_that_spoke_while_the_server_stood_still_are_heard() {
    let server = Server::of(handlers::echo())
        .args(["--idle-timeout", "2s", "--ping-interval", "off"])
        .start();
    let mut peers: Vec<_> = (0..10).map(|_| server.open()).collect();
    while_stopped(&server, || {
        for peer in &mut peers {
            peer.send_text("meanwhile");
        }
    });
    for mut peer in peers {
        peer.expect_text("meanwhile");
        peer.close();
    }
}

#[test]
fn silent_peer_is_asked_before_it_is_given_up() {
    let server = Server::of(handlers::echo())
        .args(["--idle-timeout", "4s", "--ping-interval", "2s"])
        .start();
    let mut peer = server.open();
    while_stopped(&server, || {});
    // However late its own timer is, the server has not heard an answer to a ping that it has not sent.
    let ping = peer.read_raw_frame();
    assert_eq!(ping.opcode, frame::PING, "{ping:?}");
    peer.send(&Frame::new(frame::PONG, &ping.payload));
    assert_eq!(peer.ask("here"), "here");
}

#[test]
fn message_that_arrived_in_the_meantime_is_no_slow_message() {
    let server = Server::of(handlers::echo())
        .args(["--message-timeout", "2s", "--ping-interval", "off"])
        .start();
    let mut peer = server.open();
    let message = Frame::new(frame::TEXT, "in two parts").encode();
    let (beginning, rest) = message.split_at(8);
    peer.send_bytes(beginning);
    // It has been read.
    thread::sleep(Duration::from_millis(200));
    while_stopped(&server, || peer.send_bytes(rest));
    peer.expect_text("in two parts");
}

#[test]
fn answer_to_a_close_frame_that_arrived_in_the_meantime_is_seen() {
    let server = Server::of(handlers::probe())
        .args(["--close-timeout", "2s"])
        .start();
    let mut watcher = server.open();
    assert_eq!(watcher.ask("subscribe closed-events"), "ok true");
    let mut peer = server.open();
    peer.send_text("close 4000 enough");
    peer.expect_close(4000);
    while_stopped(&server, || peer.send(&Frame::close(4000, "")));
    let event = watcher.read_text();
    assert!(event.contains("\"clean\":true"), "{event}");
}

#[test]
fn peer_that_reads_again_is_not_cut_off_for_the_time_that_the_server_stood_still() {
    const MESSAGES: usize = 100;
    let server = Server::of(handlers::probe())
        .args(["--write-timeout", "2s", "--max-queue", "16MiB"])
        .args(["--ping-interval", "off"])
        .start();
    let mut peer = server.open();
    // More than the sockets take.
    peer.send_text(&format!("send-flood {MESSAGES} 100000"));
    thread::sleep(Duration::from_millis(500));
    while_stopped(&server, || {});
    for number in 0..MESSAGES {
        let frame = peer.read_frame();
        assert_eq!(frame.payload.len(), 100_000, "message {number}");
    }
    peer.expect_text(&format!("sent {MESSAGES} ok"));
}

#[test]
fn handshakes_that_went_on_in_the_meantime_succeed() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let plain = Server::of(handlers::built("http"))
        .args(["--handshake-timeout", "2s", "--message-timeout", "3s"])
        .start();
    let secure = Server::of(handlers::echo())
        .args(["--handshake-timeout", "2s"])
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let upgrade = Request::upgrade("/").encode();
    let (beginning, rest) = upgrade.split_at(20);
    let mut opening = plain.connect();
    opening.send_bytes(beginning);
    let mut posting = plain.connect();
    posting.send_bytes(
        &Request::method("POST", "/echo")
            .with("Content-Length", "10")
            .encode(),
    );
    posting.send_bytes(b"hello");
    // What has arrived was read, and the TLS server has accepted.
    let address = secure.address();
    let client = certificate.trusting_client();
    secure.signal(Signal::STOP);
    let shaking = thread::spawn(move || Peer::tls(address, client));
    thread::sleep(Duration::from_millis(200));
    while_stopped(&plain, || {
        opening.send_bytes(rest);
        posting.send_bytes(b"world");
    });
    secure.signal(Signal::CONT);
    assert_eq!(opening.read_response().status, 101);
    let response = posting.read_response();
    assert!(
        response.text().contains(r#""body":"helloworld""#),
        "{response:?}"
    );
    let shaken = shaking.join().expect("it does not panic");
    let mut peer = shaken.expect("the TLS handshake succeeds");
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("privately"), "privately");
}

#[test]
fn tls_handshake_that_was_under_way_succeeds() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::echo())
        .args(["--handshake-timeout", "2s"])
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    // The beginning of a ClientHello: a record of 512 bytes, of which these are the first.
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    client
        .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])
        .expect("it is taken");
    thread::sleep(Duration::from_millis(200));
    while_stopped(&server, || {});
    // It has its whole time again: nothing came meanwhile, and nobody could have answered.
    client
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let read = std::io::Read::read(&mut client, &mut [0; 16]);
    let error = read.expect_err("the connection is open and silent");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn server_that_stood_still_while_it_drains_sees_who_has_closed() {
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "2s", "--close-timeout", "2s"])
        .start();
    let mut peer = server.open();
    server.terminate();
    peer.expect_close(1001);
    while_stopped(&server, || peer.send(&Frame::close(1001, "")));
    peer.expect_end();
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

/// Somebody who is connected to, has read the head of the request and has not answered.
fn asked(listener: &TcpListener) -> (TcpStream, String) {
    let (stream, _) = listener.accept().expect("it connects");
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a head is text") > 0);
    }
    (stream, head)
}

fn answer(stream: &mut TcpStream, head: &str) {
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a client sends a key");
    let accept = wsrun_proto::http::upgrade::accept_value(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).expect("it reads");
}

#[test]
fn who_is_connected_to_has_the_whole_time_after_a_standstill() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    let server = Server::of(handlers::probe())
        .args(["--allow-connect", "127.0.0.1", "--connect-timeout", "4s"])
        .args(["--ping-interval", "off"])
        .start();
    let mut events = server.open();
    assert_eq!(events.ask("subscribe opened-events"), "ok true");
    let mut control = server.open();
    let reply = control.ask(&format!("connect {{\"url\": \"{url}\"}}"));
    assert!(reply.starts_with("ok "), "{reply}");
    let (mut stream, head) = asked(&listener);
    while_stopped(&server, || {});
    // Whose time was over has given up by now.
    thread::sleep(Duration::from_millis(500));
    answer(&mut stream, &head);
    let event = events.read_text();
    assert!(event.contains("client"), "{event}");

    let mut client = Command::new(binary())
        .args(["connect", "--connect-timeout", "4s", &url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let (mut stream, head) = asked(&listener);
    let pid = Pid::from_child(&client);
    kill_process(pid, Signal::STOP).expect("it lives");
    thread::sleep(STANDSTILL);
    kill_process(pid, Signal::CONT).expect("it lives");
    thread::sleep(Duration::from_millis(500));
    answer(&mut stream, &head);
    // Its input has ended: it closes, with a frame that is masked.
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).expect("it is connected");
    assert_eq!(frame, [0x88, 0x82]);
    client.kill().expect("it lives");
    client.wait().expect("a child can be waited for");
}
