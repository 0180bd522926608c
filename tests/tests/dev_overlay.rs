//! Build errors over the pages that `wsrun dev` serves, in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wsrun_tests::environment;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::{self, Server};

/// A new chat in Rust, served by `wsrun dev`. Each test has a name of its own for it: in the target folder that they share, Cargo takes
/// projects of one name for the same.
#[track_caller]
fn develop(folder: &Path, name: &str, arguments: &[&str]) -> (PathBuf, Server) {
    let mut new = Command::new(server::binary());
    new.current_dir(folder)
        .args(["new", name, "--lang", "rust", "--template", "chat"]);
    let made = server::run_command(&mut new, "", true);
    assert_eq!(made.code, Some(0), "{made:?}");
    let project = folder.join(name);
    let mut build = Command::new(server::binary());
    build
        .current_dir(&project)
        .arg("build")
        .env("CARGO_TARGET_DIR", server::kept_folder("projects"));
    let built = server::run_command_within(&mut build, "", true, Duration::from_secs(200));
    assert_eq!(built.code, Some(0), "{built:?}");
    let server = Server::without_handler()
        .arg("dev")
        .arg(&project)
        .args(["--trial-time", "100ms"])
        .args(arguments)
        .env("CARGO_TARGET_DIR", server::kept_folder("projects"))
        .start();
    (project, server)
}

fn url(server: &Server) -> String {
    let url = server.url(0).replacen("ws", "http", 1);
    format!("{}/", url.trim_end_matches('/'))
}

#[test]
fn error_is_seen_over_the_page_of_the_template_until_it_is_mended() {
    let folder = tempfile::tempdir().expect("a folder for the project");
    let (project, server) = develop(folder.path(), "overlaid", &[]);
    let mut pages = environment::node("overlay.mjs");
    pages
        .arg(url(&server))
        .arg(project.join("src/lib.rs"))
        .arg(server::kept_folder("screenshots"));
    environment::succeeds(pages);
}

#[test]
fn pages_of_the_examples_have_the_overlay_under_dev_and_are_as_they_are_elsewhere() {
    let folder = tempfile::tempdir().expect("a folder for the project");
    let pages = handlers::source("examples/page");
    let text = fs::read_to_string(pages.join("chat.html")).expect("the page is there");
    let arguments = ["--static", &pages.to_string_lossy()];
    let (_, server) = develop(folder.path(), "overlaid-static", &arguments);
    let script = "<script src=\"/.wsrun/overlay.js\"></script>";
    let mut peer = server.connect();
    let first = peer.request(&Request::get("/chat.html"));
    assert_eq!(first.text(), format!("{text}\n{script}\n"));
    // Whatever the browser has of it already.
    let again = Request::get("/chat.html")
        .with("Range", "bytes=0-9")
        .with("Accept-Encoding", "gzip")
        .with("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT");
    let again = peer.request(&again);
    assert_eq!((again.status, again.text()), (200, first.text()));
    let other = peer.request(&Request::get("/style.css"));
    assert!(!other.text().contains("overlay.js"), "{}", other.text());

    let server = Server::of(handlers::echo()).args(arguments).start();
    let page = server.connect().request(&Request::get("/chat.html"));
    assert_eq!(page.text(), text);
}
