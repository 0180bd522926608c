//! Bad input on an open WebSocket: broken frames, bombs, floods, peers that do not read.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;
use wsrun_tests::wait;

const DEFLATE: &str = "permessage-deflate; client_max_window_bits";

#[test]
fn server_fails_connection_on_each_broken_frame_with_the_right_code() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let text = |payload: &[u8]| Frame::new(frame::TEXT, payload);
    for (name, wire, code) in [
        ("unmasked text", text(b"bare").unmasked().encode(), 1002),
        (
            "unmasked ping",
            Frame::new(frame::PING, "").unmasked().encode(),
            1002,
        ),
        (
            "unmasked close",
            Frame::close(1000, "").unmasked().encode(),
            1002,
        ),
        (
            "reserved bit 1 without an extension",
            text(b"x").reserved(0x40).encode(),
            1002,
        ),
        ("reserved bit 2", text(b"x").reserved(0x20).encode(), 1002),
        ("reserved bit 3", text(b"x").reserved(0x10).encode(), 1002),
        (
            "reserved bit on a ping",
            Frame::new(frame::PING, "").reserved(0x40).encode(),
            1002,
        ),
        ("opcode 3", Frame::new(0x3, "x").encode(), 1002),
        ("opcode 7", Frame::new(0x7, "x").encode(), 1002),
        ("opcode 11", Frame::new(0xb, "x").encode(), 1002),
        ("opcode 15", Frame::new(0xf, "x").encode(), 1002),
        (
            "a fragmented ping",
            Frame::new(frame::PING, "x").to_be_continued().encode(),
            1002,
        ),
        (
            "a fragmented close",
            Frame::close(1000, "").to_be_continued().encode(),
            1002,
        ),
        (
            "a ping of 126 bytes",
            Frame::new(frame::PING, [0; 126]).encode(),
            1002,
        ),
        (
            "a close of 126 bytes",
            Frame::close(1000, &"r".repeat(124)).encode(),
            1002,
        ),
        (
            "a close of 1 byte",
            Frame::new(frame::CLOSE, [3]).encode(),
            1002,
        ),
        ("close code 0", Frame::close(0, "").encode(), 1002),
        ("close code 999", Frame::close(999, "").encode(), 1002),
        ("close code 1004", Frame::close(1004, "").encode(), 1002),
        ("close code 1005", Frame::close(1005, "").encode(), 1002),
        ("close code 1006", Frame::close(1006, "").encode(), 1002),
        ("close code 1015", Frame::close(1015, "").encode(), 1002),
        ("close code 2999", Frame::close(2999, "").encode(), 1002),
        ("close code 5000", Frame::close(5000, "").encode(), 1002),
        (
            "a close reason that is not UTF-8",
            Frame::new(frame::CLOSE, [3, 232, 0xff]).encode(),
            1007,
        ),
        (
            "a continuation of nothing",
            Frame::new(frame::CONTINUATION, "x").encode(),
            1002,
        ),
        (
            "a message in a message",
            [text(b"a").to_be_continued().encode(), text(b"b").encode()].concat(),
            1002,
        ),
        (
            "a length of 5 in 8 bytes",
            text(b"12345").in_longest_form().encode(),
            1002,
        ),
        ("text that is not UTF-8", text(&[0xff]).encode(), 1007),
        ("a surrogate", text(&[0xed, 0xa0, 0x80]).encode(), 1007),
        ("an overlong form", text(&[0xc0, 0xaf]).encode(), 1007),
        (
            "a code point beyond all",
            text(&[0xf4, 0x90, 0x80, 0x80]).encode(),
            1007,
        ),
        (
            "text that ends within a character",
            text(&[b'a', 0xe4, 0xb8]).encode(),
            1007,
        ),
        (
            "text that ends within a character in its last fragment",
            [
                text(&[0xe4]).to_be_continued().encode(),
                Frame::new(frame::CONTINUATION, [0xb8]).encode(),
            ]
            .concat(),
            1007,
        ),
        (
            "text that fails in its first fragment",
            text(&[b'a', 0xff]).to_be_continued().encode(),
            1007,
        ),
    ] {
        let mut peer = server.open();
        peer.send_bytes(&wire);
        let frame = peer.read_frame();
        assert_eq!(frame.opcode, frame::CLOSE, "{name}: {frame:?}");
        assert_eq!(frame.close_info().0, code, "{name}: {frame:?}");
        peer.finish_writing();
        peer.expect_end();
    }
    neighbour.is_unharmed();
}

#[test]
fn server_fails_connection_on_bad_utf8_before_its_frame_is_whole() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    let wire = Frame::new(
        frame::TEXT,
        [b"fine so far ".as_slice(), &[0xf4, 0x90], &[b'x'; 100]].concat(),
    )
    .encode();
    // The header, the mask and the first bad byte; a hundred bytes of the frame never come.
    peer.send_bytes(&wire[..6 + 12 + 2]);
    peer.expect_close(1007);
}

#[test]
fn server_ends_connection_on_garbage_after_the_handshake() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let random: Vec<u8> = (1..65_536_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for garbage in [
        random.as_slice(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0; 4096],
        &[0xff; 4096],
    ] {
        let mut peer = server.open();
        let _ = peer.try_send_bytes(garbage);
        match peer.try_read_frame() {
            Ok(frame) => {
                assert_eq!(frame.opcode, frame::CLOSE, "{frame:?}");
                assert!(
                    [1002, 1007, 1009].contains(&frame.close_info().0),
                    "{frame:?}"
                );
            }
            // The close frame is lost when the transport is reset over input that nobody read.
            Err(NoFrame::Ended) => {}
            Err(NoFrame::TimedOut) => panic!("the server ignores garbage"),
        }
    }
    neighbour.is_unharmed();
}

#[test]
fn server_closes_with_1009_when_a_message_is_over_the_limit() {
    let server = Server::of(handlers::echo())
        .args(["--max-message", "1KiB"])
        .start();
    let neighbour = server.echoing_neighbour();
    let mut peer = server.open();
    peer.send_binary(&[1; 1024]);
    assert_eq!(peer.read_frame().payload.len(), 1024);

    peer.send_binary(&[1; 1025]);
    peer.expect_close(1009);

    let mut in_fragments = server.open();
    in_fragments.send(&Frame::new(frame::BINARY, [1; 1000]).to_be_continued());
    in_fragments.send(&Frame::new(frame::CONTINUATION, [1; 24]).to_be_continued());
    in_fragments.send(&Frame::new(frame::PING, "still fine"));
    assert_eq!(in_fragments.read_frame().opcode, frame::PONG);
    in_fragments.send(&Frame::new(frame::CONTINUATION, [1; 1]));
    in_fragments.expect_close(1009);
    neighbour.is_unharmed();
}

#[test]
fn server_refuses_by_the_declared_length_and_allocates_nothing_for_it() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let attack = |length: u64, code: u16| {
        let mut peer = server.open();
        peer.send(&Frame::new(frame::BINARY, "").declaring(length));
        peer.expect_close(code);
    };
    for _ in 0..50 {
        attack(1 << 31, 1009);
    }
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    for _ in 0..200 {
        for (length, code) in [
            (MIB + 1, 1009),
            (1 << 31, 1009),
            (1 << 32, 1009),
            ((1 << 63) - 1, 1009),
            (1 << 63, 1002),
            (u64::MAX, 1002),
        ] {
            attack(length, code);
        }
    }
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(
        grown <= 5 * MIB,
        "{grown} bytes for lengths that were only told"
    );
    neighbour.is_unharmed();
}

#[test]
fn connections_that_declare_the_largest_message_hold_what_they_sent_only() {
    let server = Server::of(handlers::echo()).start();
    let _warm: Vec<Peer> = (0..200).map(|_| server.open()).collect();
    let resident = server.usage().resident_bytes();
    let mut peers: Vec<Peer> = (0..200).map(|_| server.open()).collect();
    for peer in &mut peers {
        peer.send(&Frame::new(frame::BINARY, "a few bytes").declaring(MIB));
        peer.send_bytes(b"");
    }
    let neighbour = server.echoing_neighbour();
    let grown = server.usage().resident_bytes().saturating_sub(resident);
    assert!(
        grown <= 20 * MIB,
        "{} MiB for 200 connections that sent a few bytes",
        grown / MIB
    );
    neighbour.is_unharmed();
}

fn deflated(total: u64, of: u8) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let block = vec![of; 64 * 1024];
    let mut left = total;
    while left > 0 {
        let length = left.min(block.len() as u64);
        encoder
            .write_all(&block[..length as usize])
            .expect("memory takes all");
        left -= length;
    }
    // RFC 7692, 7.2.1: flushed, and without the last four bytes of the flush.
    encoder.flush().expect("memory takes all");
    let mut bytes = encoder.get_ref().clone();
    assert!(bytes.ends_with(&[0, 0, 0xff, 0xff]));
    bytes.truncate(bytes.len() - 4);
    bytes
}

fn open_compressed(server: &Server) -> Peer {
    let mut peer = server.connect();
    let response = peer.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Extensions", DEFLATE));
    assert!(
        response
            .header("sec-websocket-extensions")
            .is_some_and(|value| value.starts_with("permessage-deflate")),
        "{response:?}"
    );
    peer
}

#[test]
fn deflate_bomb_is_closed_with_1009_and_costs_no_more_than_the_limit() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let bomb = deflated(1 << 30, 0);
    assert!(bomb.len() < 1_100_000, "{}", bomb.len());
    let whole = Frame::new(frame::BINARY, &bomb)
        .reserved(frame::RSV1)
        .encode();
    let mut split = Vec::new();
    let pieces: Vec<&[u8]> = bomb.chunks(10_000).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let opcode = if number == 0 {
            frame::BINARY
        } else {
            frame::CONTINUATION
        };
        let mut frame =
            Frame::new(opcode, piece).reserved(if number == 0 { frame::RSV1 } else { 0 });
        frame.last = number + 1 == pieces.len();
        frame.encode_onto(&mut split);
    }
    for wire in [&whole, &split] {
        let resident = server.usage().resident_bytes();
        server.usage().restart_peak();
        let cpu = server.usage().cpu();
        let mut peers: Vec<Peer> = (0..20).map(|_| open_compressed(&server)).collect();
        for peer in &mut peers {
            // The server may have enough before all of it is sent.
            let _ = peer.try_send_bytes(wire);
        }
        for peer in &mut peers {
            match peer.try_read_frame() {
                Ok(frame) => assert_eq!(frame.close_info().0, 1009, "{:?}", frame.opcode),
                Err(NoFrame::Ended) => {}
                Err(NoFrame::TimedOut) => panic!("the bomb is not answered"),
            }
        }
        drop(peers);
        let grown = server.usage().peak_bytes().saturating_sub(resident);
        assert!(grown <= 20 * 2 * MIB, "20 bombs cost {} MiB", grown / MIB);
        let cpu = server.usage().cpu() - cpu;
        assert!(cpu <= Duration::from_secs(4), "20 bombs cost {cpu:?}");
    }
    neighbour.is_unharmed();
}

#[test]
fn compressed_message_may_inflate_to_the_limit_and_not_to_one_byte_more() {
    let server = Server::of(handlers::echo())
        .args(["--max-message", "64KiB"])
        .start();
    let mut peer = open_compressed(&server);
    peer.send(&Frame::new(frame::BINARY, deflated(64 * 1024, 7)).reserved(frame::RSV1));
    let frame = peer.read_frame();
    assert_eq!(frame.opcode, frame::BINARY);
    let mut peer = open_compressed(&server);
    peer.send(&Frame::new(frame::BINARY, deflated(64 * 1024 + 1, 7)).reserved(frame::RSV1));
    peer.expect_close(1009);
}

#[test]
fn server_fails_connection_on_bytes_that_do_not_inflate() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    for payload in [&[0xff; 40][..], &[0x07], &[0x06, 0xff, 0xff, 0xff]] {
        let mut peer = open_compressed(&server);
        peer.send(&Frame::new(frame::BINARY, payload).reserved(frame::RSV1));
        let frame = peer.read_frame();
        assert_eq!(frame.opcode, frame::CLOSE, "{frame:?}");
        assert!([1002, 1007].contains(&frame.close_info().0), "{frame:?}");
    }
    let mut peer = open_compressed(&server);
    peer.send(&Frame::new(frame::TEXT, "a").to_be_continued());
    peer.send(&Frame::new(frame::CONTINUATION, "b").reserved(frame::RSV1));
    peer.expect_close(1002);
    neighbour.is_unharmed();
}

#[test]
fn memory_comes_back_after_many_compressed_connections() {
    for mode in ["shared", "dedicated"] {
        let server = Server::of(handlers::echo())
            .args(["--compression", mode])
            .start();
        let text = "compressible ".repeat(200);
        let idle_files = server.usage().open_files();
        let mut resident = Vec::new();
        for round in 0..4 {
            let mut peers: Vec<Peer> = (0..300).map(|_| open_compressed(&server)).collect();
            for peer in &mut peers {
                peer.send_text(&text);
                assert_eq!(peer.read_frame().opcode, frame::TEXT);
            }
            drop(peers);
            // Every one of them: a few that are still there would be taken for memory left behind.
            wait::until("the connections are gone", || {
                server.usage().open_files() <= idle_files
            });
            // What a connection had is freed a moment after its descriptor.
            if round == 3 {
                let before = *resident.last().expect("there were rounds");
                let what = format!("{mode}: memory is as after the rounds before: {resident:?}");
                wait::until(&what, || {
                    server.usage().resident_bytes() <= before + 8 * MIB
                });
            }
            resident.push(server.usage().resident_bytes());
        }
    }
}

#[test]
fn a_hundred_unfinished_messages_of_131_000_fragments_stay_small() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let mut wire = Frame::new(frame::BINARY, [1]).to_be_continued().encode();
    let fragment = Frame::new(frame::CONTINUATION, [1])
        .to_be_continued()
        .encode();
    for _ in 0..131_000 {
        wire.extend(&fragment);
    }
    wire.extend(Frame::new(frame::PING, "all read").encode());
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let mut peers: Vec<Peer> = (0..100).map(|_| server.open()).collect();
    for peer in &mut peers {
        peer.send_bytes(&wire);
        assert_eq!(peer.read_frame().opcode, frame::PONG);
    }
    // Twice the payload and 64 KiB for each.
    let bound = 100 * (2 * 131_001 + 64 * 1024);
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(
        grown <= bound,
        "{} MiB for {} MiB of payload",
        grown / MIB,
        100 * 131_001 / MIB
    );
    neighbour.is_unharmed();
}

#[test]
fn message_of_two_million_empty_fragments_costs_nothing() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let fragment = Frame::new(frame::CONTINUATION, "")
        .to_be_continued()
        .encode();
    let many = fragment.repeat(100_000);
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "").to_be_continued());
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let mut taken = true;
    for _ in 0..20 {
        taken &= peer.try_send_bytes(&many).is_ok();
    }
    if taken {
        let _ = peer.try_send_bytes(&Frame::new(frame::CONTINUATION, "at last").encode());
    }
    // Taken as the message that it is, or refused by the limit of fragments.
    match peer.try_read_frame() {
        Ok(frame) if frame.opcode == frame::TEXT => assert_eq!(frame.text(), "at last"),
        Ok(frame) => assert!([1008, 1009].contains(&frame.close_info().0), "{frame:?}"),
        Err(NoFrame::Ended) if !taken => {}
        Err(reason) => panic!("{reason:?}"),
    }
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(grown <= 2 * MIB, "{grown} bytes for nothing");
    neighbour.is_unharmed();
}

#[test]
fn started_message_must_end_within_the_message_timeout() {
    let server = Server::of(handlers::echo())
        .args(["--message-timeout", "1s"])
        .start();
    let neighbour = server.echoing_neighbour();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "never ").to_be_continued());
    let began = std::time::Instant::now();
    let code = loop {
        // It goes on, so that no idle timeout is what ends it.
        let _ = peer.try_send_bytes(
            &Frame::new(frame::CONTINUATION, "ends ")
                .to_be_continued()
                .encode(),
        );
        peer.set_read_timeout(Duration::from_millis(50));
        match peer.try_read_frame() {
            Ok(frame) => break frame.close_info().0,
            Err(NoFrame::TimedOut) => assert!(
                began.elapsed() < wait::PATIENCE,
                "the message may go on for ever"
            ),
            Err(NoFrame::Ended) => panic!("no close frame"),
        }
    };
    assert!([1002, 1008].contains(&code), "{code}");
    neighbour.is_unharmed();
}

#[test]
fn ping_flood_of_a_peer_that_does_not_read_is_bounded_and_ended() {
    let server = Server::of(handlers::echo())
        .args(["--write-timeout", "2s"])
        .start();
    let neighbour = server.echoing_neighbour();
    let pings = Frame::new(frame::PING, [b'p'; 125]).encode().repeat(1_000);
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let mut peer = server.open();
    peer.set_write_timeout(Duration::from_secs(1));
    let began = std::time::Instant::now();
    let mut sent = 0;
    // A server that has stopped to read makes the writes time out until it ends the transport. A piece that was cut in the middle does
    // not matter: the rest of it is never read as a frame by a server that has stopped.
    while sent < 1_000_000 && began.elapsed() < wait::PATIENCE {
        match peer.try_send_bytes(&pings) {
            Ok(()) => sent += 1_000,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(
        grown <= 4 * MIB,
        "{} KiB for pongs that nobody reads",
        grown / 1024
    );
    neighbour.is_unharmed();
}

#[test]
fn pongs_answer_a_reader_that_keeps_up() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    for number in 0..500 {
        let payload = format!("ping {number}");
        peer.send(&Frame::new(frame::PING, &payload));
        let pong = peer.read_frame();
        assert_eq!((pong.opcode, pong.text()), (frame::PONG, payload.as_str()));
    }
    // Unasked pongs are nobody's business.
    peer.send(&Frame::new(frame::PONG, "unasked"));
    assert_eq!(peer.ask("x"), "x");
}

#[test]
fn storm_of_control_frames_around_a_close_is_survived() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    for _ in 0..50 {
        let mut peer = server.open();
        let mut wire = Vec::new();
        for number in 0..200_u8 {
            let opcode = if number % 2 == 0 {
                frame::PING
            } else {
                frame::PONG
            };
            Frame::new(opcode, [number]).encode_onto(&mut wire);
        }
        Frame::close(1000, "").encode_onto(&mut wire);
        for number in 0..200_u8 {
            let opcode =
                [frame::PING, frame::PONG, frame::CLOSE, frame::TEXT][usize::from(number % 4)];
            Frame::new(opcode, []).encode_onto(&mut wire);
        }
        let _ = peer.try_send_bytes(&wire);
        peer.expect_close_at_last(1000);
    }
    neighbour.is_unharmed();
}

#[test]
fn echo_peer_that_does_not_read_is_bounded_and_harms_nobody() {
    let server = Server::of(handlers::echo())
        .args(["--write-timeout", "3s"])
        .start();
    let neighbour = server.echoing_neighbour();
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let message = Frame::new(frame::BINARY, vec![1; 256 * 1024]).encode();
    let mut peers: Vec<Peer> = (0..20).map(|_| server.open()).collect();
    for peer in &mut peers {
        peer.set_write_timeout(Duration::from_millis(200));
        let mut whole = true;
        for _ in 0..100 {
            // After a message that was cut there is nothing sensible to send.
            whole = whole && peer.try_send_bytes(&message).is_ok();
        }
    }
    neighbour.lives();
    // The queue is 2 MiB at most by default; a message may be under way besides.
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(
        grown <= 20 * 4 * MIB,
        "20 peers that do not read hold {} MiB",
        grown / MIB
    );
    neighbour.is_unharmed();
}

#[test]
fn thousands_of_connections_that_come_and_go_badly_leave_nothing_behind() {
    let server = Server::of(handlers::echo()).start();
    let neighbour = server.echoing_neighbour();
    let files = server.usage().open_files();
    let cycle = |count: usize| {
        for number in 0..count {
            match number % 5 {
                0 => server.open().close(),
                1 => drop(server.open()),
                2 => drop(server.connect()),
                3 => {
                    let mut peer = server.connect();
                    peer.send_bytes(&Request::upgrade("/").encode()[..40]);
                }
                _ => {
                    let mut peer = server.open();
                    peer.send_bytes(&Frame::new(frame::TEXT, "in the middle").encode()[..10]);
                }
            }
        }
        wait::until("every descriptor is given back", || {
            server.usage().open_files() <= files
        });
    };
    cycle(1_000);
    let resident = server.usage().resident_bytes();
    cycle(4_000);
    let grown = server.usage().resident_bytes().saturating_sub(resident);
    assert!(
        grown <= 4 * MIB,
        "4,000 connections left {grown} bytes behind"
    );
    neighbour.is_unharmed();
}

/// Sends the same bytes again and again, reading nothing, until the server ends the transport.
#[track_caller]
fn flood_until_the_end(peer: &mut Peer, bytes: &[u8]) {
    let began = std::time::Instant::now();
    while peer.try_send_bytes(bytes).is_ok() {
        assert!(
            began.elapsed() < wait::PATIENCE / 2,
            "the flood is taken for ever"
        );
    }
}

#[test]
fn unanswered_close_has_its_deadline_while_the_peer_floods() {
    let server = Server::of(handlers::probe())
        .args(["--close-timeout", "1s"])
        .start();
    let mut peer = server.open();
    peer.send_text("close 4000 x");
    assert_eq!(peer.expect_close(4000), "x");
    let flood = Frame::new(frame::TEXT, "echo x").encode().repeat(5_000);
    flood_until_the_end(&mut peer, &flood);
    assert_eq!(server.open().ask("echo in"), "in");
}

#[test]
fn message_has_its_deadline_while_the_peer_floods_fragments() {
    let server = Server::of(handlers::echo())
        .args(["--message-timeout", "1s", "--close-timeout", "1s"])
        // So that no limit but the deadline ends it.
        .args(["--max-fragments", "4000000000"])
        .start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "never ends").to_be_continued());
    let fragment = Frame::new(frame::CONTINUATION, "").to_be_continued();
    let began = std::time::Instant::now();
    flood_until_the_end(&mut peer, &fragment.encode().repeat(200_000));
    assert!(began.elapsed() >= Duration::from_millis(900));
    assert_eq!(server.open().ask("in"), "in");
}

#[test]
fn idle_connections_hold_no_buffer_after_they_sent_something_unasked() {
    let server = Server::of(handlers::echo())
        .args(["--compression", "off"])
        .start();
    let large = vec![b'x'; 200_000];
    let mut busy = server.open();
    let mut circulate = || {
        busy.send_binary(&large);
        assert_eq!(busy.read_frame().payload.len(), large.len());
    };
    let mut idle: Vec<Peer> = (0..300).map(|_| server.open()).collect();
    circulate();
    let resident = server.usage().resident_bytes();
    for peer in &mut idle {
        peer.send(&Frame::new(frame::PONG, "unasked"));
        circulate();
    }
    let grown = server.usage().resident_bytes().saturating_sub(resident);
    assert!(
        grown <= 16 * MIB,
        "300 idle connections hold {} MiB",
        grown / MIB
    );
}
