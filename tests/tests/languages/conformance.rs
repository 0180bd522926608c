//! Each language from `wsrun new` to a server: the project is made by the real binary, built by the language's own command, and says byte for
//! byte what the examples say, by `wsrun test` without a network, and to a client that is not ours over sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wsrun_tests::environment;
use wsrun_tests::handlers;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::{self, Ended, Server};
use wsrun_tests::wait::PATIENCE;

/// The scenarios that every echo, or every chat, plays.
#[track_caller]
fn scenarios(kind: &str) -> Vec<PathBuf> {
    let folder = handlers::source(&format!("tests/conformance/scenarios/{kind}"));
    let entries = fs::read_dir(folder).expect("the scenarios are there");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

/// Without a network.
#[track_caller]
fn tested(component: &Path, files: &[PathBuf]) -> Ended {
    let mut command = Command::new(server::binary());
    command.arg("test").arg(component).args(files);
    command.arg("--cache-dir").arg(server::kept_folder("cache"));
    server::run_command_within(&mut command, "", true, PATIENCE * 6)
}

/// Over sockets.
#[track_caller]
fn spoken(component: &Path, files: &[PathBuf]) -> Ended {
    let server = Server::of(component).start();
    let mut command = environment::python();
    command
        .arg(handlers::source("tests/interop/scenarios_client.py"))
        .arg(server.url(0))
        .args(files);
    server::run_command_within(&mut command, "", true, PATIENCE * 6)
}

#[track_caller]
fn passes(component: &Path, kind: &str) {
    let files = scenarios(kind);
    let summary = format!("{} passed, 0 failed\n", files.len());
    for ended in [tested(component, &files), spoken(component, &files)] {
        assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.ends_with(&summary), "{ended:?}");
    }
}

/// From nothing to a handler that passes.
#[track_caller]
fn conforms(language: Language, kind: &str) {
    if !language.is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the project");
    let name = format!("conforms-{kind}");
    let project = folder.path().join(&name);
    let mut command = Command::new(server::binary());
    command.current_dir(folder.path()).args([
        "new",
        &name,
        "--lang",
        language.templates(),
        "--template",
        kind,
    ]);
    let made = server::run_command(&mut command, "", true);
    assert_eq!(made.code, Some(0), "{made:?}");
    match project::build(language, &project, &name) {
        Ok(component) => passes(&component, kind),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn examples_conform() {
    passes(&handlers::echo(), "echo");
    passes(&handlers::built("chat"), "chat");
}

#[test]
fn echo_and_chat_in_rust_conform() {
    conforms(Language::Rust, "echo");
    conforms(Language::Rust, "chat");
}

#[test]
fn echo_and_chat_in_javascript_conform() {
    conforms(Language::Js, "echo");
    conforms(Language::Js, "chat");
}

#[test]
fn echo_and_chat_in_typescript_conform() {
    conforms(Language::Ts, "echo");
    conforms(Language::Ts, "chat");
}

#[test]
fn echo_in_python_conforms() {
    conforms(Language::Python, "echo");
}

#[test]
fn chat_in_python_conforms() {
    conforms(Language::Python, "chat");
}

#[test]
fn echo_and_chat_in_c_conform() {
    conforms(Language::C, "echo");
    conforms(Language::C, "chat");
}

#[test]
fn echo_and_chat_in_go_conform() {
    conforms(Language::Go, "echo");
    conforms(Language::Go, "chat");
}

#[test]
fn echo_and_chat_in_zig_conform() {
    conforms(Language::Zig, "echo");
    conforms(Language::Zig, "chat");
}

/// Neither way to play a scenario passes a handler that does something else.
#[test]
fn other_handlers_do_not_conform() {
    let echo = scenarios("echo");
    let chat = scenarios("chat");
    let apart: Vec<PathBuf> = echo
        .iter()
        .filter(|file| file.ends_with("apart.toml"))
        .cloned()
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let silent = folder.path().join("silent.toml");
    let text = "about = \"no answer\"\n[[step]]\nconnect = \"ann\"\n[[step]]\nfrom = \"ann\"\ntext = \"?\"\n";
    fs::write(&silent, text).expect("the folder can be written");
    for (component, files) in [
        (handlers::echo(), &chat),
        (handlers::built("chat"), &echo),
        // Sends to everybody what it receives.
        (handlers::built("mirror"), &apart),
        (handlers::echo(), &vec![silent]),
    ] {
        let summary = format!("0 passed, {} failed\n", files.len());
        for ended in [tested(&component, files), spoken(&component, files)] {
            assert_eq!(ended.code, Some(1), "{component:?}: {ended:?}");
            assert!(ended.stdout.ends_with(&summary), "{ended:?}");
        }
    }
}
