//! Scripted input, whole and in pieces.

use std::io::IoSlice;

use wsrun_proto::ws::{
    Cause, CloseFrame, Config, Connection, Delivery, End, Event, Input, MessageKind, Output,
    ProtocolError, Role, Scratch, State,
};

use super::{epoch, scratch};

/// An event that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Chunk {
        kind: MessageKind,
        data: Vec<u8>,
        first: bool,
        fin: bool,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>, bool),
    Close(CloseFrame),
}

/// The outcome of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    pub(crate) output: Vec<u8>,
    pub(crate) state: State,
    pub(crate) end: Option<End>,
}

/// Feeds pieces to a new connection at the beginning of time.
pub(crate) fn play<'a>(
    role: Role,
    config: &Config,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), role, *config);
    let mut seen = Vec::new();
    for piece in pieces {
        seen.extend(see(&mut connection, &mut scratch, piece));
    }
    let output = written(connection.output_mut());
    Outcome {
        seen,
        output,
        state: connection.state(),
        end: connection.end().cloned(),
    }
}

/// Feeds bytes whole, byte by byte, cut in two at every boundary, and with a driver that stops at
/// each event. All outcomes must be equal; chunks count as equal if they carry the same bytes.
pub(crate) fn play_at_every_boundary(role: Role, config: &Config, bytes: &[u8]) -> Outcome {
    let whole = play(role, config, [bytes]);
    let joined = join_chunks(&whole);
    let check = |outcome: &Outcome, how: &str| assert_eq!(join_chunks(outcome), joined, "{how}");
    check(&play(role, config, bytes.chunks(1)), "byte by byte");
    for cut in 0..=bytes.len() {
        let (left, right) = bytes.split_at(cut);
        check(&play(role, config, [left, right]), &format!("cut at {cut}"));
    }
    check(&play_stopping(role, config, bytes), "stopped at each event");
    whole
}

/// Takes one event at a time and feeds what was not read again.
fn play_stopping(role: Role, config: &Config, bytes: &[u8]) -> Outcome {
    let mut scratch = scratch();
    let mut connection = Connection::new(epoch(), role, *config);
    let mut seen = Vec::new();
    let mut rest = bytes.to_vec();
    loop {
        let mut buffer = std::mem::take(&mut rest);
        let mut input = connection.handle_input(epoch(), &mut buffer, &mut scratch);
        let event = input.poll_event().map(Seen::from);
        rest = input.unread().to_vec();
        let Some(event) = event else { break };
        seen.push(event);
    }
    assert!(rest.is_empty(), "without an event everything is read");
    let output = written(connection.output_mut());
    Outcome {
        seen,
        output,
        state: connection.state(),
        end: connection.end().cloned(),
    }
}

/// Feeds one piece and collects the events.
pub(crate) fn see(connection: &mut Connection, scratch: &mut Scratch, piece: &[u8]) -> Vec<Seen> {
    let mut bytes = piece.to_vec();
    let mut seen = drain(&mut connection.handle_input(epoch(), &mut bytes, scratch));
    if connection.is_end_held() {
        seen.extend(drain(&mut connection.handle_input(
            epoch(),
            &mut [],
            scratch,
        )));
    }
    seen
}

fn drain(input: &mut Input<'_>) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(event) = input.poll_event() {
        seen.push(Seen::from(event));
    }
    seen
}

/// Takes everything that waits for the transport.
pub(crate) fn written(output: &mut Output) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = output.slices(&mut slices);
        let start = bytes.len();
        slices[..filled]
            .iter()
            .for_each(|slice| bytes.extend_from_slice(slice));
        let taken = bytes.len() - start;
        output.consume(taken);
    }
    bytes
}

/// Asserts that a server fails with this error and sends its code, in either delivery, however the
/// bytes are cut.
pub(crate) fn assert_fails(config: &Config, bytes: &[u8], error: ProtocolError, code: u16) {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        let outcome = play_at_every_boundary(
            Role::Server,
            &Config {
                delivery,
                ..*config
            },
            bytes,
        );
        let end = outcome.end.expect("the connection has failed");
        assert_eq!(end.cause, Cause::Protocol(error));
        assert_eq!((end.code, end.clean), (code, false));
        assert_eq!(error.close_code().get(), code);
        let close = &outcome.output[outcome.output.len() - 4 - end.reason.len()..];
        assert_eq!(close[0], 0x88, "a close frame is the last output");
        assert_eq!(close[2..4], code.to_be_bytes());
        assert_eq!(&close[4..], end.reason.as_bytes());
    }
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(data.to_vec()),
            Event::Chunk(chunk) => Self::Chunk {
                kind: chunk.kind,
                data: chunk.data.to_vec(),
                first: chunk.first,
                fin: chunk.fin,
            },
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong {
                payload,
                keep_alive,
            } => Self::Pong(payload.to_vec(), keep_alive),
            Event::Close(close) => Self::Close(close.clone()),
        }
    }
}

/// Joins the chunks of each message, because their boundaries depend on how the bytes arrive.
fn join_chunks(outcome: &Outcome) -> Outcome {
    let mut seen: Vec<Seen> = Vec::new();
    let mut open: Option<usize> = None;
    for event in &outcome.seen {
        if let Seen::Chunk {
            data, first, fin, ..
        } = event
        {
            assert_eq!(*first, open.is_none(), "the first chunk says so");
            match open {
                Some(position) => {
                    let Seen::Chunk {
                        data: joined,
                        fin: joined_fin,
                        ..
                    } = &mut seen[position]
                    else {
                        unreachable!()
                    };
                    joined.extend_from_slice(data);
                    *joined_fin = *fin;
                }
                None => seen.push(event.clone()),
            }
            open = if *fin {
                None
            } else {
                open.or(Some(seen.len() - 1))
            };
        } else {
            seen.push(event.clone());
        }
    }
    // A control frame inside a message may come before or after the chunks that have arrived. An
    // unfinished message shows nothing.
    let unfinished = |event: &Seen| matches!(event, Seen::Chunk { fin: false, .. });
    seen.retain(|event| !unfinished(event));
    seen.sort_by_key(|event| matches!(event, Seen::Chunk { .. }));
    Outcome {
        seen,
        ..outcome.clone()
    }
}
