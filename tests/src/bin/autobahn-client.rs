//! The client role of the core, driven by the Autobahn testsuite's fuzzing server.
//!
//! `autobahn-client HOST:PORT` asks for the number of cases, runs each and echoes what it receives, and has the report written.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use wsrun_proto::http::connect::{Connect, ConnectOptions};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::DeflateConfig;
use wsrun_proto::ws::{Config, Connection, Event, MessageKind, Role, Scratch, State, Timeouts};

const AGENT: &str = "wsrun";
/// 9.1.6 and 9.2.6 send 16 MiB.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        return failed(&"usage: autobahn-client HOST:PORT");
    };
    match run(&address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

#[expect(clippy::print_stderr, reason = "this is a program")]
fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("autobahn-client: {error}");
    ExitCode::FAILURE
}

fn run(address: &str) -> Result<(), Box<dyn Error>> {
    let mut count = None;
    converse(address, "/getCaseCount", |message| {
        if let Echo::Text(text) = message {
            count = text.parse().ok();
        }
        None
    })?;
    let count: u32 = count.ok_or("the server does not tell the number of cases")?;
    for case in 1..=count {
        let path = format!("/runCase?case={case}&agent={AGENT}");
        // How a case ends is for the server to judge.
        if let Err(error) = converse(address, &path, Some) {
            failed(&format!("case {case}: {error}"));
        }
    }
    converse(address, &format!("/updateReports?agent={AGENT}"), |_| None)?;
    Ok(())
}

/// A message that outlives its input.
enum Echo {
    Text(String),
    Binary(Vec<u8>),
}

/// Opens a connection, answers each message and goes on until it ends.
fn converse(
    address: &str,
    path: &str,
    mut answer: impl FnMut(Echo) -> Option<Echo>,
) -> Result<(), Box<dyn Error>> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut random = File::open("/dev/urandom")?;
    let mut key = [0; 16];
    random.read_exact(&mut key)?;
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
        frame_bytes_max: MESSAGE_BYTES_MAX,
        ..Limits::default()
    };
    // Everything that can be compressed is: the suite is there to see it.
    let deflate = DeflateConfig {
        context_takeover: true,
        message_bytes_min: 0,
        ..DeflateConfig::default()
    };
    let options = ConnectOptions {
        host: address.to_owned(),
        path: path.to_owned(),
        deflate: Some(deflate),
        limits,
        ..ConnectOptions::default()
    };
    let mut connect = Connect::new(options, key)?;
    socket.write_all(connect.request_bytes())?;

    let mut buffer = vec![0; 64 * 1024];
    let (established, unread) = loop {
        let length = socket.read(&mut buffer)?;
        if length == 0 {
            return Err("the server ended the transport in the handshake".into());
        }
        if let Some(established) = connect.handle_input(&buffer[..length])? {
            let consumed = established.consumed;
            break (established, consumed..length);
        }
    };
    let timeouts = Timeouts {
        ping_interval: None,
        idle_timeout: None,
        message_timeout: None,
        ..Timeouts::default()
    };
    let config = Config {
        limits,
        timeouts,
        deflate: established.deflate,
        ..Config::default()
    };
    let mut connection = Connection::new(Instant::now(), Role::Client, config);
    let mut scratch = Scratch::with_mask_keys(move || {
        let mut key = [0; 4];
        random
            .read_exact(&mut key)
            .expect("/dev/urandom has no end");
        key
    });

    let mut input = unread;
    while !connection.is_drained() {
        let now = Instant::now();
        let mut messages = Vec::new();
        let mut events = connection.handle_input(now, &mut buffer[input.clone()], &mut scratch);
        while let Some(event) = events.poll_event() {
            match event {
                Event::Text(text) => messages.push(Echo::Text(text.to_owned())),
                Event::Binary(bytes) => messages.push(Echo::Binary(bytes.to_owned())),
                Event::Chunk(_) | Event::Ping(_) | Event::Pong { .. } | Event::Close(_) => {}
            }
        }
        for message in messages {
            let sent = match answer(message) {
                Some(Echo::Text(text)) => {
                    connection.send_message(MessageKind::Text, text.as_bytes(), &mut scratch)
                }
                Some(Echo::Binary(bytes)) => {
                    connection.send_message(MessageKind::Binary, &bytes, &mut scratch)
                }
                None => Ok(()),
            };
            // The peer may have closed behind its message.
            if sent.is_err() && connection.state() == State::Open {
                sent?;
            }
            write_output(&mut connection, &mut socket)?;
        }
        write_output(&mut connection, &mut socket)?;
        input = 0..0;
        let wait = connection
            .poll_timeout()
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        // What ends the connection waited for the answers.
        if connection.is_drained() || connection.is_end_held() {
            continue;
        }
        match socket.read(&mut buffer) {
            Ok(0) => connection.handle_eof(Instant::now()),
            Ok(length) => input = 0..length,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                connection.handle_timeout(Instant::now());
            }
            Err(_) => connection.handle_eof(Instant::now()),
        }
    }
    Ok(())
}

fn write_output(connection: &mut Connection, socket: &mut TcpStream) -> io::Result<()> {
    while !connection.output().is_empty() {
        let mut slices = [io::IoSlice::new(&[]); 16];
        let filled = connection.output().slices(&mut slices);
        let written = match socket.write_vectored(&slices[..filled]) {
            Ok(written) => written,
            // A peer that has gone is seen by the next read.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                connection.output().len()
            }
            Err(error) => return Err(error),
        };
        connection.output_mut().consume(written);
    }
    Ok(())
}
