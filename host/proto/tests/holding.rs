//! Messages that are answered before the end of the connection that follows them in the same input.

mod support;

use wsrun_proto::ws::{
    Cause, CloseFrame, Config, Connection, Event, MessageKind, ProtocolError, Role, Scratch, State,
};

const KEY: [u8; 4] = [0; 4];

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&KEY);
    frame.extend_from_slice(payload);
    frame
}

/// Echoes the messages of one input as a driver does: first all events, then the answers, then
/// again.
fn echo(connection: &mut Connection, input: &mut [u8]) -> Vec<u8> {
    let now = support::epoch();
    let mut scratch = Scratch::new();
    let mut bytes = input;
    loop {
        let mut messages = Vec::new();
        let mut events = connection.handle_input(now, bytes, &mut scratch);
        while let Some(event) = events.poll_event() {
            if let Event::Text(text) = event {
                messages.push(text.to_owned());
            }
        }
        for message in messages {
            connection
                .send_message(MessageKind::Text, message.as_bytes(), &mut scratch)
                .expect("the connection is open");
        }
        if !connection.is_end_held() {
            break;
        }
        bytes = &mut [];
    }
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let count = connection.output().slices(&mut slices);
    slices[..count]
        .iter()
        .flat_map(|slice| slice.to_vec())
        .collect()
}

fn server() -> Connection {
    Connection::new(support::epoch(), Role::Server, Config::default())
}

#[test]
fn messages_before_a_close_frame_are_answered_before_it() {
    let mut connection = server();
    let mut input = [frame(0x81, b"a"), frame(0x81, b"b"), frame(0x88, &[3, 232])].concat();
    let output = echo(&mut connection, &mut input);
    assert_eq!(output, b"\x81\x01a\x81\x01b\x88\x02\x03\xe8");
    assert_eq!(connection.state(), State::Finished);
    let end = connection.end().unwrap();
    assert_eq!((end.code, end.clean), (1000, true));
}

#[test]
fn messages_before_a_broken_rule_are_answered_before_the_failure() {
    let invalid = [
        (frame(0x83, b""), ProtocolError::UnknownOpcode(3)),
        (frame(0x80, b"x"), ProtocolError::ContinuationWithoutMessage),
        (frame(0x81, b"\xff"), ProtocolError::TextNotUtf8),
        (frame(0xc1, b"x"), ProtocolError::ReservedBitsSet),
    ];
    for (bad, error) in invalid {
        let mut connection = server();
        let mut input = [frame(0x81, b"a"), bad, frame(0x81, b"ignored")].concat();
        let output = echo(&mut connection, &mut input);
        let close = CloseFrame::with_code(error.close_code(), &error.to_string());
        assert!(output.starts_with(b"\x81\x01a\x88"), "{error}: {output:?}");
        assert_eq!(connection.end().unwrap().code, close.reported_code());
        assert_eq!(connection.end().unwrap().cause, Cause::Protocol(error));
        assert!(!output.windows(7).any(|window| window == b"ignored"));
    }
}

#[test]
fn held_end_survives_the_end_of_the_transport() {
    let now = support::epoch();
    let mut scratch = Scratch::new();
    for (last, code) in [(frame(0x88, &[3, 233]), 1001), (frame(0x83, b""), 1002)] {
        let mut connection = server();
        let mut input = [frame(0x81, b"a"), last].concat();
        let mut events = connection.handle_input(now, &mut input, &mut scratch);
        while events.poll_event().is_some() {}
        assert!(connection.is_end_held());
        assert_eq!(connection.state(), State::Open);
        connection.handle_eof(now);
        assert!(!connection.is_end_held());
        let end = connection.end().unwrap();
        assert_eq!((end.code, end.clean), (code, false));
    }
}

#[test]
fn end_is_held_for_messages_of_earlier_inputs_where_the_driver_asks_for_it() {
    let now = support::epoch();
    let mut scratch = Scratch::new();
    for (last, code) in [(frame(0x88, &[3, 232]), 1000), (frame(0x83, b""), 1002)] {
        let mut connection = server();
        for mut input in [frame(0x81, b"a"), last] {
            let mut events = connection.handle_input(now, &mut input, &mut scratch);
            events.hold_end();
            while events.poll_event().is_some() {}
        }
        assert!(connection.is_end_held());
        connection
            .send_message(MessageKind::Text, b"answer", &mut scratch)
            .expect("the connection is open");
        let output = echo(&mut connection, &mut []);
        assert!(output.starts_with(b"\x81\x06answer\x88"), "{output:?}");
        assert_eq!(connection.end().unwrap().code, code);
    }
}

#[test]
fn end_without_messages_before_it_is_not_held() {
    let mut connection = server();
    let mut input = [frame(0x89, b""), frame(0x88, &[3, 232])].concat();
    let now = support::epoch();
    let mut scratch = Scratch::new();
    let mut events = connection.handle_input(now, &mut input, &mut scratch);
    while events.poll_event().is_some() {}
    assert!(!connection.is_end_held());
    assert_eq!(connection.state(), State::Finished);
}
