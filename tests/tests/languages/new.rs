//! `wsrun new`, and from there to a handler whose scenarios pass.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use wsrun_tests::server::{self, Ended};

#[track_caller]
fn wsrun(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(server::binary());
    command
        .current_dir(folder)
        .args(arguments)
        // What the projects have in common is built once.
        .env("CARGO_TARGET_DIR", server::kept_folder("projects"))
        .env_remove("CARGO")
        .env_remove("RUSTFLAGS");
    server::run_command_within(&mut command, "", true, Duration::from_secs(200))
}

#[track_caller]
fn new_then_build_then_test(template: &str) {
    let folder = tempfile::tempdir().expect("a folder for the project");
    let name = format!("made-{template}");
    let made = wsrun(
        folder.path(),
        &["new", &name, "--lang", "rust", "--template", template],
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    let project = folder.path().join(&name);
    let built = wsrun(&project, &["build"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    let file = format!("made_{template}.wasm (");
    assert!(built.stdout.contains(&file), "{built:?}");
    let path = built.stdout.split(" (").next().unwrap_or_default();
    let tested = wsrun(&project, &["test", path, "--no-cache"]);
    assert_eq!(tested.code, Some(0), "{tested:?}");
    assert!(tested.stdout.contains(" passed, 0 failed"), "{tested:?}");
}

#[test]
fn echo_in_rust_builds_and_passes_its_scenarios() {
    new_then_build_then_test("echo");
}

#[test]
fn chat_in_rust_builds_and_passes_its_scenarios() {
    new_then_build_then_test("chat");
}

#[test]
fn client_in_rust_builds_and_passes_its_scenarios() {
    new_then_build_then_test("client");
}

#[test]
fn http_in_rust_builds_and_passes_its_scenarios() {
    new_then_build_then_test("http");
}

#[test]
fn project_has_its_name_and_everything_that_it_needs() {
    let folder = tempfile::tempdir().expect("a folder for the project");
    let made = wsrun(
        folder.path(),
        &[
            "new",
            "deep/down/tea-room",
            "--lang",
            "rust",
            "--template",
            "chat",
        ],
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    let project = folder.path().join("deep/down/tea-room");
    let read = |file: &str| fs::read_to_string(project.join(file)).expect("the file is there");
    assert!(read("Cargo.toml").contains("name = \"tea-room\""));
    assert!(read("README.md").starts_with("# tea-room\n"));
    assert!(read(".gitignore").contains("target/"));
    assert!(read("wsrun-sdk/wit/world.wit").contains("package wsrun:websocket@"));
    assert!(project.join("tests/rooms.toml").is_file());
}

#[test]
fn nothing_is_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    fs::create_dir(&kept).expect("a folder can be made");
    fs::write(kept.join("mine.txt"), "mine").expect("a file can be made");
    let refused = wsrun(folder.path(), &["new", "kept", "--lang", "rust"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("kept exists and is not empty"),
        "{refused:?}"
    );
    let files = fs::read_dir(&kept).expect("it is there").count();
    assert_eq!(files, 1);
}

#[test]
fn what_is_missing_or_unknown_is_told_where_there_is_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, text) in [
        (&["new"][..], "NAME is missing"),
        (
            &["new", "a"],
            "--lang is missing, and there is no terminal to ask: there are: ",
        ),
        (&["new", "a", "--lang", "cobol"], "possible values"),
        (
            &["new", "A b", "--lang", "rust"],
            "small letters, digits and hyphens",
        ),
    ] {
        let refused = wsrun(folder.path(), arguments);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.stderr.contains(text), "{refused:?}");
    }
    let files = fs::read_dir(folder.path()).expect("it is there").count();
    assert_eq!(files, 0);
}

#[test]
fn terminal_is_asked_for_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    // `script` gives the command a terminal.
    let mut command = Command::new("script");
    let line = format!("{} new", server::binary().display());
    command
        .current_dir(folder.path())
        .args(["-qec", &line, "/dev/null"]);
    let made = server::run_command(&mut command, "asked\ncobol\nrust\nhttp\n", false);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert!(made.stdout.contains("name of the project: "), "{made:?}");
    assert!(
        folder.path().join("asked/src/page.html").is_file(),
        "{made:?}"
    );
}

#[test]
fn build_tells_what_it_does_not_find() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = wsrun(folder.path(), &["build"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("none of Cargo.toml, package.json"),
        "{refused:?}"
    );
    // A machine without the tool.
    for (file, tool, how) in [
        (
            "Cargo.toml",
            "cargo is missing, the build tool of Rust",
            "install Rust",
        ),
        ("package.json", "npm is missing", "Node.js"),
        ("go.mod", "go is missing", "install Go"),
        ("build.zig", "zig is missing", "ziglang"),
        ("Makefile", "make is missing", "apt install make"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(file), "").expect("a file can be made");
        let mut command = Command::new(server::binary());
        command
            .current_dir(folder.path())
            .arg("build")
            .env("PATH", "");
        let refused = server::run_command(&mut command, "", true);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.stderr.contains(tool) && refused.stderr.contains(how),
            "{refused:?}"
        );
    }
}

#[test]
fn component_that_the_makefile_left_as_it_was_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, text: &str, at: u64| {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("it is in a folder")).expect("a folder");
        fs::write(&file, text).expect("a file can be made");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let opened = fs::File::options().write(true).open(&file);
        let opened = opened.expect("the file is there");
        opened.set_modified(at).expect("its time can be set");
    };
    put("Makefile", "all:\n\t@true\n", 1_000);
    put("dist/old.wasm", "old", 2_000);
    put("src/handler.c", "", 3_000);
    put("README.md", "", 4_000);
    let refused = wsrun(folder.path(), &["build"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for told in [
        "make left ",
        "old.wasm as it was, although ",
        "handler.c is newer",
    ] {
        assert!(refused.stderr.contains(told), "{refused:?}");
    }
    assert_eq!(refused.stdout, "");
    put("dist/old.wasm", "old", 3_500);
    let built = wsrun(folder.path(), &["build"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    assert!(built.stdout.contains("old.wasm (3 bytes)"), "{built:?}");
    assert!(built.stderr.contains("nothing has changed"), "{built:?}");
    put("Makefile", "all:\n\t@echo new > dist/old.wasm\n", 5_000);
    let built = wsrun(folder.path(), &["build"]);
    assert_eq!(built.code, Some(0), "{built:?}");
    assert!(!built.stderr.contains("nothing has changed"), "{built:?}");
}

/// `pyright app.py` and `mypy app.py` in a project that nobody has built yet.
#[test]
fn project_in_python_tells_type_checkers_where_the_sdk_is() {
    for template in ["echo", "chat", "client", "http"] {
        let folder = tempfile::tempdir().expect("a folder for the project");
        let made = wsrun(
            folder.path(),
            &["new", "typed", "--lang", "python", "--template", template],
        );
        assert_eq!(made.code, Some(0), "{made:?}");
        let project = folder.path().join("typed");
        let text = fs::read_to_string(project.join("pyproject.toml")).expect("the file is there");
        for (tool, key) in [("pyright", "extraPaths"), ("mypy", "mypy_path")] {
            let told = format!("[tool.{tool}]\n{key} = [\"wsrun-sdk\", \"build/bindings\"]\n");
            assert!(text.contains(&told), "{template}: {text}");
        }
        assert!(project.join("wsrun-sdk/wsrun/__init__.py").is_file());
    }
}
