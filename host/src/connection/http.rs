//! HTTP/1.1 up to the upgrade: keep-alive, pipelining, and the raw stream afterwards.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
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
use super::framed::Framed;
use super::plain;
use super::upgrade::{Addresses, Upgraded, is_upgrade, malformed, upgrade};
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
    let config = &worker.config;
    let watched = Watched {
        stream,
        moved: Rc::default(),
        blocked: Rc::default(),
    };
    let (moved, blocked) = (Rc::clone(&watched.moved), Rc::clone(&watched.blocked));
    let framed = Framed::new(watched, config.limits);
    let refused = framed.refused();
    let upgraded: RefCell<Option<Upgraded>> = RefCell::new(None);
    let service = service_fn(|request: HttpRequest<Incoming>| {
        let (upgraded, refused) = (&upgraded, refused.take());
        Box::pin(async move {
            let response = match refused {
                Some(error) => malformed(&error),
                None => answer(worker, addresses, request, upgraded).await,
            };
            Ok::<_, Infallible>(response)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // A client may end its side behind its last request and still wants the answer.
        .half_close(true)
        .header_read_timeout(config.handshake_timeout)
        .max_headers(config.limits.headers_max)
        .max_buf_size(config.limits.header_bytes_max)
        .serve_connection(TokioIo::new(framed), service);
    // `poll_without_shutdown` leaves the stream as it is once the 101 is written.
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        () = stalled(&moved, &blocked, config.write_timeout) => {
            tracing::debug!(peer = %addresses.peer, "HTTP connection stalled");
            return None;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %addresses.peer, "HTTP connection ended: {error}");
        if !error.is_parse() {
            return None;
        }
        // hyper has told the client what is wrong with its request.
    }
    let parts = connection.into_parts();
    let (watched, held) = parts.io.into_inner().into_parts();
    match upgraded.take() {
        Some(upgraded) => Some(Raw {
            stream: watched.stream,
            early: [parts.read_buf.as_ref(), &held].concat(),
            upgraded,
        }),
        None => {
            super::accept::close(watched.stream).await;
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
