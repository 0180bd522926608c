//! HTTP/1.1 up to the upgrade: keep-alive, pipelining, and the raw stream afterwards.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::Body;
use super::plain;
use super::upgrade::{Addresses, Upgraded, is_upgrade, upgrade};
use crate::transport::Stream;
use crate::worker::Worker;

/// What is left of an HTTP connection that was upgraded.
pub(super) struct Raw {
    pub(super) stream: Stream,
    /// What the client sent behind its request: frames.
    pub(super) early: Vec<u8>,
    pub(super) upgraded: Upgraded,
}

/// Serves requests until one is upgraded (`Some`) or the connection ends.
pub(super) async fn serve(
    worker: &Rc<Worker>,
    stream: Stream,
    addresses: &Addresses,
) -> Option<Raw> {
    let upgraded: RefCell<Option<Upgraded>> = RefCell::new(None);
    let service = service_fn(|request: HttpRequest<Incoming>| {
        let upgraded = &upgraded;
        async move {
            let response = answer(worker, addresses, request, upgraded).await;
            Ok::<_, Infallible>(response)
        }
    });
    let config = &worker.config;
    let watched = Watched {
        stream,
        moved: Rc::default(),
        blocked: Rc::default(),
    };
    let (moved, blocked) = (Rc::clone(&watched.moved), Rc::clone(&watched.blocked));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client may end its side behind its last request and still wants the answer.
        .half_close(true)
        .header_read_timeout(config.handshake_timeout)
        .max_headers(config.limits.headers_max)
        .max_buf_size(config.limits.header_bytes_max)
        .serve_connection(TokioIo::new(watched), service);
    // `without_shutdown` gives the stream back as it is once the 101 is written.
    // Dropping either arm drops the connection, which is what is wanted.
    let parts = tokio::select! {
        parts = connection.without_shutdown() => parts,
        () = stalled(&moved, &blocked, config.write_timeout) => {
            tracing::debug!(peer = %addresses.peer, "HTTP connection stalled");
            return None;
        }
    };
    let parts = match parts {
        Ok(parts) => parts,
        Err(error) => {
            tracing::debug!(peer = %addresses.peer, "HTTP connection ended: {error}");
            return None;
        }
    };
    let stream = parts.io.into_inner().stream;
    let upgraded = upgraded.take();
    match upgraded {
        Some(upgraded) => Some(Raw {
            stream,
            early: parts.read_buf.to_vec(),
            upgraded,
        }),
        None => {
            super::accept::close(stream).await;
            None
        }
    }
}

/// Ends when a write has waited for `limit` and no byte has moved: hyper bounds the time for a request's head, but not for a response
/// that nobody reads.
async fn stalled(moved: &Cell<u64>, blocked: &Cell<bool>, limit: Duration) {
    loop {
        let before = (moved.get(), blocked.get());
        tokio::time::sleep(limit).await;
        if before == (moved.get(), true) && blocked.get() {
            return;
        }
    }
}

/// A stream that counts the bytes that move.
struct Watched {
    stream: Stream,
    moved: Rc<Cell<u64>>,
    /// A write waits for the peer to read.
    blocked: Rc<Cell<bool>>,
}

impl Watched {
    fn count(&self, bytes: usize) {
        self.moved.set(self.moved.get() + bytes as u64);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(buf.filled().len() - before);
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.blocked.set(result.is_pending());
        if let Poll::Ready(Ok(written)) = result {
            self.count(written);
        }
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.blocked.set(result.is_pending());
        if let Poll::Ready(Ok(written)) = result {
            self.count(written);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

async fn answer(
    worker: &Rc<Worker>,
    addresses: &Addresses,
    request: HttpRequest<Incoming>,
    accepted: &RefCell<Option<Upgraded>>,
) -> Response<Body> {
    if is_upgrade(&request) {
        let (response, upgraded) = upgrade(worker, addresses, &request).await;
        *accepted.borrow_mut() = upgraded;
        return response;
    }
    plain::answer(worker, addresses, request).await
}
