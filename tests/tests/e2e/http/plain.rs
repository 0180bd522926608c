//! Plain HTTP: files, and small clear answers to everything else.

use std::fs;

use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::Server;

fn served() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().join("site");
    fs::create_dir_all(site.join("sub")).expect("the folder can be written");
    fs::write(folder.path().join("secret.txt"), "secret").expect("the folder can be written");
    fs::write(
        site.join("index.html"),
        "<!doctype html><title>home</title>",
    )
    .expect("the folder can be written");
    fs::write(
        site.join("sub/index.html"),
        "<!doctype html><title>sub</title>",
    )
    .expect("the folder can be written");
    fs::write(site.join("style.css"), "body {}").expect("the folder can be written");
    fs::write(site.join("a file.js"), "1").expect("the folder can be written");
    std::os::unix::fs::symlink("../secret.txt", site.join("link.txt"))
        .expect("the folder can be written");
    let server = Server::of(handlers::echo())
        .arg("--static")
        .arg(&site)
        .start();
    (folder, server)
}

#[test]
fn server_serves_files_with_their_types() {
    let (_folder, server) = served();
    for (path, kind, body) in [
        ("/", "text/html", "<!doctype html><title>home</title>"),
        (
            "/index.html",
            "text/html",
            "<!doctype html><title>home</title>",
        ),
        ("/sub/", "text/html", "<!doctype html><title>sub</title>"),
        ("/style.css", "text/css", "body {}"),
        ("/a%20file.js?version=1", "text/javascript", "1"),
    ] {
        let response = server.connect().request(&Request::get(path));
        assert_eq!((response.status, response.text()), (200, body), "{path}");
        assert!(
            response
                .header("content-type")
                .is_some_and(|value| value.starts_with(kind)),
            "{path}: {response:?}"
        );
    }
    let mut peer = server.connect();
    peer.send_bytes(
        &Request::method("HEAD", "/style.css")
            .with("Connection", "close")
            .encode(),
    );
    let head = String::from_utf8(peer.read_to_end())
        .expect("a head is text")
        .to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 200")
            && head.contains("content-length: 7")
            && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[test]
fn server_serves_nothing_outside_the_folder() {
    let (_folder, server) = served();
    for path in [
        "/../secret.txt",
        "/sub/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/..\\secret.txt",
        "/%00",
        "/missing",
    ] {
        let response = server.connect().request(&Request::get(path));
        assert!(
            [400, 404].contains(&response.status),
            "{path}: {response:?}"
        );
        assert!(!response.body.is_empty(), "{path}: {response:?}");
    }
    let response = server
        .connect()
        .request(&Request::method("POST", "/").with("Content-Length", "0"));
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[test]
fn server_answers_several_requests_on_one_connection_and_then_an_upgrade() {
    let (_folder, server) = served();
    let mut peer = server.connect();
    assert_eq!(peer.request(&Request::get("/")).status, 200);
    assert_eq!(peer.request(&Request::get("/missing")).status, 404);
    assert_eq!(peer.request(&Request::get("/style.css")).text(), "body {}");
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("upgraded"), "upgraded");
}

#[test]
fn server_serves_parts_and_saves_what_the_client_has() {
    let (_folder, server) = served();
    let response = server
        .connect()
        .request(&Request::get("/style.css").with("Range", "bytes=0-3"));
    assert_eq!((response.status, response.text()), (206, "body"));
    let modified = server.connect().request(&Request::get("/style.css"));
    let modified = modified.header("last-modified").expect("files have a date");
    let mut peer = server.connect();
    peer.send_bytes(
        &Request::get("/style.css")
            .with("If-Modified-Since", modified)
            .with("Connection", "close")
            .encode(),
    );
    assert!(String::from_utf8_lossy(&peer.read_to_end()).starts_with("HTTP/1.1 304"));
}

#[test]
fn plain_request_gets_a_small_clear_answer() {
    let server = Server::of(handlers::echo()).start();
    let response = server.connect().request(&Request::get("/"));
    assert_eq!(response.status, 426, "{response:?}");
    assert_eq!(
        response
            .header("upgrade")
            .map(str::to_ascii_lowercase)
            .as_deref(),
        Some("websocket")
    );
    assert!(
        response.text().to_lowercase().contains("websocket") && response.body.len() < 500,
        "{response:?}"
    );
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let response = server
            .connect()
            .request(&Request::method(method, "/").with("Content-Length", "0"));
        assert!(
            [405, 426].contains(&response.status),
            "{method}: {response:?}"
        );
        assert!(response.body.len() < 500, "{response:?}");
    }
}

#[test]
fn folder_that_is_not_there_is_refused_at_start() {
    let ended = wsrun_tests::server::run([
        handlers::echo().as_os_str(),
        "--static".as_ref(),
        "/nowhere/at/all".as_ref(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("/nowhere/at/all"), "{ended:?}");
}

#[test]
fn server_ignores_upgrades_to_other_protocols() {
    let (_folder, server) = served();
    let mut peer = server.connect();
    // What `curl --http2` sends.
    let response = peer.request(
        &Request::get("/style.css")
            .with("Connection", "Upgrade, HTTP2-Settings")
            .with("Upgrade", "h2c")
            .with("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    );
    assert_eq!((response.status, response.text()), (200, "body {}"));
    let response = server.connect().request(
        &Request::get("/style.css")
            .with("Connection", "Upgrade")
            .with("Upgrade", "WebSocket"),
    );
    assert_ne!(response.status, 200, "{response:?}");
}

#[test]
fn client_that_ends_its_side_behind_its_request_gets_the_answer() {
    let (_folder, server) = served();
    let mut peer = server.connect();
    peer.send_bytes(&Request::get("/style.css").encode());
    peer.finish_writing();
    let response = peer.read_response();
    assert_eq!((response.status, response.text()), (200, "body {}"));
    peer.expect_end();
}
