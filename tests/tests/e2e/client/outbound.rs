//! Rows 17 to 22 and 30 of the 2011 interface in the client role: a handler connects out.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use wsrun_tests::admin::Administered;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::environment;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::wait;

/// A handler that may connect to this machine, and a connection through which it is told what to do.
struct Client {
    server: Server,
    control: Peer,
    opened: Peer,
    closed: Peer,
    messages: Peer,
}

fn client() -> Client {
    client_with(&[
        "--allow-connect",
        "127.0.0.1",
        "--allow-connect",
        "localhost",
    ])
}

fn client_with(arguments: &[&str]) -> Client {
    let server = Server::of(handlers::probe()).args(arguments).start();
    let subscribed = |topic: &str| {
        let mut peer = server.open();
        assert_eq!(peer.ask(&format!("subscribe {topic}")), "ok true");
        peer
    };
    let (opened, closed, messages) = (
        subscribed("opened-events"),
        subscribed("closed-events"),
        subscribed("client-messages"),
    );
    let control = server.open();
    Client {
        server,
        control,
        opened,
        closed,
        messages,
    }
}

impl Client {
    #[track_caller]
    fn connect(&mut self, options: Value) -> String {
        let reply = self.control.ask(&format!("connect {options}"));
        reply
            .strip_prefix("ok ")
            .unwrap_or_else(|| panic!("{reply}"))
            .to_owned()
    }

    #[track_caller]
    fn refused(&mut self, options: Value) -> String {
        let reply = self.control.ask(&format!("connect {options}"));
        reply
            .strip_prefix("err ")
            .unwrap_or_else(|| panic!("{reply}"))
            .to_owned()
    }

    /// The end of a connection that was never open.
    #[track_caller]
    fn fails(&mut self, options: Value) -> Value {
        let id = self.connect(options);
        let event = json(&mut self.closed);
        assert_eq!(event["id"].to_string(), id, "{event}");
        assert_eq!(
            (&event["code"], &event["clean"], &event["role"]),
            (&json!(1006), &json!(false), &json!("client")),
            "{event}"
        );
        event
    }
}

#[track_caller]
fn json(peer: &mut Peer) -> Value {
    let text = peer.read_text();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

/// A server of a few lines: what it was sent up to the end of the head, and what it does then.
fn listen(serve: impl Fn(TcpStream, String) + Send + 'static) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let (heads, seen) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).expect("a head is text");
            let _ = heads.send(head.clone());
            serve(stream, head);
        }
    });
    (port, seen)
}

/// The correct answer to a head.
fn accept(head: &str, extra: &str) -> String {
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a client sends a key");
    let accept = wsrun_proto::http::upgrade::accept_value(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{extra}\r\n"
    )
}

/// Answers with these bytes and waits for the end.
fn answering(answer: &'static str) -> u16 {
    let (port, _) = listen(move |mut stream, _| {
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.read(&mut [0; 64]);
    });
    port
}

fn url(port: u16) -> Value {
    json!({"url": format!("ws://127.0.0.1:{port}/path?query")})
}

#[test]
fn seed_17_client_connect_opens_a_connection_like_any_other() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client();
    let id = client.connect(json!({"url": format!("{}/a?b", peer.url(0)), "session": "kept"}));
    let event = json(&mut client.opened);
    assert_eq!(
        event,
        json!({"id": id.parse::<u64>().expect("a number"), "role": "client", "protocol": null})
    );
    assert_eq!(
        client
            .control
            .ask(&format!("send-to {id} echo there and back")),
        "ok"
    );
    assert_eq!(json(&mut client.messages)["text"], "there and back");
    assert_eq!(client.control.ask(&format!("on {id} session-get")), "kept");
    let request: Value =
        serde_json::from_str(&client.control.ask(&format!("request-of {id}"))).expect("JSON");
    assert_eq!(
        (
            &request["role"],
            &request["path"],
            &request["query"],
            &request["peer"]
        ),
        (
            &json!("client"),
            &json!("/a"),
            &json!("b"),
            &json!(peer.address().to_string())
        )
    );
    assert_eq!(client.control.ask(&format!("close-to {id} enough")), "ok");
    let event = json(&mut client.closed);
    assert_eq!(
        (
            &event["code"],
            &event["reason"],
            &event["by"],
            &event["clean"]
        ),
        (
            &json!(4000),
            &json!("enough"),
            &json!("handler"),
            &json!(true)
        )
    );
}

#[test]
fn seed_17_client_connect_overrides_host_and_origin_and_adds_headers() {
    let (port, heads) = listen(|mut stream, head| {
        let answer = accept(&head, "Sec-WebSocket-Protocol: two\r\nX-Answer: yes\r\n");
        stream.write_all(answer.as_bytes()).expect("it reads");
        let _ = stream.read(&mut [0; 64]);
        thread::sleep(Duration::from_secs(5));
    });
    let mut client = client();
    let id = client.connect(json!({
        "url": format!("ws://127.0.0.1:{port}"), "host": "example.com:81", "origin": "https://app.example",
        "protocols": ["one", "two"], "headers": [["Authorization", "Bearer x"], ["X-Two", "2"]],
    }));
    let head = heads.recv_timeout(wait::PATIENCE).expect("a request");
    for line in [
        "GET / HTTP/1.1",
        "Host: example.com:81",
        "Origin: https://app.example",
        "Sec-WebSocket-Protocol: one, two",
        "Authorization: Bearer x",
        "X-Two: 2",
        "Sec-WebSocket-Version: 13",
    ] {
        assert!(
            head.lines().any(|other| other == line),
            "{line} is not in\n{head}"
        );
    }
    assert!(
        head.contains("Sec-WebSocket-Extensions: permessage-deflate"),
        "{head}"
    );
    assert_eq!(json(&mut client.opened)["protocol"], "two");
    let response: Value =
        serde_json::from_str(&client.control.ask(&format!("response {id}"))).expect("JSON");
    assert_eq!(response["status"], 101);
    assert!(
        response["headers"]
            .as_array()
            .is_some_and(|headers| headers.contains(&json!(["x-answer", "yes"]))),
        "{response}"
    );
}

#[test]
fn seed_17_client_connect_speaks_versions_13_8_and_7() {
    let mut client = client();
    for (version, origin) in [
        (8, "Sec-WebSocket-Origin"),
        (7, "Sec-WebSocket-Origin"),
        (13, "Origin"),
    ] {
        let (port, heads) = listen(|mut stream, head| {
            stream
                .write_all(accept(&head, "").as_bytes())
                .expect("it reads");
            stream
                .write_all(&Frame::new(frame::TEXT, "hello").unmasked().encode())
                .expect("it reads");
            let _ = stream.read(&mut [0; 64]);
        });
        client.connect(json!({"url": format!("ws://127.0.0.1:{port}"), "version": version, "origin": "http://o.example"}));
        let head = heads.recv_timeout(wait::PATIENCE).expect("a request");
        for line in [
            format!("Sec-WebSocket-Version: {version}"),
            format!("{origin}: http://o.example"),
        ] {
            assert!(
                head.lines().any(|other| other == line),
                "{line} is not in\n{head}"
            );
        }
        json(&mut client.opened);
        assert_eq!(json(&mut client.messages)["text"], "hello");
    }
    for version in [0, 6, 9, 12, 14, 255] {
        let refused = client.refused(json!({"url": "ws://127.0.0.1:1", "version": version}));
        assert_eq!(refused, "unsupported-version 13 8 7", "{version}");
    }
}

#[test]
fn seed_17_client_connect_checks_its_options() {
    let mut client = client();
    for (options, says) in [
        (json!({"url": "http://127.0.0.1"}), "ws://"),
        (json!({"url": "not a url"}), "URL"),
        (json!({"url": "ws://127.0.0.1/#fragment"}), "fragment"),
        (json!({"url": "ws://user:secret@127.0.0.1/"}), "user"),
        (
            json!({"url": "ws://127.0.0.1", "protocols": ["a b"]}),
            "subprotocol",
        ),
        (
            json!({"url": "ws://127.0.0.1", "protocols": ["a", "a"]}),
            "subprotocol",
        ),
        (
            json!({"url": "ws://127.0.0.1", "headers": [["Host", "x"]]}),
            "header",
        ),
        (
            json!({"url": "ws://127.0.0.1", "headers": [["X", "a\r\nY: b"]]}),
            "header",
        ),
        (
            json!({"url": "ws://127.0.0.1", "headers": [["Sec-WebSocket-Key", "x"]]}),
            "header",
        ),
        (json!({"url": "ws://127.0.0.1", "origin": "a b"}), "origin"),
        (json!({"url": "ws://127.0.0.1", "host": "a b"}), "host"),
        (
            json!({"url": "ws://127.0.0.1", "session": "x".repeat(65_537)}),
            "session data",
        ),
    ] {
        let refused = client.refused(options.clone());
        assert!(
            refused.starts_with("invalid ") && refused.contains(says),
            "{options}: {refused}"
        );
    }
    let refused = client.refused(json!({"url": "ws://127.0.0.1", "identity": "nobody"}));
    assert!(
        refused.starts_with("denied ") && refused.contains("--client-cert"),
        "{refused}"
    );
}

#[test]
fn seed_17_client_connect_tells_each_failure_of_the_server_apart() {
    let mut client = client();
    let cases = [
        (
            "HTTP/1.1 403 Forbidden\r\nX-Why: no\r\nContent-Length: 0\r\n\r\n",
            "refused 403",
            "status 403",
        ),
        ("HTTP/1.1 503 Busy\r\n\r\n", "refused 503", "status 503"),
        (
            "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\n\r\n",
            "redirected ws://127.0.0.1:1/",
            "redirected",
        ),
        (
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "invalid-response",
            "invalid response",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "refused 200",
            "status 200",
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "not-upgraded",
            "does not upgrade",
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "accept-missing",
            "missing",
        ),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "accept-wrong",
            "does not answer the key",
        ),
    ];
    for (answer, failure, reason) in cases {
        let event = client.fails(url(answering(answer)));
        let seen = event["failure"].as_str().unwrap_or_default();
        assert!(seen.starts_with(failure), "{event}");
        assert!(
            event["reason"]
                .as_str()
                .is_some_and(|text| text.contains(reason)),
            "{event}"
        );
    }
    let (port, _) = listen(|mut stream, head| {
        let _ = stream.write_all(accept(&head, "Sec-WebSocket-Protocol: other\r\n").as_bytes());
    });
    assert_eq!(client.fails(url(port))["failure"], "protocol-not-offered");
    let (port, _) = listen(|mut stream, head| {
        let _ = stream
            .write_all(accept(&head, "Sec-WebSocket-Extensions: x-unheard-of\r\n").as_bytes());
    });
    let event = client.fails(url(port));
    assert!(
        event["failure"]
            .as_str()
            .is_some_and(|failure| failure.starts_with("extension-not-offered")),
        "{event}"
    );
    let (port, _) = listen(|stream, _| drop(stream));
    assert_eq!(client.fails(url(port))["failure"], "ended");
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let event = client.fails(url(free));
    assert!(
        event["failure"]
            .as_str()
            .is_some_and(|failure| failure.starts_with("unreachable")),
        "{event}"
    );
    // A server that masks its frames is one whose messages cannot be trusted to be its own.
    let (port, _) = listen(|mut stream, head| {
        let _ = stream.write_all(accept(&head, "").as_bytes());
        let _ = stream.write_all(&Frame::new(frame::TEXT, "masked").encode());
        let _ = stream.read(&mut [0; 64]);
    });
    client.connect(url(port));
    json(&mut client.opened);
    let event = json(&mut client.closed);
    assert_eq!(
        (&event["code"], &event["reason"], &event["failure"]),
        (&json!(1002), &json!("frame is masked"), &Value::Null),
        "{event}"
    );
}

#[test]
fn seed_17_client_connect_gives_each_phase_its_time() {
    let mut client = client();
    // A listener that accepts nothing more, one that says nothing, and one that says everything too slowly.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    let event = client.fails(json!({"url": format!("ws://127.0.0.1:{port}"), "timeout-ms": 200}));
    assert_eq!(event["failure"], "timed-out handshake");
    let event = client.fails(json!({"url": format!("wss://127.0.0.1:{port}"), "timeout-ms": 200}));
    assert_eq!(event["failure"], "timed-out tls");
    let (port, _) = listen(|mut stream, head| {
        for byte in accept(&head, "").bytes() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let event = client.fails(json!({"url": format!("ws://127.0.0.1:{port}"), "timeout-ms": 300}));
    assert_eq!(event["failure"], "timed-out handshake");
}

#[test]
fn seed_17_client_connect_over_tls_trusts_whom_it_is_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let peer = Server::of(handlers::probe())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let port = peer.address().port();
    let named = format!("wss://localhost:{port}");
    let mut client = client();
    let event = client.fails(json!({"url": named}));
    assert!(
        event["failure"]
            .as_str()
            .is_some_and(|failure| failure.starts_with("tls ")),
        "{event}"
    );
    let id = client.connect(json!({"url": named, "verify": "allow-self-signed"}));
    json(&mut client.opened);
    let request: Value =
        serde_json::from_str(&client.control.ask(&format!("request-of {id}"))).expect("JSON");
    assert_eq!(request["secure"], true);
    assert_eq!(
        client.control.ask(&format!("send-to {id} echo secret")),
        "ok"
    );
    assert_eq!(json(&mut client.messages)["text"], "secret");
    drop(client);
    // The operator's own root.
    let ca = certificate
        .certificate_file
        .to_str()
        .expect("a path is text");
    let mut client = client_with(&["--allow-connect", "localhost", "--connect-ca", ca]);
    client.connect(json!({"url": named}));
    json(&mut client.opened);
}

#[test]
fn seed_17_client_connect_needs_a_grant() {
    let mut nothing = client_with(&[]);
    let refused = nothing.refused(json!({"url": "ws://example.com/"}));
    assert!(
        refused.starts_with("denied ") && refused.contains("--allow-connect example.com:80"),
        "{refused}"
    );
    let (port, heads) = listen(|_, _| {});
    let refused = nothing.refused(url(port));
    assert!(
        refused.contains(&format!("--allow-connect 127.0.0.1:{port}")),
        "{refused}"
    );
    // Everything that is public is not this machine, whatever it is called.
    let mut public = client_with(&["--allow-connect", "*"]);
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::7f00:1]",
        "0.0.0.0",
        "10.1.2.3",
        "169.254.169.254",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        let refused = public.refused(json!({"url": format!("ws://{host}:{port}/")}));
        assert!(refused.starts_with("denied "), "{host}: {refused}");
    }
    // A name is looked up first; what it leads to decides.
    let event = public.fails(json!({"url": format!("ws://localhost:{port}/")}));
    assert!(
        event["failure"]
            .as_str()
            .is_some_and(|failure| failure.starts_with("denied ")),
        "{event}"
    );
    // A redirection is told and not followed.
    let (redirecting, _) = listen(move |mut stream, _| {
        let _ = stream.write_all(
            format!("HTTP/1.1 301 X\r\nLocation: ws://127.0.0.1:{port}/\r\n\r\n").as_bytes(),
        );
    });
    let mut one = client_with(&["--allow-connect", &format!("127.0.0.1:{redirecting}")]);
    let event = one.fails(url(redirecting));
    assert_eq!(
        (&event["failure"], &event["status"]),
        (
            &json!(format!("redirected ws://127.0.0.1:{port}/")),
            &json!(301)
        )
    );
    assert!(one.refused(url(port)).starts_with("denied "));
    assert!(heads.try_recv().is_err(), "somebody connected");
}

#[test]
fn seed_17_client_connect_is_limited_in_number() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client_with(&["--allow-connect", "127.0.0.1", "--max-outbound", "3"]);
    let options = json!({"url": peer.url(0)});
    let ids: Vec<String> = (0..3).map(|_| client.connect(options.clone())).collect();
    assert_eq!(client.refused(options.clone()), "limit");
    client.control.ask(&format!("close-to {} bye", ids[0]));
    json(&mut client.closed);
    // It counts until its transport is gone.
    wait::until("there is room for one more", || {
        let reply = client.control.ask(&format!("connect {options}"));
        reply.starts_with("ok ")
    });
}

#[test]
fn outbound_connections_leave_the_last_descriptors_to_the_operator() {
    let peer = Server::of(handlers::probe()).start();
    let client = Administered::start(
        Server::of(handlers::probe())
            .args(["--allow-connect", "127.0.0.1", "--trial-time", "200ms"])
            .open_files_max(256),
    );
    let mut closed = client.open();
    assert_eq!(closed.ask("subscribe closed-events"), "ok true");
    let mut control = client.open();
    for _ in 0..400 {
        let reply = control.ask(&format!("connect {}", json!({"url": peer.url(0)})));
        assert!(reply.starts_with("ok "), "{reply}");
    }
    let event = json(&mut closed);
    let told = event["failure"].to_string();
    assert!(
        told.contains("too many open files") && told.contains("--max-outbound"),
        "{event}"
    );
    // What was refused is over, and what was opened stays: nobody gives room.
    for _ in 0..100 {
        json(&mut closed);
    }
    assert_eq!(client.status()["state"], "serving");
    // With all that it takes to compile.
    let swapped = client.ctl(["swap", &handlers::built("echo").display().to_string()]);
    assert_eq!(swapped.code, Some(0), "{}", swapped.stderr);
}

#[test]
fn seed_18_peer_addresses_and_hangup_work_in_the_client_role() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client();
    let id = client.connect(json!({"url": peer.url(0)}));
    json(&mut client.opened);
    let request: Value =
        serde_json::from_str(&client.control.ask(&format!("request-of {id}"))).expect("JSON");
    assert_eq!(request["peer"], peer.address().to_string());
    assert!(
        request["local"]
            .as_str()
            .is_some_and(|local| local.starts_with("127.0.0.1:")),
        "{request}"
    );
    client.control.send_text(&format!("on {id} abort"));
    let event = json(&mut client.closed);
    assert_eq!(
        (&event["code"], &event["by"]),
        (&json!(1006), &json!("handler"))
    );
    // While it is being opened it can be given up as well.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    let id = client.connect(url(port));
    client
        .control
        .send_text(&format!("close-to {id} never mind"));
    client.control.expect_text("ok");
    let event = json(&mut client.closed);
    assert_eq!(
        (&event["id"].to_string(), &event["by"]),
        (&id, &json!("handler")),
        "{event}"
    );
}

#[test]
fn seed_19_client_established_and_closed_are_told_once_each() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client();
    let id = client.connect(json!({"url": peer.url(0)}));
    assert_eq!(json(&mut client.opened)["id"].to_string(), id);
    client
        .control
        .ask(&format!("send-to {id} close 3000 from the server"));
    let event = json(&mut client.closed);
    assert_eq!(
        (
            &event["code"],
            &event["reason"],
            &event["by"],
            &event["clean"]
        ),
        (
            &json!(3000),
            &json!("from the server"),
            &json!("peer"),
            &json!(true)
        )
    );
    assert_eq!(client.closed.ask("echo once"), "once");
    assert_eq!(client.opened.ask("echo once"), "once");
}

#[test]
fn seed_20_client_receives_and_sends_masked_text_binary_and_large_messages() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client();
    let id = client.connect(json!({"url": peer.url(0)}));
    json(&mut client.opened);
    let text = "ö".repeat(200_000);
    assert_eq!(
        client.control.ask(&format!("send-to {id} echo {text}")),
        "ok"
    );
    assert_eq!(json(&mut client.messages)["text"], text);
    assert_eq!(
        client.control.ask(&format!("on {id} send-size 70000")),
        "ok"
    );
    assert_eq!(json(&mut client.messages)["bytes"], 70_000);
    // In parts, masked: the server would refuse anything else.
    assert_eq!(
        client
            .control
            .ask(&format!("on {id} chunk text false echo in ")),
        "ok"
    );
    assert_eq!(
        client
            .control
            .ask(&format!("on {id} chunk text true parts")),
        "ok"
    );
    assert_eq!(json(&mut client.messages)["text"], "in parts");
}

#[test]
fn seed_21_client_receives_pongs() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client();
    let id = client.connect(json!({"url": peer.url(0)}));
    json(&mut client.opened);
    assert_eq!(client.control.ask(&format!("on {id} ping hello")), "ok");
    assert_eq!(json(&mut client.messages)["pong"], "hello");
}

#[test]
fn seed_22_client_writeable_comes_when_the_server_reads_again() {
    let (port, _) = listen(|mut stream, head| {
        let _ = stream.write_all(accept(&head, "").as_bytes());
        thread::sleep(Duration::from_millis(500));
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let mut client = client();
    let id = client.connect(json!({"url": format!("ws://127.0.0.1:{port}"), "compression": false}));
    json(&mut client.opened);
    wait::until("the queue is full", || {
        client
            .control
            .ask(&format!("on {id} send-flood 1000 65536"))
            .contains("err queue-full")
    });
    assert_eq!(client.control.ask(&format!("on {id} want-writable")), "ok");
    assert_eq!(json(&mut client.messages)["writable"], true);
}

#[test]
fn seed_30_client_may_send_unmasked_frames_when_the_danger_is_named() {
    let (frames, seen) = channel();
    let (port, _) = listen(move |mut stream, head| {
        let _ = stream.write_all(accept(&head, "").as_bytes());
        let _ = stream.write_all(&Frame::new(frame::TEXT, "masked").encode());
        let mut input = Vec::new();
        let mut buffer = [0; 256];
        loop {
            let Ok(length @ 1..) = stream.read(&mut buffer) else {
                return;
            };
            input.extend(&buffer[..length]);
            while let Some(frame) = Frame::decode(&mut input) {
                let _ = frames.send(frame);
            }
        }
    });
    let mut client = client_with(&["--allow-connect", "127.0.0.1", "--danger-unmasked-frames"]);
    let id = client.connect(json!({"url": format!("ws://127.0.0.1:{port}"), "compression": false}));
    json(&mut client.opened);
    assert_eq!(json(&mut client.messages)["text"], "masked");
    assert_eq!(client.control.ask(&format!("send-to {id} bare")), "ok");
    let frame = seen.recv_timeout(wait::PATIENCE).expect("a frame");
    assert_eq!((frame.masked, frame.text()), (false, "bare"));
}

/// Reads the events of the guest `reconnect` until one is of this kind.
#[track_caller]
fn next_event(events: &mut Peer, kind: &str) -> Value {
    let event = json(events);
    assert_eq!(event["event"], kind, "{event}");
    event
}

#[test]
fn client_reconnects_under_the_same_id_with_its_session_and_topics() {
    let server = Server::of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let mut events = server.open();
    assert_eq!(events.ask("subscribe"), "ok true");
    let mut control = server.open();
    // It drops the first two connections, and refuses the third.
    let (ends, told) = channel::<()>();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let told = std::sync::Mutex::new(told);
    let (port, _) = listen(move |mut stream, head| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if number == 1 {
            let _ = stream.write_all(b"HTTP/1.1 503 Busy\r\n\r\n");
            return;
        }
        let _ = stream.write_all(accept(&head, "").as_bytes());
        if number == 0 {
            let _ = told.lock().expect("one at a time").recv();
            return;
        }
        let mut buffer = [0; 256];
        let mut input = Vec::new();
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            input.extend(&buffer[..length]);
            while let Some(frame) = Frame::decode(&mut input) {
                let echo = Frame::new(frame.opcode, &frame.payload).unmasked();
                let _ = stream.write_all(&echo.encode());
            }
        }
    });
    let options = json!({"url": format!("ws://127.0.0.1:{port}"), "session": "mine", "compression": false,
                         "reconnect": {"attempts-max": 5, "delay-ms": 50, "delay-max-ms": 200}});
    let id = control.ask(&format!("connect {options}"));
    let id = id.strip_prefix("ok ").expect("it is attempted").to_owned();
    next_event(&mut events, "opened");
    assert_eq!(control.ask(&format!("subscribe-to-feed {id}")), "ok true");
    ends.send(()).expect("the server waits");
    let lost = next_event(&mut events, "lost");
    assert_eq!(
        (&lost["id"].to_string(), &lost["code"], &lost["attempt"]),
        (&id, &json!(1006), &json!(1)),
        "{lost}"
    );
    let lost = next_event(&mut events, "lost");
    assert_eq!(
        (&lost["failure"], &lost["attempt"]),
        (&json!("refused 503"), &json!(2)),
        "{lost}"
    );
    let restored = next_event(&mut events, "restored");
    assert_eq!(
        (&restored["id"].to_string(), &restored["session"]),
        (&id, &json!("mine")),
        "{restored}"
    );
    // The subscription has survived, and the connection works.
    control.ask("publish-to-feed from the topic");
    assert_eq!(
        next_event(&mut events, "received")["text"],
        "from the topic"
    );
    assert_eq!(control.ask(&format!("send-to {id} echo")), "ok");
    assert_eq!(next_event(&mut events, "received")["text"], "echo");
    control.ask(&format!("close-to {id} done"));
    let closed = next_event(&mut events, "closed");
    assert_eq!(
        (&closed["code"], &closed["by"]),
        (&json!(1000), &json!("handler")),
        "{closed}"
    );
}

#[test]
fn client_gives_up_after_as_many_attempts_as_it_may_make() {
    let server = Server::of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let mut events = server.open();
    events.ask("subscribe");
    let mut control = server.open();
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let options = json!({"url": format!("ws://127.0.0.1:{free}"), "reconnect": {"attempts-max": 2, "delay-ms": 10}});
    assert!(
        control
            .ask(&format!("connect {options}"))
            .starts_with("ok ")
    );
    for attempt in 1..=2 {
        assert_eq!(next_event(&mut events, "lost")["attempt"], attempt);
    }
    let closed = next_event(&mut events, "closed");
    assert_eq!(closed["code"], 1006);
    assert!(
        closed["failure"]
            .as_str()
            .is_some_and(|failure| failure.starts_with("unreachable")),
        "{closed}"
    );
    // An end that is meant to be one is not mended.
    let (port, _) = listen(|mut stream, head| {
        let _ = stream.write_all(accept(&head, "").as_bytes());
        let _ = stream.write_all(&Frame::close(1000, "done").unmasked().encode());
        let _ = stream.read(&mut [0; 64]);
    });
    let options = json!({"url": format!("ws://127.0.0.1:{port}"), "reconnect": {"attempts-max": 0, "delay-ms": 10}});
    assert!(
        control
            .ask(&format!("connect {options}"))
            .starts_with("ok ")
    );
    next_event(&mut events, "opened");
    assert_eq!(next_event(&mut events, "closed")["code"], 1000);
}

#[test]
fn server_that_accepts_and_closes_at_once_uses_up_the_attempts_however_long_it_lingers() {
    let server = Server::of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let mut events = server.open();
    events.ask("subscribe");
    let mut control = server.open();
    let (port, _) = listen(|mut stream, head| {
        let close = Frame::close(1012, "").unmasked().encode();
        let _ = stream.write_all(&[accept(&head, "").into_bytes(), close].concat());
        // Longer than the client waits between two attempts, it keeps the transport.
        thread::sleep(Duration::from_millis(800));
    });
    let options = json!({"url": format!("ws://127.0.0.1:{port}"),
                         "reconnect": {"attempts-max": 2, "delay-ms": 500, "delay-max-ms": 500}});
    let id = control.ask(&format!("connect {options}"));
    assert!(id.starts_with("ok "), "{id}");
    next_event(&mut events, "opened");
    for attempt in [1, 2] {
        let lost = next_event(&mut events, "lost");
        assert_eq!(
            (&lost["code"], &lost["attempt"]),
            (&json!(1012), &json!(attempt)),
            "{lost}"
        );
        next_event(&mut events, "restored");
    }
    assert_eq!(next_event(&mut events, "closed")["code"], 1012);
}

#[test]
fn client_passes_over_interim_responses() {
    let mut client = client();
    let (port, _) = listen(|mut stream, head| {
        let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        let _ = stream.write_all(format!("{hints}{}", accept(&head, "")).as_bytes());
        let _ = stream.read(&mut [0; 256]);
    });
    client.connect(url(port));
    assert_eq!(json(&mut client.opened)["role"], "client");
}

#[test]
fn client_that_waits_to_reconnect_can_be_closed() {
    let server = Server::of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let mut events = server.open();
    events.ask("subscribe");
    let mut control = server.open();
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let options = json!({"url": format!("ws://127.0.0.1:{free}"), "reconnect": {"attempts-max": 0, "delay-ms": 3_600_000, "delay-max-ms": 3_600_000}});
    let id = control.ask(&format!("connect {options}"));
    let id = id.strip_prefix("ok ").expect("it is attempted").to_owned();
    next_event(&mut events, "lost");
    assert_eq!(control.ask(&format!("send-to {id} x")), "err closed");
    control.ask(&format!("close-to {id} enough"));
    assert_eq!(next_event(&mut events, "closed")["by"], "handler");
}

#[test]
fn timer_of_a_connection_that_is_being_opened_fires() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    let mut client = client();
    let id = client.connect(url(port));
    let reply = client.control.ask(&format!("on {id} timer-conn 50 7"));
    let timer = reply.strip_prefix("ok ").expect("it is set").to_owned();
    // The probe tells the connection, which cannot be told yet; that the timer is spent shows that it fired.
    wait::until("the timer fired", || {
        client.control.ask(&format!("cancel {timer}")) == "false"
    });
    let reply = client.control.ask(&format!("on {id} timer-conn 60000 8"));
    let timer = reply.strip_prefix("ok ").expect("it is set").to_owned();
    assert_eq!(client.control.ask(&format!("cancel {timer}")), "true");
}

#[test]
fn client_that_is_closed_while_its_transport_ends_is_not_made_again() {
    let server = Server::of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1"])
        .start();
    let mut events = server.open();
    events.ask("subscribe");
    let mut control = server.open();
    // It says that it goes away, and holds its transport for a while.
    let (going, gone) = channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let (port, heads) = listen(move |mut stream, head| {
        let _ = stream.write_all(accept(&head, "").as_bytes());
        let _ = stream.write_all(&Frame::close(1001, "").unmasked().encode());
        let _ = gone.lock().expect("one at a time").recv();
    });
    let options = json!({"url": format!("ws://127.0.0.1:{port}"), "compression": false,
                         "reconnect": {"attempts-max": 0, "delay-ms": 10}});
    let id = control.ask(&format!("connect {options}"));
    let id = id.strip_prefix("ok ").expect("it is attempted").to_owned();
    next_event(&mut events, "opened");
    wait::until("the close frame has arrived", || {
        control.ask(&format!("send-to {id} x")) == "err closed"
    });
    control.ask(&format!("close-to {id} enough"));
    going.send(()).expect("the server waits");
    assert_eq!(next_event(&mut events, "closed")["by"], "handler");
    heads.recv_timeout(wait::PATIENCE).expect("the first");
    assert!(heads.try_recv().is_err(), "it was made again");
}

#[test]
fn client_whose_peer_never_reads_is_made_again_after_the_write_timeout() {
    let server = Server::of(handlers::built("reconnect"))
        .args(["--allow-connect", "127.0.0.1", "--write-timeout", "300ms"])
        .start();
    let mut events = server.open();
    events.ask("subscribe");
    let mut control = server.open();
    let (port, heads) = listen(|mut stream, head| {
        let _ = stream.write_all(accept(&head, "").as_bytes());
        thread::spawn(move || {
            thread::sleep(Duration::from_secs(30));
            drop(stream);
        });
    });
    let options = json!({"url": format!("ws://127.0.0.1:{port}"), "compression": false,
                         "reconnect": {"attempts-max": 0, "delay-ms": 10}});
    let id = control.ask(&format!("connect {options}"));
    let id = id.strip_prefix("ok ").expect("it is attempted").to_owned();
    next_event(&mut events, "opened");
    let large = "x".repeat(1_000_000);
    wait::until("the queue is full", || {
        control
            .ask(&format!("send-to {id} {large}"))
            .starts_with("err the queue of the connection is full")
    });
    assert_eq!(
        next_event(&mut events, "lost")["reason"],
        "peer does not read"
    );
    next_event(&mut events, "restored");
    for _ in 0..2 {
        heads.recv_timeout(wait::PATIENCE).expect("a connection");
    }
}

#[test]
fn connections_out_end_with_the_server() {
    let peer = Server::of(handlers::probe()).start();
    let mut client = client();
    client.connect(json!({"url": peer.url(0)}));
    json(&mut client.opened);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it is bound").port();
    client.connect(url(port));
    client.server.terminate();
    let status = client.server.wait(Duration::from_secs(20));
    // The peers of the test do not answer close frames, so that it is not clean; it ends by itself and in time.
    assert!(status.code().is_some(), "{status}");
}

/// Runs `wsrun connect` with a handler.
fn connect(handler: &Path, arguments: &[&str]) -> wsrun_tests::server::Ended {
    let mut all = vec!["connect"];
    all.extend(arguments);
    let position = all.len() - 1;
    let handler = handler.to_str().expect("a path is text");
    all.insert(position, handler);
    wsrun_tests::server::run(all)
}

#[test]
fn seed_31_test_client_is_a_handler_that_counts_and_draws() {
    let server = Server::without_handler()
        .arg("--protocol")
        .arg(format!(
            "increment={}",
            handlers::built("increment").display()
        ))
        .arg("--protocol")
        .arg(format!("mirror={}", handlers::built("mirror").display()))
        .start();
    let mut board = server.open_protocol("mirror");
    let ended = connect(
        &handlers::built("client"),
        &[
            "--protocol",
            "increment",
            "--config",
            "circles=3",
            server.url(0),
        ],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("3 circles are drawn"),
        "{}",
        ended.stderr
    );
    let mut drawn = 0;
    board.set_read_timeout(Duration::from_millis(300));
    while let Ok(frame) = board.try_read_frame() {
        assert!(
            frame.text().starts_with("d ") || frame.text().starts_with("c "),
            "{}",
            frame.text()
        );
        drawn += 1;
    }
    assert!(drawn >= 3, "{drawn}");
}

#[test]
fn seed_31_connect_with_a_handler_tells_how_it_ended() {
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let ended = connect(&handlers::echo(), &[&format!("ws://127.0.0.1:{free}")]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("closed: 1006 unreachable"),
        "{}",
        ended.stderr
    );
    let ended = connect(&handlers::echo(), &["http://127.0.0.1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let ended = connect(&handlers::echo(), &["--insecure", "ws://127.0.0.1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("--allow-self-signed"),
        "{}",
        ended.stderr
    );
    let ended = wsrun_tests::server::run(["connect", "--reconnect", "ws://127.0.0.1"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn seed_17_client_of_a_handler_speaks_to_python_websockets() {
    let mut server = environment::python();
    server.arg(handlers::source("tests/interop/websockets_server.py"));
    let server = environment::Serving::start(server);
    speaks_to(&server, &["deflate", "plain"]);
}

#[test]
fn seed_17_client_of_a_handler_speaks_to_npm_ws() {
    let server = environment::Serving::start(environment::node("ws_server.mjs"));
    speaks_to(&server, &["deflate", "plain", "version-8"]);
}

/// Text, binary, fragments, pings, close, subprotocols, with a server that echoes.
fn speaks_to(server: &environment::Serving, modes: &[&str]) {
    let mut client = client();
    for mode in modes {
        let mut options =
            json!({"url": server.url(), "protocols": ["chat"], "compression": *mode == "deflate"});
        if *mode == "version-8" {
            options["version"] = json!(8);
        }
        let id = client.connect(options);
        assert_eq!(json(&mut client.opened)["protocol"], "chat", "{mode}");
        let response: Value =
            serde_json::from_str(&client.control.ask(&format!("response {id}"))).expect("JSON");
        let deflates = response.to_string().contains("permessage-deflate");
        assert_eq!(deflates, *mode == "deflate", "{response}");
        for text in ["hello".to_owned(), "ä€𐍈".repeat(1000), "x".repeat(500_000)] {
            assert_eq!(client.control.ask(&format!("send-to {id} {text}")), "ok");
            assert_eq!(json(&mut client.messages)["text"], text, "{mode}");
        }
        client.control.ask(&format!("on {id} send-size 100000"));
        assert_eq!(json(&mut client.messages)["bytes"], 100_000);
        client.control.ask(&format!("on {id} chunk text false in "));
        client
            .control
            .ask(&format!("on {id} chunk text true parts"));
        assert_eq!(json(&mut client.messages)["text"], "in parts");
        client.control.ask(&format!("on {id} ping are you there"));
        assert_eq!(json(&mut client.messages)["pong"], "are you there");
        client.control.ask(&format!("close-to {id} bye"));
        let event = json(&mut client.closed);
        assert_eq!(
            (&event["code"], &event["clean"]),
            (&json!(4000), &json!(true)),
            "{mode}: {event}"
        );
        // The server closes.
        let id = client.connect(json!({"url": server.url()}));
        json(&mut client.opened);
        client
            .control
            .ask(&format!("send-to {id} close 3456 from there"));
        let event = json(&mut client.closed);
        assert_eq!(
            (&event["code"], &event["reason"], &event["by"]),
            (&json!(3456), &json!("from there"), &json!("peer"))
        );
    }
}

#[test]
fn client_leaves_the_end_of_the_transport_to_the_server() {
    let (told, ended) = channel();
    let (port, _) = listen(move |mut stream, head| {
        stream
            .write_all(accept(&head, "").as_bytes())
            .expect("the client reads");
        stream
            .write_all(&Frame::close(1000, "bye").unmasked().encode())
            .expect("the client reads");
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .expect("a timeout");
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        let _ = told.send((answer.len(), end.is_ok()));
    });
    let mut client = client();
    client.connect(url(port));
    let event = json(&mut client.closed);
    assert_eq!(
        (&event["code"], &event["clean"]),
        (&json!(1000), &json!(true))
    );
    // RFC 6455, 7.1.1. A frame of 2 + 4 + 2 + 3 bytes came, and no end in the second after it.
    let (answer, has_ended) = ended.recv().expect("the server lives");
    assert_eq!((answer, has_ended), (11, false));
}
