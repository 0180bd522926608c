//! What a callback counts on while it runs (room in queues, a close, a message in parts) is its own: nothing that happens meanwhile takes it
//! away, it ends with the callback, and nobody else has to pay for what other connections hold.

use std::thread;
use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::wait;

/// How long a callback computes, so that other things happen while it runs.
const MEANWHILE: Duration = Duration::from_secs(1);

fn probe(arguments: &[&str]) -> Server {
    Server::of(handlers::probe())
        .args(["--callback-timeout", "20s", "--blocking-timeout", "30s"])
        // Who computes for a second looks at the clock more than a million times.
        .args(["--max-host-calls", "1000000000"])
        .args(arguments)
        .start()
}

/// Has `controller` run commands in one callback, `meanwhile` again and again until that has returned; the reply.
#[track_caller]
fn ask_while(controller: &mut Peer, commands: &str, mut meanwhile: impl FnMut()) -> String {
    controller.send_text(commands);
    thread::scope(|scope| {
        let reply = scope.spawn(|| controller.read_text());
        while !reply.is_finished() {
            meanwhile();
            thread::sleep(Duration::from_millis(20));
        }
        reply.join().expect("the reply comes")
    })
}

/// A connection whose automatic replies come while a callback of another one sends to it: what `commands` answer. `ID` stands for it.
#[track_caller]
fn asked_under_automatic_replies(arguments: &[&str], commands: &str) -> String {
    let server = probe(arguments);
    let (mut controller, mut victim) = (server.open(), server.open());
    assert_eq!(controller.ask("auto-reply beat alive"), "ok");
    let commands = commands
        .replace("ID", &victim.ask("id"))
        .replace("MEANWHILE", &MEANWHILE.as_millis().to_string());
    let mut replies = 0;
    let reply = ask_while(&mut controller, &commands, || {
        // Each is answered before the next.
        victim.send_text("beat");
        if victim
            .try_read_frame()
            .is_ok_and(|frame| frame.payload == b"alive")
        {
            replies += 1;
        }
    });
    assert!(replies > 0, "none was answered while the callback ran");
    reply
}

#[test]
fn automatic_reply_does_not_make_room_that_a_callback_has_used() {
    let reply = asked_under_automatic_replies(
        &["--max-message", "64KiB", "--max-queue", "64KiB"],
        "in-one on ID send-size 30000; compute MEANWHILE; on ID send-size 30000; on ID send-size 30000",
    );
    assert!(reply.starts_with("ok; ok; ok; err queue-full "), "{reply}");
}

#[test]
fn automatic_reply_does_not_undo_a_close_that_a_callback_has_asked_for() {
    let commands = "in-one close-to ID bye; compute MEANWHILE; send-to ID lost";
    let reply = asked_under_automatic_replies(&[], commands);
    assert_eq!(reply, "ok; ok; err closed");
}

#[test]
fn automatic_reply_does_not_forget_a_message_in_parts_that_a_callback_has_begun() {
    let reply = asked_under_automatic_replies(
        &[],
        "in-one on ID chunk text false a; compute MEANWHILE; on ID chunk binary true b",
    );
    assert_eq!(reply, "ok; ok; err wrong-kind");
}

#[test]
fn callback_of_another_instance_takes_nothing_from_one_that_runs() {
    let server = probe(&[
        "--scope",
        "connection",
        "--max-message",
        "64KiB",
        "--max-queue",
        "64KiB",
    ]);
    let (mut one, mut other) = (server.open(), server.open());
    // Open, and read no more.
    let mut victims = [server.open(), server.open(), server.open()];
    let ids = victims.each_mut().map(|peer| peer.ask("id"));
    let commands = format!(
        "in-one on {0} send-size 30000; close-to {1} bye; on {2} chunk text false a; compute {3}; on {0} send-size 30000; \
         on {0} send-size 30000; send-to {1} lost; on {2} chunk binary true b",
        ids[0],
        ids[1],
        ids[2],
        MEANWHILE.as_millis()
    );
    let reply = ask_while(&mut one, &commands, || {
        for id in &ids {
            other.ask(&format!("send-to {id} x"));
        }
    });
    let replies: Vec<&str> = reply.split("; ").collect();
    assert_eq!(replies[..5], ["ok"; 5], "{reply}");
    assert!(replies[5].starts_with("err queue-full "), "{reply}");
    assert_eq!(replies[6..], ["err closed", "err wrong-kind"], "{reply}");
}

#[test]
fn what_a_trapped_callback_has_promised_to_another_connection_is_given_back() {
    for scope in ["shared", "connection"] {
        let server = probe(&["--scope", scope, "--max-queue", "16MiB"]);
        let (mut controller, mut guilty, mut victim) =
            (server.open(), server.open(), server.open());
        let id = victim.ask("id");
        // More than a callback may ask for: the last one is promised, and never asked for.
        guilty.send_text(&format!("in-one send-flood 262144 0; send-to {id} lost"));
        guilty.expect_close(1011);
        assert_eq!(controller.ask(&format!("on {id} buffered")), "0", "{scope}");
        assert_eq!(victim.ask("echo still here"), "still here");
    }
}

#[test]
fn what_a_callback_was_told_will_be_sent_is_sent_before_its_connection_ends() {
    for end in [Frame::close(1000, ""), Frame::new(0xf, "")] {
        let server = probe(&[]);
        let (mut controller, mut peer) = (server.open(), server.open());
        let id = peer.ask("id");
        let mut ended = false;
        let commands = format!(
            "in-one send-to {id} promised; compute {}",
            MEANWHILE.as_millis()
        );
        let reply = ask_while(&mut controller, &commands, || {
            if !std::mem::replace(&mut ended, true) {
                thread::sleep(MEANWHILE / 4);
                peer.send(&end);
            }
        });
        assert_eq!(reply, "ok; ok");
        assert_eq!(peer.read_text(), "promised");
        assert_eq!(peer.read_frame().opcode, frame::CLOSE);
    }
}

#[test]
fn refused_sends_use_up_no_rate() {
    let server = probe(&[
        "--max-message",
        "64KiB",
        "--max-queue",
        "64KiB",
        "--max-send-rate",
        "100",
    ]);
    let (mut controller, mut slow, mut other) = (server.open(), server.open(), server.open());
    let id = slow.ask("id");
    let send = format!("on {id} send-size 60000");
    let reply = controller.ask(&format!("in-one {}", vec![send; 400].join("; ")));
    assert!(reply.starts_with("ok; err queue-full "), "{reply}");
    assert_eq!(reply.matches("queue-full").count(), 399);
    assert_eq!(other.ask("echo heard"), "heard");
    // The same for what is published to who is to be waited for.
    assert_eq!(slow.read_frame().payload.len(), 60_000);
    assert_eq!(controller.ask(&format!("on {id} subscribe t")), "ok true");
    assert_eq!(controller.ask(&format!("policy-of {id} wait")), "ok");
    let publish = format!("publish t {}", "p".repeat(500));
    let fill = format!("on {id} send-size 65000");
    let reply = controller.ask(&format!("in-one {fill}; {}", vec![publish; 100].join("; ")));
    assert_eq!(reply.matches("err waiting 1").count(), 99, "{reply}");
    assert_eq!(other.ask("echo heard"), "heard");
}

/// Subscribers of `t` that read nothing.
fn silent(server: &Server, count: usize) -> Vec<Peer> {
    let subscribed = |_| {
        let mut peer = server.open();
        assert_eq!(peer.ask("subscribe t"), "ok true");
        peer
    };
    (0..count).map(subscribed).collect()
}

#[test]
fn subscribers_that_read_do_not_pay_for_those_that_do_not() {
    const MESSAGES: usize = 700;
    let server = Administered::start(Server::of(handlers::probe()).args([
        "--max-queue",
        "1MiB",
        "--max-handler-queue",
        "2MiB",
    ]));
    let neighbour = server.probing_neighbour();
    let silent = silent(&server, 6);
    let mut quick: Vec<Peer> = (0..3).map(|_| server.open()).collect();
    for peer in &mut quick {
        assert_eq!(peer.ask("subscribe t"), "ok true");
    }
    let mut publisher = server.open();
    for number in 0..MESSAGES {
        let text = format!("{number} {}", "p".repeat(64 * 1024));
        publisher.ask(&format!("publish t {text}"));
        for peer in &mut quick {
            peer.expect_text(&text);
        }
    }
    // Those who hold most gave way.
    assert!(server.hits("probe", "handler-queue") > 0);
    server.expect_log("those that hold most give way");
    for peer in &mut quick {
        assert_eq!(peer.ask("echo here"), "here");
    }
    assert!(server.metric("wsrun_queued_bytes{handler=\"probe\"}") <= 2 << 20);
    drop(silent);
    neighbour.is_unharmed();
}

#[test]
fn empty_queue_takes_a_message_however_much_waits_for_others() {
    let server = Administered::start(Server::of(handlers::probe()).args([
        "--max-queue",
        "1MiB",
        "--max-handler-queue",
        "2MiB",
    ]));
    let mut controller = server.open();
    assert_eq!(controller.ask("auto-reply beat alive"), "ok");
    let mut silent = silent(&server, 4);
    let ids: Vec<String> = silent.iter_mut().map(|peer| peer.ask("id")).collect();
    // As much as is taken, to the last byte.
    wait::until("the queue of the handler is full", || {
        for size in [60_000, 1_000, 10, 0] {
            for id in &ids {
                controller.send_text(&format!("on {id} send-flood 3000 {size}"));
                let told = controller.try_read_frame();
                assert!(told.is_ok(), "the controller, which reads, is not answered");
            }
        }
        server.hits("probe", "handler-queue") > 0
    });
    let mut peer = server.open();
    // One after the other is refused by who asks whether there is room for all.
    let beats = Frame::new(frame::TEXT, "beat").encode().repeat(100);
    peer.send_bytes(&beats);
    for _ in 0..100 {
        peer.expect_text("alive");
    }
    assert_eq!(peer.ask("echo here"), "here");
    peer.send_text("send-size 60000");
    assert_eq!(peer.read_frame().payload.len(), 60_000);
    // A handler that waits for room there is told of it.
    assert_eq!(peer.ask("want-writable"), "ok");
    peer.expect_text("writable");
    for peer in &mut silent {
        peer.set_read_timeout(Duration::from_secs(20));
    }
}

#[test]
fn messages_behind_a_message_in_parts_that_never_ends_are_counted_as_dropped() {
    let server = Administered::start(Server::of(handlers::probe()));
    let (mut controller, mut peer) = (server.open(), server.open());
    let id = peer.ask("id");
    assert_eq!(
        controller.ask(&format!("on {id} chunk text false begun")),
        "ok"
    );
    assert_eq!(controller.ask(&format!("send-to {id} behind")), "ok");
    assert_eq!(controller.ask(&format!("send-to {id} it")), "ok");
    assert_eq!(controller.ask(&format!("close-to {id} bye")), "ok");
    assert_eq!(controller.ask(&format!("dropped-of {id}")), "2");
    let dropped = server.metric("wsrun_messages_dropped_total{handler=\"probe\"}");
    assert_eq!(dropped, 2);
    assert_eq!(peer.read_frame().text(), "begun");
    assert_eq!(peer.read_frame().close_info(), (4000, "bye"));
}

#[test]
fn session_data_of_connections_that_are_being_made_counts() {
    let server = Administered::start(Server::of(handlers::probe()).args([
        "--allow-connect",
        "127.0.0.1",
        "--max-handler-session",
        "128KiB",
    ]));
    let mut peer = server.open();
    let options = format!(
        "{{\"url\":\"ws://{}/\",\"session\":\"{}\"}}",
        server.address(),
        "s".repeat(60_000)
    );
    let reply = peer.ask(&format!(
        "in-one {}",
        vec![format!("connect {options}"); 3].join("; ")
    ));
    let replies: Vec<&str> = reply.split("; ").collect();
    assert!(
        replies[..2].iter().all(|reply| reply.starts_with("ok ")),
        "{reply}"
    );
    assert_eq!(replies[2], "err limit");
    assert_eq!(
        peer.ask(&format!("connect {options}")),
        "err limit",
        "in another callback"
    );
    assert!(server.metric("wsrun_session_bytes{handler=\"probe\"}") <= 128 << 10);
    assert!(server.hits("probe", "handler-session") > 0);
    // The others are served, which keep nothing yet.
    let mut other = server.open();
    assert_eq!(other.ask("session-set x"), "ok");
}

#[test]
fn handshakes_that_are_under_way_together_keep_no_more_session_data_than_may_be_kept() {
    const SESSION_BYTES: usize = "from-handshake".len();
    const SESSIONS: usize = 5;
    const HANDSHAKES: usize = 60;
    for workers in ["1", "2"] {
        let limit = (SESSIONS * SESSION_BYTES).to_string();
        let server = Server::of(handlers::built("gate"))
            .args(["--workers", workers])
            .args(["--max-session", &limit, "--max-handler-session", &limit])
            .start();
        let mut peers: Vec<Peer> = (0..HANDSHAKES).map(|_| server.connect()).collect();
        let request = Request::upgrade("/").encode();
        for peer in &mut peers {
            peer.send_bytes(&request);
        }
        let accepted = peers.iter_mut().map(Peer::read_response);
        let statuses: Vec<u16> = accepted.map(|response| response.status).collect();
        let accepted = statuses.iter().filter(|status| **status == 101).count();
        assert_eq!(accepted, SESSIONS, "{workers} workers: {statuses:?}");
    }
}
