//! The templates of the SDKs in C, Go, Zig, JavaScript, TypeScript and Python: built as their users build them, and spoken to.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::Server;
use wsrun_tests::wait;

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

/// A client that is let go while nobody speaks, and woken by a message.
#[track_caller]
fn relays_what_wakes_it(language: Language) {
    if !language.is_there() {
        return;
    }
    let upstream = Administered::start(Server::of(handlers::echo()));
    let address = upstream.address().to_string();
    let server = Administered::start(Server::of(built(language, "client")).args([
        "--config",
        &format!("url=ws://{address}"),
        "--allow-connect",
        &address,
        "--hibernate-after",
        "300ms",
        "--ping-interval",
        "off",
        "--idle-timeout",
        "off",
    ]));
    let mut ann = server.open();
    // The connection out may be on its way.
    while ann.ask("hello") != "hello" {}
    let sleeps = || server.metric("wsrun_hibernations_total{handler=\"project\"}");
    let mut slept = 0;
    for words in ["first", "second", "third"] {
        wait::until("it sleeps", || sleeps() > slept);
        slept = sleeps();
        assert_eq!(ann.ask(words), words);
    }
    wait::until("one connection to the server is enough", || {
        upstream.metric("wsrun_connections{handler=\"echo\"}") == 1
    });
}

/// A chat knows who is there when another instance has taken over, also of those who say nothing.
#[track_caller]
fn remembers_who_is_there(language: Language) {
    if !language.is_there() {
        return;
    }
    // In Rust the example is the template.
    let chat = if matches!(language, Language::Rust) {
        handlers::built("chat")
    } else {
        built(language, "chat")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let served = folder.path().join("project.wasm");
    fs::copy(&chat, &served).expect("the folder can be written");
    let server = Administered::start(
        Server::of(&served)
            .args(["--hibernate-after", "300ms"])
            .args(["--ping-interval", "off", "--idle-timeout", "off"]),
    );
    let sleeps = || server.metric("wsrun_hibernations_total{handler=\"project\"}");
    let join = |name: &str| format!(r#"{{"type":"join","name":"{name}","room":"tea"}}"#);
    let welcome = |name: &str, who: &str| {
        format!(r#"{{"type":"welcome","name":"{name}","room":"tea","who":[{who}]}}"#)
    };
    let taken = r#"{"type":"error","message":"somebody in this room has that name"}"#;
    let mut ann = server.open();
    assert_eq!(ann.ask(&join("Ann")), welcome("Ann", r#""Ann""#));
    let (mut ben, mut cid) = (server.open(), server.open());
    // A new version.
    let mut changed = fs::read(&chat).expect("the component is there");
    changed.extend([0, 4, 3, b'n', b'e', b'w']);
    fs::write(&served, changed).expect("the folder can be written");
    server.signal(rustix::process::Signal::HUP);
    server.expect_log("handler replaced");
    let mut slept = sleeps();
    assert_eq!(ben.ask(&join("Ann")), taken);
    assert_eq!(ben.ask(&join("Ben")), welcome("Ben", r#""Ann","Ben""#));
    ann.expect_text(r#"{"type":"joined","name":"Ben"}"#);
    // Sleep, from which the question itself wakes it.
    for (asked, told) in [
        (join("Ann"), taken.to_owned()),
        (join("Cid"), welcome("Cid", r#""Ann","Ben","Cid""#)),
    ] {
        wait::until("it sleeps", || sleeps() > slept);
        slept = sleeps();
        assert_eq!(cid.ask(&asked), told);
    }
}

#[test]
fn client_in_c_relays_what_wakes_it() {
    relays_what_wakes_it(Language::C);
}

#[test]
fn chat_in_c_remembers_who_is_there() {
    remembers_who_is_there(Language::C);
}

#[test]
fn client_in_zig_relays_what_wakes_it() {
    relays_what_wakes_it(Language::Zig);
}

#[test]
fn chat_in_zig_remembers_who_is_there() {
    remembers_who_is_there(Language::Zig);
}

#[test]
fn client_in_go_relays_what_wakes_it() {
    relays_what_wakes_it(Language::Go);
}

#[test]
fn chat_in_go_remembers_who_is_there() {
    remembers_who_is_there(Language::Go);
}

#[test]
fn client_in_javascript_relays_what_wakes_it() {
    relays_what_wakes_it(Language::Js);
}

#[test]
fn chat_in_javascript_remembers_who_is_there() {
    remembers_who_is_there(Language::Js);
}

#[test]
fn client_in_typescript_relays_what_wakes_it() {
    relays_what_wakes_it(Language::Ts);
}

#[test]
fn chat_in_typescript_remembers_who_is_there() {
    remembers_who_is_there(Language::Ts);
}

#[test]
fn client_in_python_relays_what_wakes_it() {
    relays_what_wakes_it(Language::Python);
}

#[test]
fn chat_in_python_remembers_who_is_there() {
    remembers_who_is_there(Language::Python);
}

#[test]
fn client_in_rust_relays_what_wakes_it() {
    relays_what_wakes_it(Language::Rust);
}

#[test]
fn chat_in_rust_remembers_who_is_there() {
    remembers_who_is_there(Language::Rust);
}
