//! RFC 6455, 4.1: the opening handshake of the client role.

use wsrun_proto::http::HeadError;
use wsrun_proto::http::connect::{Connect, ConnectError, ConnectOptions, ResponseHead, Version};
use wsrun_proto::http::request::RequestReader;
use wsrun_proto::http::upgrade;
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::{DeflateConfig, DeflateResponseError};

fn options() -> ConnectOptions {
    ConnectOptions {
        host: "server.example.com".to_owned(),
        path: "/chat".to_owned(),
        origin: Some("http://example.com".to_owned()),
        protocols: vec!["chat".to_owned(), "superchat".to_owned()],
        headers: vec![("X-Token".to_owned(), "a b".to_owned())],
        deflate: Some(DeflateConfig::default()),
        version: Version::V13,
        limits: Limits::default(),
    }
}

type Change = fn(&mut ConnectOptions);

const KEY: [u8; 16] = *b"the sample nonce";

fn respond(
    options: ConnectOptions,
    status: &str,
    headers: &[(&str, &str)],
) -> Result<Option<String>, ConnectError> {
    let mut connect = Connect::new(options, KEY).expect("valid options");
    let mut response = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    response.push_str("\r\n");
    connect
        .handle_input(response.as_bytes())
        .map(|established| established.expect("a whole response").protocol)
}

const RESPONSE: [(&str, &str); 3] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
];

#[test]
fn client_writes_its_request() {
    let connect = Connect::new(options(), KEY).unwrap();
    let expected = "GET /chat HTTP/1.1\r\n\
        Host: server.example.com\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Origin: http://example.com\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
        client_max_window_bits\r\n\
        X-Token: a b\r\n\r\n";
    assert_eq!(str::from_utf8(connect.request_bytes()), Ok(expected));
}

#[test]
fn client_and_server_shake_hands_byte_by_byte() {
    let mut connect = Connect::new(options(), KEY).unwrap();
    let mut reader = RequestReader::new(Limits::default());
    let mut accepted = None;
    for byte in connect.request_bytes().chunks(1) {
        if let Some(request) = reader.handle_input(byte).unwrap() {
            let upgrade =
                upgrade::check(request.method, request.minor_version, &request.headers).unwrap();
            accepted = Some(
                upgrade
                    .accept(Some("superchat"), Some(&DeflateConfig::default()))
                    .unwrap(),
            );
        }
    }
    let accepted = accepted.unwrap();
    let mut response = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
    for (name, value) in &accepted.headers {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    response.push_str("\r\n");
    let (last, before) = response.as_bytes().split_last().unwrap();
    for byte in before.chunks(1) {
        assert_eq!(connect.handle_input(byte), Ok(None));
    }
    let established = connect.handle_input(&[*last, 0x81, 0x00]).unwrap().unwrap();
    assert_eq!(
        (established.consumed, established.protocol.as_deref()),
        (1, Some("superchat"))
    );
    assert_eq!(established.deflate, accepted.deflate);
    assert!(established.deflate.is_some());
    let response = connect.response().unwrap();
    assert_eq!((response.status, response.headers.len()), (101, 5));
}

#[test]
fn client_judges_the_response() {
    let ok = respond(options(), "101 Switching Protocols", &RESPONSE);
    assert_eq!(ok, Ok(None));
    let with = |extra: &[(&'static str, &'static str)]| {
        respond(
            options(),
            "101 Switching Protocols",
            &[&RESPONSE[..], extra].concat(),
        )
    };
    assert_eq!(
        with(&[("Sec-WebSocket-Protocol", "chat")]),
        Ok(Some("chat".to_owned()))
    );
    assert_eq!(
        with(&[("Sec-WebSocket-Protocol", "other")]),
        Err(ConnectError::ProtocolNotOffered)
    );
    assert_eq!(
        with(&[("Sec-WebSocket-Protocol", "chat, superchat")]),
        Err(ConnectError::ProtocolNotOffered)
    );
    let twice = [
        ("Sec-WebSocket-Protocol", "chat"),
        ("Sec-WebSocket-Protocol", "chat"),
    ];
    assert_eq!(with(&twice), Err(ConnectError::ProtocolNotOffered));
    assert_eq!(
        with(&[("Sec-WebSocket-Accept", "x")]),
        Err(ConnectError::AcceptMissing)
    );
    let extension = ConnectError::Extension(DeflateResponseError::ExtensionNotOffered);
    assert_eq!(
        with(&[("Sec-WebSocket-Extensions", "x-other")]),
        Err(extension.clone())
    );
    assert_eq!(
        with(&[("Sec-WebSocket-Extensions", "permessage-deflate")]),
        Ok(None)
    );
    let plain = ConnectOptions {
        deflate: None,
        ..options()
    };
    let unasked = [
        &RESPONSE[..],
        &[("Sec-WebSocket-Extensions", "permessage-deflate")],
    ]
    .concat();
    assert_eq!(respond(plain, "101 x", &unasked), Err(extension));

    let replaced = |position: usize, header: (&'static str, &'static str)| {
        let mut headers = RESPONSE;
        headers[position] = header;
        respond(options(), "101 Switching Protocols", &headers)
    };
    assert_eq!(
        replaced(0, ("Upgrade", "h2c")),
        Err(ConnectError::NotUpgraded)
    );
    assert_eq!(
        replaced(1, ("Connection", "close")),
        Err(ConnectError::NotUpgraded)
    );
    assert_eq!(replaced(2, ("X", "y")), Err(ConnectError::AcceptMissing));
    let wrong = ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=");
    assert_eq!(replaced(2, wrong), Err(ConnectError::AcceptWrong));
}

#[test]
fn client_tells_refusals_and_redirects() {
    let refused = respond(options(), "403 Forbidden", &[("X-Why", "no")]);
    assert_eq!(refused, Err(ConnectError::Refused { status: 403 }));
    assert!(matches!(
        respond(options(), "200 OK", &RESPONSE),
        Err(ConnectError::Refused { status: 200 })
    ));
    let redirected = respond(
        options(),
        "307 Temporary Redirect",
        &[("Location", "wss://other/")],
    );
    let location = Some("wss://other/".to_owned());
    assert_eq!(
        redirected,
        Err(ConnectError::Redirected {
            status: 307,
            location
        })
    );
    let mut connect = Connect::new(options(), KEY).unwrap();
    assert!(matches!(
        connect.handle_input(b"SSH-2.0-x\r\n\r\n"),
        Err(ConnectError::InvalidResponse(_))
    ));
    let mut connect = Connect::new(options(), KEY).unwrap();
    let endless = connect.handle_input(&vec![b'a'; 20_000]);
    assert_eq!(
        endless,
        Err(ConnectError::InvalidResponse(HeadError::TooLong {
            limit: 16 << 10
        }))
    );
}

#[test]
fn client_shows_the_response_whatever_it_makes_of_it() {
    for (response, outcome) in [
        (
            "HTTP/1.1 403 No\r\nX-Why: no\r\n\r\n",
            ConnectError::Refused { status: 403 },
        ),
        (
            "HTTP/1.1 301 There\r\nX-Why: no\r\n\r\n",
            ConnectError::Redirected {
                status: 301,
                location: None,
            },
        ),
        (
            "HTTP/1.1 101 Yes\r\nX-Why: no\r\n\r\n",
            ConnectError::NotUpgraded,
        ),
    ] {
        let mut connect = Connect::new(options(), KEY).unwrap();
        let (head, last) = response.as_bytes().split_at(response.len() - 1);
        assert_eq!(connect.handle_input(head), Ok(None));
        assert_eq!(connect.response(), None);
        assert_eq!(connect.handle_input(last), Err(outcome));
        let expected = ResponseHead {
            status: response[9..12].parse().unwrap(),
            headers: vec![("X-Why".to_owned(), b"no".to_vec())],
        };
        assert_eq!(connect.response(), Some(&expected));
    }
}

#[test]
fn client_speaks_the_versions_of_the_drafts() {
    for version in [8, 7] {
        let options = ConnectOptions {
            version: version.try_into().unwrap(),
            ..options()
        };
        let connect = Connect::new(options.clone(), KEY).unwrap();
        let headers: Vec<_> = connect.request_headers().collect();
        let expected = [
            ("Host", "server.example.com"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            (
                "Sec-WebSocket-Version",
                if version == 8 { "8" } else { "7" },
            ),
            ("Sec-WebSocket-Origin", "http://example.com"),
            ("Sec-WebSocket-Protocol", "chat, superchat"),
        ];
        assert_eq!(headers[..7], expected);
        assert_eq!(headers.last(), Some(&("X-Token", "a b")));
        // The key is answered as in version 13.
        assert_eq!(respond(options, "101 x", &RESPONSE), Ok(None));
    }
}

#[test]
fn other_versions_are_told_those_that_there_are() {
    for version in [0, 1, 6, 9, 12, 14, 255] {
        let error = Version::try_from(version).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("there is no WebSocket version {version}: there are 13, 8 and 7")
        );
    }
    assert_eq!(
        Version::ALL.map(|version| Version::try_from(version.number())),
        Version::ALL.map(Ok)
    );
}

#[test]
fn client_does_not_send_more_than_a_head_may_hold() {
    let limits = Limits::default();
    let too_large = Err(ConnectError::RequestTooLarge {
        bytes: limits.header_bytes_max,
        headers: limits.headers_max,
    });
    let mut long = options();
    long.headers
        .push(("X".to_owned(), "a".repeat(limits.header_bytes_max)));
    assert_eq!(Connect::new(long, KEY).map(|_| ()), too_large);

    // The handshake sets eight headers itself, and one was there already.
    let mut many = options();
    many.headers
        .extend((9..limits.headers_max).map(|n| (format!("X-{n}"), String::new())));
    let connect = Connect::new(many.clone(), KEY).unwrap();
    assert_eq!(connect.request_headers().count(), limits.headers_max);
    many.headers.push(("X".to_owned(), String::new()));
    assert_eq!(Connect::new(many, KEY).map(|_| ()), too_large);
}

#[test]
fn client_does_not_send_options_that_would_change_the_request() {
    let set: [(&str, Change); 14] = [
        ("host", |options| options.host = "a\r\nX: y".to_owned()),
        ("host", |options| options.host = "a/b".to_owned()),
        ("host", |options| options.host = String::new()),
        ("path", |options| {
            options.path = "/ HTTP/1.1\r\nX: y".to_owned()
        }),
        ("path", |options| options.path = "no-slash".to_owned()),
        ("path", |options| options.path = "/a#b".to_owned()),
        ("origin", |options| options.origin = Some("a\nb".to_owned())),
        ("subprotocol", |options| {
            options.protocols.push("a b".to_owned())
        }),
        ("subprotocol", |options| {
            options.protocols.push("chat".to_owned())
        }),
        ("header", |options| {
            options.headers.push(("Host".to_owned(), "b".to_owned()))
        }),
        ("header", |options| {
            options
                .headers
                .push(("Sec-WebSocket-Key".to_owned(), "b".to_owned()))
        }),
        ("header", |options| {
            options
                .headers
                .push(("sec-websocket-ORIGIN".to_owned(), "b".to_owned()))
        }),
        ("header", |options| {
            options
                .headers
                .push(("X".to_owned(), "a\r\nY: b".to_owned()))
        }),
        ("header", |options| {
            options.headers.push(("X Y".to_owned(), "a".to_owned()))
        }),
    ];
    for (name, change) in set {
        let mut options = options();
        change(&mut options);
        assert_eq!(
            Connect::new(options, KEY).map(|_| ()),
            Err(ConnectError::InvalidOption(name))
        );
    }
}
