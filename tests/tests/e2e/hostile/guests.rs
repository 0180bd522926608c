//! Handlers that attack their host: each hits its limit, is counted, and a neighbour on the same worker does not notice.
//!
//! `cargo nextest run -p wsrun-tests hostile::guests:: --no-capture` prints the figures of `docs/limits.md`.

use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::attack::{Attack, answers, closes};
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::usage::MIB;

#[test]
fn endless_loop_is_stopped() {
    Attack::new("loop")
        .reaches("callback-timeout")
        .fails("deadline")
        .run(|server| closes(server, 1011));
}

#[test]
fn loop_just_within_its_deadline_gives_way() {
    Attack::new("slow-loop").run(|server| answers(server, "computing"));
}

#[test]
fn loop_just_within_its_deadline_gets_its_share_and_no_more() {
    Attack::new("slow-loop")
        .args(["--max-cpu-share", "10"])
        .reaches("cpu-share")
        .run(|server| answers(server, "computing"));
}

#[test]
fn many_short_loops_give_way() {
    Attack::new("short-loops").run(|server| {
        let mut peer = server.open();
        (0..20).for_each(|_| peer.send_text("go"));
        (0..20).for_each(|_| peer.expect_text("done computing"));
        peer.close();
    });
}

#[test]
fn fill_without_end_is_stopped() {
    // One instruction is not interrupted: it fills 32 MB.
    Attack::new("fill")
        .holds_up(Duration::from_millis(60))
        // The instance that fails, the one that follows and its spare.
        .grows(3 * 64 * MIB)
        .reaches("callback-timeout")
        .fails("deadline")
        .run(|server| closes(server, 1011));
}

#[test]
fn recursion_without_end_is_stopped() {
    Attack::new("recursion")
        .reaches("wasm-stack")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn imports_have_their_stack_at_the_end_of_the_guests() {
    Attack::new("recursion-with-imports")
        .reaches("wasm-stack")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn calls_without_end_are_stopped() {
    Attack::new("host-calls")
        .args(["--max-host-calls", "10000"])
        .reaches("host-calls")
        .run(|server| closes(server, 1011));
}

#[test]
fn memory_bomb_stays_within_its_memory() {
    Attack::new("memory-bomb")
        .args(["--max-memory", "16MiB"])
        .grows(16 * MIB)
        .reaches("memory")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn memory_that_is_kept_stays_within_its_memory() {
    Attack::new("memory-hoard")
        .args(["--max-memory", "16MiB"])
        .grows(16 * MIB)
        .reaches("memory")
        .run(|server| answers(server, "keeping all memory"));
}

/// A table (a text), or a second memory (bytes).
fn grower(name: &'static str, opcode: u8, limit: &'static str) {
    Attack::of(name, handlers::source("tests/guests/grower.wat"))
        .args(["--max-memory", "16MiB"])
        .args(["--callback-timeout", "5s"])
        .grows(32 * MIB)
        .never_peaceful()
        .reaches(limit)
        .fails("trap")
        .run(|server| {
            let mut peer = server.open();
            peer.send(&Frame::new(opcode, "grow"));
            peer.expect_close(1011);
        });
}

#[test]
fn table_bomb_stays_within_its_elements() {
    grower("table-bomb", frame::TEXT, "table-elements");
}

#[test]
fn bomb_of_a_second_memory_stays_within_its_memory() {
    grower("second-memory", frame::BINARY, "memory");
}

#[test]
fn trap_in_received_closes_its_connection() {
    Attack::new("trap-in-received")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn trap_in_opened_closes_its_connection() {
    Attack::new("trap-in-opened")
        .never_peaceful()
        .fails("trap")
        .run(|server| drop(server.open().expect_close(1011)));
}

#[test]
fn trap_in_closed_harms_nobody() {
    Attack::new("trap-in-closed")
        .fails("trap")
        .run(|server| server.open().close());
}

#[test]
fn trap_in_handshake_is_answered_500() {
    Attack::new("trap-in-handshake")
        .fails("trap")
        .run(|server| {
            let response = server.connect().request(&Request::upgrade("/?attack"));
            assert_eq!(response.status, 500);
        });
}

#[test]
fn trap_in_writable_closes_its_connection() {
    Attack::new("trap-in-writable")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn trap_in_pong_closes_its_connection() {
    Attack::new("trap-in-pong").fails("trap").run(|server| {
        let mut peer = server.open();
        peer.send_text("go");
        let ping = peer.read_frame();
        assert_eq!(ping.opcode, frame::PING);
        peer.send(&Frame::new(frame::PONG, ping.payload));
        peer.expect_close(1011);
    });
}

#[test]
fn trap_in_a_timer_closes_its_connection() {
    Attack::new("trap-in-timer")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn trap_in_the_filter_of_a_broadcast_harms_nobody_else() {
    Attack::new("trap-in-wanted")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn trap_in_the_filter_of_networks_lets_nobody_in() {
    let elsewhere = "127.0.0.3".parse().expect("an address");
    Attack::new("trap-in-accepts")
        .fails("trap")
        .run(|server| Peer::tcp_from(elsewhere, server.address()).expect_end());
}

#[test]
fn trap_in_http_is_answered_500() {
    Attack::new("trap-in-http").fails("trap").run(|server| {
        let response = server.connect().request(&Request::get("/"));
        assert_eq!(response.status, 500);
    });
}

#[test]
fn trap_in_resumed_closes_those_that_are_resumed() {
    Attack::new("trap-in-resumed").fails("trap").run(|server| {
        let mut others: Vec<Peer> = (0..3).map(|_| server.open()).collect();
        closes(server, 1011);
        for other in &mut others {
            other.expect_close(1011);
        }
    });
}

#[test]
fn trap_in_started_leaves_the_handler_alone_for_a_while() {
    Attack::new("trap-in-started")
        .fails("trap")
        .fails("start")
        .run(closes_beside_another);
}

/// The instance that follows fails as long as there is a connection.
fn closes_beside_another(server: &Administered) {
    let mut other = server.connect();
    other.send_bytes(&Request::upgrade("/").encode());
    // Its filter of networks, asked while the handler fails to start, lets nobody in.
    let Ok(response) = other.try_read_response() else {
        return;
    };
    assert_eq!(response.status, 101);
    closes(server, 1011);
    drop(other);
}

#[test]
fn trap_among_messages_of_one_call_costs_no_message_before_it() {
    Attack::new("trap-in-received").fails("trap").run(|server| {
        let mut peer = server.open();
        let mut wire = Vec::new();
        for text in ["one", "two", "go", "three"] {
            Frame::new(frame::TEXT, text).encode_onto(&mut wire);
        }
        peer.send_bytes(&wire);
        peer.expect_text("one");
        peer.expect_text("two");
        peer.expect_close(1011);
    });
}

#[test]
fn trap_in_received_chunk_closes_its_connection() {
    Attack::of("trap-in-received-chunk", handlers::built("hostile-chunks"))
        .fails("trap")
        .run(|server| {
            let mut peer = server.open();
            // In the middle of a message, and what was sent in the same callback is dropped.
            peer.send(&Frame::new(frame::TEXT, "before").to_be_continued());
            let part = peer.read_frame();
            assert_eq!((part.text(), part.last), ("before", false));
            peer.send(&Frame::new(frame::CONTINUATION, "go").to_be_continued());
            peer.expect_close(1011);
        });
}

/// The handler connects to its own server, and what it made is lost, restored and, where it traps, over.
fn outbound_trap(name: &'static str, code: u16) {
    Attack::new(name)
        .args(["--allow-connect", "127.0.0.1"])
        .fails("trap")
        .run(|server| answers(server, &format!("outbound ended with {code}")));
}

#[test]
fn trap_in_lost_gives_the_outbound_connection_up() {
    // There is no transport that could be closed: it is told as it was lost.
    outbound_trap("trap-in-lost", 1006);
}

#[test]
fn trap_in_restored_closes_the_outbound_connection() {
    outbound_trap("trap-in-restored", 1011);
}

#[test]
fn trap_in_draining_leaves_connections_their_time() {
    Attack::new("trap-in-draining")
        .fails("trap")
        .run_at_the_end();
}

#[test]
fn start_that_never_ends_is_stopped() {
    Attack::new("start-loop")
        .fails("trap")
        .fails("start")
        .reaches("callback-timeout")
        .run(closes_beside_another);
}

#[test]
fn storm_of_traps_leaves_the_handler_alone() {
    Attack::new("trap-in-received")
        .args(["--max-failures", "50"])
        .never_peaceful()
        .fails("trap")
        .reaches("failures")
        .run(|server| {
            let mut peer = server.connect();
            peer.send_bytes(&Request::upgrade("/").encode());
            // While it is left alone, its filter of networks lets nobody in, or the handshake is answered 503.
            if peer
                .try_read_response()
                .is_ok_and(|response| response.status == 101)
            {
                peer.send_text("go");
                let _ = peer.read_frame();
            }
        });
}

#[test]
fn send_flood_fills_one_queue() {
    Attack::new("send-flood")
        .reaches("queue")
        .run(|server| closes(server, 4000));
}

#[test]
fn effects_without_end_are_dropped() {
    Attack::new("many-effects")
        .args(["--callback-timeout", "10s", "--blocking-timeout", "20s"])
        .grows(40 * MIB)
        .reaches("effects")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn many_effects_are_carried_out() {
    Attack::new("most-effects")
        .args(["--callback-timeout", "10s", "--blocking-timeout", "20s"])
        .grows(40 * MIB)
        .run(|server| {
            let mut peer = server.open();
            peer.send_text("go");
            for _ in 0..40_000 {
                assert_eq!(peer.read_frame().payload.len(), 0);
            }
            peer.expect_text("done effects: 40000");
            peer.close();
        });
}

/// Each of some connections has the handler send to all of them, and some do not read.
fn storm(name: &'static str) -> Attack {
    Attack::new(name)
        .args(["--max-queue", "1MiB", "--max-message", "512KiB"])
        .args(["--callback-timeout", "2s"])
        .grows(40 * MIB)
}

fn storms(server: &wsrun_tests::server::Server) {
    let mut peers: Vec<Peer> = (0..8).map(|_| server.open()).collect();
    for peer in &mut peers {
        // It may have been closed for what came before.
        let _ = peer.try_send_bytes(&Frame::new(frame::TEXT, "go").encode());
    }
    for peer in &mut peers {
        loop {
            let frame = peer.read_frame();
            if frame.opcode == frame::CLOSE {
                assert_eq!(frame.close_info().0, 1008);
                break;
            }
            // Who reads quickly enough is told how many there were.
            if frame.opcode == frame::TEXT {
                assert!(frame.text().starts_with("done "), "{frame:?}");
                break;
            }
        }
    }
}

#[test]
fn storm_of_publishes_closes_who_does_not_read() {
    storm("publish-storm")
        .reaches("queue")
        .run(|server| storms(server));
}

#[test]
fn storm_of_broadcasts_closes_who_does_not_read() {
    storm("broadcast-storm")
        .reaches("queue")
        .run(|server| storms(server));
}

#[test]
fn subscription_leak_ends_at_its_limit() {
    Attack::new("subscription-leak")
        .reaches("subscriptions")
        .run(|server| answers(server, "subscriptions: 64"));
}

#[test]
fn topic_leak_ends_at_its_limit() {
    Attack::new("subscription-leak")
        .args(["--max-subscriptions", "100000"])
        .args(["--max-topics", "500"])
        .reaches("topics")
        .run(|server| answers(server, "subscriptions: 500"));
}

#[test]
fn timer_leak_ends_at_its_limit() {
    Attack::new("timer-leak")
        .reaches("timers")
        .run(|server| answers(server, "timers: "));
}

#[test]
fn storm_of_timers_gives_way() {
    Attack::new("timer-storm").run(|server| {
        let mut peer = server.open();
        peer.send_text("go");
        peer.expect_text("done timers: 1000");
        peer.expect_silence(Duration::from_millis(300));
        peer.close();
    });
}

#[test]
fn leak_of_automatic_replies_ends_at_its_limit() {
    Attack::new("auto-reply-leak")
        .reaches("auto-replies")
        .run(|server| answers(server, "automatic replies: "));
}

#[test]
fn leak_of_topic_policies_traps() {
    Attack::new("topic-policy-leak")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn session_bomb_is_refused() {
    Attack::new("session-bomb")
        .reaches("session")
        .run(|server| answers(server, "refused true"));
}

#[test]
fn session_data_again_and_again_ends_at_the_limit_of_the_handler() {
    Attack::new("session-hoard")
        .args(["--max-handler-session", "1MiB"])
        .reaches("handler-session")
        .run(|server| answers(server, "set 17 times"));
}

#[test]
fn log_flood_of_lines_is_left_out() {
    Attack::new("log-lines")
        .args(["--callback-timeout", "5s"])
        .reaches("log-rate")
        .run(|server| {
            answers(server, "lines");
            assert!(server.logged_bytes() < 8 * MIB);
        });
}

#[test]
fn log_flood_of_bytes_is_left_out() {
    Attack::new("log-bytes")
        .args(["--callback-timeout", "5s"])
        .reaches("log-bytes")
        .run(|server| {
            answers(server, "bytes");
            assert!(server.logged_bytes() < 8 * MIB);
            assert!(!server.log().contains('\u{1b}'));
        });
}

#[test]
fn connections_of_others_cannot_be_reached() {
    Attack::new("close-others").run(|server| answers(server, "foreign connections: 0"));
}

#[test]
fn huge_strings_are_refused_by_every_import() {
    Attack::new("huge-strings")
        .holds_up(Duration::from_millis(60))
        .args(["--callback-timeout", "5s"])
        .grows(64 * MIB)
        .run(|server| answers(server, "strings that were taken: 0"));
}

#[test]
fn huge_messages_are_refused() {
    Attack::new("huge-messages")
        .reaches("message-size")
        .args(["--callback-timeout", "5s"])
        .grows(100 * MIB)
        .run(|server| answers(server, "messages that were taken: 0"));
}

#[test]
fn wait_without_end_is_stopped() {
    Attack::new("sleep")
        .args(["--blocking-timeout", "50ms", "--callback-timeout", "50ms"])
        .reaches("blocking-timeout")
        .fails("blocked")
        .run(|server| closes(server, 1011));
}

#[test]
fn waits_for_no_time_are_stopped() {
    Attack::new("zero-sleeps")
        .reaches("callback-timeout")
        .fails("deadline")
        .run(|server| closes(server, 1011));
}

#[test]
fn exit_ends_the_instance_and_not_the_server() {
    Attack::new("exit")
        .fails("trap")
        .run(|server| closes(server, 1011));
}

#[test]
fn nothing_of_the_system_is_granted() {
    Attack::new("forbidden").run(|server| answers(server, "things that it was given: 0"));
}

#[test]
fn peer_that_leaves_during_a_callback_harms_nobody() {
    Attack::new("short-loops").run(|server| {
        let mut peer = server.open();
        peer.send_text("go");
    });
}

/// The handler that misuses the canonical ABI in the way that a character tells.
fn misuse(name: &'static str, how: &'static str) {
    misuse_of(name, how, |attack| attack);
}

fn misuse_of(name: &'static str, how: &'static str, more: impl FnOnce(Attack) -> Attack) {
    let attack = Attack::of(name, handlers::source("tests/guests/misuse.wat")).fails("trap");
    more(attack).run(|server| {
        let mut peer = server.open();
        peer.send_text(how);
        peer.expect_close(1011);
    });
}

#[test]
fn string_that_ends_behind_the_memory_traps() {
    misuse("out-of-bounds", "b");
}

#[test]
fn text_that_is_not_utf8_traps() {
    misuse("not-utf-8", "u");
}

#[test]
fn handle_that_there_is_not_traps() {
    misuse("foreign-handle", "h");
}

#[test]
fn handle_that_was_given_back_traps() {
    misuse("double-drop", "d");
}

#[test]
fn packed_messages_where_none_were_received_trap() {
    misuse("packed-send", "p");
}

#[test]
fn strings_that_are_all_the_same_are_copied_up_to_a_limit() {
    misuse_of("same-strings", "l", |attack| {
        attack
            // One call copies 8 MiB before it is refused.
            .holds_up(Duration::from_millis(40))
            .reaches("copied-bytes")
    });
}

#[test]
fn resources_without_end_are_refused() {
    misuse_of("resource-bomb", "w", |attack| attack.reaches("resources"));
}

#[test]
fn allocator_that_calls_the_host_traps() {
    Attack::of("re-entrancy", handlers::source("tests/guests/misuse.wat"))
        .fails("trap")
        .run(|server| {
            let mut peer = server.open();
            assert_eq!(peer.ask("r"), "r");
            peer.send_text("r");
            peer.expect_close(1011);
        });
}

#[test]
fn sends_beyond_a_rate_are_refused() {
    Attack::new("send-flood")
        .args(["--max-send-byte-rate", "1MiB"])
        .reaches("byte-rate-out")
        .run(|server| closes(server, 4000));
}

/// Swaps the handler for itself, which fails in one of its callbacks.
fn swap_fails(name: &'static str, callback: &'static str) {
    Attack::new(name).run(|server| {
        let ended = server.ctl(["swap", "--handler", "hostile"]);
        assert_ne!(ended.code, Some(0));
        assert!(ended.stderr.contains(callback), "{}", ended.stderr);
    });
}

#[test]
fn trap_in_save_leaves_the_old_version() {
    swap_fails("trap-in-save", "save");
}

#[test]
fn trap_in_restore_leaves_the_old_version() {
    swap_fails("trap-in-restore", "restore");
}
