//! `wsrun connect URL`: an interactive client, or a handler that is one.

mod handler;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::{
    self, CloseCode, CloseFrame, Config, Event, MessageKind, Role, Scratch, State,
};

use super::runtime::RuntimeArgs;
use super::values::header;
use super::{Failure, say, say_error};
use crate::contract::{ConnectOptions, Verify};
use crate::outbound::tls::{Trust, roots};
use crate::outbound::{self, Opened, Outbound, random};
use crate::transport::Stream;

/// Binary messages are shown in hexadecimal up to this many bytes.
const SHOWN_BYTES_MAX: usize = 1_024;

/// The longest line of standard input.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the interactive client takes, unless --max-message says more.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(override_usage = "wsrun connect [OPTIONS] [HANDLER] URL")]
pub(super) struct Args {
    /// ws://HOST:PORT/PATH, wss://… or, without a handler, ws+unix:PATH. With a HANDLER (a component) before it the connection is the
    /// handler's, which may make more to the same host, and the command ends with the last of them
    #[arg(value_name = "URL", required = true, num_args = 1..=2)]
    target: Vec<String>,
    /// Sends lines as binary messages
    #[arg(long)]
    binary: bool,
    /// Offers a subprotocol. Repeatable, the preferred one first
    #[arg(long, value_name = "NAME")]
    protocol: Vec<String>,
    /// Adds a header to the request. Repeatable
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// The Host header, in place of the URL's
    #[arg(long)]
    host: Option<String>,
    /// The Origin header
    #[arg(long)]
    origin: Option<String>,
    /// The protocol version: 13, 8 or 7
    #[arg(long, value_name = "N")]
    ws_version: Option<u8>,
    /// Trusts the certificates of this PEM file, and no others
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca_file: Option<PathBuf>,
    /// Accepts a self-signed certificate for the name in the URL
    #[arg(long, conflicts_with_all = ["insecure", "ca_file"])]
    allow_self_signed: bool,
    /// Accepts any certificate: for tests alone
    #[arg(long)]
    insecure: bool,
    /// With a handler: shows the client certificate of this name (--client-cert)
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// With a handler: connects again when the connection is lost, or cannot be made
    #[arg(long)]
    reconnect: bool,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

impl Args {
    fn options(&self, url: &str) -> ConnectOptions {
        ConnectOptions {
            url: url.to_owned(),
            protocols: self.protocol.clone(),
            host: self.host.clone(),
            origin: self.origin.clone(),
            headers: self.header.clone(),
            verify: if self.allow_self_signed {
                Verify::AllowSelfSigned
            } else {
                Verify::Full
            },
            identity: self.identity.clone(),
            version: self.ws_version,
            compression: self.runtime.compresses(),
            timeout: None,
            reconnect: self.reconnect.then(Default::default),
            session: Vec::new(),
        }
    }
}

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
    ] {
        if given {
            return Err(Failure::usage(anyhow!(
                "{flag} is for handlers: wsrun connect HANDLER URL"
            )));
        }
    }
    let trust = match &args.ca_file {
        _ if args.insecure => Trust::DangerAnybody,
        Some(file) => Trust::Only(roots(file)?),
        None => Trust::Platform(Vec::new()),
    };
    let outbound = Outbound::unrestricted(trust, args.runtime.connect_timeout)?;
    let options = args.options(url);
    outbound.check(&options).map_err(Failure::usage)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(connect(args, &outbound, &options));
    // A read of standard input may still wait; it must not hold the process.
    runtime.shutdown_background();
    Ok(result?)
}

async fn connect(
    args: &Args,
    outbound: &Outbound,
    options: &ConnectOptions,
) -> anyhow::Result<ExitCode> {
    let limit = args.runtime.connect_timeout;
    let opening = tokio::time::timeout(limit, outbound::open(outbound, options));
    let opened = opening.await.map_err(|_| {
        anyhow!(
            "no connection to {} within {limit:?} (--connect-timeout)",
            options.url
        )
    })?;
    let Opened {
        stream,
        early,
        protocol,
        deflate,
        ..
    } = opened
        .map_err(|failed| failed.failure)
        .with_context(|| format!("cannot connect to {}", options.url))?;
    if let Some(protocol) = &protocol {
        say_error(&format!("connected, subprotocol {protocol}"));
    } else {
        say_error("connected");
    }
    let message_bytes_max = args.runtime.max_message.max(MESSAGE_BYTES_MAX);
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
    let connection = ws::Connection::new(Instant::now(), Role::Client, config);
    let mut client = Client {
        stream,
        connection,
        scratch: Scratch::with_mask_keys(random),
        binary: args.binary,
    };
    client.talk(early).await
}

struct Client {
    stream: Stream,
    connection: ws::Connection,
    scratch: Scratch,
    binary: bool,
}

impl Client {
    async fn talk(&mut self, mut early: Vec<u8>) -> anyhow::Result<ExitCode> {
        let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
        let mut input_open = true;
        let mut interrupted = false;
        let mut buffer = vec![0; 64 * 1024];
        self.handle(&mut early);
        loop {
            self.flush().await?;
            if self.connection.is_drained() {
                break;
            }
            let deadline = self
                .connection
                .poll_timeout()
                .unwrap_or_else(|| Instant::now() + FAR);
            // Every arm is safe to cancel: reads and lines keep what was not taken.
            tokio::select! {
                read = self.stream.read(&mut buffer) => match read {
                    Ok(length) if length > 0 => self.handle(&mut buffer[..length]),
                    _ => self.connection.handle_eof(Instant::now()),
                },
                line = lines.next_segment(), if input_open && self.connection.state() == State::Open => match line? {
                    Some(line) if line.len() as u64 > LINE_BYTES_MAX => bail!("a line is longer than {LINE_BYTES_MAX} bytes"),
                    Some(line) => self.send(&line)?,
                    None => {
                        input_open = false;
                        self.close();
                    }
                },
                _ = tokio::signal::ctrl_c(), if !interrupted => {
                    interrupted = true;
                    self.close();
                }
                () = tokio::time::sleep_until(deadline.into()) => self.connection.handle_timeout(Instant::now()),
            }
        }
        let _ = self.stream.shutdown().await;
        Ok(self.report())
    }

    fn handle(&mut self, bytes: &mut [u8]) {
        self.handle_once(bytes);
        if self.connection.is_end_held() {
            self.handle_once(&mut []);
        }
    }

    fn handle_once(&mut self, bytes: &mut [u8]) {
        let mut input = self
            .connection
            .handle_input(Instant::now(), bytes, &mut self.scratch);
        while let Some(event) = input.poll_event() {
            match event {
                Event::Text(text) => say(text),
                Event::Binary(payload) => say(&hexadecimal(payload)),
                Event::Chunk(_) | Event::Ping(_) | Event::Pong { .. } | Event::Close(_) => {}
            }
        }
    }

    fn send(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let kind = if self.binary {
            MessageKind::Binary
        } else {
            MessageKind::Text
        };
        match self.connection.send_message(kind, line, &mut self.scratch) {
            Ok(()) => Ok(()),
            Err(ws::SendError::InvalidText) => {
                bail!("a line is not UTF-8; use --binary to send bytes")
            }
            Err(error) => Err(error.into()),
        }
    }

    fn close(&mut self) {
        self.connection.start_close(
            Instant::now(),
            CloseFrame::with_code(CloseCode::NORMAL, ""),
            &mut self.scratch,
        );
    }

    async fn flush(&mut self) -> anyhow::Result<()> {
        while !self.connection.output().is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 16];
            let count = self.connection.output().slices(&mut slices);
            match self.stream.write_vectored(&slices[..count]).await {
                Ok(written) if written > 0 => self.connection.output_mut().consume(written),
                _ => {
                    self.connection.handle_eof(Instant::now());
                    return Ok(());
                }
            }
        }
        let _ = self.stream.flush().await;
        Ok(())
    }

    /// Tells how it ended. Success for 1000, 1001 and 1005.
    fn report(&self) -> ExitCode {
        let (code, reason) = self
            .connection
            .end()
            .map_or((1006, String::new()), |end| (end.code, end.reason.clone()));
        let reason = reason.replace(char::is_control, "\u{fffd}");
        say_error(format!("closed: {code} {reason}").trim_end());
        if matches!(code, 1000 | 1001 | 1005) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
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

const FAR: Duration = Duration::from_secs(3_600);
