//! Rows of the 2011 interface that a handler sees as a server: contexts, connections, callbacks, protocols, TLS.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Server};

fn probe() -> Server {
    Server::of(handlers::probe()).start()
}

#[track_caller]
fn event(watcher: &mut Peer) -> Value {
    serde_json::from_str(&watcher.read_text()).expect("the probe tells JSON")
}

#[test]
fn seed_01_create_context_makes_listeners_and_handlers_in_one_call() {
    let server = Server::of(handlers::echo())
        .listen("127.0.0.1:0")
        .listen("[::1]:0")
        .arg("--protocol")
        .arg(format!("ask={}", handlers::probe().display()))
        .start();
    for listener in 0..2 {
        let mut peer = Peer::tcp(server.address_of(listener));
        peer.upgrade(&Request::upgrade("/"));
        assert_eq!(peer.ask("both listen"), "both listen");
    }
    assert_eq!(server.open_protocol("ask").ask("name"), "ask");
}

#[test]
fn seed_01_create_context_tells_what_is_wrong_and_leaves_nothing_running() {
    let taken = Server::of(handlers::echo()).start();
    let address = taken.address().to_string();
    let ended = server::run([
        handlers::echo().as_os_str(),
        "--listen".as_ref(),
        address.as_ref(),
    ]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("another program listens there"),
        "{}",
        ended.stderr
    );
    let ended = server::run(["no-such-file.wasm"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("no-such-file.wasm"),
        "{}",
        ended.stderr
    );
}

#[test]
fn seed_02_context_destroy_closes_active_connections_and_frees_everything() {
    let mut server = probe();
    let mut peers: Vec<Peer> = (0..20).map(|_| server.open()).collect();
    assert_eq!(peers[19].ask("echo open"), "open");
    server.terminate();
    for peer in &mut peers {
        assert_eq!(peer.expect_close(1001), "server is shutting down");
        peer.send(&Frame::close(1001, ""));
        peer.expect_end();
    }
    let status = server.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn seed_06_fork_service_loop_serves_on_threads_of_its_own() {
    let server = Server::of(handlers::probe())
        .args(["--workers", "4", "--scope", "worker"])
        .start();
    let mut workers = BTreeSet::new();
    let mut peers = Vec::new();
    while workers.len() < 4 {
        let mut peer = server.open();
        let id: u64 = peer.ask("id").parse().expect("a number");
        workers.insert(id >> 48);
        peers.push(peer);
        assert!(peers.len() < 500, "connections go to {workers:?} alone");
    }
    // What one thread publishes the others send.
    for peer in &mut peers {
        assert_eq!(peer.ask("subscribe all"), "ok true");
    }
    let last = peers.len() - 1;
    peers[0].send_text("publish all from one thread");
    for peer in &mut peers[1..=last] {
        peer.expect_text("from one thread");
    }
}

#[test]
fn seed_10_socket_fd_is_replaced_by_addresses_for_a_handler() {
    let server = probe();
    let mut peer = server.open();
    let request: Value = serde_json::from_str(&peer.ask("request")).expect("JSON");
    assert_eq!(request["local"], server.address().to_string());
    assert!(
        request["peer"]
            .as_str()
            .is_some_and(|peer| peer.starts_with("127.0.0.1:")),
        "{request}"
    );
}

#[test]
fn seed_11_canonical_hostname_is_this_machines() {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux tells its name");
    assert_eq!(probe().open().ask("hostname"), name.trim());
}

#[test]
fn seed_12_get_protocol_is_what_was_agreed_on() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("ask={}", handlers::probe().display()))
        .start();
    assert_eq!(server.open_protocol("ask").ask("protocol"), "ask");
    assert_eq!(server.open().ask("protocol"), "none");
    assert_eq!(server.open().ask("on 4711 protocol"), "none");
}

#[test]
fn seed_13_broadcast_reaches_every_connection_of_a_protocol_on_every_worker() {
    let server = Server::of(handlers::probe())
        .args(["--workers", "2", "--protocol"])
        .arg(format!("ask={}", handlers::probe().display()))
        .start();
    let mut peers: Vec<Peer> = (0..12).map(|_| server.open_protocol("ask")).collect();
    let mut other = server.open();
    for peer in &mut peers {
        assert_eq!(peer.ask("echo open"), "open");
    }
    peers[0].send_text("broadcast to all");
    for peer in &mut peers[1..] {
        peer.expect_text("to all");
    }
    assert_eq!(other.ask("echo not me"), "not me");
}

#[test]
fn seed_24_broadcast_callback_decides_for_each_connection() {
    let server = Server::of(handlers::built("filter")).start();
    let [mut speaker, mut deaf, mut hearer] = [server.open(), server.open(), server.open()];
    assert_eq!(deaf.ask("no"), "ok");
    assert_eq!(hearer.ask("yes"), "ok");
    speaker.send_text("say one");
    hearer.expect_text("one");
    let mut texts = [speaker.read_text(), speaker.read_text()];
    texts.sort();
    assert_eq!(texts, ["one", "said 3"]);
    // It may write something of its own, as the callback of 2011 did.
    speaker.send_text("say also");
    let mut texts = [hearer.read_text(), hearer.read_text()];
    texts.sort();
    assert_eq!(texts, ["also", "extra"]);
    // Once it changes its mind, it hears.
    deaf.send_text("yes");
    let mut texts = [deaf.read_text(), deaf.read_text()];
    texts.sort();
    assert_eq!(
        texts,
        ["extra", "ok"],
        "the filter wrote to it although it wanted no broadcast"
    );
}

#[test]
fn seed_24_broadcast_callback_that_traps_closes_that_connection_alone() {
    let server = Server::of(handlers::built("filter")).start();
    let [mut one, mut two] = [server.open(), server.open()];
    assert_eq!(two.ask("yes"), "ok");
    // Every connection is asked, and traps; the new instance is asked about the next.
    one.send_text("say trap");
    one.expect_close_at_last(1011);
    two.expect_close_at_last(1011);
    server.expect_log("broadcast-filter.wanted");
    let mut three = server.open();
    three.send_text("say again");
    three.expect_close_at_last(1011);
    server.expect_log("topics.broadcast within broadcast-filter.wanted");
    assert_eq!(server.open().ask("yes"), "ok");
}

#[test]
fn seed_24_broadcast_callback_of_other_workers_is_asked_too() {
    let server = Server::of(handlers::built("filter"))
        .args(["--workers", "2"])
        .start();
    let mut peers: Vec<Peer> = (0..16).map(|_| server.open()).collect();
    for (number, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.ask(if number % 2 == 0 { "yes" } else { "no" }), "ok");
    }
    peers[0].send_text("say hello");
    for (number, peer) in peers.iter_mut().enumerate().skip(1) {
        if number % 2 == 0 {
            peer.expect_text("hello");
        } else {
            assert_eq!(peer.ask("no"), "ok", "nothing came");
        }
    }
}

#[test]
fn seed_14_write_sends_text_binary_ping_pong_and_close() {
    let server = probe();
    let mut peer = server.open();
    assert_eq!(peer.ask("echo text"), "text");
    peer.send_binary(&[0, 1, 255]);
    let binary = peer.read_frame();
    assert_eq!(
        (binary.opcode, binary.payload),
        (frame::BINARY, vec![0, 1, 255])
    );
    peer.send_text("ping are you there");
    let mut frames = [peer.read_frame(), peer.read_frame()];
    frames.sort_by_key(|frame| frame.opcode);
    assert_eq!(
        (frames[0].text(), frames[1].opcode, frames[1].text()),
        ("ok", frame::PING, "are you there")
    );
    peer.send_text("pong unasked");
    let mut frames = [peer.read_frame(), peer.read_frame()];
    frames.sort_by_key(|frame| frame.opcode);
    assert_eq!(
        (frames[0].text(), frames[1].opcode, frames[1].text()),
        ("ok", frame::PONG, "unasked")
    );
    let long = "x".repeat(126);
    assert_eq!(peer.ask(&format!("pong {long}")), "err too-large 125");
    peer.send_text("close 4001 done");
    assert_eq!(peer.expect_close(4001), "done");
    // To a connection that is gone nothing can be sent.
    let mut other = server.open();
    assert_eq!(other.ask("send-to 4711 x"), "err closed");
    assert_eq!(other.ask("on 4711 pong x"), "err closed");
}

#[test]
fn seed_18_hangup_ends_the_transport_without_a_close_frame() {
    let server = probe();
    let mut watcher = server.open();
    watcher.ask("subscribe closed-events");
    let mut peer = server.open();
    peer.send_text("abort");
    peer.expect_end();
    let event = event(&mut watcher);
    assert_eq!(
        (&event["code"], &event["by"], &event["clean"]),
        (&json!(1006), &json!("handler"), &json!(false))
    );
}

#[test]
fn seed_19_established_and_closed_are_told_once_with_role_code_and_reason() {
    let server = probe();
    let mut watcher = server.open();
    watcher.ask("subscribe closed-events");
    let mut peer = server.connect();
    peer.upgrade(&Request::upgrade("/?hello"));
    let id = peer.read_text();
    let id: u64 = id
        .strip_prefix("id ")
        .and_then(|id| id.parse().ok())
        .expect("opened was told");
    let request: Value = serde_json::from_str(&peer.ask("request")).expect("JSON");
    assert_eq!(request["role"], "server");
    peer.send(&Frame::close(3001, "bye"));
    assert_eq!(peer.expect_close(3001), "bye");
    let event = event(&mut watcher);
    assert_eq!(
        event,
        json!({"id": id, "code": 3001, "reason": "bye", "by": "peer", "clean": true, "session": "", "role": "server",
               "failure": null})
    );
    assert_eq!(watcher.ask("echo once"), "once");
}

#[test]
fn seed_20_receive_gives_text_and_binary_of_any_length() {
    let server = probe();
    let mut peer = server.open();
    for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        peer.send_binary(&payload);
        let frame = peer.read_frame();
        assert!(
            frame.opcode == frame::BINARY && frame.payload == payload,
            "{length} bytes"
        );
    }
    let text = "ä".repeat(400_000);
    assert_eq!(peer.ask(&format!("echo {text}")), text);
}

#[test]
fn seed_21_receive_pong_is_told_to_those_who_want_it() {
    let server = probe();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::PONG, "unasked"));
    peer.expect_text("pong unasked");
    // A handler without the export is served all the same.
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::PONG, "unasked"));
    assert_eq!(peer.ask("still here"), "still here");
}

#[test]
fn seed_26_filter_protocol_connection_sees_the_headers_and_decides() {
    let server = Server::of(handlers::built("gate")).start();
    let response = server.connect().request(&Request::upgrade("/refuse"));
    assert_eq!((response.status, response.text()), (403, "not on the list"));
    let mut peer = server.connect();
    let response = peer.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", "one, two"));
    assert_eq!(response.header("sec-websocket-protocol"), Some("two"));
    assert_eq!(response.header("x-gate"), Some("yes"));
    assert_eq!(peer.ask("session"), "from-handshake");
}

#[test]
fn seed_26_filter_protocol_connection_lets_pages_of_other_origins_in_only_when_told() {
    let request = |origin: &str| {
        Request::upgrade("/")
            .set("Host", "chat.example:9000")
            .with("Origin", origin)
    };
    let server = probe();
    let status = |server: &Server, origin: &str| server.connect().request(&request(origin)).status;
    assert_eq!(status(&server, "http://chat.example:9000"), 101);
    for other in [
        "http://evil.example",
        "https://chat.example:9000",
        "null",
        "http://chat.example",
    ] {
        assert_eq!(status(&server, other), 403, "{other}");
    }
    let server = Server::of(handlers::probe())
        .args(["--allow-origin", "https://friend.example"])
        .start();
    assert_eq!(status(&server, "https://friend.example"), 101);
    assert_eq!(status(&server, "https://friend.example.evil.example"), 403);
}

#[test]
fn seed_27_protocols_have_their_own_handlers_and_sessions_their_own_data() {
    let server = Server::of(handlers::echo())
        .args(["--max-session", "1KiB", "--protocol"])
        .arg(format!("one={}", handlers::probe().display()))
        .arg("--protocol")
        .arg(format!("two={}", handlers::probe().display()))
        .start();
    let [mut one, mut also_one, mut two] = [
        server.open_protocol("one"),
        server.open_protocol("one"),
        server.open_protocol("two"),
    ];
    assert_eq!(one.ask("session-set mine"), "ok");
    assert_eq!(also_one.ask("session-get"), "");
    assert_eq!(one.ask("session-get"), "mine");
    assert_eq!(one.ask("session-set-size 1025"), "err too-large 1024");
    let id = one.ask("id");
    assert_eq!(
        two.ask(&format!("on {id} session-get")),
        "",
        "another protocol's connection is unknown"
    );
    // Names that nobody serves, or none: the first is the default.
    assert_eq!(server.open_protocol("none").ask("echo x"), "echo x");
    assert_eq!(server.open().ask("echo x"), "echo x");
}

#[test]
fn seed_28_tls_serves_wss_with_certificate_and_key_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::probe())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let mut peer = Peer::tls(server.address(), certificate.trusting_client()).expect("TLS");
    peer.upgrade(&Request::upgrade("/"));
    let request: Value = serde_json::from_str(&peer.ask("request")).expect("JSON");
    assert_eq!(request["secure"], true);
    // Another certificate while it runs.
    let renewed = Certificate::write_to(folder.path());
    server.expect_log("certificate read");
    let peer = Peer::tls(server.address(), renewed.trusting_client()).expect("TLS");
    assert_eq!(peer.server_certificate(), renewed.der());
}

#[test]
fn seed_30_defeat_client_mask_is_refused_unless_the_danger_is_named_in_full() {
    let server = probe();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "echo x").unmasked());
    peer.expect_close(1002);
    for short in ["--danger", "--danger-unmasked"] {
        let ended = server::run([handlers::probe().as_os_str(), short.as_ref()]);
        assert_eq!(ended.code, Some(2), "{short}");
    }
    let server = Server::of(handlers::probe())
        .arg("--danger-unmasked-frames")
        .start();
    server.expect_log("for tests alone");
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "echo x").unmasked());
    peer.expect_text("x");
    assert_eq!(peer.ask("echo masked"), "masked");
}
