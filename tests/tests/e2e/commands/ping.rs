//! `wsrun ping`: what it sends, counts and prints, and how it ends.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use wsrun_proto::http::upgrade::accept_value;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::environment::{self, Serving};
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::server::{self, Ended, Server};
use wsrun_tests::wait;

#[track_caller]
fn ping(url: &str, options: &[&str]) -> Ended {
    server::run([&["ping", url], options].concat())
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

/// Asserts that the line of the times is there, and that they are in order.
#[track_caller]
fn tells_times(ended: &Ended) {
    let line = ended.stdout.lines().find_map(|line| {
        line.strip_prefix("rtt min/avg/max/mdev = ")?
            .strip_suffix(" ms")
    });
    let times: Vec<f64> = line
        .unwrap_or_else(|| panic!("no times: {ended:?}"))
        .split('/')
        .map(|time| time.parse().expect("a time is a number"))
        .collect();
    assert!(
        matches!(times[..], [min, avg, max, mdev] if 0.0 < min && min <= avg && avg <= max && mdev <= max),
        "{times:?}"
    );
}

/// A server by hand for one connection: it tells the request's head, and each frame is answered with those that `answer` makes of it.
fn by_hand(
    mut answer: impl FnMut(Frame) -> Vec<Frame> + Send + 'static,
) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (heads, seen) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        let head = read_head(&mut stream);
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
            .expect("a client sends a key");
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            accept_value(key)
        );
        stream
            .write_all(response.as_bytes())
            .expect("the client reads");
        let _ = heads.send(head);
        let mut input = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            input.extend(&buffer[..length]);
            while let Some(frame) = Frame::decode(&mut input) {
                let closes = frame.opcode == frame::CLOSE;
                for frame in answer(frame) {
                    // Whether the client still reads is its own affair.
                    let _ = stream.write_all(&frame.unmasked().encode());
                }
                if closes {
                    return;
                }
            }
        }
    });
    (format!("ws://{address}/path?query"), seen)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length > 0) {
        head.push(byte[0]);
    }
    String::from_utf8(head).expect("a head is text")
}

/// What an honest server does.
fn honest(frame: Frame) -> Vec<Frame> {
    match frame.opcode {
        frame::PING => vec![Frame::new(frame::PONG, frame.payload)],
        frame::CLOSE => vec![Frame::new(frame::CLOSE, frame.payload)],
        _ => Vec::new(),
    }
}

#[test]
fn seed_31_ping_tells_each_round_trip_and_sums_up() {
    let server = Server::of(handlers::echo()).start();
    let ended = ping(server.url(0), &["--count", "3", "--interval", "1ms"]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "{ended:?}"
    );
    let peer = server.address();
    let mut lines = ended.stdout.lines();
    assert_eq!(
        lines.next(),
        Some(format!("PING {} ({peer}): 64 bytes", server.url(0)).as_str())
    );
    for sequence in 1..=3 {
        let line = lines.next().expect("a line for each pong");
        let time = line
            .strip_prefix(&format!("64 bytes from {peer}: seq={sequence} time="))
            .and_then(|rest| rest.strip_suffix(" ms")?.parse::<f64>().ok());
        assert!(time.is_some_and(|time| time > 0.0), "{line}");
    }
    assert_eq!(lines.next(), Some(""));
    let summary = lines.next().expect("a summary");
    assert!(
        summary.starts_with("3 pings sent, 3 pongs received, 0% lost, time "),
        "{summary}"
    );
    tells_times(&ended);
}

#[test]
fn ping_is_answered_over_tls_and_unix_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let path = folder.path().join("wsrun.sock");
    let server = Server::of(handlers::echo())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .listen("127.0.0.1:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    let file = certificate
        .certificate_file
        .to_str()
        .expect("a path in UTF-8");
    let unix = format!("ws+unix:{}", path.display());
    for (url, options) in [
        (server.url(0), &["--count", "1", "--ca-file", file][..]),
        (server.url(0), &["--count", "1", "--allow-self-signed"]),
        (server.url(0), &["--count", "1", "--insecure"]),
        (&unix, &["--count", "1"]),
    ] {
        let ended = ping(url, options);
        assert_eq!(ended.code, Some(0), "{options:?}: {ended:?}");
        says(&ended.stdout, &["1 pings sent, 1 pongs received, 0% lost"]);
    }
    let ended = ping(server.url(0), &["--count", "1"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    says(&ended.stderr.to_lowercase(), &["certificate"]);
}

#[test]
fn python_websockets_answers_pings() {
    let mut server = environment::python();
    server.arg(handlers::source("tests/interop/websockets_server.py"));
    let server = Serving::start(server);
    let ended = ping(server.url(), &["--count", "3", "--interval", "1ms"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(&ended.stdout, &["3 pings sent, 3 pongs received, 0% lost"]);
    let ended = ping(
        server.url(),
        &["--count", "500", "--flood", "--preload", "8", "--quiet"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(
        &ended.stdout,
        &["500 pings sent, 500 pongs received, 0% lost"],
    );
    tells_times(&ended);
}

#[test]
fn quiet_ping_prints_the_first_line_and_the_summary() {
    let server = Server::of(handlers::echo()).start();
    let ended = ping(
        server.url(0),
        &["--count", "3", "--interval", "1ms", "--quiet"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout.lines().count(), 4, "{ended:?}");
    says(&ended.stdout, &["PING ws://", "3 pings sent, 3 pongs"]);
}

#[test]
fn flood_prints_a_dot_for_each_ping_and_takes_it_back_for_its_pong() {
    let server = Server::of(handlers::echo()).start();
    let ended = ping(server.url(0), &["--count", "100", "--flood"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let dots = ".\u{8} \u{8}".repeat(100);
    says(
        &ended.stdout,
        &[&dots, "100 pings sent, 100 pongs received, 0% lost"],
    );
}

#[test]
fn flood_beyond_what_the_server_takes_is_told() {
    let server = Server::of(handlers::echo())
        .args(["--max-control-rate", "5"])
        .start();
    let ended = ping(server.url(0), &["--count", "1000", "--flood", "--quiet"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &["closed: 1008"]);
    says(&ended.stdout, &["pings sent", "rtt min/avg/max/mdev"]);
}

#[test]
fn pings_have_the_size_asked_for_and_their_number() {
    for (size, payload) in [
        ("0", vec![]),
        ("1", vec![1]),
        ("8", vec![0, 0, 0, 0, 0, 0, 0, 1]),
        ("10", vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 1]),
    ] {
        let (frames, seen) = mpsc::channel();
        let (url, _) = by_hand(move |frame| {
            let _ = frames.send(frame.clone());
            honest(frame)
        });
        let ended = ping(&url, &["--count", "1", "--size", size]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        says(&ended.stdout, &[&format!("{size} bytes from ")]);
        let frame = seen.recv().expect("a ping");
        assert!(frame.masked && frame.last, "{frame:?}");
        assert_eq!((frame.opcode, frame.payload), (frame::PING, payload));
        let (code, _) = seen.recv().expect("a close frame").close_info();
        assert_eq!(code, 1000);
    }
    let server = Server::of(handlers::echo()).start();
    let ended = ping(server.url(0), &["--count", "1", "--size", "125"]);
    says(&ended.stdout, &["125 bytes from ", "0% lost"]);
}

#[test]
fn ping_sends_what_it_was_told_in_the_handshake() {
    let (url, heads) = by_hand(honest);
    let ended = ping(
        &url,
        &[
            "--count",
            "1",
            "--protocol",
            "p",
            "--protocol",
            "q",
            "--header",
            "X-Token: abc",
            "--origin",
            "https://example.com",
            "--host",
            "example.org",
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let head = heads.recv().expect("a request");
    says(
        &head,
        &[
            "GET /path?query HTTP/1.1\r\n",
            "Host: example.org\r\n",
            "Sec-WebSocket-Protocol: p, q\r\n",
            "X-Token: abc\r\n",
            "Origin: https://example.com\r\n",
        ],
    );
}

#[test]
fn pings_without_any_pong_are_lost_and_the_exit_code_is_1() {
    let (url, _) = by_hand(|_| Vec::new());
    let ended = ping(
        &url,
        &["--count", "2", "--interval", "1ms", "--timeout", "50ms"],
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(
        &ended.stdout,
        &["2 pings sent, 0 pongs received, 100% lost"],
    );
    assert!(!ended.stdout.contains("rtt"), "{ended:?}");
}

#[test]
fn some_pings_without_pong_are_lost_and_the_exit_code_is_0() {
    let mut number = 0;
    let (url, _) = by_hand(move |frame| {
        number += 1;
        // The last one: what comes before an answered ping is not lost.
        if number == 4 {
            Vec::new()
        } else {
            honest(frame)
        }
    });
    let ended = ping(
        &url,
        &["--count", "4", "--flood", "--quiet", "--timeout", "50ms"],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(&ended.stdout, &["4 pings sent, 3 pongs received, 25% lost"]);
}

#[test]
fn pong_of_a_later_ping_answers_for_those_before_it() {
    let mut number = 0;
    let (url, _) = by_hand(move |frame| {
        number += 1;
        if number == 4 || frame.opcode == frame::CLOSE {
            honest(frame)
        } else {
            Vec::new()
        }
    });
    let ended = ping(&url, &["--count", "4", "--flood", "--preload", "4"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(
        &ended.stdout,
        &["4 pings sent, 1 pongs received, 3 answered by a later pong, 0% lost"],
    );
    // No dot is left.
    says(
        &ended.stdout,
        &[&format!("....{}\n", "\u{8} \u{8}".repeat(4))],
    );
}

#[test]
fn other_frames_of_the_server_are_no_answers() {
    let (url, _) = by_hand(|frame| {
        let mut frames = vec![
            Frame::new(frame::PONG, "unasked"),
            Frame::new(frame::TEXT, "a message").to_be_continued(),
            Frame::new(frame::PING, "are you there?"),
            Frame::new(frame::CONTINUATION, "'s end"),
            Frame::new(frame::BINARY, vec![0; 2 << 20]),
        ];
        match frame.opcode {
            // The pong to the server's own.
            frame::PONG => Vec::new(),
            frame::CLOSE => honest(frame),
            _ => {
                frames.extend(honest(frame));
                frames
            }
        }
    });
    let ended = ping(&url, &["--count", "2", "--interval", "1ms"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(
        &ended.stdout,
        &["2 pings sent, 2 pongs received, 2 unexpected, 0% lost"],
    );
}

#[test]
fn end_of_the_connection_is_told_and_the_exit_code_is_1() {
    for (close, told) in [
        (Some(Frame::close(4000, "enough")), "closed: 4000 enough"),
        (None, "closed: 1002"),
    ] {
        let mut number = 0;
        let (url, _) = by_hand(move |frame| {
            number += 1;
            match (number, &close) {
                (1, _) => honest(frame),
                (_, Some(close)) => vec![close.clone()],
                // A reserved opcode.
                (_, None) => vec![Frame::new(0x3, "")],
            }
        });
        let ended = ping(&url, &["--count", "5", "--interval", "1ms"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        says(&ended.stderr, &[told]);
        says(&ended.stdout, &["seq=1 ", "pongs received"]);
    }
}

#[test]
fn ping_tells_why_it_cannot_connect() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = holder.local_addr().expect("it has an address");
    drop(holder);
    let ended = ping(&format!("ws://{free}"), &[]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    says(&ended.stderr.to_lowercase(), &["refused"]);
    let server = Server::of(handlers::built("gate")).start();
    let ended = ping(&format!("{}/refuse", server.url(0)), &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &["403"]);
}

#[test]
fn mistakes_of_ping_are_told_with_exit_code_2() {
    let url = "ws://127.0.0.1:9000";
    for (arguments, told) in [
        (&[url, "--size", "126"][..], "--size"),
        (&[url, "--count", "0"], "--count"),
        (&[url, "--interval", "1"], "--interval"),
        (&[url, "--timeout", "soon"], "--timeout"),
        (&[url, "--preload", "2"], "--flood"),
        (&[url, "--flood", "--preload", "65"], "--preload"),
        (&[url, "--protocol", "a b"], "subprotocol"),
        (&[url, "--ws-version", "12"], "version"),
        (&["http://127.0.0.1:9000"], "ws://"),
        (&["nonsense"], "ws://"),
        (&[], "URL"),
    ] {
        let ended = server::run([&["ping"], arguments].concat());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        says(&ended.stderr, &[told]);
    }
}

/// A run that does not end by itself.
fn endless(url: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(server::binary())
        .args(["ping", url, "--interval", "1ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let output = child.stdout.take().expect("stdout is piped");
    (child, BufReader::new(output))
}

#[track_caller]
fn exit_code(child: &mut Child) -> Option<i32> {
    let mut status = None;
    wait::until("ping ends", || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

#[test]
fn seed_31_ping_sums_up_at_a_signal() {
    let server = Server::of(handlers::echo()).start();
    for signal in [Signal::INT, Signal::TERM] {
        let (mut child, mut output) = endless(server.url(0));
        let mut text = String::new();
        while !text.contains("seq=2 ") {
            let read = output.read_line(&mut text);
            assert!(read.is_ok_and(|length| length > 0), "it ended: {text}");
        }
        kill_process(Pid::from_child(&child), signal).expect("it lives");
        output.read_to_string(&mut text).expect("its output ends");
        assert_eq!(exit_code(&mut child), Some(0), "{text}");
        says(&text, &[" pongs received, ", "rtt min/avg/max/mdev = "]);
    }
}

#[test]
fn ping_ends_when_nobody_reads_what_it_prints() {
    let server = Server::of(handlers::echo()).start();
    let (mut child, mut output) = endless(server.url(0));
    output
        .read_line(&mut String::new())
        .expect("the first line");
    drop(output);
    assert_eq!(exit_code(&mut child), Some(0));
}
