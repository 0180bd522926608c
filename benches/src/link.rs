//! One connection of the load generator: TCP or TLS, opened with a blocking handshake, then without blocking.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::traffic::first_message;

/// How connections are opened.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Offers permessage-deflate without context takeover, and insists on it.
    pub(crate) deflate: bool,
    /// No opening handshake: the server is a raw one.
    pub(crate) raw: bool,
}

/// The client's side of TLS, which trusts one certificate.
pub(crate) fn client_config(
    certificate: CertificateDer<'static>,
) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A connection.
pub(crate) struct Link {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Link {
    /// Connects, upgrades, and stops blocking.
    pub(crate) fn open(way: &Way) -> anyhow::Result<Self> {
        let link = Self::open_blocking(way)?;
        link.stream.set_nonblocking(true)?;
        Ok(link)
    }

    /// Opens a connection, sends one message and checks what comes back. Returns the bytes that the server sends for that message.
    pub(crate) fn learn(way: &Way, frame: &[u8], payload: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut link = Self::open_blocking(way)?;
        link.write_all(frame)?;
        let mut reply = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = link
                .read_some(&mut buffer)
                .context("no reply to the first message")?;
            ensure!(
                read > 0,
                "the server closed the connection at the first message"
            );
            reply.extend_from_slice(&buffer[..read]);
            if way.raw {
                if reply.len() >= frame.len() {
                    ensure!(reply == frame, "the raw server sent other bytes");
                    return Ok(reply);
                }
            } else if let Some(length) = first_message(&reply, payload)? {
                ensure!(length == reply.len(), "more came than the message");
                return Ok(reply);
            }
        }
    }

    /// The same on this connection, which blocks until the reply is whole and goes on without blocking.
    pub(crate) fn touch(&mut self, frame: &[u8], reply: &[u8]) -> anyhow::Result<()> {
        self.stream.set_nonblocking(false)?;
        self.write_all(frame)?;
        let mut came = vec![0; reply.len()];
        let mut filled = 0;
        while filled < came.len() {
            let read = self
                .read_some(&mut came[filled..])
                .context("the message did not come back")?;
            ensure!(read > 0, "the server closed an idle connection");
            filled += read;
        }
        ensure!(came == reply, "an idle connection was sent other bytes");
        self.stream.set_nonblocking(true)?;
        Ok(())
    }

    fn open_blocking(way: &Way) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(way.address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let tls = match &way.tls {
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                Some(Box::new(ClientConnection::new(Arc::clone(config), name)?))
            }
            None => None,
        };
        let mut link = Self { stream, tls };
        if !way.raw {
            link.upgrade(way)?;
        }
        Ok(link)
    }

    fn upgrade(&mut self, way: &Way) -> anyhow::Result<()> {
        self.write_all(&request(way))?;
        let mut head = Vec::with_capacity(512);
        let mut buffer = [0; 1024];
        while !head.ends_with(b"\r\n\r\n") {
            let read = self
                .read_some(&mut buffer)
                .context("no answer to the upgrade")?;
            ensure!(read > 0, "the server closed in place of an answer");
            head.extend_from_slice(&buffer[..read]);
            ensure!(head.len() < 8192, "the answer is too long");
        }
        judge(&head, way.deflate)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        }
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.stream).read(buffer),
            None => self.stream.read(buffer),
        }
    }

    /// Reads what is there. `None` if that is nothing.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            return unless_blocked(self.stream.read(buffer));
        };
        loop {
            if let Some(read) = unless_blocked(tls.reader().read(buffer))? {
                return Ok(Some(read));
            }
            match unless_blocked(tls.read_tls(&mut self.stream))? {
                None => return Ok(None),
                Some(0) => return Ok(Some(0)),
                Some(_) => tls
                    .process_new_packets()
                    .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?,
            };
        }
    }

    /// Writes as much as goes, and returns how much that was.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return Ok(unless_blocked(self.stream.write(bytes))?.unwrap_or(0));
        };
        let mut written = 0;
        loop {
            while tls.wants_write() {
                if unless_blocked(tls.write_tls(&mut self.stream))?.is_none() {
                    return Ok(written);
                }
            }
            if written == bytes.len() {
                return Ok(written);
            }
            written += tls.writer().write(&bytes[written..])?;
        }
    }

    /// Whether a read that did not fill its buffer may have left something behind, of which no event would tell.
    #[inline]
    pub(crate) fn may_hold_more(&self) -> bool {
        self.tls.is_some()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The opening handshake, as bytes.
pub(crate) fn request(way: &Way) -> Vec<u8> {
    let extensions = if way.deflate {
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    } else {
        ""
    };
    format!(
        "GET / HTTP/1.1\r\nHost: localhost:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n",
        way.address.port()
    )
    .into_bytes()
}

/// Whether the answer accepts. The key is the one of RFC 6455, 1.3, and so is its proof.
pub(crate) fn judge(head: &[u8], deflate: bool) -> anyhow::Result<()> {
    let head = String::from_utf8_lossy(head);
    if !head.starts_with("HTTP/1.1 101 ") || !head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
        bail!("refused: {}", head.lines().next().unwrap_or_default());
    }
    if deflate {
        ensure!(
            head.contains("permessage-deflate") && head.contains("server_no_context_takeover"),
            "permessage-deflate without context takeover was not agreed to"
        );
    }
    Ok(())
}

fn unless_blocked(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long a server may take over one step of opening.
const PATIENCE: Duration = Duration::from_secs(20);
