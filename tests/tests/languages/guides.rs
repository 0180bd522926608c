//! The guides for languages: the programs in them are built and spoken to.

use std::fs;

use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::project::{self, Language};
use wsrun_tests::server::Server;

/// The programs in the guide for a language.
#[track_caller]
fn programs_of_guide(language: Language) -> Vec<String> {
    let name = match language {
        Language::Js | Language::Ts => "javascript",
        Language::C
        | Language::Cpp
        | Language::CByZig
        | Language::Go
        | Language::Zig
        | Language::Python
        | Language::Rust => language.sdk(),
    };
    let guide = handlers::source(&format!("docs/languages/{name}.md"));
    let guide = fs::read_to_string(guide).expect("the guide is there");
    let fence = match language {
        Language::Python => "python",
        Language::C
        | Language::Cpp
        | Language::CByZig
        | Language::Go
        | Language::Zig
        | Language::Js
        | Language::Ts
        | Language::Rust => language.extension(),
    };
    let fence = format!("```{fence}\n");
    guide
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(program, _)| program.to_owned())
        .collect()
}

#[track_caller]
fn guide_does_as_it_says(language: Language) {
    if !language.is_there() {
        return;
    }
    let programs = programs_of_guide(language);
    let [room, timer] = programs.as_slice() else {
        panic!("{} programs", programs.len())
    };
    let server = Server::of(project::built_of_text(language, "guide-room", room)).start();
    let refused = server.connect().request(&Request::upgrade("/"));
    assert_eq!(
        (refused.status, refused.body.as_slice()),
        (403, b"who are you?".as_slice())
    );
    let mut ada = server.open_with(&Request::upgrade("/?name=Ada"));
    let mut grace = server.open_with(&Request::upgrade("/?name=Grace"));
    // The second is subscribed before the first speaks.
    assert_eq!(grace.ask("hello"), "1. Grace: hello");
    ada.expect_text("1. Grace: hello");
    ada.send_text("hi");
    ada.expect_text("2. Ada: hi");
    grace.expect_text("2. Ada: hi");

    let server = Server::of(project::built_of_text(language, "guide-timer", timer)).start();
    server.open().expect_text("are you still there?");
}

#[test]
fn guide_for_c_does_as_it_says() {
    guide_does_as_it_says(Language::C);
}

#[test]
fn guide_for_zig_does_as_it_says() {
    guide_does_as_it_says(Language::Zig);
}

#[test]
fn guide_for_go_does_as_it_says() {
    guide_does_as_it_says(Language::Go);
}

#[test]
fn guide_for_javascript_does_as_it_says() {
    guide_does_as_it_says(Language::Js);
}

#[test]
fn guide_for_python_does_as_it_says() {
    guide_does_as_it_says(Language::Python);
}

#[test]
fn guide_for_cpp_does_as_it_says() {
    if !Language::Cpp.is_there() {
        return;
    }
    let programs = programs_of_guide(Language::Cpp);
    let [count] = programs.as_slice() else {
        panic!("{} programs", programs.len())
    };
    let server = Server::of(project::built_of_text(Language::Cpp, "guide", count)).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("tea"), "tea: 1");
    assert_eq!(peer.ask("coffee"), "coffee: 1");
    assert_eq!(peer.ask("tea"), "tea: 2");
}

#[test]
fn guide_for_typescript_does_as_it_says() {
    if !Language::Ts.is_there() {
        return;
    }
    let programs = programs_of_guide(Language::Ts);
    let [status] = programs.as_slice() else {
        panic!("{} programs", programs.len())
    };
    let server = Server::of(project::built_of_text(Language::Ts, "guide", status)).start();
    assert_eq!(server.open().ask("grüße"), "GRÜSSE");
    let seen = server.connect().request(&Request::get("/x"));
    assert!(String::from_utf8_lossy(&seen.body).starts_with(r#"{"path":"/x","connections":"#));
}
