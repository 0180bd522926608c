//! The byte stream under a connection: TCP or Unix, plain or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// An accepted socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What HTTP and WebSocket are spoken over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// Whether the transport has failed, without reading from it: a connection that is not read would not notice.
    pub(crate) fn has_failed(&self) -> bool {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let error = match socket {
            Socket::Tcp(stream) => SockRef::from(stream).take_error(),
            Socket::Unix(stream) => SockRef::from(stream).take_error(),
        };
        !matches!(error, Ok(None))
    }
}

macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr, $a:path, $b:path) => {
        match $self.get_mut() {
            $a($stream) => $call,
            $b($stream) => $call,
        }
    };
}

macro_rules! delegate_io {
    ($type:ty, $a:path, $b:path) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                delegate!(self, stream => Pin::new(stream).poll_read(cx, buf), $a, $b)
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                delegate!(self, stream => Pin::new(stream).poll_write(cx, buf), $a, $b)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                delegate!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices), $a, $b)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                delegate!(self, stream => Pin::new(stream).poll_flush(cx), $a, $b)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                delegate!(self, stream => Pin::new(stream).poll_shutdown(cx), $a, $b)
            }
        }
    };
}

delegate_io!(Socket, Socket::Tcp, Socket::Unix);
delegate_io!(Stream, Stream::Plain, Stream::Tls);
