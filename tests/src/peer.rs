//! A WebSocket client that checks nothing for its user and sends whatever it is told. Pings that the server sends on its own are answered
//! while it reads: when they come depends on how busy the machine is.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{self, AddressFamily, SocketType};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::frame::{self, Frame};
use crate::handshake::{ACCEPT, Request, Response};
use crate::stream::Stream;
use crate::wait::PATIENCE;

/// One side of a connection to the server.
#[derive(Debug)]
pub struct Peer {
    stream: Stream,
    input: Vec<u8>,
    /// How long a read waits.
    patience: Duration,
}

/// Why there is no further frame.
#[derive(Debug)]
pub enum NoFrame {
    /// The server ended the transport, in order or with a reset.
    Ended,
    /// Nothing came in time.
    TimedOut,
}

impl AsFd for Peer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Peer {
    /// Connects over TCP.
    #[track_caller]
    pub fn tcp(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        Self::over(Stream::Tcp(stream))
    }

    /// Connects over TCP from an address of this machine.
    #[track_caller]
    pub fn tcp_from(local: IpAddr, address: SocketAddr) -> Self {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = net::socket(family, SocketType::STREAM, None).expect("a socket");
        net::bind(&socket, &SocketAddr::new(local, 0)).expect("this machine has the address");
        net::connect(&socket, &address).expect("the server accepts");
        Self::over(Stream::Tcp(socket.into()))
    }

    /// Connects over a Unix socket.
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        Self::over(Stream::Unix(
            UnixStream::connect(path).expect("the server accepts"),
        ))
    }

    /// Connects over TLS, as to `localhost`.
    pub fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").expect("localhost is a name");
        let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self::over(Stream::Tls(Box::new(stream))))
    }

    fn over(stream: Stream) -> Self {
        stream.set_read_timeout(Some(PATIENCE));
        stream.set_write_timeout(Some(PATIENCE));
        Self {
            stream,
            input: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// Whether reads return at once: [`NoFrame::TimedOut`] when nothing is there.
    pub fn set_nonblocking(&self, nonblocking: bool) {
        self.stream.set_nonblocking(nonblocking);
    }

    /// Limits how long a read waits; [`PATIENCE`] otherwise.
    pub fn set_read_timeout(&mut self, timeout: Duration) {
        self.patience = timeout;
        self.stream.set_read_timeout(Some(timeout));
    }

    /// Limits how long a write waits; [`PATIENCE`] otherwise.
    pub fn set_write_timeout(&self, timeout: Duration) {
        self.stream.set_write_timeout(Some(timeout));
    }

    /// The certificate that the server showed.
    pub fn server_certificate(&self) -> Vec<u8> {
        let Stream::Tls(stream) = &self.stream else {
            panic!("not a TLS connection")
        };
        stream
            .conn
            .peer_certificates()
            .expect("the server shows a certificate")[0]
            .to_vec()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.try_send_bytes(bytes).expect("the server reads");
    }

    /// Sends bytes as they are; an error when the server has gone or stopped to read.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Sends a frame.
    #[track_caller]
    pub fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.encode());
    }

    /// Sends a text message.
    #[track_caller]
    pub fn send_text(&mut self, text: &str) {
        self.send(&Frame::new(frame::TEXT, text));
    }

    /// Sends a binary message.
    #[track_caller]
    pub fn send_binary(&mut self, bytes: &[u8]) {
        self.send(&Frame::new(frame::BINARY, bytes));
    }

    /// Ends this side of the transport.
    #[track_caller]
    pub fn finish_writing(&mut self) {
        self.stream
            .finish_writing()
            .expect("an open transport can be half closed");
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn request(&mut self, request: &Request) -> Response {
        self.send_bytes(&request.encode());
        self.read_response()
    }

    /// Opens the WebSocket.
    #[track_caller]
    pub fn upgrade(&mut self, request: &Request) -> Response {
        let response = self.request(request);
        assert_eq!(
            response.status,
            101,
            "{response:?}: {}",
            String::from_utf8_lossy(&response.body)
        );
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        response
    }

    /// Reads one response with its body.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        match self.try_read_response() {
            Ok(response) => response,
            Err(reason) => panic!(
                "no response ({reason:?}), only {:?}",
                String::from_utf8_lossy(&self.input)
            ),
        }
    }

    /// Reads the head of a response, if one comes: all of it when the request was HEAD.
    pub fn try_read_head(&mut self) -> Result<Response, NoFrame> {
        let end = loop {
            if let Some(at) = self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.input.drain(..end).collect();
        Ok(Response::parse_head(&head))
    }

    /// Reads one response with its body, if one comes.
    pub fn try_read_response(&mut self) -> Result<Response, NoFrame> {
        let mut response = self.try_read_head()?;
        if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().expect("content-length is a number");
            while self.input.len() < length {
                self.fill()?;
            }
            response.body = self.input.drain(..length).collect();
        } else if response.header("transfer-encoding") == Some("chunked") {
            response.body = self.read_chunks()?;
        }
        Ok(response)
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, NoFrame> {
        let mut body = Vec::new();
        loop {
            let at = loop {
                if let Some(at) = self.input.windows(2).position(|bytes| bytes == b"\r\n") {
                    break at;
                }
                self.fill()?;
            };
            let line: Vec<u8> = self.input.drain(..at + 2).collect();
            let line = String::from_utf8_lossy(&line);
            let length =
                usize::from_str_radix(line.trim(), 16).expect("a chunk begins with its length");
            while self.input.len() < length + 2 {
                self.fill()?;
            }
            body.extend(self.input.drain(..length));
            self.input.drain(..2);
            if length == 0 {
                return Ok(body);
            }
        }
    }

    /// Reads one frame.
    #[track_caller]
    pub fn read_frame(&mut self) -> Frame {
        match self.try_read_frame() {
            Ok(frame) => frame,
            Err(reason) => panic!(
                "no frame ({reason:?}), only {:?}",
                String::from_utf8_lossy(&self.input)
            ),
        }
    }

    /// Reads one frame, if one comes. A keep-alive ping is answered and is none.
    pub fn try_read_frame(&mut self) -> Result<Frame, NoFrame> {
        let began = Instant::now();
        loop {
            let frame = self.try_read_raw_frame()?;
            if !frame.is_keep_alive() {
                return Ok(frame);
            }
            self.answer(frame);
            if began.elapsed() >= self.patience {
                return Err(NoFrame::TimedOut);
            }
        }
    }

    fn answer(&mut self, ping: Frame) {
        // If the server has gone, reading tells.
        let _ = self.try_send_bytes(&Frame::new(frame::PONG, ping.payload).encode());
    }

    /// Answers the keep-alive pings that nothing else stands before.
    fn answer_keep_alive(&mut self) {
        const LENGTH: usize = 10;
        while let Some(mut first) = self.input.get(..LENGTH).map(<[u8]>::to_vec)
            && first[..2] == [0x80 | frame::PING, 8]
            && let Some(ping) = Frame::decode(&mut first).filter(Frame::is_keep_alive)
        {
            self.input.drain(..LENGTH);
            self.answer(ping);
        }
    }

    /// Reads one frame, whatever it is, for who looks at keep-alive pings and answers them or not.
    #[track_caller]
    pub fn read_raw_frame(&mut self) -> Frame {
        self.try_read_raw_frame()
            .unwrap_or_else(|reason| panic!("no frame: {reason:?}"))
    }

    /// Reads one frame, whatever it is, if one comes.
    pub fn try_read_raw_frame(&mut self) -> Result<Frame, NoFrame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.input) {
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    /// Reads a text message that comes in one frame.
    #[track_caller]
    pub fn read_text(&mut self) -> String {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, frame::TEXT, "{frame:?}");
        assert!(frame.last, "{frame:?}");
        frame.text().to_owned()
    }

    /// Sends a text message and reads the text that comes back.
    #[track_caller]
    pub fn ask(&mut self, text: &str) -> String {
        self.send_text(text);
        self.read_text()
    }

    /// Asserts that the next message is this text.
    #[track_caller]
    pub fn expect_text(&mut self, text: &str) {
        assert_eq!(self.read_text(), text);
    }

    /// Asserts that the next frame closes with this code, and returns its reason.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16) -> String {
        let frame = self.read_frame();
        assert_eq!(frame.opcode, frame::CLOSE, "{:?}", shortened(&frame));
        let (seen, reason) = frame.close_info();
        assert_eq!(seen, code, "reason {reason:?}");
        reason.to_owned()
    }

    /// Reads on until a close frame comes, which must have this code, and returns its reason.
    #[track_caller]
    pub fn expect_close_at_last(&mut self, code: u16) -> String {
        loop {
            let frame = self.read_frame();
            if frame.opcode == frame::CLOSE {
                let (seen, reason) = frame.close_info();
                assert_eq!(seen, code, "reason {reason:?}");
                return reason.to_owned();
            }
        }
    }

    /// Asserts that the server ends the transport, with no byte before.
    #[track_caller]
    pub fn expect_end(&mut self) {
        loop {
            let filled = self.fill();
            self.answer_keep_alive();
            match filled {
                Err(NoFrame::Ended) if self.input.is_empty() => return,
                Ok(()) if self.input.is_empty() => {}
                other => panic!(
                    "the transport did not end: {other:?} after {:?}",
                    String::from_utf8_lossy(&self.input)
                ),
            }
        }
    }

    /// Reads until the server ends the transport, and returns what came.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(NoFrame::Ended) => return std::mem::take(&mut self.input),
                Err(NoFrame::TimedOut) => {
                    panic!(
                        "the transport did not end, after {:?}",
                        String::from_utf8_lossy(&self.input)
                    );
                }
            }
        }
    }

    /// Asserts that nothing comes for a while. Only for things that must never come: it always takes the whole time.
    #[track_caller]
    pub fn expect_silence(&mut self, time: Duration) {
        self.set_read_timeout(time);
        loop {
            let filled = self.fill();
            self.answer_keep_alive();
            match filled {
                Err(NoFrame::TimedOut) => break,
                // The time begins anew behind a keep-alive ping.
                Ok(()) if self.input.is_empty() => {}
                other => panic!(
                    "not silent: {other:?} {:?}",
                    String::from_utf8_lossy(&self.input)
                ),
            }
        }
        self.set_read_timeout(PATIENCE);
    }

    /// Closes with 1000 and asserts that the server answers in kind and ends the transport.
    #[track_caller]
    pub fn close(mut self) {
        self.send(&Frame::close(1000, ""));
        self.expect_close_at_last(1000);
        self.expect_end();
    }

    fn fill(&mut self) -> Result<(), NoFrame> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(NoFrame::Ended),
            Ok(length) => {
                self.input.extend(&buffer[..length]);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Err(NoFrame::TimedOut)
            }
            Err(_) => Err(NoFrame::Ended),
        }
    }
}

fn shortened(frame: &Frame) -> Frame {
    let mut frame = frame.clone();
    frame.payload.truncate(200);
    frame
}
