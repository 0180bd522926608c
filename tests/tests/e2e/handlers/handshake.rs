//! The handler's part in the opening handshake, and which handler it is.

use std::time::{Duration, Instant};

use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;

fn gate() -> Server {
    Server::of(handlers::built("gate")).start()
}

#[test]
fn handler_accepts_with_headers_protocol_and_session_data() {
    let server = gate();
    let mut peer = server.connect();
    let response = peer.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", "one, two"));
    assert_eq!(response.header("x-gate"), Some("yes"));
    assert_eq!(response.header("sec-websocket-protocol"), Some("two"));
    assert_eq!(peer.ask("session"), "from-handshake");
}

#[test]
fn handler_refuses_with_status_headers_and_body() {
    let server = gate();
    let response = server.connect().request(&Request::upgrade("/refuse"));
    assert_eq!(
        (response.status, response.header("x-gate"), response.text()),
        (403, Some("no"), "not on the list")
    );
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=utf-8")
    );

    let response = server.connect().request(&Request::upgrade("/redirect"));
    assert!((300..400).contains(&response.status), "{response:?}");
    assert_eq!(response.header("location"), Some("/elsewhere"));
}

#[test]
fn server_interprets_nothing_after_a_refusal_of_the_handler() {
    let server = gate();
    let mut peer = server.connect();
    peer.send_bytes(
        &[
            Request::upgrade("/refuse").encode(),
            Request::upgrade("/").encode(),
        ]
        .concat(),
    );
    assert_eq!(peer.read_response().status, 403);
    peer.expect_end();
}

#[test]
fn handler_that_answers_with_what_cannot_be_sent_gives_500() {
    let server = gate();
    for path in [
        "/bad-status",
        "/bad-protocol",
        "/bad-header",
        "/big-session",
    ] {
        let response = server
            .connect()
            .request(&Request::upgrade(path).with("Sec-WebSocket-Protocol", "one"));
        assert_eq!(response.status, 500, "{path}: {response:?}");
        assert!(
            response.header("sec-websocket-accept").is_none(),
            "{path}: {response:?}"
        );
    }
}

#[test]
fn handler_that_traps_or_loops_in_the_handshake_gives_500_and_others_are_served() {
    let server = gate();
    let neighbour = server.echoing_neighbour();
    assert_eq!(
        server.connect().request(&Request::upgrade("/trap")).status,
        500
    );
    server.expect_log("asked to trap");
    let asked = Instant::now();
    assert_eq!(
        server.connect().request(&Request::upgrade("/slow")).status,
        500
    );
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    neighbour.is_unharmed();
}

#[test]
fn handler_without_handshake_export_agrees_on_no_protocol() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.connect();
    let response = peer.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", "one, two"));
    assert_eq!(response.header("sec-websocket-protocol"), None);
    assert_eq!(peer.ask("protocol"), "none");
}

fn named(arguments: &[(&str, &str)], default: Option<&str>) -> Server {
    let mut builder = Server::without_handler();
    if let Some(default) = default {
        builder = builder.arg(handlers::built(default));
    }
    for (name, handler) in arguments {
        builder = builder
            .arg("--protocol")
            .arg(format!("{name}={}", handlers::built(handler).display()));
    }
    builder.start()
}

#[track_caller]
fn open(server: &Server, offered: &str) -> (Peer, Option<String>) {
    let mut peer = server.connect();
    let response = peer.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", offered));
    let agreed = response.header("sec-websocket-protocol").map(str::to_owned);
    (peer, agreed)
}

#[test]
fn subprotocol_chooses_the_handler() {
    let server = named(&[("talk", "echo"), ("ask", "probe")], Some("lifecycle"));
    let (mut peer, agreed) = open(&server, "talk");
    assert_eq!(
        (peer.ask("hello"), agreed.as_deref()),
        ("hello".to_owned(), Some("talk"))
    );

    let (mut peer, agreed) = open(&server, "ask");
    assert_eq!(
        (peer.ask("name"), agreed.as_deref()),
        ("ask".to_owned(), Some("ask"))
    );
    assert_eq!(peer.ask("protocol"), "ask");

    // The peer's order decides among those that are served.
    let (_, agreed) = open(&server, "unknown, ask, talk");
    assert_eq!(agreed.as_deref(), Some("ask"));

    // The default handler takes everything else.
    let (mut peer, agreed) = open(&server, "unknown");
    assert_eq!((peer.read_text(), agreed), ("started 1".to_owned(), None));
    assert_eq!(server.open().read_text(), "started 1");
}

#[test]
fn first_named_protocol_is_the_default_without_a_handler() {
    let server = named(&[("ask", "probe"), ("talk", "echo")], None);
    let mut peer = server.open();
    assert_eq!(peer.ask("name"), "ask");
    let (mut peer, agreed) = open(&server, "talk");
    assert_eq!(
        (peer.ask("hello"), agreed.as_deref()),
        ("hello".to_owned(), Some("talk"))
    );
    let response = server
        .connect()
        .request(&Request::upgrade("/").with("Sec-WebSocket-Protocol", "unknown"));
    assert_eq!(response.status, 400, "{response:?}");
    assert!(
        response.text().contains("talk"),
        "it says what there is: {response:?}"
    );
}

#[test]
fn handlers_of_one_server_see_nothing_of_each_other() {
    let server = named(&[("one", "probe"), ("two", "probe")], None);
    let (mut one, _) = open(&server, "one");
    let (mut two, _) = open(&server, "two");
    let id = one.ask("id");
    one.ask("subscribe t");
    assert_eq!(two.ask("publish t x"), "0");
    assert_eq!(two.ask(&format!("send-to {id} x")), "err closed");
    assert_eq!(two.ask(&format!("request-of {id}")), "none");
    assert_eq!(two.ask("count"), "1");
    assert_eq!(two.ask("broadcast hello"), "hello");
    assert_eq!(two.read_text(), "1");
    two.send_text("trap");
    two.expect_close(1011);
    assert_eq!(
        one.ask("calls"),
        "3",
        "the instance of the other handler lives on"
    );
}

#[test]
fn broadcast_can_be_narrowed_to_a_protocol() {
    let server = Server::of(handlers::built("gate")).start();
    // The gate agrees on the last protocol offered, and has no broadcast: this shows that two protocols live in one handler.
    let (mut one, first) = open(&server, "a");
    let (mut two, second) = open(&server, "b");
    assert_eq!(
        (first.as_deref(), second.as_deref()),
        (Some("a"), Some("b"))
    );
    assert_eq!(
        (one.ask("x"), two.ask("y")),
        ("x".to_owned(), "y".to_owned())
    );

    let server = named(&[("ask", "probe")], None);
    let (mut with, _) = open(&server, "ask");
    let mut without = server.open();
    assert_eq!(without.ask("echo open"), "open");
    assert_eq!(without.ask("broadcast-protocol ask only you"), "1");
    with.expect_text("only you");
    assert_eq!(without.ask("echo nothing came"), "nothing came");
}

#[test]
fn refusal_sends_every_header_that_it_was_given_twice() {
    let server = gate();
    let response = server.connect().request(&Request::upgrade("/refuse-twice"));
    assert_eq!((response.status, response.text()), (401, "{}"));
    let values = |name: &str| -> Vec<&str> {
        let fields = response.headers.iter().filter(|(other, _)| other == name);
        fields.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("set-cookie"), ["a=1", "b=2"]);
    // In place of the one that the host gives a refusal without it.
    assert_eq!(values("content-type"), ["application/json"]);
}
