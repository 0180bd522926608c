//! What becomes of published messages that a subscriber has no room for: each policy, chosen by connection or by topic, and what it
//! counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::server::Server;
use wsrun_tests::wait;

/// Larger than what the buffers of the sockets take.
const FLOOD_MESSAGES: usize = 600;
const MESSAGE_BYTES: usize = 64 * 1024;

struct Scene {
    server: Server,
    /// Reads nothing until it is told to.
    slow: Peer,
    slow_id: String,
    quick: Peer,
    publisher: Peer,
}

/// A slow and a quick subscriber of `t`, and somebody who publishes.
fn scene(arguments: &[&str]) -> Scene {
    let server = Server::of(handlers::probe()).args(arguments).start();
    let mut slow = server.open();
    let slow_id = slow.ask("id");
    assert_eq!(slow.ask("subscribe t"), "ok true");
    let mut quick = server.open();
    assert_eq!(quick.ask("subscribe t"), "ok true");
    let publisher = server.open();
    Scene {
        server,
        slow,
        slow_id,
        quick,
        publisher,
    }
}

impl Scene {
    /// Publishes one message after the other, which the quick one reads; the numbers of those that were published.
    fn flood(&mut self) -> Vec<usize> {
        let mut published = Vec::new();
        for number in 0..FLOOD_MESSAGES {
            let text = format!("{number} {}", "p".repeat(MESSAGE_BYTES));
            let reply = self.publisher.ask(&format!("publish t {text}"));
            if reply.starts_with("err") {
                continue;
            }
            self.quick.expect_text(&text);
            published.push(number);
        }
        published
    }

    fn dropped(&mut self) -> u64 {
        let id = &self.slow_id;
        let reply = self.publisher.ask(&format!("dropped-of {id}"));
        reply.parse().expect("a number")
    }

    /// Lets the slow one read what was queued for it: the numbers.
    fn catch_up(&mut self) -> Vec<usize> {
        self.slow.send_text("echo end");
        let mut numbers = Vec::new();
        loop {
            let text = self.slow.read_text();
            if text == "end" {
                return numbers;
            }
            let number = text
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            numbers.push(number.expect("a published message begins with its number"));
        }
    }
}

fn is_ascending(numbers: &[usize]) -> bool {
    numbers.is_sorted_by(|a, b| a < b)
}

#[test]
fn drop_oldest_keeps_the_newest_and_counts_the_rest() {
    let mut scene = scene(&[]);
    let id = scene.slow_id.clone();
    assert_eq!(
        scene.publisher.ask(&format!("policy-of {id} drop-oldest")),
        "ok"
    );
    assert_eq!(scene.flood().len(), FLOOD_MESSAGES);
    let dropped = scene.dropped();
    assert!(dropped > 0, "nothing was dropped");
    let got = scene.catch_up();
    assert!(is_ascending(&got), "{got:?}");
    assert_eq!(
        got.len() as u64 + dropped,
        FLOOD_MESSAGES as u64,
        "every message came or was counted"
    );
    assert_eq!(got.last(), Some(&(FLOOD_MESSAGES - 1)), "the newest came");
}

#[test]
fn drop_newest_keeps_what_was_queued_and_counts_the_rest() {
    let mut scene = scene(&[]);
    assert_eq!(scene.publisher.ask("topic-policy t drop-newest"), "ok");
    assert_eq!(scene.flood().len(), FLOOD_MESSAGES);
    let dropped = scene.dropped();
    assert!(dropped > 0, "nothing was dropped");
    assert_eq!(scene.publisher.ask("topic-dropped t"), dropped.to_string());
    let got = scene.catch_up();
    assert_eq!(got.len() as u64 + dropped, FLOOD_MESSAGES as u64);
    // Without a gap from the first on, as far as it had room.
    assert_eq!(got[..20], (0..20).collect::<Vec<_>>());
}

#[test]
fn latest_only_holds_one_message_of_a_topic() {
    let mut scene = scene(&[]);
    let id = scene.slow_id.clone();
    assert_eq!(
        scene.publisher.ask(&format!("policy-of {id} latest-only")),
        "ok"
    );
    assert_eq!(
        scene.publisher.ask(&format!("on {id} subscribe u")),
        "ok true"
    );
    assert_eq!(scene.flood().len(), FLOOD_MESSAGES);
    // Another topic does not take the place of this one.
    assert_eq!(scene.publisher.ask("publish u 1000000 x"), "1");
    assert_eq!(scene.publisher.ask("publish u 1000001 x"), "1");
    let dropped = scene.dropped();
    let got = scene.catch_up();
    assert!(is_ascending(&got), "{got:?}");
    assert_eq!(got.len() as u64 + dropped, FLOOD_MESSAGES as u64 + 2);
    assert_eq!(got[got.len() - 2..], [FLOOD_MESSAGES - 1, 1_000_001]);
}

#[test]
fn disconnect_closes_with_the_code_that_was_chosen() {
    let mut scene = scene(&[]);
    assert_eq!(scene.publisher.ask("topic-policy t disconnect 4100"), "ok");
    assert_eq!(scene.flood().len(), FLOOD_MESSAGES);
    assert_eq!(scene.slow.expect_close_at_last(4100), "slow consumer");
    assert_eq!(scene.quick.ask("echo still here"), "still here");
}

#[test]
fn policy_of_the_connection_goes_before_that_of_the_topic() {
    let mut scene = scene(&[]);
    let id = scene.slow_id.clone();
    assert_eq!(scene.publisher.ask("topic-policy t disconnect 4100"), "ok");
    assert_eq!(
        scene.publisher.ask(&format!("policy-of {id} drop-newest")),
        "ok"
    );
    assert_eq!(scene.flood().len(), FLOOD_MESSAGES);
    assert!(scene.dropped() > 0);
    assert_eq!(scene.catch_up()[..3], [0, 1, 2]);
    // Taken back, the topic's is what counts.
    assert_eq!(scene.publisher.ask(&format!("policy-of {id} none")), "ok");
    scene.flood();
    scene.slow.expect_close_at_last(4100);
}

#[test]
fn wait_tells_the_publisher_and_nobody_gets_it_until_there_is_room() {
    let mut scene = scene(&[]);
    let id = scene.slow_id.clone();
    assert_eq!(scene.publisher.ask(&format!("policy-of {id} wait")), "ok");
    let published = scene.flood();
    assert!(
        published.len() < FLOOD_MESSAGES,
        "the publisher was never told"
    );
    let reply = scene
        .publisher
        .ask(&format!("publish t {}", "x".repeat(1_000_000)));
    assert_eq!(reply, "err waiting 1");
    assert_eq!(scene.quick.ask("echo nothing came"), "nothing came");
    assert_eq!(scene.dropped(), 0);
    // `writable` tells when to try again.
    assert_eq!(scene.publisher.ask(&format!("on {id} want-writable")), "ok");
    let mut got = Vec::new();
    loop {
        let text = scene.slow.read_text();
        if text == "writable" {
            break;
        }
        got.push(
            text.split(' ')
                .next()
                .and_then(|n| n.parse::<usize>().ok())
                .expect("a number"),
        );
    }
    assert_eq!(scene.publisher.ask("publish t 1000000 x"), "2");
    scene.quick.expect_text("1000000 x");
    got.extend(scene.catch_up());
    assert_eq!(got.pop(), Some(1_000_000));
    assert_eq!(
        got, published,
        "what was published was not lost, and nothing else came"
    );
}

#[test]
fn wait_of_a_subscriber_of_another_worker_holds_up_the_publishes_and_loses_none() {
    let server = Server::of(handlers::probe())
        .args(["--workers", "2", "--scope", "worker"])
        .start();
    // One subscriber on each worker: ids tell them apart.
    let (mut slow, mut publisher, mut spare) = (None::<(Peer, String)>, None::<Peer>, Vec::new());
    let mut workers = BTreeSet::new();
    while slow.is_none() || publisher.is_none() {
        let mut peer = server.open();
        let id = peer.ask("id");
        let worker = id.parse::<u64>().expect("a number") >> 48;
        if !workers.insert(worker) {
            spare.push(peer);
        } else if slow.is_none() {
            slow = Some((peer, id));
        } else {
            publisher = Some(peer);
        }
    }
    let ((mut slow, _), mut publisher) = (slow.expect("found"), publisher.expect("found"));
    assert_eq!(slow.ask("policy wait"), "ok");
    assert_eq!(slow.ask("subscribe t"), "ok true");
    // The publisher's worker knows of no subscriber; it is held up by the other worker when that has no room any more.
    let published = Arc::new(AtomicUsize::new(0));
    let publishing = thread::spawn({
        let published = Arc::clone(&published);
        move || {
            for number in 0..FLOOD_MESSAGES {
                let text = format!("publish t {number} {}", "p".repeat(MESSAGE_BYTES));
                assert_eq!(publisher.ask(&text), "0");
                published.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut before = usize::MAX;
    wait::until("the publisher is held up", || {
        let now = published.load(Ordering::Relaxed);
        thread::sleep(Duration::from_millis(500));
        std::mem::replace(&mut before, now) == now
    });
    assert!(before < FLOOD_MESSAGES, "the publisher was not held up");
    for number in 0..FLOOD_MESSAGES {
        let text = slow.read_text();
        assert_eq!(text.split(' ').next(), Some(number.to_string().as_str()));
    }
    publishing.join().expect("the publisher got its answers");
}

#[test]
fn messages_sent_to_a_slow_connection_alone_are_never_dropped() {
    let mut scene = scene(&[]);
    let id = scene.slow_id.clone();
    assert_eq!(
        scene.publisher.ask(&format!("policy-of {id} latest-only")),
        "ok"
    );
    scene.flood();
    assert_eq!(
        scene.publisher.ask(&format!("send-to {id} 2000000 mine")),
        "ok"
    );
    assert_eq!(scene.publisher.ask("publish t 2000001 x"), "2");
    scene.quick.expect_text("2000001 x");
    let got = scene.catch_up();
    assert_eq!(got[got.len() - 2..], [2_000_000, 2_000_001], "in order");
}

#[test]
fn close_comes_behind_what_waits_for_a_slow_connection() {
    let mut scene = scene(&[]);
    let id = scene.slow_id.clone();
    assert_eq!(
        scene.publisher.ask(&format!("policy-of {id} drop-oldest")),
        "ok"
    );
    scene.flood();
    assert_eq!(scene.publisher.ask(&format!("close-to {id} enough")), "ok");
    let mut last = None;
    loop {
        let frame = scene.slow.read_frame();
        if frame.opcode == frame::CLOSE {
            assert_eq!(frame.close_info(), (4000, "enough"));
            break;
        }
        last = frame.text().split(' ').next().map(str::to_owned);
    }
    assert_eq!(last, Some((FLOOD_MESSAGES - 1).to_string()));
    scene.slow.send(&Frame::close(4000, ""));
    assert!(matches!(scene.slow.try_read_frame(), Err(NoFrame::Ended)));
}

#[test]
fn policies_are_checked_and_bounded() {
    let mut scene = scene(&[]);
    let trap = |peer: &mut Peer, text: &str| {
        peer.send_text(text);
        peer.expect_close(1011);
    };
    trap(&mut scene.server.open(), "policy disconnect 1006");
    scene
        .server
        .expect_log("connections.set-slow-policy with code 1006");
    trap(&mut scene.server.open(), "topic-policy t disconnect 999");
    scene
        .server
        .expect_log("topics.set-slow-policy with code 999");
    for number in 0..1_000 {
        assert_eq!(
            scene
                .publisher
                .ask(&format!("topic-policy t{number} drop-newest")),
            "ok"
        );
    }
    // One that has a policy may change it, and one that is given up makes room.
    assert_eq!(scene.publisher.ask("topic-policy t5 latest-only"), "ok");
    assert_eq!(scene.publisher.ask("topic-policy t6 none"), "ok");
    assert_eq!(
        scene.publisher.ask("topic-policy another drop-newest"),
        "ok"
    );
    trap(
        &mut scene.server.open(),
        "topic-policy one-more drop-newest",
    );
    scene.server.expect_log("1000 topics have one");
    assert_eq!(scene.publisher.ask("policy-of 4711 wait"), "ok");
    assert_eq!(scene.publisher.ask("dropped-of 4711"), "0");
}

#[test]
fn memory_is_bounded_whatever_is_published_to_who_does_not_read() {
    for policy in ["drop-oldest", "drop-newest", "latest-only"] {
        let mut scene = scene(&[
            "--max-queue",
            "1MiB",
            // What was queued for a peer that is cut off is freed, however much it was.
            "--write-timeout",
            "600s",
            "--ping-interval",
            "off",
            "--idle-timeout",
            "off",
        ]);
        assert_eq!(
            scene.publisher.ask(&format!("topic-policy t {policy}")),
            "ok"
        );
        // Before anything is queued: two floods are 75 MiB, of which the queue holds one.
        let before = scene.server.usage().resident_bytes();
        for _ in 0..2 {
            scene.flood();
        }
        assert!(scene.dropped() > 0, "the queue was never full");
        wait::until("memory is as it was", || {
            scene.server.usage().resident_bytes() < before + (8 << 20)
        });
    }
}

#[test]
fn message_in_parts_can_be_ended_however_much_waits_behind_it() {
    let mut scene = scene(&["--max-queue", "1MiB"]);
    let id = scene.slow_id.clone();
    let on = |publisher: &mut Peer, command: &str| publisher.ask(&format!("on {id} {command}"));
    assert_eq!(on(&mut scene.publisher, "policy drop-oldest"), "ok");
    assert_eq!(on(&mut scene.publisher, "chunk text false begun "), "ok");
    // More than the queue takes waits for the end of the message; the newest of it stays.
    scene.flood();
    assert!(scene.dropped() > 0);
    // Nothing waits for the peer, and the handler may go on.
    assert_eq!(on(&mut scene.publisher, "want-writable"), "ok");
    assert_eq!(on(&mut scene.publisher, "chunk text true and ended"), "ok");
    let (begun, ended) = (scene.slow.read_frame(), scene.slow.read_frame());
    assert_eq!((begun.text(), ended.text()), ("begun ", "and ended"));
    assert!(ended.last);
    let mut texts = Vec::new();
    while texts.last().is_none_or(|text: &String| text != "end") {
        if texts.is_empty() {
            scene.slow.send_text("echo end");
        }
        let text = scene.slow.read_text();
        texts.push(text.split(' ').next().unwrap_or_default().to_owned());
    }
    assert_eq!(
        texts.iter().filter(|text| *text == "writable").count(),
        1,
        "{texts:?}"
    );
    assert!(
        texts.contains(&(FLOOD_MESSAGES - 1).to_string()),
        "{texts:?}"
    );
}

#[test]
fn newest_is_not_lost_for_a_peer_that_keeps_up() {
    let mut scene = scene(&["--max-message", "64KiB", "--max-queue", "64KiB"]);
    let id = scene.slow_id.clone();
    assert_eq!(
        scene.publisher.ask(&format!("policy-of {id} latest-only")),
        "ok"
    );
    // In one callback: something small, then what fills the queue with it.
    let text = format!("7 {}", "p".repeat(65_000));
    let commands = format!("in-one send-to {id} 6 first; publish t {text}");
    scene.publisher.send_text(&commands);
    scene.publisher.expect_text("ok; 2");
    assert_eq!(scene.slow.read_text(), "6 first");
    assert_eq!(scene.slow.read_text(), text);
    assert_eq!(scene.dropped(), 0);
}

#[test]
fn subscriber_that_is_waited_for_on_another_worker_holds_up_no_swap() {
    let server = Administered::start(Server::of(handlers::probe()).args([
        "--workers",
        "2",
        "--scope",
        "worker",
        // It is waited for as long as this test may take.
        "--write-timeout",
        "600s",
        "--trial-time",
        "50ms",
    ]));
    let (mut slow, mut publisher) = on_two_workers(&server);
    assert_eq!(slow.ask("policy wait"), "ok");
    assert_eq!(slow.ask("subscribe t"), "ok true");
    let publishing = thread::spawn(move || {
        for number in 0..FLOOD_MESSAGES {
            let text = format!("publish t {number} {}", "p".repeat(MESSAGE_BYTES));
            publisher.send_text(&text);
        }
        publisher
    });
    // What the worker of the subscriber takes is at an end, and that of the publisher is given no event.
    let published = || server.metric("wsrun_messages_received_total{handler=\"probe\"}");
    let mut before = 0;
    wait::until("the publisher is held up", || {
        let now = published();
        thread::sleep(Duration::from_millis(500));
        std::mem::replace(&mut before, now) == now
    });
    let ended = server.ctl(["swap"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Nothing of what was published is lost by it.
    for number in 0..FLOOD_MESSAGES {
        let text = slow.read_text();
        assert_eq!(text.split(' ').next(), Some(number.to_string().as_str()));
    }
    let mut publisher = publishing.join().expect("all was sent");
    for _ in 0..FLOOD_MESSAGES {
        publisher.expect_text("0");
    }
}

/// A peer on each of two workers; ids tell them apart.
fn on_two_workers(server: &Server) -> (Peer, Peer) {
    let mut peers = Vec::new();
    while peers.len() < 2 {
        let mut peer = server.open();
        let worker = peer.ask("id").parse::<u64>().expect("a number") >> 48;
        if worker == peers.len() as u64 {
            peers.push(peer);
        }
    }
    let second = peers.pop().expect("there are two");
    (peers.pop().expect("there are two"), second)
}
