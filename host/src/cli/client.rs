//! The parts that all commands share which talk to a server themselves: the options and the
//! connection.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use wsrun_proto::ws::{
    self, ABNORMAL_CLOSURE, CloseCode, CloseFrame, Config, Event, Role, Scratch, State,
};

use super::advice;
use super::failure::Failure;
use super::values::header;
use wsrun_contract::{ConnectOptions, Failure as Failed, Verify};
use wsrun_metrics::text::Line;
use wsrun_net::outbound::tls::{Trust, roots};
use wsrun_net::outbound::{self, Opened, Outbound};
use wsrun_net::stream::Stream;
use wsrun_os::clock;
use wsrun_os::random::random;

/// Bytes that are read at a time.
const READ_BYTES: usize = 64 * 1024;

/// The opening handshake, and whom to trust.
#[derive(Debug, clap::Args)]
pub(super) struct PeerArgs {
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
    pub(super) ca_file: Option<PathBuf>,
    /// Accepts a self-signed certificate for the name in the URL
    #[arg(long, conflicts_with_all = ["insecure", "ca_file"])]
    allow_self_signed: bool,
    /// Accepts any certificate: for tests alone
    #[arg(long)]
    pub(super) insecure: bool,
}

impl PeerArgs {
    pub(super) fn options(&self, url: &str) -> ConnectOptions {
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
            identity: None,
            version: self.ws_version,
            compression: false,
            timeout: None,
            reconnect: None,
            session: Vec::new(),
        }
    }

    /// Returns the client that makes the connection.
    ///
    /// # Errors
    ///
    /// Fails when a file cannot be read or the options cannot be used.
    pub(super) fn outbound(
        &self,
        options: &ConnectOptions,
        connect_timeout: Duration,
    ) -> Result<Outbound, Failure> {
        let trust = match &self.ca_file {
            _ if self.insecure => Trust::DangerAnybody,
            Some(file) => Trust::Only(roots(file)?),
            None => Trust::Platform(Vec::new()),
        };
        let outbound = Outbound::unrestricted(trust, connect_timeout)?;
        outbound.check(options).map_err(Failure::usage)?;
        Ok(outbound)
    }
}

/// Makes a connection. `limit` is the time for all of it.
pub(super) async fn open(
    outbound: &Outbound,
    options: &ConnectOptions,
    limit: Duration,
) -> anyhow::Result<Opened> {
    let opening = clock::timeout(limit, outbound::open(outbound, options));
    let opened = opening.await.map_err(|_| {
        anyhow!(
            "no connection to {} within {limit:?} (--connect-timeout)",
            options.url
        )
    })?;
    opened
        .map_err(|failed| {
            if let Failed::Tls(text) = &failed.failure {
                return anyhow!("TLS: {text}{}", advice::of_tls(text));
            }
            failed.failure.into()
        })
        .with_context(|| format!("cannot connect to {}", options.url))
}

/// An open connection in the client role, with its transport.
pub(super) struct Client {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    /// False once the read side of the transport has ended or failed.
    reads: bool,
    /// False once writing has failed. Data that the server sent before, such as a close frame, is
    /// still read.
    writes: bool,
    /// True while TLS may hold back data that was written.
    unflushed: bool,
    buffer: Vec<u8>,
    connection: ws::Connection,
    scratch: Scratch,
}

impl Client {
    pub(super) fn new(stream: Stream, config: Config) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            reads: true,
            writes: true,
            unflushed: false,
            buffer: vec![0; READ_BYTES],
            connection: ws::Connection::new(Instant::now(), Role::Client, config),
            scratch: Scratch::with_mask_keys(random),
        }
    }

    /// Handles the bytes that the server sent after its response.
    pub(super) fn handle_early(&mut self, mut early: Vec<u8>, events: impl FnMut(Event<'_>)) {
        self.handle(&mut early, events);
    }

    /// Waits until the transport has data or room, or a timer is due, and handles that. It is
    /// cancel-safe: everything that was read or written has been handled by then.
    pub(super) async fn step(&mut self, events: impl FnMut(Event<'_>)) {
        let deadline = self
            .connection
            .poll_timeout()
            .unwrap_or_else(|| Instant::now() + FAR);
        let pending = self.writes && self.has_output();
        tokio::select! {
            read = self.reader.read(&mut self.buffer), if self.reads => match read {
                Ok(length @ 1..) => {
                    let mut buffer = std::mem::take(&mut self.buffer);
                    self.handle(&mut buffer[..length], events);
                    self.buffer = buffer;
                }
                _ => {
                    self.reads = false;
                    self.connection.handle_eof(Instant::now());
                }
            },
            written = write(&mut self.writer, &mut self.connection, &mut self.unflushed), if pending => {
                self.writes = written.is_ok();
            }
            () = tokio::time::sleep_until(deadline.into()) => self.connection.handle_timeout(Instant::now()),
        }
    }

    /// Returns true when there is nothing left to do: [`step`](Self::step) would wait in vain.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_drained() || !(self.reads || self.writes)
    }

    /// Returns true when the server has been sent everything so far and can be sent more. A caller
    /// that checks this before sending keeps the queue bounded.
    pub(super) fn takes(&self) -> bool {
        self.writes && !self.has_output() && self.is_open()
    }

    /// Returns true when neither side has begun to close.
    pub(super) fn is_open(&self) -> bool {
        self.connection.state() == State::Open
    }

    /// Returns the connection, for sending.
    pub(super) fn connection(&mut self) -> (&mut ws::Connection, &mut Scratch) {
        (&mut self.connection, &mut self.scratch)
    }

    /// Starts the closing handshake.
    pub(super) fn close(&mut self) {
        self.connection.start_close(
            Instant::now(),
            CloseFrame::with_code(CloseCode::NORMAL, ""),
            &mut self.scratch,
        );
    }

    /// Ends the transport. TLS sends the server a notice first; a server that does not read delays
    /// that by [`SHUTDOWN_TIMEOUT`] at most.
    pub(super) async fn shutdown(&mut self) {
        let _ = clock::timeout(SHUTDOWN_TIMEOUT, self.writer.shutdown()).await;
    }

    /// Returns the code of the end, and a line for a terminal with code and reason.
    pub(super) fn end(&self) -> (u16, String) {
        let (code, reason) = self
            .connection
            .end()
            .map_or((ABNORMAL_CLOSURE, ""), |end| (end.code, &end.reason));
        let line = format!("closed: {code} {}", Line(reason));
        let line = line.trim_end().to_owned();
        (code, line)
    }

    fn has_output(&self) -> bool {
        self.unflushed || !self.connection.output().is_empty()
    }

    fn handle(&mut self, bytes: &mut [u8], mut events: impl FnMut(Event<'_>)) {
        self.handle_once(bytes, &mut events);
        if self.connection.is_end_held() {
            self.handle_once(&mut [], &mut events);
        }
    }

    fn handle_once(&mut self, bytes: &mut [u8], events: &mut impl FnMut(Event<'_>)) {
        let mut input = self
            .connection
            .handle_input(Instant::now(), bytes, &mut self.scratch);
        while let Some(event) = input.poll_event() {
            events(event);
        }
    }
}

/// Writes all of the output. It is cancel-safe: bytes that the transport took are consumed before
/// the next wait.
async fn write(
    writer: &mut WriteHalf<Stream>,
    connection: &mut ws::Connection,
    unflushed: &mut bool,
) -> io::Result<()> {
    while !connection.output().is_empty() {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = connection.output().slices(&mut slices);
        let written = writer.write_vectored(&slices[..count]).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        connection.output_mut().consume(written);
        *unflushed = true;
    }
    writer.flush().await?;
    *unflushed = false;
    Ok(())
}

const FAR: Duration = Duration::from_secs(3_600);

const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
