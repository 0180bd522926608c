//! `wsrun --stdio`: programs that know nothing of this host, one for each connection; and components that answer plain requests alone.

use std::process::Command;
use std::time::{Duration, Instant};

use wsrun_tests::environment;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::{self, Builder, Server};
use wsrun_tests::wait;

fn stdio(program: &str) -> Builder {
    Server::of(handlers::built(program)).arg("--stdio")
}

#[test]
fn example_programs_speak_by_lines() {
    let server = stdio("stdio-greeter").start();
    let (mut ann, mut ben) = (server.open(), server.open());
    assert_eq!(ann.ask("Ann"), "Hello Ann!");
    assert_eq!(ben.ask("Ben"), "Hello Ben!");
    assert_eq!(ann.ask("Zoë\nand Max"), "Hello Zoë!");
    ann.expect_text("Hello and Max!");

    let server = stdio("stdio-count").start();
    let began = Instant::now();
    let (mut ann, mut ben) = (server.open(), server.open());
    for number in 1..=10 {
        ann.expect_text(&number.to_string());
        ben.expect_text(&number.to_string());
    }
    assert!(began.elapsed() >= Duration::from_millis(900));
    assert_eq!(ann.expect_close(1000), "");
    assert_eq!(ben.expect_close(1000), "");
}

/// As `examples/stdio/README.md` has it.
#[test]
fn program_in_c_speaks_by_lines() {
    let folder = tempfile::tempdir().expect("a folder for the program");
    let printed = |what: &str| {
        let told = Command::new("rustc").args(["--print", what]).output();
        let told = told.expect("rustc can be started");
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    };
    let (sysroot, host) = (printed("sysroot"), printed("host-tuple"));
    let linker = format!("-fuse-ld={sysroot}/lib/rustlib/{host}/bin/wasm-component-ld");
    let program = folder.path().join("echo-c.wasm");
    let mut clang = Command::new("clang");
    clang
        .args(["-target", "wasm32-wasi", "-O2", &linker])
        .arg(handlers::source("examples/stdio/c/echo.c"))
        .arg("-o")
        .arg(&program);
    environment::succeeds(clang);
    let server = Server::of(&program).arg("--stdio").start();
    let (mut ann, mut ben) = (server.open(), server.open());
    assert_eq!(ann.ask("from ann"), "from ann");
    assert_eq!(ben.ask("from ben"), "from ben");
    // Longer than its buffer.
    let long = "x".repeat(100_000);
    assert!(ann.ask(&long) == long);
}

#[test]
fn exit_code_becomes_a_close_code() {
    let server = stdio("program").start();
    for (line, code, reason) in [
        ("exit 0", 1000, ""),
        (
            "exit 1",
            1011,
            "the program ended with an exit code other than 0",
        ),
        ("trap", 1011, "the program failed"),
        ("raw", 1011, "the program wrote text that is not UTF-8"),
    ] {
        let mut peer = server.open();
        assert_eq!(peer.ask("x"), "x");
        peer.send_text(line);
        assert_eq!(peer.expect_close(code), reason, "{line}");
    }
    server.expect_log("asked to trap");
    let mut peer = server.open();
    peer.send_text("unended last words");
    peer.expect_text("last words");
    peer.expect_close(1000);
    let mut peer = server.open();
    peer.send_binary(b"x");
    peer.expect_close(1003);
    let mut peer = server.open();
    peer.send_text("stderr for the operator");
    assert_eq!(peer.ask("x"), "x");
    server.expect_log("for the operator");
}

#[test]
fn request_is_told_by_variables() {
    let server = stdio("program").start();
    let request = Request::upgrade("/a/b%20c?d=1&e")
        .with("Cookie", "f=2")
        .with("X_Role", "admin")
        .with("X-User", "g")
        .with("X_User", "evil")
        .with("Proxy", "evil");
    let mut peer = server.open_with(&request);
    for (variable, value) in [
        ("PATH_INFO", "/a/b%20c"),
        ("QUERY_STRING", "d=1&e"),
        ("REQUEST_URI", "/a/b%20c?d=1&e"),
        ("REQUEST_METHOD", "GET"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_COOKIE", "f=2"),
        ("HTTP_PROXY", ""),
        ("HTTP_X_ROLE", ""),
        ("HTTP_X_USER", "g"),
        ("HTTPS", ""),
        ("HOME", ""),
    ] {
        assert_eq!(
            peer.ask(&format!("variable {variable}")),
            value,
            "{variable}"
        );
    }
    assert_eq!(
        peer.ask("variable SERVER_PORT"),
        server.address().port().to_string()
    );
    assert!(peer.ask("variable SERVER_SOFTWARE").starts_with("wsrun/"));
}

#[test]
fn frames_keep_the_kind_and_every_byte() {
    let server = stdio("program").args(["--stdio-format", "frames"]).start();
    let mut peer = server.open_with(&Request::upgrade("/?frames"));
    for (opcode, payload) in [
        (frame::TEXT, b"a\nb".to_vec()),
        (frame::BINARY, vec![0, 10, 255]),
        (frame::BINARY, Vec::new()),
        (frame::BINARY, vec![7; 300_000]),
        (frame::TEXT, Vec::new()),
    ] {
        peer.send(&Frame::new(opcode, &payload));
        let answer = peer.read_frame();
        assert_eq!(
            (answer.opcode, answer.payload.len()),
            (opcode, payload.len())
        );
        assert!(answer.payload == payload);
    }
}

#[test]
fn program_that_computes_for_too_long_ends_and_one_that_waits_does_not() {
    let server = stdio("program")
        .args(["--callback-timeout", "300ms"])
        .start();
    let mut waiting = server.open();
    let mut spinning = server.open();
    spinning.send_text("spin");
    // Others are served meanwhile.
    assert_eq!(waiting.ask("x"), "x");
    assert_eq!(spinning.expect_close(1011), "the program failed");
    server.expect_log("--callback-timeout");
    waiting.send_text("sleep 1000");
    assert_eq!(waiting.ask("y"), "y");
}

#[test]
fn backpressure_goes_both_ways() {
    let server = stdio("program").start();
    let mut slow = server.open();
    let resident = server.usage().resident_bytes();
    // 100 MB for a peer that does not read yet.
    slow.send_text("flood 100000");
    let mut other = server.open();
    assert_eq!(other.ask("x"), "x");
    std::thread::sleep(Duration::from_millis(500));
    assert!(server.usage().resident_bytes() < resident + 40_000_000);
    let mut lines = 0;
    while slow.read_text() != "over" {
        lines += 1;
    }
    assert_eq!(lines, 100_000);
    // A program that does not read: what is sent to it is not taken without end.
    let mut fast = server.open();
    fast.send_text("sleep 2000");
    let message = "y".repeat(100_000);
    fast.set_write_timeout(Duration::from_millis(300));
    let encoded = Frame::new(frame::TEXT, &message).encode();
    let mut sent = 0;
    while sent < 1_000 && fast.try_send_bytes(&encoded).is_ok() {
        sent += 1;
    }
    assert!(sent < 500, "{sent} messages of 100 kB were taken");
}

#[test]
fn program_ends_with_its_connection_and_programs_are_limited() {
    let server = stdio("program").args(["--max-instances", "3"]).start();
    let mut peers: Vec<_> = (0..3).map(|_| server.open()).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask("x"), "x");
    }
    let response = server.connect().request(&Request::upgrade("/"));
    assert_eq!(response.status, 503);
    assert!(response.text().contains("--max-instances"), "{response:?}");
    // Its input has ended, and with it the program.
    drop(peers.pop());
    wait::until("there is room again", || {
        let mut peer = server.connect();
        peer.send_bytes(&Request::upgrade("/").encode());
        peer.try_read_head().is_ok_and(|head| head.status == 101)
    });
}

#[test]
fn memory_is_limited_and_what_is_no_program_is_refused() {
    let ended = server::run([
        handlers::echo().as_os_str(),
        "--stdio".as_ref(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("does not export wasi:cli/run"),
        "{ended:?}"
    );
    let server = stdio("program")
        .args(["--max-memory", "1MiB", "--max-handler-memory", "64MiB"])
        .start();
    let mut peer = server.open();
    peer.expect_close(1011);
}

#[test]
fn component_of_wasi_http_alone_is_served_as_plain_http() {
    let server = Server::of(handlers::built("http-only")).start();
    let mut peer = server.connect();
    let answer = peer.request(&Request::get("/a?b=1"));
    assert_eq!((answer.status, answer.text()), (200, "GET /a?b=1\n"));
    let refused = server.connect().request(&Request::upgrade("/"));
    assert_eq!(refused.status, 404);
    assert!(refused.text().contains("plain requests"), "{refused:?}");
}

#[test]
fn program_that_writes_without_asking_for_room_is_ended() {
    let server = Server::of(handlers::source("tests/guests/overwriter.wat"))
        .arg("--stdio")
        .start();
    let resident = server.usage().resident_bytes();
    let mut peer = server.open();
    // Nobody reads, until the log tells of it.
    server.expect_log("more than check-write allowed");
    assert!(server.usage().peak_bytes() < resident + 40_000_000);
    loop {
        let frame = peer.read_frame();
        if frame.opcode == frame::CLOSE {
            assert_eq!(frame.close_info().0, 1011);
            break;
        }
        assert_eq!(frame.payload, b"xxxxxxxxxxxxxxx");
    }
}

#[test]
fn line_that_is_written_byte_by_byte_is_one_message() {
    let server = stdio("program").args(["--callback-timeout", "5s"]).start();
    let mut peer = server.open();
    peer.send_text("dribble 50000");
    assert_eq!(peer.read_text().len(), 50_000);
    assert_eq!(peer.ask("x"), "x");
}
