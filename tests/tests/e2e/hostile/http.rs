//! Bad input before the WebSocket is open: requests that are endless, slow or no requests.

use std::time::{Duration, Instant};

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;
use wsrun_tests::wait;

/// What an attacker may add for the whole of a test: buffers of one connection, and what the allocator keeps.
const SLACK_BYTES: u64 = 8 * MIB;

/// Sends until the server has enough; whether it took all.
fn send_in_pieces(peer: &mut Peer, bytes: &[u8], piece: usize) -> bool {
    bytes
        .chunks(piece)
        .all(|piece| peer.try_send_bytes(piece).is_ok())
}

/// Asserts that the answer is this status, or that it was lost because the transport was reset over unread input.
#[track_caller]
fn expect_status_or_reset(peer: &mut Peer, statuses: &[u16]) {
    match peer.try_read_response() {
        Ok(response) => {
            assert!(statuses.contains(&response.status), "{response:?}");
            peer.read_to_end();
        }
        Err(NoFrame::Ended) => {}
        Err(NoFrame::TimedOut) => panic!("the server neither answered nor ended the transport"),
    }
}

#[test]
fn server_answers_431_when_the_head_is_over_the_limit() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    for (limit_reached_by, request) in [
        (
            "one field",
            Request::get("/").with("X-Long", &"x".repeat(17 * 1024)),
        ),
        (
            "a field of an upgrade",
            Request::upgrade("/").with("X-Long", &"x".repeat(17 * 1024)),
        ),
        (
            "many small fields",
            (0..90).fold(Request::get("/"), |request, _| {
                request.with("X-Some", &"x".repeat(200))
            }),
        ),
    ] {
        let mut peer = server.connect();
        peer.send_bytes(&request.encode());
        let response = peer.read_response();
        assert_eq!(response.status, 431, "{limit_reached_by}");
        peer.read_to_end();
    }
    let mut peer = server.connect();
    peer.send_bytes(&Request::get(&format!("/{}", "x".repeat(20 * 1024))).encode());
    let response = peer.read_response();
    assert!([414, 431].contains(&response.status), "{response:?}");
    neighbour.is_unharmed();
}

#[test]
fn server_takes_a_head_just_below_the_limits() {
    let server = Server::of(handlers::echo()).start();
    let request = Request::upgrade("/").with("X-Long", &"x".repeat(15 * 1024));
    let mut peer = server.open_with(&request);
    assert_eq!(peer.ask("fits"), "fits");
    // Five fields are in the request already.
    let request = (0..95).fold(Request::upgrade("/"), |request, number| {
        request.with("X-Some", &number.to_string())
    });
    let mut peer = server.open_with(&request);
    assert_eq!(peer.ask("fits"), "fits");
}

#[test]
fn server_obeys_the_limits_of_the_head_that_it_was_given() {
    let server = Server::of(handlers::echo())
        .args(["--max-header-bytes", "64KiB", "--max-headers", "10"])
        .start();
    let mut peer = server.open_with(&Request::upgrade("/").with("X-Long", &"x".repeat(60 * 1024)));
    assert_eq!(peer.ask("fits"), "fits");
    let request = (0..10).fold(Request::upgrade("/"), |request, _| {
        request.with("X-Some", "x")
    });
    assert_eq!(server.connect().request(&request).status, 431);
}

#[test]
fn server_answers_431_to_101_to_1_000_and_to_100_000_fields() {
    let server = Server::of(handlers::echo())
        .args(["--max-header-bytes", "16KiB"])
        .start();
    let neighbour = server.echoing_neighbour();
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    for (number, field) in [
        (101, "A: 1"),
        (1_000, "A: 1"),
        (1_000, "Cookie: a=b"),
        (100_000, "A: 1"),
        (100_000, "Cookie: a=b"),
    ] {
        let mut wire = b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec();
        for _ in 0..number {
            wire.extend(field.as_bytes());
            wire.extend(b"\r\n");
        }
        wire.extend(b"\r\n");
        let cpu = server.usage().cpu();
        let mut peer = server.connect();
        if wire.len() <= 16 * 1024 {
            peer.send_bytes(&wire);
            assert_eq!(
                peer.read_response().status,
                431,
                "{number} fields of {field:?}"
            );
            peer.read_to_end();
        } else {
            send_in_pieces(&mut peer, &wire, 4096);
            expect_status_or_reset(&mut peer, &[431]);
        }
        // The neighbour's share is in this figure.
        let cpu = server.usage().cpu() - cpu;
        assert!(
            cpu <= Duration::from_millis(200),
            "{number} fields cost {cpu:?}"
        );
    }
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(grown <= SLACK_BYTES, "{grown} bytes for header fields");
    neighbour.is_unharmed();
}

#[test]
fn server_refuses_64_mib_of_header_fields_in_bounded_memory() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let field = format!("X-Flood: {}\r\n", "f".repeat(1011));
    let piece = field.repeat(64);
    let mut peer = server.connect();
    peer.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    let mut sent = 0;
    while sent < 64 * MIB && peer.try_send_bytes(piece.as_bytes()).is_ok() {
        sent += piece.len() as u64;
    }
    assert!(sent < 64 * MIB, "the server took all of it");
    expect_status_or_reset(&mut peer, &[431]);
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(grown <= SLACK_BYTES, "{grown} bytes for header fields");
    neighbour.is_unharmed();
}

#[test]
fn server_refuses_a_20_mb_field_whatever_the_pieces_it_comes_in() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    for piece in [1, 1024, MIB as usize] {
        server.usage().restart_peak();
        let resident = server.usage().resident_bytes();
        let wire = [Request::upgrade("/").encode(), vec![b'x'; 20_000_000]].concat();
        let wire = [
            &wire[..wire.len() - 20_000_002],
            b"X-Long: ",
            &wire[wire.len() - 20_000_000..],
        ]
        .concat();
        let cpu = server.usage().cpu();
        let mut peer = server.connect();
        let took_all = send_in_pieces(&mut peer, &wire, piece);
        assert!(!took_all, "the server took all of it in pieces of {piece}");
        expect_status_or_reset(&mut peer, &[431]);
        let cpu = server.usage().cpu() - cpu;
        assert!(
            cpu <= Duration::from_millis(500),
            "pieces of {piece} bytes cost {cpu:?}"
        );
        let grown = server.usage().peak_bytes().saturating_sub(resident);
        assert!(
            grown <= SLACK_BYTES,
            "{grown} bytes for a field in pieces of {piece}"
        );
    }
    neighbour.is_unharmed();
}

#[test]
fn server_refuses_what_another_server_could_read_differently() {
    let server = Server::of(handlers::built("http")).start();
    for (request, status, told) in [
        (
            "GET /a HTTP/1.1\r\nHost: localhost\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "a line ends without CR",
        ),
        (
            "GET /a HTTP/1.1\nHost: localhost\n\n",
            400,
            "a line ends without CR",
        ),
        (
            "GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n",
            400,
            "the request target has a fragment",
        ),
        (
            "POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "no transfer coding but `chunked`",
        ),
        (
            "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "the length of the body is not clear",
        ),
        ("GET /a HTTP/1.1\r\nHost: a:b\r\n\r\n", 400, "host header"),
    ] {
        // First on its connection, and behind a request that was answered.
        for before in ["", "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
            let mut peer = server.connect();
            peer.send_bytes(format!("{before}{request}GET /next HTTP/1.1\r\n\r\n").as_bytes());
            if !before.is_empty() {
                let head = peer.try_read_head().expect("an answer");
                assert_eq!(head.header("connection"), None, "{head:?}");
            }
            let response = peer.read_response();
            assert_eq!(response.status, status, "{request:?}: {response:?}");
            let body = String::from_utf8_lossy(&response.body).into_owned();
            assert!(body.contains(told), "{request:?}: {body}");
            assert_eq!(response.header("connection"), Some("close"));
            assert!(peer.read_to_end().is_empty(), "{request:?}");
        }
    }
}

#[test]
fn client_that_writes_on_still_sees_why_its_head_was_refused() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    // Far more than the limit, and than sockets hold on their way: the client reads when it has written all of it.
    let field = format!("X-Long: {}\r\n", "x".repeat(1_000));
    let request = format!("GET / HTTP/1.1\r\n{}\r\n", field.repeat(3_000));
    let mut peer = server.connect();
    peer.send_bytes(request.as_bytes());
    let response = peer.read_response();
    assert_eq!(response.status, 431, "{response:?}");
    let body = String::from_utf8_lossy(&response.body).into_owned();
    assert!(body.contains("at most 16384 bytes"), "{body}");
    peer.read_to_end();
    neighbour.is_unharmed();
}

#[test]
fn server_answers_garbage_with_400_and_ends_the_transport() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let random: Vec<u8> = (0..4096_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80)
        .collect();
    let frames = Frame::new(frame::TEXT, "a frame before the handshake").encode();
    for garbage in [
        random.as_slice(),
        &frames,
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"hello there, server\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 a TLS hello",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    ] {
        let mut peer = server.connect();
        peer.send_bytes(garbage);
        peer.finish_writing();
        if let Ok(response) = peer.try_read_response() {
            assert!(
                [400, 405, 501, 505].contains(&response.status),
                "{response:?}"
            );
        }
        peer.read_to_end();
    }
    neighbour.is_unharmed();
}

#[test]
fn silent_client_costs_a_slot_for_the_handshake_timeout_only() {
    let server = Server::of(handlers::echo())
        .args(["--handshake-timeout", "500ms"])
        .start();
    let neighbour = server.echoing_neighbour();
    let files = server.usage().open_files();
    let silent: Vec<Peer> = (0..200).map(|_| server.connect()).collect();
    let asked = Instant::now();
    for mut peer in silent {
        peer.read_to_end();
    }
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    wait::until("every descriptor is given back", || {
        server.usage().open_files() <= files
    });
    neighbour.is_unharmed();
}

#[test]
fn short_write_timeout_ends_nobody_who_has_nothing_to_read() {
    let server = Server::of(handlers::built("gate"))
        .args([
            "--write-timeout",
            "200ms",
            "--handshake-timeout",
            "20s",
            "--callback-timeout",
            "1s",
        ])
        .start();
    let mut silent = server.connect();
    let mut in_the_head = server.connect();
    let request = Request::upgrade("/").encode();
    let (beginning, rest) = request.split_at(20);
    in_the_head.send_bytes(beginning);
    silent.expect_silence(Duration::from_millis(800));
    in_the_head.expect_silence(Duration::from_millis(1));
    silent.upgrade(&Request::upgrade("/"));
    assert_eq!(silent.ask("in"), "in");
    in_the_head.send_bytes(rest);
    assert_eq!(in_the_head.read_response().status, 101);
    assert_eq!(in_the_head.ask("in as well"), "in as well");
    // The handler thinks longer than a write may take.
    let response = server.connect().request(&Request::upgrade("/slow"));
    assert_eq!(response.status, 500, "{response:?}");
}

#[test]
fn slow_header_is_cut_off_at_the_deadline_however_steadily_it_comes() {
    let server = Server::of(handlers::echo())
        .args(["--handshake-timeout", "1s"])
        .start();
    let neighbour = server.echoing_neighbour();
    let began = Instant::now();
    let mut peers: Vec<Peer> = (0..20).map(|_| server.connect()).collect();
    let mut drips = Request::upgrade("/")
        .with("X-Slow", &"s".repeat(10_000))
        .encode()
        .into_iter();
    while !peers.is_empty() {
        let byte = [drips
            .next()
            .expect("the server has not waited for 10,000 bytes")];
        peers.retain_mut(|peer| peer.try_send_bytes(&byte).is_ok());
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(900) && took < Duration::from_secs(8),
        "{took:?}"
    );
    neighbour.is_unharmed();
}

#[test]
fn slow_request_after_a_served_one_is_cut_off_as_well() {
    let server = Server::of(handlers::echo())
        .args(["--handshake-timeout", "500ms"])
        .start();
    let mut peer = server.connect();
    peer.request(&Request::get("/"));
    // Some answers end the connection at once, which is as good.
    let _ = peer.try_send_bytes(b"GET / HT");
    peer.read_to_end();
}

#[test]
fn half_closed_client_gets_its_answer_and_is_let_go() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let files = server.usage().open_files();

    let mut before_a_byte = server.connect();
    before_a_byte.finish_writing();
    before_a_byte.expect_end();

    let mut in_the_head = server.connect();
    in_the_head.send_bytes(b"GET / HTTP/1.1\r\nHost: loc");
    in_the_head.finish_writing();
    in_the_head.read_to_end();

    let mut after_the_handshake = server.open();
    after_the_handshake.send_text("last words");
    after_the_handshake.finish_writing();
    after_the_handshake.expect_text("last words");
    after_the_handshake.read_to_end();

    let mut in_a_frame = server.open();
    in_a_frame.send_bytes(&Frame::new(frame::TEXT, "unfinished").encode()[..9]);
    in_a_frame.finish_writing();
    in_a_frame.read_to_end();

    wait::until("every descriptor is given back", || {
        server.usage().open_files() <= files
    });
    neighbour.is_unharmed();
}
