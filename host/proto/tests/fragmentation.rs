//! RFC 6455, 5.4: messages of several frames.

mod support;

use std::sync::Arc;

use support::memory::{self, Counting};
use support::wire::{BINARY, BINARY_START, LAST, MORE, PING, PONG, TEXT, TEXT_START, masked};
use support::{Seen, assert_fails, epoch, play, play_at_every_boundary, see, untimed, written};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::{
    Chunk, Config, Connection, Delivery, Event, MessageKind, ProtocolError, Role, Scratch,
    SendError,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn fragments_make_one_message() {
    let bytes = [
        masked(TEXT_START, b""),
        masked(MORE, b"frag"),
        masked(MORE, b""),
        masked(LAST, b"ments"),
        masked(BINARY_START, b"\x00"),
        masked(LAST, b""),
        masked(TEXT_START, b""),
        masked(LAST, b""),
    ]
    .concat();
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &bytes);
    let text = |text: &str| Seen::Text(text.to_owned());
    assert_eq!(
        outcome.seen,
        [text("fragments"), Seen::Binary(vec![0]), text("")]
    );
}

#[test]
fn control_frames_come_between_fragments() {
    let bytes = [
        masked(TEXT_START, b"a"),
        masked(PING, b"1"),
        masked(MORE, b"b"),
        masked(PONG, b"2"),
        masked(LAST, b"c"),
    ]
    .concat();
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &bytes);
    let expected = [
        Seen::Ping(b"1".to_vec()),
        Seen::Pong(b"2".to_vec(), false),
        Seen::Text("abc".to_owned()),
    ];
    assert_eq!(outcome.seen, expected);
    assert_eq!(outcome.output, [0x8a, 1, b'1']);
}

#[test]
fn server_fails_connection_on_continuation_without_message() {
    let error = ProtocolError::ContinuationWithoutMessage;
    assert_fails(&untimed(), &masked(LAST, b"x"), error, 1002);
    assert_fails(&untimed(), &masked(MORE, b""), error, 1002);
    assert_fails(
        &untimed(),
        &[masked(TEXT, b"x"), masked(LAST, b"x")].concat(),
        error,
        1002,
    );
    let over = [
        masked(TEXT_START, b"x"),
        masked(LAST, b"x"),
        masked(LAST, b"x"),
    ]
    .concat();
    assert_fails(&untimed(), &over, error, 1002);
}

#[test]
fn server_fails_connection_on_data_frame_inside_a_message() {
    for second in [TEXT, BINARY, TEXT_START, BINARY_START] {
        let bytes = [masked(TEXT_START, b"x"), masked(second, b"y")].concat();
        assert_fails(&untimed(), &bytes, ProtocolError::MessageInterrupted, 1002);
    }
}

#[test]
fn chunks_tell_where_a_message_begins_and_ends() {
    let config = Config {
        delivery: Delivery::Chunks,
        ..untimed()
    };
    let mut connection = Connection::new(epoch(), Role::Server, config);
    let mut scratch = Scratch::new();
    let frame = masked(TEXT_START, b"abcdef");
    let mut expect = |bytes: &[u8], expected: Option<Chunk<'_>>| {
        let mut bytes = bytes.to_vec();
        let mut input = connection.handle_input(epoch(), &mut bytes, &mut scratch);
        assert_eq!(input.poll_event(), expected.map(Event::Chunk));
        assert_eq!(input.poll_event(), None);
    };
    let chunk = Chunk {
        kind: MessageKind::Text,
        data: b"ab",
        first: true,
        fin: false,
        remaining: 4,
    };
    expect(&frame[..8], Some(chunk));
    expect(
        &frame[8..],
        Some(Chunk {
            data: b"cdef",
            first: false,
            remaining: 0,
            ..chunk
        }),
    );
    expect(&masked(MORE, b""), None);
    expect(
        &masked(LAST, b""),
        Some(Chunk {
            data: b"",
            first: false,
            fin: true,
            remaining: 0,
            ..chunk
        }),
    );
}

#[test]
fn tiny_fragments_cost_no_more_than_twice_their_bytes() {
    const FRAGMENTS: usize = 131_000;
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    let mut scratch = Scratch::new();
    let mut bytes = masked(BINARY_START, b"");
    for _ in 0..FRAGMENTS {
        bytes.extend(masked(MORE, b"x"));
    }
    let peak = memory::peak_of(|| {
        for piece in bytes.chunks_mut(16 << 10) {
            assert_eq!(
                connection
                    .handle_input(epoch(), piece, &mut scratch)
                    .poll_event(),
                None
            );
        }
    });
    // While a buffer doubles, the old half is allocated as well.
    assert!(peak <= 3 * FRAGMENTS, "{peak} bytes at most");
    let held = memory::held();
    drop((connection, scratch));
    let held = held - memory::held();
    assert!(
        held <= 2 * FRAGMENTS as isize + 2048,
        "{held} bytes in the end"
    );
}

#[test]
fn empty_fragments_cost_nothing_and_end_at_the_limit() {
    let limits = Limits {
        fragments_max: 10_000,
        ..Limits::default()
    };
    let mut connection = Connection::new(
        epoch(),
        Role::Server,
        Config {
            limits,
            ..untimed()
        },
    );
    let mut scratch = Scratch::new();
    let start = masked(BINARY_START, b"");
    let more = masked(MORE, b"").repeat(9_999);
    let peak = memory::peak_of(|| {
        let mut bytes = [start, more].concat();
        let before = memory::held();
        assert_eq!(
            connection
                .handle_input(epoch(), &mut bytes, &mut scratch)
                .poll_event(),
            None
        );
        assert!(memory::held() - before < 2048);
    });
    assert!(peak < 200_000);
    assert!(connection.end().is_none());
    see(&mut connection, &mut scratch, &masked(MORE, b""));
    let error = ProtocolError::TooManyFragments { limit: 10_000 };
    assert_eq!(
        connection.end().unwrap().cause,
        wsrun_proto::ws::Cause::Protocol(error)
    );
}

#[test]
fn idle_connection_holds_nothing_on_the_heap() {
    let mut scratch = Scratch::new();
    let mut warm = Connection::new(epoch(), Role::Server, untimed());
    let message = [
        masked(TEXT_START, b"a"),
        masked(LAST, b"b"),
        masked(PING, b""),
    ]
    .concat();
    see(&mut warm, &mut scratch, &message);
    let config = Arc::new(untimed());
    let before = memory::held();
    let mut connection = Connection::new(epoch(), Role::Server, Arc::clone(&config));
    connection.output_mut().lend(Vec::with_capacity(100));
    see(&mut connection, &mut scratch, &message);
    written(connection.output_mut());
    drop(connection.output_mut().reclaim());
    assert_eq!(memory::held() - before, 0);
    assert!(
        size_of::<Connection>() <= 256,
        "{} bytes",
        size_of::<Connection>()
    );
}

#[test]
fn sent_chunks_are_one_message_with_control_frames_in_between() {
    let mut scratch = Scratch::new();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    connection
        .send_chunk(MessageKind::Text, b"a\xc3", false, &mut scratch)
        .unwrap();
    connection.send_ping(b"p", &mut scratch).unwrap();
    connection
        .send_chunk(MessageKind::Text, b"\xa4b", false, &mut scratch)
        .unwrap();
    connection
        .send_chunk(MessageKind::Text, b"", true, &mut scratch)
        .unwrap();
    connection.send_text("next", &mut scratch).unwrap();
    let output = written(connection.output_mut());
    let expected = [
        &[0x01, 2][..],
        b"a\xc3",
        &[0x89, 1],
        b"p",
        &[0x00, 2],
        b"\xa4b",
        &[0x80, 0],
        &[0x81, 4],
        b"next",
    ]
    .concat();
    assert_eq!(output, expected);
    assert_eq!(play(Role::Client, &untimed(), [&output[..]]).seen.len(), 3);
}

#[test]
fn nothing_is_sent_inside_a_message_that_is_not_its_next_chunk() {
    let mut scratch = Scratch::new();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    connection
        .send_chunk(MessageKind::Text, b"a", false, &mut scratch)
        .unwrap();
    let length = connection.output().len();
    assert_eq!(
        connection.send_text("b", &mut scratch),
        Err(SendError::MessageUnfinished)
    );
    assert_eq!(connection.fits(1), Err(SendError::MessageUnfinished));
    let other = connection.send_chunk(MessageKind::Binary, b"b", true, &mut scratch);
    assert_eq!(other, Err(SendError::MessageUnfinished));
    let invalid = connection.send_chunk(MessageKind::Text, b"\xff", false, &mut scratch);
    assert_eq!(invalid, Err(SendError::InvalidText));
    let cut = connection.send_chunk(MessageKind::Text, b"\xc3", true, &mut scratch);
    assert_eq!(cut, Err(SendError::InvalidText));
    assert_eq!(connection.output().len(), length);
    connection
        .send_chunk(MessageKind::Text, b"c", true, &mut scratch)
        .unwrap();
}
