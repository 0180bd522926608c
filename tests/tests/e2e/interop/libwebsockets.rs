//! The test programs of libwebsockets itself, as Debian has them, against what became of them here.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use wsrun_tests::environment::Serving;
use wsrun_tests::handlers;
use wsrun_tests::server::Server;
use wsrun_tests::wait;

/// A port that was free a moment ago: the program cannot pick one.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port()
}

/// A program that ends with its test, however that goes.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn test_server() -> Serving {
    let port = free_port();
    let mut command = Command::new("libwebsockets-test-server");
    command.arg(format!("--port={port}"));
    Serving::start_on_port(command, port)
}

#[test]
fn seed_17_client_of_a_handler_speaks_to_the_libwebsockets_test_server() {
    let theirs = test_server();
    let server = Server::of(handlers::probe())
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let [mut control, mut opened, mut closed, mut messages] =
        std::array::from_fn(|_| server.open());
    opened.ask("subscribe opened-events");
    closed.ask("subscribe closed-events");
    messages.ask("subscribe client-messages");
    // Newest first; the others are what the program of 2011 could be asked for.
    for version in [Value::Null, json!(13), json!(8), json!(7)] {
        let mut options = json!({"url": theirs.url(), "protocols": ["dumb-increment-protocol"]});
        if !version.is_null() {
            options["version"] = version;
        }
        let id = control.ask(&format!("connect {options}"));
        let id = id.strip_prefix("ok ").expect("it is attempted").to_owned();
        let event: Value = serde_json::from_str(&opened.read_text()).expect("JSON");
        assert_eq!(event["protocol"], "dumb-increment-protocol", "{event}");
        for number in 0..5 {
            let message: Value = serde_json::from_str(&messages.read_text()).expect("JSON");
            assert_eq!(message["text"], number.to_string());
        }
        assert_eq!(control.ask(&format!("close-to {id} enough")), "ok");
        let event: Value = serde_json::from_str(&closed.read_text()).expect("JSON");
        assert_eq!(
            (&event["code"], &event["by"]),
            (&json!(4000), &json!("handler")),
            "{event}"
        );
        // Numbers that were on their way when it closed.
        while messages.ask("echo drained") != "drained" {}
    }
    let options =
        json!({"url": theirs.url(), "protocols": ["lws-mirror-protocol"], "compression": true});
    let id = control.ask(&format!("connect {options}"));
    let id = id.strip_prefix("ok ").expect("it is attempted").to_owned();
    opened.read_text();
    for line in ["d #ff0000 1 2 3 4;", "c #00ff00 10 20 5;"] {
        assert_eq!(control.ask(&format!("send-to {id} {line}")), "ok");
        let message: Value = serde_json::from_str(&messages.read_text()).expect("JSON");
        assert_eq!(message["text"], line);
    }
}

#[test]
fn seed_31_test_client_example_runs_against_the_libwebsockets_test_server() {
    let theirs = test_server();
    // Its protocols have other names.
    let ended = wsrun_tests::server::run([
        "connect",
        "--protocol",
        "dumb-increment-protocol",
        "--config",
        "board=lws-mirror-protocol",
        "--config",
        "circles=2",
        handlers::built("client").to_str().expect("a path is text"),
        theirs.url(),
    ]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("2 circles are drawn"),
        "{}",
        ended.stderr
    );
}

#[test]
fn seed_31_libwebsockets_test_client_counts_and_draws_on_our_server() {
    // libwebsockets 4.1 to 4.3 loop for ever on a message that is not compressed where compression was agreed on, which RFC 7692, 6 allows
    // (their issues 2371 and 2794).
    let server = Server::without_handler()
        .args(["--compression", "off"])
        .arg("--protocol")
        .arg(format!(
            "dumb-increment-protocol={}",
            handlers::built("increment").display()
        ))
        .arg("--protocol")
        .arg(format!(
            "lws-mirror-protocol={}",
            handlers::built("mirror").display()
        ))
        .start();
    let mut board = server.open_protocol("lws-mirror-protocol");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let mut client = Command::new("libwebsockets-test-client");
    client
        .arg("127.0.0.1")
        .arg(format!("--port={}", server.address().port()))
        .args(["-d", "15"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // It says a lot, and must not wait for a reader.
        .stderr(fs::File::create(&log).expect("the folder can be written"));
    let client = client
        .spawn()
        .expect("libwebsockets-test-client is installed by scripts/test-environment");
    let _client = Killed(client);
    // It draws, compressed; everybody sees it.
    for _ in 0..5 {
        let text = board.read_text();
        assert!(text.starts_with("c #") && text.ends_with(';'), "{text}");
    }
    let read = || String::from_utf8_lossy(&fs::read(&log).expect("it writes a log")).into_owned();
    // It says what it receives of the counter.
    wait::until("the counter is received", || {
        (0..3).all(|number| read().contains(&format!("rx 1 '{number}'")))
    });
    assert!(read().contains("mirror: LWS_CALLBACK_CLIENT_ESTABLISHED"));
}
