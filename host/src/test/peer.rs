//! The other side of a connection, within the program: a client of the protocol core over a pipe in
//! memory.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::io::{DuplexStream, ReadBuf};
use wsrun_proto::http::connect::{Connect, ConnectError, ConnectOptions, Established};
use wsrun_proto::http::response::ResponseReader;
use wsrun_proto::http::token::is_token;
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::{
    self, CloseFrame, Config, Event, MessageKind, Role, Scratch, State, Timeouts,
};

use super::effect::{Answer, Effect, Sent};
use wsrun_os::clock;

/// The port that the server seems to listen on.
pub(super) const PORT: u16 = 9000;

/// Bytes that each side may write before the other reads.
pub(super) const PIPE_BYTES: usize = 64 * 1024;

/// The effects that all peers have seen, in their order.
pub(super) type Seen = Rc<RefCell<Vec<(String, Effect)>>>;

pub(super) struct Peer {
    name: String,
    seen: Seen,
    /// None before the opening handshake is done, and after the connection is over.
    open: RefCell<Option<OpenConnection>>,
    /// The waker of the task that reads and writes.
    waker: RefCell<Option<Waker>>,
    /// Set when a step ends the transport without a close frame.
    cut: Cell<bool>,
}

struct OpenConnection {
    stream: DuplexStream,
    connection: ws::Connection,
    scratch: Scratch,
    /// Set once a close frame has arrived.
    end_seen: bool,
}

impl Peer {
    pub(super) fn new(name: &str, seen: &Seen) -> Rc<Self> {
        Rc::new(Self {
            name: name.to_owned(),
            seen: Rc::clone(seen),
            open: RefCell::default(),
            waker: RefCell::default(),
            cut: Cell::new(false),
        })
    }

    /// Makes the opening handshake, then reads and writes until the connection is over.
    pub(super) async fn live(self: Rc<Self>, mut stream: DuplexStream, options: ConnectOptions) {
        let (established, early) = match open_handshake(&mut stream, options).await {
            Ok(done) => done,
            Err(effect) => return self.record(effect),
        };
        self.record(Effect::Subprotocol(
            established.protocol.unwrap_or_default(),
        ));
        let config = Config {
            limits: Limits {
                message_bytes_max: BYTES_MAX,
                frame_bytes_max: BYTES_MAX,
                ..Limits::default()
            },
            // The peer has no timeouts: the scenario decides how long things take.
            timeouts: Timeouts {
                ping_interval: None,
                idle_timeout: None,
                message_timeout: None,
                ..Timeouts::default()
            },
            deflate: established.deflate,
            ..Config::default()
        };
        let mut open = OpenConnection {
            stream,
            connection: ws::Connection::new(clock::now(), Role::Client, config),
            scratch: Scratch::with_mask_keys(|| MASK),
            end_seen: false,
        };
        self.take(&mut open, early);
        *self.open.borrow_mut() = Some(open);
        poll_fn(|cx| self.poll(cx)).await;
        *self.open.borrow_mut() = None;
    }

    /// Sends a message or frame, or ends the connection. The error says why that is not possible.
    pub(super) fn send(&self, what: &Sent) -> Result<(), String> {
        let mut open = self.open.borrow_mut();
        let open = open
            .as_mut()
            .filter(|open| open.connection.state() == State::Open)
            .ok_or("the connection is not open, so that nothing can be sent on it")?;
        let OpenConnection {
            connection,
            scratch,
            ..
        } = open;
        let sent = match what {
            Sent::Text(text) => {
                connection.send_message(MessageKind::Text, text.as_bytes(), scratch)
            }
            Sent::Binary(bytes) => connection.send_message(MessageKind::Binary, bytes, scratch),
            Sent::Ping(payload) => connection.send_ping(payload, scratch),
            Sent::Pong(payload) => connection.send_pong(payload, scratch),
            Sent::Close { code, reason } => {
                let frame = match (code, reason.as_str()) {
                    (1005, "") => CloseFrame::empty(),
                    (code, reason) => CloseFrame::new(*code, reason)
                        .map_err(|_| format!("close code {code} may not be sent"))?,
                };
                connection.start_close(clock::now(), frame, scratch);
                Ok(())
            }
            Sent::Cut => {
                self.cut.set(true);
                Ok(())
            }
        };
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
        sent.map_err(|error| error.to_string())
    }

    fn record(&self, effect: Effect) {
        self.seen.borrow_mut().push((self.name.clone(), effect));
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        let mut open = self.open.borrow_mut();
        let Some(open) = open.as_mut() else {
            return Poll::Ready(());
        };
        loop {
            if self.cut.get() {
                return Poll::Ready(());
            }
            if open.poll_write(cx).is_err() {
                self.end(open);
                return Poll::Ready(());
            }
            let mut buffer = [0; 16 * 1024];
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut open.stream).poll_read(cx, &mut read) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    let bytes = read.filled().to_vec();
                    self.take(open, bytes);
                }
                Poll::Ready(_) => {
                    self.end(open);
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Records the end of a transport that ended without a close frame.
    fn end(&self, open: &mut OpenConnection) {
        if !open.end_seen {
            self.record(Effect::Cut);
        }
        open.end_seen = true;
    }

    fn take(&self, open: &mut OpenConnection, mut bytes: Vec<u8>) {
        let OpenConnection {
            connection,
            scratch,
            end_seen,
            ..
        } = open;
        let mut bytes = bytes.as_mut_slice();
        loop {
            let mut input = connection.handle_input(clock::now(), bytes, scratch);
            while let Some(event) = input.poll_event() {
                let effect = match event {
                    Event::Text(text) => Effect::Text(text.to_owned()),
                    Event::Binary(bytes) => Effect::Binary(bytes.to_vec()),
                    Event::Ping(payload) => Effect::Ping(payload.to_vec()),
                    Event::Pong { payload, .. } => Effect::Pong(payload.to_vec()),
                    Event::Close(frame) => {
                        *end_seen = true;
                        Effect::Close {
                            code: frame.reported_code(),
                            reason: frame.reason().to_owned(),
                        }
                    }
                    Event::Chunk(_) => unreachable!("messages are delivered whole"),
                };
                self.record(effect);
            }
            if !connection.is_end_held() {
                return;
            }
            bytes = &mut [];
        }
    }
}

impl OpenConnection {
    fn poll_write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        while !self.connection.output().is_empty() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.connection.output().slices(&mut slices);
            match Pin::new(&mut self.stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Ready(written) => self.connection.output_mut().consume(written?),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

/// Makes the opening handshake. Returns its result, and the frames that came right behind it.
async fn open_handshake(
    stream: &mut DuplexStream,
    options: ConnectOptions,
) -> Result<(Established, Vec<u8>), Effect> {
    let mut connect = Connect::new(options, KEY).map_err(not_understood)?;
    if stream.write_all(connect.request_bytes()).await.is_err() {
        return Err(Effect::Cut);
    }
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = stream.read(&mut buffer).await else {
            return Err(Effect::Cut);
        };
        match connect.handle_input(&buffer[..length]) {
            Ok(None) => {}
            Ok(Some(established)) => {
                let early = buffer[established.consumed..length].to_vec();
                return Ok((established, early));
            }
            Err(ConnectError::Refused { status } | ConnectError::Redirected { status, .. }) => {
                return Err(Effect::Refused(status));
            }
            Err(error) => return Err(not_understood(error)),
        }
    }
}

/// Returns the effect of an invalid answer. It is neither a refusal nor a cut, so that no scenario
/// can expect it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what errors are mapped with"
)]
fn not_understood(error: ConnectError) -> Effect {
    Effect::NoHandshake(error.to_string())
}

/// Returns the opening request of a step that connects.
pub(super) fn handshake(
    path: &str,
    subprotocols: &[String],
    headers: &[(String, String)],
) -> ConnectOptions {
    let (host, headers) = host(headers);
    ConnectOptions {
        host,
        path: path.to_owned(),
        protocols: subprotocols.to_vec(),
        headers,
        ..ConnectOptions::default()
    }
}

/// Checks that a handshake can be sent. The error says why it cannot.
pub(super) fn check_handshake(options: ConnectOptions) -> Result<(), String> {
    let checked = Connect::new(options, KEY).map(drop);
    checked.map_err(|error| {
        format!(
            "{error}: paths and hosts are visible ASCII, subprotocols are tokens and no two the same, names of headers are tokens, and their \
             values have no line ends; Origin, Sec-WebSocket-… and others of the handshake are no headers of a scenario"
        )
    })
}

/// Returns the bytes of a plain request.
pub(super) fn plain_request(
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Vec<u8> {
    let (host, headers) = host(headers);
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in &headers {
        for part in [name, ": ", value, "\r\n"] {
            head.push_str(part);
        }
    }
    let length = body.len();
    head.push_str(&format!(
        "content-length: {length}\r\nconnection: close\r\n\r\n"
    ));
    [head.as_bytes(), body].concat()
}

/// Checks that a plain request can be sent. The error says why it cannot.
pub(super) fn check_plain_request(
    method: &str,
    target: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    if !is_token(method) {
        return Err(format!("{method:?} is not a method"));
    }
    if !target.bytes().all(|byte| matches!(byte, b'!'..=b'~')) || target.contains('#') {
        return Err(format!(
            "{target:?} is not a path: it is visible ASCII without #, with other characters as %XX"
        ));
    }
    let own = ["content-length", "transfer-encoding", "connection"];
    for (name, value) in headers {
        if !is_token(name) {
            return Err(format!("{name:?} is not the name of a header"));
        }
        if own.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(format!("{name} is not for a scenario to set"));
        }
        if !value
            .bytes()
            .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
        {
            return Err(format!(
                "the value of {name} has line ends or other control characters"
            ));
        }
    }
    Ok(())
}

/// Splits the headers into the `Host`, or its default, and the others.
fn host(headers: &[(String, String)]) -> (String, Vec<(String, String)>) {
    let mut headers = headers.to_vec();
    let given = headers
        .iter()
        .position(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = given.map_or_else(
        || format!("localhost:{PORT}"),
        |position| headers.remove(position).1,
    );
    (host, headers)
}

/// Sends a plain request and records its answer.
pub(super) async fn ask(name: &str, seen: Seen, mut stream: DuplexStream, request: Vec<u8>) {
    let answer = async {
        stream.write_all(&request).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        answer(&bytes)
    };
    let effect = answer.await.map_or(Effect::Cut, Effect::Answered);
    seen.borrow_mut().push((name.to_owned(), effect));
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let mut reader = ResponseReader::new(Limits::default());
    let response = reader.handle_input(bytes).ok()??;
    let headers: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value).into_owned();
            (name.to_ascii_lowercase(), value)
        })
        .collect();
    let body = &bytes[response.consumed..];
    let is_chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    Some(Answer {
        status: response.status,
        body: Some(match is_chunked {
            true => unchunked(body)?,
            false => body.to_vec(),
        }),
        headers,
    })
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}

/// A fixed key and mask: they need no secrecy, and must be the same in each run.
const KEY: [u8; 16] = [7; 16];
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The most bytes of a message and of a frame. A handler may not send more.
const BYTES_MAX: u64 = 1 << 32;
