//! `wsrun connect URL`: an interactive client, or one that a handler drives.

mod args;
mod handler;

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::{self, Config, Event, MessageKind};

pub(super) use self::args::Args;
use super::client::{self, Client};
use super::failure::Failure;
use super::output::{say, say_error, say_foreign};
use wsrun_contract::ConnectOptions;
use wsrun_net::outbound::{Opened, Outbound};

/// Bytes of a binary message that are shown in hexadecimal, at most.
const SHOWN_BYTES_MAX: usize = 1_024;

/// The most bytes of a line of standard input.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most bytes of a message to the interactive client, unless --max-message is more.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    match args.target.clone().as_slice() {
        [handler, url] => handler::run(args, handler.into(), url),
        [url] => interact(&args, url),
        _ => unreachable!("one or two were asked for"),
    }
}

fn interact(args: &Args, url: &str) -> Result<ExitCode, Failure> {
    for (given, flag) in [
        (args.identity.is_some(), "--identity"),
        (args.reconnect, "--reconnect"),
        (args.runtime.becomes_somebody(), "--user and --group"),
    ] {
        if given {
            return Err(Failure::usage(anyhow!(
                "this is for handlers, {flag}: wsrun connect HANDLER URL"
            )));
        }
    }
    let options = args.options(url);
    let outbound = args
        .peer
        .outbound(&options, args.runtime.connect_timeout())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(connect(args, &outbound, &options));
    // A read of standard input may still wait, and must not delay the end of the process.
    runtime.shutdown_background();
    Ok(result?)
}

async fn connect(
    args: &Args,
    outbound: &Outbound,
    options: &ConnectOptions,
) -> anyhow::Result<ExitCode> {
    let Opened {
        stream,
        early,
        protocol,
        deflate,
        ..
    } = client::open(outbound, options, args.runtime.connect_timeout()).await?;
    if let Some(protocol) = &protocol {
        say_error(&format!("connected, subprotocol {protocol}"));
    } else {
        say_error("connected");
    }
    let message_bytes_max = args.runtime.max_message().max(MESSAGE_BYTES_MAX);
    let limits = Limits {
        message_bytes_max,
        frame_bytes_max: message_bytes_max,
        sent_message_bytes_max: LINE_BYTES_MAX,
        ..Limits::default()
    };
    let config = Config {
        limits,
        deflate,
        ..Config::default()
    };
    let mut client = Client::new(stream, config);
    client.handle_early(early, show);
    talk(&mut client, args.binary).await
}

async fn talk(client: &mut Client, binary: bool) -> anyhow::Result<ExitCode> {
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut input_open = true;
    let mut interrupted = false;
    while !client.is_over() {
        // The next line waits until the server has taken the one before.
        let sends = input_open && client.takes();
        // Every branch is cancel-safe: `lines` keeps unfinished input, and a step handles
        // everything that it reads or writes.
        tokio::select! {
            () = client.step(show) => {}
            line = lines.next_segment(), if sends => match line? {
                Some(line) if line.len() as u64 > LINE_BYTES_MAX => bail!("a line is longer than {LINE_BYTES_MAX} bytes"),
                Some(line) => send(client, &line, binary)?,
                None => {
                    input_open = false;
                    client.close();
                }
            },
            _ = tokio::signal::ctrl_c(), if !interrupted => {
                interrupted = true;
                client.close();
            }
        }
    }
    client.shutdown().await;
    let (code, line) = client.end();
    say_error(&line);
    Ok(if matches!(code, 1000 | 1001 | 1005) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn show(event: Event<'_>) {
    match event {
        Event::Text(text) => say_foreign(text),
        Event::Binary(payload) => say(&hexadecimal(payload)),
        Event::Chunk(_) | Event::Ping(_) | Event::Pong { .. } | Event::Close(_) => {}
    }
}

fn send(client: &mut Client, line: &[u8], binary: bool) -> anyhow::Result<()> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let kind = if binary {
        MessageKind::Binary
    } else {
        MessageKind::Text
    };
    let (connection, scratch) = client.connection();
    match connection.send_message(kind, line, scratch) {
        Ok(()) => Ok(()),
        Err(ws::SendError::InvalidText) => {
            bail!("a line is not UTF-8; use --binary to send bytes")
        }
        Err(error) => Err(error.into()),
    }
}

fn hexadecimal(payload: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("binary, {} bytes: ", payload.len());
    for byte in payload.iter().take(SHOWN_BYTES_MAX) {
        let _ = write!(text, "{byte:02x}");
    }
    if payload.len() > SHOWN_BYTES_MAX {
        text.push('…');
    }
    text
}
