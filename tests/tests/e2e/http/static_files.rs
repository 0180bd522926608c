//! Files of `--static`: what HTTP promises about them, and that nothing leads out of the folder.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use wsrun_tests::handlers;
use wsrun_tests::handshake::{Request, Response};
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;

/// Stands in every file that lies outside of the folder.
const OUTSIDE: &str = "planted-outside-9f1c";

const DIGITS: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

struct Site {
    folder: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = folder.path().join("site");
        fs::create_dir_all(site.join("sub/deep")).expect("the folder can be written");
        for (path, text) in [
            ("secret.txt", OUTSIDE),
            ("site/index.html", "<!doctype html><title>home</title>"),
            ("site/digits.txt", DIGITS),
            ("site/empty.txt", ""),
            ("site/data.json", "{}"),
            ("site/picture.svg", "<svg/>"),
            ("site/module.wasm", "\0asm"),
            ("site/.hidden", "hidden"),
            ("site/%2e%2e", "a name with signs"),
            ("site/sub/index.html", "sub"),
        ] {
            fs::write(folder.path().join(path), text).expect("the folder can be written");
        }
        let server = Server::of(handlers::echo())
            .arg("--static")
            .arg(&site)
            .start();
        Self { folder, server }
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.folder.path().join("site").join(path)
    }

    #[track_caller]
    fn ask(&self, request: &Request) -> Response {
        self.server.connect().request(request)
    }

    #[track_caller]
    fn get(&self, target: &str) -> Response {
        self.ask(&Request::get(target))
    }

    /// Everything that comes back for these bytes.
    #[track_caller]
    fn raw(&self, wire: &[u8]) -> Vec<u8> {
        let mut peer = self.server.connect();
        // A head that is too large is refused before all of it is sent.
        let _ = peer.try_send_bytes(wire);
        peer.finish_writing();
        peer.read_to_end()
    }
}

/// A response without its body, as HEAD gets it.
#[track_caller]
fn head(peer: &mut Peer, request: &Request) -> Response {
    peer.send_bytes(&request.encode());
    peer.try_read_head().expect("there is an answer")
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(text.as_bytes())
        .expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

#[test]
fn seed_15_file_is_served_with_its_type_its_parts_and_its_validators() {
    let site = Site::new();
    for (path, kind) in [
        ("/", "text/html"),
        ("/digits.txt", "text/plain"),
        ("/data.json", "application/json"),
        ("/picture.svg", "image/svg+xml"),
        ("/module.wasm", "application/wasm"),
        ("/.hidden", "application/octet-stream"),
    ] {
        let response = site.get(path);
        assert_eq!(response.status, 200, "{path}");
        let found = response.header("content-type").unwrap_or_default();
        assert!(found.starts_with(kind), "{path}: {found}");
        assert_eq!(response.header("accept-ranges"), Some("bytes"), "{path}");
    }
    let whole = site.get("/digits.txt");
    let tag = whole.header("etag").expect("a file has a tag").to_owned();
    assert!(tag.starts_with('"'), "{tag} is strong");
    let part = site.ask(&Request::get("/digits.txt").with("Range", "bytes=10-12"));
    assert_eq!((part.status, part.text()), (206, "abc"));
    assert_eq!(part.header("content-range"), Some("bytes 10-12/36"));
    assert_eq!(part.header("etag"), Some(tag.as_str()));
    let unchanged = site.ask(&Request::get("/digits.txt").with("If-None-Match", &tag));
    assert_eq!(unchanged.status, 304);
    fs::write(site.path("digits.txt"), "changed").expect("the folder can be written");
    let changed = site.ask(&Request::get("/digits.txt").with("If-None-Match", &tag));
    assert_eq!((changed.status, changed.text()), (200, "changed"));
}

#[test]
fn server_serves_the_ranges_that_a_file_has() {
    let site = Site::new();
    for (range, status, body) in [
        ("bytes=0-0", 206, "0"),
        ("bytes=33-", 206, "xyz"),
        ("bytes=-3", 206, "xyz"),
        ("bytes=-99999", 206, DIGITS),
        ("bytes=30-99999999999", 206, "uvwxyz"),
        ("bytes=0-18446744073709551615", 206, DIGITS),
        ("bytes=30-99999999999999999999999999", 206, "uvwxyz"),
        ("BYTES=0-0", 206, "0"),
        // More than one range may be answered with the whole file, and overlapping ones should be.
        ("bytes=0-1,3-4", 200, DIGITS),
        ("bytes=0-,0-,0-,0-,0-,0-,0-,0-", 200, DIGITS),
        // A unit that is not understood is ignored.
        ("items=0-1", 200, DIGITS),
        ("pages", 200, DIGITS),
    ] {
        let response = site.ask(&Request::get("/digits.txt").with("Range", range));
        assert_eq!(
            (response.status, response.text()),
            (status, body),
            "{range}: {response:?}"
        );
    }
    for range in [
        "bytes=36-",
        "bytes=99999-",
        "bytes=18446744073709551615-",
        "bytes=99999999999999999999999999-",
        "bytes=-0",
        "bytes=5-2",
        "bytes=--5",
        "bytes=-5-",
        "bytes=-1--1",
        "bytes=a-b",
        "bytes=",
    ] {
        let response = site.ask(&Request::get("/digits.txt").with("Range", range));
        assert_eq!(response.status, 416, "{range}: {response:?}");
        assert_eq!(response.header("content-range"), Some("bytes */36"));
        assert!(!contains(&response.body, "0123"), "{range}: {response:?}");
    }
    let many = (0..3_000).fold("bytes=0-".to_owned(), |ranges, _| ranges + ",0-");
    let response = site.ask(&Request::get("/digits.txt").with("Range", &many));
    assert_eq!(response.text(), DIGITS, "asked for 3,001 times");
    for (range, status) in [("bytes=0-", 200), ("bytes=0-0", 200), ("bytes=1-", 416)] {
        let response = site.ask(&Request::get("/empty.txt").with("Range", range));
        assert_eq!((response.status, response.text()), (status, ""), "{range}");
    }
}

#[test]
fn server_obeys_conditions() {
    let site = Site::new();
    let whole = site.get("/digits.txt");
    let tag = whole.header("etag").expect("a file has a tag");
    let date = whole.header("last-modified").expect("a file has a date");
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {tag}");
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (fields, status) in [
        (vec![("If-None-Match", tag)], 304),
        (vec![("If-None-Match", &*weak)], 304),
        (vec![("If-None-Match", &*list)], 304),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-None-Match", "\"other\"")], 200),
        (vec![("If-Modified-Since", date)], 304),
        (vec![("If-Modified-Since", old)], 200),
        (vec![("If-Modified-Since", "no date")], 200),
        // RFC 9110, 13.1.3: If-None-Match decides alone.
        (
            vec![("If-None-Match", "\"other\""), ("If-Modified-Since", date)],
            200,
        ),
        (vec![("If-Match", tag)], 200),
        (vec![("If-Match", "\"other\"")], 412),
        (vec![("If-Unmodified-Since", old)], 412),
        (vec![("If-Range", tag), ("Range", "bytes=0-1")], 206),
        (vec![("If-Range", date), ("Range", "bytes=0-1")], 206),
        (vec![("If-Range", &*weak), ("Range", "bytes=0-1")], 200),
        (vec![("If-Range", "\"other\""), ("Range", "bytes=0-1")], 200),
        (vec![("If-Range", old), ("Range", "bytes=0-1")], 200),
        (vec![("If-Range", "\"other\""), ("Range", "bytes=99-")], 200),
        (vec![("If-Range", tag), ("Range", "bytes=99-")], 416),
    ] {
        let request = fields
            .iter()
            .fold(Request::get("/digits.txt"), |request, (name, value)| {
                request.with(name, value)
            });
        let mut peer = site.server.connect();
        let response = head(&mut peer, &request);
        assert_eq!(response.status, status, "{fields:?}: {response:?}");
        if status == 304 {
            assert_eq!(response.header("etag"), Some(tag), "{fields:?}");
            assert_eq!(response.header("vary"), Some("accept-encoding"));
        }
    }
}

#[test]
fn head_gets_the_fields_of_get_and_no_body() {
    let site = Site::new();
    let whole = site.get("/digits.txt");
    let mut peer = site.server.connect();
    for request in [
        Request::method("HEAD", "/digits.txt"),
        // RFC 9110, 14.2: ranges are for GET alone.
        Request::method("HEAD", "/digits.txt").with("Range", "bytes=0-1"),
        Request::method("HEAD", "/digits.txt").with("Range", "bytes=99-"),
    ] {
        let response = head(&mut peer, &request);
        assert_eq!(response.status, 200, "{response:?}");
        for field in ["content-length", "content-type", "etag", "last-modified"] {
            assert_eq!(response.header(field), whole.header(field), "{field}");
        }
    }
    let missing = head(&mut peer, &Request::method("HEAD", "/missing"));
    assert_eq!(missing.status, 404);
    // No byte of a body is between the answers.
    assert_eq!(peer.request(&Request::get("/digits.txt")).text(), DIGITS);
}

#[test]
fn compressed_sibling_is_served_to_those_who_take_it() {
    let site = Site::new();
    let gzip = compressed(DIGITS);
    fs::write(site.path("digits.txt.gz"), &gzip).expect("the folder can be written");
    fs::write(site.path("digits.txt.br"), "brotli").expect("the folder can be written");
    fs::write(site.path("digits.txt.zst"), "zstandard").expect("the folder can be written");
    let plain = DIGITS.as_bytes();
    for (accepted, encoding, body) in [
        (None, None, plain),
        (Some("identity"), None, plain),
        (Some("gzip"), Some("gzip"), &*gzip),
        (Some("br"), Some("br"), b"brotli"),
        (Some("zstd"), Some("zstd"), b"zstandard"),
        (Some("gzip;q=0.9, br;q=0.3"), Some("gzip"), &*gzip),
        (Some("gzip;q=0.3, br;q=0.9"), Some("br"), b"brotli"),
        (Some("gzip;q=0"), None, plain),
        (Some("gzip;q=0, br;q=0, zstd;q=0"), None, plain),
        (Some("gzip;q=nonsense"), None, plain),
        (Some("compress, lzma"), None, plain),
    ] {
        let request = Request::get("/digits.txt");
        let request = match accepted {
            Some(accepted) => request.with("Accept-Encoding", accepted),
            None => request,
        };
        let response = site.ask(&request);
        assert_eq!(response.status, 200, "{accepted:?}");
        assert_eq!(
            response.header("content-encoding"),
            encoding,
            "{accepted:?}"
        );
        assert_eq!(response.body, body, "{accepted:?}");
        assert_eq!(response.header("vary"), Some("accept-encoding"));
        // The type is that of what is inside.
        assert_eq!(response.header("content-type"), Some("text/plain"));
    }
    let request = Request::get("/digits.txt").with("Accept-Encoding", "br");
    let part = site.ask(&request.clone().with("Range", "bytes=0-2"));
    assert_eq!((part.status, part.text()), (206, "bro"));
    assert_eq!(part.header("content-encoding"), Some("br"));
    let tag = site.ask(&request).header("etag").map(str::to_owned);
    assert_ne!(tag.as_deref(), site.get("/digits.txt").header("etag"));
}

#[test]
fn sibling_that_leads_out_or_is_no_file_is_not_served() {
    let site = Site::new();
    symlink("../secret.txt", site.path("digits.txt.gz")).expect("the folder can be written");
    fs::create_dir(site.path("digits.txt.br")).expect("the folder can be written");
    let request = Request::get("/digits.txt").with("Accept-Encoding", "gzip, br");
    let response = site.ask(&request);
    assert_eq!((response.status, response.text()), (200, DIGITS));
    assert_eq!(response.header("content-encoding"), None);
    let mut peer = site.server.connect();
    let request = Request::method("HEAD", "/digits.txt").with("Accept-Encoding", "gzip, br");
    let response = head(&mut peer, &request);
    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.header("content-length"), Some("36"));
}

#[test]
fn folder_is_redirected_to_its_slash_on_this_host() {
    let site = Site::new();
    let response = site.get("/sub?a=1");
    assert_eq!(response.status, 307, "{response:?}");
    assert_eq!(response.header("location"), Some("/sub/?a=1"));
    let response = site.get("//sub");
    assert_eq!(response.header("location"), Some("/sub/"), "{response:?}");
    assert_eq!(site.get("/sub/").text(), "sub");
    assert_eq!(site.get("/sub/deep/").status, 404);
    assert_eq!(site.get("/digits.txt/").status, 404);
}

#[test]
fn links_within_the_folder_work_and_those_out_of_it_do_not() {
    let site = Site::new();
    let outside = site.folder.path().join("outside");
    fs::create_dir(&outside).expect("the folder can be written");
    fs::write(outside.join("file.txt"), OUTSIDE).expect("the folder can be written");
    let secret = site.folder.path().join("secret.txt");
    let link = |to: &Path, name: &str| {
        symlink(to, site.path(name)).expect("the folder can be written");
    };
    link(Path::new("digits.txt"), "inside.txt");
    link(Path::new("sub"), "inside");
    link(Path::new("../digits.txt"), "sub/up.txt");
    link(Path::new("../secret.txt"), "out.txt");
    link(&secret, "absolute.txt");
    link(&outside, "out");
    link(Path::new("out"), "twice");
    link(Path::new("../../site/../secret.txt"), "sub/round.txt");
    link(Path::new("loop-b"), "loop-a");
    link(Path::new("loop-a"), "loop-b");
    link(Path::new("/dev/zero"), "zero");
    link(Path::new("/proc/self/environ"), "environ");
    link(Path::new("/proc/self/root/etc/passwd"), "root");
    for path in ["/inside.txt", "/sub/up.txt"] {
        let response = site.get(path);
        assert_eq!((response.status, response.text()), (200, DIGITS), "{path}");
    }
    assert_eq!(site.get("/inside/").text(), "sub");
    for path in [
        "/out.txt",
        "/absolute.txt",
        "/out/file.txt",
        "/out/",
        "/out",
        "/twice/file.txt",
        "/sub/round.txt",
        "/loop-a",
        "/loop-b/x",
        "/zero",
        "/environ",
        "/root",
    ] {
        let response = site.get(path);
        assert_eq!(response.status, 404, "{path}: {response:?}");
        assert!(!contains(&response.body, OUTSIDE), "{path}");
    }
}

#[test]
fn what_is_no_file_is_not_served_and_holds_nobody() {
    let site = Site::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        site.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .expect("a pipe can be made");
    let _listener = UnixListener::bind(site.path("socket")).expect("a socket can be made");
    fs::create_dir(site.path("folder.txt")).expect("the folder can be written");
    for path in ["/pipe", "/socket", "/folder.txt/"] {
        let response = site.get(path);
        assert_eq!(response.status, 404, "{path}: {response:?}");
    }
    // More of them than the blocking pool has threads.
    let waiting: Vec<Peer> = (0..600)
        .map(|_| {
            let mut peer = site.server.connect();
            peer.send_bytes(&Request::get("/pipe").encode());
            peer
        })
        .collect();
    assert_eq!(site.get("/digits.txt").text(), DIGITS);
    for mut peer in waiting {
        assert_eq!(peer.read_response().status, 404);
    }
}

#[test]
fn replaced_folder_does_not_change_what_is_served() {
    let site = Site::new();
    let elsewhere = site.folder.path().join("moved");
    fs::rename(site.folder.path().join("site"), &elsewhere).expect("a folder can be renamed");
    symlink("/etc", site.folder.path().join("site")).expect("the folder can be written");
    assert_eq!(site.get("/passwd").status, 404);
    assert_eq!(site.get("/digits.txt").text(), DIGITS);
}

/// Targets that mean to lead out.
fn hostile_targets(site: &Site) -> Vec<String> {
    let outside = site.folder.path().display().to_string();
    let mut targets: Vec<String> = [
        "/../secret.txt",
        "/../../../../../../etc/passwd",
        "/sub/../../secret.txt",
        "/sub/deep/../../../secret.txt",
        "/./../secret.txt",
        "/.../secret.txt",
        "/....//secret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%2fsecret.txt",
        "/.%2e/secret.txt",
        "/%2E%2E/secret.txt",
        "/sub%2f..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/%5c..%5csecret.txt",
        "/..%255csecret.txt",
        "/%252e%252e/secret.txt",
        "/%252e%252e%252fsecret.txt",
        "/%25252e%25252e%25252fsecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%c0%ae%c0%ae%c0%afsecret.txt",
        "/%e0%80%ae%e0%80%ae/secret.txt",
        "/%f0%80%80%ae%f0%80%80%ae/secret.txt",
        "/..%c0%afsecret.txt",
        "/..%c1%9csecret.txt",
        "/%uff0e%uff0e/secret.txt",
        "/\u{ff0e}\u{ff0e}/secret.txt",
        "/%ef%bc%8e%ef%bc%8e/secret.txt",
        "/..;/secret.txt",
        "/..%00/secret.txt",
        "/..%0d%0a/secret.txt",
        "/%00",
        "/%00../secret.txt",
        "/digits.txt%00.html",
        "/../secret.txt%00.html",
        "/%2e%2e%00/secret.txt",
        "//etc/passwd",
        "///etc/passwd",
        "//../secret.txt",
        "/%2fetc/passwd",
        "/%2f%2fetc%2fpasswd",
        "/sub//..//..//secret.txt",
        "/file:///etc/passwd",
        "/C:/secret.txt",
        "/c:%5csecret.txt",
        "/%",
        "/%2",
        "/%zz",
        "/%ff",
        "/~root/",
        "/proc/self/environ",
        "/?../secret.txt",
        "/digits.txt?/../../secret.txt",
        "/sub/?x=../../secret.txt",
        "/index.html#/../secret.txt",
        "http://localhost/../secret.txt",
        "http://localhost/%2e%2e/secret.txt",
        "http://localhost//etc/passwd",
        "http://localhost/..%2fsecret.txt",
        "http://elsewhere/../secret.txt",
        "http://localhost@elsewhere/../secret.txt",
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "../secret.txt",
        "secret.txt",
        "*",
        "localhost:80",
    ]
    .map(str::to_owned)
    .into();
    targets.push(format!("{outside}/secret.txt"));
    targets.push(format!("/{outside}/secret.txt"));
    targets.push(format!("/..{outside}/secret.txt"));
    targets.push(format!("/{}", "x".repeat(300)));
    targets.push(format!("/{}/secret.txt", "x".repeat(10_000)));
    targets.push(format!("/{}secret.txt", "../".repeat(5_000)));
    targets.push(format!("/{}secret.txt", "sub/../".repeat(2_000)));
    targets.push(format!("/{}secret.txt", "./".repeat(7_000)));
    targets.push(format!("/{}secret.txt", "%2e%2e/".repeat(2_000)));
    targets
}

#[test]
fn no_request_gets_a_byte_from_outside_of_the_folder() {
    let site = Site::new();
    for target in hostile_targets(&site) {
        for method in ["GET", "HEAD", "POST"] {
            let wire = format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            );
            let answer = site.raw(wire.as_bytes());
            let shown: String = target.chars().take(80).collect();
            for planted in [OUTSIDE, "root:", "PATH="] {
                assert!(
                    !contains(&answer, planted),
                    "{method} {shown}: {}",
                    String::from_utf8_lossy(&answer)
                );
            }
            let line = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
            assert!(
                line.starts_with("HTTP/1.1 2")
                    || line.starts_with("HTTP/1.1 3")
                    || line.starts_with("HTTP/1.1 4"),
                "{method} {shown}: {line:?}"
            );
        }
    }
    // A name that looks like an encoding is a name.
    assert_eq!(site.get("/%252e%252e").text(), "a name with signs");
    assert_eq!(site.get("/digits.txt").text(), DIGITS);
}

#[test]
fn hundred_thousand_dot_segments_lead_nowhere() {
    let site = Site::new();
    let folder = site.path("");
    let server = Server::of(handlers::echo())
        .arg("--static")
        .arg(folder)
        .args(["--max-header-bytes", "1MiB"])
        .start();
    for segment in ["../", "./", "sub/../", "%2e%2e/", "..%2f"] {
        let target = format!("/{}secret.txt", segment.repeat(100_000));
        let mut peer = server.connect();
        let wire = Request::get(&target).with("Connection", "close").encode();
        let _ = peer.try_send_bytes(&wire);
        let answer = peer.read_to_end();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{segment}");
        assert!(!contains(&answer, OUTSIDE), "{segment}");
    }
}

#[test]
fn requests_that_are_no_requests_for_a_file_are_refused() {
    let site = Site::new();
    for wire in [
        "GET /digits.txt HTTP/1.1\r\n\r\n",
        "GET /digits.txt HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /digits.txt HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET http://elsewhere/digits.txt HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = site.raw(wire.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 400"), "{wire:?}");
    }
    // HTTP/1.0 has no Host.
    let answer = site.raw(b"GET /digits.txt HTTP/1.0\r\n\r\n");
    assert!(
        answer.starts_with(b"HTTP/1.0 200"),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
    assert!(contains(&answer, DIGITS));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let response =
            site.ask(&Request::method(method, "/digits.txt").with("Content-Length", "0"));
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("allow"), Some("GET, HEAD"), "{method}");
    }
}
