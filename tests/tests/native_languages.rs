//! Handlers in C, C++, Go, Zig, JavaScript, TypeScript and Python: the templates of their SDKs are built as their users build them, and
//! spoken to.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::{self, Server};
use wsrun_tests::wait::PATIENCE;

#[track_caller]
fn built(language: Language, template: &str) -> PathBuf {
    match project::of_template(language, template) {
        Ok(component) => component,
        Err(error) => panic!("{error}"),
    }
}

/// Messages of all sizes that have something to them, and many more than a garbage collector lets pass. They come alone and several at a
/// time.
#[track_caller]
fn echoes(language: Language, messages: usize) {
    if !language.is_there() {
        return;
    }
    let server = Server::of(built(language, "echo")).start();
    let mut peer = server.open();
    let pattern: Vec<u8> = (0..1 << 20).map(|index: u32| (index % 251) as u8).collect();
    let words = "grüße, 世界 ".repeat(70_000);
    let mut random: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |number: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let small = [0, 1, 2, 7, 64, 64, 64, 125, 126, 127, 1000, 4096];
        let large = [16_384, 65_535, 65_536, 65_537];
        let choice = (random >> 33) as usize;
        let size = match number {
            10 => pattern.len(),
            _ if number.is_multiple_of(50) => large[choice % large.len()],
            _ => small[choice % small.len()],
        };
        if random >> 63 == 0 {
            return Frame::new(frame::BINARY, &pattern[..size]);
        }
        let end = (0..=size).rev().find(|&end| words.is_char_boundary(end));
        Frame::new(frame::TEXT, &words[..end.unwrap_or_default()])
    };
    let mut number = 0;
    while number < messages {
        let window = [1, 16, 3][number % 3];
        let sent: Vec<Frame> = (number..number + window).map(&mut next).collect();
        number += window;
        peer.send_bytes(&sent.iter().flat_map(Frame::encode).collect::<Vec<u8>>());
        for sent in sent {
            let seen = peer.read_frame();
            assert!(
                seen.last && seen.opcode == sent.opcode && seen.payload == sent.payload,
                "one of {} bytes before message {number}",
                sent.payload.len()
            );
        }
    }
    peer.send(&Frame::close(1000, "done"));
    peer.expect_close(1000);
}

#[test]
fn echo_in_c_echoes() {
    echoes(Language::C, 10_000);
}

#[test]
fn echo_in_c_compiled_by_zig_echoes() {
    echoes(Language::CByZig, 10_000);
}

#[test]
fn echo_in_zig_echoes() {
    echoes(Language::Zig, 10_000);
}

#[test]
fn echo_in_go_echoes_through_many_garbage_collections() {
    echoes(Language::Go, 100_000);
}

#[test]
fn echo_in_javascript_echoes_through_many_garbage_collections() {
    echoes(Language::Js, 100_000);
}

#[test]
fn echo_in_typescript_echoes() {
    echoes(Language::Ts, 10_000);
}

#[test]
fn echo_in_python_echoes() {
    echoes(Language::Python, 10_000);
}

/// What a chat is asked, by whom. Each is a peer of its own; nothing here is answered with the usage, which `settle` asks for.
const CHAT: [(usize, &str); 39] = [
    (0, r#"{"type":"say","text":"is anybody there?"}"#),
    (0, r#"{"type":"leave"}"#),
    (0, r#"{"type":"join","name":"  Ada 	 L. ","room":"Tea-1 "}"#),
    (1, r#"{"type":"join","name":"Ada L.","room":"tea-1"}"#),
    (
        1,
        r#" { "room" : "tea-1" , "type" : "join" , "name" : "Grace \"\u0041\" \u00fc\ud83d\ude00\/\\" } "#,
    ),
    (2, r#"{"type":"join","name":"Zoë","room":"tea-1"}"#),
    (3, r#"{"type":"join","name":"Zoë","room":"coffee"}"#),
    (0, r#"{"type":"say","text":"a cup?"}"#),
    (
        1,
        "{\"type\":\"say\",\"text\":\" \u{2003}with milk\\n\\tand \\b\\f\\r\\u0000\\u001f\u{7f} sugar\u{3000}\"}",
    ),
    (2, r#"{"type":"say","text":"\"\\\/"}"#),
    (3, r#"{"type":"say","text":"alone"}"#),
    (2, r#"{"type":"join","name":"Zoë","room":"tea-1"}"#),
    (2, r#"{"type":"join","name":"zoe","room":"TEA-1"}"#),
    (2, r#"{"type":"join","name":"Zoë","room":"coffee"}"#),
    (2, r#"{"type":"join","name":"Bob","room":"coffee"}"#),
    (1, r#"{"type":"leave"}"#),
    (1, r#"{"type":"leave"}"#),
    (1, r#"{"type":"say","text":"gone"}"#),
    (1, r#"{"type":"join","name":"","room":"a"}"#),
    (1, r#"{"type":"join","name":"\u2028\u00a0","room":"a"}"#),
    (1, r#"{"type":"join","name":"a\u202eb","room":"a"}"#),
    (1, r#"{"type":"join","name":"a\u200bb","room":"a"}"#),
    (1, r#"{"type":"join","name":"a\ufeffb","room":"a"}"#),
    (1, r#"{"type":"join","name":"a\u009fb","room":"a"}"#),
    (1, r#"{"type":"join","name":"a\u2069b\u2029c","room":"a"}"#),
    (
        1,
        r#"{"type":"join","name":"abcdefghijklmnopqrstuvwxy","room":"a"}"#,
    ),
    (
        1,
        r#"{"type":"join","name":"abcdefghijklmnopqrstuvw\u200bx","room":""}"#,
    ),
    (
        1,
        r#"{"type":"join","name":"äöüäöüäöüäöüäöüäöüäöüäöü","room":"a b"}"#,
    ),
    (1, r#"{"type":"join","name":"a","room":""}"#),
    (1, r#"{"type":"join","name":"a","room":"ä"}"#),
    (1, r#"{"type":"join","name":"a","room":"a_b"}"#),
    (
        1,
        r#"{"type":"join","name":"a","room":"abcdefghijklmnopqrstuvwxyz0123456"}"#,
    ),
    (
        1,
        r#"{"type":"join","name":"a","room":"abcdefghijklmnopqrstuvwxyz012345"}"#,
    ),
    (1, r#"{"type":"say","text":""}"#),
    (1, r#"{"type":"say","text":" \n\u3000"}"#),
    (
        0,
        r#"{"type":"join","name":"äöüäöüäöüäöüäöüäöüäöüäöü","room":"-"}"#,
    ),
    (0, r#"{"type":"say","text":"still here"}"#),
    (3, r#"{"type":"say","text":"bye"}"#),
    (3, r#"{"type":"leave"}"#),
];

/// What a chat answers with its usage.
const NOT_UNDERSTOOD: [&str; 34] = [
    "",
    " ",
    "{",
    "null",
    "[]",
    r#""say""#,
    "{}",
    r#"{"type":"shout","text":"x"}"#,
    r#"{"type":"Say","text":"x"}"#,
    r#"{"Type":"say","text":"x"}"#,
    r#"{"type":"say","text":"x","extra":1}"#,
    r#"{"type":"say","text":"x","text":"y"}"#,
    r#"{"type":"leave","type":"leave"}"#,
    r#"{"type":"leave","text":"x"}"#,
    r#"{"type":"leave","name":null}"#,
    r#"{"type":"say","text":"x","name":"y"}"#,
    r#"{"type":"say","text":1}"#,
    r#"{"type":"say","text":null}"#,
    r#"{"type":"say","text":[104,105]}"#,
    r#"{"type":"say","text":["x"]}"#,
    r#"{"type":"say"}"#,
    r#"{"type":"join","name":""}"#,
    r#"{"type":"join","room":""}"#,
    r#"{"type":"join","name":"","room":"a","text":"x"}"#,
    r#"{"type":"say","text":"x"},"#,
    r#"{"type":"say","text":"x"} {}"#,
    r#"{"type":"say","text":"x",}"#,
    r#"{"type":"say" "text":"x"}"#,
    r#"{"type":"say","text":"x\u12"}"#,
    r#"{"type":"say","text":"x\ud800"}"#,
    r#"{"type":"say","text":"x\ud800\u0041"}"#,
    r#"{"type":"say","text":"x\udc00"}"#,
    r#"{"type":"say","text":"\x"}"#,
    "{\"type\":\"say\",\"text\":\"a\nb\"}",
];

/// Reads what came for a peer: the answer to a message that is not understood comes behind it.
#[track_caller]
fn settle(peer: &mut Peer) -> Vec<String> {
    let mut seen = Vec::new();
    peer.send_text("?");
    loop {
        let text = peer.read_text();
        if text.contains("send {") {
            return seen;
        }
        seen.push(text);
    }
}

#[track_caller]
fn settle_all(peers: &mut [Peer]) -> Vec<Vec<String>> {
    peers.iter_mut().map(settle).collect()
}

/// What everybody hears, step by step.
#[track_caller]
fn played(chat: PathBuf) -> Vec<(String, Vec<Vec<String>>)> {
    let server = Server::of(chat).start();
    let mut peers: Vec<Peer> = (0..4).map(|_| server.open()).collect();
    let mut heard = Vec::new();
    for (who, text) in CHAT {
        peers[who].send_text(text);
        // The one who speaks first: then the others have it too.
        let own = settle(&mut peers[who]);
        let mut step = settle_all(&mut peers);
        step[who].splice(0..0, own);
        heard.push((format!("{who}: {text}"), step));
    }
    let long = |chars: usize| format!(r#"{{"type":"say","text":"{}"}}"#, "ä".repeat(chars));
    for text in [long(1000), long(1001)] {
        heard.push((
            format!("{} bytes", text.len()),
            vec![vec![peers[0].ask(&text)]],
        ));
    }
    for text in NOT_UNDERSTOOD {
        heard.push((text.to_owned(), vec![vec![peers[1].ask(text)]]));
    }
    peers[1].send_binary(b"\0");
    heard.push(("binary".to_owned(), vec![vec![peers[1].read_text()]]));
    // Whoever goes leaves the room.
    let gone = peers.remove(0);
    let mut late = server.open();
    late.ask(r#"{"type":"join","name":"Late","room":"-"}"#);
    drop(gone);
    heard.push(("gone".to_owned(), vec![vec![late.read_text()]]));
    heard.push(("late".to_owned(), vec![settle(&mut late)]));
    heard
}

#[track_caller]
fn chats(language: Language) {
    if !language.is_there() {
        return;
    }
    let expected = played(handlers::built("chat"));
    let spoken: usize = expected.iter().map(|(_, step)| step.concat().len()).sum();
    assert!(spoken > 80, "the example says too little: {expected:?}");
    let seen = played(built(language, "chat"));
    for (expected, seen) in expected.iter().zip(&seen) {
        assert_eq!(expected, seen);
    }
}

#[test]
fn chat_in_c_says_what_the_example_says() {
    chats(Language::C);
}

#[test]
fn chat_in_zig_says_what_the_example_says() {
    chats(Language::Zig);
}

#[test]
fn chat_in_go_says_what_the_example_says() {
    chats(Language::Go);
}

#[test]
fn chat_in_javascript_says_what_the_example_says() {
    chats(Language::Js);
}

#[test]
fn chat_in_typescript_says_what_the_example_says() {
    chats(Language::Ts);
}

#[test]
fn chat_in_python_says_what_the_example_says() {
    chats(Language::Python);
}

#[track_caller]
fn relays(language: Language) {
    if !language.is_there() {
        return;
    }
    let upstream = Administered::start(Server::of(handlers::echo()));
    let address = upstream.address().to_string();
    let component = built(language, "client");
    let folder = tempfile::tempdir().expect("a folder");
    let served = folder.path().join("client.wasm");
    fs::copy(&component, &served).expect("the folder can be written");
    let server = Server::of(&served)
        .args([
            "--config",
            &format!("url=ws://{address}"),
            "--allow-connect",
            &address,
        ])
        .start();
    let (mut ann, mut ben) = (server.open(), server.open());
    // The connection out may be on its way.
    while ann.ask("hello") != "hello" {}
    ben.expect_text("hello");
    ben.send_binary(&[0, 255]);
    assert_eq!(ann.read_frame().payload, [0, 255]);
    assert_eq!(ben.read_frame().payload, [0, 255]);
    // A new version connects as well, and then is told of the connection that there is.
    let mut changed = fs::read(&component).expect("the component is there");
    changed.extend([0, 4, 3, b'n', b'e', b'w']);
    fs::write(&served, changed).expect("the folder can be written");
    server.signal(rustix::process::Signal::HUP);
    server.expect_log("handler replaced");
    while ann.ask("after the swap") != "after the swap" {}
    ben.expect_text("after the swap");
    // Time enough for a second one to be there.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(upstream.metric("wsrun_connections{handler=\"echo\"}"), 1);
    drop(upstream);
    server.expect_log("lost the server (1006): attempt 1 in");
    assert_eq!(ann.ask("hello?"), "the server is away: try again later");

    let denied = Server::of(&component)
        .args(["--config", &format!("url=ws://{address}")])
        .start();
    denied.expect_log("not connected: ");
    denied.expect_log("--allow-connect");
}

#[test]
fn client_in_c_relays() {
    relays(Language::C);
}

#[test]
fn client_in_zig_relays() {
    relays(Language::Zig);
}

#[test]
fn client_in_go_relays() {
    relays(Language::Go);
}

#[test]
fn client_in_javascript_relays() {
    relays(Language::Js);
}

#[test]
fn client_in_typescript_relays() {
    relays(Language::Ts);
}

#[test]
fn client_in_python_relays() {
    relays(Language::Python);
}

#[track_caller]
fn serves_pages(language: Language) {
    if !language.is_there() {
        return;
    }
    let server = Server::of(built(language, "http")).start();
    let (mut ann, mut ben) = (server.open(), server.open());
    ann.send_text("hello");
    ann.expect_text("hello");
    ben.expect_text("hello");
    let mut reader = server.connect();
    let page = reader.request(&Request::get("/"));
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(String::from_utf8_lossy(&page.body).contains("<h1>project</h1>"));
    let count = reader.request(&Request::get("/api/count?x"));
    assert_eq!(
        (count.status, count.body.as_slice()),
        (200, br#"{"connections":2}"#.as_slice())
    );
    assert_eq!(reader.request(&Request::get("/nothing")).status, 404);
    assert_eq!(reader.request(&Request::method("DELETE", "/")).status, 404);
}

#[test]
fn http_in_c_serves_pages() {
    serves_pages(Language::C);
}

#[test]
fn http_in_zig_serves_pages() {
    serves_pages(Language::Zig);
}

#[test]
fn http_in_go_serves_pages() {
    serves_pages(Language::Go);
}

#[test]
fn http_in_javascript_serves_pages() {
    serves_pages(Language::Js);
}

#[test]
fn http_in_typescript_serves_pages() {
    serves_pages(Language::Ts);
}

#[test]
fn http_in_python_serves_pages() {
    serves_pages(Language::Python);
}

/// The handler of `tests/languages`.
#[track_caller]
fn built_of(language: Language, name: &str) -> PathBuf {
    let path = format!("tests/languages/{name}.{}", language.extension());
    let text = fs::read_to_string(handlers::source(&path)).expect("the source is there");
    project::built_of_text(language, name, &text)
}

/// A port that nobody has: the handler must be told its own address before it listens.
#[track_caller]
fn free_address() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    socket
        .local_addr()
        .expect("a bound socket has an address")
        .to_string()
}

/// Asks for everything that an SDK can do.
#[track_caller]
fn covers(language: Language) {
    if !language.is_there() {
        return;
    }
    let component = built_of(language, "cover");
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file.txt"), "a file").expect("the folder can be written");
    let address = free_address();
    let served = folder.path().join("project.wasm");
    fs::copy(&component, &served).expect("the folder can be written");
    let server = Server::of(&served)
        .args([
            "--config",
            &format!("url=ws://{address}"),
            "--config",
            "key=value",
        ])
        .args([
            "--allow-connect",
            &address,
            "--allow-connect",
            "127.0.0.1:1",
        ])
        .arg("--files")
        .arg(folder.path())
        .args(["--allow-origin", "http://origin.example"])
        .listen(&address)
        .start();
    let exports = server::run(["inspect", &component.to_string_lossy()]).stdout;
    for export in [
        "handler",
        "handshake",
        "writable",
        "broadcast-filter",
        "network-filter",
        "http",
        "reconnection",
        "pong",
        "timer-handler",
        "lifecycle",
    ] {
        assert!(
            exports.contains(&format!("wsrun:websocket/{export}@")),
            "{exports}"
        );
    }
    assert!(!exports.contains("chunks@"), "{exports}");
    // The SDK for JavaScript takes each message in a call of its own.
    let is_packed = exports.contains("wsrun:websocket/packed@");
    let takes_one = matches!(language, Language::Js | Language::Ts);
    assert_eq!(is_packed, !takes_one, "{exports}");

    let mut peer = server.connect();
    let refused = peer.request(&Request::upgrade("/refuse"));
    assert_eq!(
        (
            refused.status,
            refused.header("x-why"),
            refused.body.as_slice()
        ),
        (418, Some("because"), b"no".as_slice())
    );
    let mut peer = server.connect();
    let request = Request::upgrade("/a%20b?name=%C3%84da+L.&x")
        .with("Sec-WebSocket-Protocol", "first, second")
        .with("X-Test", "test");
    let response = peer.upgrade(&request);
    assert_eq!(response.header("x-sdk"), Some("yes"));
    peer.expect_text("opened server");
    let mut ask =
        |question: &str, answer: &str| assert_eq!(peer.ask(question), answer, "{question}");
    ask(
        "request",
        "server /a%20b name=%C3%84da+L.&x test 2 false localhost",
    );
    ask("protocol", "second");
    ask("session", "Äda L.");
    ask("keep another", "ok");
    ask("session", "another");
    ask("sub t", "ok");
    ask("sub ", "invalid-name");
    ask("pubx t x", "ok 0");
    ask("unsub t", "true");
    ask("unsub t", "false");
    ask("pub t x", "ok 0");
    ask("slow", "0 0");
    ask("cancel", "true false");
    ask("invalid", "invalid-text");
    ask("unknown", "closed");
    ask("auto", "ok");
    ask("beat?", "beat!");
    ask("unauto", "ok");
    ask("beat?", "unknown command");
    ask("large", "too-large 2097152");
    ask("host", "project value - 1 true");
    ask("version", "unsupported-version false");
    ask("connect-to ws://127.0.0.2:9", "denied true");
    ask("connect-to nonsense", "invalid true");
    ask("life", "true false 0 24");

    peer.send_text("ping payload");
    let mut seen = [peer.read_frame(), peer.read_frame()];
    seen.sort_by_key(|frame| frame.opcode);
    assert_eq!((seen[0].text(), seen[1].opcode), ("ok", frame::PING));
    peer.send(&Frame::new(frame::PONG, "payload"));
    peer.expect_text("pong payload");
    peer.send_text("pong unasked");
    let mut seen = [peer.read_frame(), peer.read_frame()];
    seen.sort_by_key(|frame| frame.opcode);
    assert_eq!(
        (seen[1].opcode, seen[1].payload.as_slice()),
        (frame::PONG, b"unasked".as_slice())
    );
    peer.send_text("parts");
    let parts = [peer.read_frame(), peer.read_frame()];
    assert_eq!(
        (parts[0].last, parts[0].payload.as_slice()),
        (false, b"ab".as_slice())
    );
    assert_eq!(
        (parts[1].opcode, parts[1].last, parts[1].payload.as_slice()),
        (frame::CONTINUATION, true, b"cd".as_slice())
    );
    peer.expect_text("ok");
    peer.send_text("wrong");
    assert_eq!(
        (peer.read_frame().payload, peer.read_frame().payload),
        (b"a".to_vec(), Vec::new())
    );
    peer.expect_text("wrong-kind");
    peer.send_text("timer");
    peer.expect_text("ok");
    peer.expect_text("timer 1099511627776");
    peer.send_text("full");
    let mut parts = 0;
    while peer.read_frame().opcode == frame::BINARY {
        parts += 1;
    }
    assert!(parts > 1, "{parts}");
    for (question, answer) in [("writable", "writable"), ("writable second", "writable")] {
        assert_eq!(peer.ask(question), answer);
    }

    // Others hear of it, or are deaf.
    let mut deaf = server.open_with(&Request::upgrade("/?name=deaf"));
    deaf.expect_text("opened server");
    peer.send_text("cast everybody");
    let mut seen = [peer.read_text(), peer.read_text()];
    seen.sort();
    assert_eq!(seen[0], "everybody");
    assert!(seen[1].starts_with("ok "), "{seen:?}");
    assert_eq!(deaf.ask("session"), "deaf");
    peer.send_text("castp second some");
    let mut seen = [peer.read_text(), peer.read_text()];
    seen.sort();
    assert_eq!(seen, ["ok 1", "some"]);
    assert_eq!(deaf.ask("castp third nobody"), "ok 0");

    // What goes on elsewhere is told to a topic.
    assert_eq!(peer.ask("sub clients"), "ok");
    assert_eq!(peer.ask("timer0"), "ok");
    peer.expect_text("timer 8");
    deaf.send_text("close");
    assert_eq!(deaf.expect_close(4001), "bye");
    deaf.send(&Frame::close(4001, "bye"));
    peer.expect_text("closed 4001 bye handler true");
    assert_eq!(peer.ask("refused"), "ok");
    peer.expect_text("out refused 418");
    assert_eq!(peer.ask("connect"), "ok");
    let mut seen: Vec<String> = (0..4).map(|_| peer.read_text()).collect();
    assert_eq!(
        seen[..2],
        ["out opened two once 101 true", "out got opened server"]
    );
    seen[2..].sort();
    assert_eq!(
        seen[2..],
        ["closed 1000 - handler true", "closed 1000 - peer true"]
    );
    assert_eq!(peer.ask("reconnect"), "ok");
    let mut seen: Vec<String> = (0..8).map(|_| peer.read_text()).collect();
    assert_eq!(seen[0], "out opened two again 101 true");
    seen.sort();
    let expected = [
        "closed 1000 - handler true",
        "closed 1000 - peer true",
        "closed 1006 aborted by the handler handler false",
        "lost 1006 1 true",
        "out got opened server",
        "out got opened server",
        "out opened two again 101 true",
        "restored",
    ];
    assert_eq!(seen, expected);

    // Plain requests, and addresses.
    let mut reader = server.connect();
    let post = Request::method("POST", "/post?a+b=%7E").with("Content-Length", "3");
    reader.send_bytes(&[post.encode(), b"abc".to_vec()].concat());
    let response = reader.read_response();
    assert_eq!(
        (response.status, response.header("x-method")),
        (201, Some("POST"))
    );
    assert_eq!(response.body, b"/post ~ 3");
    assert_eq!(reader.request(&Request::get("/file")).body, b"a file");
    let mut elsewhere = Peer::tcp_from(Ipv4Addr::new(127, 0, 0, 2).into(), server.address());
    elsewhere.send_bytes(&Request::get("/").encode());
    elsewhere.expect_end();

    // A new version has the state of the old one, and its connections.
    let before = peer.ask("life");
    let messages: u32 = before
        .rsplit(' ')
        .next()
        .and_then(|count| count.parse().ok())
        .expect("a number");
    // The same program: a section that means nothing makes it another file.
    let mut changed = fs::read(&component).expect("the component is there");
    changed.extend([0, 4, 3, b'n', b'e', b'w']);
    fs::write(&served, changed).expect("the folder can be written");
    server.signal(rustix::process::Signal::HUP);
    let expected = format!("true true 1 {}", messages + 1);
    server.expect_log("handler replaced");
    let after = peer.ask("life");
    assert_eq!(after, expected);
    server.terminate();
    peer.expect_text("draining true");
}

#[test]
fn sdk_for_c_covers_the_interface() {
    covers(Language::C);
}

#[test]
fn sdk_for_zig_covers_the_interface() {
    covers(Language::Zig);
}

#[test]
fn sdk_for_go_covers_the_interface() {
    covers(Language::Go);
}

#[test]
fn sdk_for_javascript_covers_the_interface() {
    covers(Language::Js);
}

#[test]
fn sdk_for_typescript_covers_the_interface() {
    covers(Language::Ts);
}

/// What the SDK for TypeScript exports is in the two handlers, which its compiler checks.
#[test]
fn handlers_in_typescript_use_all_that_the_sdk_exports() {
    let read =
        |path: &str| fs::read_to_string(handlers::source(path)).expect("the source is there");
    let is_of_name = |character: char| character.is_alphanumeric() || character == '_';
    let handlers = ["cover", "parts"].map(|name| read(&format!("tests/languages/{name}.ts")));
    let used: Vec<&str> = handlers
        .iter()
        .flat_map(|text| text.split(|character| !is_of_name(character)))
        .collect();
    let declarations = read("guest-sdk/js/index.d.ts");
    let exports: Vec<&str> = declarations
        .lines()
        .filter_map(|line| {
            let line = line.strip_prefix("export ")?;
            let rest = ["function ", "class "]
                .iter()
                .find_map(|kind| line.strip_prefix(kind))?;
            rest.split(|character| !is_of_name(character)).next()
        })
        .collect();
    assert!(exports.len() > 30, "{exports:?}");
    for export in exports {
        assert!(used.contains(&export), "{export} is used by no handler");
    }
}

#[track_caller]
fn takes_parts(language: Language) {
    if !language.is_there() {
        return;
    }
    let server = Server::of(built_of(language, "parts")).start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "grü").to_be_continued());
    peer.expect_text("text 4 1 0 0");
    peer.send(&Frame::new(frame::CONTINUATION, "ße"));
    peer.expect_text("text 3 0 1 0");
    peer.send_binary(&[]);
    peer.expect_text("binary 0 1 1 0");
}

#[test]
fn sdk_for_c_takes_messages_in_parts() {
    takes_parts(Language::C);
}

#[test]
fn sdk_for_zig_takes_messages_in_parts() {
    takes_parts(Language::Zig);
}

#[test]
fn sdk_for_go_takes_messages_in_parts() {
    takes_parts(Language::Go);
}

#[test]
fn sdk_for_javascript_takes_messages_in_parts() {
    takes_parts(Language::Js);
}

#[test]
fn sdk_for_typescript_takes_messages_in_parts() {
    takes_parts(Language::Ts);
}

/// The handler and the scenario beside the SDK for Python, which are its own.
#[track_caller]
fn python_plays(name: &str, is_complete: bool) {
    if !Language::Python.is_there() {
        return;
    }
    let source = |kind: &str| handlers::source(&format!("guest-sdk/python/tests/{name}.{kind}"));
    let text = fs::read_to_string(source("py")).expect("the source is there");
    let built = project::built_of_text(Language::Python, name, &text);
    // A handler's name is that of its file.
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join(name).with_extension("wasm");
    fs::copy(built, &component).expect("the folder can be written");
    let mut command = Command::new(server::binary());
    command.arg("test").arg(&component).arg(source("toml"));
    command
        .arg("--cache-dir")
        .arg(server::kept_folder("cache"))
        .arg("--allow-root");
    let played = server::run_command_within(&mut command, "", true, PATIENCE * 6);
    assert_eq!(played.code, Some(0), "{played:?}");
    assert!(
        played.stdout.ends_with("1 passed, 0 failed\n"),
        "{played:?}"
    );
    let exports = server::run(["inspect", &component.to_string_lossy()]).stdout;
    for export in ["broadcast-filter", "network-filter", "timer-handler"] {
        let export = format!("wsrun:websocket/{export}@");
        assert_eq!(exports.contains(&export), is_complete, "{exports}");
    }
}

#[test]
fn sdk_for_python_covers_the_interface() {
    python_plays("every", true);
}

#[test]
fn sdk_for_python_takes_messages_in_parts() {
    python_plays("parts", false);
}

#[test]
fn sdk_for_python_passes_its_own_tests() {
    if !Language::Python.is_there() {
        return;
    }
    let tests = [
        "python3",
        "-B",
        "-W",
        "error",
        "-m",
        "unittest",
        "discover",
        "guest-sdk/python/tests",
    ];
    if let Err(error) = project::run(&tests, ".", &[]) {
        panic!("{error}");
    }
}

#[test]
fn exception_in_python_is_a_trap_that_the_log_tells() {
    let program = r#"
import wsrun


class Picky(wsrun.Handler):
    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        connection.send(message)
        if len(message) > 1:
            raise ValueError(f"{message} is too much for me")
"#;
    traps(
        Language::Python,
        program,
        "ValueError: trap is too much for me",
    );
}

/// What ends a callback, and what the log then says.
#[track_caller]
fn traps(language: Language, program: &str, told: &str) {
    if !language.is_there() {
        return;
    }
    let server = Server::of(project::built_of_text(language, "traps", program)).start();
    let (mut peer, mut other) = (server.open(), server.open());
    assert_eq!(other.ask("1"), "1");
    peer.send_text("trap");
    peer.expect_close(1011);
    server.expect_log(told);
    assert_eq!(other.ask("2"), "2");
}

#[test]
fn abort_in_c_is_a_trap() {
    let program = r#"
#include <stdio.h>
#include <stdlib.h>
#include "wsrun.h"
void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    wsrun_send(connection, message);
    if (message.size > 1) {
        fprintf(stderr, "%s is too much for me\n", message.data);
        abort();
    }
}
"#;
    traps(Language::C, program, "trap is too much for me");
}

#[test]
fn error_in_zig_is_a_trap_that_the_log_names() {
    let program = r#"
const wsrun = @import("wsrun");
comptime {
    wsrun.handler(@This());
}
pub const panic = wsrun.panic;
pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    try connection.send(message);
    if (message.bytes().len > 1) return error.TooMuchForMe;
}
"#;
    traps(Language::Zig, program, "panic: TooMuchForMe");
}

#[test]
fn panic_in_go_is_a_trap_that_the_log_tells() {
    let program = r#"
package main

import "wsrun"

type h struct{}

func (h) Received(c wsrun.Connection, m wsrun.Message) {
	c.Send(m)
	if len(m.Data) > 1 {
		panic(m.String() + " is too much for me")
	}
}

func init() { wsrun.Handle(h{}) }

func main() {}
"#;
    traps(Language::Go, program, "panic: trap is too much for me");
}

#[test]
fn component_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let core = folder.path().join("core.wasm");
    let run = || {
        let mut command = Command::new(server::binary());
        command.arg("component").arg(&core);
        server::run_command(&mut command, "", true)
    };
    let missing = run();
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("core.wasm"), "{missing:?}");
    for (bytes, told) in [
        (b"#!/bin/sh".to_vec(), "is not a WebAssembly module"),
        (
            fs::read(handlers::echo()).expect("the echo is built"),
            "is a component already",
        ),
        (
            b"\0asm\x01\0\0\0".to_vec(),
            "exports no wsrun:websocket/handler@0.1.0",
        ),
    ] {
        fs::write(&core, bytes).expect("the folder can be written");
        let ended = run();
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(told), "{ended:?}");
        let left = fs::read_dir(folder.path())
            .expect("the folder can be read")
            .count();
        assert_eq!(left, 1);
    }
}

#[test]
fn sources_in_go_are_tidy() {
    if !Language::Go.is_there() {
        return;
    }
    let folders = [
        "gofmt",
        "-l",
        "guest-sdk/go",
        "guest-sdk/templates/go",
        "tests/languages",
    ];
    match project::run(&folders, ".", &[]) {
        Ok(untidy) => assert_eq!(untidy, ""),
        Err(error) => panic!("{error}"),
    }
    let target = [("GOOS", "wasip1"), ("GOARCH", "wasm")];
    if let Err(error) = project::run(&["go", "vet", "./..."], "guest-sdk/go", &target) {
        panic!("{error}");
    }
}

#[test]
fn sources_in_zig_are_tidy() {
    if !Language::Zig.is_there() {
        return;
    }
    let folders = [
        "zig",
        "fmt",
        "--check",
        "guest-sdk/zig",
        "guest-sdk/templates/zig",
        "tests/languages",
    ];
    if let Err(error) = project::run(&folders, ".", &[]) {
        panic!("{error}");
    }
}
