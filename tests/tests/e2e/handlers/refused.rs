//! Components that are no handlers: refused at start, with a text that says what is wrong and what to do.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::server;
use wsrun_tests::usage::MIB;

/// Starts a server with a file and returns what it complains of.
#[track_caller]
fn refusal(file: impl AsRef<Path>) -> String {
    let ended = server::run([
        file.as_ref().as_os_str(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--no-cache".as_ref(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "it never listened");
    let name = file
        .as_ref()
        .file_stem()
        .expect("a file")
        .to_string_lossy()
        .into_owned();
    assert!(
        ended.stderr.contains(&name),
        "the error names the file or its handler: {}",
        ended.stderr
    );
    assert!(
        !ended.stderr.contains("panicked at host"),
        "{}",
        ended.stderr
    );
    ended.stderr
}

#[track_caller]
fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(
            text.to_lowercase().contains(&word.to_lowercase()),
            "no {word:?} in: {text}"
        );
    }
}

fn guest(name: &str) -> std::path::PathBuf {
    handlers::source("tests/guests").join(name)
}

#[test]
fn component_with_an_unknown_import_is_refused_by_its_name() {
    says(
        &refusal(guest("unknown-import.wat")),
        &["acme:db/query@1.0.0", "import"],
    );
}

#[test]
fn component_with_an_unknown_export_of_the_package_is_refused_by_its_name() {
    says(
        &refusal(guest("unknown-export.wat")),
        &["wsrun:websocket/telepathy@0.1.0", "export"],
    );
}

#[test]
fn component_without_handler_is_refused() {
    says(
        &refusal(guest("no-handler.wat")),
        &["wsrun:websocket/handler", "export"],
    );
}

#[test]
fn handler_of_another_version_is_refused_with_both_versions() {
    says(&refusal(guest("old-version.wat")), &["0.0.9", "0.1.0"]);
}

#[test]
fn handler_with_a_function_of_another_type_is_refused_by_its_interface() {
    says(
        &refusal(guest("wrong-type.wat")),
        &["wsrun:websocket/handler", "types"],
    );
}

#[test]
fn core_module_is_refused_with_what_to_do() {
    says(
        &refusal(guest("core-module.wat")),
        &[
            "core",
            "module",
            "component",
            "wasm32-wasip2",
            "`wsrun component ",
            "core-module.wat`",
        ],
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("core.wasm");
    fs::write(&file, b"\0asm\x01\0\0\0").expect("the folder can be written");
    says(
        &refusal(&file),
        &["core", "module", "component", "wasm32-wasip2"],
    );
}

#[test]
fn truncated_component_is_refused_wherever_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fs::read(handlers::echo()).expect("the build made it");
    let file = folder.path().join("cut.wasm");
    for length in [0, 1, 4, 7, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).expect("the folder can be written");
        refusal(&file);
    }
    fs::write(&file, &whole[..whole.len() / 2]).expect("the folder can be written");
    says(&refusal(&file), &["cut.wasm"]);
}

#[test]
fn corrupt_component_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = fs::read(handlers::echo()).expect("the build made it");
    let middle = bytes.len() / 2;
    bytes[8..8 + 64].fill(0xff);
    bytes[middle..middle + 64].fill(0xff);
    let file = folder.path().join("corrupt.wasm");
    fs::write(&file, bytes).expect("the folder can be written");
    refusal(&file);
}

#[test]
fn file_that_is_not_wasm_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [
        ("page.wasm", b"<!doctype html><title>no</title>".as_slice()),
        ("elf.wasm", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"),
        ("words.wat", b"this is not the text format"),
        ("open.wat", b"(component"),
        ("random.wasm", &[0xa5; 5000]),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).expect("the folder can be written");
        refusal(&file);
    }
    let file = folder.path().join("page.wasm");
    says(&refusal(&file), &["not", "wasm", "component"]);
}

#[test]
fn missing_file_and_folder_are_refused() {
    says(&refusal("/nowhere/handler.wasm"), &["no such file"]);
    let folder = tempfile::tempdir().expect("a folder");
    let inner = folder.path().join("handler.wasm");
    fs::create_dir(&inner).expect("the folder can be written");
    says(&refusal(&inner), &["it is a folder"]);
}

#[test]
fn handler_that_traps_when_started_is_refused_with_its_words() {
    says(
        &refusal(handlers::built("start-trap")),
        &["start", "this handler refuses to start"],
    );
}

#[test]
fn handler_that_never_ends_starting_is_refused_at_the_deadline() {
    let asked = Instant::now();
    says(&refusal(handlers::built("start-loop")), &["start"]);
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn bad_handler_of_a_protocol_is_refused_as_well() {
    let ended = server::run([
        handlers::echo().into_os_string(),
        "--listen".into(),
        "127.0.0.1:0".into(),
        "--protocol".into(),
        format!("bad={}", guest("no-handler.wat").display()).into(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    says(
        &ended.stderr,
        &["no-handler.wat", "wsrun:websocket/handler"],
    );
}

#[test]
fn damaged_cache_is_no_obstacle() {
    let cache = tempfile::tempdir().expect("a folder");
    let start = || {
        let server = server::Server::of(handlers::echo())
            .arg("--cache-dir")
            .arg(cache.path())
            .start();
        assert_eq!(server.open().ask("compiled"), "compiled");
    };
    start();
    let mut files = Vec::new();
    collect_files(cache.path(), &mut files);
    assert!(!files.is_empty(), "the compiled component is kept");
    start();
    for file in &files {
        fs::write(file, b"rubbish").expect("the folder can be written");
    }
    start();
    for file in &files {
        let _ = fs::remove_file(file);
    }
    start();
}

#[test]
fn folder_for_the_cache_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a file");
    fs::write(&file, b"").expect("the folder can be written");
    let below = file.join("below");
    let handler = handlers::echo();
    let arguments = [
        handler.as_os_str(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--cache-dir".as_ref(),
        below.as_os_str(),
    ];
    let ended = server::run(arguments);
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    says(&ended.stderr, &["a file/below"]);
}

fn collect_files(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

#[test]
fn program_is_told_from_a_handler() {
    let program = handlers::built("stdio-count");
    let name = program.to_string_lossy();
    says(
        &refusal(&program),
        &["is a program", &format!("`wsrun --stdio {name}`")],
    );
    let ended = server::run(["inspect", &name]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(
        &ended.stdout,
        &[
            "a program for WASI 0.2",
            &format!("`wsrun --stdio {name}`"),
            "wasi:cli/run@0.2",
            "wasi:cli/stdin",
        ],
    );
}

/// The echo with instances of a component that has two of the component before, so many times.
fn nested(folder: &Path, times: usize) -> std::path::PathBuf {
    let echo = fs::read_to_string(guest("echo.wat")).expect("the file is there");
    let mut text = echo
        .trim_end()
        .strip_suffix(')')
        .expect("it ends")
        .to_owned();
    text.push_str("(component $c0)");
    for number in 1..=times {
        let before = number - 1;
        text.push_str(&format!(
            "(component $c{number} (alias outer 1 $c{before} (component $c))
               (instance (instantiate $c)) (instance (instantiate $c)))"
        ));
    }
    text.push_str(&format!("(instance (instantiate $c{times})))"));
    let file = folder.join(format!("nested-{times}.wat"));
    fs::write(&file, text).expect("the folder can be written");
    file
}

#[test]
fn component_of_nested_instances_that_takes_far_more_than_its_bytes_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    // Of 155 MB when it is loaded, and of 95 MB for each instance, whose memories take nothing.
    says(
        &refusal(nested(folder.path(), 20)),
        &["each instance of", "--max-memory", "nested instances"],
    );
    // More than the compiler can number.
    let told = refusal(nested(folder.path(), 22));
    says(
        &told,
        &["the compiler itself failed", "report", "assertion"],
    );
    assert!(!told.contains("thread '"), "{told}");
    assert!(told.lines().all(|line| !line.is_empty()), "{told}");
    let server = Administered::start(server::Server::of(handlers::echo()).args([
        "--no-cache",
        "--max-code",
        "100MiB",
    ]));
    let usage = server.usage();
    usage.restart_peak();
    let before = usage.resident_bytes();
    for (times, words) in [
        (20, ["--max-code", "nested instances"]),
        (22, ["the compiler itself failed", "nested instances"]),
    ] {
        let file = nested(folder.path(), times).display().to_string();
        let swapped = server.ctl(["swap", &file]);
        assert_eq!(swapped.code, Some(1), "{swapped:?}");
        says(&swapped.stderr, &words);
    }
    let grown = usage.peak_bytes().saturating_sub(before);
    assert!(grown < 64 * MIB, "grown by {grown} bytes");
    assert_eq!(server.open().ask("still here"), "still here");
    let fine = server::Server::of(nested(folder.path(), 4)).start();
    assert_eq!(fine.open().ask("a few are fine"), "a few are fine");
}
