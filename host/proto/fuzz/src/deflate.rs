//! Compression. Any payload inflates within the limit or fails, and the other side can read what
//! one side compresses.
//!
//! The first byte chooses the parameters; the rest is a compressed payload and a message.

use std::io::IoSlice;
use std::time::Instant;

use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::{Agreed, DeflateConfig, negotiate};
use wsrun_proto::ws::frame::{HEADER_BYTES_MAX, Header, Opcode};
use wsrun_proto::ws::{Config, Connection, Event, MessageKind, Role, Scratch};

pub fn run(now: Instant, data: &[u8]) {
    let Some((flags, data)) = data.split_first() else {
        return;
    };
    let config = DeflateConfig {
        context_takeover: flags & 1 != 0,
        window_bits_max: 9 + (flags >> 1) % 7,
        level: 1 + (flags >> 4) % 9,
        mem_level: 1 + flags % 9,
        message_bytes_min: 0,
    };
    let Some((agreed, _)) = negotiate(["permessage-deflate; client_max_window_bits"], &config)
    else {
        return;
    };
    inflate(now, agreed, data);
    round_trip(now, agreed, data);
}

fn inflate(now: Instant, agreed: Agreed, payload: &[u8]) {
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX as u64,
        ..Limits::default()
    };
    let config = Config {
        limits,
        deflate: Some(agreed),
        ..Config::default()
    };
    let mut scratch = Scratch::with_mask_keys(|| [1, 2, 3, 4]);
    let mut connection = Connection::new(now, Role::Client, config);
    let length = payload.len() as u64;
    let header = Header {
        fin: true,
        rsv1: true,
        opcode: Opcode::Binary,
        mask: None,
        length,
    };
    let mut head = [0; HEADER_BYTES_MAX];
    let start = header.encode(&mut head);
    let frame = [&head[..start], payload].concat();
    // The frame comes twice, because a context may be kept.
    let mut frames = [frame.clone(), frame].concat();
    let mut input = connection.handle_input(now, &mut frames, &mut scratch);
    while let Some(event) = input.poll_event() {
        if let Event::Binary(message) = event {
            assert!(message.len() <= MESSAGE_BYTES_MAX);
        }
    }
}

fn round_trip(now: Instant, agreed: Agreed, message: &[u8]) {
    let config = Config {
        deflate: Some(agreed),
        ..Config::default()
    };
    let mut scratch = Scratch::with_mask_keys(|| [1, 2, 3, 4]);
    let mut server = Connection::new(now, Role::Server, config);
    let mut client = Connection::new(now, Role::Client, config);
    for _ in 0..2 {
        if server
            .send_message(MessageKind::Binary, message, &mut scratch)
            .is_err()
        {
            return;
        }
        let mut wire = Vec::new();
        let mut slice = [IoSlice::new(&[])];
        while server.output().slices(&mut slice) > 0 {
            let length = slice[0].len();
            wire.extend_from_slice(&slice[0]);
            slice = [IoSlice::new(&[])];
            server.output_mut().consume(length);
        }
        let mut input = client.handle_input(now, &mut wire, &mut scratch);
        assert_eq!(input.poll_event(), Some(Event::Binary(message)));
    }
}

const MESSAGE_BYTES_MAX: usize = 100_000;
