//! What ends a callback in each language, and what is wrong with sources and modules.

use std::fs;
use std::process::Command;

use wsrun_tests::handlers;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::{self, Server};

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
