//! What handlers, peers and names say is shown in a line, and does nothing to the terminal that it is shown on.

use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::TempDir;
use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::server::{Server, run};

/// Ends lines, clears the screen, and has what follows shown from right to left.
const EVIL: &str = "evil \u{1b}[2J\u{9b}\u{202e}\u{2028}\u{85}\n2026-01-01T00:00:00Z ERROR forged";

/// A file of the handler `versions` with that name.
fn file(version: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("{EVIL}.wasm"));
    write(&path, version);
    (folder, path)
}

fn write(path: &PathBuf, version: &str) {
    let mut bytes = std::fs::read(handlers::built("versions")).expect("the handler was built");
    let marker = b"version=one                             ";
    let at = bytes
        .windows(marker.len())
        .position(|window| window == marker);
    let at = at.expect("the handler has its marker");
    let new = format!("{:40}", format!("version={version}"));
    bytes[at..at + marker.len()].copy_from_slice(new.as_bytes());
    std::fs::write(path, bytes).expect("the folder is there");
}

/// Nothing in it acts, and no line of it was made by another than this program.
#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let acts = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.chars().any(acts), "{what}: {text:?}");
    assert!(
        !text.lines().any(|line| line.starts_with("2026-01-01")),
        "{what}: {text}"
    );
}

/// Has everything happen in which foreign text is told, and returns the log.
fn happen(format: &str) -> String {
    let (_folder, path) = file("one");
    let admin = Administered::start(Server::of(&path).args([
        "--trial-time",
        "200ms",
        "--log-format",
        format,
    ]));
    let mut peer = admin.open();
    assert!(peer.ask("a").starts_with("one 1"));
    // What a guest prints, and a trap with its text.
    peer.ask("print");
    let mut other = admin.open();
    other.send_text("trap");
    other.expect_close(1011);
    // The names of files, and what a handler says of the state that it is given.
    let missing = format!("{}/{EVIL}", path.parent().expect("a folder").display());
    for (version, file) in [
        ("two:restore-evil", None),
        ("two:restore", None),
        ("two:started", None),
        ("", Some(missing.as_str())),
    ] {
        write(&path, version);
        let verb = ["swap"].into_iter().chain(file);
        let ended = admin.ctl(verb);
        assert_eq!(ended.code, Some(1), "{version}: {}", ended.stdout);
        assert!(ended.stderr.contains("the old version serves"), "{ended:?}");
        is_harmless("ctl swap", &ended.stderr);
    }
    write(&path, "two");
    admin.signal(Signal::HUP);
    admin.expect_log("handler replaced");
    let unknown = admin.ctl(["swap", "--handler", EVIL]);
    is_harmless("ctl swap --handler", &unknown.stderr);
    for verb in [&["status"][..], &["status", "--json"], &["metrics"]] {
        let ended = admin.ctl(verb);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("evil"), "{}", ended.stdout);
        is_harmless("ctl", &ended.stdout);
    }
    let log = admin.log();
    assert!(log.contains("evil") && log.contains("forged"), "{log}");
    is_harmless("the log", &log);
    log
}

#[test]
fn foreign_text_forges_no_line_of_the_log_or_of_a_terminal() {
    let log = happen("text");
    for line in log.lines() {
        // An event, or a frame of the event above.
        assert!(
            line.starts_with("20") || line.starts_with("    "),
            "{line:?} in\n{log}"
        );
    }
}

#[test]
fn log_as_json_is_one_clean_record_for_each_event() {
    let log = happen("json");
    let mut backtraces = 0;
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        let fields = &event["fields"];
        let message = fields["message"].as_str().expect("each has a message");
        assert_eq!(message.trim(), message);
        assert!(!message.is_empty() && !message.contains('\n'), "{line}");
        backtraces += usize::from(fields["backtrace"].is_string());
    }
    assert!(backtraces > 0, "{log}");
}

#[test]
fn name_of_a_file_in_an_error_at_start_is_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(format!("{EVIL}.wasm"));
    std::fs::write(&path, "no component").expect("the folder is there");
    for arguments in [
        vec![path.as_os_str()],
        vec!["inspect".as_ref(), path.as_os_str()],
    ] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        is_harmless("the error", &ended.stderr);
    }
}

#[test]
fn what_is_wrong_with_an_argument_is_told_in_lines_of_this_program() {
    let echo = handlers::echo();
    let echo = echo.to_str().expect("it is UTF-8");
    let flag = format!("--{EVIL}");
    let value = format!("--workers={EVIL}");
    for arguments in [
        vec![echo, flag.as_str()],
        vec![echo, value.as_str()],
        vec![echo, "--listen", EVIL],
        vec![echo, "--protocol", EVIL],
        vec![echo, "--scope", EVIL],
        vec![echo, "--admin", "a", EVIL],
        vec!["serve", EVIL],
        vec!["ctl", EVIL],
        vec!["ctl", "--admin", "a", "status", EVIL],
        vec!["ctl", "--admin", "a", "--timeout", EVIL, "status"],
        vec!["ctl", "--admin", "a", "status", flag.as_str()],
        vec!["completions", EVIL],
        vec!["new", EVIL, "--lang", EVIL],
    ] {
        let ended = run(&arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("evil"), "{ended:?}");
        is_harmless("the error", &ended.stderr);
    }
    // The lines of clap stay lines.
    let ended = run([echo, &flag]);
    assert!(ended.stderr.contains("\nUsage: "), "{}", ended.stderr);
}
