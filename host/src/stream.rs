//! The byte stream under a connection: TCP or Unix, plain or TLS.

mod untaken;

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// No socket: the other side is in this program.
    Memory(DuplexStream),
    /// It was taken out of a stream that goes to another worker: reads and writes wait for ever.
    Gone,
}

/// A stream that belongs to no runtime.
#[derive(Debug)]
pub(crate) struct Detached {
    /// Without its socket.
    stream: Stream,
    socket: Unbound,
}

#[derive(Debug)]
enum Unbound {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Detached {
    /// Makes it part of the runtime of this thread.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        let socket = match self.socket {
            Unbound::Tcp(socket) => Socket::Tcp(TcpStream::from_std(socket)?),
            Unbound::Unix(socket) => Socket::Unix(UnixStream::from_std(socket)?),
        };
        let mut stream = self.stream;
        if let Some(place) = stream.socket_mut() {
            *place = socket;
        }
        Ok(stream)
    }
}

/// What HTTP and WebSocket are spoken over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// TLS of the client role.
    ClientTls(Box<tokio_rustls::client::TlsStream<Socket>>),
    /// No transport yet: reads and writes wait for ever.
    Unconnected,
}

impl Stream {
    /// Whether the transport has failed, without reading from it: a connection that is not read would not notice.
    pub(crate) fn has_failed(&self) -> bool {
        let error = match self.socket() {
            Some(Socket::Tcp(stream)) => SockRef::from(stream).take_error(),
            Some(Socket::Unix(stream)) => SockRef::from(stream).take_error(),
            Some(Socket::Memory(_) | Socket::Gone) | None => Ok(None),
        };
        !matches!(error, Ok(None))
    }

    /// Bytes that the kernel holds because the peer has not taken them; none where no kernel is between.
    pub(crate) fn untaken_bytes(&self) -> Option<usize> {
        let socket = match self.socket()? {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
            Socket::Memory(_) | Socket::Gone => return None,
        };
        untaken::untaken_bytes(socket).ok()
    }

    /// The file descriptor of the socket.
    pub(crate) fn raw_fd(&self) -> Option<RawFd> {
        match self.socket()? {
            Socket::Tcp(stream) => Some(stream.as_raw_fd()),
            Socket::Unix(stream) => Some(stream.as_raw_fd()),
            Socket::Memory(_) | Socket::Gone => None,
        }
    }

    /// Takes it out of the runtime of this thread.
    pub(crate) fn detach(mut self) -> io::Result<Detached> {
        let socket = self.socket_mut().ok_or(io::ErrorKind::NotConnected)?;
        let socket = match std::mem::replace(socket, Socket::Gone) {
            Socket::Tcp(socket) => Unbound::Tcp(socket.into_std()?),
            Socket::Unix(socket) => Unbound::Unix(socket.into_std()?),
            Socket::Memory(_) | Socket::Gone => return Err(io::ErrorKind::NotConnected.into()),
        };
        Ok(Detached {
            stream: self,
            socket,
        })
    }

    fn socket_mut(&mut self) -> Option<&mut Socket> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(stream) => Some(stream.get_mut().0),
            Self::ClientTls(stream) => Some(stream.get_mut().0),
            Self::Unconnected => None,
        }
    }

    fn socket(&self) -> Option<&Socket> {
        match self {
            Self::Plain(socket) => Some(socket),
            Self::Tls(stream) => Some(stream.get_ref().0),
            Self::ClientTls(stream) => Some(stream.get_ref().0),
            Self::Unconnected => None,
        }
    }
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr, [$($variant:path),*], [$($none:path),*]) => {
        match $self.get_mut() {
            $($variant($stream) => $call,)*
            $($none => Poll::Pending,)*
        }
    };
}

macro_rules! delegate_io {
    ($type:ty, $some:tt, $none:tt) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                delegate!(self, stream => Pin::new(stream).poll_read(cx, buf), $some, $none)
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                delegate!(self, stream => Pin::new(stream).poll_write(cx, buf), $some, $none)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                delegate!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices), $some, $none)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                delegate!(self, stream => Pin::new(stream).poll_flush(cx), $some, $none)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                delegate!(self, stream => Pin::new(stream).poll_shutdown(cx), $some, $none)
            }
        }
    };
}

delegate_io!(
    Socket,
    [Socket::Tcp, Socket::Unix, Socket::Memory],
    [Socket::Gone]
);
delegate_io!(
    Stream,
    [Stream::Plain, Stream::Tls, Stream::ClientTls],
    [Stream::Unconnected]
);

/// Sets the options of a TCP connection, whoever made it.
pub(crate) fn set_options(stream: &TcpStream) {
    // Whole batches are written at once: waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    // For a peer that vanishes while the handler does not want it to be read: nothing else would notice.
    let _ = SockRef::from(stream).set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE / 3),
    );
}

/// Silence of a TCP connection after which the kernel asks whether the peer is there.
const KEEPALIVE: Duration = Duration::from_secs(60);
