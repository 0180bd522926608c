//! Who waits for whom, and messages that are larger than memory: rows 7, 8, 9, 14 and 16 of the 2011 interface.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use wsrun_tests::environment;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;
use wsrun_tests::wait;

const GIB: u64 = 1 << 30;

/// What a flat memory may still vary by: buffers of sockets, allocator slack, the handler's own memory.
const FLAT: u64 = 24 * MIB;

fn probe() -> Server {
    Server::of(handlers::probe()).start()
}

#[test]
fn seed_07_rx_flow_control_closes_the_window_of_a_peer_that_sends_a_gibibyte() {
    let server = probe();
    let neighbour = server.probing_neighbour();
    // A program that is not ours sends, and asks its kernel for the window that the server's kernel allows it.
    let mut sender = environment::python();
    sender
        .arg(handlers::source("tests/interop/window.py"))
        .arg(server.address().port().to_string());
    let before = server.usage().resident_bytes();
    server.usage().restart_peak();
    let output = environment::succeeds(sender);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it reports JSON");
    assert_eq!(report["window-when-stopped"], 0, "{report}");
    assert!(
        report["sent-before-stop"]
            .as_u64()
            .is_some_and(|sent| sent < 64 * MIB),
        "{report}"
    );
    assert_eq!(report["sent"], GIB, "{report}");
    assert!(report["window-when-resumed"].as_u64() > Some(0), "{report}");
    assert_eq!(report["echo"], "still here", "{report}");
    let grown = server.usage().peak_bytes().saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more at the peak", grown / 1024);
    neighbour.is_unharmed();
}

#[test]
fn seed_07_rx_flow_control_of_an_unknown_connection_does_nothing() {
    let server = probe();
    let mut peer = server.open();
    let mut other = server.open();
    let id = other.ask("id");
    assert_eq!(peer.ask(&format!("on {id} flow off")), "ok");
    other.send_text("echo waits");
    other.expect_silence(Duration::from_millis(300));
    assert_eq!(peer.ask(&format!("on {id} flow on")), "ok");
    other.expect_text("waits");
    assert_eq!(peer.ask("on 4711 flow off"), "ok");
}

#[test]
fn seed_08_callback_on_writable_comes_once_when_a_full_queue_has_drained() {
    let server = probe();
    let mut slow = server.open();
    let mut other = server.open();
    let id = slow.ask("id");
    // More than the buffers of both sockets take.
    let mut sent = 0;
    wait::until("the queue is full", || {
        let flood = other.ask(&format!("on {id} send-flood 1000 65536"));
        let count: u64 = flood
            .split(' ')
            .nth(1)
            .and_then(|count| count.parse().ok())
            .expect("the flood tells how many were sent");
        sent += count;
        let buffered = other.ask(&format!("on {id} buffered"));
        flood.contains("err queue-full") && buffered.parse::<u64>().is_ok_and(|bytes| bytes > MIB)
    });
    assert_eq!(other.ask(&format!("on {id} want-writable")), "ok");
    // It reads: all that was taken comes, then the callback, once.
    let (mut binaries, mut texts) = (0, Vec::new());
    while texts.last().is_none_or(|text: &String| text != "end") {
        let frame = slow.read_frame();
        match frame.opcode {
            frame::BINARY => binaries += 1,
            frame::TEXT if frame.text() == "writable" => {
                texts.push("writable".to_owned());
                slow.send_text("echo end");
            }
            frame::TEXT => texts.push(frame.text().to_owned()),
            _ => panic!("{frame:?}"),
        }
    }
    assert_eq!(binaries, sent, "nothing is lost");
    assert_eq!(texts.iter().filter(|text| *text == "writable").count(), 1);
    assert_eq!(other.ask(&format!("on {id} buffered")), "0");
}

#[test]
fn seed_08_callback_on_writable_of_an_idle_connection_comes_at_once() {
    let server = probe();
    let mut peer = server.open();
    peer.send_text("want-writable");
    let mut texts = [peer.read_text(), peer.read_text()];
    texts.sort();
    assert_eq!(texts, ["ok", "writable"]);
}

#[test]
fn seed_09_callback_on_writable_all_protocol_reaches_each_connection_of_the_protocol() {
    let server = Server::without_handler()
        .arg("--protocol")
        .arg(format!("ask={}", handlers::probe().display()))
        .start();
    let mut with: Vec<Peer> = (0..5).map(|_| server.open_protocol("ask")).collect();
    let mut without = server.open();
    assert_eq!(with[4].ask("echo open"), "open");
    assert_eq!(without.ask("want-writable-all ask"), "ok");
    for peer in &mut with {
        peer.expect_text("writable");
        assert_eq!(peer.ask("echo once"), "once");
    }
    assert_eq!(without.ask("echo not me"), "not me");
    // All of them, whatever they agreed on.
    without.send_text("want-writable-all");
    let mut texts = [without.read_text(), without.read_text()];
    texts.sort();
    assert_eq!(texts, ["ok", "writable"]);
    for peer in &mut with {
        peer.expect_text("writable");
    }
}

#[test]
fn seed_16_remaining_packet_payload_counts_down_to_the_end_of_each_frame() {
    let server = Server::of(handlers::built("chunked")).start();
    let mut peer = server.open();
    // One frame that comes in three writes, then two small ones of the same message.
    let whole = Frame::new(frame::TEXT, "abcdefghij")
        .to_be_continued()
        .encode();
    let header = whole.len() - 10;
    peer.send_bytes(&whole[..header + 4]);
    let mut told = 0;
    let mut parts = vec![part(&mut peer)];
    told += parts[0]["bytes"].as_u64().expect("a number");
    peer.send_bytes(&whole[header + 4..]);
    while told < 10 {
        let part = part(&mut peer);
        told += part["bytes"].as_u64().expect("a number");
        parts.push(part);
    }
    let mut left = 10;
    for part in &parts {
        left -= part["bytes"].as_u64().expect("a number");
        assert_eq!(part["remaining"], left, "{part}");
        assert_eq!(part["final"], false, "{part}");
        assert_eq!(part["text"], true, "{part}");
    }
    assert_eq!(parts[0]["first"], true);
    assert!(parts[1..].iter().all(|part| part["first"] == false));

    peer.send(&Frame::new(frame::CONTINUATION, "k").to_be_continued());
    let expected =
        json!({"text": true, "bytes": 1, "first": false, "final": false, "remaining": 0});
    assert_eq!(part(&mut peer), expected);
    peer.send(&Frame::new(frame::CONTINUATION, ""));
    let expected = json!({"text": true, "bytes": 0, "first": false, "final": true, "remaining": 0});
    assert_eq!(part(&mut peer), expected);
    peer.send(&Frame::new(frame::BINARY, [0xff]));
    let expected = json!({"text": false, "bytes": 1, "first": true, "final": true, "remaining": 0});
    assert_eq!(part(&mut peer), expected);
    peer.close();
}

#[track_caller]
fn part(peer: &mut Peer) -> Value {
    serde_json::from_str(&peer.read_text()).expect("the guest tells JSON")
}

#[test]
fn seed_16_parts_of_an_invalid_text_end_the_connection() {
    let server = Server::of(handlers::built("chunked")).start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, [b'a', 0xc3]).to_be_continued());
    assert_eq!(part(&mut peer)["bytes"], 2);
    peer.send(&Frame::new(frame::CONTINUATION, [b'b']));
    peer.expect_close_at_last(1007);
}

#[test]
fn seed_16_message_beyond_max_stream_ends_the_connection_before_it_is_sent() {
    let server = Server::of(handlers::built("chunked"))
        .args(["--max-stream", "1MiB"])
        .start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::BINARY, "").declaring(MIB + 1));
    peer.expect_close(1009);
}

#[test]
fn seed_16_parts_are_echoed_while_the_message_is_still_coming() {
    let server = Server::of(handlers::built("chunk-echo")).start();
    let mut peer = server.open();
    peer.send(&Frame::new(frame::TEXT, "one ").to_be_continued());
    let first = peer.read_frame();
    assert_eq!(
        (first.opcode, first.last, first.text()),
        (frame::TEXT, false, "one ")
    );
    peer.send(&Frame::new(frame::PING, "in between"));
    assert_eq!(peer.read_frame().opcode, frame::PONG);
    peer.send(&Frame::new(frame::CONTINUATION, "two"));
    let second = peer.read_frame();
    assert_eq!(
        (second.opcode, second.last, second.text()),
        (frame::CONTINUATION, true, "two")
    );
    peer.close();
}

/// The checksum of the example `upload`: the sum of little-endian words.
fn checksum_of_pattern(bytes: u64) -> String {
    let word = |start: u64| {
        let bytes: [u8; 8] = std::array::from_fn(|at| ((start + at as u64) % 256) as u8);
        u64::from_le_bytes(bytes)
    };
    let period: u64 = (0..32).map(|at| word(at * 8)).fold(0, u64::wrapping_add);
    assert_eq!(bytes % 256, 0, "whole periods");
    format!("{bytes} {:016x}", period.wrapping_mul(bytes / 256))
}

#[test]
fn seed_16_message_of_a_gibibyte_is_received_in_constant_memory() {
    let server = Server::of(handlers::built("upload")).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("warm up").split(' ').next(), Some("7"));
    let before = server.usage().resident_bytes();
    server.usage().restart_peak();
    // One frame. A mask of zeros leaves the payload as it is, so that a test can send it quickly.
    let mut header = vec![0x82, 0xff];
    header.extend(GIB.to_be_bytes());
    header.extend([0; 4]);
    peer.send_bytes(&header);
    let part: Vec<u8> = (0..MIB).map(|at| (at % 256) as u8).collect();
    for _ in 0..GIB / MIB {
        peer.send_bytes(&part);
    }
    assert_eq!(peer.read_text(), checksum_of_pattern(GIB));
    let grown = server.usage().peak_bytes().saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more at the peak", grown / 1024);
    peer.close();
}

#[test]
fn seed_14_message_of_a_gibibyte_is_sent_in_parts_in_constant_memory() {
    let server = Server::of(handlers::built("upload")).start();
    let mut peer = server.open();
    assert_eq!(peer.ask("warm up").split(' ').next(), Some("7"));
    let before = server.usage().resident_bytes();
    server.usage().restart_peak();
    peer.send_text(&format!("send {GIB}"));
    let (mut received, mut sum, mut first, mut last) = (0_u64, 0_u64, true, false);
    while !last {
        let frame = peer.read_frame();
        let opcode = if first {
            frame::BINARY
        } else {
            frame::CONTINUATION
        };
        assert_eq!(frame.opcode, opcode);
        let (words, rest) = frame.payload.as_chunks::<8>();
        assert!(rest.is_empty(), "parts are whole words");
        sum = words
            .iter()
            .fold(sum, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
        received += frame.payload.len() as u64;
        (first, last) = (false, frame.last);
    }
    assert_eq!(received, GIB);
    assert_eq!(peer.read_text(), format!("{received} {sum:016x}"));
    assert_eq!(format!("{received} {sum:016x}"), checksum_of_pattern(GIB));
    let grown = server.usage().peak_bytes().saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more at the peak", grown / 1024);
    peer.close();
}

#[test]
fn seed_08_sender_of_a_gibibyte_meets_a_full_queue_and_flat_memory_when_its_peer_never_reads() {
    let server = Server::of(handlers::built("upload")).start();
    let neighbour_before = server.open().ask("x");
    let before = server.usage().resident_bytes();
    server.usage().restart_peak();
    // Plain sockets: nobody reads behind our back.
    let mut stuck = TcpStream::connect(server.address()).expect("the server accepts");
    stuck
        .write_all(&Request::upgrade("/").encode())
        .expect("the server reads");
    stuck
        .write_all(&Frame::new(frame::TEXT, format!("send {GIB}")).encode())
        .expect("the server reads");
    wait::until("the sockets are full and nothing moves", || {
        let first = server.usage().cpu();
        std::thread::sleep(Duration::from_millis(300));
        server.usage().resident_bytes() > before
            && server.usage().cpu() - first < Duration::from_millis(30)
    });
    let grown = server.usage().peak_bytes().saturating_sub(before);
    assert!(grown < FLAT, "{} KiB more at the peak", grown / 1024);
    assert_eq!(server.open().ask("x"), neighbour_before);
}

#[test]
fn seed_14_parts_cannot_break_the_rules_and_whole_messages_wait_behind_them() {
    let server = probe();
    let mut peer = server.open();
    let mut other = server.open();
    let id = peer.ask("id");
    let on = |other: &mut Peer, command: &str| other.ask(&format!("on {id} {command}"));
    assert_eq!(other.ask(&format!("on {id} subscribe t")), "ok true");
    assert_eq!(on(&mut other, "chunk text false one "), "ok");
    assert_eq!(on(&mut other, "chunk binary false x"), "err wrong-kind");
    // What is sent, published and broadcast meanwhile waits for the end of the message, in order; a ping does not.
    assert_eq!(other.ask(&format!("send-to {id} sent")), "ok");
    assert_eq!(other.ask("publish t published"), "1");
    assert_eq!(on(&mut other, "ping now"), "ok");
    let part = peer.read_frame();
    assert_eq!(
        (part.opcode, part.last, part.text()),
        (frame::TEXT, false, "one ")
    );
    assert_eq!(peer.read_frame().opcode, frame::PING);
    assert_eq!(on(&mut other, "chunk text true two"), "ok");
    let part = peer.read_frame();
    assert_eq!(
        (part.opcode, part.last, part.text()),
        (frame::CONTINUATION, true, "two")
    );
    peer.expect_text("sent");
    peer.expect_text("published");
    assert_eq!(other.ask("on 4711 chunk text true x"), "err closed");
}

#[test]
fn seed_14_parts_beyond_max_stream_are_refused_and_the_message_can_end() {
    let server = Server::of(handlers::probe())
        .args(["--max-stream", "1KiB"])
        .start();
    let mut peer = server.open();
    let mut other = server.open();
    let id = peer.ask("id");
    let thousand = "x".repeat(1000);
    assert_eq!(
        other.ask(&format!("on {id} chunk text false {thousand}")),
        "ok"
    );
    let more = other.ask(&format!("on {id} chunk text false {}", "y".repeat(25)));
    assert_eq!(more, "err too-large 1024");
    assert_eq!(other.ask(&format!("on {id} chunk text true !")), "ok");
    assert_eq!(peer.read_frame().payload.len(), 1000);
    let end = peer.read_frame();
    assert_eq!((end.last, end.text()), (true, "!"));
}
