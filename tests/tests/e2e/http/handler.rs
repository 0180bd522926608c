//! The `http` export: plain requests to the default handler, and files of the folder that it is granted.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;
use wsrun_tests::handlers;
use wsrun_tests::handshake::{Request, Response};
use wsrun_tests::server::{Builder, Server};

const OUTSIDE: &str = "planted-outside-51d7";

fn server() -> Builder {
    Server::of(handlers::built("http"))
}

fn post(target: &str, length: usize) -> Request {
    Request::method("POST", target).with("Content-Length", &length.to_string())
}

#[track_caller]
fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("the handler answers with JSON")
}

struct Granted {
    folder: tempfile::TempDir,
    server: Server,
}

fn granted() -> Granted {
    let folder = tempfile::tempdir().expect("a folder");
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("sub")).expect("the folder can be written");
    for (path, text) in [
        ("secret.txt", OUTSIDE),
        ("files/page.html", "<p>a page"),
        ("files/digits.txt", "0123456789"),
        ("files/sub/index.html", "sub"),
        ("files/a b.txt", "a name with a space"),
        ("files/%61.txt", "a name with a percent sign"),
        ("files/what?.txt", "a name with a question mark"),
    ] {
        fs::write(folder.path().join(path), text).expect("the folder can be written");
    }
    let server = server().arg("--files").arg(files).start();
    Granted { folder, server }
}

#[test]
fn seed_23_plain_request_goes_to_the_default_handler() {
    let server = server().start();
    let mut peer = server.connect();
    let body = "a body, with ümlauts";
    let request = post("/echo?a=1&b=%20", body.len())
        .with("X-Twice", "1")
        .with("X-Twice", "2")
        .with("Origin", "http://elsewhere.example");
    peer.send_bytes(&[request.encode(), body.as_bytes().to_vec()].concat());
    let response = peer.read_response();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let seen = json(&response);
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["path"], "/echo");
    assert_eq!(seen["query"], "a=1&b=%20");
    assert_eq!(seen["host"], "localhost");
    assert_eq!(seen["secure"], false);
    assert_eq!(seen["body"], body);
    assert_eq!(seen["local"], server.address().to_string());
    let twice = seen["headers"].as_array().expect("a list").iter();
    let twice: Vec<_> = twice.filter(|field| field[0] == "x-twice").collect();
    assert_eq!(twice.len(), 2, "{seen}");
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        let response = peer.request(&Request::method(method, "/echo"));
        assert_eq!(json(&response)["method"], method);
    }
    // The sockets are those of the same handler.
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("a socket"), "a socket");
}

#[test]
fn files_come_before_the_handler() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("hello"), "the file").expect("the folder can be written");
    let server = server().arg("--static").arg(folder.path()).start();
    assert_eq!(
        server.connect().request(&Request::get("/hello")).text(),
        "the file"
    );
    let response = server.connect().request(&post("/hello", 0));
    assert_eq!(response.text(), "hello\n");
    let seen = server.connect().request(&Request::get("/echo"));
    assert_eq!(json(&seen)["path"], "/echo");
    let response = server.connect().request(&Request::get("/neither"));
    assert_eq!((response.status, response.text()), (404, "not found\n"));
}

#[test]
fn seed_14_http_body_of_any_size_is_written() {
    let server = server().start();
    let mut peer = server.connect();
    for bytes in [0, 1, 65_536, 5_000_000] {
        let response = peer.request(&Request::get(&format!("/big/{bytes}")));
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-length"), Some(&*bytes.to_string()));
        assert_eq!(response.body.len(), bytes);
        assert!(response.body.iter().all(|byte| *byte == b'b'));
    }
    peer.send_bytes(&Request::method("HEAD", "/big/1000").encode());
    let head = peer.try_read_head().expect("there is an answer");
    assert_eq!(head.header("content-length"), Some("1000"));
    assert_eq!(peer.request(&Request::get("/hello")).text(), "hello\n");
}

#[test]
fn status_and_headers_are_what_may_be_sent() {
    let server = server().start();
    let mut peer = server.connect();
    for (status, sent) in [(200, 200), (201, 201), (204, 204), (302, 302), (404, 404)]
        .into_iter()
        .chain([
            (500, 500),
            (599, 599),
            (0, 500),
            (100, 500),
            (101, 500),
            (199, 500),
        ])
        .chain([(600, 500), (999, 500), (65_535, 500)])
    {
        peer.send_bytes(&Request::get(&format!("/status/{status}")).encode());
        let response = peer.try_read_response().expect("there is an answer");
        assert_eq!(response.status, sent, "{status}");
    }
    let response = peer.request(&Request::get("/header/x-mine/yes"));
    assert_eq!(response.header("x-mine"), Some("yes"));
    let response = peer.request(&Request::get("/header/content-type/text%2Fmine"));
    assert_eq!(response.header("content-type"), Some("text%2Fmine"));
    for name in [
        "connection",
        "Upgrade",
        "content-length",
        "transfer-encoding",
    ] {
        let response = peer.request(&Request::get(&format!("/header/{name}/7")));
        assert_eq!(response.text(), "with a header\n", "{name}");
        assert_ne!(response.header(name), Some("7"), "{name}");
    }
    assert_eq!(peer.request(&Request::get("/hello")).status, 200);
}

#[test]
fn failing_callback_is_a_500_and_nothing_else() {
    let server = server().start();
    let mut socket = server.open();
    let mut peer = server.connect();
    for target in ["/trap", "/loop", "/trap"] {
        let response = peer.request(&Request::get(target));
        assert_eq!(response.status, 500, "{target}");
        assert_eq!(
            response.text(),
            "500 internal server error: the handler failed\n"
        );
        // The HTTP connection goes on, and so do the sockets.
        assert_eq!(peer.request(&Request::get("/hello")).text(), "hello\n");
        assert_eq!(socket.ask("still there"), "still there");
    }
    server.expect_log("http.requested");
}

#[test]
fn body_over_the_limit_is_a_413_and_ends_the_connection() {
    let server = server().args(["--max-request-body", "1000"]).start();
    let mut peer = server.connect();
    let exact = [post("/echo", 1000).encode(), vec![b'x'; 1000]].concat();
    peer.send_bytes(&exact);
    assert_eq!(json(&peer.read_response())["bytes"], 1000);
    // Told by its length, before any of it is read.
    peer.send_bytes(&post("/echo", 1001).encode());
    let response = peer.read_response();
    assert_eq!(response.status, 413, "{response:?}");
    assert_eq!(response.header("connection"), Some("close"));
    peer.expect_end();
    // Found out while it comes.
    let mut peer = server.connect();
    let request = Request::method("POST", "/echo").with("Transfer-Encoding", "chunked");
    peer.send_bytes(&request.encode());
    peer.send_bytes(format!("3e8\r\n{}\r\n", "x".repeat(1000)).as_bytes());
    peer.send_bytes(b"1\r\nx\r\n");
    assert_eq!(peer.read_response().status, 413);
    peer.read_to_end();
    // A request that is answered with a file is none of the handler's.
    let mut peer = server.connect();
    peer.send_bytes(&post("/echo", 1 << 40).encode());
    assert_eq!(peer.read_response().status, 413);
    peer.read_to_end();
}

#[test]
fn client_that_waits_to_be_told_to_go_on_is_told() {
    let server = server().args(["--max-request-body", "1000"]).start();
    let mut peer = server.connect();
    peer.send_bytes(&post("/echo", 4).with("Expect", "100-continue").encode());
    assert_eq!(peer.try_read_head().expect("it is told").status, 100);
    peer.send_bytes(b"body");
    assert_eq!(json(&peer.read_response())["body"], "body");
    // What will not be taken is refused before it is sent.
    peer.send_bytes(&post("/echo", 4000).with("Expect", "100-continue").encode());
    assert_eq!(peer.read_response().status, 413);
    peer.read_to_end();
}

#[test]
fn body_that_does_not_come_is_given_up() {
    let server = server().args(["--handshake-timeout", "500ms"]).start();
    let mut peer = server.connect();
    peer.send_bytes(&post("/echo", 10).encode());
    peer.send_bytes(b"half");
    let response = peer.read_response();
    assert_eq!(response.status, 408, "{response:?}");
    peer.read_to_end();
    let mut peer = server.connect();
    peer.send_bytes(
        &Request::method("POST", "/echo")
            .with("Transfer-Encoding", "chunked")
            .encode(),
    );
    peer.send_bytes(b"nonsense\r\n");
    assert_eq!(peer.read_response().status, 400);
    peer.read_to_end();
}

#[test]
fn body_that_drips_is_given_up_when_its_time_is_over() {
    let server = server()
        .args(["--message-timeout", "1s", "--handshake-timeout", "10s"])
        .start();
    let mut peer = server.connect();
    peer.send_bytes(&post("/echo", 100_000).encode());
    let mut drips = 0;
    while drips < 1_000 && peer.try_send_bytes(b"x").is_ok() {
        drips += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(drips < 1_000, "the server went on reading");
}

#[test]
fn seed_15_file_of_the_granted_folder_is_served_as_files_are() {
    let Granted {
        folder: _folder,
        server,
    } = granted();
    let mut peer = server.connect();
    let whole = peer.request(&Request::get("/file/digits.txt"));
    assert_eq!((whole.status, whole.text()), (200, "0123456789"));
    assert_eq!(whole.header("content-type"), Some("text/plain"));
    let tag = whole.header("etag").expect("a file has a tag");
    let part = peer.request(&Request::get("/file/digits.txt").with("Range", "bytes=2-4"));
    assert_eq!((part.status, part.text()), (206, "234"));
    let beyond = peer.request(&Request::get("/file/digits.txt").with("Range", "bytes=99-"));
    assert_eq!(beyond.status, 416);
    peer.send_bytes(
        &Request::get("/file/digits.txt")
            .with("If-None-Match", tag)
            .encode(),
    );
    assert_eq!(
        peer.try_read_head().expect("there is an answer").status,
        304
    );
    peer.send_bytes(&Request::method("HEAD", "/file/digits.txt").encode());
    let head = peer.try_read_head().expect("there is an answer");
    assert_eq!(head.header("content-length"), Some("10"));
    // Conditions are for those who read.
    let posted = post("/file/digits.txt", 0)
        .with("If-None-Match", tag)
        .with("Range", "bytes=2-4");
    let response = peer.request(&posted);
    assert_eq!((response.status, response.text()), (200, "0123456789"));
    for (query, text) in [
        ("page.html", "<p>a page"),
        ("a%20b.txt", "a name with a space"),
        ("%2561.txt", "a name with a percent sign"),
        ("what%3f.txt", "a name with a question mark"),
        ("sub%2findex.html", "sub"),
    ] {
        let response = peer.request(&Request::get(&format!("/file?path={query}")));
        assert_eq!((response.status, response.text()), (200, text), "{query}");
    }
    // The path is what stands there: nothing is decoded.
    assert_eq!(
        peer.request(&Request::get("/file/%61.txt")).text(),
        "a name with a percent sign"
    );
}

#[test]
fn no_path_of_a_handler_leads_out_of_the_granted_folder() {
    let Granted { folder, server } = granted();
    let files = folder.path().join("files");
    symlink("../secret.txt", files.join("out.txt")).expect("the folder can be written");
    symlink("/etc", files.join("etc")).expect("the folder can be written");
    let absolute = folder.path().join("secret.txt").display().to_string();
    let mut peer = server.connect();
    for path in [
        "..%2fsecret.txt",
        "sub%2f..%2f..%2fsecret.txt",
        "%252e%252e%252fsecret.txt",
        "%2fetc%2fpasswd",
        "%2f%2fetc%2fpasswd",
        "etc%2fpasswd",
        "out.txt",
        "%00",
        "digits.txt%00",
        "..%00%2fsecret.txt",
        "..%5csecret.txt",
        "",
        ".",
        "..",
        "%2f",
        "sub",
        "sub%2f",
        "digits.txt%2f",
        "missing.txt",
        &absolute.replace('/', "%2f"),
        &"x".repeat(5_000),
        &"..%2f".repeat(2_000),
    ] {
        let response = peer.request(&Request::get(&format!("/file?path={path}")));
        assert_eq!(response.status, 404, "{path}: {response:?}");
        assert_eq!(response.text(), "404 not found\n", "{path}");
    }
    for path in ["../secret.txt", "%2e%2e/secret.txt", "/etc/passwd"] {
        let response = peer.request(&Request::get(&format!("/file/{path}")));
        assert_eq!(response.status, 404, "{path}: {response:?}");
    }
}

#[test]
fn file_without_a_grant_is_a_404_and_the_log_says_why() {
    let server = server().start();
    let mut peer = server.connect();
    for _ in 0..3 {
        let response = peer.request(&Request::get("/file/digits.txt"));
        assert_eq!((response.status, response.text()), (404, "404 not found\n"));
    }
    server.expect_log("--files DIR");
    assert_eq!(server.log().matches("--files DIR").count(), 1);
}

#[test]
fn granted_folder_that_is_not_there_is_refused_at_start() {
    let ended = wsrun_tests::server::run([
        handlers::built("http").as_os_str(),
        "--files".as_ref(),
        "/nowhere/at/all".as_ref(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("--files /nowhere/at/all"),
        "{ended:?}"
    );
}
