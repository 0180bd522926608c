//! What a handler may ask of its connections: session data, the opening request, pings, closes, backpressure, stopped reading.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;

fn probe() -> Server {
    Server::of(handlers::probe()).start()
}

/// A peer that is told of every connection that closes.
fn watcher(server: &Server) -> Peer {
    let mut peer = server.open();
    assert_eq!(peer.ask("subscribe closed-events"), "ok true");
    peer
}

#[track_caller]
fn expect_closed(watcher: &mut Peer, code: u16, by: &str, clean: bool) -> Value {
    let event: Value = serde_json::from_str(&watcher.read_text()).expect("the probe tells JSON");
    let seen = json!({"code": event["code"], "by": event["by"], "clean": event["clean"]});
    assert_eq!(
        seen,
        json!({"code": code, "by": by, "clean": clean}),
        "{event}"
    );
    event
}

/// The end arrives while the handler computes, in a read of its own.
#[track_caller]
fn message_is_answered_before(end: &Frame, code: u16) {
    let server = Server::of(handlers::probe())
        .args(["--callback-timeout", "2s"])
        .start();
    let mut watcher = watcher(&server);
    let mut peer = server.open();
    peer.send_text("compute 300");
    std::thread::sleep(Duration::from_millis(50));
    // The host answers meanwhile.
    peer.send(&Frame::new(frame::PING, "alive"));
    let pong = peer.read_frame();
    assert_eq!(pong.opcode, frame::PONG);
    peer.send(end);
    peer.expect_text("ok");
    peer.expect_close(code);
    let event: Value = serde_json::from_str(&watcher.read_text()).expect("the probe tells JSON");
    assert_eq!(event["code"], code);
}

#[test]
fn message_that_is_worked_on_is_answered_before_a_close_frame() {
    message_is_answered_before(&Frame::close(1000, ""), 1000);
}

#[test]
fn message_that_is_worked_on_is_answered_before_a_broken_rule_ends_the_connection() {
    message_is_answered_before(&Frame::new(0xf, ""), 1002);
}

#[test]
fn host_keeps_session_data_for_each_connection() {
    let server = probe();
    let (mut one, mut two) = (server.open(), server.open());
    assert_eq!(one.ask("session-get"), "");
    assert_eq!(one.ask("session-set mine"), "ok");
    assert_eq!(two.ask("session-set yours"), "ok");
    assert_eq!(one.ask("session-get"), "mine");
    assert_eq!(two.ask("session-get"), "yours");
}

#[test]
fn host_refuses_session_data_over_the_limit_and_keeps_the_old() {
    let server = probe();
    let mut peer = server.open();
    assert_eq!(peer.ask("session-set-size 65536"), "ok");
    assert_eq!(peer.ask("session-size"), "65536");
    assert_eq!(peer.ask("session-set-size 65537"), "err too-large 65536");
    assert_eq!(peer.ask("session-size"), "65536");
}

#[test]
fn session_data_survives_a_trap_and_what_the_trapped_callback_set_does_not() {
    let server = probe();
    let (mut one, mut two) = (server.open(), server.open());
    assert_eq!(one.ask("session-set kept"), "ok");
    assert_eq!(two.ask("session-set before"), "ok");
    let mut watcher = watcher(&server);
    two.send_text("session-then-trap undone");
    two.expect_close(1011);
    two.send(&Frame::close(1011, ""));
    let event = expect_closed(&mut watcher, 1011, "host", true);
    assert_eq!(event["session"], "before");
    assert_eq!(one.ask("calls"), "1", "a new instance took over");
    assert_eq!(one.ask("session-get"), "kept");
}

#[test]
fn handler_sees_the_opening_request() {
    let server = probe();
    let request = Request::upgrade("/rooms/tea%20time?who=ada&x")
        .set("Host", "example.com:9000")
        .with("X-Twice", "one")
        .with("X-Twice", "two")
        .with("Sec-WebSocket-Protocol", "b, a");
    let mut peer = server.open_with(&request);
    let seen: Value = serde_json::from_str(&peer.ask("request")).expect("the probe tells JSON");
    assert_eq!(seen["role"], "server");
    assert_eq!(seen["path"], "/rooms/tea%20time");
    assert_eq!(seen["query"], "who=ada&x");
    assert_eq!(seen["host"], "example.com:9000");
    assert_eq!(seen["offered"], json!(["b", "a"]));
    assert_eq!(seen["secure"], false);
    assert_eq!(seen["local"], server.address().to_string());
    assert!(
        seen["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:")),
        "{seen}"
    );
    let headers = seen["headers"].as_array().expect("headers are a list");
    let twice: Vec<&Value> = headers
        .iter()
        .filter(|pair| pair[0] == "x-twice")
        .map(|pair| &pair[1])
        .collect();
    assert_eq!(twice, ["one", "two"]);
    assert_eq!(server.open().ask("request-of 999999"), "none");
}

#[test]
fn handler_sees_no_query_when_there_is_no_question_mark() {
    let server = probe();
    let mut peer = server.open_with(&Request::upgrade("/"));
    let seen: Value = serde_json::from_str(&peer.ask("request")).expect("the probe tells JSON");
    assert_eq!((&seen["path"], &seen["query"]), (&json!("/"), &Value::Null));
    let mut peer = server.open_with(&Request::upgrade("/?"));
    let seen: Value = serde_json::from_str(&peer.ask("request")).expect("the probe tells JSON");
    assert_eq!(seen["query"], "");
}

#[test]
fn handler_pings_and_is_told_of_the_pong() {
    let server = probe();
    let mut peer = server.open();
    peer.send_text("ping are you there");
    let frames = [peer.read_frame(), peer.read_frame()];
    let ping = frames
        .iter()
        .find(|frame| frame.opcode == frame::PING)
        .expect("one of them is the ping");
    assert_eq!(ping.text(), "are you there");
    peer.send(&Frame::new(frame::PONG, "are you there"));
    peer.expect_text("pong are you there");
    peer.send(&Frame::new(frame::PONG, "unasked"));
    peer.expect_text("pong unasked");
    assert_eq!(
        peer.ask(&format!("ping {}", "x".repeat(126))),
        "err too-large 125"
    );
}

#[test]
fn handler_closes_with_code_and_reason() {
    let server = probe();
    let mut watcher = watcher(&server);
    for (command, code, reason) in [
        ("close 1000 done here", 1000, "done here"),
        ("close 4000 ", 4000, ""),
        ("close 1013 later", 1013, "later"),
        ("close 1005 ", 1005, ""),
    ] {
        let mut peer = server.open();
        peer.send_text(command);
        assert_eq!(peer.expect_close(code), reason);
        peer.send(&Frame::close(if code == 1005 { 1000 } else { code }, ""));
        peer.expect_end();
        expect_closed(&mut watcher, code, "handler", true);
    }
}

#[test]
fn host_cuts_a_long_close_reason_at_a_character() {
    let server = probe();
    let mut peer = server.open();
    peer.send_text(&format!("close 4000 {}", "ä".repeat(100)));
    assert_eq!(peer.expect_close(4000), "ä".repeat(61));
}

#[test]
fn handler_that_closes_with_a_forbidden_code_traps() {
    let server = probe();
    for code in ["0", "999", "1004", "1006", "1015", "2999", "5000"] {
        let mut peer = server.open();
        peer.send_text(&format!("close {code} "));
        peer.expect_close(1011);
    }
}

#[test]
fn handler_is_told_once_how_each_connection_ended() {
    let server = Server::of(handlers::probe())
        .args(["--max-message", "1KiB", "--close-timeout", "300ms"])
        .start();
    let mut watcher = watcher(&server);

    let mut peer = server.open();
    peer.send(&Frame::close(3000, "bye"));
    peer.expect_close(3000);
    let event = expect_closed(&mut watcher, 3000, "peer", true);
    assert_eq!(event["reason"], "bye");

    let mut peer = server.open();
    peer.send(&Frame::new(frame::CLOSE, ""));
    peer.expect_close(1005);
    expect_closed(&mut watcher, 1005, "peer", true);

    drop(server.open());
    expect_closed(&mut watcher, 1006, "peer", false);

    let mut peer = server.open();
    peer.send_text("close 4000 deaf");
    peer.expect_close(4000);
    // It does not answer the close.
    peer.expect_end();
    let event = expect_closed(&mut watcher, 4000, "handler", false);
    assert_eq!(event["reason"], "deaf");

    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, [0xff]));
    peer.expect_close(1007);
    peer.send(&Frame::close(1007, ""));
    peer.expect_end();
    // Who has failed a connection looks at nothing that follows (RFC 6455, 7.1.7), an answer to the close included.
    expect_closed(&mut watcher, 1007, "host", false);

    let mut peer = server.open();
    peer.send_binary(&[0; 2000]);
    peer.expect_close(1009);
    // It does not answer the close.
    peer.expect_end();
    expect_closed(&mut watcher, 1009, "host", false);

    let mut peer = server.open();
    peer.send_text("abort");
    peer.expect_end();
    expect_closed(&mut watcher, 1006, "handler", false);

    let mut peer = server.open();
    peer.send_text("trap");
    peer.expect_close(1011);
    peer.send(&Frame::close(1011, ""));
    peer.expect_end();
    expect_closed(&mut watcher, 1011, "host", true);

    // Nothing was told twice.
    assert_eq!(watcher.ask("echo end"), "end");
}

#[test]
fn handler_sends_nothing_after_it_closed() {
    let server = probe();
    let mut watcher = watcher(&server);
    let mut peer = server.open();
    peer.send_text("close-then-send too late");
    peer.expect_close(4000);
    assert_eq!(watcher.read_text(), "err closed");
}

#[test]
fn handler_sends_to_another_connection_and_gets_an_error_for_none() {
    let server = probe();
    let mut one = server.open_with(&Request::upgrade("/?hello"));
    let id = one
        .read_text()
        .strip_prefix("id ")
        .expect("the probe tells the id")
        .to_owned();
    let mut two = server.open();
    assert_eq!(two.ask(&format!("send-to {id} across")), "ok");
    one.expect_text("across");
    assert_eq!(two.ask("send-to 18446744073709551615 x"), "err closed");
    one.close();
    wsrun_tests::wait::until("the connection is gone", || {
        two.ask(&format!("send-to {id} x")) == "err closed"
    });
}

#[test]
fn handler_gets_an_error_for_a_message_that_is_too_large_to_send() {
    let server = Server::of(handlers::probe())
        .args(["--max-queue", "4MiB"])
        .start();
    let mut peer = server.open();
    assert_eq!(peer.ask("send-size 4194305"), "err too-large 4194304");
    assert_eq!(peer.ask("echo still open"), "still open");
}

#[test]
fn queue_is_bounded_and_the_handler_is_told_when_it_drains() {
    let server = Server::of(handlers::probe())
        .args(["--max-queue", "1MiB", "--max-message", "512KiB"])
        .start();
    let neighbour = server.probing_neighbour();
    let mut peer = server.open();
    peer.send_text("send-flood 100 50000");
    let mut floods = 0;
    let report = loop {
        let frame = peer.read_frame();
        match frame.opcode {
            frame::BINARY => floods += 1,
            _ => break frame.text().to_owned(),
        }
    };
    let report: Vec<&str> = report.split(' ').collect();
    assert_eq!(
        (report[0], &report[2..4]),
        ("sent", ["err", "queue-full"].as_slice()),
        "{report:?}"
    );
    assert_eq!(
        report[1].parse(),
        Ok(floods),
        "what was taken was delivered: {report:?}"
    );
    let queued: u64 = report[4].parse().expect("the error tells the bytes");
    assert!(queued <= MIB && queued > MIB / 2, "{queued}");
    assert_eq!(peer.ask("buffered"), "0");
    peer.send_text("want-writable");
    let mut texts = [peer.read_text(), peer.read_text()];
    texts.sort();
    assert_eq!(texts, ["ok", "writable"]);
    neighbour.is_unharmed();
}

#[test]
fn handler_is_not_told_of_a_drained_queue_while_the_peer_does_not_read() {
    let server = Server::of(handlers::probe())
        .args(["--max-queue", "4MiB"])
        .start();
    let mut peer = server.open();
    let mut watcher = server.open_with(&Request::upgrade("/?hello"));
    watcher.read_text();
    // More than the sockets between them hold.
    for _ in 0..8 {
        peer.send_text("send-flood 60 65536");
    }
    peer.send_text("want-writable");
    assert_eq!(watcher.ask("echo others are served"), "others are served");
    let mut writable_after = None;
    let mut received = 0;
    while writable_after.is_none() {
        let frame = peer.read_frame();
        if frame.opcode == frame::TEXT && frame.text() == "writable" {
            writable_after = Some(received);
        }
        received += frame.payload.len();
    }
    assert!(
        writable_after.is_some_and(|bytes| bytes > 3 << 20),
        "{writable_after:?}"
    );
}

#[test]
fn handler_stops_and_resumes_reading_from_a_peer() {
    let server = probe();
    let mut peer = server.open();
    let mut other = server.open_with(&Request::upgrade("/"));
    let id = peer.ask("id");
    assert_eq!(peer.ask("flow off"), "ok");
    peer.send_text("echo not yet");
    peer.expect_silence(Duration::from_millis(300));
    // What it sends comes to block: the host does not read ahead without bound.
    peer.set_write_timeout(Duration::from_millis(500));
    let message = Frame::new(frame::BINARY, vec![0; 100_000]).encode();
    let blocked = (0..1_000).any(|_| peer.try_send_bytes(&message).is_err());
    assert!(blocked, "100 MB were taken from a peer that is not read");
    assert_eq!(other.ask("echo others are served"), "others are served");
    assert_eq!(other.ask(&format!("send-to {id} still open")), "ok");
    peer.expect_text("still open");

    let mut peer = server.open();
    assert_eq!(peer.ask("timer-conn 300 7").get(..2), Some("ok"));
    assert_eq!(peer.ask("flow off"), "ok");
    peer.send_text("flow on");
    // Nobody reads it: the timer is what comes.
    assert!(peer.read_text().starts_with("timer "), "the timer fires");
}

#[test]
fn handler_counts_its_connections() {
    let server = probe();
    let mut one = server.open();
    assert_eq!(one.ask("count"), "1");
    let two = server.open();
    wsrun_tests::wait::until("two connections are open", || one.ask("count") == "2");
    two.close();
    wsrun_tests::wait::until("one connection is open", || one.ask("count") == "1");
}

#[test]
fn handler_knows_its_host_name_and_configuration() {
    let server = Server::of(handlers::probe())
        .args(["--config", "greeting=hello = world", "--config", "empty="])
        .start();
    let mut peer = server.open();
    assert_eq!(peer.ask("name"), "probe");
    assert_eq!(peer.ask("config greeting"), "hello = world");
    assert_eq!(peer.ask("config empty"), "");
    assert_eq!(peer.ask("config missing"), "none");
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux tells it");
    assert_eq!(peer.ask("hostname"), hostname.trim());
}

#[test]
fn secret_in_a_file_is_told_to_the_handler_and_not_to_the_list_of_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "open sesame\n").expect("the folder can be written");
    let server = Server::of(handlers::probe())
        .args(["--config", &format!("secret=@{}", file.display())])
        .args(["--config", "sign=@@home"])
        .start();
    let mut peer = server.open();
    assert_eq!(peer.ask("config secret"), "open sesame");
    assert_eq!(peer.ask("config sign"), "@home");
    let seen = std::fs::read_to_string(format!("/proc/{}/cmdline", server.id()))
        .expect("the process is there");
    assert!(
        seen.contains("secret=@") && !seen.contains("sesame"),
        "{seen}"
    );
}

/// Counts the binary messages that come until `echo end` is answered, and asserts that they are those that the last flood told as sent.
#[track_caller]
fn expect_flood_as_told(peer: &mut Peer, flood: &str) {
    peer.send_text(flood);
    // Something of it has been written, so that there is room for the next replies.
    let mut floods = usize::from(peer.read_frame().opcode == frame::BINARY);
    peer.send_text("echo end");
    loop {
        let frame = peer.read_frame();
        match frame.opcode {
            frame::BINARY => floods += 1,
            frame::TEXT if frame.text() == "end" => break,
            // The reply to the flood, for which there may be room.
            _ => assert_eq!(frame.opcode, frame::TEXT, "{flood}: {frame:?}"),
        }
    }
    let told = peer.ask("last-flood");
    assert!(floods > 0, "{flood}: {told}");
    assert!(
        told.starts_with(&format!("sent {floods} ")),
        "{flood}: {floods} messages arrived of {told:?}"
    );
}

#[test]
fn everything_that_send_took_arrives_however_small_the_queue() {
    let server = Server::of(handlers::probe())
        .args(["--max-message", "1000", "--max-queue", "1000"])
        .start();
    let mut peer = server.open();
    // Headers of two and of four bytes, and messages that are nothing but a header.
    for flood in [
        "send-flood 100 10",
        "send-flood 600 0",
        "send-flood 600 1",
        "send-flood 20 130",
        "send-flood 80 10",
    ] {
        expect_flood_as_told(&mut peer, flood);
    }
    // What the same callback published to this connection takes room as well.
    assert_eq!(peer.ask("subscribe t"), "ok true");
    let published = "p".repeat(500);
    expect_flood_as_told(
        &mut peer,
        &format!("in-one publish t {published}; send-flood 100 10"),
    );
}

#[test]
fn peer_that_reads_slowly_gets_everything_and_the_close_however_short_the_close_timeout() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let _server = Server::of(handlers::probe())
        .listen(&format!("unix:{}", path.display()))
        .args(["--close-timeout", "1s"])
        .start();
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    peer.send_text("send-flood 180 10000");
    peer.send_text("close 4000 bye");
    for _ in 0..180 {
        let frame = peer.read_frame();
        assert_eq!(
            (frame.opcode, frame.payload.len()),
            (frame::BINARY, 10_000),
            "{:?}",
            frame.close_info()
        );
        // All of them take longer than the close timeout.
        std::thread::sleep(Duration::from_millis(10));
    }
    peer.expect_text("sent 180 ok");
    assert_eq!(peer.expect_close(4000), "bye");
    peer.send(&Frame::close(4000, ""));
    peer.expect_end();
}

/// Opens a connection, has its reading stopped, and resets the transport.
fn pause_and_reset(server: &Server) {
    let mut socket = TcpStream::connect(server.address()).expect("the server accepts");
    socket
        .set_read_timeout(Some(wsrun_tests::wait::PATIENCE))
        .expect("a timeout that is not zero is taken");
    socket
        .write_all(&Request::upgrade("/").encode())
        .expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the server answers");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    socket
        .write_all(&Frame::new(frame::TEXT, "flow off").encode())
        .expect("the server reads");
    // A socket that is closed with something unread in it resets the connection.
    socket.peek(&mut [0]).expect("the reply comes");
    // What the server has not read, and is not to read, does not keep it from seeing that.
    socket
        .write_all(&Frame::new(frame::TEXT, "echo unread").encode())
        .expect("the kernel takes it");
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn connection_that_is_not_read_is_let_go_when_its_peer_resets() {
    let server = Server::of(handlers::probe())
        .args(["--max-connections", "3"])
        .start();
    let mut watcher = watcher(&server);
    pause_and_reset(&server);
    pause_and_reset(&server);
    for _ in 0..2 {
        expect_closed(&mut watcher, 1006, "peer", false);
    }
    wsrun_tests::wait::until("there is room again", || watcher.ask("count") == "1");
    let mut others = [server.open(), server.open()];
    for other in &mut others {
        assert_eq!(other.ask("echo in"), "in");
    }
}

#[test]
fn handler_is_not_told_of_a_drained_queue_after_the_connection_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let server = Server::of(handlers::probe())
        .listen("127.0.0.1:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    let mut watcher = watcher(&server);
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    // Over a quarter of the queue is left when the socket is full, and less than what stops the reading.
    peer.send_text("send-flood 90 10000");
    peer.send_text("want-writable");
    peer.send(&Frame::close(1000, ""));
    expect_closed(&mut watcher, 1000, "peer", true);
    peer.expect_close_at_last(1000);
    peer.expect_end();
    assert_eq!(watcher.ask("echo nothing came"), "nothing came");
}

#[test]
fn every_ping_of_a_peer_that_reads_is_answered() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    let mut wire = Vec::new();
    for number in 0..500_u32 {
        wire.extend(Frame::new(frame::PING, number.to_be_bytes()).encode());
    }
    wire.extend(Frame::new(frame::TEXT, "behind them").encode());
    peer.send_bytes(&wire);
    for number in 0..500_u32 {
        let pong = peer.read_frame();
        assert_eq!(
            (pong.opcode, &pong.payload[..]),
            (frame::PONG, &number.to_be_bytes()[..]),
            "ping {number}"
        );
    }
    peer.expect_text("behind them");
}

#[test]
fn close_frame_comes_back_with_its_code_and_reason() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    peer.send(&Frame::close(4000, "because"));
    assert_eq!(peer.expect_close(4000), "because");
    peer.expect_end();
}
