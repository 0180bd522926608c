//! What was recorded is played again without a network: it is identical, or the first difference is shown.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use wsrun_tests::frame::{Frame, PONG, TEXT};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Builder, Ended, Server, kept_folder, run};
use wsrun_tests::wait::until;

/// A tape that is to be recorded, and versions of a handler beside it.
struct Tape {
    folder: TempDir,
    path: PathBuf,
}

impl Tape {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tape.jsonl");
        Self { folder, path }
    }

    fn of(&self, handler: impl AsRef<Path>) -> Builder {
        Server::of(handler).arg("--record").arg(&self.path)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).expect("there is a tape")
    }

    /// The lines, the header first; what is not JSON fails the test.
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("a line is JSON")).collect()
    }

    /// The number of the first event that is this one: of its line.
    fn event(&self, is: impl Fn(&Value) -> bool) -> usize {
        let found = self.lines().iter().position(is);
        found.expect("the event is on the tape") + 1
    }

    fn replay(&self, handler: impl AsRef<Path>) -> Ended {
        self.replay_with(handler, &[])
    }

    fn replay_with(&self, handler: impl AsRef<Path>, more: &[&str]) -> Ended {
        let mut arguments = vec![
            "replay".into(),
            self.path.clone().into_os_string(),
            handler.as_ref().into(),
            "--cache-dir".into(),
            kept_folder("cache").into(),
        ];
        arguments.extend(more.iter().map(Into::into));
        run(arguments)
    }

    #[track_caller]
    fn is_identical(&self, handler: impl AsRef<Path>) -> Ended {
        let ended = self.replay(handler);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stdout.starts_with("identical: "), "{ended:?}");
        ended
    }

    /// A copy of a handler with other bytes in one place of the same length.
    fn changed(&self, handler: &Path, from: &str, to: &str) -> PathBuf {
        assert_eq!(from.len(), to.len());
        let mut bytes = std::fs::read(handler).expect("the handler was built");
        let windows = bytes.windows(from.len());
        let places: Vec<usize> = windows
            .enumerate()
            .filter_map(|(at, window)| (window == from.as_bytes()).then_some(at))
            .collect();
        assert!(!places.is_empty(), "the handler has {from:?}");
        for at in places {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        let path = self.folder.path().join("changed.wasm");
        std::fs::write(&path, bytes).expect("the folder is there");
        path
    }
}

/// Stops a server in its good time, so that the tape has its end.
#[track_caller]
fn stop(mut server: Server) {
    server.terminate();
    assert!(server.wait(Duration::from_secs(20)).success());
}

/// Has clients make use of all that a handler can see and do.
fn traffic(server: &Server) {
    let mut ann = server.open();
    let mut bob = server.open();
    for peer in [&mut ann, &mut bob] {
        assert_eq!(peer.ask("subscribe room"), "ok true");
    }
    ann.ask("session-set kept");
    assert_eq!(ann.ask("session-get"), "kept");
    for command in [
        "random",
        "clock",
        "request",
        "hostname",
        "name",
        "count",
        "config key",
        "env",
        "args",
        "stdin",
        "fs",
        "net",
        "resolve",
        "buffered",
        "cancel 77",
        "sleep-wasi 20",
        "in-one random; clock; id; random",
        "session-set-size 70000",
        "send-size 300",
        r#"connect {"url":"ws://127.0.0.1:1"}"#,
        "policy drop-oldest",
        "want-writable",
    ] {
        ann.send_text(command);
    }
    ann.send_text("echo done");
    while !ann.read_frame().payload.ends_with(b"done") {}
    ann.send_text("publish room to all");
    bob.expect_text("to all");
    bob.send_binary(&[0, 159, 146, 150]);
    assert_eq!(bob.read_frame().payload, [0, 159, 146, 150]);
    bob.send(&Frame::new(PONG, "unasked"));
    bob.expect_text("pong unasked");
    bob.ask("timer-conn 20 5");
    assert!(bob.read_text().starts_with("timer "));
    // A trap, which has no effect, and the next instance.
    let mut carl = server.open();
    carl.send_text("send-then-trap lost");
    carl.expect_close(1011);
    // A callback that is stopped.
    let mut dora = server.open();
    dora.send_text("loop");
    dora.expect_close(1011);
    // One that breaks the contract.
    let mut erik = server.open();
    erik.send_text("close 1005000 x");
    erik.expect_close(1011);
    let mut fred = server.open();
    fred.send_text("close 1006 x");
    fred.expect_close(1011);
    assert_eq!(bob.ask("session-get"), "");
    bob.close();
}

#[test]
fn recorded_traffic_is_identical_in_a_replay() {
    let tape = Tape::new();
    let server = tape
        .of(handlers::probe())
        .args(["--config", "key=value", "--workers", "2"])
        .start();
    traffic(&server);
    stop(server);
    let mode = std::fs::metadata(&tape.path)
        .expect("there is a tape")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let ended = tape.is_identical(handlers::probe());
    assert_eq!(ended.stderr, "", "there is nothing to note");
    let lines = tape.lines();
    let outcome = |key: &str| lines.iter().filter(|line| line.get(key).is_some()).count();
    assert_eq!((outcome("trapped"), outcome("stopped")), (3, 1));
    let mut calls: HashMap<&str, usize> = HashMap::new();
    for line in &lines[1..lines.len() - 1] {
        for call in line["calls"].as_array().expect("calls are a list") {
            *calls
                .entry(call["call"].as_str().expect("a name"))
                .or_default() += 1;
        }
    }
    for call in [
        "connections.send",
        "connections.set-session",
        "topics.publish",
        "timers.set",
        "client.connect",
        "wasi:clocks/wall-clock.now",
        "wasi:random/insecure-seed.insecure-seed",
    ] {
        assert!(calls.contains_key(call), "{call} is not among {calls:?}");
    }
    assert_eq!(lines.last().expect("lines")["end"], "stopped");
}

/// An hour of eleven messages a second from eight clients, in as little time as it takes.
#[test]
fn recorded_hour_is_identical_in_a_replay_and_a_changed_handler_is_caught_in_its_middle() {
    const CLIENTS: usize = 8;
    const MESSAGES: usize = 5_000;
    const WINDOW: usize = 100;
    let tape = Tape::new();
    let server = tape
        .of(handlers::probe())
        .args(["--workers", "2", "--scope", "worker"])
        .start();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let address = server.address();
            let open = move || {
                let mut peer = Peer::tcp(address);
                peer.upgrade(&Request::upgrade("/"));
                peer
            };
            scope.spawn(move || {
                // A connection lives for ten windows.
                for connection in 0..MESSAGES / WINDOW / 10 {
                    let mut peer = open();
                    peer.ask("subscribe all");
                    let mut fired = 0;
                    for window in 0..10 {
                        let odd = (client, connection, window) == (3, 2, 5);
                        peer.send_bytes(&window_of_messages(client, window, WINDOW, odd));
                        fired += timers_until(&mut peer, "end of window");
                    }
                    while fired < 10 * (WINDOW / 10 - 1) {
                        fired += usize::from(peer.read_text().starts_with("timer "));
                    }
                    peer.close();
                    // What it sent is lost, and another instance is told the others.
                    let mut guilty = open();
                    guilty.send_text("send-then-trap lost");
                    guilty.expect_close(1011);
                }
            });
        }
    });
    stop(server);
    let ended = tape.is_identical(handlers::probe());
    let number = ended.stdout.split_whitespace().nth(1);
    let events: usize = number
        .and_then(|number| number.parse().ok())
        .expect("a number of events");
    let lines = tape.lines();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    let (received, fired) = (of("handler.received"), of("timer-handler.fired"));
    assert!(received >= CLIENTS * MESSAGES, "{received} messages");
    assert_eq!(fired, CLIENTS * MESSAGES / WINDOW * (WINDOW / 10 - 1));
    assert!(events >= received + fired, "{ended:?}");
    let text = tape.text();
    assert!(text.contains(r#""worker":0,"#) && text.contains(r#""worker":1,"#));

    let changed = tape.changed(&handlers::probe(), "unknown command ", "unheard command ");
    let event = tape.event(|line| line["args"][1]["text"] == "nonsense");
    assert!(event > events / 4, "event {event} of {events}");
    let ended = tape.replay(changed);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!("event {event} differs: handler.received\n");
    assert!(ended.stdout.starts_with(&expected), "{ended:?}");
}

/// Messages that make use of the clock, randomness, session data and timers, and one that the handler does not know, where that is asked for.
fn window_of_messages(client: usize, window: usize, number: usize, odd: bool) -> Vec<u8> {
    let mut wire = Vec::new();
    for n in 0..number - 1 {
        let text = match n % 10 {
            0 => "random".to_owned(),
            1 => "clock".to_owned(),
            2 => format!("session-set {client} {window} {n}"),
            3 => "session-get".to_owned(),
            4 if n > 10 => format!("timer-conn {} 7", n % 3),
            5 if n == 55 && odd => "nonsense".to_owned(),
            _ => format!("echo {client} {window} {n}"),
        };
        Frame::new(TEXT, text).encode_onto(&mut wire);
    }
    Frame::new(TEXT, "echo end of window").encode_onto(&mut wire);
    wire
}

/// The timers that have fired before this text came.
fn timers_until(peer: &mut Peer, end: &str) -> usize {
    let mut timers = 0;
    loop {
        let text = peer.read_text();
        if text == end {
            return timers;
        }
        timers += usize::from(text.starts_with("timer "));
    }
}

#[test]
fn changed_handler_is_caught_at_its_first_other_effect() {
    let tape = Tape::new();
    let server = tape.of(handlers::built("versions")).start();
    let mut peer = server.open();
    peer.ask("first");
    peer.ask("second");
    peer.close();
    stop(server);
    tape.is_identical(handlers::built("versions"));
    let changed = tape.changed(&handlers::built("versions"), "version=one ", "version=two ");
    let event = tape
        .event(|line| line["event"] == "handler.received" && line["args"][1]["text"] == "first");
    let ended = tape.replay(changed);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!("event {event} differs: handler.received\n");
    assert!(ended.stdout.starts_with(&expected), "{ended:?}");
    assert!(
        ended.stdout.contains("one 1 opened first") && ended.stdout.contains("two 1 opened first"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("another than the recorded one"));
}

#[test]
fn change_that_shows_late_is_caught_late() {
    let tape = Tape::new();
    let server = tape.of(handlers::probe()).start();
    let mut peer = server.open();
    for n in 0..200 {
        peer.ask(&format!("echo {n}"));
    }
    peer.ask("what is this");
    peer.ask("echo later");
    peer.close();
    stop(server);
    let changed = tape.changed(&handlers::probe(), "unknown command ", "unheard command ");
    let event = tape.event(|line| line["args"][1]["text"] == "what is this");
    let ended = tape.replay(changed);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!("event {event} differs: ");
    assert!(ended.stdout.starts_with(&expected), "{ended:?}");
}

#[test]
fn handler_that_traps_otherwise_is_caught() {
    let tape = Tape::new();
    let server = tape.of(handlers::built("versions")).start();
    server.open().close();
    stop(server);
    let changed = tape.changed(
        &handlers::built("versions"),
        "version=one         ",
        "version=x:opened    ",
    );
    let event = tape.event(|line| line["event"] == "handler.opened");
    let ended = tape.replay(changed);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!("event {event} differs: handler.opened");
    assert!(ended.stdout.starts_with(&expected), "{ended:?}");
    assert!(ended.stdout.contains("trapped: "), "{ended:?}");
}

#[test]
fn component_without_a_recorded_callback_is_caught() {
    let tape = Tape::new();
    let server = tape.of(handlers::built("lifecycle")).start();
    server.open().close();
    stop(server);
    let ended = tape.replay(handlers::echo());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("differs: "), "{ended:?}");
}

#[test]
fn each_version_of_a_swap_is_played_with_its_own_component() {
    let tape = Tape::new();
    let one = handlers::built("versions");
    let file = tape.folder.path().join("app.wasm");
    std::fs::copy(&one, &file).expect("the folder is there");
    let server = tape.of(&file).args(["--trial-time", "200ms"]).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("a"), "one 1 opened a");
    let two = tape.changed(&one, "version=one ", "version=two ");
    std::fs::copy(&two, file.with_extension("new")).expect("the folder is there");
    std::fs::rename(file.with_extension("new"), &file).expect("the folder is there");
    server.signal(Signal::HUP);
    server.expect_log("handler replaced");
    assert_eq!(peer.ask("b"), "two 2 resumed b");
    peer.close();
    stop(server);
    for version in [&one, &two] {
        let ended = tape.is_identical(version);
        assert!(
            ended.stderr.contains("of other versions left out"),
            "{ended:?}"
        );
    }
    assert!(tape.text().contains("lifecycle.restore"));
}

#[test]
fn callbacks_of_every_interface_are_identical_in_a_replay() {
    let tape = Tape::new();
    let server = tape.of(handlers::built("gate")).start();
    server.connect().request(&Request::upgrade("/refuse"));
    server.connect().request(&Request::upgrade("/accept"));
    stop(server);
    tape.is_identical(handlers::built("gate"));
    assert!(tape.text().contains("handshake.requested"));

    let tape = Tape::new();
    let server = tape.of(handlers::built("http")).start();
    for path in ["/hello", "/echo?a=b", "/trap", "/hello"] {
        server.connect().request(&Request::get(path));
    }
    stop(server);
    tape.is_identical(handlers::built("http"));
    assert!(tape.text().contains("http.requested"));

    let tape = Tape::new();
    let server = tape.of(handlers::built("chunk-echo")).start();
    let mut peer = server.open();
    let large = "x".repeat(600_000);
    peer.send_text(&large);
    while !peer.read_frame().last {}
    peer.close();
    stop(server);
    tape.is_identical(handlers::built("chunk-echo"));
    assert!(tape.text().contains("chunks.received-chunk"));

    let tape = Tape::new();
    let server = tape.of(handlers::built("filter")).start();
    let mut wants = server.open();
    let mut declines = server.open();
    assert_eq!(declines.ask("no"), "ok");
    wants.send_text("say also");
    until("the broadcast is over", || wants.read_text() == "said 2");
    wants.send_text("say trap");
    wants.expect_close_at_last(1011);
    stop(server);
    tape.is_identical(handlers::built("filter"));
    let text = tape.text();
    assert!(text.contains("broadcast-filter.wanted") && text.contains("network-filter.accepts"));

    let tape = Tape::new();
    let server = tape
        .of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let mut events = server.open();
    events.ask("subscribe");
    let mut control = server.open();
    let options = |port: u16| {
        format!(
            r#"connect {{"url":"ws://127.0.0.1:{port}","reconnect":{{"attempts-max":2,"delay-ms":10}}}}"#
        )
    };
    assert!(
        control
            .ask(&options(server.address().port()))
            .starts_with("ok ")
    );
    until("it is open", || events.read_text().contains("opened"));
    assert!(control.ask(&options(1)).starts_with("ok "));
    until("it is given up", || events.read_text().contains("closed"));
    stop(server);
    tape.is_identical(handlers::built("reconnect"));
    assert!(tape.text().contains("reconnection.lost"));
}

#[test]
fn requests_by_wasi_http_are_left_out_and_the_rest_is_recorded() {
    let tape = Tape::new();
    let server = tape.of(handlers::built("wasi-http")).start();
    server.expect_log("requests that wasi:http answers are not recorded");
    let mut peer = server.open();
    assert_eq!(peer.ask("open"), "open");
    let page = server.connect().request(&Request::get("/count"));
    assert_eq!(page.text(), "1");
    assert_eq!(peer.ask("still open"), "still open");
    peer.close();
    stop(server);
    let ended = tape.is_identical(handlers::built("wasi-http"));
    assert!(ended.stderr.contains("wasi:http"), "{ended:?}");
    assert!(!tape.text().contains("/count"));
}

#[test]
fn credentials_are_nowhere_on_a_tape() {
    let tape = Tape::new();
    let server = tape
        .of(handlers::built("gate"))
        .args(["--record-redact", "X-Api-Key"])
        .start();
    let request = Request::upgrade("/accept")
        .with("Cookie", "id=hidden-cookie")
        .with("Authorization", "Bearer hidden-token")
        .with("Proxy-Authorization", "Basic hidden-proxy")
        .with("X-Api-Key", "hidden-key")
        .with("X-Seen", "seen-value");
    server.connect().request(&request);
    stop(server);
    let text = tape.text();
    assert!(!text.contains("hidden"), "{text}");
    assert!(text.contains("seen-value"), "{text}");
    assert!(
        text.contains(r#"["cookie","****************"]"#),
        "the placeholder is as long as the value: {text}"
    );
    tape.is_identical(handlers::built("gate"));
}

#[test]
fn agreed_subprotocol_and_host_are_as_redacted_as_their_headers() {
    let tape = Tape::new();
    let server = tape
        .of(handlers::built("gate"))
        .args(["--record-redact", "Sec-WebSocket-Protocol"])
        .args(["--record-redact", "host"])
        .start();
    let request = Request::upgrade("/other")
        .set("Host", "hidden.example")
        .with("Sec-WebSocket-Protocol", "chat, hidden-token");
    let response = server.connect().request(&request);
    assert_eq!(
        response.header("sec-websocket-protocol"),
        Some("hidden-token"),
        "the handler and the client see it"
    );
    stop(server);
    let text = tape.text();
    assert!(!text.contains("hidden"), "{text}");
    assert!(text.contains(r#""protocol":"************""#), "{text}");
    tape.is_identical(handlers::built("gate"));
}

#[test]
fn limits_that_decide_what_a_handler_may_hand_over_are_those_of_the_tape() {
    let tape = Tape::new();
    let server = tape
        .of(handlers::echo())
        .args(["--max-message", "12MiB", "--max-queue", "16MiB"])
        .args(["--callback-timeout", "20s", "--blocking-timeout", "20s"])
        .start();
    let mut peer = server.open();
    let large = "x".repeat(10 * 1024 * 1024);
    peer.send_text(&large);
    peer.expect_text(&large);
    peer.close();
    stop(server);
    tape.is_identical(handlers::echo());
}

#[test]
fn component_that_a_server_took_by_a_larger_limit_is_replayed() {
    let tape = Tape::new();
    // A section that nothing reads, as debug information is.
    let mut bytes = std::fs::read(handlers::echo()).expect("the handler was built");
    const SIZE: usize = 66 << 20;
    bytes.push(0);
    for shift in [0, 7, 14, 21] {
        let more = if shift < 21 { 0x80 } else { 0 };
        bytes.push(u8::try_from((SIZE >> shift) & 0x7f).expect("seven bits") | more);
    }
    bytes.extend([1, b'x']);
    bytes.resize(bytes.len() + SIZE - 2, 0);
    let large = tape.folder.path().join("large.wasm");
    std::fs::write(&large, &bytes).expect("the folder is there");
    let server = tape.of(&large).args(["--max-component", "100MiB"]).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("one"), "one");
    peer.close();
    stop(server);
    tape.is_identical(&large);
}

#[test]
fn callback_that_the_end_of_the_server_cuts_off_is_on_the_tape() {
    let tape = Tape::new();
    let mut server = tape
        .of(handlers::probe())
        .args(["--blocking-timeout", "300s", "--shutdown-timeout", "1s"])
        .start();
    let mut peer = server.open();
    peer.send_text("in-one print it has begun; sleep-wasi 240000");
    server.expect_log("it has begun");
    server.terminate();
    server.wait(Duration::from_secs(60));
    let lines = tape.lines();
    assert_eq!(lines.last().expect("an end")["end"], "stopped");
    let cut_off = tape.event(|line| line["stopped"] == "its instance ended while it ran");
    let entry = &lines[cut_off - 1];
    assert_eq!(entry["event"], "handler.received");
    assert!(entry["args"].to_string().contains("sleep-wasi"), "{entry}");
    tape.is_identical(handlers::probe());
}

#[test]
fn credentials_are_written_where_that_is_asked_for() {
    let tape = Tape::new();
    let server = tape
        .of(handlers::built("gate"))
        .arg("--record-credentials")
        .start();
    let request = Request::upgrade("/accept").with("Cookie", "id=shown-cookie");
    server.connect().request(&request);
    stop(server);
    assert!(tape.text().contains("shown-cookie"));
}

#[test]
fn full_tape_ends_and_the_server_goes_on() {
    let tape = Tape::new();
    let server = tape
        .of(handlers::echo())
        .args(["--record-max", "20KiB"])
        .start();
    let mut peer = server.open();
    for _ in 0..200 {
        assert_eq!(peer.ask("a message that takes some room").len(), 30);
    }
    server.expect_log("recording ended, the server goes on");
    peer.ask("still here");
    peer.close();
    stop(server);
    assert!(tape.text().len() <= 20 * 1024);
    let lines = tape.lines();
    assert_eq!(lines.last().expect("lines")["end"], "full");
    let ended = tape.is_identical(handlers::echo());
    assert!(ended.stderr.contains("recording ended early"), "{ended:?}");
}

#[test]
fn tape_of_a_killed_server_is_played_as_far_as_it_goes() {
    let tape = Tape::new();
    let server = tape.of(handlers::echo()).start();
    let mut peer = server.open();
    for n in 0..50 {
        peer.ask(&n.to_string());
    }
    // What was queued is written while nothing happens.
    until("the last message is on the tape", || {
        tape.text().contains(r#"{"text":"49"}"#)
    });
    drop(server);
    let ended = tape.is_identical(handlers::echo());
    assert!(ended.stderr.contains("no last line"), "{ended:?}");

    let text = tape.text();
    let text = text.trim_end();
    std::fs::write(&tape.path, &text[..text.len() - 20]).expect("the folder is there");
    let ended = tape.is_identical(handlers::echo());
    assert!(ended.stderr.contains("is cut off"), "{ended:?}");
}

#[test]
fn what_is_no_tape_is_told() {
    let tape = Tape::new();
    for (content, told) in [
        (&b""[..], "is not a tape"),
        (b"\x00\xff\xfe nonsense", "is not a tape"),
        (b"{\"a\":1}\n", "is not a tape"),
        (b"{\"wsrun-tape\":99,\"wsrun\":\"7.0.0\"}\n", "format 99"),
    ] {
        std::fs::write(&tape.path, content).expect("the folder is there");
        let ended = tape.replay(handlers::echo());
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
    std::fs::remove_file(&tape.path).expect("it is there");
    let ended = tape.replay(handlers::echo());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("cannot read"), "{ended:?}");
}

#[test]
fn damaged_line_is_told_by_its_number() {
    let tape = Tape::new();
    let server = tape.of(handlers::echo()).start();
    server.open().close();
    stop(server);
    let text = tape.text();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = r#"{"at_ms":"#;
    std::fs::write(&tape.path, lines.join("\n") + "\n").expect("the folder is there");
    let ended = tape.replay(handlers::echo());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("line 3"), "{ended:?}");
}

#[test]
fn file_that_exists_is_not_recorded_over() {
    let tape = Tape::new();
    std::fs::write(&tape.path, "precious").expect("the folder is there");
    let ended = run([
        handlers::echo().into_os_string(),
        "--listen".into(),
        "127.0.0.1:0".into(),
        "--record".into(),
        tape.path.clone().into(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("not written over"), "{ended:?}");
    assert_eq!(tape.text(), "precious");
}

#[test]
fn handler_of_several_is_named() {
    let tape = Tape::new();
    let named = |name: &str, file: PathBuf| format!("{name}={}", file.display());
    let server = Server::without_handler()
        .args(["--protocol", &named("echo", handlers::echo())])
        .args(["--protocol", &named("probe", handlers::probe())])
        .arg("--record")
        .arg(&tape.path)
        .start();
    server.open_protocol("echo").ask("a");
    server.open_protocol("probe").ask("echo b");
    stop(server);
    tape.is_identical(handlers::echo());
    tape.is_identical(handlers::probe());
    let ended = tape.replay(handlers::built("http"));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--handler: echo, probe"), "{ended:?}");
    let ended = tape.replay_with(handlers::probe(), &["--handler", "echo"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let ended = tape.replay_with(handlers::probe(), &["--handler", "nobody"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}
