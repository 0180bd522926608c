//! Messages that arrive together are given to a handler in one call, and nothing shows of it but the speed.

use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;

fn probe(arguments: &[&str]) -> Administered {
    Administered::start(Server::of(handlers::probe()).args(arguments))
}

/// Sends texts in one piece, so that they are read together.
fn send_together(peer: &mut Peer, texts: impl IntoIterator<Item = String>) {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend(Frame::new(frame::TEXT, text.as_bytes()).encode());
    }
    peer.send_bytes(&bytes);
}

fn callbacks(server: &Administered) -> u64 {
    server.metric("wsrun_callbacks_total{handler=\"probe\"}")
}

#[test]
fn messages_that_arrive_together_cost_few_calls_and_are_answered_in_order() {
    let server = probe(&[]);
    let mut peer = server.open();
    let before = callbacks(&server);
    let mut sent = 0;
    // As the handler proves quick it is given more of them at once.
    for round in 0..20 {
        let numbers = (0..50).map(|number| round * 50 + number);
        send_together(&mut peer, numbers.map(|number| format!("echo {number}")));
        for number in round * 50..round * 50 + 50 {
            peer.expect_text(&number.to_string());
            sent += 1;
        }
    }
    let calls = callbacks(&server) - before;
    assert!(calls < sent / 5, "{calls} calls for {sent} messages");
    assert_eq!(peer.ask("calls"), (sent + 1).to_string());
}

#[test]
fn both_kinds_and_all_sizes_come_back_as_they_were() {
    let server = Server::of(handlers::echo()).start();
    let mut peer = server.open();
    let sizes = [0, 1, 125, 126, 1_000, 31_000, 33_000, 65_536, 3, 70_000, 0];
    for _ in 0..20 {
        let frames = sizes.iter().enumerate().map(|(at, size)| {
            let opcode = [frame::TEXT, frame::BINARY][at % 2];
            Frame::new(opcode, vec![b'a' + u8::try_from(at).unwrap(); *size])
        });
        let frames: Vec<Frame> = frames.collect();
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
        peer.send_bytes(&bytes);
        for sent in &frames {
            let frame = peer.read_frame();
            assert_eq!(frame.opcode, sent.opcode);
            assert!(
                frame.payload == sent.payload,
                "{} bytes",
                sent.payload.len()
            );
        }
    }
}

#[test]
fn one_message_of_many_that_traps_costs_its_connection_and_no_effect_of_those_before() {
    let server = probe(&[]);
    let neighbour = server.probing_neighbour();
    let mut subscriber = server.open();
    assert_eq!(subscriber.ask("subscribe t"), "ok true");
    for round in 0..20 {
        let mut peer = server.open();
        let before = (0..10).map(|number| format!("publish t {round}-{number}"));
        let texts = before
            .chain(["trap".to_owned()])
            .chain(["publish t never".to_owned()]);
        send_together(&mut peer, texts);
        for _ in 0..10 {
            peer.expect_text("1");
        }
        peer.expect_close(1011);
        // Each once, and in order.
        for number in 0..10 {
            subscriber.expect_text(&format!("{round}-{number}"));
        }
    }
    subscriber.expect_silence(Duration::from_millis(100));
    let failed = "wsrun_callbacks_failed_total{handler=\"probe\",kind=\"trap\"}";
    assert_eq!(server.metric(failed), 20, "each counts once");
    neighbour.is_unharmed();
}

#[test]
fn effects_keep_their_order_among_messages_that_arrive_together() {
    let server = probe(&[]);
    for _ in 0..10 {
        let mut peer = server.open();
        let texts = [
            "subscribe t",
            "echo one",
            "publish t two",
            "echo three",
            "session-set kept",
            "session-get",
            "buffered",
            "ping four",
            "echo five",
            "close 4001 six",
            "echo seven",
        ];
        send_together(&mut peer, texts.map(str::to_owned));
        peer.expect_text("ok true");
        peer.expect_text("one");
        peer.expect_text("two");
        peer.expect_text("1");
        peer.expect_text("three");
        peer.expect_text("ok");
        peer.expect_text("kept");
        let buffered: u64 = peer.read_text().parse().unwrap();
        assert!(buffered < 1_000, "{buffered}");
        let ping = peer.read_frame();
        assert_eq!(ping.opcode, frame::PING);
        peer.expect_text("ok");
        peer.expect_text("five");
        assert_eq!(peer.expect_close(4001), "six");
    }
}

#[test]
fn handler_is_told_of_every_message_that_is_not_taken() {
    let server = probe(&["--max-queue", "64KiB", "--max-message", "32KiB"]);
    let mut peer = server.open();
    for _ in 0..5 {
        send_together(&mut peer, (0..20).map(|_| "echo warm".to_owned()));
        (0..20).for_each(|_| peer.expect_text("warm"));
    }
    for _ in 0..10 {
        send_together(
            &mut peer,
            ["echo a", "send-flood 1000 1500", "echo b"].map(str::to_owned),
        );
        peer.expect_text("a");
        peer.send_text("last-flood");
        peer.send_text("echo end");
        let mut got = 0;
        let mut told = None;
        loop {
            let frame = peer.read_frame();
            if frame.opcode == frame::BINARY {
                assert_eq!(frame.payload.len(), 1_500);
                got += 1;
                continue;
            }
            match String::from_utf8(frame.payload).unwrap().as_str() {
                "end" => break,
                // Its own answer, and that of the echo, may have found no room.
                "b" => {}
                sent => told = Some(sent.to_owned()),
            }
        }
        let told = told.expect("an answer");
        assert!(
            told.starts_with(&format!("sent {got} err queue-full")),
            "{got} of {told}"
        );
    }
}

#[test]
fn slow_handler_loses_no_instance_to_the_time_of_many_messages() {
    // Each takes 20 ms of 100: sixty together would take a second.
    let server = probe(&[]);
    let mut peer = server.open();
    for _ in 0..3 {
        send_together(&mut peer, (0..20).map(|_| "compute 20".to_owned()));
        for _ in 0..20 {
            let answer = peer.read_text();
            assert!(answer.starts_with("ok"), "{answer}");
        }
    }
    let instances = server.metric("wsrun_instances_total{handler=\"probe\"}");
    assert_eq!(instances, 1, "it was never stopped");
    let timeouts = server.hits("probe", "callback-timeout");
    assert_eq!(timeouts, 0);
}

#[test]
fn handler_that_misuses_packed_messages_gets_each_alone_and_nothing_is_sent_twice() {
    let server = Server::of(handlers::source("tests/guests/misuse.wat"));
    let server = Administered::start(server);
    let instances = || server.metric("wsrun_instances_total{handler=\"misuse\"}");
    let mut made = instances();
    let neighbour = server.echoing_neighbour();
    // The last is no misuse.
    for (first, says) in [
        (
            "O",
            Some("not the connection that packed.received was called for"),
        ),
        ("M", Some("the bytes are not packed messages")),
        ("T", Some("a text is not UTF-8")),
        ("X", Some("more than the room")),
        ("y", None),
    ] {
        let mut peer = server.open();
        send_together(&mut peer, [first.to_owned(), "two".to_owned()]);
        peer.expect_text(first);
        peer.expect_text("two");
        assert_eq!(peer.ask("three"), "three");
        let now = instances();
        assert_eq!(now - made, u64::from(says.is_some()), "{first}");
        made = now;
        if let Some(says) = says {
            server.expect_log(says);
        }
        // After a failure a thousand come alone before the next call with several.
        for _ in 0..4 {
            send_together(&mut peer, (0..400).map(|_| "warm".to_owned()));
            (0..400).for_each(|_| peer.expect_text("warm"));
        }
        peer.close();
    }
    neighbour.is_unharmed();
}
