//! Connections in both roles. The outcome does not depend on how the input is cut, and stays within
//! the limits.
//!
//! The first byte chooses the configuration, the second the size of the pieces; the rest is the
//! input.

use std::time::{Duration, Instant};

use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::{DeflateConfig, negotiate};
use wsrun_proto::ws::{
    CloseFrame, Config, Connection, Delivery, End, Event, MessageKind, Role, Scratch, State,
};

pub fn run_server(now: Instant, data: &[u8]) {
    run(now, Role::Server, data);
}

pub fn run_client(now: Instant, data: &[u8]) {
    run(now, Role::Client, data);
}

fn run(now: Instant, role: Role, data: &[u8]) {
    let [flags, size, input @ ..] = data else {
        return;
    };
    let config = config(*flags);
    let whole = play(now, role, &config, input, usize::MAX);
    let pieces = play(now, role, &config, input, usize::from(*size) + 1);
    assert_eq!(whole.messages, pieces.messages);
    assert_eq!(whole.end, pieces.end);
    assert_eq!(whole.output, pieces.output);
}

fn config(flags: u8) -> Config {
    let deflate = DeflateConfig {
        context_takeover: flags & 4 != 0,
        ..DeflateConfig::default()
    };
    let limits = Limits {
        frame_bytes_max: 4000,
        message_bytes_max: MESSAGE_BYTES_MAX as u64,
        fragments_max: 100,
        control_frames_per_second_max: 50,
        ..Limits::default()
    };
    Config {
        limits,
        delivery: if flags & 1 != 0 {
            Delivery::Chunks
        } else {
            Delivery::Messages
        },
        deflate: negotiate(["permessage-deflate"], &deflate)
            .filter(|_| flags & 2 != 0)
            .map(|(agreed, _)| agreed),
        danger_unmasked: flags & 8 != 0,
        ..Config::default()
    }
}

#[derive(Default)]
struct Outcome {
    /// Whole messages, because their chunks depend on the pieces.
    messages: Vec<(MessageKind, Vec<u8>)>,
    end: Option<End>,
    output: Vec<u8>,
}

fn play(now: Instant, role: Role, config: &Config, input: &[u8], size: usize) -> Outcome {
    let mut scratch = Scratch::with_mask_keys(|| [1, 2, 3, 4]);
    let mut connection = Connection::new(now, role, *config);
    let mut outcome = Outcome::default();
    let mut open: Option<Vec<u8>> = None;
    for piece in input.chunks(size.min(input.len()).max(1)) {
        let mut piece = piece.to_vec();
        loop {
            let mut input = connection.handle_input(now, &mut piece, &mut scratch);
            while let Some(event) = input.poll_event() {
                match event {
                    Event::Text(text) => outcome
                        .messages
                        .push((MessageKind::Text, text.as_bytes().to_vec())),
                    Event::Binary(data) => {
                        outcome.messages.push((MessageKind::Binary, data.to_vec()))
                    }
                    Event::Chunk(chunk) => {
                        assert_eq!(chunk.first, open.is_none());
                        let message = open.get_or_insert_default();
                        message.extend_from_slice(chunk.data);
                        assert!(message.len() <= MESSAGE_BYTES_MAX);
                        if chunk.fin {
                            let message = open.take().unwrap_or_default();
                            if chunk.kind == MessageKind::Text {
                                assert!(std::str::from_utf8(&message).is_ok());
                            }
                            outcome.messages.push((chunk.kind, message));
                        }
                    }
                    Event::Ping(payload) | Event::Pong { payload, .. } => {
                        assert!(payload.len() <= 125)
                    }
                    Event::Close(close) => assert!(close.reason().len() <= 123),
                }
            }
            assert!(input.unread().is_empty());
            if !connection.is_end_held() {
                break;
            }
            piece.clear();
        }
        assert_eq!(
            connection.state() == State::Finished,
            connection.end().is_some()
        );
    }
    assert!(
        outcome
            .messages
            .iter()
            .all(|(_, message)| message.len() <= MESSAGE_BYTES_MAX)
    );
    // The output may hold 17 pongs and a close frame.
    assert!(connection.output().len() <= 18 * 139);
    let mut slice = [std::io::IoSlice::new(&[])];
    while connection.output().slices(&mut slice) > 0 {
        let length = slice[0].len();
        outcome.output.extend_from_slice(&slice[0]);
        slice = [std::io::IoSlice::new(&[])];
        connection.output_mut().consume(length);
    }
    outcome.end = connection.end().cloned();
    connection.start_close(now, CloseFrame::empty(), &mut scratch);
    connection.handle_timeout(now + Duration::from_secs(3600));
    connection.handle_timeout(now + Duration::from_secs(7200));
    assert_eq!(connection.state(), State::Finished);
    outcome
}

const MESSAGE_BYTES_MAX: usize = 10_000;
