//! What ends a callback in each language, and what is wrong with sources and modules.

use std::fs;
use std::path::Path;
use std::process::Command;

use wsrun_tests::handlers;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::{self, Server};
use wsrun_tests::wait::PATIENCE;

#[test]
fn exception_in_python_is_a_trap_that_the_log_tells() {
    let program = r#"
import wsrun


class Picky(wsrun.Handler):
    def received(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        connection.send(message)
        if len(message) > 1:
            raise ValueError(f"{message} is too much for me")
"#;
    traps(
        Language::Python,
        program,
        "ValueError: trap is too much for me",
    );
}

/// What ends a callback, and what the log then says.
#[track_caller]
fn traps(language: Language, program: &str, told: &str) {
    if !language.is_there() {
        return;
    }
    let server = Server::of(project::built_of_text(language, "traps", program)).start();
    let (mut peer, mut other) = (server.open(), server.open());
    assert_eq!(other.ask("1"), "1");
    peer.send_text("trap");
    peer.expect_close(1011);
    server.expect_log(told);
    assert_eq!(other.ask("2"), "2");
}

#[test]
fn abort_in_c_is_a_trap() {
    let program = r#"
#include <stdio.h>
#include <stdlib.h>
#include "wsrun.h"
void wsrun_on_received(wsrun_connection connection, wsrun_message message) {
    wsrun_send(connection, message);
    if (message.size > 1) {
        fprintf(stderr, "%s is too much for me\n", message.data);
        abort();
    }
}
"#;
    traps(Language::C, program, "trap is too much for me");
}

#[test]
fn error_in_zig_is_a_trap_that_the_log_names() {
    let program = r#"
const wsrun = @import("wsrun");
comptime {
    wsrun.handler(@This());
}
pub const panic = wsrun.panic;
pub fn received(connection: wsrun.Connection, message: wsrun.Message) !void {
    try connection.send(message);
    if (message.bytes().len > 1) return error.TooMuchForMe;
}
"#;
    traps(Language::Zig, program, "panic: TooMuchForMe");
}

#[test]
fn panic_in_go_is_a_trap_that_the_log_tells() {
    let program = r#"
package main

import "wsrun"

type h struct{}

func (h) Received(c wsrun.Connection, m wsrun.Message) {
	c.Send(m)
	if len(m.Data) > 1 {
		panic(m.String() + " is too much for me")
	}
}

func init() { wsrun.Handle(h{}) }

func main() {}
"#;
    traps(Language::Go, program, "panic: trap is too much for me");
}

/// What `wsrun build` says of a project with this source. It need not build.
#[track_caller]
fn built(language: Language, name: &str, file: &str, program: &str) -> server::Ended {
    let folder = tempfile::tempdir().expect("a folder");
    let program_path = server::binary();
    let wsrun = program_path.to_string_lossy();
    let run = |folder: &Path, words: &[&str]| {
        let mut command = project::command(words);
        command.current_dir(folder);
        server::run_command_within(&mut command, "", true, PATIENCE * 5)
    };
    let made = run(
        folder.path(),
        &[&wsrun, "new", name, "--lang", language.templates()],
    );
    assert_eq!(made.code, Some(0), "{made:?}");
    let project = folder.path().join(name);
    fs::write(project.join(file), program).expect("the project can be written");
    // As one has it whose `npm install` was interrupted.
    if language == Language::Js {
        fs::create_dir(project.join("node_modules")).expect("the project can be written");
    }
    run(&project, &[&wsrun, "build"])
}

#[track_caller]
fn warns(language: Language, file: &str, program: &str, told: &[&str]) {
    if !language.is_there() {
        return;
    }
    let ended = built(language, "misspelled", file, program);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for told in told {
        assert!(ended.stderr.contains(told), "no {told:?}: {ended:?}");
    }
    assert!(!ended.stderr.contains("helper"), "{ended:?}");
}

#[test]
fn misspelled_callbacks_in_javascript_are_told() {
    let program = r#"
export default class {
  opened(connection) { this.helper(); }
  recieved(connection, message) { connection.send(message); }
  onClose(connection) {}
  helper() {}
}
"#;
    let told = [
        "recieved of the handler: is received meant?",
        "onClose of the handler: is closed meant?",
    ];
    warns(Language::Js, "src/index.js", program, &told);
}

#[test]
fn misspelled_callbacks_in_python_are_told() {
    let program = r#"
import wsrun


class Echo(wsrun.Handler):
    def recieved(self, connection: wsrun.Connection, message: wsrun.Message) -> None:
        connection.send(message)

    def helper(self) -> None:
        pass
"#;
    warns(
        Language::Python,
        "app.py",
        program,
        &["recieved of Echo: is received meant?"],
    );
}

#[test]
fn misspelled_callbacks_in_go_are_told() {
    let program = r#"
package main

import "wsrun"

type echo struct{}

func (echo) Opened(c wsrun.Connection) { helper() }

func (echo) Recieved(c wsrun.Connection, m wsrun.Message) {
	c.Send(m)
}

func helper() {}

func init() { wsrun.Handle(echo{}) }

func main() {}
"#;
    warns(
        Language::Go,
        "main.go",
        program,
        &["main.go:10: nobody calls Recieved: is Received meant?"],
    );
}

#[test]
fn misspelled_callbacks_in_c_are_told() {
    let program = r#"
#include "wsrun.h"
static void helper(void) {}
void wsrun_on_opened(wsrun_connection connection) { (void)connection; helper(); }
void wsrun_on_recieved(wsrun_connection connection, wsrun_message message) {
    wsrun_send(connection, message);
}
"#;
    warns(
        Language::C,
        "src/handler.c",
        program,
        &["handler.c:5: nobody calls wsrun_on_recieved: is wsrun_on_received meant?"],
    );
}

#[test]
fn misspelled_callbacks_in_zig_are_told() {
    let program = r#"
const wsrun = @import("wsrun");
comptime {
    wsrun.handler(@This());
}
pub const panic = wsrun.panic;
pub fn opened(_: wsrun.Connection) void {
    helper();
}
pub fn recieved(connection: wsrun.Connection, message: wsrun.Message) !void {
    try connection.send(message);
}
pub fn helper() void {}
"#;
    warns(
        Language::Zig,
        "src/main.zig",
        program,
        &["main.zig:10: nobody calls recieved: is received meant?"],
    );
}

/// The modules run in a sandbox, where there are no timers to wait for, and no files.
#[test]
fn build_runs_modules_in_javascript_without_the_rights_of_node() {
    if !Language::Js.is_there() {
        return;
    }
    let timer = "setInterval(() => {}, 1000);\nexport default { received(connection, message) { connection.send(message); } };\n";
    let ended = built(Language::Js, "timer", "src/index.js", timer);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for told in ["setInterval is not defined", "the host keeps timers"] {
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let reaches = format!(
        "globalThis.process?.getBuiltinModule(\"node:fs\").writeFileSync({:?}, \"\");\n\
         export default {{ received(connection, message) {{ connection.send(message); }} }};\n",
        trace.display().to_string()
    );
    let ended = built(Language::Js, "reaches", "src/index.js", &reaches);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!trace.exists(), "the build has run the handler in Node");
}

#[test]
fn build_of_modules_that_never_end_ends() {
    for (language, program, words) in [
        (
            Language::Js,
            "while (true);\nexport default { received() {} };\n",
            &[
                "node",
                "wsrun-sdk/build.mjs",
                "src/index.js",
                "-o",
                "dist/endless.wasm",
                "--timeout",
                "5",
            ][..],
        ),
        (
            Language::Python,
            "import wsrun\nclass Echo(wsrun.Handler):\n    pass\nwhile True:\n    pass\n",
            &[
                "sh",
                "-c",
                "PYTHONPATH=wsrun-sdk ${VENV:-.venv}/bin/python -m wsrun_build app.py -o dist/endless.wasm --timeout 20",
            ],
        ),
    ] {
        if !language.is_there() {
            continue;
        }
        // Brings the compiler along.
        let echo = match project::of_template(language, "echo") {
            Ok(component) => component,
            Err(error) => panic!("{error}"),
        };
        let folder = echo.ancestors().nth(2).expect("dist is in a project");
        let endless = folder.with_file_name(format!("endless-{language:?}").to_lowercase());
        let copied = Command::new("cp")
            .arg("-aT")
            .arg(folder)
            .arg(&endless)
            .status();
        assert!(copied.is_ok_and(|status| status.success()));
        let source = endless.join(if language == Language::Js {
            "src/index.js"
        } else {
            "app.py"
        });
        fs::write(source, program).expect("the project can be written");
        let mut command = project::command(words);
        command.current_dir(&endless);
        let ended = server::run_command_within(&mut command, "", true, PATIENCE * 3);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("(--timeout)"), "{ended:?}");
    }
}

#[test]
fn component_says_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    let core = folder.path().join("core.wasm");
    let run = || {
        let mut command = Command::new(server::binary());
        command.arg("component").arg(&core);
        server::run_command(&mut command, "", true)
    };
    let missing = run();
    assert_eq!(missing.code, Some(2));
    assert!(missing.stderr.contains("core.wasm"), "{missing:?}");
    for (bytes, told) in [
        (b"#!/bin/sh".to_vec(), "is not a WebAssembly module"),
        (
            fs::read(handlers::echo()).expect("the echo is built"),
            "is a component already",
        ),
        (
            b"\0asm\x01\0\0\0".to_vec(),
            "exports no wsrun:websocket/handler@0.1.0",
        ),
    ] {
        fs::write(&core, bytes).expect("the folder can be written");
        let ended = run();
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(told), "{ended:?}");
        let left = fs::read_dir(folder.path())
            .expect("the folder can be read")
            .count();
        assert_eq!(left, 1);
    }
}

#[test]
fn sources_in_go_are_tidy() {
    if !Language::Go.is_there() {
        return;
    }
    let folders = [
        "gofmt",
        "-l",
        "guest-sdk/go",
        "guest-sdk/templates/go",
        "tests/languages",
    ];
    match project::run(&folders, ".", &[]) {
        Ok(untidy) => assert_eq!(untidy, ""),
        Err(error) => panic!("{error}"),
    }
    let target = [("GOOS", "wasip1"), ("GOARCH", "wasm")];
    if let Err(error) = project::run(&["go", "vet", "./..."], "guest-sdk/go", &target) {
        panic!("{error}");
    }
}

#[test]
fn sources_in_zig_are_tidy() {
    if !Language::Zig.is_there() {
        return;
    }
    let folders = [
        "zig",
        "fmt",
        "--check",
        "guest-sdk/zig",
        "guest-sdk/templates/zig",
        "tests/languages",
    ];
    if let Err(error) = project::run(&folders, ".", &[]) {
        panic!("{error}");
    }
}
