//! RFC 6455, 5.2: single frames, their headers and masks.

mod support;

use proptest::prelude::*;
use support::wire::{self, BINARY, KEY, PING, PONG, TEXT, masked, masked_head, unmasked};
use support::{Outcome, Pair, Seen, assert_fails, play, play_at_every_boundary, untimed};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::frame::{HEADER_BYTES_MAX, Header, Opcode};
use wsrun_proto::ws::{Cause, Config, Delivery, MessageKind, ProtocolError, Role, State};

#[test]
fn server_reads_the_frames_of_rfc_6455_section_5_7() {
    let hello = [
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    let ping = [
        0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ];
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &[&hello[..], &ping].concat());
    assert_eq!(
        outcome.seen,
        [
            Seen::Text("Hello".to_owned()),
            Seen::Ping(b"Hello".to_vec())
        ]
    );
    assert_eq!(outcome.output, [&[0x8a, 0x05][..], b"Hello"].concat());
    assert_eq!(outcome.state, State::Open);
}

#[test]
fn client_reads_the_frames_of_rfc_6455_section_5_7() {
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    let outcome = play_at_every_boundary(Role::Client, &untimed(), &fragments);
    assert_eq!(outcome.seen, [Seen::Text("Hello".to_owned())]);
}

#[test]
fn messages_of_every_length_form_arrive_however_they_are_cut() {
    for length in [0, 1, 7, 8, 63, 64, 65, 125, 126, 127, 300] {
        let payload: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).collect();
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let config = Config {
                delivery,
                ..untimed()
            };
            let bytes = [masked(TEXT, &payload), masked(BINARY, &payload)].concat();
            let outcome = play_at_every_boundary(Role::Server, &config, &bytes);
            let text = String::from_utf8(payload.clone()).unwrap();
            let expected = match delivery {
                Delivery::Messages => vec![Seen::Text(text), Seen::Binary(payload.clone())],
                Delivery::Chunks => [MessageKind::Text, MessageKind::Binary]
                    .map(|kind| Seen::Chunk {
                        kind,
                        data: payload.clone(),
                        first: true,
                        fin: true,
                    })
                    .to_vec(),
            };
            assert_eq!(outcome.seen, expected, "length {length}");
        }
    }
}

#[test]
fn large_messages_arrive_whole_and_in_pieces() {
    for length in [65_535, 65_536, 1 << 20] {
        let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let frame = masked(BINARY, &payload);
        for piece in [frame.len(), 1000, 65_536, 7] {
            let outcome = play(Role::Server, &untimed(), frame.chunks(piece));
            assert!(
                outcome.seen == [Seen::Binary(payload.clone())],
                "length {length} in pieces of {piece}"
            );
        }
    }
}

#[test]
fn server_fails_connection_on_reserved_bits() {
    for first in [0x91, 0xa1, 0xb1, 0xc1, 0xf1, 0xc9, 0xc0] {
        assert_fails(
            &untimed(),
            &masked(first, b"x"),
            ProtocolError::ReservedBitsSet,
            1002,
        );
    }
}

#[test]
fn server_fails_connection_on_reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        let error = ProtocolError::UnknownOpcode(opcode);
        assert_fails(&untimed(), &masked(0x80 | opcode, b""), error, 1002);
        assert_fails(&untimed(), &masked(opcode, b"x"), error, 1002);
    }
}

#[test]
fn server_fails_connection_on_unmasked_frame() {
    for first in [TEXT, BINARY, PING, PONG, 0x88] {
        assert_fails(
            &untimed(),
            &unmasked(first, b""),
            ProtocolError::FrameNotMasked,
            1002,
        );
        assert_fails(
            &untimed(),
            &unmasked(first, b"xy"),
            ProtocolError::FrameNotMasked,
            1002,
        );
    }
}

#[test]
fn client_fails_connection_on_masked_frame() {
    let outcome = play_at_every_boundary(Role::Client, &untimed(), &masked(TEXT, b"Hello"));
    assert_eq!(
        outcome.end.unwrap().cause,
        Cause::Protocol(ProtocolError::FrameMasked)
    );
    assert_eq!(ProtocolError::FrameMasked.close_code().get(), 1002);
    assert_eq!(
        outcome.output[..2],
        [0x88, 0x80 | (outcome.output.len() - 6) as u8],
        "masked as a client's"
    );
}

#[test]
fn danger_unmasked_takes_both() {
    let config = Config {
        danger_unmasked: true,
        ..untimed()
    };
    for role in [Role::Server, Role::Client] {
        let bytes = [masked(TEXT, b"one"), unmasked(TEXT, b"two")].concat();
        let outcome = play_at_every_boundary(role, &config, &bytes);
        assert_eq!(
            outcome.seen,
            [Seen::Text("one".to_owned()), Seen::Text("two".to_owned())]
        );
    }
}

#[test]
fn server_fails_connection_on_fragmented_control_frame() {
    for first in [0x08, 0x09, 0x0a] {
        assert_fails(
            &untimed(),
            &masked(first, b""),
            ProtocolError::ControlFrameFragmented,
            1002,
        );
    }
}

#[test]
fn server_fails_connection_on_long_control_frame() {
    for first in [0x88, PING, PONG] {
        assert_fails(
            &untimed(),
            &masked(first, &[b'x'; 126]),
            ProtocolError::ControlFrameTooLong,
            1002,
        );
        assert_fails(
            &untimed(),
            &masked_head(first, 1 << 20),
            ProtocolError::ControlFrameTooLong,
            1002,
        );
    }
}

#[test]
fn server_fails_connection_on_length_that_is_not_minimal() {
    let forms: [&[u8]; 5] = [
        &[0x82, 0xfe, 0, 0],
        &[0x82, 0xfe, 0, 125],
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 125],
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
    ];
    for form in forms {
        let bytes = [form, &KEY, &[0; 200]].concat();
        assert_fails(&untimed(), &bytes, ProtocolError::LengthNotMinimal, 1002);
    }
}

#[test]
fn server_fails_connection_on_length_with_top_bit() {
    let bytes = [&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0][..], &KEY].concat();
    assert_fails(&untimed(), &bytes, ProtocolError::LengthTopBitSet, 1002);
}

#[test]
fn input_after_a_broken_rule_is_ignored() {
    let bytes = [
        masked(TEXT, b"before"),
        masked(0x83, b""),
        masked(TEXT, b"after"),
        masked(PING, b"p"),
    ]
    .concat();
    let outcome = play_at_every_boundary(Role::Server, &untimed(), &bytes);
    assert_eq!(outcome.seen, [Seen::Text("before".to_owned())]);
    assert_eq!(outcome.state, State::Finished);
    let closes = outcome.output.iter().filter(|byte| **byte == 0x88).count();
    assert_eq!(
        (closes, outcome.output[0]),
        (1, 0x88),
        "one close frame and no pong"
    );
}

#[test]
fn unread_bytes_are_as_they_were_received() {
    let mut connection =
        wsrun_proto::ws::Connection::new(support::epoch(), Role::Server, untimed());
    let mut scratch = support::scratch();
    let second = [
        masked(wire::BINARY_START, b"half"),
        masked(wire::LAST, b"other half"),
    ]
    .concat();
    let mut bytes = [masked(TEXT, b"first"), second.clone()].concat();
    let mut input = connection.handle_input(support::epoch(), &mut bytes, &mut scratch);
    input.poll_event().unwrap();
    assert_eq!(input.unread(), second);
}

#[test]
fn client_masks_every_frame_with_its_own_key() {
    let mut pair = Pair::new(untimed());
    for _ in 0..3 {
        pair.client_sends(MessageKind::Text, b"same").unwrap();
    }
    let output = support::written(pair.client.output_mut());
    let keys: Vec<&[u8]> = output.chunks(10).map(|frame| &frame[2..6]).collect();
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    let outcome = play(Role::Server, &untimed(), [&output[..]]);
    assert_eq!(
        outcome.seen,
        [const { Seen::Text(String::new()) }; 3].map(|_| Seen::Text("same".to_owned()))
    );
}

#[test]
#[should_panic(expected = "the client role needs Scratch::with_mask_keys")]
fn client_without_masking_keys_is_a_bug_of_the_driver() {
    let mut connection =
        wsrun_proto::ws::Connection::new(support::epoch(), Role::Client, untimed());
    let _ = connection.send_text("x", &mut wsrun_proto::ws::Scratch::new());
}

fn any_header() -> impl Strategy<Value = Header> {
    let lengths = prop_oneof![0..126_u64, 126..65_536_u64, 65_536..=i64::MAX as u64];
    let data = prop_oneof![
        Just(Opcode::Continuation),
        Just(Opcode::Text),
        Just(Opcode::Binary)
    ];
    let control = prop_oneof![Just(Opcode::Close), Just(Opcode::Ping), Just(Opcode::Pong)];
    let data = (
        any::<bool>(),
        any::<bool>(),
        data,
        any::<Option<[u8; 4]>>(),
        lengths,
    );
    let control = (
        Just(true),
        any::<bool>(),
        control,
        any::<Option<[u8; 4]>>(),
        0..126_u64,
    );
    prop_oneof![data, control].prop_map(|(fin, rsv1, opcode, mask, length)| Header {
        fin,
        rsv1,
        opcode,
        mask,
        length,
    })
}

proptest! {
    #[test]
    fn header_survives_the_round_trip(header in any_header(), rest in any::<[u8; 3]>()) {
        let mut encoded = [0; HEADER_BYTES_MAX];
        let length = header.encode(&mut encoded);
        for cut in 0..length {
            prop_assert_eq!(Header::decode(&encoded[..cut]), Ok(None));
        }
        let bytes = [&encoded[..length], &rest].concat();
        prop_assert_eq!(Header::decode(&bytes), Ok(Some((header, length))));
    }

    #[test]
    fn messages_survive_the_round_trip_between_client_and_server(
        messages in prop::collection::vec((any::<bool>(), ".{0,300}"), 1..8),
        piece_bytes_max in 1..400_usize,
        chunks in any::<bool>(),
    ) {
        let delivery = if chunks { Delivery::Chunks } else { Delivery::Messages };
        let mut pair = Pair::new(Config { delivery, ..untimed() });
        pair.piece_bytes_max = piece_bytes_max;
        for (text, payload) in &messages {
            let kind = if *text { MessageKind::Text } else { MessageKind::Binary };
            pair.client_sends(kind, payload.as_bytes()).unwrap();
            pair.server_sends(kind, payload.as_bytes()).unwrap();
        }
        pair.run();
        let sent: Vec<(bool, Vec<u8>)> =
            messages.iter().map(|(text, payload)| (*text, payload.clone().into_bytes())).collect();
        prop_assert_eq!(&messages_of(&pair.server_saw), &sent);
        prop_assert_eq!(&messages_of(&pair.client_saw), &sent);
    }

    #[test]
    fn connection_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600), server in any::<bool>()) {
        let role = if server { Role::Server } else { Role::Client };
        let limits = Limits { message_bytes_max: 500, ..Limits::default() };
        let config = Config { danger_unmasked: true, limits, ..untimed() };
        let Outcome { state, end, .. } = play_at_every_boundary(role, &config, &bytes);
        prop_assert_eq!(state == State::Finished, end.is_some());
    }
}

fn messages_of(seen: &[Seen]) -> Vec<(bool, Vec<u8>)> {
    let mut messages = Vec::new();
    let mut open = Vec::new();
    for event in seen {
        match event {
            Seen::Text(text) => messages.push((true, text.clone().into_bytes())),
            Seen::Binary(data) => messages.push((false, data.clone())),
            Seen::Chunk {
                kind, data, fin, ..
            } => {
                open.extend_from_slice(data);
                if *fin {
                    messages.push((*kind == MessageKind::Text, std::mem::take(&mut open)));
                }
            }
            Seen::Ping(_) | Seen::Pong(..) | Seen::Close(_) => {}
        }
    }
    messages
}
