//! `wsrun dev`: an edit arrives at connections that stay, and an error leaves the old version at work.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wsrun_tests::development::Development;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Server};
use wsrun_tests::wait;

/// A build, on a busy machine.
const BUILD: Duration = Duration::from_secs(120);

#[track_caller]
fn edit(project: &Development, from: &str, to: &str) {
    let text = fs::read_to_string(project.source()).expect("the source is there");
    assert!(text.contains(from), "{text}");
    replace(&project.source(), &text.replace(from, to));
}

fn status_of(project: &Development) -> serde_json::Value {
    let mut peer = project.server.connect();
    let response = peer.request(&Request::get("/.wsrun/status"));
    serde_json::from_slice(&response.body).expect("the status is JSON")
}

/// As editors do: a file beside it that takes its place.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("rs~");
    fs::write(&beside, text).expect("the folder can be written");
    fs::rename(&beside, file).expect("the file can be replaced");
}

#[track_caller]
fn ask_until(peer: &mut Peer, question: &str, answer: &str) {
    wait::until_within(
        BUILD,
        &format!("{question} is answered with {answer}"),
        || peer.ask(question) == answer,
    );
}

#[test]
fn edit_arrives_without_a_close_and_a_syntax_error_leaves_the_old_version() {
    let project = Development::start("edited", "echo", &[]);
    let mut ann = project.server.open();
    let mut ben = project.server.open();
    assert_eq!(ann.ask("one"), "one");
    assert_eq!(ben.ask("one"), "one");
    let status = status_of(&project);
    assert_eq!(
        (status["versions"].as_u64(), status["error"].as_str()),
        (Some(1), None)
    );

    edit(
        &project,
        "connection.send(&message)",
        "connection.send(\"edited\")",
    );
    ask_until(&mut ann, "two", "edited");
    assert_eq!(ben.ask("two"), "edited");
    wait::until("the status tells of the version", || {
        status_of(&project)["versions"] == 2
    });

    edit(
        &project,
        "connection.send(\"edited\")",
        "connection.send(\"broken\"",
    );
    wait::until_within(BUILD, "the error is told", || {
        status_of(&project)["error"].is_string()
    });
    let error = status_of(&project)["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        error.contains("src/lib.rs") && error.contains("connection.send(\"broken\""),
        "{error}"
    );
    project.server.expect_log("the version before serves on");
    assert_eq!(ann.ask("three"), "edited");
    assert_eq!(project.server.open().ask("three"), "edited");

    edit(
        &project,
        "connection.send(\"broken\"",
        "connection.send(\"mended\")",
    );
    ask_until(&mut ann, "four", "mended");
    assert_eq!(ben.ask("four"), "mended");
    wait::until("the error is gone", || {
        status_of(&project)["error"].is_null()
    });

    let mut peer = project.server.connect();
    let page = peer.request(&Request::get("/.wsrun/"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().contains("/.wsrun/overlay.js"));
    let script = peer.request(&Request::get("/.wsrun/overlay.js"));
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
}

#[test]
fn page_is_that_of_dev_alone() {
    let server = Server::of(wsrun_tests::handlers::echo()).start();
    let response = server.connect().request(&Request::get("/.wsrun/"));
    assert_eq!(response.status, 426);
}

#[test]
fn folder_without_a_project_is_a_usage_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(server::binary());
    command.arg("dev").arg(folder.path());
    let refused = server::run_command(&mut command, "", true);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("none of Cargo.toml"), "{refused:?}");
}
