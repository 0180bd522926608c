//! RFC 7692: permessage-deflate.

mod support;

use std::sync::Arc;

use bytes::Bytes;
use support::memory::{self, Counting};
use support::wire::{
    BINARY, BINARY_START, COMPRESSED, LAST, MORE, PING, TEXT, TEXT_START, masked, unmasked,
};
use support::{
    Pair, Seen, agreed, assert_fails, epoch, play, play_at_every_boundary, scratch, see, untimed,
    written,
};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::DeflateConfig;
use wsrun_proto::ws::{
    Cause, CloseFrame, Config, Connection, Delivery, Event, MessageKind, Prepared, ProtocolError,
    Role, Scratch, SendError,
};
use zlib_rs::{Deflate, DeflateFlush, Strategy};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn with(deflate: &DeflateConfig) -> Config {
    Config {
        deflate: Some(agreed(deflate)),
        ..untimed()
    }
}

fn no_takeover() -> Config {
    with(&DeflateConfig::default())
}

fn takeover() -> Config {
    with(&DeflateConfig {
        context_takeover: true,
        ..DeflateConfig::default()
    })
}

/// Compresses a message as a client may, with zlib and not with the code under test.
fn compressed(message: &[u8]) -> Vec<u8> {
    let mut deflate = Deflate::new(6, false, 15);
    let mut output = vec![0; message.len() + 1000];
    deflate
        .compress(message, &mut output, DeflateFlush::SyncFlush)
        .expect("a new compressor works");
    output.truncate(deflate.total_out() as usize - 4);
    output
}

#[test]
fn server_reads_the_examples_of_rfc_7692_section_7_2_3() {
    let hello = Seen::Text("Hello".to_owned());
    let check = |config: &Config, bytes: &[u8], count: usize| {
        let outcome = play_at_every_boundary(Role::Server, config, bytes);
        assert_eq!(
            outcome.seen,
            vec![hello.clone(); count],
            "{:?}",
            outcome.end
        );
    };
    for config in [no_takeover(), takeover()] {
        // 7.2.3.1: one block, in one frame and in two.
        let one = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        check(&config, &masked(TEXT | COMPRESSED, &one), 1);
        let fragments = [
            masked(TEXT_START | COMPRESSED, &one[..3]),
            masked(LAST, &one[3..]),
        ]
        .concat();
        check(&config, &fragments, 1);
        // 7.2.3.3: a block without compression.
        let stored = [
            0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
        ];
        check(&config, &masked(TEXT | COMPRESSED, &stored), 1);
        // 7.2.3.4: a block with BFINAL.
        let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        check(&config, &masked(TEXT | COMPRESSED, &last).repeat(3), 3);
        // 7.2.3.5: two blocks.
        let two = [
            0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
        ];
        check(&config, &masked(TEXT | COMPRESSED, &two), 1);
    }
    // 7.2.3.2: the second message refers to the first.
    let first = masked(
        TEXT | COMPRESSED,
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
    );
    let second = masked(TEXT | COMPRESSED, &[0xf2, 0x00, 0x11, 0x00, 0x00]);
    check(&takeover(), &[first, second].concat(), 2);
}

#[test]
fn empty_message_is_read_in_every_form() {
    for config in [no_takeover(), takeover()] {
        for payload in [&b"\x00"[..], b"", b"\x02\x00", b"\x03\x00\x00", b"\x03\x00"] {
            let bytes = masked(BINARY | COMPRESSED, payload).repeat(2);
            let outcome = play_at_every_boundary(Role::Server, &config, &bytes);
            assert_eq!(
                outcome.seen,
                [Seen::Binary(vec![]), Seen::Binary(vec![])],
                "{payload:x?}: {:?}",
                outcome.end
            );
        }
    }
}

#[test]
fn compressed_message_arrives_however_it_is_cut_and_fragmented() {
    let message: Vec<u8> = (0..2000_u32)
        .flat_map(|n| (n * n).to_string().into_bytes())
        .collect();
    let payload = compressed(&message);
    let expected = [Seen::Text(String::from_utf8(message).unwrap())];
    let whole = masked(TEXT | COMPRESSED, &payload);
    let mut fragments = masked(TEXT_START | COMPRESSED, &payload[..1]);
    for part in payload[1..].chunks(100) {
        fragments.extend(masked(MORE, part));
        fragments.extend(masked(PING, b""));
    }
    fragments.extend(masked(LAST, b""));
    for bytes in [whole, fragments] {
        for piece in [1, 2, 3, 10, 1000, bytes.len()] {
            let outcome = play(Role::Server, &no_takeover(), bytes.chunks(piece));
            assert!(
                outcome
                    .seen
                    .iter()
                    .filter(|event| !matches!(event, Seen::Ping(_)))
                    .eq(&expected)
            );
        }
    }
}

#[test]
fn compressed_chunks_can_be_taken_one_at_a_time() {
    let message = vec![b'x'; 300_000];
    let mut bytes = [
        masked(TEXT | COMPRESSED, &compressed(&message)),
        masked(TEXT, b"next"),
    ]
    .concat();
    let config = Config {
        delivery: Delivery::Chunks,
        ..no_takeover()
    };
    let mut connection = Connection::new(epoch(), Role::Server, config);
    let mut scratch = Scratch::new();
    let (mut taken, mut chunks) = (0, 0);
    loop {
        let mut input = connection.handle_input(epoch(), &mut bytes, &mut scratch);
        let Some(Event::Chunk(chunk)) = input.poll_event() else {
            panic!("there is more to come")
        };
        assert_eq!(chunk.first, taken == 0);
        assert!(chunk.data.len() <= 16 << 10, "in bounded steps");
        taken += chunk.data.len();
        chunks += 1;
        let fin = chunk.fin;
        let unread = input.unread().to_vec();
        bytes = unread;
        if fin {
            break;
        }
    }
    assert_eq!(taken, message.len());
    assert!(chunks > 18);
    assert_eq!(bytes, masked(TEXT, b"next"));
}

#[test]
fn server_fails_connection_on_data_that_is_not_deflate() {
    let invalid: [&[u8]; 4] = [
        b"\x06\x00",
        b"\xff\xff\xff\xff",
        b"\x00\x05\x00\x00\x00",
        b"\xf2\x00\x11\x00\x00",
    ];
    for data in invalid {
        for config in [no_takeover(), takeover()] {
            assert_fails(
                &config,
                &masked(BINARY | COMPRESSED, data),
                ProtocolError::DeflateInvalid,
                1007,
            );
        }
    }
}

#[test]
fn server_fails_connection_on_data_that_is_cut_short_or_goes_on() {
    let whole = compressed(b"a message that has some length, and some length again");
    for end in 1..whole.len() - 1 {
        assert_fails(
            &no_takeover(),
            &masked(BINARY | COMPRESSED, &whole[..end]),
            ProtocolError::DeflateInvalid,
            1007,
        );
    }
    for garbage in [&b"\x05"[..], b"\xff\xff", b"garbage"] {
        let bytes = masked(BINARY | COMPRESSED, &[&whole[..], garbage].concat());
        assert_fails(&no_takeover(), &bytes, ProtocolError::DeflateInvalid, 1007);
    }
}

/// Compresses a message in every kind of block of zlib: stored, with fixed codes, with dynamic
/// codes, and blocks that end the stream.
fn in_every_kind_of_block(message: &[u8]) -> Vec<Vec<u8>> {
    let mut kinds = Vec::new();
    for (level, strategy) in [
        (0, Strategy::Default),
        (9, Strategy::Fixed),
        (9, Strategy::Default),
        (1, Strategy::HuffmanOnly),
    ] {
        for flush in [DeflateFlush::SyncFlush, DeflateFlush::Finish] {
            let mut deflate = Deflate::new_with_config(zlib_rs::DeflateConfig {
                window_bits: -15,
                level,
                strategy,
                ..zlib_rs::DeflateConfig::default()
            });
            let mut output = vec![0; message.len() * 2 + 1000];
            deflate
                .compress(message, &mut output, flush)
                .expect("a new compressor works");
            output.truncate(deflate.total_out() as usize);
            if flush == DeflateFlush::Finish {
                // RFC 7692, 7.2.3.4.
                output.push(0);
            } else {
                output.truncate(output.len() - 4);
            }
            kinds.push(output);
        }
    }
    kinds
}

#[test]
fn message_that_is_cut_short_is_never_taken_for_a_whole_one() {
    let message =
        b"transfer 1000000 EUR to the account of Alice, and 1000000 EUR to the account of Bob";
    let whole = Seen::Binary(message.to_vec());
    let (mut cuts, mut first) = (0, masked(BINARY | COMPRESSED, &compressed(b"before")));
    for payload in in_every_kind_of_block(message) {
        let ends_stream = payload.ends_with(&[0]) && {
            let outcome = play(
                Role::Server,
                &takeover(),
                [&masked(BINARY | COMPRESSED, &payload[..payload.len() - 1])[..]],
            );
            outcome.seen == [whole.clone()]
        };
        for config in [no_takeover(), takeover()] {
            let frame = masked(BINARY | COMPRESSED, &payload);
            let outcome = play_at_every_boundary(Role::Server, &config, &frame.repeat(2));
            assert_eq!(outcome.seen, [whole.clone(), whole.clone()]);
            // A stream whose last block is marked needs no header of an empty block after it.
            let cut_max = payload.len() - usize::from(ends_stream);
            // A single header of a block without compression is a whole empty message.
            for end in 1 + usize::from(payload[0] < 2)..cut_max {
                // Without a context, and with one.
                for before in [&[][..], &first] {
                    let cut = masked(BINARY | COMPRESSED, &payload[..end]);
                    let bytes = [before, &cut].concat();
                    let outcome = play(Role::Server, &config, [&bytes[..]]);
                    let seen = usize::from(!before.is_empty());
                    assert_eq!(
                        outcome.seen.len(),
                        seen,
                        "{payload:x?} cut to {end}: {outcome:?}"
                    );
                    assert!(outcome.end.is_some(), "{payload:x?} cut to {end}");
                    cuts += 1;
                }
            }
        }
    }
    assert!(cuts > 1_000, "{cuts}");
    // Two messages, the first without its last bytes: the second must not be taken for them.
    first = masked(BINARY | COMPRESSED, &compressed(message)[..40]);
    let bytes = [first, masked(BINARY | COMPRESSED, &compressed(b"next"))].concat();
    assert_fails(&takeover(), &bytes, ProtocolError::DeflateInvalid, 1007);
}

#[test]
fn server_fails_connection_on_rsv1_where_it_has_no_meaning() {
    let error = ProtocolError::ReservedBitsSet;
    assert_fails(&untimed(), &masked(TEXT | COMPRESSED, b"\x00"), error, 1002);
    assert_fails(
        &no_takeover(),
        &masked(PING | COMPRESSED, b"\x00"),
        error,
        1002,
    );
    let continuation = [
        masked(TEXT_START | COMPRESSED, b""),
        masked(LAST | COMPRESSED, b"\x00"),
    ]
    .concat();
    assert_fails(&no_takeover(), &continuation, error, 1002);
    let plain = [masked(TEXT_START, b""), masked(LAST | COMPRESSED, b"\x00")].concat();
    assert_fails(&no_takeover(), &plain, error, 1002);
    assert_fails(
        &no_takeover(),
        &masked(TEXT | COMPRESSED | 0x20, b"\x00"),
        error,
        1002,
    );
}

#[test]
fn compressed_text_is_validated_as_it_is_inflated() {
    for config in [no_takeover(), takeover()] {
        for text in [&b"ascii \xed\xa0\x80"[..], b"cut \xe2\x82"] {
            assert_fails(
                &config,
                &masked(TEXT | COMPRESSED, &compressed(text)),
                ProtocolError::TextNotUtf8,
                1007,
            );
        }
    }
    let mut text = vec![b'a'; 200_000];
    text[50_000] = 0xff;
    let frame = masked(TEXT | COMPRESSED, &compressed(&text));
    let outcome = play(Role::Server, &no_takeover(), [&frame[..frame.len() - 20]]);
    assert_eq!(
        outcome.end.unwrap().cause,
        Cause::Protocol(ProtocolError::TextNotUtf8)
    );
}

#[test]
fn inflating_stops_at_the_limit() {
    const LIMIT: u64 = 100_000;
    let limits = Limits {
        message_bytes_max: LIMIT,
        frame_bytes_max: 1 << 20,
        ..Limits::default()
    };
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let config = Config {
            limits,
            delivery,
            ..no_takeover()
        };
        for (length, fits) in [
            (LIMIT - 1, true),
            (LIMIT, true),
            (LIMIT + 1, false),
            (2 * LIMIT, false),
        ] {
            let frame = masked(BINARY | COMPRESSED, &compressed(&vec![0; length as usize]));
            for piece in [1, 50, frame.len()] {
                let outcome = play(Role::Server, &config, frame.chunks(piece));
                if fits {
                    assert!(outcome.end.is_none(), "{length}");
                    continue;
                }
                let error = ProtocolError::InflatedTooLarge { limit: LIMIT };
                assert_eq!(outcome.end.unwrap().cause, Cause::Protocol(error));
                assert_eq!(error.close_code().get(), 1009);
            }
        }
    }
}

/// A case that fuzzing found.
#[test]
fn bad_text_before_the_limit_is_told_however_it_is_cut() {
    let limits = Limits {
        message_bytes_max: 1000,
        ..Limits::default()
    };
    let mut text = vec![b'a'; 5000];
    text[900] = 0xff;
    let config = Config {
        limits,
        ..no_takeover()
    };
    let frame = masked(TEXT | COMPRESSED, &compressed(&text));
    assert_fails(&config, &frame, ProtocolError::TextNotUtf8, 1007);
    text[900] = b'a';
    text[1000] = 0xff;
    let frame = masked(TEXT | COMPRESSED, &compressed(&text));
    assert_fails(
        &config,
        &frame,
        ProtocolError::InflatedTooLarge { limit: 1000 },
        1009,
    );
}

#[test]
fn bomb_costs_no_more_than_the_limit() {
    // 1 MiB on the wire, 1 GiB inflated: one compressed mebibyte of zeros, and again.
    let mut deflate = Deflate::new(9, false, 15);
    let mut part = vec![0; 10_000];
    deflate
        .compress(&vec![0; 1 << 20], &mut part, DeflateFlush::FullFlush)
        .unwrap();
    part.truncate(deflate.total_out() as usize);
    let bomb = part.repeat(900);
    let mut frame = masked(BINARY | COMPRESSED, &bomb);
    let mut scratch = Scratch::new();
    let mut connection = Connection::new(epoch(), Role::Server, no_takeover());
    let mut events = 0;
    let peak = memory::peak_of(|| {
        let mut input = connection.handle_input(epoch(), &mut frame, &mut scratch);
        while input.poll_event().is_some() {
            events += 1;
        }
    });
    assert_eq!(events, 0);
    let error = ProtocolError::InflatedTooLarge { limit: 1 << 20 };
    assert_eq!(connection.end().unwrap().cause, Cause::Protocol(error));
    assert!(peak < 4 << 20, "{peak} bytes");
}

#[test]
fn blocks_that_inflate_to_nothing_do_not_go_on_for_ever() {
    let limits = Limits {
        message_bytes_max: 10_000,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..no_takeover()
    };
    let nothing = masked(MORE, &b"\x00\x00\x00\xff\xff".repeat(200));
    let bytes = [masked(BINARY_START | COMPRESSED, b""), nothing.repeat(13)].concat();
    let outcome = play(Role::Server, &config, [&bytes[..]]);
    assert_eq!(
        outcome.end.unwrap().cause,
        Cause::Protocol(ProtocolError::MessageTooLarge { limit: 10_000 })
    );
}

#[test]
fn message_that_does_not_shrink_fits_up_to_the_limit() {
    let limits = Limits {
        message_bytes_max: 100_000,
        ..Limits::default()
    };
    let mut seed = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(100_000)
    .collect();
    let payload = compressed(&noise);
    assert!(payload.len() > 100_000);
    let outcome = play(
        Role::Server,
        &Config {
            limits,
            ..no_takeover()
        },
        [&masked(BINARY | COMPRESSED, &payload)[..]],
    );
    assert!(outcome.seen == [Seen::Binary(noise)], "{:?}", outcome.end);
}

#[test]
fn messages_go_both_ways_with_every_parameter() {
    let text: String = (0..3000).map(|n| format!("{{\"number\":{n}}}")).collect();
    for context_takeover in [false, true] {
        for window_bits_max in 9..=15 {
            for (level, mem_level) in [(1, 1), (3, 8), (9, 9)] {
                let config = DeflateConfig {
                    context_takeover,
                    window_bits_max,
                    level,
                    mem_level,
                    message_bytes_min: 0,
                };
                let mut pair = Pair::new(with(&config));
                pair.piece_bytes_max = 1000;
                let lengths = [0, 1, 0, 50, text.len(), 100];
                for length in lengths {
                    pair.client_sends(MessageKind::Text, &text.as_bytes()[..length])
                        .unwrap();
                    pair.server_sends(MessageKind::Text, &text.as_bytes()[..length])
                        .unwrap();
                }
                let queued = pair.server.output().len();
                assert!(queued < text.len() / 2, "{queued} bytes with {config:?}");
                pair.run();
                let expected = lengths.map(|length| Seen::Text(text[..length].to_owned()));
                assert!(
                    pair.client_saw == expected,
                    "{config:?}: {:?}",
                    pair.client.end()
                );
                assert!(
                    pair.server_saw == expected,
                    "{config:?}: {:?}",
                    pair.server.end()
                );
            }
        }
    }
}

#[test]
fn sent_messages_keep_to_the_window() {
    let text: String = (0..20_000).map(|n| format!("{},", n * n % 977)).collect();
    for window_bits in 9..=15 {
        let deflate = DeflateConfig {
            window_bits_max: window_bits,
            ..DeflateConfig::default()
        };
        let mut scratch = scratch();
        let mut connection = Connection::new(epoch(), Role::Server, with(&deflate));
        connection.send_text(&text, &mut scratch).unwrap();
        let sent = written(connection.output_mut());
        let (header, start) = wsrun_proto::ws::frame::Header::decode(&sent)
            .unwrap()
            .unwrap();
        assert!(header.rsv1);
        // The steps of output are small, so that the window of the decompressor must have
        // everything that a distance reaches.
        let mut inflate = zlib_rs::Inflate::new(false, window_bits);
        let mut inflated = Vec::new();
        loop {
            let mut step = [0; 100];
            let (read, made) = (inflate.total_in() as usize, inflate.total_out() as usize);
            let input = &sent[start + read..];
            inflate
                .decompress(input, &mut step, zlib_rs::InflateFlush::SyncFlush)
                .expect("within the window");
            let produced = inflate.total_out() as usize - made;
            inflated.extend_from_slice(&step[..produced]);
            if produced == 0 {
                break;
            }
        }
        assert!(inflated == text.as_bytes(), "{window_bits} bits");
    }
}

#[test]
fn small_messages_and_messages_that_do_not_shrink_are_sent_as_they_are() {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), Role::Server, no_takeover());
    connection
        .send_message(MessageKind::Text, &[b'x'; 63], &mut scratch)
        .unwrap();
    assert_eq!(
        written(connection.output_mut()),
        unmasked(TEXT, &[b'x'; 63])
    );
    let noise: Vec<u8> = (0..=255).collect();
    connection
        .send_message(MessageKind::Binary, &noise, &mut scratch)
        .unwrap();
    assert_eq!(written(connection.output_mut()), unmasked(BINARY, &noise));
    connection
        .send_message(MessageKind::Text, &[b'x'; 64], &mut scratch)
        .unwrap();
    assert_eq!(written(connection.output_mut())[0], TEXT | COMPRESSED);
}

#[test]
fn sent_chunks_are_not_compressed_and_leave_the_context_alone() {
    for config in [no_takeover(), takeover()] {
        let mut pair = Pair::new(config);
        for _ in 0..2 {
            pair.server_sends(MessageKind::Text, &[b'a'; 100]).unwrap();
            pair.server
                .send_chunk(MessageKind::Text, &[b'b'; 100], false, &mut pair.scratch)
                .unwrap();
            pair.server
                .send_chunk(MessageKind::Text, &[b'b'; 100], true, &mut pair.scratch)
                .unwrap();
        }
        pair.run();
        let expected = [
            "a".repeat(100),
            "b".repeat(200),
            "a".repeat(100),
            "b".repeat(200),
        ]
        .map(Seen::Text);
        assert_eq!(pair.client_saw, expected);
    }
}

#[test]
fn prepared_message_reaches_connections_with_different_parameters() {
    let text = "to everybody, ".repeat(1000);
    let mut message = Prepared::text(&text);
    let narrow = with(&DeflateConfig {
        window_bits_max: 9,
        ..DeflateConfig::default()
    });
    for config in [untimed(), no_takeover(), narrow, takeover(), no_takeover()] {
        let mut pair = Pair::new(config);
        for _ in 0..2 {
            pair.server
                .send_prepared(&mut message, &mut pair.scratch)
                .unwrap();
            pair.client
                .send_prepared(&mut message, &mut pair.scratch)
                .unwrap();
        }
        pair.run();
        let expected = [Seen::Text(text.clone()), Seen::Text(text.clone())];
        assert!(pair.client_saw == expected && pair.server_saw == expected);
    }
}

#[test]
fn shared_message_reaches_connections_with_different_parameters() {
    let text = "without a copy, ".repeat(1000);
    for config in [untimed(), no_takeover(), takeover()] {
        let mut pair = Pair::new(config);
        for _ in 0..2 {
            let shared = Bytes::from(text.clone());
            pair.server
                .send_promised_shared(MessageKind::Text, shared.clone(), &mut pair.scratch)
                .unwrap();
            pair.client
                .send_promised_shared(MessageKind::Text, shared, &mut pair.scratch)
                .unwrap();
        }
        pair.run();
        let expected = [Seen::Text(text.clone()), Seen::Text(text.clone())];
        assert!(pair.client_saw == expected && pair.server_saw == expected);
        let mut send = |bytes: &'static [u8]| {
            let shared = Bytes::from_static(bytes);
            pair.server
                .send_promised_shared(MessageKind::Text, shared, &mut pair.scratch)
        };
        assert_eq!(send(b"\xff"), Err(SendError::InvalidText));
        pair.server
            .start_close(epoch(), CloseFrame::empty(), &mut pair.scratch);
        assert_eq!(
            pair.server
                .send_promised_shared(MessageKind::Text, Bytes::new(), &mut pair.scratch),
            Err(SendError::Closed)
        );
    }
}

#[test]
fn connection_without_context_takeover_holds_nothing_between_messages() {
    let mut scratch = Scratch::new();
    let frame = masked(TEXT | COMPRESSED, &compressed(&[b'x'; 1000]));
    let config = Arc::new(no_takeover());
    let mut turn = |expected: isize| {
        let before = memory::held();
        let mut connection = Connection::new(epoch(), Role::Server, Arc::clone(&config));
        assert_eq!(see(&mut connection, &mut scratch, &frame).len(), 1);
        connection
            .send_text(&"y".repeat(1000), &mut scratch)
            .unwrap();
        written(connection.output_mut());
        drop(connection.output_mut().reclaim());
        let held = memory::held() - before;
        assert!(held <= expected, "{held} bytes");
    };
    turn(600_000);
    turn(0);
}
