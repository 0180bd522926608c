//! The examples, spoken to by hand and in a real browser. (`echo` is spoken to by most of the other tests.)

use serde_json::{Value, json};
use wsrun_tests::admin::Administered;
use wsrun_tests::environment;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Server};

#[track_caller]
fn join(server: &Server, name: &str, room: &str) -> Peer {
    let mut peer = server.open();
    tell(
        &mut peer,
        &json!({"type": "join", "name": name, "room": room}),
    );
    peer
}

fn tell(peer: &mut Peer, message: &Value) {
    peer.send_text(&message.to_string());
}

#[track_caller]
fn expect(peer: &mut Peer, event: &Value) {
    let seen: Value = serde_json::from_str(&peer.read_text()).expect("the chat speaks JSON");
    assert_eq!(&seen, event);
}

#[test]
fn chat_tells_a_room_who_comes_speaks_and_goes() {
    let server = Server::of(handlers::built("chat")).start();
    let mut ada = join(&server, "Ada", "tea");
    expect(
        &mut ada,
        &json!({"type": "welcome", "name": "Ada", "room": "tea", "who": ["Ada"]}),
    );
    let mut grace = join(&server, " Grace  H. ", "TEA");
    expect(
        &mut grace,
        &json!({"type": "welcome", "name": "Grace H.", "room": "tea", "who": ["Ada", "Grace H."]}),
    );
    expect(&mut ada, &json!({"type": "joined", "name": "Grace H."}));
    let mut elsewhere = join(&server, "Ada", "coffee");
    expect(
        &mut elsewhere,
        &json!({"type": "welcome", "name": "Ada", "room": "coffee", "who": ["Ada"]}),
    );

    tell(&mut ada, &json!({"type": "say", "text": "hello"}));
    for peer in [&mut ada, &mut grace] {
        expect(
            peer,
            &json!({"type": "said", "name": "Ada", "text": "hello"}),
        );
    }
    tell(&mut grace, &json!({"type": "leave"}));
    expect(&mut ada, &json!({"type": "left", "name": "Grace H."}));
    let mut third = join(&server, "Linus", "tea");
    expect(
        &mut third,
        &json!({"type": "welcome", "name": "Linus", "room": "tea", "who": ["Ada", "Linus"]}),
    );
    expect(&mut ada, &json!({"type": "joined", "name": "Linus"}));
    drop(third);
    expect(&mut ada, &json!({"type": "left", "name": "Linus"}));
    tell(&mut elsewhere, &json!({"type": "say", "text": "alone"}));
    expect(
        &mut elsewhere,
        &json!({"type": "said", "name": "Ada", "text": "alone"}),
    );
}

/// A new instance has not seen anybody: it must know of those, too, who have said nothing since.
#[test]
fn chat_knows_names_and_the_silent_after_a_new_version() {
    let built = std::fs::read(handlers::built("chat")).expect("the example was built");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("chat.wasm");
    std::fs::write(&file, &built).expect("the folder is there");
    let server = Administered::start(Server::of(&file));
    let _ada = {
        let mut peer = join(&server, "Ada", "tea");
        peer.read_text();
        peer
    };

    // Another component with the same behaviour: a custom section of the name `note` without content.
    let mut other = built;
    other.extend(b"\x00\x05\x04note");
    std::fs::write(&file, &other).expect("the folder is there");
    let swapped = server.ctl(["swap"]);
    assert_eq!(swapped.code, Some(0), "{}", swapped.stderr);

    let mut second = join(&server, "Ada", "tea");
    expect(
        &mut second,
        &json!({"type": "error", "message": "somebody in this room has that name"}),
    );
    tell(
        &mut second,
        &json!({"type": "join", "name": "Grace", "room": "tea"}),
    );
    expect(
        &mut second,
        &json!({"type": "welcome", "name": "Grace", "room": "tea", "who": ["Ada", "Grace"]}),
    );
}

#[test]
fn chat_says_what_it_does_not_allow() {
    let server = Server::of(handlers::built("chat")).start();
    let _ada = {
        let mut peer = join(&server, "Ada", "tea");
        peer.read_text();
        peer
    };
    let mut peer = server.open();
    for message in [
        json!({"type": "say", "text": "before joining"}).to_string(),
        json!({"type": "join", "name": "Ada", "room": "tea"}).to_string(),
        json!({"type": "join", "name": "", "room": "tea"}).to_string(),
        json!({"type": "join", "name": "x".repeat(25), "room": "tea"}).to_string(),
        json!({"type": "join", "name": "x", "room": "no spaces"}).to_string(),
        "not JSON".to_owned(),
        "{}".to_owned(),
    ] {
        let seen: Value = serde_json::from_str(&peer.ask(&message)).expect("the chat speaks JSON");
        assert_eq!(seen["type"], "error", "{message}");
        assert!(
            seen["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{seen}"
        );
    }
    peer.send_binary(&[1, 2, 3]);
    assert!(peer.read_text().contains("error"));
}

#[test]
fn increment_counts_for_each_connection_and_resets() {
    let server = Server::of(handlers::built("increment")).start();
    let mut one = server.open();
    for number in 0..30 {
        one.expect_text(&number.to_string());
    }
    let mut two = server.open();
    two.expect_text("0");
    one.send_text("reset");
    let mut last = 29;
    loop {
        let number: u32 = one.read_text().parse().expect("a number");
        if number < last {
            assert!(number <= 1, "{number}");
            break;
        }
        last = number;
    }
}

#[test]
fn mirror_sends_every_drawing_to_everybody_and_the_history_to_newcomers() {
    let server = Server::of(handlers::built("mirror")).start();
    let (mut one, mut two) = (server.open(), server.open());
    one.send_text("d #ff0000 1 2 3 4");
    two.send_text("d #00ff00 5 6 7 8");
    let seen = [one.read_text(), one.read_text()];
    assert_eq!([two.read_text(), two.read_text()], seen);
    let mut late = server.open();
    assert_eq!([late.read_text(), late.read_text()], seen);
    late.send_text("clear");
    for peer in [&mut one, &mut two, &mut late] {
        peer.expect_text("clear");
    }
    let mut later = server.open();
    assert_eq!(later.ask("d #0000ff 0 0 1 1"), "d #0000ff 0 0 1 1");
    later.send_text(&"x".repeat(5_000));
    later.expect_close(1009);
}

#[test]
fn client_prints_the_numbers_and_draws_circles() {
    let server = demo();
    let mut board = server.open_protocol("mirror");
    let url = format!("{}/?from=a-test", server.url(0).trim_end_matches('/'));
    let client = handlers::built("client");
    let ended = server::run([
        "connect",
        "--protocol",
        "increment",
        "--config",
        "circles=3",
        client.to_str().expect("a path is text"),
        &url,
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for line in ["guest: 0 ", "guest: 1 ", "guest: 3 circles are drawn"] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    for _ in 0..3 {
        let circle = board.read_text();
        assert!(
            circle.starts_with("c #") && circle.ends_with(';'),
            "{circle}"
        );
    }
}

#[test]
fn client_says_why_there_is_no_board() {
    let server = Server::without_handler()
        .arg("--protocol")
        .arg(format!(
            "increment={}",
            handlers::built("increment").display()
        ))
        .start();
    let client = handlers::built("client");
    let ended = server::run([
        "connect",
        "--protocol",
        "increment",
        client.to_str().expect("a path is text"),
        server.url(0),
    ]);
    // It closes the counter itself: there is nothing more to do.
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("guest: not connected: "),
        "{}",
        ended.stderr
    );
}

/// What `examples/upload/README.md` says of a message.
fn upload_answer(message: &[u8]) -> String {
    let sum = message.chunks(8).fold(0_u64, |sum, bytes| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        sum.wrapping_add(u64::from_le_bytes(word))
    });
    format!("{} {sum:016x}", message.len())
}

#[test]
fn upload_answers_messages_of_any_size_with_their_length_and_checksum() {
    let server = Server::of(handlers::built("upload")).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("hello"), "5 0000006f6c6c6568");
    assert_eq!(peer.ask(""), upload_answer(b""));
    let long_text = "send 1 ".repeat(1_000);
    assert_eq!(peer.ask(&long_text), upload_answer(long_text.as_bytes()));
    // More than a message may have that is given as a whole.
    let message: Vec<u8> = (0..5_000_003_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    peer.send_binary(&message);
    peer.expect_text(&upload_answer(&message));
}

#[test]
fn upload_sends_messages_larger_than_its_queue_to_a_peer_that_reads_late() {
    let server = Server::of(handlers::built("upload")).start();
    let mut peer = server.open();
    for bytes in [0, 5, 20_000_003_u32] {
        let expected: Vec<u8> = (0..bytes).map(|index| (index % 256) as u8).collect();
        peer.send_text(&format!("send {bytes}"));
        // What comes meanwhile is answered behind it.
        peer.send_text("meanwhile");
        let mut message = Vec::new();
        loop {
            let frame = peer.read_frame();
            message.extend_from_slice(&frame.payload);
            if frame.last {
                break;
            }
        }
        assert!(message == expected, "{bytes} bytes came as others");
        peer.expect_text(&upload_answer(&expected));
        peer.expect_text(&upload_answer(b"meanwhile"));
    }
}

fn demo() -> Server {
    let mut builder = Server::without_handler()
        .arg("--static")
        .arg(handlers::source("examples/page"));
    for name in ["chat", "increment", "mirror"] {
        builder = builder
            .arg("--protocol")
            .arg(format!("{name}={}", handlers::built(name).display()));
    }
    builder.start()
}

#[test]
fn pages_of_the_examples_are_served() {
    let server = demo();
    for page in ["/", "/chat.html", "/test-server.html"] {
        let response = server.connect().request(&Request::get(page));
        assert_eq!(response.status, 200, "{page}: {response:?}");
        assert!(response.text().contains("<!doctype html>"), "{page}");
    }
}

#[test]
fn two_pages_of_the_examples_see_each_other_in_chromium() {
    let server = demo();
    let mut pages = environment::node("pages.mjs");
    pages
        .arg(
            server
                .url(0)
                .replacen("ws", "http", 1)
                .trim_end_matches('/')
                .to_owned()
                + "/",
        )
        .arg(server::kept_folder("screenshots"));
    environment::succeeds(pages);
}

#[test]
fn site_serves_its_page_its_api_its_files_and_its_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("note.txt"), "a note").expect("the folder can be written");
    let server = Server::of(handlers::built("site"))
        .arg("--files")
        .arg(folder.path())
        .start();
    let get = |path: &str| server.connect().request(&Request::get(path));
    let page = get("/");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(page.text().to_lowercase().contains("<!doctype html>"));
    let mut peer = server.open();
    peer.send_text("hello");
    peer.expect_text("hello");
    assert_eq!(get("/api/count").text(), r#"{"connections":1}"#);
    let file = get("/files/note.txt");
    assert_eq!((file.status, file.text()), (200, "a note"));
    assert_eq!(get("/files/../note.txt").status, 404);
    assert_eq!(get("/nothing").status, 404);
    let mut poster = server.connect();
    let request = Request::method("POST", "/api/say").with("Content-Length", "4");
    poster.send_bytes(&[request.encode(), b"news".to_vec()].concat());
    assert_eq!(poster.read_response().status, 202);
    peer.expect_text("news");
    let elsewhere = Request::method("POST", "/api/say")
        .with("Origin", "http://evil.example")
        .with("Content-Length", "4");
    let mut poster = server.connect();
    poster.send_bytes(&[elsewhere.encode(), b"spam".to_vec()].concat());
    assert_eq!(poster.read_response().status, 403);
    assert_eq!(get("/api/say").status, 405);
}
