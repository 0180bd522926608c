//! Topics and broadcasts.

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::server::Server;
use wsrun_tests::usage::MIB;
use wsrun_tests::wait;

fn probe() -> Server {
    Server::of(handlers::probe()).start()
}

#[test]
fn topic_delivers_to_its_subscribers_only() {
    let server = probe();
    let [mut one, mut two, mut three] = [server.open(), server.open(), server.open()];
    assert_eq!(one.ask("subscribe news"), "ok true");
    assert_eq!(two.ask("subscribe news"), "ok true");
    assert_eq!(two.ask("subscribe news"), "ok false");
    assert_eq!(three.ask("subscribe other"), "ok true");
    assert_eq!(three.ask("publish news extra, extra"), "2");
    one.expect_text("extra, extra");
    two.expect_text("extra, extra");
    assert_eq!(three.ask("echo nothing came"), "nothing came");

    assert_eq!(two.ask("unsubscribe news"), "true");
    assert_eq!(two.ask("unsubscribe news"), "false");
    assert_eq!(three.ask("publish news again"), "1");
    one.expect_text("again");
    assert_eq!(two.ask("echo nothing came"), "nothing came");
    assert_eq!(three.ask("publish nobody x"), "0");
}

#[test]
fn publisher_can_leave_itself_out() {
    let server = probe();
    let [mut one, mut two] = [server.open(), server.open()];
    one.ask("subscribe t");
    two.ask("subscribe t");
    assert_eq!(one.ask("publish-others t hi"), "1");
    two.expect_text("hi");
    assert_eq!(one.ask("echo nothing came"), "nothing came");
}

#[test]
fn broadcast_reaches_every_connection() {
    let server = probe();
    let mut peers: Vec<Peer> = (0..10).map(|_| server.open()).collect();
    // Once everybody was answered, everybody is open.
    for peer in &mut peers {
        assert_eq!(peer.ask("echo x"), "x");
    }
    peers[0].send_text("broadcast to all");
    for peer in &mut peers[1..] {
        peer.expect_text("to all");
    }
    let mut texts = [peers[0].read_text(), peers[0].read_text()];
    texts.sort();
    assert_eq!(texts, ["10", "to all"]);
}

#[test]
fn topics_and_broadcasts_reach_the_connections_of_all_workers() {
    let server = Server::of(handlers::probe())
        .args(["--workers", "2", "--scope", "worker"])
        .start();
    let mut peers: Vec<Peer> = (0..24).map(|_| server.open()).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask("subscribe t"), "ok true");
    }
    let mut publisher = server.open();
    publisher.send_text("publish t everywhere");
    for peer in &mut peers {
        peer.expect_text("everywhere");
    }
    let here: u32 = publisher
        .read_text()
        .parse()
        .expect("the probe tells the number");
    assert!(
        here < 24,
        "SO_REUSEPORT spreads 24 connections over two workers"
    );
    // Whatever came twice would come before the next: workers keep the order.
    publisher.send_text("broadcast all over");
    for peer in &mut peers {
        peer.expect_text("all over");
    }
    publisher.send_text("publish t the end");
    for peer in &mut peers {
        peer.expect_text("the end");
        assert_eq!(peer.ask("echo nothing more"), "nothing more");
    }
}

#[test]
fn connection_leaves_its_topics_when_it_closes() {
    let server = probe();
    let [mut one, two] = [server.open(), {
        let mut peer = server.open();
        peer.ask("subscribe t");
        peer
    }];
    assert_eq!(one.ask("publish t x"), "1");
    drop(two);
    wait::until("the subscriber is gone", || one.ask("publish t x") == "0");
}

#[test]
fn subscriptions_have_limits() {
    let server = probe();
    let mut peer = server.open();
    assert_eq!(peer.ask("subscribe "), "err invalid-name");
    assert_eq!(
        peer.ask(&format!("subscribe {}", "n".repeat(256))),
        "ok true"
    );
    assert_eq!(
        peer.ask(&format!("subscribe {}", "n".repeat(257))),
        "err invalid-name"
    );
    for number in 1..64 {
        assert_eq!(peer.ask(&format!("subscribe topic {number}")), "ok true");
    }
    assert_eq!(peer.ask("subscribe one too many"), "err limit");
    assert_eq!(peer.ask("unsubscribe topic 1"), "true");
    assert_eq!(peer.ask("subscribe one too many"), "ok true");
}

#[test]
fn connection_at_the_limit_changes_its_topic_within_one_callback() {
    let server = probe();
    let mut peer = server.open();
    for number in 0..64 {
        assert_eq!(peer.ask(&format!("subscribe topic {number}")), "ok true");
    }
    for (commands, replies) in [
        ("unsubscribe topic 0; subscribe new", "true; ok true"),
        ("subscribe new; subscribe topic 1", "ok false; ok false"),
        (
            "unsubscribe topic 1; subscribe topic 1; subscribe one too many",
            "true; ok true; err limit",
        ),
        (
            "unsubscribe topic 2; subscribe a; subscribe a; subscribe b",
            "true; ok true; ok false; err limit",
        ),
        (
            "subscribe b; unsubscribe topic 3; unsubscribe topic 3; subscribe b; subscribe c",
            "err limit; true; false; ok true; err limit",
        ),
    ] {
        assert_eq!(
            peer.ask(&format!("in-one {commands}")),
            replies,
            "{commands}"
        );
    }
    let mut publisher = server.open();
    for (topic, count) in [("new", "1"), ("a", "1"), ("b", "1"), ("c", "0")] {
        assert_eq!(
            publisher.ask(&format!("publish {topic} x")),
            count,
            "{topic}"
        );
    }
}

#[test]
fn topic_that_is_left_again_in_the_same_callback_takes_no_room() {
    let server = probe();
    let mut peer = server.open();
    for number in 1..64 {
        assert_eq!(peer.ask(&format!("subscribe topic {number}")), "ok true");
    }
    assert_eq!(
        peer.ask("in-one subscribe a; unsubscribe a; subscribe b; subscribe c"),
        "ok true; true; ok true; err limit"
    );
    let mut publisher = server.open();
    for (topic, count) in [("a", "0"), ("b", "1"), ("c", "0")] {
        assert_eq!(
            publisher.ask(&format!("publish {topic} x")),
            count,
            "{topic}"
        );
    }
}

#[test]
fn publish_does_not_count_subscribers_that_the_same_callback_closed() {
    let server = probe();
    let [mut one, mut two] = [server.open(), server.open()];
    one.ask("subscribe t");
    two.ask("subscribe t");
    let id = one.ask("id");
    assert_eq!(
        two.ask(&format!(
            "in-one publish-others t before; close-to {id} bye; publish-others t after"
        )),
        "1; ok; 0"
    );
    one.expect_text("before");
    assert_eq!(one.expect_close(4000), "bye");
}

#[test]
fn subscriber_that_reads_gets_everything_while_the_callback_of_another_waits() {
    let server = probe();
    let mut subscriber = server.open();
    assert_eq!(subscriber.ask("subscribe t"), "ok true");
    let mut publishers: Vec<Peer> = (0..16).map(|_| server.open()).collect();
    let mut waiting = server.open();
    // 3.8 MB in all: nearly twice the subscriber's queue.
    let message = Frame::new(frame::TEXT, format!("publish t {}", "p".repeat(1_000)));
    let wire = message.encode().repeat(240);
    let reading = std::thread::spawn(move || {
        for number in 0..16 * 240 {
            let frame = subscriber.read_frame();
            assert_eq!(
                frame.opcode,
                frame::TEXT,
                "after {number} messages: {:?}",
                frame.close_info()
            );
            assert_eq!(frame.payload.len(), 1_000);
        }
        assert_eq!(subscriber.ask("echo nothing more"), "nothing more");
    });
    waiting.send_text("sleep-wasi 500");
    for publisher in &mut publishers {
        publisher.send_bytes(&wire);
    }
    assert!(waiting.read_text().starts_with("slept "));
    reading.join().expect("the subscriber gets everything");
    for publisher in &mut publishers {
        for _ in 0..240 {
            publisher.expect_text("1");
        }
    }
}

#[test]
fn subscriptions_survive_a_trap() {
    let server = probe();
    let [mut subscriber, mut publisher, mut trapping] =
        [server.open(), server.open(), server.open()];
    subscriber.ask("subscribe t");
    trapping.send_text("trap");
    trapping.expect_close(1011);
    assert_eq!(publisher.ask("publish t after the trap"), "1");
    subscriber.expect_text("after the trap");
}

#[test]
fn messages_of_a_topic_keep_their_order() {
    let server = probe();
    let mut subscribers: Vec<Peer> = (0..5).map(|_| server.open()).collect();
    for subscriber in &mut subscribers {
        subscriber.ask("subscribe t");
    }
    let mut publisher = server.open();
    for number in 0..500 {
        assert_eq!(publisher.ask(&format!("publish t {number}")), "5");
    }
    for subscriber in &mut subscribers {
        for number in 0..500 {
            subscriber.expect_text(&number.to_string());
        }
    }
}

#[test]
fn slow_subscriber_is_closed_with_1008_and_others_get_every_message_in_order() {
    let server = Server::of(handlers::probe())
        .args([
            "--max-queue",
            "1MiB",
            "--max-message",
            "256KiB",
            "--compression",
            "off",
        ])
        .start();
    let neighbour = server.probing_neighbour();
    let mut slow: Vec<Peer> = (0..10).map(|_| server.open()).collect();
    let mut fast: Vec<Peer> = (0..3).map(|_| server.open()).collect();
    for peer in slow.iter_mut().chain(&mut fast) {
        assert_eq!(peer.ask("subscribe t"), "ok true");
    }
    let mut publisher = server.open();
    server.usage().restart_peak();
    let resident = server.usage().resident_bytes();
    let padding = "p".repeat(60_000);
    // 30 MB to each: far more than the sockets hold.
    for number in 0..500 {
        publisher.ask(&format!("publish t {number} {padding}"));
        for peer in &mut fast {
            let text = peer.read_text();
            assert_eq!(text.split(' ').next(), Some(number.to_string().as_str()));
        }
    }
    assert_eq!(
        publisher.ask("publish t end"),
        "3",
        "the slow ones are no subscribers any more"
    );
    let grown = server.usage().peak_bytes().saturating_sub(resident);
    assert!(
        grown <= 13 * 3 * MIB,
        "{} MiB for 10 slow subscribers",
        grown / MIB
    );
    for peer in &mut slow {
        // They got the beginning in order, and then a close.
        let mut next = 0;
        loop {
            match peer.try_read_frame() {
                Ok(frame) if frame.opcode == frame::TEXT => {
                    let number: u32 = frame
                        .text()
                        .split(' ')
                        .next()
                        .and_then(|number| number.parse().ok())
                        .expect("a number");
                    assert_eq!(number, next);
                    next += 1;
                }
                Ok(frame) => {
                    assert_eq!(
                        (frame.opcode, frame.close_info().0),
                        (frame::CLOSE, 1008),
                        "{frame:?}"
                    );
                    peer.send(&Frame::close(1008, ""));
                    break;
                }
                Err(NoFrame::Ended) => break,
                Err(NoFrame::TimedOut) => panic!("a slow subscriber was neither served nor closed"),
            }
        }
        assert!(next < 500);
    }
    neighbour.is_unharmed();
}

#[test]
fn workers_that_all_broadcast_at_once_do_not_wait_for_each_other() {
    const PEERS: usize = 8;
    const SAID: usize = 200;
    let server = Server::of(handlers::built("filter"))
        .args(["--workers", "2", "--scope", "worker"])
        // They are read by one thread each, however busy the machine is.
        .args(["--max-queue", "16MiB", "--max-handler-queue", "256MiB"])
        .start();
    let peers: Vec<_> = (0..PEERS).map(|_| server.open()).collect();
    let peers: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            std::thread::spawn(move || {
                for _ in 0..SAID {
                    peer.send_text("say something");
                }
                // Everybody gets all of it, and an answer to each of its own.
                let (mut answers, mut said) = (0, 0);
                while answers < SAID || said < PEERS * SAID {
                    match peer.read_text().as_str() {
                        "something" => said += 1,
                        answer => {
                            assert!(answer.starts_with("said "), "{answer}");
                            answers += 1;
                        }
                    }
                }
            })
        })
        .collect();
    for peer in peers {
        peer.join().expect("it got all of it");
    }
}
