//! RFC 6455, 5.5 and 7: control frames, the closing handshake and the end of a connection.

mod support;

use support::wire::{CLOSE, LAST, PING, TEXT, TEXT_START, close, close_payload, masked, unmasked};
use support::{
    Pair, Seen, assert_fails, epoch, play, play_at_every_boundary, scratch, see, untimed, written,
};
use wsrun_proto::ws::{
    Cause, CloseCode, CloseFrame, Connection, End, InvalidCloseCode, MessageKind, Party,
    ProtocolError, Role, SendError, State,
};

#[test]
fn server_answers_close_with_its_code_and_reason() {
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        let outcome = play_at_every_boundary(Role::Server, &untimed(), &close(code, "why"));
        assert_eq!(
            outcome.seen,
            [Seen::Close(CloseFrame::new(code, "why").unwrap())]
        );
        assert_eq!(
            outcome.output,
            unmasked(CLOSE, &close_payload(code, b"why"))
        );
        assert_eq!(outcome.state, State::Finished);
        let reason = "why".to_owned();
        assert_eq!(
            outcome.end,
            Some(End {
                code,
                reason,
                by: Party::Peer,
                clean: true,
                cause: Cause::CloseFrame
            })
        );
    }
}

#[test]
fn server_answers_close_without_code_without_code() {
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &masked(CLOSE, b""));
    assert_eq!(outcome.output, [0x88, 0]);
    let end = outcome.end.unwrap();
    assert_eq!((end.code, end.clean, end.by), (1005, true, Party::Peer));
}

#[test]
fn server_fails_connection_on_close_payload_of_one_byte() {
    assert_fails(
        &untimed(),
        &masked(CLOSE, b"\x03"),
        ProtocolError::CloseCodeCut,
        1002,
    );
}

#[test]
fn server_fails_connection_on_close_codes_that_must_not_be_sent() {
    for code in [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        assert_fails(
            &untimed(),
            &close(code, "x"),
            ProtocolError::CloseCodeInvalid(code),
            1002,
        );
        assert_eq!(CloseFrame::new(code, ""), Err(InvalidCloseCode(code)));
    }
}

#[test]
fn server_fails_connection_on_close_reason_that_is_not_utf8() {
    let bytes = masked(
        CLOSE,
        &close_payload(1000, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80"),
    );
    assert_fails(&untimed(), &bytes, ProtocolError::CloseReasonNotUtf8, 1007);
    let cut = masked(CLOSE, &close_payload(1000, b"\xe2\x82"));
    assert_fails(&untimed(), &cut, ProtocolError::CloseReasonNotUtf8, 1007);
}

#[test]
fn longest_reason_is_taken() {
    let reason = "x".repeat(123);
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &close(1000, &reason));
    assert_eq!(outcome.end.unwrap().reason, reason);
    let answer = close_payload(1000, reason.as_bytes());
    assert_eq!(outcome.output, unmasked(CLOSE, &answer));
}

#[test]
fn what_arrives_behind_a_failed_write_is_still_told_and_nothing_more_is_queued() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    connection.send_text("never taken", &mut scratch).unwrap();
    connection.handle_write_failed();
    let input = [masked(TEXT, b"last words"), close(4001, "bye")].concat();
    // The message comes first, and then the close frame that was held.
    let mut seen = see(&mut connection, &mut scratch, &input);
    seen.extend(see(&mut connection, &mut scratch, b""));
    assert_eq!(
        seen,
        [
            Seen::Text("last words".to_owned()),
            Seen::Close(CloseFrame::new(4001, "bye").unwrap())
        ]
    );
    connection.handle_write_failed();
    assert!(connection.output().is_empty());
    let end = connection.end().unwrap();
    assert_eq!((end.code, end.reason.as_str()), (4001, "bye"));
    // Our answer never went out.
    assert_eq!((end.by, end.clean), (Party::Peer, false));
}

#[test]
fn answer_to_a_close_frame_that_went_out_makes_a_clean_end_whatever_is_written_later() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    let bye = CloseFrame::new(1000, "").unwrap();
    connection.start_close(epoch(), bye, &mut scratch);
    let length = connection.output().len();
    connection.output_mut().consume(length);
    connection.handle_write_failed();
    see(&mut connection, &mut scratch, &close(1000, ""));
    assert!(connection.end().unwrap().clean);
}

#[test]
fn sent_reason_is_cut_at_a_character() {
    let frame = CloseFrame::new(1000, &"ä".repeat(100)).unwrap();
    assert_eq!(frame.reason(), "ä".repeat(61));
    let frame = CloseFrame::with_code(CloseCode::NORMAL, &"x".repeat(200));
    assert_eq!(frame.reason().len(), 123);
}

#[test]
fn close_inside_a_fragmented_message_is_answered_normally() {
    let bytes = [
        masked(TEXT_START, b"half"),
        close(1000, ""),
        masked(LAST, b"rest"),
    ]
    .concat();
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &bytes);
    assert_eq!(
        outcome.seen,
        [Seen::Close(CloseFrame::new(1000, "").unwrap())]
    );
    assert!(outcome.end.unwrap().clean);
}

#[test]
fn data_after_the_close_frame_is_ignored() {
    let bytes = [
        close(1000, ""),
        masked(TEXT, b"late"),
        masked(PING, b""),
        vec![0xff; 10],
    ]
    .concat();
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &bytes);
    assert_eq!(outcome.seen.len(), 1);
    assert_eq!(outcome.output, unmasked(CLOSE, &close_payload(1000, b"")));
}

#[test]
fn messages_under_way_arrive_while_closing() {
    let mut pair = Pair::new(untimed());
    pair.client_sends(MessageKind::Text, b"under way").unwrap();
    pair.server_closes(1001, "bye");
    assert_eq!(pair.server.state(), State::Closing);
    assert_eq!(
        pair.server_sends(MessageKind::Text, b"too late"),
        Err(SendError::Closed)
    );
    pair.run();
    assert_eq!(pair.server_saw[0], Seen::Text("under way".to_owned()));
    assert!(
        matches!(&pair.server_saw[1], Seen::Close(close) if close.code() == Some(CloseCode::GOING_AWAY))
    );
    let end = pair.server.end().unwrap();
    assert_eq!(
        (end.code, end.reason.as_str(), end.by, end.clean),
        (1001, "bye", Party::Local, true)
    );
    let end = pair.client.end().unwrap();
    assert_eq!(
        (end.code, end.reason.as_str(), end.by, end.clean),
        (1001, "bye", Party::Peer, true)
    );
}

#[test]
fn close_frame_goes_after_what_is_queued() {
    let mut pair = Pair::new(untimed());
    pair.server_sends(MessageKind::Text, b"first").unwrap();
    pair.server_closes(1000, "");
    pair.run();
    assert_eq!(pair.client_saw[0], Seen::Text("first".to_owned()));
    assert!(matches!(pair.client_saw[1], Seen::Close(_)));
}

#[test]
fn both_sides_may_close_at_once() {
    let mut pair = Pair::new(untimed());
    pair.client_closes(4001, "client");
    pair.server_closes(4002, "server");
    pair.run();
    for (connection, code) in [(&pair.client, 4001), (&pair.server, 4002)] {
        let end = connection.end().unwrap();
        assert_eq!((end.code, end.by, end.clean), (code, Party::Local, true));
    }
    assert_eq!(
        (pair.client_saw.len(), pair.server_saw.len()),
        (1, 1),
        "each saw one close frame"
    );
}

#[test]
fn starting_to_close_twice_sends_one_close_frame() {
    let mut pair = Pair::new(untimed());
    pair.server_closes(1000, "one");
    let length = pair.server.output().len();
    pair.server_closes(1001, "two");
    assert_eq!(pair.server.output().len(), length);
    pair.run();
    assert_eq!(pair.server.end().unwrap().reason, "one");
    pair.server_closes(1001, "three");
    assert!(pair.server.output().is_empty());
}

#[test]
fn no_frame_follows_the_close_frame() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    connection.start_close(epoch(), CloseFrame::empty(), &mut scratch);
    assert_eq!(
        see(&mut connection, &mut scratch, &masked(PING, b"p")),
        [Seen::Ping(b"p".to_vec())]
    );
    assert_eq!(
        connection.send_ping(b"", &mut scratch),
        Err(SendError::Closed)
    );
    assert_eq!(
        connection.send_pong(b"", &mut scratch),
        Err(SendError::Closed)
    );
    assert_eq!(
        connection.send_chunk(MessageKind::Text, b"", true, &mut scratch),
        Err(SendError::Closed)
    );
    assert_eq!(connection.fits(0), Err(SendError::Closed));
    see(&mut connection, &mut scratch, &masked(0x83, b""));
    assert_eq!(written(connection.output_mut()), [0x88, 0]);
    assert_eq!(
        connection.end().unwrap().cause,
        Cause::Protocol(ProtocolError::UnknownOpcode(3))
    );
}

#[test]
fn end_of_transport_without_close_frame_is_1006() {
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    connection.handle_eof(epoch());
    let end = connection.end().unwrap();
    assert_eq!(
        (end.code, end.by, end.clean, end.cause),
        (1006, Party::Peer, false, Cause::Eof)
    );
    assert!(connection.is_drained());

    let mut pair = Pair::new(untimed());
    pair.server_closes(1000, "");
    pair.server.handle_eof(pair.now);
    assert_eq!(
        pair.server.end().unwrap().code,
        1006,
        "our own close frame does not make it clean"
    );
}

#[test]
fn end_of_transport_after_the_closing_handshake_changes_nothing() {
    let mut pair = Pair::new(untimed());
    pair.client_closes(1000, "done");
    pair.run();
    assert!(
        pair.server.is_drained(),
        "the server ends the transport first"
    );
    assert!(!pair.client.is_drained(), "the client waits for it");
    let end = pair.client.end().cloned();
    pair.client.handle_eof(pair.now);
    assert!(pair.client.is_drained());
    assert_eq!(pair.client.end().cloned(), end);
}

#[test]
fn abort_ends_at_once_and_drops_the_output() {
    let mut pair = Pair::new(untimed());
    pair.client_sends(MessageKind::Text, b"never seen").unwrap();
    pair.client.abort(pair.now, "gave up");
    assert!(pair.client.output().is_empty() && pair.client.is_drained());
    assert_eq!(pair.client.poll_timeout(), None);
    let end = pair.client.end().unwrap();
    assert_eq!(
        (end.code, end.reason.as_str(), end.by),
        (1006, "gave up", Party::Local)
    );
    assert_eq!(end.cause, Cause::Aborted);
}

#[test]
fn every_ping_is_answered_in_order() {
    let pings: Vec<u8> = (b'0'..=b'9').flat_map(|n| masked(PING, &[n])).collect();
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &pings);
    let pongs: Vec<u8> = (b'0'..=b'9').flat_map(|n| unmasked(0x8a, &[n])).collect();
    assert_eq!(outcome.output, pongs);
    let longest = play_at_every_boundary(Role::Server, &untimed(), &masked(PING, &[7; 125]));
    assert_eq!(longest.output, unmasked(0x8a, &[7; 125]));
}

#[test]
fn control_payloads_are_at_most_125_bytes() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    assert_eq!(
        connection.send_ping(&[0; 126], &mut scratch),
        Err(SendError::TooLarge { limit: 125 })
    );
    connection.send_ping(&[0; 125], &mut scratch).unwrap();
    connection.send_pong(&[1; 125], &mut scratch).unwrap();
    let sent = written(connection.output_mut());
    let outcome = play(Role::Client, &untimed(), [&sent[..]]);
    assert_eq!(
        outcome.seen,
        [Seen::Ping(vec![0; 125]), Seen::Pong(vec![1; 125], false)]
    );
}

#[test]
fn text_that_is_not_utf8_is_not_sent() {
    let mut pair = Pair::new(untimed());
    assert_eq!(
        pair.server_sends(MessageKind::Text, b"\xff"),
        Err(SendError::InvalidText)
    );
    assert!(pair.server.output().is_empty());
}
