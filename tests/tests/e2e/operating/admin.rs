//! What operators and monitoring ask of a running server: the admin socket, `wsrun ctl`, and the metrics.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wsrun_tests::admin::{Administered, value};
use wsrun_tests::frame::Frame;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::{Server, binary, run, run_command_within};
use wsrun_tests::wait::{self, PATIENCE};

#[test]
fn status_and_metrics_tell_what_happened() {
    let admin = Administered::start(Server::of(handlers::probe()).args([
        "--workers",
        "2",
        "--max-timers",
        "3",
    ]));
    let mut peer = admin.server.open();
    let mut other = admin.server.open();
    assert_eq!(peer.ask("session-set abc"), "ok");
    other.send_text("trap");
    other.expect_close(1011);
    other.send(&Frame::close(1011, ""));
    other.expect_end();
    wait::until("the connection that failed is gone", || {
        admin.status()["connections"] == 1
    });
    let status = admin.status();
    assert_eq!(status["state"], "serving");
    assert_eq!(status["pid"], admin.server.id());
    assert_eq!(status["workers"], 2);
    assert_eq!(status["listening"][0], admin.server.url(0));
    let handler = &status["handlers"][0];
    assert_eq!(handler["name"], "probe");
    assert_eq!(handler["connections"], 1);
    assert_eq!(handler["messages_received"], 2);
    assert_eq!(handler["callbacks_failed"], 1);
    assert_eq!(handler["session_bytes"], 3);
    assert!(
        handler["memory_bytes"].as_u64() > Some(1_000_000),
        "{handler}"
    );
    for (name, expected) in [
        ("wsrun_connections{handler=\"probe\"}", 1),
        ("wsrun_connections_opened_total{handler=\"probe\"}", 2),
        ("wsrun_messages_received_total{handler=\"probe\"}", 2),
        ("wsrun_messages_sent_total{handler=\"probe\"}", 1),
        (
            "wsrun_callbacks_failed_total{handler=\"probe\",kind=\"trap\"}",
            1,
        ),
        (
            "wsrun_callbacks_failed_total{handler=\"probe\",kind=\"deadline\"}",
            0,
        ),
        ("wsrun_accepted_total", 2),
        ("wsrun_session_bytes{handler=\"probe\"}", 3),
        ("wsrun_queued_bytes{handler=\"probe\"}", 0),
    ] {
        assert_eq!(admin.metric(name), expected, "{name}");
    }
    assert!(admin.metric("wsrun_sent_bytes_total{handler=\"probe\"}") >= 4);
    // As a person reads it.
    let text = admin.ctl(["status"]).stdout;
    assert!(
        text.contains("serving") && text.contains("handler probe"),
        "{text}"
    );
    peer.close();
    wait::until("it is counted down", || {
        admin.metric("wsrun_session_bytes{handler=\"probe\"}") == 0
    });
}

#[test]
fn handshakes_that_are_refused_are_counted_by_reason_and_told_now_and_then() {
    let admin = Administered::start(
        Server::without_handler()
            .arg("--protocol")
            .arg(format!("chat={}", handlers::built("gate").display())),
    );
    let refused = |request: Request, status: u16| {
        let response = admin.server.connect().request(&request);
        assert_eq!(response.status, status, "{response:?}");
    };
    let chat = |target: &str| Request::upgrade(target).with("Sec-WebSocket-Protocol", "chat");
    for number in 0..20 {
        refused(
            chat("/").with("Origin", &format!("https://evil{number}.example")),
            403,
        );
        refused(
            Request::upgrade("/").with("Sec-WebSocket-Protocol", "quake"),
            400,
        );
        refused(chat("/refuse"), 403);
    }
    refused(chat("/").set("Sec-WebSocket-Version", "12"), 426);
    for (reason, count) in [
        ("origin", 20),
        ("subprotocol", 20),
        ("handler", 20),
        ("malformed", 1),
        ("limit", 0),
    ] {
        let name = format!("wsrun_handshakes_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(admin.metric(&name), count, "{name}");
    }
    let log = admin.server.log();
    let origin = "a page of \"https://evil0.example\" may not connect to \"localhost\"; --allow-origin would allow it";
    assert!(log.contains(origin), "{log}");
    assert!(
        log.contains("none of the subprotocols \"quake\" is served; there are: chat"),
        "{log}"
    );
    // One each 5 s, however slow the machine is.
    let lines = log.matches("handshake refused").count();
    assert!(lines < 40, "{log}");
}

#[test]
fn metrics_and_health_are_told_over_http() {
    let admin = Administered::start(Server::of(handlers::echo()).args([
        "--metrics",
        "127.0.0.1:0",
        "--shutdown-timeout",
        "3s",
        "--close-timeout",
        "3s",
    ]));
    admin.server.expect_log("metrics on http://");
    let log = admin.server.log();
    let address = log.split("metrics on http://").nth(1);
    let address = address.and_then(|rest| rest.split('/').next());
    let address = address.expect("the log has the address").to_owned();
    let mut deaf = admin.server.open();
    assert_eq!(deaf.ask("one"), "one");
    let metrics = get(&address, "GET", "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK"), "{metrics}");
    assert!(metrics.contains("application/openmetrics-text; version=1.0.0"));
    assert_eq!(
        value(&metrics, "wsrun_messages_sent_total{handler=\"echo\"}"),
        Some(1)
    );
    assert!(metrics.trim_end().ends_with("# EOF"));
    assert!(get(&address, "GET", "/live").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "GET", "/ready").starts_with("HTTP/1.1 200"));
    assert!(get(&address, "GET", "/other").starts_with("HTTP/1.1 404"));
    assert!(get(&address, "POST", "/metrics").starts_with("HTTP/1.1 405"));
    assert_eq!(admin.ctl(["drain"]).code, Some(0));
    deaf.expect_close(1001);
    // It waits for the peer that does not answer: alive, and not ready.
    let ready = get(&address, "GET", "/ready");
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains("draining"),
        "{ready}"
    );
    assert!(get(&address, "GET", "/live").starts_with("HTTP/1.1 200"));
    assert_eq!(admin.status()["state"], "draining");
}

fn get(address: &str, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("it is a socket");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("it answers");
    response
}

#[test]
fn handler_is_replaced_by_ctl_and_errors_reach_the_operator() {
    let admin = Administered::start(Server::of(handlers::probe()).args(["--trial-time", "200ms"]));
    let mut peer = admin.server.open();
    let ended = admin.ctl(["swap", &handlers::echo().display().to_string()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("probe: ") && ended.stdout.contains("echo.wasm serves"),
        "{}",
        ended.stdout
    );
    assert_eq!(peer.ask("id"), "id");
    let missing = admin.ctl(["swap", "no-such-file.wasm"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("the old version serves")
            && missing.stderr.contains("no-such-file.wasm"),
        "{}",
        missing.stderr
    );
    let unknown = admin.ctl(["swap", "--handler", "nobody"]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.stderr.contains("there are: probe"),
        "{}",
        unknown.stderr
    );
    assert_eq!(admin.metric("wsrun_swaps_total{handler=\"probe\"}"), 1);
    assert_eq!(peer.ask("still here"), "still here");
}

#[test]
fn drain_by_ctl_waits_for_the_end() {
    let mut admin =
        Administered::start(Server::of(handlers::echo()).args(["--drain-code", "1012"]));
    let mut peer = admin.server.open();
    let closing = std::thread::spawn(move || {
        peer.expect_close(1012);
        std::thread::sleep(Duration::from_millis(300));
        peer.send(&Frame::close(1012, ""));
        peer.expect_end();
    });
    let ended = admin.ctl(["drain", "--wait"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    closing.join().expect("it was closed");
    assert_eq!(admin.server.wait(Duration::from_secs(1)).code(), Some(0));
    assert!(!Path::new(&admin.socket()).exists());
}

/// The server waits a minute for a request, and longer for the end of a drain: neither side of the socket may end it before.
#[test]
fn drain_by_ctl_waits_longer_than_a_request_may_take() {
    let mut admin = Administered::start(
        Server::of(handlers::echo())
            .args(["--drain-window", "65s", "--shutdown-timeout", "65s"])
            .args(["--close-timeout", "120s"]),
    );
    // It never answers the close, and is cut off at the end of the window.
    let _deaf = admin.server.open();
    let began = Instant::now();
    let mut ctl = Command::new(binary());
    ctl.args(["ctl", "--admin", &admin.socket(), "drain", "--wait"]);
    let ended = run_command_within(&mut ctl, "", true, Duration::from_secs(120));
    let took = began.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "draining\n");
    assert!(took >= Duration::from_secs(64), "{took:?}");
    // It was the end of the server that ended it, and not another time-out.
    assert_eq!(admin.server.wait(Duration::from_secs(1)).code(), Some(1));
}

#[test]
fn admin_socket_is_its_users_alone_and_bears_nonsense() {
    let mut admin = Administered::start(Server::of(handlers::echo()));
    let mode = std::fs::metadata(admin.socket())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut stream = UnixStream::connect(admin.socket()).expect("it listens");
    let mut answers = BufReader::new(stream.try_clone().expect("a descriptor"));
    for nonsense in [
        "",
        "{}",
        "{\"verb\":\"burn\"}",
        "\u{0}\u{1}",
        "{\"verb\":\"status\",\"x\":1}",
    ] {
        writeln!(stream, "{nonsense}").expect("it reads");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("it answers");
        assert!(
            answer.contains("this is no request"),
            "{nonsense}: {answer}"
        );
    }
    // A line without an end is cut off.
    let endless = vec![b'x'; 200_000];
    let _ = stream.write_all(&endless);
    let mut rest = Vec::new();
    let _ = answers.read_to_end(&mut rest);
    // As many clients as there may be do not keep others from connections.
    let idle: Vec<_> = (0..16)
        .map(|_| UnixStream::connect(admin.socket()))
        .collect();
    admin.server.lives();
    drop(idle);
    assert_eq!(admin.ctl(["status"]).code, Some(0));
    admin.server.lives();
}

#[test]
fn ctl_says_when_nobody_answers() {
    let ended = run(["ctl", "--admin", "/nowhere/admin", "status"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("no server answers there"),
        "{}",
        ended.stderr
    );
}

/// What `wsrun ctl --timeout 300ms` says.
#[track_caller]
fn waits_in_vain(socket: &Path, arguments: &[&str]) {
    let path = socket.display().to_string();
    let all = [&["ctl", "--admin", &path, "--timeout", "300ms"], arguments].concat();
    let ended = run(&all);
    assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    for words in ["has not answered within 300ms", "--timeout", "SIGKILL"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn ctl_does_not_wait_for_ever_for_a_server_that_hangs() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin");
    let _silent = UnixListener::bind(&socket).expect("the folder can be written");
    for arguments in [
        &["status"][..],
        &["metrics"],
        &["swap"],
        &["drain"],
        &["drain", "--wait"],
    ] {
        waits_in_vain(&socket, arguments);
    }
    // Its queue is full: connecting itself waits.
    let full = folder.path().join("full");
    let listener = UnixListener::bind(&full).expect("the folder can be written");
    rustix::net::listen(&listener, 0).expect("it listens with a shorter queue");
    let _first = UnixStream::connect(&full).expect("there is room for one");
    waits_in_vain(&full, &["status"]);
    // One that is only slow is waited for: a swap has the time that it may take beside.
    let server = Administered::start(Server::of(handlers::echo()).args(["--trial-time", "2s"]));
    let swapped = server.ctl([
        "--timeout",
        "1s",
        "swap",
        &handlers::built("probe").display().to_string(),
    ]);
    assert_eq!(swapped.code, Some(0), "{}", swapped.stderr);
}

#[test]
fn second_server_does_not_take_the_admin_socket_of_the_first() {
    let admin = Administered::start(Server::of(handlers::echo()));
    let socket = admin.socket();
    let echo = handlers::echo().display().to_string();
    let ended = run([echo.as_str(), "--listen", "127.0.0.1:0", "--admin", &socket]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("--admin") && ended.stderr.contains("another program listens there"),
        "{}",
        ended.stderr
    );
    assert_eq!(admin.ctl(["status"]).code, Some(0));
}

#[test]
fn clients_that_say_nothing_do_not_keep_an_operator_out() {
    let admin = Administered::start(Server::of(handlers::echo()));
    let silent: Vec<_> = (0..100)
        .map(|_| UnixStream::connect(admin.socket()).expect("there is room in its queue"))
        .collect();
    let mut ctl = Command::new(binary());
    ctl.args(["ctl", "--admin", &admin.socket(), "status"]);
    // Sooner than a request may have taken before.
    let ended = run_command_within(&mut ctl, "", true, Duration::from_secs(40));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Each of them is cut off, at the latest when its time is over.
    for mut stream in silent {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("it is a socket");
        assert_eq!(stream.read(&mut [0; 64]).expect("it is closed"), 0);
    }
}

#[test]
fn operator_has_descriptors_when_connections_have_taken_all_they_may() {
    let mut admin = Administered::start(
        Server::of(handlers::echo())
            .open_files_max(256)
            .args(["--metrics", "127.0.0.1:0", "--handshake-timeout", "10m"])
            .args(["--trial-time", "200ms"]),
    );
    admin.server.expect_log("metrics on http://");
    let log = admin.server.log();
    let address = log.split("metrics on http://").nth(1);
    let address = address.and_then(|rest| rest.split('/').next());
    let address = address.expect("the log has the address").to_owned();
    let mut peer = admin.server.open();
    assert_eq!(peer.ask("one"), "one");
    // What is not accepted waits in the kernel's queue.
    let many: Vec<_> = (0..400)
        .map(|_| TcpStream::connect(admin.server.address()).expect("the queue has room"))
        .collect();
    admin.server.expect_log("cannot accept connections");
    assert_eq!(admin.status()["state"], "serving");
    for path in ["/metrics", "/live", "/ready"] {
        assert!(get(&address, "GET", path).starts_with("HTTP/1.1 200"));
    }
    // With all that it takes to compile.
    let swapped = admin.ctl(["swap", &handlers::built("probe").display().to_string()]);
    assert_eq!(swapped.code, Some(0), "{}", swapped.stderr);
    let lines = admin.server.log().matches("cannot accept").count();
    assert!(lines < 20, "{lines} lines");
    drop(many);
    let mut other = admin.server.open();
    assert!(other.ask("id").parse::<u64>().is_ok());
    admin.server.lives();
}

/// An operator who finds a name in `/metrics` looks it up there.
#[test]
fn every_metric_is_in_the_documentation() {
    let server = Administered::start(Server::of(handlers::echo()));
    let metrics = server.ctl(["metrics"]).stdout;
    let documented = std::fs::read_to_string(handlers::source("docs/operating.md"))
        .expect("the page is in the project");
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let names: Vec<String> = types
        .map(|line| match line.split_once(' ') {
            Some((name, "counter")) => format!("{name}_total"),
            Some((name, _)) => name.to_owned(),
            None => panic!("a type line has two words: {line}"),
        })
        .collect();
    assert!(names.len() > 20, "{metrics}");
    let missing: Vec<_> = names
        .iter()
        .filter(|name| {
            let plain = format!("`{name}`");
            let labelled = format!("`{name}{{");
            !documented.contains(&plain) && !documented.contains(&labelled)
        })
        .collect();
    assert!(missing.is_empty(), "not in docs/operating.md: {missing:?}");
}
