//! Silent and slow peers, in invented time.

mod support;

use std::time::Duration;

use support::wire::{BINARY, BINARY_START, LAST, MORE, PING, close, masked};
use support::{Pair, Seen, epoch, scratch, seconds, see, untimed, written};
use wsrun_proto::ws::{
    Cause, CloseFrame, Config, Connection, MessageKind, Party, Role, State, Timeouts, Timer,
};

#[test]
fn silence_is_broken_by_a_ping_and_its_pong_is_told() {
    let mut pair = Pair::new(Config::default());
    assert_eq!(pair.server.poll_timeout(), Some(epoch() + seconds(30)));
    pair.now += seconds(29);
    pair.server.handle_timeout(pair.now);
    assert!(
        pair.server.output().is_empty(),
        "called too early, nothing happens"
    );
    pair.now += seconds(1);
    pair.server.handle_timeout(pair.now);
    assert_eq!(pair.server.output().len(), 10);
    assert_eq!(
        pair.server.poll_timeout(),
        Some(epoch() + seconds(50)),
        "then the idle timeout is next"
    );
    let ping = written(pair.server.output_mut());
    pair.client_saw = see(&mut pair.client, &mut pair.scratch, &ping);
    pair.run();
    assert!(
        matches!(pair.server_saw[..], [Seen::Pong(_, true)]),
        "{:?}",
        pair.server_saw
    );
    assert!(matches!(pair.client_saw[..], [Seen::Ping(_)]));
    let pong = [&[0x8a, 0x80 | 8][..], &[0; 4], &ping[2..]].concat();
    assert_eq!(
        see(&mut pair.server, &mut pair.scratch, &pong),
        [Seen::Pong(ping[2..].to_vec(), false)],
        "only once"
    );
}

#[test]
fn client_pings_once_it_has_masking_keys() {
    let mut pair = Pair::new(Config::default());
    pair.client.handle_timeout(epoch() + seconds(30));
    assert!(pair.client.output().is_empty());
    see(&mut pair.client, &mut pair.scratch, &[0x81, 0]);
    pair.client.handle_timeout(epoch() + seconds(60));
    assert!(pair.client.end().is_some(), "silent for too long meanwhile");

    let mut pair = Pair::new(Config::default());
    see(&mut pair.client, &mut pair.scratch, &[0x81, 0]);
    pair.client.handle_timeout(epoch() + seconds(30));
    pair.run();
    assert!(matches!(pair.client_saw[..], [Seen::Pong(_, true)]));
}

#[test]
fn any_input_puts_off_the_idle_timeout() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    let mut byte = [0x82];
    let now = epoch() + seconds(49);
    let _ = connection
        .handle_input(now, &mut byte, &mut scratch)
        .poll_event();
    connection.handle_timeout(epoch() + seconds(51));
    assert_eq!(connection.state(), State::Open);
    let _ = connection
        .handle_input(now, &mut [], &mut scratch)
        .poll_event();
    assert_eq!(
        connection.poll_timeout(),
        Some(now + seconds(30)),
        "no bytes are no input"
    );
}

#[test]
fn silent_peer_is_given_up_with_1006() {
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    let mut scratch = scratch();
    connection.send_text("never read", &mut scratch).unwrap();
    connection.handle_timeout(epoch() + seconds(50));
    let end = connection.end().unwrap();
    assert_eq!((end.code, end.by, end.clean), (1006, Party::Local, false));
    assert_eq!(end.cause, Cause::TimedOut(Timer::Idle));
    assert!(connection.output().is_empty() && connection.is_drained());
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn pings_do_not_pile_up_behind_a_transport_that_does_not_move() {
    let timeouts = Timeouts {
        idle_timeout: None,
        ..Timeouts::default()
    };
    let mut connection = Connection::new(
        epoch(),
        Role::Server,
        Config {
            timeouts,
            ..Config::default()
        },
    );
    for turn in 1..1000 {
        connection.handle_timeout(epoch() + seconds(30 * turn));
        assert!(connection.poll_timeout().unwrap() > epoch() + seconds(30 * turn));
    }
    assert_eq!(connection.output().len(), 10);
}

#[test]
fn slow_message_fails_the_connection_with_1008() {
    let mut scratch = scratch();
    let starts = [
        vec![0x82],
        masked(BINARY, b"four")[..7].to_vec(),
        masked(BINARY_START, b""),
        masked(PING, b"x")[..6].to_vec(),
    ];
    for start in starts {
        let mut connection = Connection::new(epoch(), Role::Server, Config::default());
        see(&mut connection, &mut scratch, &start);
        let before = epoch() + seconds(29);
        // A ping in between neither ends nor prolongs it.
        if start == masked(BINARY_START, b"") {
            let mut ping = masked(PING, b"");
            assert!(
                connection
                    .handle_input(before, &mut ping, &mut scratch)
                    .poll_event()
                    .is_some()
            );
            written(connection.output_mut());
        }
        connection.handle_timeout(before);
        assert_eq!(connection.state(), State::Open);
        assert_eq!(connection.poll_timeout(), Some(epoch() + seconds(30)));
        connection.handle_timeout(epoch() + seconds(30));
        let end = connection.end().unwrap();
        assert_eq!(
            (end.code, end.cause),
            (1008, Cause::TimedOut(Timer::Message))
        );
        assert_eq!(
            written(connection.output_mut())[2..4],
            1008_u16.to_be_bytes()
        );
    }
}

#[test]
fn message_timeout_ends_with_the_message() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    see(&mut connection, &mut scratch, &masked(BINARY_START, b"a"));
    let mut last = masked(LAST, b"b");
    let now = epoch() + seconds(29);
    assert!(
        connection
            .handle_input(now, &mut last, &mut scratch)
            .poll_event()
            .is_some()
    );
    connection.handle_timeout(now + seconds(29));
    assert_eq!(connection.state(), State::Open);
    let mut next = masked(BINARY_START, b"a");
    let _ = connection
        .handle_input(now + seconds(29), &mut next, &mut scratch)
        .poll_event();
    assert_eq!(
        connection.poll_timeout(),
        Some(now + seconds(29) + seconds(30))
    );
}

#[test]
fn peer_is_not_blamed_while_the_driver_does_not_read() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    see(&mut connection, &mut scratch, &masked(BINARY_START, b"a"));
    connection.pause_input(epoch());
    assert_eq!(connection.poll_timeout(), None);
    connection.handle_timeout(epoch() + seconds(1000));
    assert_eq!(connection.state(), State::Open);
    connection.resume_input(epoch() + seconds(1000));
    assert_eq!(connection.poll_timeout(), Some(epoch() + seconds(1030)));
}

#[test]
fn message_has_the_same_time_however_often_the_driver_does_not_read() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    let mut now = epoch();
    for _ in 0..29 {
        // The peer has one second of each eleven.
        let mut piece = masked(if now == epoch() { BINARY_START } else { MORE }, b"a");
        let _ = connection
            .handle_input(now, &mut piece, &mut scratch)
            .poll_event();
        now += seconds(1);
        connection.pause_input(now);
        // The driver pauses again, as one that was woken and still cannot read.
        now += seconds(10);
        connection.pause_input(now);
        connection.resume_input(now);
        connection.handle_timeout(now);
        assert_eq!(connection.state(), State::Open);
    }
    connection.handle_timeout(now + seconds(1));
    let end = connection.end().unwrap();
    assert_eq!(end.cause, Cause::TimedOut(Timer::Message));
}

#[test]
fn peer_gets_the_whole_time_again_and_a_ping_after_a_standstill() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    see(&mut connection, &mut scratch, &masked(BINARY_START, b"a"));
    let now = epoch() + seconds(500);
    connection.handle_standstill(now);
    connection.handle_timeout(now);
    assert_eq!(connection.state(), State::Open);
    assert_eq!(connection.output().len(), 10, "a ping");
    assert_eq!(connection.poll_timeout(), Some(now + seconds(30)));

    let close = CloseFrame::new(1000, "").unwrap();
    connection.start_close(now, close, &mut scratch);
    let now = now + seconds(500);
    connection.handle_standstill(now);
    connection.handle_timeout(now);
    assert_eq!(connection.state(), State::Closing);
    assert_eq!(connection.poll_timeout(), Some(now + seconds(5)));
}

#[test]
fn standstill_brings_no_ping_where_there_are_none() {
    let config = Config {
        timeouts: Timeouts {
            ping_interval: None,
            ..Timeouts::default()
        },
        ..Config::default()
    };
    let mut connection = Connection::new(epoch(), Role::Server, config);
    connection.handle_standstill(epoch() + seconds(500));
    assert!(connection.output().is_empty());
    assert_eq!(connection.poll_timeout(), Some(epoch() + seconds(550)));
}

#[test]
fn close_frame_without_answer_ends_after_the_close_timeout() {
    let mut pair = Pair::new(Config::default());
    pair.server_closes(4000, "bye");
    assert_eq!(pair.server.poll_timeout(), Some(epoch() + seconds(5)));
    pair.now += seconds(5);
    pair.server.handle_timeout(pair.now);
    let end = pair.server.end().unwrap();
    assert_eq!(
        (end.code, end.clean, end.cause),
        (1006, false, Cause::TimedOut(Timer::Close))
    );
    assert!(pair.server.is_drained());
}

#[test]
fn client_waits_for_the_end_of_the_transport_only_for_so_long() {
    let mut pair = Pair::new(Config::default());
    pair.client_closes(1000, "");
    pair.run();
    assert_eq!(pair.client.poll_timeout(), Some(epoch() + seconds(5)));
    assert!(!pair.client.is_drained());
    pair.pass(seconds(5));
    assert!(pair.client.is_drained());
    assert_eq!(pair.client.poll_timeout(), None);
    assert_eq!(pair.client.end().unwrap().code, 1000);
}

#[test]
fn last_output_is_dropped_if_the_peer_does_not_take_it() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    see(&mut connection, &mut scratch, &close(1000, ""));
    assert!(!connection.is_drained());
    connection.handle_timeout(epoch() + seconds(5));
    assert!(connection.is_drained());
}

#[test]
fn without_timers_there_is_nothing_to_wait_for() {
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    assert_eq!(connection.poll_timeout(), None);
    connection.handle_timeout(epoch() + seconds(1_000_000));
    assert_eq!(connection.state(), State::Open);
    connection.start_close(epoch(), CloseFrame::empty(), &mut scratch());
    assert_eq!(connection.poll_timeout(), Some(epoch() + seconds(5)));
}

#[test]
fn endless_timeouts_do_not_overflow() {
    let timeouts = Timeouts {
        ping_interval: Some(Duration::MAX),
        idle_timeout: Some(Duration::MAX),
        close_timeout: Duration::MAX,
        message_timeout: Some(Duration::MAX),
    };
    let mut connection = Connection::new(
        epoch(),
        Role::Server,
        Config {
            timeouts,
            ..Config::default()
        },
    );
    see(&mut connection, &mut scratch(), &[0x82]);
    assert_eq!(connection.poll_timeout(), None);
    connection.start_close(epoch(), CloseFrame::empty(), &mut scratch());
    assert_eq!(connection.poll_timeout(), None);
}

#[test]
fn peer_that_reads_slowly_gets_its_time_to_answer_after_the_close_frame() {
    let mut connection = Connection::new(epoch(), Role::Server, Config::default());
    let mut scratch = scratch();
    connection
        .send_message(MessageKind::Binary, &[0; 100_000], &mut scratch)
        .unwrap();
    let close = CloseFrame::new(1000, "").unwrap();
    connection.start_close(epoch(), close, &mut scratch);
    for second in 1..20 {
        connection.output_mut().consume(1_000);
        connection.handle_progress(epoch() + seconds(second));
        connection.handle_timeout(epoch() + seconds(second));
        assert_eq!(connection.state(), State::Closing);
    }
    connection.handle_timeout(epoch() + seconds(25));
    assert_eq!(connection.state(), State::Finished);
}
