//! RFC 6455, 4.2: the opening handshake of the server role, and the heads of both.

use wsrun_proto::http::HeadError;
use wsrun_proto::http::request::RequestReader;
use wsrun_proto::http::upgrade::{self, Upgrade, UpgradeError};
use wsrun_proto::limits::Limits;

type Headers<'a> = Vec<(&'a str, &'a [u8])>;
/// Headers that replace others, and the expected result.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Result<(), UpgradeError>,
);

/// The request of RFC 6455, 1.2.
const REQUEST: [(&str, &str); 7] = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Origin", "http://example.com"),
    ("Sec-WebSocket-Protocol", "chat, superchat"),
    ("Sec-WebSocket-Version", "13"),
];

fn request() -> Headers<'static> {
    REQUEST
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()))
        .collect()
}

/// Makes the request with all headers of a name replaced by others.
fn request_with<'a>(name: &str, others: &[(&'a str, &'a str)]) -> Headers<'a> {
    let mut headers = request();
    headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    headers.extend(others.iter().map(|(name, value)| (*name, value.as_bytes())));
    headers
}

fn check(headers: &Headers<'_>) -> Result<Upgrade, UpgradeError> {
    upgrade::check("GET", 1, headers)
}

#[test]
fn server_accepts_the_request_of_rfc_6455_section_1_2() {
    let upgrade = check(&request()).unwrap();
    assert_eq!(upgrade.offered, ["chat", "superchat"]);
    assert_eq!(upgrade.origin.as_deref(), Some("http://example.com"));
    assert_eq!(upgrade.host.as_deref(), Some("server.example.com"));
    let accepted = upgrade.accept(Some("chat"), None).unwrap();
    let expected = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("sec-websocket-protocol", "chat"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    assert_eq!(accepted.headers, expected);
    assert_eq!(accepted.deflate, None);
    assert_eq!(upgrade.accept(None, None).unwrap().headers.len(), 3);
    let error = upgrade.accept(Some("other"), None).unwrap_err();
    assert_eq!(
        (error, error.status()),
        (UpgradeError::ProtocolNotOffered, 500)
    );
}

#[test]
fn server_judges_each_header_of_the_request() {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    use UpgradeError::{
        BodyAnnounced, ConnectionNotUpgrade, HostInvalid, KeyInvalid, NotAnUpgrade, OriginInvalid,
        VersionNotSupported,
    };
    let ok = Ok(());
    let table: &[Case] = &[
        ("upgrade", &[], Err(NotAnUpgrade)),
        ("upgrade", &[("upgrade", "h2c")], Err(NotAnUpgrade)),
        ("upgrade", &[("upgrade", "websockets")], Err(NotAnUpgrade)),
        ("upgrade", &[("UPGRADE", "WebSocket")], ok),
        ("upgrade", &[("upgrade", "h2c, websocket")], ok),
        (
            "upgrade",
            &[("upgrade", "h2c"), ("upgrade", ",, websocket ,")],
            ok,
        ),
        ("connection", &[], Err(ConnectionNotUpgrade)),
        (
            "connection",
            &[("connection", "keep-alive")],
            Err(ConnectionNotUpgrade),
        ),
        ("connection", &[("connection", "keep-alive, Upgrade")], ok),
        (
            "connection",
            &[("connection", "keep-alive"), ("connection", "upgrade")],
            ok,
        ),
        ("host", &[], Err(HostInvalid)),
        ("host", &[("host", "")], Err(HostInvalid)),
        ("host", &[("host", "a"), ("host", "a")], Err(HostInvalid)),
        ("host", &[("host", "a, b")], Err(HostInvalid)),
        ("host", &[("host", "user@a")], Err(HostInvalid)),
        ("host", &[("host", "a/b")], Err(HostInvalid)),
        ("host", &[("host", "ä")], Err(HostInvalid)),
        ("host", &[("host", "a:b")], Err(HostInvalid)),
        ("host", &[("host", "a:65536")], Err(HostInvalid)),
        ("host", &[("host", "[::1]:8080")], ok),
        ("sec-websocket-key", &[], Err(KeyInvalid)),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)],
            Err(KeyInvalid),
        ),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", "")],
            Err(KeyInvalid),
        ),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")],
            Err(KeyInvalid),
        ),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", "AAAA")],
            Err(KeyInvalid),
        ),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZSE=")],
            Err(KeyInvalid),
        ),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", "????????????????????????")],
            Err(KeyInvalid),
        ),
        (
            "sec-websocket-key",
            &[("sec-websocket-key", "\tdGhlIHNhbXBsZSBub25jZQ== ")],
            ok,
        ),
        ("sec-websocket-version", &[], Err(VersionNotSupported)),
        (
            "sec-websocket-version",
            &[("sec-websocket-version", "8")],
            Err(VersionNotSupported),
        ),
        (
            "sec-websocket-version",
            &[("sec-websocket-version", "13, 8")],
            Err(VersionNotSupported),
        ),
        (
            "sec-websocket-version",
            &[("sec-websocket-version", "013")],
            Err(VersionNotSupported),
        ),
        (
            "sec-websocket-version",
            &[
                ("sec-websocket-version", "13"),
                ("sec-websocket-version", "13"),
            ],
            Err(VersionNotSupported),
        ),
        ("origin", &[], ok),
        ("origin", &[("origin", "null")], ok),
        (
            "origin",
            &[("origin", "http://a"), ("origin", "http://b")],
            Err(OriginInvalid),
        ),
        ("origin", &[("origin", "http://ä")], Err(OriginInvalid)),
        ("x", &[("content-length", "0")], ok),
        ("x", &[("content-length", "5")], Err(BodyAnnounced)),
        ("x", &[("content-length", "+0")], Err(BodyAnnounced)),
        (
            "x",
            &[("content-length", "0"), ("content-length", "1")],
            Err(BodyAnnounced),
        ),
        ("x", &[("transfer-encoding", "chunked")], Err(BodyAnnounced)),
        ("x", &[("transfer-encoding", "")], Err(BodyAnnounced)),
    ];
    for (name, others, expected) in table {
        let headers = request_with(name, others);
        assert_eq!(
            check(&headers).map(|_| ()),
            *expected,
            "{name} as {others:?}"
        );
    }
    assert_eq!(
        upgrade::check("POST", 1, &request()),
        Err(UpgradeError::MethodNotGet)
    );
    assert_eq!(
        upgrade::check("get", 1, &request()),
        Err(UpgradeError::MethodNotGet)
    );
    assert_eq!(
        upgrade::check("GET", 0, &request()),
        Err(UpgradeError::HttpTooOld)
    );
}

#[test]
fn refusals_tell_the_client_what_would_do() {
    let answer = |error: UpgradeError| (error.status(), error.headers());
    let upgrade = [("upgrade", "websocket"), ("connection", "Upgrade")];
    assert_eq!(answer(UpgradeError::NotAnUpgrade), (426, upgrade.to_vec()));
    let version = [&[("sec-websocket-version", "13")][..], &upgrade].concat();
    assert_eq!(answer(UpgradeError::VersionNotSupported), (426, version));
    assert_eq!(
        answer(UpgradeError::MethodNotGet),
        (405, vec![("allow", "GET")])
    );
    for error in [
        UpgradeError::HttpTooOld,
        UpgradeError::KeyInvalid,
        UpgradeError::BodyAnnounced,
    ] {
        assert_eq!(answer(error), (400, vec![]));
    }
}

#[test]
fn server_reads_lists_of_subprotocols() {
    let table: &[(&[&str], Option<&[&str]>)] = &[
        (&[], Some(&[])),
        (&[""], Some(&[])),
        (&["chat"], Some(&["chat"])),
        (&["chat,superchat"], Some(&["chat", "superchat"])),
        (&[" chat ,\tsuperchat , "], Some(&["chat", "superchat"])),
        (&["chat", "superchat"], Some(&["chat", "superchat"])),
        (
            &["v1.example.com", "a+b~c!#$%&'*`|^_"],
            Some(&["v1.example.com", "a+b~c!#$%&'*`|^_"]),
        ),
        (&["Chat, chat"], Some(&["Chat", "chat"])),
        (&["chat, chat"], None),
        (&["chat", "chat"], None),
        (&["super chat"], None),
        (&["chat;q=1"], None),
        (&["\"chat\""], None),
        (&["chat/1"], None),
        (&["chät"], None),
        (&["a=b"], None),
    ];
    for (values, expected) in table {
        let headers: Vec<(&str, &str)> = values
            .iter()
            .map(|value| ("sec-websocket-protocol", *value))
            .collect();
        let outcome = check(&request_with("sec-websocket-protocol", &headers));
        match expected {
            Some(protocols) => assert_eq!(outcome.unwrap().offered, *protocols, "{values:?}"),
            None => assert_eq!(outcome, Err(UpgradeError::ProtocolsInvalid), "{values:?}"),
        }
    }
    let many: Vec<String> = (0..5000).map(|n| format!("p{n}")).collect();
    let many = many.join(",");
    let headers = request_with(
        "sec-websocket-protocol",
        &[("sec-websocket-protocol", &many)],
    );
    assert_eq!(check(&headers), Err(UpgradeError::ProtocolsInvalid));
}

#[test]
fn request_is_read_however_it_is_cut() {
    let bytes = b"GET /chat?x=1 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n\x81\x80frames";
    let head = bytes.len() - 8;
    for piece in 1..bytes.len() {
        let mut reader = RequestReader::new(Limits::default());
        let mut position = 0;
        for piece in bytes.chunks(piece) {
            if let Some(request) = reader.handle_input(piece).unwrap() {
                assert_eq!(
                    (request.method, request.target, request.minor_version),
                    ("GET", "/chat?x=1", 1)
                );
                assert_eq!(request.headers, [("Host", &b"a"[..]), ("X", b"y")]);
                position += request.consumed;
                break;
            }
            position += piece.len();
        }
        assert_eq!(position, head, "in pieces of {piece}");
    }
}

#[test]
fn request_beyond_the_limits_is_refused_as_soon_as_it_is() {
    let limits = Limits {
        header_bytes_max: 100,
        headers_max: 2,
        ..Limits::default()
    };
    let mut reader = RequestReader::new(limits);
    assert_eq!(reader.handle_input(&[b'a'; 100]), Ok(None));
    assert_eq!(
        reader.handle_input(b"a"),
        Err(HeadError::TooLong { limit: 100 })
    );
    let mut reader = RequestReader::new(limits);
    let exact = b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\n\r\n";
    assert!(reader.handle_input(exact).unwrap().is_some());
    let mut reader = RequestReader::new(limits);
    let many = b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n";
    assert_eq!(
        reader.handle_input(many),
        Err(HeadError::TooManyHeaders { limit: 2 })
    );
}

#[test]
fn request_that_others_may_read_differently_is_refused() {
    let requests: [&[u8]; 9] = [
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x00\x00\r\n\r\n",
    ];
    for bytes in requests {
        let outcome = RequestReader::new(Limits::default())
            .handle_input(bytes)
            .map(|request| request.is_some());
        assert!(
            outcome.is_err(),
            "{:?}: {outcome:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn request_of_http_1_1_has_exactly_one_host() {
    let host = |minor, hosts: &[&str]| {
        let headers: Vec<(&str, &[u8])> =
            hosts.iter().map(|host| ("Host", host.as_bytes())).collect();
        upgrade::host(minor, &headers).map(|host| host.map(str::to_owned))
    };
    assert_eq!(host(1, &["a.example:80"]), Ok(Some("a.example:80".into())));
    assert_eq!(host(0, &[]), Ok(None));
    assert_eq!(host(0, &["a"]), Ok(Some("a".into())));
    for (minor, hosts) in [
        (1, &[] as &[&str]),
        (1, &["a", "a"]),
        (0, &["a", "b"]),
        (1, &[""]),
        (1, &["a/b"]),
        (1, &["user@a"]),
        (1, &["a, b"]),
    ] {
        assert_eq!(
            host(minor, hosts),
            Err(UpgradeError::HostInvalid),
            "{hosts:?}"
        );
    }
}
