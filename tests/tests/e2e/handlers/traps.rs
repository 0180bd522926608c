//! Handlers that fail: only the connection concerned notices.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;

#[test]
fn trap_closes_its_connection_with_1011_and_others_live_on() {
    let server = Server::of(handlers::probe()).start();
    let neighbour = server.probing_neighbour();
    for command in [
        "trap",
        "panic a fine mess",
        "loop",
        "alloc",
        "recurse",
        "exit 0",
        "exit 3",
    ] {
        let mut peer = server.open();
        peer.send_text(command);
        peer.expect_close(1011);
        neighbour.lives();
    }
    neighbour.is_unharmed();
}

#[test]
fn log_has_a_readable_backtrace_of_a_trap() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    peer.send_text("trap");
    peer.expect_close(1011);
    server.expect_log("misbehave::trap");
    let log = server.log();
    assert!(
        log.contains("received"),
        "the log names the callback:\n{log}"
    );
    assert!(
        !log.contains("_ZN") && !log.contains("_RN"),
        "the names are demangled:\n{log}"
    );
    assert!(log.contains("probe"), "the log names the handler:\n{log}");
}

#[test]
fn log_has_the_message_of_a_panic() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    peer.send_text("panic a fine mess");
    peer.expect_close(1011);
    server.expect_log("a fine mess");
}

#[test]
fn effects_of_a_callback_that_traps_are_dropped() {
    let server = Server::of(handlers::probe()).start();
    let mut watcher = server.open();
    assert_eq!(watcher.ask("subscribe t"), "ok true");
    for command in [
        "send-then-trap never sent",
        "publish-then-trap t never published",
    ] {
        let mut peer = server.open();
        peer.send_text(command);
        // The close is the first that comes.
        peer.expect_close(1011);
    }
    assert_eq!(watcher.ask("echo nothing came"), "nothing came");
}

#[test]
fn trap_in_closed_harms_nobody() {
    let server = Server::of(handlers::probe()).start();
    let neighbour = server.probing_neighbour();
    for _ in 0..5 {
        let mut peer = server.open();
        assert_eq!(peer.ask("close-trap"), "ok");
        peer.close();
    }
    server.expect_log("asked to trap when closed");
    neighbour.is_unharmed();
}

#[test]
fn new_instance_is_started_before_anything_else() {
    let server = Server::of(handlers::built("lifecycle")).start();
    let mut one = server.open();
    one.expect_text("started 1");
    let mut two = server.open();
    two.expect_text("started 1");
    two.send_text("trap");
    two.expect_close(1011);
    assert_eq!(one.ask("again"), "started 1");
}

#[test]
fn endless_callback_is_stopped_at_its_deadline() {
    let server = Server::of(handlers::probe())
        .args(["--callback-timeout", "50ms"])
        .start();
    let neighbour = server.probing_neighbour();
    for _ in 0..10 {
        let mut peer = server.open();
        let asked = Instant::now();
        peer.send_text("loop");
        peer.expect_close(1011);
        let took = asked.elapsed();
        assert!(
            took >= Duration::from_millis(45) && took < Duration::from_secs(2),
            "{took:?}"
        );
    }
    server.expect_log("--callback-timeout");
    server.expect_log("handler@0.1.0#received");
    neighbour.is_unharmed();
}

#[test]
fn handlers_that_loop_on_every_message_leave_time_for_others() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("echo={}", handlers::echo().display()))
        .start();
    let neighbour = wsrun_tests::neighbour::Neighbour::on(server.open_protocol("echo"), "", "");
    for _ in 0..5 {
        let mut peers: Vec<_> = (0..4).map(|_| server.open()).collect();
        for peer in &mut peers {
            peer.send_text("loop");
        }
        for peer in &mut peers {
            peer.expect_close(1011);
        }
    }
    neighbour.is_unharmed();
}

#[test]
fn handler_that_allocates_without_end_stays_within_its_memory() {
    let server = Server::of(handlers::probe())
        .args(["--max-memory", "16MiB", "--callback-timeout", "5s"])
        .start();
    let neighbour = server.probing_neighbour();
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    for _ in 0..10 {
        let mut peer = server.open();
        peer.send_text("alloc");
        peer.expect_close(1011);
    }
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    // Two instances at most live at a time: the one that traps and the one that replaces it.
    assert!(grown <= 40 * MIB, "{} MiB", grown / MIB);
    neighbour.is_unharmed();
}

#[test]
fn storm_of_traps_leaves_no_memory_behind() {
    let server = Server::of(handlers::probe())
        .args(["--max-failures", "1000000"])
        .start();
    let neighbour = server.probing_neighbour();
    let storm = |traps: usize| {
        for _ in 0..traps {
            let mut peer = server.open();
            peer.send_text("trap");
            peer.expect_close(1011);
        }
    };
    storm(200);
    let resident = server.usage().resident_bytes();
    storm(600);
    let grown = server.usage().resident_bytes().saturating_sub(resident);
    assert!(grown <= 8 * MIB, "600 traps left {grown} bytes behind");
    neighbour.is_unharmed();
}

#[test]
fn handler_with_a_thousand_effects_in_one_callback_is_served_and_one_without_end_is_not() {
    let server = Server::of(handlers::probe())
        .args(["--max-queue", "64MiB", "--callback-timeout", "5s"])
        .start();
    let neighbour = server.probing_neighbour();
    let mut peer = server.open();
    peer.send_text("send-flood 1000 10");
    for _ in 0..1_000 {
        assert_eq!(peer.read_frame().payload.len(), 10);
    }
    peer.expect_text("sent 1000 ok");
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let mut peer = server.open();
    peer.send_text("send-flood 4000000 1");
    // The callback has so many effects and no more: it is stopped, and none of them happens.
    peer.expect_close(1011);
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(grown <= 160 * MIB, "{} MiB", grown / MIB);
    neighbour.is_unharmed();
}

#[test]
fn handler_is_granted_clocks_random_and_output_and_nothing_else() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    assert!(peer.ask("fs").starts_with("err "), "no file is open to it");
    assert!(
        peer.ask("fs .").starts_with("err "),
        "no folder is open to it"
    );
    let address = format!("net {}", server.address());
    assert!(
        peer.ask(&address).starts_with("err "),
        "no connection is open to it"
    );
    assert!(
        peer.ask("resolve localhost").starts_with("err "),
        "no name is resolved for it"
    );
    assert_eq!(peer.ask("env").trim(), "0");
    assert!(
        ["0", "1"].contains(&peer.ask("args").as_str()),
        "no arguments of the host"
    );
    assert_eq!(peer.ask("stdin"), "ok 0");
    assert_ne!(peer.ask("random"), peer.ask("random"));
    let clock: u128 = peer
        .ask("clock")
        .strip_prefix("ok ")
        .and_then(|ms| ms.parse().ok())
        .expect("a clock");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is later")
        .as_millis();
    assert!(now.abs_diff(clock) < 10_000, "{now} {clock}");
}

#[test]
fn handler_that_waits_lets_others_run() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("echo={}", handlers::echo().display()))
        .start();
    let mut echo = server.open_protocol("echo");
    let mut peer = server.open();
    peer.send_text("sleep-wasi 1500");
    let asked = Instant::now();
    for number in 0..10 {
        assert_eq!(echo.ask(&number.to_string()), number.to_string());
    }
    assert!(
        asked.elapsed() < Duration::from_millis(1000),
        "others waited {:?}",
        asked.elapsed()
    );
    assert!(
        peer.read_text().starts_with("slept 1"),
        "waiting is no computing: the deadline of callbacks is not for it"
    );
}

#[test]
fn what_a_handler_prints_goes_to_the_log() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("print out of the sandbox"), "ok");
    assert_eq!(peer.ask("eprint aside of the sandbox"), "ok");
    server.expect_log("out of the sandbox");
    server.expect_log("aside of the sandbox");
    let log = server.log();
    let line = log
        .lines()
        .find(|line| line.contains("out of the sandbox"))
        .expect("it was there");
    assert!(line.contains("INFO") && line.contains("probe"), "{line}");
}

#[test]
fn what_a_handler_prints_cannot_forge_the_log() {
    let server = Server::of(handlers::probe()).start();
    let mut peer = server.open();
    assert_eq!(
        peer.ask("print \u{1b}[31mred\u{1b}[0m \u{7}\u{8}bell"),
        "ok"
    );
    assert_eq!(
        peer.ask("print a\n2030-01-01T00:00:00Z ERROR wsrun: forged"),
        "ok"
    );
    server.expect_log("forged");
    let log = server.log();
    assert!(log.contains("red"), "{log}");
    assert!(
        !log.contains("\u{1b}[31m") && !log.contains('\u{7}') && !log.contains('\u{8}'),
        "{log:?}"
    );
    let forged = log
        .lines()
        .find(|line| line.contains("forged"))
        .expect("it was there");
    assert!(
        forged.contains("probe"),
        "every line tells its handler: {forged}"
    );
}

#[test]
fn what_a_handler_prints_without_end_is_limited() {
    let server = Server::of(handlers::probe()).start();
    let neighbour = server.probing_neighbour();
    let mut peer = server.open();
    let line = format!("print {}", "noise ".repeat(10_000));
    let resident = server.usage().resident_bytes();
    server.usage().restart_peak();
    for _ in 0..500 {
        assert_eq!(peer.ask(&line), "ok");
    }
    assert!(
        server.logged_bytes() < 8 * MIB,
        "{} of 30 MB were logged",
        server.logged_bytes()
    );
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(grown <= 8 * MIB, "{grown} bytes for a log");
    neighbour.is_unharmed();
}

#[test]
fn log_never_has_what_peers_send() {
    let server = Server::of(handlers::probe())
        .args(["--log-level", "trace"])
        .start();
    let request = Request::upgrade("/")
        .with("Authorization", "Bearer top-secret-header")
        .with("Cookie", "id=top-secret-cookie");
    let mut peer = server.open_with(&request);
    peer.ask("echo top-secret-text");
    peer.ask("session-set top-secret-session");
    peer.send_text("send-then-trap top-secret-effect");
    peer.expect_close(1011);
    server.expect_log("asked to trap");
    let log = server.log();
    assert!(!log.contains("top-secret"), "{log}");
}

/// The echo by hand with something else in the place of its `received`, which has the message in memory.
fn echo_with(functions: &str) -> TempDir {
    let text = fs::read_to_string(handlers::source("tests/guests/echo.wat"));
    let text = text.expect("the file is there");
    let begin = text.find("    (func (export \"received\") (param $connection i64)");
    let end = text.find("    (func (export \"closed\") (param $connection i64)");
    let (begin, end) = (begin.expect("it receives"), end.expect("it is told"));
    let text = format!("{}{functions}{}", &text[..begin], &text[end..]);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("app.wat"), text).expect("the folder can be written");
    folder
}

const RECEIVED: &str =
    "(func (export \"received\") (param i64) (param i32) (param i32) (param i32)";

/// A mangled name of a few hundred bytes that is a million when it is written out: a pair of two of the pair before, so many times.
fn growing_name(times: usize) -> String {
    let mut name = "_RIC1aTuuE".to_owned();
    // Places count from behind `_R`.
    let mut before = name.len() - "_RTuuE".len();
    for _ in 0..times {
        let place = base_62(before);
        before = name.len() - "_R".len();
        name.push_str(&format!("TB{place}B{place}E"));
    }
    name + "E"
}

/// 0 is `_`, 1 is `0_`.
fn base_62(number: usize) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut text = "_".to_owned();
    let mut left = number.checked_sub(1);
    while let Some(number) = left {
        text.insert(0, char::from(DIGITS[number % 62]));
        left = (number / 62).checked_sub(1).map(|left| left + 1);
    }
    text
}

#[test]
fn names_that_grow_when_they_are_written_out_make_no_trap_dear() {
    const TRAPS: u32 = 40;
    let name = growing_name(30);
    let handler = echo_with(&format!(
        "(func ${name} (param i32)
           (if (i32.eqz (local.get 0)) (then unreachable))
           (call ${name} (i32.sub (local.get 0) (i32.const 1))))
         {RECEIVED} (call ${name} (i32.const 100)))"
    ));
    let server = Server::of(handler.path().join("app.wat")).start();
    let mut first = server.open();
    first.send_text("trap");
    first.expect_close(1011);
    server.expect_log("31: a::<((), ()), (((), ()),");
    let before = server.usage().cpu();
    for _ in 1..TRAPS {
        let mut peer = server.open();
        peer.send_text("trap");
        peer.expect_close(1011);
    }
    // Processor time, which another's work does not add to. Written out in full, the names took a third of a second for each trap.
    let took = server.usage().cpu() - before;
    assert!(took < Duration::from_millis(50) * TRAPS, "{took:?}");
}

#[test]
fn name_of_megabytes_is_not_copied_for_each_frame() {
    let name = "n".repeat(4_000_000);
    let handler = echo_with(&format!(
        "(func ${name} unreachable) {RECEIVED} (call ${name}))"
    ));
    let server = Server::of(handler.path().join("app.wat")).start();
    let mut peer = server.open();
    peer.send_text("trap");
    peer.expect_close(1011);
    // wasmtime has not been given the names of this component.
    server.expect_log("0: function ");
}

#[test]
fn handler_that_fails_slowly_is_left_alone_as_one_that_fails_often() {
    // To make an instance takes a second of computing, and each failure needs another.
    let handler = echo_with(&format!(
        "(func $slow (local i32)
           (loop $more
             (local.set 0 (i32.add (local.get 0) (i32.const 1)))
             (br_if $more (i32.lt_u (local.get 0) (i32.const 1000000000)))))
         (start $slow)
         {RECEIVED} unreachable)"
    ));
    let server = Server::of(handler.path().join("app.wat"))
        .args(["--callback-timeout", "1m", "--blocking-timeout", "2m"])
        .args(["--max-failures", "1000"])
        .args(["--failure-window", "1s"])
        .start();
    let mut bystander = server.open();
    let is_left_alone = (0..10).any(|_| {
        let mut peer = server.connect();
        peer.send_bytes(&Request::upgrade("/").encode());
        if peer.try_read_head().expect("there is an answer").status == 503 {
            return true;
        }
        peer.send_text("trap");
        peer.expect_close(1011);
        false
    });
    assert!(is_left_alone, "{}", server.log());
    server.expect_log("left alone for");
    assert_eq!(
        bystander.expect_close(1013),
        "handler fails again and again"
    );
}
