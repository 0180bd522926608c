//! A stream whose requests are looked at before hyper reads them, which takes more than RFC 9112 allows.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wsrun_proto::http::framing::{Framing, RequestError};
use wsrun_proto::limits::Limits;

/// A request that hyper does not see. One in its place makes it ask for the answer, behind those to earlier requests.
pub(super) type Refused = Rc<Cell<Option<RequestError>>>;

/// What hyper reads in place of a request that is refused.
const IN_ITS_PLACE: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
/// The same, for an answer that has no body.
const IN_PLACE_OF_HEAD: &[u8] = b"HEAD / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// Passes requests on one at a time: a head when it is there in whole, a body as it comes.
pub(super) struct Framed<S> {
    inner: S,
    framing: Framing,
    /// Read and not passed on.
    held: Vec<u8>,
    /// How much of that may be passed on.
    passable: usize,
    refused: Refused,
    /// A request was refused: nothing behind it is read.
    is_over: bool,
}

impl<S> Framed<S> {
    pub(super) fn new(inner: S, limits: Limits) -> Self {
        Self {
            inner,
            framing: Framing::new(limits),
            held: Vec::new(),
            passable: 0,
            refused: Rc::default(),
            is_over: false,
        }
    }

    /// Set before hyper asks for the answer to what stands in the place of a request that is refused.
    pub(super) fn refused(&self) -> Refused {
        Rc::clone(&self.refused)
    }

    /// The stream, and what was read of it and not passed on.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.inner, self.held)
    }

    /// Looks at what is held.
    fn look(&mut self) -> io::Result<()> {
        if self.passable > 0 || self.held.is_empty() {
            return Ok(());
        }
        match self.framing.next(&self.held) {
            Ok(passable) => {
                self.passable = passable;
                Ok(())
            }
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&mut self, error: RequestError) -> io::Result<()> {
        if self.framing.is_in_body() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let in_its_place = match self.held.starts_with(b"HEAD ") {
            true => IN_PLACE_OF_HEAD,
            false => IN_ITS_PLACE,
        };
        self.held = in_its_place.to_vec();
        self.passable = in_its_place.len();
        self.refused.set(Some(error));
        self.is_over = true;
        Ok(())
    }

    fn pass(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.passable.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.passable -= length;
        if length == self.held.len() {
            // Bodies are not held: the next head begins with no memory.
            self.held = Vec::new();
        } else {
            self.held.drain(..length);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.look()?;
            if this.passable > 0 {
                this.pass(buf);
                return Poll::Ready(Ok(()));
            }
            if this.is_over {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let read = &buf.filled()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // Most often a whole head comes at once, or a part of a body: it stays where it is.
            let passed = match this.held.is_empty() {
                true => this.framing.next(read).unwrap_or(0),
                false => 0,
            };
            this.held.extend_from_slice(&read[passed..]);
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
