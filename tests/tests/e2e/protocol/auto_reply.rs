//! Fixed answers of the host: the handler is not called.

use std::time::Duration;

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;

#[test]
fn host_answers_a_fixed_message_without_the_handler() {
    let server = Server::of(handlers::probe()).start();
    let mut setter = server.open();
    assert_eq!(setter.ask("auto-reply beat alive"), "ok");
    let mut peer = server.open();
    assert_eq!(peer.ask("calls"), "2");
    for _ in 0..1_000 {
        peer.send_text("beat");
    }
    for _ in 0..1_000 {
        peer.expect_text("alive");
    }
    assert_eq!(peer.ask("calls"), "3", "the handler saw none of them");
    // Binary is another message.
    peer.send_binary(b"beat");
    assert_eq!(peer.read_frame().payload, b"beat");
    assert_eq!(setter.ask("auto-reply beat kicking"), "ok");
    assert_eq!(peer.ask("beat"), "kicking");
    assert_eq!(setter.ask("auto-reply-remove beat"), "ok");
    assert_ne!(peer.ask("beat"), "kicking");
}

#[test]
fn automatic_reply_outlives_the_instance_that_set_it() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("auto-reply beat alive"), "ok");
    let mut other = server.open();
    other.send_text("trap");
    other.expect_close(1011);
    assert_eq!(peer.ask("beat"), "alive");
}

#[test]
fn automatic_replies_have_limits() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    let long = "x".repeat(2_049);
    assert_eq!(
        peer.ask(&format!("auto-reply a {long}")),
        "err too-large 2048"
    );
    assert_eq!(
        peer.ask(&format!("auto-reply {long} a")),
        "err too-large 2048"
    );
    for number in 0..16 {
        assert_eq!(peer.ask(&format!("auto-reply m{number} r")), "ok");
    }
    assert_eq!(peer.ask("auto-reply one-more r"), "err limit");
    // One that is there can be changed.
    assert_eq!(peer.ask("auto-reply m3 other"), "ok");
    assert_eq!(peer.ask("m3"), "other");
}

#[test]
fn peer_that_does_not_read_automatic_replies_costs_no_more_than_its_queue() {
    let server = Server::of(handlers::probe())
        .args(["--max-message", "64KiB", "--max-queue", "64KiB"])
        .start();
    let neighbour = server.probing_neighbour();
    let mut setter = server.open();
    let long = "x".repeat(2_000);
    assert_eq!(setter.ask(&format!("auto-reply b {long}")), "ok");
    let before = server.usage().resident_bytes();
    let mut peer = server.open();
    peer.set_write_timeout(Duration::from_millis(500));
    let burst = Frame::new(frame::TEXT, "b").encode().repeat(1_000);
    // Until the server reads no more.
    let taken = (0..2_000).take_while(|_| peer.try_send_bytes(&burst).is_ok());
    assert!(taken.count() < 2_000, "it never stopped reading");
    let grown = server.usage().resident_bytes().saturating_sub(before);
    assert!(grown < 16 * MIB, "{grown} bytes for one peer");
    neighbour.is_unharmed();
}
