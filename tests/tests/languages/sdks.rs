//! The whole interface through the SDKs in C, Go, Zig, JavaScript, TypeScript and Python.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::{self, Server};
use wsrun_tests::wait::PATIENCE;

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
    command.arg("--cache-dir").arg(server::kept_folder("cache"));
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
