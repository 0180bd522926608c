//! Upgrades that are bent or smuggled, lists that are malformed, pages of other origins.

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::{KEY, Request};
use wsrun_tests::server::Server;

/// Requests that must not open a WebSocket, what may answer them, and whose transport must end.
#[test]
fn server_refuses_each_bent_upgrade_and_interprets_nothing_after_it() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let upgrade = || Request::upgrade("/");
    let raw = |text: &str| text.as_bytes().to_vec();
    let upgrade_text = format!(
        "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    let corpus: Vec<(&str, Vec<u8>, &[u16])> = vec![
        // RFC 6455, 4.2.1 and 4.2.2.
        (
            "POST",
            upgrade()
                .line("POST / HTTP/1.1")
                .with("Content-Length", "0")
                .encode(),
            &[405],
        ),
        ("HEAD", upgrade().line("HEAD / HTTP/1.1").encode(), &[405]),
        ("PUT", upgrade().line("PUT / HTTP/1.1").encode(), &[405]),
        (
            "a method in lower case",
            upgrade().line("get / HTTP/1.1").encode(),
            &[400, 405],
        ),
        (
            "HTTP/1.0",
            upgrade().line("GET / HTTP/1.0").encode(),
            &[400, 426, 505],
        ),
        ("no Host", upgrade().without("Host").encode(), &[400]),
        (
            "two Hosts",
            upgrade().with("Host", "other").encode(),
            &[400],
        ),
        (
            "no version",
            upgrade().without("Sec-WebSocket-Version").encode(),
            &[400, 426],
        ),
        (
            "version 12",
            upgrade().set("Sec-WebSocket-Version", "12").encode(),
            &[426],
        ),
        (
            "version 8",
            upgrade().set("Sec-WebSocket-Version", "8").encode(),
            &[426],
        ),
        (
            "version 14",
            upgrade().set("Sec-WebSocket-Version", "14").encode(),
            &[426],
        ),
        (
            "version +13",
            upgrade().set("Sec-WebSocket-Version", "+13").encode(),
            &[400, 426],
        ),
        (
            "version 013",
            upgrade().set("Sec-WebSocket-Version", "013").encode(),
            &[400, 426],
        ),
        (
            "versions 13, 8",
            upgrade().set("Sec-WebSocket-Version", "13, 8").encode(),
            &[400, 426],
        ),
        (
            "two versions",
            upgrade().with("Sec-WebSocket-Version", "8").encode(),
            &[400, 426],
        ),
        (
            "no key",
            upgrade().without("Sec-WebSocket-Key").encode(),
            &[400],
        ),
        (
            "an empty key",
            upgrade().set("Sec-WebSocket-Key", "").encode(),
            &[400],
        ),
        (
            "a short key",
            upgrade().set("Sec-WebSocket-Key", "c2hvcnQ=").encode(),
            &[400],
        ),
        (
            "a long key",
            upgrade()
                .set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZSBsb25n")
                .encode(),
            &[400],
        ),
        (
            "a key that is not base64",
            upgrade()
                .set("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!==")
                .encode(),
            &[400],
        ),
        (
            "two keys",
            upgrade().with("Sec-WebSocket-Key", KEY).encode(),
            &[400],
        ),
        (
            "an extension list that is none",
            upgrade()
                .with("Sec-WebSocket-Extensions", "permessage-deflate; =")
                .encode(),
            &[400, 101],
        ),
        // Request smuggling.
        (
            "Content-Length and Transfer-Encoding",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            )),
            &[400],
        ),
        (
            "Transfer-Encoding twice",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
            )),
            &[400],
        ),
        (
            "a Transfer-Encoding that is none",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"
            )),
            &[400, 501],
        ),
        (
            "a chunked body",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            )),
            &[400, 413],
        ),
        (
            "a body",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: 5\r\n\r\nhello"
            )),
            &[400, 413],
        ),
        (
            "Content-Length: +5",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: +5\r\n\r\nhello"
            )),
            &[400],
        ),
        (
            "Content-Length: -1",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: -1\r\n\r\n"
            )),
            &[400],
        ),
        (
            "Content-Length: 5, 6",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: 5, 6\r\n\r\nhello"
            )),
            &[400],
        ),
        (
            "two Content-Lengths",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"
            )),
            &[400],
        ),
        (
            "a Content-Length beyond all numbers",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}Content-Length: 99999999999999999999999\r\n\r\n"
            )),
            &[400, 413],
        ),
        (
            "a folded field",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}X-Folded: one\r\n two\r\n\r\n"
            )),
            &[400],
        ),
        (
            "NUL in a value",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}X-Nul: a\0b\r\n\r\n"
            )),
            &[400],
        ),
        (
            "NUL in a name",
            raw(&format!("GET / HTTP/1.1\r\n{upgrade_text}X-\0: a\r\n\r\n")),
            &[400],
        ),
        (
            "NUL in the target",
            raw(&format!("GET /\0 HTTP/1.1\r\n{upgrade_text}\r\n")),
            &[400],
        ),
        (
            "CR in a value",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}X-Cr: a\rb\r\n\r\n"
            )),
            &[400],
        ),
        (
            "a space before the colon",
            raw(&format!(
                "GET / HTTP/1.1\r\n{upgrade_text}X-Space : a\r\n\r\n"
            )),
            &[400],
        ),
        (
            "a field without a colon",
            raw(&format!("GET / HTTP/1.1\r\n{upgrade_text}no colon\r\n\r\n")),
            &[400],
        ),
        (
            "a field without a name",
            raw(&format!("GET / HTTP/1.1\r\n{upgrade_text}: a\r\n\r\n")),
            &[400],
        ),
        (
            "a space in the target",
            raw(&format!("GET /a b HTTP/1.1\r\n{upgrade_text}\r\n")),
            &[400],
        ),
        (
            "no version in the request line",
            raw(&format!("GET /\r\n{upgrade_text}\r\n")),
            &[400],
        ),
        (
            "an empty target",
            raw(&format!("GET  HTTP/1.1\r\n{upgrade_text}\r\n")),
            &[400],
        ),
        (
            "an authority as the target",
            raw(&format!("GET localhost:80 HTTP/1.1\r\n{upgrade_text}\r\n")),
            &[400],
        ),
        (
            "an asterisk as the target",
            raw(&format!("GET * HTTP/1.1\r\n{upgrade_text}\r\n")),
            &[400],
        ),
        (
            "CONNECT",
            raw(&format!(
                "CONNECT localhost:80 HTTP/1.1\r\n{upgrade_text}\r\n"
            )),
            &[400, 405, 501],
        ),
        (
            "TRACE",
            raw(&format!("TRACE / HTTP/1.1\r\n{upgrade_text}\r\n")),
            &[405, 501],
        ),
    ];
    let follows = [
        Frame::new(frame::TEXT, "smuggled").encode(),
        Request::get("/smuggled").encode(),
    ]
    .concat();
    let mut wrong = Vec::new();
    for (name, request, statuses) in corpus {
        let mut peer = server.connect();
        peer.send_bytes(&[request, follows.clone()].concat());
        let response = if name == "HEAD" {
            peer.try_read_head()
        } else {
            peer.try_read_response()
        };
        let Ok(response) = response else {
            wrong.push(format!("{name}: no response"));
            continue;
        };
        if !statuses.contains(&response.status) {
            wrong.push(format!(
                "{name}: {} is none of {statuses:?}",
                response.status
            ));
        }
        if response.status == 101 {
            continue;
        }
        if response.status == 426 && response.header("sec-websocket-version") != Some("13") {
            wrong.push(format!("{name}: 426 does not tell the version"));
        }
        if response.status == 405
            && !response
                .header("allow")
                .is_some_and(|allow| allow.contains("GET"))
        {
            wrong.push(format!("{name}: 405 does not tell the methods"));
        }
        // What is no HTTP at all is answered by its status alone.
        if response.status != 400 && name != "HEAD" && response.body.is_empty() {
            wrong.push(format!("{name}: a refusal does not say why"));
        }
        let rest = peer.read_to_end();
        if !rest.is_empty() {
            wrong.push(format!(
                "{name}: what follows the refusal was answered: {:?}",
                String::from_utf8_lossy(&rest)
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    neighbour.is_unharmed();
}

#[test]
fn server_takes_absolute_targets_and_no_bare_line_feeds() {
    let server = Server::of(handlers::echo()).start();
    // RFC 9112, 2.2, lets a server take a line that ends with LF alone; others may not.
    let lf = String::from_utf8(Request::upgrade("/").encode())
        .expect("a request is text")
        .replace("\r\n", "\n");
    let mut peer = server.connect();
    peer.send_bytes(lf.as_bytes());
    assert_eq!(peer.read_response().status, 400);
    // A server must take the absolute form (RFC 9112, 3.2.2), whose host stands above the Host field.
    for (target, host) in [
        ("http://localhost/", "localhost"),
        ("http://localhost:80/", "localhost"),
        ("http://LOCALHOST/", "localhost:80"),
        ("wss://localhost:443/", "localhost"),
    ] {
        let request = Request::upgrade("/")
            .line(&format!("GET {target} HTTP/1.1"))
            .set("Host", host);
        let mut peer = server.open_with(&request);
        assert_eq!(peer.ask("absolutely"), "absolutely");
    }
    for (target, host) in [
        ("http://localhost:443/", "localhost"),
        ("http://localhost/", "localhost:81"),
        ("http://user@localhost/", "localhost"),
        ("gopher://localhost/", "localhost"),
    ] {
        let request = Request::upgrade("/")
            .line(&format!("GET {target} HTTP/1.1"))
            .set("Host", host);
        let response = server.connect().request(&request);
        assert_eq!(response.status, 400, "{target} {host}");
    }
}

#[test]
fn server_opens_each_correct_upgrade_however_it_is_written() {
    let server = Server::of(handlers::echo()).start();
    let upgrade = || Request::upgrade("/");
    for (name, request) in [
        (
            "Connection as a list",
            upgrade().set("Connection", "keep-alive, Upgrade"),
        ),
        (
            "Connection in two fields",
            upgrade()
                .set("Connection", "keep-alive")
                .with("Connection", "upgrade"),
        ),
        (
            "Connection and Upgrade in capitals",
            upgrade()
                .set("Connection", "UPGRADE")
                .set("Upgrade", "WebSocket"),
        ),
        (
            "Upgrade as a list",
            upgrade().set("Upgrade", "h2c, websocket"),
        ),
        (
            "field names in capitals",
            upgrade()
                .without("Sec-WebSocket-Key")
                .with("SEC-WEBSOCKET-KEY", KEY),
        ),
        (
            "no space after the colon",
            upgrade()
                .without("Upgrade")
                .with("Upgrade", "\twebsocket \t"),
        ),
        ("a path and a query", Request::upgrade("/a/b%20c?d=e&f")),
        (
            "an unknown extension",
            upgrade().with(
                "Sec-WebSocket-Extensions",
                "x-webkit-deflate-frame, foo; bar=1",
            ),
        ),
        (
            "a Content-Length of 0",
            upgrade().with("Content-Length", "0"),
        ),
    ] {
        let mut peer = server.connect();
        let response = peer.request(&request);
        assert_eq!(response.status, 101, "{name}: {response:?}");
        assert!(
            response.header("sec-websocket-extensions").is_none(),
            "{name}: {response:?}"
        );
        assert_eq!(peer.ask("open"), "open");
    }
}

#[test]
fn server_survives_every_extension_and_protocol_list() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let long_list = "a,".repeat(5_000);
    let long_token = "b".repeat(10_000);
    let quotes = format!("permessage-deflate; x=\"{}", "\\\"".repeat(4_000));
    // Values, and whether permessage-deflate may be agreed on.
    for (value, may_agree) in [
        ("permessage-deflate", true),
        (
            "permessage-deflate; server_max_window_bits=15; client_max_window_bits",
            true,
        ),
        ("permessage-deflate; server_max_window_bits=\"10\"", true),
        (
            "permessage-deflate;server_no_context_takeover;client_no_context_takeover",
            true,
        ),
        ("permessage-deflate; server_max_window_bits=7", false),
        ("permessage-deflate; server_max_window_bits=16", false),
        (
            "permessage-deflate; server_max_window_bits=99999999999999999999",
            false,
        ),
        ("permessage-deflate; server_max_window_bits=-1", false),
        ("permessage-deflate; server_max_window_bits", false),
        ("permessage-deflate; client_max_window_bits=0", false),
        ("permessage-deflate; client_max_window_bits=08", false),
        ("permessage-deflate; server_no_context_takeover=1", false),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            false,
        ),
        ("permessage-deflate; unknown", false),
        ("permessage-deflate; unknown=1, permessage-deflate", true),
        (
            "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=9",
            true,
        ),
        ("", false),
        (",,,,", false),
        (";", false),
        ("permessage-deflate;", false),
        ("permessage-deflate; =1", false),
        ("permessage-deflate; a=\"", false),
        (&long_list, false),
        (&long_token, false),
        (&quotes, false),
    ] {
        let mut peer = server.connect();
        let request = Request::upgrade("/").with("Sec-WebSocket-Extensions", value);
        let response = peer.request(&request);
        let shown: String = value.chars().take(80).collect();
        assert!(
            [101, 400].contains(&response.status),
            "{shown:?}: {response:?}"
        );
        let agreed = response.header("sec-websocket-extensions").is_some();
        assert!(
            response.status == 101 || !may_agree,
            "{shown:?}: {response:?}"
        );
        assert_eq!(agreed, may_agree, "{shown:?}: {response:?}");
        if response.status == 101 {
            assert_eq!(peer.ask("x"), "x", "{shown:?}");
        }
    }
    for value in [
        "",
        ",",
        "a,,b",
        &long_list,
        &long_token,
        "a b",
        "\u{e9}",
        "\"quoted\"",
        "a;b",
    ] {
        let response = server
            .connect()
            .request(&Request::upgrade("/").with("Sec-WebSocket-Protocol", value));
        let shown: String = value.chars().take(80).collect();
        assert!(
            [101, 400].contains(&response.status),
            "{shown:?}: {response:?}"
        );
    }
    neighbour.is_unharmed();
}

#[test]
fn server_lets_in_pages_of_its_own_origin_only() {
    let server = Server::of(handlers::echo()).start();
    let port = server.address().port();
    let host = format!("chat.example.com:{port}");
    let other_port = port ^ 1;
    for (origin, status) in [
        (format!("http://{host}"), 101),
        // Another scheme is another origin (RFC 6454, 4).
        (format!("https://{host}"), 403),
        (format!("http://CHAT.example.com:{port}"), 101),
        ("null".to_owned(), 403),
        (String::new(), 403),
        ("http://chat.example.com".to_owned(), 403),
        (format!("http://chat.example.com:{other_port}"), 403),
        (format!("http://example.com:{port}"), 403),
        (format!("http://evil.chat.example.com:{port}"), 403),
        (format!("http://evil-chat.example.com:{port}"), 403),
        (format!("http://chat.example.com.evil.com:{port}"), 403),
        (format!("http://chat.example.com:{port}.evil.com"), 403),
        (format!("http://chat.example.com:{port}@evil.com"), 403),
        (format!("http://evil.com/?http://{host}"), 403),
        (format!("http://127.0.0.1:{port}"), 403),
        (format!("http://localhost:{port}"), 403),
        (format!("http://[::1]:{port}"), 403),
        (format!("http://xn--chat-.example.com:{port}"), 403),
        (format!("http://{host} http://evil.com"), 403),
        ("file://".to_owned(), 403),
        ("chrome-extension://abcdef".to_owned(), 403),
    ] {
        let request = Request::upgrade("/")
            .set("Host", &host)
            .with("Origin", &origin)
            .with("Cookie", "session=secret");
        let response = server.connect().request(&request);
        assert_eq!(response.status, status, "{origin:?}: {response:?}");
    }
    let two = Request::upgrade("/")
        .set("Host", &host)
        .with("Origin", &format!("http://{host}"))
        .with("Origin", "http://evil.com");
    let response = server.connect().request(&two);
    assert!([400, 403].contains(&response.status), "{response:?}");
    // Programs that are not browsers send none.
    assert_eq!(server.connect().request(&Request::upgrade("/")).status, 101);
}

#[test]
fn server_lets_in_the_origins_that_it_was_told() {
    let server = Server::of(handlers::echo())
        .args([
            "--allow-origin",
            "https://app.example.com",
            "--allow-origin",
            "http://localhost:5173",
        ])
        .start();
    let status = |origin: &str| {
        server
            .connect()
            .request(&Request::upgrade("/").with("Origin", origin))
            .status
    };
    assert_eq!(status("https://app.example.com"), 101);
    assert_eq!(status("http://localhost:5173"), 101);
    assert_eq!(status("http://app.example.com"), 403);
    assert_eq!(status("https://app.example.com:8443"), 403);
    assert_eq!(status("https://evil-app.example.com"), 403);
    assert_eq!(status("null"), 403);

    let server = Server::of(handlers::echo())
        .args(["--allow-origin", "*"])
        .start();
    let status = |origin: &str| {
        server
            .connect()
            .request(&Request::upgrade("/").with("Origin", origin))
            .status
    };
    assert_eq!(status("https://anywhere.example.com"), 101);
    assert_eq!(status("null"), 101);
}
