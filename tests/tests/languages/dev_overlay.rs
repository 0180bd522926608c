//! Build errors over the pages that `wsrun dev` serves, in a real browser.

use std::fs;

use wsrun_tests::development::Development;
use wsrun_tests::environment;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::{self, Server};

fn url(server: &Server) -> String {
    let url = server.url(0).replacen("ws", "http", 1);
    format!("{}/", url.trim_end_matches('/'))
}

#[test]
fn error_is_seen_over_the_page_of_the_template_until_it_is_mended() {
    let project = Development::start("overlaid", "chat", &[]);
    let mut pages = environment::node("overlay.mjs");
    pages
        .arg(url(&project.server))
        .arg(project.source())
        .arg(server::kept_folder("screenshots"));
    environment::succeeds(pages);
}

#[test]
fn pages_of_the_examples_have_the_overlay_under_dev_and_are_as_they_are_elsewhere() {
    let pages = handlers::source("examples/page");
    let text = fs::read_to_string(pages.join("chat.html")).expect("the page is there");
    let arguments = ["--static", &pages.to_string_lossy()];
    let project = Development::start("overlaid-static", "chat", &arguments);
    let script = "<script src=\"/.wsrun/overlay.js\"></script>";
    let mut peer = project.server.connect();
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
