//! RFC 6455, 8.1: text is UTF-8, and anything else is reported at once.

mod support;

use support::wire::{LAST, MORE, TEXT, TEXT_START, masked};
use support::{Seen, assert_fails, epoch, play_at_every_boundary, see, untimed};
use wsrun_proto::ws::{Cause, Config, Connection, Delivery, ProtocolError, Role, Scratch};

const VALID: [&str; 7] = [
    "",
    "κόσμε",
    "\u{0}\u{7f}",
    "\u{80}\u{7ff}\u{800}\u{ffff}",
    "\u{10000}\u{10ffff}",
    "\u{d7ff}\u{e000}",
    "\u{fffe}",
];

const INVALID: [&[u8]; 16] = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xe0\x80\x80",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xce\xba\xff",
    b"ascii ascii ascii ascii ascii ascii ascii ascii ascii ascii \xe2\x28\xa1 ascii ascii ascii ascii ascii ascii",
];

#[test]
fn valid_text_arrives_in_one_frame_and_in_fragments() {
    for text in VALID {
        let bytes = text.as_bytes();
        let outcome = play_at_every_boundary(Role::Server, &untimed(), &masked(TEXT, bytes));
        assert_eq!(outcome.seen, [Seen::Text(text.to_owned())]);
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            let fragments = [
                masked(TEXT_START, left),
                masked(MORE, b""),
                masked(LAST, right),
            ]
            .concat();
            let outcome = play_at_every_boundary(Role::Server, &untimed(), &fragments);
            assert_eq!(outcome.seen, [Seen::Text(text.to_owned())], "cut at {cut}");
        }
    }
}

#[test]
fn server_fails_connection_on_text_that_is_not_utf8() {
    for text in INVALID {
        assert_fails(
            &untimed(),
            &masked(TEXT, text),
            ProtocolError::TextNotUtf8,
            1007,
        );
        for cut in 0..=text.len() {
            let (left, right) = text.split_at(cut);
            let fragments = [masked(TEXT_START, left), masked(LAST, right)].concat();
            assert_fails(&untimed(), &fragments, ProtocolError::TextNotUtf8, 1007);
        }
    }
}

#[test]
fn server_fails_connection_on_text_that_ends_inside_a_character() {
    for text in [&b"\xc3"[..], b"a\xe2\x82", b"\xf0\x9f\xa6"] {
        assert_fails(
            &untimed(),
            &masked(TEXT, text),
            ProtocolError::TextNotUtf8,
            1007,
        );
        let fragments = [masked(TEXT_START, text), masked(LAST, b"")].concat();
        assert_fails(&untimed(), &fragments, ProtocolError::TextNotUtf8, 1007);
    }
}

#[test]
fn bad_byte_fails_the_connection_before_its_frame_is_complete() {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for fin in [TEXT, TEXT_START] {
            let mut connection = Connection::new(
                epoch(),
                Role::Server,
                Config {
                    delivery,
                    ..untimed()
                },
            );
            let mut scratch = Scratch::new();
            let frame = masked(fin, b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80 and much more");
            see(&mut connection, &mut scratch, &frame[..6 + 6]);
            assert!(connection.end().is_none());
            see(&mut connection, &mut scratch, &frame[6 + 6..6 + 7]);
            assert_eq!(
                connection.end().unwrap().cause,
                Cause::Protocol(ProtocolError::TextNotUtf8)
            );
        }
    }
}

#[test]
fn binary_may_be_anything() {
    for data in INVALID {
        let outcome = play_at_every_boundary(Role::Server, &untimed(), &masked(0x82, data));
        assert_eq!(outcome.seen, [Seen::Binary(data.to_vec())]);
    }
}
