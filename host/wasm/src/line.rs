//! The standard input and output of a program, and the connection behind them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use send_wrapper::SendWrapper;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};
use wsrun_proto::ws::MessageKind;

use super::settings::ProgramFormat;
use wsrun_contract::host::DirectConnection;
use wsrun_contract::{ConnectionId, Request, SendError, Setting};
use wsrun_metrics::seldom::Seldom;

/// Bytes that a program has not read and that may wait for it; its peer is not read above.
const INPUT_BYTES_MAX: usize = 256 * 1024;

/// What a program may write before it waits for the connection to take it.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Kind and length in front of a message.
const FRAME_HEADER_BYTES: usize = 5;
const FRAME_TEXT: u8 = 1;
const FRAME_BINARY: u8 = 2;

/// The limit of a message to a peer.
const QUEUE: Setting = Setting("runtime.limits.queued_bytes_max");

/// Joins a connection and a program.
pub(super) struct Line {
    connection: Rc<dyn DirectConnection>,
    format: ProgramFormat,
    input: RefCell<VecDeque<u8>>,
    /// Nothing more will come.
    input_ended: Cell<bool>,
    input_came: Arc<Notify>,
    /// The beginning of a message that the program has not written to its end.
    partial: RefCell<Vec<u8>>,
    /// Messages that the connection had no room for.
    waiting: RefCell<VecDeque<(MessageKind, Vec<u8>)>>,
    room_came: Arc<Notify>,
    /// Nothing can be sent any more.
    output_ended: Cell<bool>,
    /// Messages that the connection took so far.
    sent: Arc<AtomicU64>,
}

impl Line {
    /// How many messages of the program the connection took, as it goes on.
    pub(super) fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    pub(super) fn new(connection: Rc<dyn DirectConnection>, format: ProgramFormat) -> Self {
        Self {
            connection,
            format,
            input: RefCell::default(),
            input_ended: Cell::new(false),
            input_came: Arc::default(),
            sent: Arc::default(),
            partial: RefCell::default(),
            waiting: RefCell::default(),
            room_came: Arc::default(),
            output_ended: Cell::new(false),
        }
    }

    pub(super) fn connection(&self) -> &Rc<dyn DirectConnection> {
        &self.connection
    }

    pub(super) fn input(self: &Rc<Self>) -> ProgramInput {
        ProgramInput {
            came: Arc::clone(&self.input_came),
            line: SendWrapper::new(Rc::clone(self)),
        }
    }

    pub(super) fn output(self: &Rc<Self>) -> ProgramOutput {
        ProgramOutput {
            came: Arc::clone(&self.room_came),
            line: SendWrapper::new(Rc::clone(self)),
        }
    }

    /// A message for the program.
    pub(super) fn put(&self, kind: MessageKind, payload: &[u8]) {
        let mut input = self.input.borrow_mut();
        match (self.format, kind) {
            (ProgramFormat::Lines, MessageKind::Text) => {
                input.extend(payload);
                input.push_back(b'\n');
            }
            (ProgramFormat::Lines, MessageKind::Binary) => {
                drop(input);
                self.close(1003, "the program takes lines of text");
                return;
            }
            (ProgramFormat::Frames, kind) => {
                let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                input.push_back(match kind {
                    MessageKind::Text => FRAME_TEXT,
                    MessageKind::Binary => FRAME_BINARY,
                });
                input.extend(length.to_be_bytes());
                input.extend(payload);
            }
        }
        if input.len() > INPUT_BYTES_MAX {
            self.connection.pause_reading();
        }
        drop(input);
        self.input_came.notify_waiters();
    }

    /// The connection is gone.
    pub(super) fn end(&self) {
        self.input_ended.set(true);
        self.output_ended.set(true);
        self.input_came.notify_waiters();
        self.room_came.notify_waiters();
    }

    /// The program is over: sends what is left of its output and closes.
    pub(super) async fn finish(&self, code: u16, reason: &str) {
        let left = std::mem::take(&mut *self.partial.borrow_mut());
        if !left.is_empty() {
            match self.format {
                ProgramFormat::Lines => self.send_line(&left),
                ProgramFormat::Frames => {
                    static CUT: Seldom = Seldom::new();
                    if let Some(left_out) = CUT.take() {
                        tracing::warn!(
                            connection = self.connection.id(),
                            left_out,
                            "program ended within a frame"
                        );
                    }
                }
            }
        }
        loop {
            let room = self.room_came.notified();
            if self.output_ended.get() || self.waiting.borrow().is_empty() {
                break;
            }
            room.await;
        }
        self.close(code, reason);
    }

    fn close(&self, code: u16, reason: &str) {
        self.connection.close(code, reason);
        self.output_ended.set(true);
        self.room_came.notify_waiters();
    }

    /// Sends messages that wait, as far as there is room.
    pub(super) fn send_waiting(&self) {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            let Some((kind, payload)) = next else { break };
            match self.connection.try_send(kind, &payload) {
                Ok(()) => {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err(SendError::Closed) => {
                    self.output_ended.set(true);
                    break;
                }
                Err(SendError::TooLarge(_)) => {
                    self.fail(&format!("a message that is larger than {QUEUE}"));
                    break;
                }
                Err(SendError::QueueFull(_)) => {
                    self.waiting.borrow_mut().push_front((kind, payload));
                    self.connection.want_writable();
                    return;
                }
            }
        }
        self.room_came.notify_waiters();
    }

    /// The program wrote what cannot be sent.
    fn fail(&self, what: &str) {
        static WRONG: Seldom = Seldom::new();
        if let Some(left_out) = WRONG.take() {
            tracing::error!(
                connection = self.connection.id(),
                left_out,
                "program closed off: it wrote {what}"
            );
        }
        self.close(1011, &format!("the program wrote {what}"));
    }

    fn write(&self, bytes: &[u8]) {
        // It stays where it is while it grows: a program may write a long line byte by byte.
        let mut all = std::mem::take(&mut *self.partial.borrow_mut());
        // There is no end of a line in what came before.
        let mut looked_at = all.len();
        all.extend_from_slice(bytes);
        let mut done = 0;
        loop {
            let rest = &all[done..];
            let taken = match self.format {
                ProgramFormat::Lines => self.take_line(rest, looked_at),
                ProgramFormat::Frames => self.take_frame(rest),
            };
            match taken {
                Ok(0) => break,
                Ok(taken) => (done, looked_at) = (done + taken, 0),
                Err(what) => return self.fail(&what),
            }
        }
        all.drain(..done);
        *self.partial.borrow_mut() = all;
    }

    /// Sends the first line, whose end is not before `looked_at`. How long it is with its end, 0 when its end has not come.
    fn take_line(&self, bytes: &[u8], looked_at: usize) -> Result<usize, String> {
        let end = bytes[looked_at..].iter().position(|byte| *byte == b'\n');
        match end.map(|end| looked_at + end) {
            Some(end) => {
                self.send_line(&bytes[..end]);
                Ok(end + 1)
            }
            None if bytes.len() > self.connection.message_bytes_max() => {
                Err(format!("a line that is longer than {QUEUE}"))
            }
            None => Ok(0),
        }
    }

    /// The same for a frame.
    fn take_frame(&self, bytes: &[u8]) -> Result<usize, String> {
        let Some([kind, length @ ..]) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(0);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let kind = match *kind {
            FRAME_TEXT => MessageKind::Text,
            FRAME_BINARY => MessageKind::Binary,
            _ => return Err("a frame that is neither text (1) nor binary (2)".to_owned()),
        };
        if length > self.connection.message_bytes_max() {
            return Err(format!("a frame that is larger than {QUEUE}"));
        }
        let end = FRAME_HEADER_BYTES + length;
        match bytes.get(FRAME_HEADER_BYTES..end) {
            Some(payload) => {
                self.send(kind, payload.to_vec());
                Ok(end)
            }
            None => Ok(0),
        }
    }

    fn send_line(&self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.send(MessageKind::Text, line.to_vec());
    }

    fn send(&self, kind: MessageKind, payload: Vec<u8>) {
        if self.output_ended.get() {
            return;
        }
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(&payload).is_err() {
            return self.fail("text that is not UTF-8");
        }
        self.waiting.borrow_mut().push_back((kind, payload));
        self.send_waiting();
    }

    /// What CGI programs, and those of websocketd, find in their environment.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        variables(
            &self.connection.request(),
            self.connection.protocol(),
            self.connection.id(),
        )
    }

    fn read(&self, size: usize) -> StreamResult<Bytes> {
        let mut input = self.input.borrow_mut();
        let length = input.len().min(size);
        if length == 0 {
            return match self.input_ended.get() && input.is_empty() {
                true => Err(StreamError::Closed),
                false => Ok(Bytes::new()),
            };
        }
        let bytes: Bytes = input.drain(..length).collect();
        if input.len() <= INPUT_BYTES_MAX / 2 {
            self.connection.resume_reading();
        }
        Ok(bytes)
    }

    fn has_input(&self) -> bool {
        self.input_ended.get() || !self.input.borrow().is_empty()
    }

    fn has_room(&self) -> bool {
        self.output_ended.get() || self.waiting.borrow().is_empty()
    }
}

fn variables(
    request: &Request,
    protocol: Option<String>,
    connection: ConnectionId,
) -> Vec<(String, String)> {
    let host_and_port = |address: &str| match address.parse::<SocketAddr>() {
        Ok(address) => (address.ip().to_string(), address.port().to_string()),
        Err(_) => (address.to_owned(), String::new()),
    };
    let (remote, remote_port) = host_and_port(&request.peer);
    let (_, server_port) = host_and_port(&request.local);
    let query = request.query.clone().unwrap_or_default();
    let uri = match &request.query {
        Some(query) => format!("{}?{query}", request.path),
        None => request.path.clone(),
    };
    let host = request.host.clone().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => host,
    };
    let mut variables: Vec<(String, String)> = [
        ("GATEWAY_INTERFACE", "CGI/1.1".to_owned()),
        (
            "SERVER_SOFTWARE",
            concat!("wsrun/", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        ("SERVER_PROTOCOL", "HTTP/1.1".to_owned()),
        ("SERVER_NAME", name),
        ("SERVER_PORT", server_port),
        ("REQUEST_METHOD", "GET".to_owned()),
        ("REQUEST_URI", uri),
        ("SCRIPT_NAME", String::new()),
        ("PATH_INFO", request.path.clone()),
        ("QUERY_STRING", query),
        ("REMOTE_ADDR", remote.clone()),
        ("REMOTE_HOST", remote),
        ("REMOTE_PORT", remote_port),
        ("UNIQUE_ID", connection.to_string()),
        ("HTTPS", if request.secure { "on" } else { "" }.to_owned()),
        ("WEBSOCKET_PROTOCOL", protocol.unwrap_or_default()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    for (name, value) in &request.headers {
        // It would be the same variable as the field with a hyphen, which a proxy may have checked, or set itself.
        if name.contains('_') {
            continue;
        }
        let name = name.to_ascii_uppercase().replace('-', "_");
        // A program that asks servers by this variable would ask whom a client says (httpoxy).
        if name == "PROXY" {
            continue;
        }
        let name = format!("HTTP_{name}");
        let value = String::from_utf8_lossy(value);
        match variables.iter_mut().find(|(other, _)| *other == name) {
            Some((_, values)) => {
                values.push_str(", ");
                values.push_str(&value);
            }
            None => variables.push((name, value.into_owned())),
        }
    }
    variables.retain(|(_, value)| !value.contains('\0'));
    variables
}

/// WASI's streams must be `Send` but never leave the thread of their store; the wrapper checks that.
#[derive(Clone)]
pub(super) struct ProgramInput {
    came: Arc<Notify>,
    line: SendWrapper<Rc<Line>>,
}

#[derive(Clone)]
pub(super) struct ProgramOutput {
    came: Arc<Notify>,
    line: SendWrapper<Rc<Line>>,
}

impl IsTerminal for ProgramInput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl IsTerminal for ProgramOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for ProgramInput {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(NotUsed)
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl StdoutStream for ProgramOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(NotUsed)
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ProgramInput {
    async fn ready(&mut self) {
        loop {
            let came = Arc::clone(&self.came);
            let came = came.notified();
            if self.line.has_input() {
                return;
            }
            came.await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for ProgramOutput {
    async fn ready(&mut self) {
        loop {
            let came = Arc::clone(&self.came);
            let came = came.notified();
            if self.line.has_room() {
                return;
            }
            came.await;
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for ProgramInput {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.line.read(size)
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for ProgramOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.line.output_ended.get() {
            return Err(StreamError::Closed);
        }
        // Whoever writes without having asked, or more than was answered, would fill the host's memory.
        if bytes.len() > WRITE_BYTES_MAX || !self.line.has_room() {
            return Err(StreamError::trap(
                "wasi:io output-stream.write: more than check-write allowed",
            ));
        }
        self.line.write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        match self.line.output_ended.get() {
            true => Err(StreamError::Closed),
            false => Ok(()),
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match (self.line.output_ended.get(), self.line.has_room()) {
            (true, _) => Err(StreamError::Closed),
            (false, true) => Ok(WRITE_BYTES_MAX),
            (false, false) => Ok(0),
        }
    }
}

/// The streams of WASI 0.3, which this host does not have.
struct NotUsed;

impl AsyncRead for NotUsed {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Err(std::io::ErrorKind::Unsupported.into()))
    }
}

impl AsyncWrite for NotUsed {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(std::io::ErrorKind::Unsupported.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
