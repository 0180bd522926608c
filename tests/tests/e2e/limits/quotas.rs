//! What a handler and its connections may use together: each limit is reached, and a neighbour does not notice.

use std::time::{Duration, Instant};

use wsrun_tests::admin::Administered;
use wsrun_tests::frame;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::neighbour::Neighbour;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Server};
use wsrun_tests::wait;

/// The probe under test is the default handler; the neighbour has a handler of its own, with the same limits.
fn server(arguments: &[&str]) -> (Administered, Neighbour) {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("echo={}", handlers::echo().display()))
        .args(arguments);
    let server = Administered::start(server);
    let neighbour = Neighbour::on(server.open_protocol("echo"), "", "");
    (server, neighbour)
}

fn refused(server: &Server) -> bool {
    let mut peer = server.connect();
    let _ = peer.try_send_bytes(&Request::upgrade("/").encode());
    let response = peer.read_response();
    if response.status == 101 {
        return false;
    }
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("retry-after").is_some(), "{response:?}");
    assert!(!response.body.is_empty(), "{response:?}");
    true
}

#[test]
fn one_connection_more_than_a_handler_may_have_is_answered_503() {
    let (server, neighbour) = server(&["--max-handler-connections", "3", "--workers", "2"]);
    let mut peers: Vec<Peer> = (0..3).map(|_| server.open()).collect();
    assert!(refused(&server));
    server.expect_log("--max-handler-connections");
    assert!(server.hits("probe", "connections") > 0);
    peers.pop().expect("there are three").close();
    wait::until("there is room again", || !refused(&server));
    neighbour.is_unharmed();
}

#[test]
fn one_connection_more_than_an_address_may_have_is_answered_503() {
    let (server, neighbour) = server(&["--max-connections-per-address", "3"]);
    let mut peers: Vec<Peer> = (0..2).map(|_| server.open()).collect();
    assert!(refused(&server));
    server.expect_log("--max-connections-per-address");
    assert!(server.hits("probe", "address-connections") > 0);
    // Another address is not concerned.
    let other = "127.0.0.2".parse().expect("an address");
    let mut elsewhere = Peer::tcp_from(other, server.address());
    elsewhere.upgrade(&Request::upgrade("/"));
    assert_eq!(elsewhere.ask("echo in"), "in");
    peers.pop().expect("there are two").close();
    wait::until("there is room again", || !refused(&server));
    neighbour.is_unharmed();
}

#[track_caller]
fn is_read_no_faster(arguments: &[&str], log: &str) {
    const MESSAGES: usize = 150;
    let (server, neighbour) = server(arguments);
    let mut peer = server.open();
    let began = Instant::now();
    for number in 0..MESSAGES {
        peer.send_text(&format!("echo {number:0100}"));
    }
    for number in 0..MESSAGES {
        assert_eq!(
            peer.read_text(),
            format!("{number:0100}"),
            "nothing is lost"
        );
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_200), "{took:?}");
    server.expect_log(log);
    let limit = match log.contains("byte") {
        true => "byte-rate-in",
        false => "message-rate-in",
    };
    assert!(server.hits("probe", limit) > 0);
    neighbour.is_unharmed();
}

#[test]
fn connection_is_read_at_its_message_rate() {
    is_read_no_faster(&["--max-message-rate", "50"], "--max-message-rate");
}

#[test]
fn connection_is_read_at_its_byte_rate() {
    is_read_no_faster(&["--max-byte-rate", "5000"], "--max-byte-rate");
}

#[test]
fn connections_of_a_handler_are_read_at_its_message_rate() {
    is_read_no_faster(
        &["--max-handler-message-rate", "50"],
        "--max-handler-message-rate",
    );
}

#[test]
fn connections_of_a_handler_are_read_at_its_byte_rate() {
    is_read_no_faster(
        &["--max-handler-byte-rate", "5000"],
        "--max-handler-byte-rate",
    );
}

#[test]
fn silence_of_a_peer_that_is_not_read_ends_nothing() {
    let (server, neighbour) = server(&[
        "--max-handler-byte-rate",
        "2000",
        "--ping-interval",
        "300ms",
        "--idle-timeout",
        "600ms",
    ]);
    let mut peer = server.open();
    peer.send_text(&format!("echo {}", "x".repeat(8_000)));
    // For seconds nothing of it is seen, and no pong either.
    assert_eq!(peer.read_text().len(), 8_000);
    drop(server);
    drop(neighbour);
}

#[test]
fn send_over_the_rate_is_refused_and_possible_again() {
    let (server, neighbour) = server(&["--max-send-rate", "100"]);
    let mut peer = server.open();
    peer.send_text("in-one send-flood 500 10; echo x");
    wait::until("the flood was cut short", || {
        server.log().contains("--max-send-rate")
    });
    assert!(server.hits("probe", "message-rate-out") > 0);
    let mut told = String::new();
    wait::until("the rate allows an answer again", || {
        let mut other = server.open();
        other.set_read_timeout(Duration::from_millis(500));
        other.send_text("last-flood");
        let answer = other.try_read_frame();
        told = answer.map_or(String::new(), |frame| frame.text().to_owned());
        !told.is_empty()
    });
    let sent = told
        .strip_prefix("sent ")
        .and_then(|told| told.split_once(' '));
    let (sent, end) = sent.unwrap_or_else(|| panic!("no flood: {told}"));
    assert!(end.starts_with("err queue-full"), "{told}");
    let sent: usize = sent.parse().expect("a number");
    // What one second brings, in one go.
    assert!((1..=100).contains(&sent), "{told}");
    // They came, and no more of them.
    for _ in 0..sent {
        let frame = peer.read_frame();
        assert_eq!(frame.opcode, frame::BINARY, "{frame:?}");
    }
    wait::until("the rate allows an answer again", || {
        peer.set_read_timeout(Duration::from_millis(500));
        peer.send_text("echo next");
        match peer.try_read_frame() {
            Ok(frame) => {
                assert_eq!(frame.opcode, frame::TEXT, "more than was taken: {frame:?}");
                frame.text() == "next"
            }
            Err(_) => false,
        }
    });
    neighbour.is_unharmed();
}

#[test]
fn bytes_queued_for_all_connections_of_a_handler_are_bounded() {
    const CONNECTIONS: usize = 60;
    // Without the limit of all it would be that of each: 960 MiB.
    let (server, neighbour) = server(&["--max-queue", "16MiB", "--max-handler-queue", "32MiB"]);
    let before = server.usage().resident_bytes();
    let mut controller = server.open();
    let mut silent: Vec<Peer> = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut peer = server.open();
        let id = peer.ask("id");
        // As often as the kernel still takes some of it.
        for _ in 0..8 {
            controller.ask(&format!("on {id} send-flood 40 200000"));
        }
        silent.push(peer);
    }
    server.expect_log("--max-handler-queue");
    assert!(server.hits("probe", "handler-queue") > 0);
    let queued = server.metric("wsrun_queued_bytes{handler=\"probe\"}");
    assert!(
        (16 << 20..=33 << 20).contains(&queued),
        "{queued} bytes are queued"
    );
    let grown = server.usage().resident_bytes().saturating_sub(before);
    assert!(
        grown < 160 << 20,
        "{} MiB more for {CONNECTIONS} connections that do not read",
        grown >> 20
    );
    neighbour.lives();
    drop(silent);
    wait::until("there is room again", || {
        let mut peer = server.open();
        peer.send_text("send-size 100000");
        peer.read_frame().payload.len() == 100_000
    });
    neighbour.is_unharmed();
}

#[test]
fn session_data_of_all_connections_of_a_handler_is_bounded() {
    let (server, neighbour) = server(&["--max-handler-session", "100KiB"]);
    let mut first = server.open();
    let mut second = server.open();
    assert_eq!(first.ask("session-set-size 60000"), "ok");
    let refused = second.ask("session-set-size 60000");
    assert!(refused.starts_with("err too-large"), "{refused}");
    server.expect_log("--max-handler-session");
    assert!(server.hits("probe", "handler-session") > 0);
    assert_eq!(second.ask("session-set-size 40000"), "ok");
    first.close();
    wait::until("its room is given back", || {
        second.ask("session-set-size 50000") == "ok"
    });
    neighbour.is_unharmed();
}

#[test]
fn handler_that_has_used_up_its_share_of_time_waits() {
    let (server, neighbour) = server(&["--max-cpu-share", "5", "--callback-timeout", "1s"]);
    let mut peer = server.open();
    let mut messages = 0;
    // The neighbour's handler has the same limit: the log does not tell whose share was used up.
    wait::until("the share is used up", || {
        // How many it takes depends on the machine and on how the server was built.
        for _ in 0..12 {
            peer.send_text("publish-flood none 1000 1000");
            messages += 1;
        }
        server.hits("probe", "cpu-share") > 0
    });
    server.expect_log("--max-cpu-share");
    neighbour.lives();
    // It is not stopped for good, and nothing is lost.
    for _ in 0..messages {
        assert_eq!(peer.read_text(), "sent 1000");
    }
    assert_eq!(peer.ask("echo nothing more"), "nothing more");
    neighbour.is_unharmed();
}

#[test]
fn limit_of_which_nothing_would_be_left_is_refused() {
    for flag in ["--max-control-rate", "--max-fragments"] {
        let handler = handlers::echo().display().to_string();
        let listen = "127.0.0.1:0";
        let ended = server::run([handler.as_str(), "--listen", listen, flag, "0"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        let text = format!("{flag} 0: it must be at least 1");
        assert!(ended.stderr.contains(&text), "{}", ended.stderr);
    }
}
