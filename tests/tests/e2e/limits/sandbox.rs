//! What a handler may do to its host: log without end, recurse, call without end, grow, trap. Each limit is reached, and a neighbour does
//! not notice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::neighbour::Neighbour;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Server};
use wsrun_tests::usage::MIB;
use wsrun_tests::wait;

/// The probe under test is the default handler; the neighbour has a handler of its own, with the same limits.
fn server(arguments: &[&str]) -> (Administered, Neighbour) {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("echo={}", handlers::echo().display()))
        .args(arguments);
    let server = Administered::start(server);
    let neighbour = Neighbour::on(server.open_protocol("echo"), "", "");
    (server, neighbour)
}

#[test]
fn lines_over_the_rate_are_counted_and_not_logged() {
    const LINES: usize = 200;
    let (server, neighbour) = server(&["--max-log-rate", "20"]);
    let mut peer = server.open();
    let flood: Vec<String> = (0..LINES).map(|n| format!("print noise {n}")).collect();
    peer.ask(&format!("in-one {}", flood.join("; ")));
    server.expect_log("--max-log-rate");
    let log = server.log();
    let noise = log.matches("noise").count();
    assert!((20..40).contains(&noise), "{noise} lines:\n{log}");
    // One more line than there is room for was counted, whichever second it is.
    wait::until("there is room again", || {
        thread::sleep(Duration::from_millis(100));
        peer.ask("print afterwards");
        server.log().contains("left_out=")
    });
    let log = server.log();
    let told = log.lines().find(|line| line.contains("left_out="));
    let told = told.expect("it was there");
    let left_out: usize = told
        .split_once("left_out=")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok())
        .expect("a number");
    assert_eq!(left_out, LINES - noise, "{told}");
    assert!(server.hits("probe", "log-rate") >= left_out as u64);
    assert!(told.contains("WARN") && told.contains("probe"), "{told}");
    neighbour.is_unharmed();
}

#[test]
fn callback_that_calls_the_host_too_often_is_stopped() {
    let (server, neighbour) = server(&["--max-host-calls", "1000", "--callback-timeout", "5s"]);
    let mut innocent = server.open();
    assert_eq!(innocent.ask("calls-flood 900"), "ok");
    // Counted anew for each callback.
    assert_eq!(innocent.ask("calls-flood 900"), "ok");
    // Calls of the contract, and of WASI.
    for command in ["calls-flood 1001", "calls-flood 100000000", "compute 4000"] {
        let mut peer = server.open();
        peer.send_text(command);
        peer.expect_close(1011);
    }
    server.expect_log("callback called the host more than 1000 times (--max-host-calls)");
    assert_eq!(server.hits("probe", "host-calls"), 3);
    assert_eq!(innocent.ask("calls-flood 900"), "ok");
    neighbour.is_unharmed();
}

#[test]
fn recursion_beyond_the_stack_closes_the_guilty_connection_alone() {
    const DEPTH: &str = "nest 60000";
    let (server, neighbour) = server(&[]);
    let mut innocent = server.open();
    assert!(innocent.ask("nest 1000").parse::<u64>().is_ok());
    for _ in 0..3 {
        let mut peer = server.open();
        peer.send_text(DEPTH);
        peer.expect_close(1011);
    }
    server.expect_log("call stack exhausted (--max-wasm-stack)");
    assert_eq!(server.hits("probe", "wasm-stack"), 3);
    assert_eq!(innocent.ask("echo still here"), "still here");
    neighbour.is_unharmed();
}

#[test]
fn stack_of_a_callback_is_as_large_as_was_asked_for() {
    let (server, neighbour) = server(&["--max-wasm-stack", "8MiB"]);
    let mut peer = server.open();
    assert!(peer.ask("nest 60000").parse::<u64>().is_ok());
    // The host's functions have their own, at any depth.
    assert_eq!(peer.ask("print something"), "ok");
    peer.send_text("nest 100000000");
    peer.expect_close(1011);
    neighbour.is_unharmed();
}

/// How much the server's memory grew by what grows a table (a text), or a second memory (bytes), as far as it may.
#[track_caller]
fn growth_of(grow: impl Fn(&mut Peer)) -> u64 {
    let server = Server::of(handlers::source("tests/guests/grower.wat"))
        .args(["--max-memory", "16MiB", "--callback-timeout", "5s"])
        .start();
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    for _ in 0..5 {
        let mut peer = server.open();
        grow(&mut peer);
        peer.expect_close(1011);
    }
    server.expect_log("it had asked for more memory than --max-memory");
    server.usage().peak_bytes().saturating_sub(resident)
}

#[test]
fn tables_count_as_memory() {
    let grown = growth_of(|peer| peer.send_text("grow"));
    assert!(grown < 40 * MIB, "{} MiB", grown / MIB);
}

#[test]
fn every_memory_counts() {
    let grown = growth_of(|peer| peer.send_binary(b"grow"));
    assert!(grown < 40 * MIB, "{} MiB", grown / MIB);
}

/// The echo as text, with this beside it.
fn echo_with(addition: &str) -> String {
    let echo = fs::read_to_string(handlers::source("tests/guests/echo.wat")).expect("it is there");
    let (whole, _) = echo.trim_end().rsplit_once(')').expect("it ends so");
    format!("{whole}{addition})")
}

/// Why a component that has this beside the echo does not start.
#[track_caller]
fn refusal_of(addition: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crowded.wat");
    fs::write(&file, echo_with(addition)).expect("it can be written");
    let mut command = vec![file.to_str().expect("UTF-8"), "--listen", "127.0.0.1:0"];
    command.push("--no-cache");
    command.extend(arguments);
    let ended = server::run(command);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    ended.stderr
}

#[test]
fn more_instances_memories_or_tables_than_may_be_are_refused_at_start() {
    for (item, text) in [
        ("", "instance count"),
        ("(memory 1)", "memory count"),
        ("(table 1 funcref)", "table count"),
    ] {
        let module = format!("(core module $m {item})");
        let instances = "(core instance (instantiate $m))".repeat(65);
        let refusal = refusal_of(&format!("{module}{instances}"), &[]);
        // An instance is counted before what it has.
        assert!(refusal.contains("count too high"), "{text}: {refusal}");
    }
    for (items, text) in [
        ("(memory 1)", "memory count"),
        ("(table 1 funcref)", "table count"),
    ] {
        let module = format!("(core module $m {})", items.repeat(65));
        let refusal = refusal_of(&format!("{module}(core instance (instantiate $m))"), &[]);
        assert!(refusal.contains(text), "{refusal}");
    }
}

#[test]
fn what_a_component_begins_with_counts_together() {
    let memories = "(core module $m (memory 32))";
    let tables = "(core module $m (table 262144 funcref))";
    for module in [memories, tables] {
        let crowd = |number: usize| {
            let instances = "(core instance (instantiate $m))".repeat(number);
            format!("{module}{instances}")
        };
        let refusal = refusal_of(&crowd(9), &["--max-memory", "16MiB"]);
        assert!(refusal.contains("--max-memory"), "{refusal}");
    }
}

#[test]
fn backtrace_has_names_and_an_end() {
    let (server, neighbour) = server(&[]);
    let mut peer = server.open();
    peer.send_text("nest 60000");
    peer.expect_close(1011);
    server.expect_log("call stack exhausted");
    let log = server.log();
    assert!(log.contains("misbehave::nest"), "{log}");
    assert!(log.contains("… and more"), "the rest is left out: {log}");
    assert!(log.len() < 16 * 1024, "{} bytes", log.len());
    neighbour.is_unharmed();
}

#[test]
fn names_in_a_backtrace_are_cut_and_harmless() {
    let source = fs::read_to_string(handlers::source("tests/guests/grower.wat"));
    let source = source.expect("it is there");
    let name = format!(
        "(func $\"\\1b[31mnamed{}\" (export \"received\")",
        "x".repeat(10_000)
    );
    let named = source.replace("(func (export \"received\")", &name);
    assert_ne!(source, named);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("named.wat");
    fs::write(&file, named).expect("it can be written");
    let server = Server::of(&file).start();
    let mut peer = server.open();
    peer.send_text("grow");
    peer.expect_close(1011);
    server.expect_log("[31mnamedxxx");
    let log = server.log();
    assert!(log.len() < 8 * 1024, "{} bytes", log.len());
    assert!(!log.contains('\u{1b}'), "{log:?}");
}

/// The core dumps in a folder.
fn dumps(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("it is there");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

#[test]
fn trap_leaves_a_core_dump_that_has_names_and_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let (server, neighbour) = server(&["--coredump-dir", path]);
    let mut peer = server.open();
    assert_eq!(peer.ask("echo remember this"), "remember this");
    peer.send_text("trap");
    peer.expect_close(1011);
    server.expect_log("core dump written");
    let dumps = dumps(folder.path());
    let [dump] = &dumps[..] else {
        panic!("not one file: {dumps:?}");
    };
    let name = dump.file_name().expect("a name").to_string_lossy();
    assert!(
        name.starts_with("probe-") && name.ends_with("-1.coredump"),
        "{name}"
    );
    let metadata = fs::metadata(dump).expect("it is there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(dump).expect("it can be read");
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(bytes.starts_with(b"\0asm"));
    // The sections of the format: https://github.com/WebAssembly/tool-conventions/blob/main/Coredump.md
    for section in [&b"core"[..], b"coremodules", b"coreinstances", b"corestack"] {
        assert!(has(section), "no {:?}", String::from_utf8_lossy(section));
    }
    assert!(has(b"unknown command"), "the memory is in it");
    neighbour.is_unharmed();
}

#[test]
fn core_dumps_are_few_and_stop_when_the_folder_is_full() {
    const MAX: u64 = 4 * MIB;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let (server, neighbour) = server(&[
        "--coredump-dir",
        path,
        "--coredump-max",
        "4MiB",
        "--max-failures",
        "1000000",
    ]);
    let trap = || {
        let mut peer = server.open();
        peer.send_text("trap");
        peer.expect_close(1011);
    };
    let began = Instant::now();
    for _ in 0..20 {
        trap();
    }
    server.expect_log("core dump written");
    let seconds = began.elapsed().as_secs();
    let written = dumps(folder.path()).len() as u64;
    assert!(
        written <= 1 + seconds,
        "{written} in {seconds} s: one a second"
    );
    // Whatever is in the folder counts.
    let other = folder.path().join("other");
    let room = fs::File::create(&other).expect("it can be made");
    room.set_len(MAX - 1024).expect("it can be as large");
    wait::until("the folder is full", || {
        thread::sleep(Duration::from_millis(200));
        trap();
        server.log().contains("--coredump-max")
    });
    assert!(server.hits("probe", "coredumps") > 0);
    fs::remove_file(other).expect("it is there");
    let written = dumps(folder.path()).len();
    wait::until("there is room again", || {
        thread::sleep(Duration::from_millis(200));
        trap();
        dumps(folder.path()).len() > written
    });
    neighbour.is_unharmed();
}

#[test]
fn folder_of_core_dumps_must_exist() {
    let ended = server::run([
        handlers::probe().to_str().expect("UTF-8"),
        "--coredump-dir",
        "/nowhere/at/all",
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("--coredump-dir /nowhere/at/all: there is no such folder"),
        "{ended:?}"
    );
}

#[test]
fn stack_that_is_too_small_or_too_large_is_refused() {
    for size in ["63KiB", "17MiB"] {
        let probe = handlers::probe();
        let ended = server::run([probe.to_str().expect("UTF-8"), "--max-wasm-stack", size]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("--max-wasm-stack"), "{ended:?}");
    }
}

/// A function that is valid, is never called, and costs a compiler half a GiB and some seconds.
fn compile_bomb() -> String {
    let step = " local.get 0 i32.load local.get 1 i32.xor local.set 1";
    let body = step.repeat(600_000);
    let function = format!("(func (param i32 i32) (result i32) {body} local.get 1)");
    format!("(core module (memory 1) {function})")
}

#[test]
fn component_that_takes_too_much_to_compile_is_refused_at_start() {
    let bomb = compile_bomb();
    for (flag, value) in [
        ("--compile-memory", "256MiB"),
        ("--compile-timeout", "500ms"),
    ] {
        let refusal = refusal_of(&bomb, &[flag, value]);
        assert!(
            refusal.contains("could not be compiled within"),
            "{refusal}"
        );
        assert!(refusal.contains(flag), "{refusal}");
    }
    let refusal = refusal_of("", &["--compile-memory", "255MiB"]);
    assert!(refusal.contains("--compile-memory"), "{refusal}");
}

#[test]
fn version_that_takes_too_much_to_compile_does_not_replace_a_handler() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.wat");
    fs::write(&file, echo_with("")).expect("it can be written");
    let server = Server::of(&file)
        .args(["--compile-memory", "256MiB"])
        .start();
    let neighbour = server.echoing_neighbour();
    fs::write(&file, echo_with(&compile_bomb())).expect("it can be written");
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    server.signal(Signal::HUP);
    server.expect_log("handler not replaced");
    server.expect_log("--compile-memory");
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    // The text itself and what it is parsed into, not what compiling it takes.
    assert!(grown < 400 * MIB, "{} MiB", grown / MIB);
    neighbour.is_unharmed();
}

#[test]
fn component_is_compiled_once_into_the_cache() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("it can be made");
    let compiled = || -> Vec<_> {
        let entries = fs::read_dir(&cache).expect("it is there");
        entries
            .map(|entry| entry.expect("an entry").file_name())
            .collect()
    };
    let path = cache.to_str().expect("UTF-8");
    let coredumps = folder.path().to_str().expect("UTF-8");
    for more in [&[][..], &["--coredump-dir", coredumps]] {
        let server = Server::of(handlers::echo())
            .args(["--cache-dir", path])
            .args(more)
            .start();
        assert_eq!(server.open().ask("hello"), "hello");
        // The server found what the other process had made, or there would be another.
        assert_eq!(compiled().len(), 1, "{:?}", compiled());
    }
    let server = Server::of(handlers::echo())
        .args(["--no-cache", "--compile-in-process"])
        .start();
    assert_eq!(server.open().ask("hello"), "hello");
}

#[test]
fn component_that_is_too_large_is_refused() {
    let refusal = refusal_of("", &["--max-component", "1KiB"]);
    assert!(refusal.contains("--max-component"), "{refusal}");
}
