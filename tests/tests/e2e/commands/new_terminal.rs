//! `wsrun new` in a terminal: it asks for what is missing, and nothing else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use wsrun_tests::environment;
use wsrun_tests::server;

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

struct Sat {
    shown: String,
    code: i64,
}

/// Sits in front of a program: waits for each text, and types the answer beside it.
#[track_caller]
fn sit(folder: &Path, program: &[&str], steps: &[(&str, &str)]) -> Sat {
    let mut command = environment::python();
    command
        .current_dir(folder)
        .arg(wsrun_tests::handlers::source("tests/interop/terminal.py"))
        .arg(json!(steps).to_string())
        .args(program);
    let output = environment::succeeds(command).stdout;
    let told: Value = match serde_json::from_slice(&output) {
        Ok(told) => told,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&output)),
    };
    Sat {
        shown: told["shown"].as_str().unwrap_or_default().to_owned(),
        code: told["code"].as_i64().unwrap_or(i64::MAX),
    }
}

#[track_caller]
fn new(folder: &Path, arguments: &[&str], steps: &[(&str, &str)]) -> Sat {
    let binary = server::binary();
    let mut program = vec![binary.to_str().unwrap_or_default(), "new"];
    program.extend(arguments);
    sit(folder, &program, steps)
}

#[track_caller]
fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn missing_answers_are_asked_for_in_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let steps = [
        ("name of the project: ", "asked\n"),
        ("language (", "Rust\n"),
        ("template (", "chat\n"),
    ];
    let sat = new(folder.path(), &[], &steps);
    assert_eq!(sat.code, 0, "{}", sat.shown);
    assert!(
        sat.shown.contains("the template chat in rust"),
        "{}",
        sat.shown
    );
    for file in [
        "src/protocol.rs",
        "page/index.html",
        "wsrun-sdk/wit/world.wit",
    ] {
        assert!(folder.path().join("asked").join(file).is_file(), "{file}");
    }
    let page = fs::read_to_string(folder.path().join("asked/page/index.html"));
    assert!(page.is_ok_and(|page| page.contains("<title>asked</title>")));
}

#[test]
fn answers_that_will_not_do_are_told_and_asked_for_again() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("taken")).expect("a folder can be made");
    fs::write(folder.path().join("taken/mine.txt"), "mine").expect("a file can be made");
    let steps = [
        ("name of the project: ", "\n"),
        ("name of the project: ", "My Project\n"),
        ("small letters, digits and hyphens", ""),
        ("name of the project: ", "taken\n"),
        ("taken exists and is not empty", ""),
        ("name of the project: ", "deep/free\n"),
        ("language (", "\n"),
        ("language (", "cobol\n"),
        ("there is no language \"cobol\"", ""),
        ("language (", "js\n"),
        ("template (", "game\n"),
        ("there is no template \"game\"", ""),
        // Nothing is the one in brackets.
        ("[echo]: ", "\n"),
    ];
    let sat = new(folder.path(), &[], &steps);
    assert_eq!(sat.code, 0, "{}", sat.shown);
    assert!(folder.path().join("deep/free/src/index.js").is_file());
    assert_eq!(entries(&folder.path().join("taken")), 1);
}

#[test]
fn what_is_given_is_not_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let sat = new(
        folder.path(),
        &["given", "--lang", "rust", "--template", "http"],
        &[],
    );
    assert_eq!(sat.code, 0, "{}", sat.shown);
    assert!(
        !sat.shown.contains("]: ") && !sat.shown.contains("): "),
        "{}",
        sat.shown
    );

    let sat = new(
        folder.path(),
        &["half", "--template", "client"],
        &[("language (", "go\n")],
    );
    assert_eq!(sat.code, 0, "{}", sat.shown);
    assert!(folder.path().join("half/main.go").is_file());
    assert!(!sat.shown.contains("name of the project"), "{}", sat.shown);
}

#[test]
fn interrupt_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let steps = [("name of the project: ", "gone\n"), ("language (", CTRL_C)];
    let sat = new(folder.path(), &[], &steps);
    assert_eq!(sat.code, -2, "{}", sat.shown);
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn end_of_input_is_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let steps = [("name of the project: ", "gone\n"), ("language (", CTRL_D)];
    let sat = new(folder.path(), &[], &steps);
    assert_eq!(sat.code, 2, "{}", sat.shown);
    assert!(sat.shown.contains("no answer"), "{}", sat.shown);
    assert_eq!(entries(folder.path()), 0);
}

#[test]
fn questions_are_seen_where_the_output_leads_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = format!(
        "{} new --lang rust --template echo > told.txt",
        server::binary().display()
    );
    let sat = sit(
        folder.path(),
        &["/bin/sh", "-c", &line],
        &[("name of the project: ", "asked\n")],
    );
    assert_eq!(sat.code, 0, "{}", sat.shown);
    let told = fs::read_to_string(folder.path().join("told.txt")).expect("the file is there");
    assert!(
        told.starts_with("asked: the template echo in rust"),
        "{told}"
    );
}
