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

use wsrun_os::transport::Transport;

/// A connected socket.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// No socket: the other side is in this program.
    Memory(DuplexStream),
    /// It was taken out of a stream that goes to another worker: reads and writes wait for ever.
    Gone,
}

/// A stream that belongs to no runtime.
#[derive(Debug)]
pub struct Detached {
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
    pub fn attach(self) -> io::Result<Stream> {
        let socket = match self.socket {
            Unbound::Tcp(socket) => Socket::Tcp(TcpStream::from_std(socket)?),
            Unbound::Unix(socket) => Socket::Unix(UnixStream::from_std(socket)?),
        };
        let mut stream = self.stream;
        *stream.socket_mut() = socket;
        Ok(stream)
    }
}

/// What HTTP and WebSocket are spoken over.
#[derive(Debug)]
pub enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// TLS of the client role.
    ClientTls(Box<tokio_rustls::client::TlsStream<Socket>>),
}

impl Stream {
    /// Returns how many bytes the kernel holds because the peer has not taken them. Returns none
    /// where no kernel is in between.
    pub fn untaken_bytes(&self) -> Option<usize> {
        let socket = match self.socket() {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
            Socket::Memory(_) | Socket::Gone => return None,
        };
        untaken::untaken_bytes(socket).ok()
    }

    /// Returns true when the socket has failed, without reading from it.
    fn has_failed(&self) -> bool {
        let error = match self.socket() {
            Socket::Tcp(stream) => SockRef::from(stream).take_error(),
            Socket::Unix(stream) => SockRef::from(stream).take_error(),
            Socket::Memory(_) | Socket::Gone => Ok(None),
        };
        !matches!(error, Ok(None))
    }

    /// Returns the file descriptor of the socket.
    pub fn raw_fd(&self) -> Option<RawFd> {
        match self.socket() {
            Socket::Tcp(stream) => Some(stream.as_raw_fd()),
            Socket::Unix(stream) => Some(stream.as_raw_fd()),
            Socket::Memory(_) | Socket::Gone => None,
        }
    }

    /// Takes it out of the runtime of this thread.
    pub fn detach(mut self) -> io::Result<Detached> {
        let socket = match std::mem::replace(self.socket_mut(), Socket::Gone) {
            Socket::Tcp(socket) => Unbound::Tcp(socket.into_std()?),
            Socket::Unix(socket) => Unbound::Unix(socket.into_std()?),
            Socket::Memory(_) | Socket::Gone => return Err(io::ErrorKind::NotConnected.into()),
        };
        Ok(Detached {
            stream: self,
            socket,
        })
    }

    fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut().0,
            Self::ClientTls(stream) => stream.get_mut().0,
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
            Self::ClientTls(stream) => stream.get_ref().0,
        }
    }
}

impl Transport for Stream {
    #[inline]
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        let result = AsyncRead::poll_read(Pin::new(self), cx, &mut read);
        let length = read.filled().len();
        result.map_ok(|()| length)
    }

    #[inline]
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            // A `send` is cheaper than a `writev` of one.
            [slice] => AsyncWrite::poll_write(Pin::new(self), cx, slice),
            slices => AsyncWrite::poll_write_vectored(Pin::new(self), cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(self), cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), cx)
    }

    fn has_failed(&self) -> bool {
        Self::has_failed(self)
    }

    fn untaken_bytes(&self) -> Option<usize> {
        Self::untaken_bytes(self)
    }

    fn raw_fd(&self) -> Option<RawFd> {
        Self::raw_fd(self)
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
delegate_io!(Stream, [Stream::Plain, Stream::Tls, Stream::ClientTls], []);

/// Sets the options of a TCP connection, whoever made it.
pub fn set_options(stream: &TcpStream) {
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
