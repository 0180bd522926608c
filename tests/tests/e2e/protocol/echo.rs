//! What every connection does: messages of all kinds and sizes go to the handler and come back.

use std::time::Duration;

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;

#[test]
fn handler_echoes_text_and_binary() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("grüß dich, 世界"), "grüß dich, 世界");
    peer.send_binary(&[0, 255, 1, 254]);
    let frame = peer.read_frame();
    assert_eq!(
        (frame.opcode, frame.payload.as_slice()),
        (frame::BINARY, [0, 255, 1, 254].as_slice())
    );
    peer.close();
}

#[test]
fn handler_in_text_format_echoes() {
    let server = Server::of(handlers::source("tests/guests/echo.wat")).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("from a .wat file"), "from a .wat file");
    peer.close();
}

#[test]
fn server_frames_lengths_minimally_at_every_boundary() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, MIB as usize] {
        let payload = vec![0x5a; length];
        peer.send_binary(&payload);
        let frame = peer.read_frame();
        assert!(!frame.masked, "a server never masks");
        assert_eq!(frame.opcode, frame::BINARY);
        assert!(
            frame.payload == payload,
            "{length} bytes came back as {}",
            frame.payload.len()
        );
    }
    peer.close();
}

#[test]
fn handler_receives_fragments_as_one_message_with_pings_between() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "one ").to_be_continued());
    peer.send(&Frame::new(frame::PING, "between"));
    peer.send(&Frame::new(frame::CONTINUATION, "").to_be_continued());
    peer.send(&Frame::new(frame::CONTINUATION, "message"));
    let pong = peer.read_frame();
    assert_eq!((pong.opcode, pong.text()), (frame::PONG, "between"));
    peer.expect_text("one message");
    peer.close();
}

#[test]
fn handler_echoes_in_order_when_peer_sends_many_at_once() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    let mut wire = Vec::new();
    for number in 0..2_000 {
        Frame::new(frame::TEXT, format!("message {number}")).encode_onto(&mut wire);
    }
    peer.send_bytes(&wire);
    for number in 0..2_000 {
        peer.expect_text(&format!("message {number}"));
    }
    peer.close();
}

#[test]
fn server_takes_frames_that_arrive_one_byte_at_a_time() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.connect();
    for byte in Request::upgrade("/").encode() {
        peer.send_bytes(&[byte]);
    }
    assert_eq!(peer.read_response().status, 101);
    for byte in Frame::new(frame::TEXT, "slowly").encode() {
        peer.send_bytes(&[byte]);
    }
    peer.expect_text("slowly");
    peer.close();
}

#[test]
fn server_takes_frames_sent_together_with_the_handshake() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.connect();
    let wire = [
        Request::upgrade("/").encode(),
        Frame::new(frame::TEXT, "early").encode(),
    ]
    .concat();
    peer.send_bytes(&wire);
    assert_eq!(peer.read_response().status, 101);
    peer.expect_text("early");
    peer.close();
}

#[test]
fn server_answers_a_close_with_its_code_and_ends_the_transport() {
    let server = Server::of(handlers::echo()).start();
    for (sent, answered) in [
        (Frame::close(1000, "done"), 1000),
        (Frame::close(4999, ""), 4999),
        (Frame::new(frame::CLOSE, ""), 1005),
    ] {
        let mut peer = server.open();
        peer.send(&sent);
        peer.expect_close(answered);
        peer.expect_end();
    }
}

#[test]
fn server_delivers_what_came_before_a_close() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    let wire = [
        Frame::new(frame::TEXT, "last words").encode(),
        Frame::close(1000, "").encode(),
    ]
    .concat();
    peer.send_bytes(&wire);
    peer.expect_text("last words");
    peer.expect_close(1000);
    peer.expect_end();
}

#[test]
fn server_delivers_what_came_before_a_close_of_a_handler_that_takes_its_time() {
    let server = Server::of(handlers::probe()).start();
    for time in [1, 10, 50, 200] {
        let mut peer = server.open();
        let command = format!("sleep-wasi {time}");
        let mut wire = Frame::new(frame::TEXT, "echo before it").encode();
        Frame::new(frame::TEXT, &command).encode_onto(&mut wire);
        Frame::close(1000, "").encode_onto(&mut wire);
        peer.send_bytes(&wire);
        peer.expect_text("before it");
        let frame = peer.read_frame();
        assert_eq!(frame.opcode, frame::TEXT, "{command}: {frame:?}");
        assert!(frame.text().starts_with("slept "), "{command}: {frame:?}");
        peer.expect_close(1000);
        peer.expect_end();
    }
}

#[test]
fn server_listens_on_ipv6() {
    let server = Server::of(handlers::echo()).listen("[::1]:0").start();
    assert!(
        server.url(0).starts_with("ws://[::1]:"),
        "{}",
        server.url(0)
    );
    let mut peer = server.open();
    assert_eq!(peer.ask("over IPv6"), "over IPv6");
    peer.close();
}

#[test]
fn server_listens_on_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let address = format!("unix:{}", path.display());
    let server = Server::of(handlers::echo()).listen(&address).start();
    assert_eq!(server.url(0), format!("ws+{address}"));
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("over a file"), "over a file");
    peer.close();
}

#[test]
fn server_takes_over_the_unix_socket_of_one_that_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let address = format!("unix:{}", path.display());
    drop(Server::of(handlers::echo()).listen(&address).start());
    assert!(path.exists(), "a killed server leaves its socket behind");
    let _server = Server::of(handlers::echo()).listen(&address).start();
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("again"), "again");
    peer.close();
}

#[test]
fn server_listens_on_several_addresses_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let server = Server::of(handlers::echo())
        .listen("127.0.0.1:0")
        .listen("[::1]:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    for mut peer in [
        Peer::tcp(server.address_of(0)),
        Peer::tcp(server.address_of(1)),
        Peer::unix(&path),
    ] {
        peer.upgrade(&Request::upgrade("/"));
        assert_eq!(peer.ask("here"), "here");
        peer.close();
    }
}

#[test]
fn workers_share_the_connections_of_one_address() {
    let server = Server::of(handlers::echo())
        .args(["--workers", "2"])
        .start();
    let mut peers: Vec<Peer> = (0..32).map(|_| server.open()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        assert_eq!(
            peer.ask(&format!("peer {number}")),
            format!("peer {number}")
        );
    }
}

#[test]
fn server_serves_a_thousand_connections_at_once() {
    let server = Server::of(handlers::echo()).start();
    let before = server.usage().open_files();
    let mut peers: Vec<Peer> = (0..1_000).map(|_| server.open()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.send_text(&format!("peer {number}"));
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.expect_text(&format!("peer {number}"));
    }
    drop(peers);
    wsrun_tests::wait::until("every descriptor is given back", || {
        server.usage().open_files() <= before + 1
    });
}

#[test]
fn server_pings_an_idle_peer_and_ends_one_that_stays_silent() {
    let server = Server::of(handlers::echo())
        .args(["--ping-interval", "200ms", "--idle-timeout", "700ms"])
        .start();
    let mut answering = server.open();
    let mut silent = server.open();
    for _ in 0..6 {
        let ping = answering.read_raw_frame();
        assert_eq!(ping.opcode, frame::PING);
        answering.send(&Frame::new(frame::PONG, &ping.payload));
    }
    loop {
        match silent.try_read_raw_frame() {
            Ok(frame) if frame.opcode == frame::PING => {}
            Ok(frame) => assert_eq!(frame.opcode, frame::CLOSE, "{frame:?}"),
            Err(reason) => {
                assert!(
                    matches!(reason, wsrun_tests::peer::NoFrame::Ended),
                    "{reason:?}"
                );
                break;
            }
        }
    }
    assert_eq!(answering.ask("still here"), "still here");
}

/// The peer of the tests: on a busy machine a keep-alive ping may stand before each answer.
#[test]
fn keep_alive_ping_before_an_answer_is_answered_and_is_no_answer() {
    let server = Server::of(handlers::echo())
        .args(["--ping-interval", "200ms", "--idle-timeout", "60s"])
        .start();
    let mut peer = server.open();
    for text in ["first", "second"] {
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(peer.ask(text), text);
    }
    peer.close();
}

#[test]
fn server_ends_a_connection_whose_close_is_not_answered() {
    let server = Server::of(handlers::echo())
        .args(["--close-timeout", "300ms"])
        .start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, [0xff]));
    peer.expect_close(1007);
    let asked = std::time::Instant::now();
    peer.expect_end();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}
