//! Limits on the memory and work that a peer can cause.

mod support;

use bytes::Bytes;
use support::memory::{self, Counting};
use support::wire::{BINARY, BINARY_START, LAST, MORE, PING, PONG, masked, masked_head, unmasked};
use support::{
    Seen, assert_fails, epoch, play_at_every_boundary, scratch, seconds, see, untimed, written,
};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::{
    Cause, CloseFrame, Config, Connection, MessageKind, Prepared, ProtocolError, Role, Scratch,
    SendError, State,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn limited(limits: Limits) -> Config {
    Config {
        limits,
        ..untimed()
    }
}

#[test]
fn server_fails_connection_on_large_frame_from_its_header() {
    let config = limited(Limits {
        frame_bytes_max: 200,
        ..Limits::default()
    });
    let error = ProtocolError::FrameTooLarge { limit: 200 };
    assert_fails(&config, &masked_head(BINARY, 201), error, 1009);
    assert_fails(&config, &masked_head(BINARY_START, 201), error, 1009);
    assert_fails(
        &config,
        &[masked(BINARY_START, b""), masked_head(LAST, 201)].concat(),
        error,
        1009,
    );
    let outcome = play_at_every_boundary(Role::Server, &config, &masked(BINARY, &[1; 200]));
    assert_eq!(outcome.seen, [Seen::Binary(vec![1; 200])]);
}

#[test]
fn server_fails_connection_on_large_message_from_the_header_that_makes_it_so() {
    let config = limited(Limits {
        message_bytes_max: 10,
        ..Limits::default()
    });
    let error = ProtocolError::MessageTooLarge { limit: 10 };
    assert_fails(&config, &masked_head(BINARY, 11), error, 1009);
    let bytes = [
        masked(BINARY_START, b"12345"),
        masked(MORE, b"67890"),
        masked_head(LAST, 1),
    ]
    .concat();
    assert_fails(&config, &bytes, error, 1009);
    let exact = [
        masked(BINARY_START, b"12345"),
        masked(MORE, b"67890"),
        masked(LAST, b""),
    ]
    .concat();
    let outcome = play_at_every_boundary(Role::Server, &config, &exact);
    assert_eq!(outcome.seen, [Seen::Binary(b"1234567890".to_vec())]);
}

#[test]
fn server_fails_connection_on_too_many_fragments() {
    let config = limited(Limits {
        fragments_max: 3,
        ..Limits::default()
    });
    let three = [masked(BINARY_START, b"1"), masked(MORE, b"2")].concat();
    let error = ProtocolError::TooManyFragments { limit: 3 };
    assert_fails(
        &config,
        &[&three[..], &masked(MORE, b"3"), &masked(LAST, b"4")].concat(),
        error,
        1008,
    );
    let outcome = play_at_every_boundary(
        Role::Server,
        &config,
        &[&three[..], &masked(LAST, b"3")].concat(),
    );
    assert_eq!(outcome.seen, [Seen::Binary(b"123".to_vec())]);
}

#[test]
fn server_fails_connection_on_too_many_control_frames() {
    let config = limited(Limits {
        control_frames_per_second_max: 2,
        ..Limits::default()
    });
    let error = ProtocolError::TooManyControlFrames { limit: 2 };
    assert_fails(
        &config,
        &[masked(PING, b""), masked(PONG, b""), masked(PING, b"")].concat(),
        error,
        1008,
    );
}

#[test]
fn control_frames_are_allowed_again_as_time_goes_by() {
    let config = limited(Limits {
        control_frames_per_second_max: 2,
        ..Limits::default()
    });
    let mut connection = Connection::new(epoch(), Role::Server, config);
    let mut scratch = scratch();
    for half_seconds in 0..100 {
        let mut ping = masked(PING, b"");
        let now = epoch() + seconds(1) * half_seconds / 2;
        assert!(
            connection
                .handle_input(now, &mut ping, &mut scratch)
                .poll_event()
                .is_some()
        );
    }
}

#[test]
fn quiet_time_does_not_let_more_control_frames_through_in_one_burst() {
    let config = limited(Limits {
        control_frames_per_second_max: 10,
        ..Limits::default()
    });
    let mut connection = Connection::new(epoch(), Role::Server, config);
    let mut scratch = scratch();
    let after_an_hour = epoch() + seconds(3600);
    for number in 0..10 {
        let mut ping = masked(PING, b"");
        let mut input = connection.handle_input(after_an_hour, &mut ping, &mut scratch);
        assert!(input.poll_event().is_some(), "ping {number}");
    }
    let mut ping = masked(PING, b"");
    let mut input = connection.handle_input(after_an_hour, &mut ping, &mut scratch);
    assert_eq!(input.poll_event(), None);
    assert_eq!(connection.end().unwrap().code, 1008);
}

#[test]
fn no_control_frame_is_taken_where_none_is_allowed() {
    let config = limited(Limits {
        control_frames_per_second_max: 0,
        ..Limits::default()
    });
    let error = ProtocolError::TooManyControlFrames { limit: 0 };
    assert_fails(&config, &masked(PING, b""), error, 1008);
}

#[test]
fn declared_lengths_allocate_nothing() {
    let open = limited(Limits {
        frame_bytes_max: u64::MAX,
        message_bytes_max: u64::MAX,
        ..Limits::default()
    });
    let mut scratch = Scratch::new();
    see(
        &mut Connection::new(epoch(), Role::Server, open),
        &mut scratch,
        &masked_head(BINARY, 1),
    );
    for length in [1 << 31, 1 << 32, 1 << 40, (1 << 63) - 1] {
        for (config, ends) in [(untimed(), true), (open, false)] {
            let mut connection = Connection::new(epoch(), Role::Server, config);
            let peak = memory::peak_of(|| {
                see(&mut connection, &mut scratch, &masked_head(BINARY, length));
            });
            assert!(
                peak < 4096,
                "{peak} bytes for a declared length of {length}"
            );
            assert_eq!(connection.end().is_some(), ends);
            let held =
                memory::peak_of(|| drop(see(&mut connection, &mut scratch, b"some payload")));
            assert!(held < 4096);
        }
    }
    assert_fails(
        &untimed(),
        &masked_head(BINARY, 1 << 63),
        ProtocolError::LengthTopBitSet,
        1002,
    );
    assert_fails(
        &untimed(),
        &masked_head(BINARY, u64::MAX),
        ProtocolError::LengthTopBitSet,
        1002,
    );
}

#[test]
fn pongs_beyond_sixteen_are_coalesced_to_the_newest() {
    let config = limited(Limits {
        control_frames_per_second_max: u32::MAX,
        ..Limits::default()
    });
    let mut connection = Connection::new(epoch(), Role::Server, config);
    let mut scratch = scratch();
    for number in 0..100_000_u32 {
        see(
            &mut connection,
            &mut scratch,
            &masked(PING, &number.to_be_bytes()),
        );
        assert!(connection.output().len() <= 16 * 6);
    }
    let pongs = written(connection.output_mut());
    let expected: Vec<u8> = (0..16)
        .chain([99_999])
        .flat_map(|number: u32| unmasked(0x8a, &number.to_be_bytes()))
        .collect();
    assert_eq!(pongs, expected);
    see(&mut connection, &mut scratch, &masked(PING, b"again"));
    assert_eq!(written(connection.output_mut()), unmasked(0x8a, b"again"));
}

#[test]
fn pongs_go_on_while_the_output_never_drains() {
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    let mut scratch = scratch();
    let mut sent = Vec::new();
    connection
        .send_message(MessageKind::Binary, &[0; 500], &mut scratch)
        .unwrap();
    for number in 0..200_u8 {
        connection
            .send_message(MessageKind::Binary, &[0; 100], &mut scratch)
            .unwrap();
        see(&mut connection, &mut scratch, &masked(PING, &[number]));
        let mut slices = [std::io::IoSlice::new(&[])];
        connection.output().slices(&mut slices);
        let part = slices[0].len().min(104);
        sent.extend_from_slice(&slices[0][..part]);
        connection.output_mut().consume(part);
        assert!(!connection.output().is_empty());
    }
    sent.extend(written(connection.output_mut()));
    let mut client = Connection::new(epoch(), Role::Client, untimed());
    let seen = see(&mut client, &mut scratch, &sent);
    let pongs: Vec<u8> = seen
        .iter()
        .filter_map(|event| {
            if let Seen::Pong(payload, _) = event {
                Some(payload[0])
            } else {
                None
            }
        })
        .collect();
    assert!(pongs.len() > 100, "{pongs:?}");
    assert!(pongs.is_sorted() && pongs.last() == Some(&199));
}

#[test]
fn message_is_refused_when_the_queue_is_full_and_always_taken_when_it_is_empty() {
    let mut connection = Connection::new(
        epoch(),
        Role::Server,
        limited(Limits {
            queued_bytes_max: 100,
            ..Limits::default()
        }),
    );
    let mut scratch = scratch();
    let large = [0; 1000];
    connection.fits(1000).unwrap();
    connection
        .send_message(MessageKind::Binary, &large, &mut scratch)
        .unwrap();
    let full = SendError::QueueFull { queued: 1004 };
    assert_eq!(connection.fits(0), Err(full));
    assert_eq!(
        connection.send_message(MessageKind::Binary, b"", &mut scratch),
        Err(full)
    );
    assert_eq!(connection.send_ping(b"", &mut scratch), Err(full));
    assert_eq!(
        connection.send_chunk(MessageKind::Binary, b"", true, &mut scratch),
        Err(full)
    );
    assert_eq!(
        connection.send_prepared(&mut Prepared::text("x"), &mut scratch),
        Err(full)
    );
    assert_eq!(connection.output().len(), 1004);
    connection.output_mut().consume(1000);
    connection
        .send_message(MessageKind::Binary, &[0; 96], &mut scratch)
        .unwrap();
    assert_eq!(
        connection.fits(3),
        Err(SendError::QueueFull { queued: 102 })
    );
    assert_eq!(connection.state(), State::Open);
}

#[test]
fn message_beyond_the_sending_limit_is_refused() {
    let limits = Limits {
        sent_message_bytes_max: 10,
        sent_stream_bytes_max: 10,
        ..Limits::default()
    };
    let mut connection = Connection::new(epoch(), Role::Server, limited(limits));
    let mut scratch = scratch();
    let error = Err(SendError::TooLarge { limit: 10 });
    assert_eq!(
        connection.send_message(MessageKind::Binary, &[0; 11], &mut scratch),
        error
    );
    connection
        .send_chunk(MessageKind::Binary, &[0; 6], false, &mut scratch)
        .unwrap();
    assert_eq!(
        connection.send_chunk(MessageKind::Binary, &[0; 5], true, &mut scratch),
        error
    );
    connection
        .send_chunk(MessageKind::Binary, &[0; 4], true, &mut scratch)
        .unwrap();
}

#[test]
fn close_frame_is_queued_however_full_the_queue_is() {
    let mut connection = Connection::new(
        epoch(),
        Role::Server,
        limited(Limits {
            queued_bytes_max: 1,
            ..Limits::default()
        }),
    );
    let mut scratch = scratch();
    connection
        .send_message(MessageKind::Binary, &[0; 100], &mut scratch)
        .unwrap();
    see(&mut connection, &mut scratch, &masked(0x83, b""));
    assert_eq!(
        connection.end().unwrap().cause,
        Cause::Protocol(ProtocolError::UnknownOpcode(3))
    );
    assert!(connection.output().len() > 102);
}

#[test]
fn prepared_message_is_shared_and_not_copied() {
    let mut scratch = scratch();
    let mut message = Prepared::binary(&[7; 100_000]);
    let peak = memory::peak_of(|| {
        let mut connections: Vec<Connection> = (0..100)
            .map(|_| Connection::new(epoch(), Role::Server, untimed()))
            .collect();
        for connection in &mut connections {
            connection.send_text("before", &mut scratch).unwrap();
            connection
                .send_prepared(&mut message, &mut scratch)
                .unwrap();
            connection.send_text("after", &mut scratch).unwrap();
        }
        let output = written(connections[99].output_mut());
        let expected = [
            unmasked(0x81, b"before"),
            unmasked(BINARY, &[7; 100_000]),
            unmasked(0x81, b"after"),
        ]
        .concat();
        assert!(output == expected);
    });
    assert!(peak < 600_000, "{peak} bytes for 100 queues");
}

#[test]
fn shared_message_is_not_copied_and_keeps_its_place() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    let shared = Bytes::from(vec![7; 100_000]);
    let peak = memory::peak_of(|| {
        connection.send_text("before", &mut scratch).unwrap();
        connection
            .send_promised_shared(MessageKind::Binary, shared, &mut scratch)
            .unwrap();
        connection.send_text("after", &mut scratch).unwrap();
    });
    assert!(peak < 10_000, "{peak} bytes");
    let expected = [
        unmasked(0x81, b"before"),
        unmasked(BINARY, &[7; 100_000]),
        unmasked(0x81, b"after"),
    ]
    .concat();
    assert!(written(connection.output_mut()) == expected);
}

#[test]
fn memory_for_a_message_is_at_most_four_times_what_has_arrived() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, untimed());
    let frame = masked(BINARY, &[7; 1_000_000]);
    let peak = memory::peak_of(|| {
        assert!(see(&mut connection, &mut scratch, &frame[..50_000]).is_empty());
    });
    assert!(peak < 260_000, "{peak} bytes for 50,000");
}

#[test]
fn promised_messages_are_taken_however_full_the_queue_has_become() {
    let mut connection = Connection::new(
        epoch(),
        Role::Server,
        limited(Limits {
            queued_bytes_max: 1_000,
            ..Limits::default()
        }),
    );
    let mut scratch = scratch();
    let payload = [0; 600];
    connection
        .send_message(MessageKind::Binary, &payload, &mut scratch)
        .unwrap();
    assert!(connection.fits(600).is_err());
    connection
        .send_promised_message(MessageKind::Binary, &payload, &mut scratch)
        .unwrap();
    connection.send_promised_ping(b"x", &mut scratch).unwrap();
    assert_eq!(connection.output().len(), 2 * (4 + 600) + 3);
    connection.start_close(epoch(), CloseFrame::empty(), &mut scratch);
    assert_eq!(
        connection.send_promised_message(MessageKind::Binary, b"x", &mut scratch),
        Err(SendError::Closed)
    );
}
