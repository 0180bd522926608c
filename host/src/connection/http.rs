//! HTTP/1.1 up to the upgrade: keep-alive, pipelining, and the raw stream afterwards.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::rt::{Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addresses::Addresses;
use super::answer::{Body, last};
use super::framed::Framed;
use super::front::Front;
use super::plain;
use super::upgrade::{is_upgrade, malformed, upgrade};
use super::upgraded::{Raw, Upgraded};
use wsrun_net::stream::Stream;
use wsrun_os::clock::{self, Patience};

/// How serving requests ended.
pub(super) enum Served {
    /// One was upgraded.
    Upgraded(Raw),
    /// The last was answered: the connection is to be ended.
    Over(Stream),
    /// The client is gone, or to be cut off.
    Lost,
}

/// Serves requests until one is upgraded or the connection ends. When the server is to stop, or another process accepts in its place, what is
/// being answered is answered to its end and nothing after it.
pub(super) async fn serve(front: &Rc<Front>, stream: Stream, addresses: &Addresses) -> Served {
    let config = &front.worker.settings;
    let stream = Rc::new(RefCell::new(stream));
    let watch = Rc::new(Watch::default());
    let watched = Watched {
        stream: Rc::clone(&stream),
        watch: Rc::clone(&watch),
    };
    let framed = Framed::new(watched, config.limits);
    let refused = framed.refused();
    let upgraded: RefCell<Option<Upgraded>> = RefCell::new(None);
    let asked = Cell::new(false);
    let service = service_fn(|request: HttpRequest<Incoming>| {
        asked.set(true);
        let (upgraded, refused) = (&upgraded, refused.take());
        Box::pin(async move {
            let response = match refused {
                Some(error) => malformed(&error),
                None => answer(front, addresses, request, upgraded).await,
            };
            let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, Infallible>(match is_leaving(front) && !goes_on {
                true => last(response),
                false => response,
            })
        })
    });
    let mut connection = http1::Builder::new()
        .timer(PatientTimer)
        // A client may end its side behind its last request and still wants the answer.
        .half_close(true)
        .header_read_timeout(config.handshake_timeout)
        .max_headers(config.limits.headers_max)
        .max_buf_size(config.limits.header_bytes_max)
        .serve_connection(TokioIo::new(framed), service);
    let result = {
        let mut stalled = pin!(stalled(&stream, &watch, config.write_timeout));
        let (mut retiring, mut shutdown) =
            (front.shared.retiring.clone(), front.worker.shutdown.clone());
        let mut is_retiring = false;
        let mut is_stopping = false;
        loop {
            // Every arm may be dropped and begun again: the connection and the watch over it keep what they know.
            tokio::select! {
                // It ends when the 101 is written, or the last response.
                result = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break result,
                () = &mut stalled => {
                    tracing::debug!(peer = %addresses.peer, "HTTP connection stalled");
                    return Served::Lost;
                }
                _ = retiring.wait_for(|retiring| *retiring), if !is_retiring => {
                    is_retiring = true;
                    // Whose first request is on its way is still served.
                    if asked.get() {
                        Pin::new(&mut connection).graceful_shutdown();
                    }
                }
                _ = shutdown.wait_for(|shutdown| *shutdown), if !is_stopping => {
                    is_stopping = true;
                    if !asked.get() {
                        return Served::Lost;
                    }
                    Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    };
    // It gives the stream back as it is.
    let parts = connection.into_parts();
    let (watched, held) = parts.io.into_inner().into_parts();
    let early = [parts.read_buf.as_ref(), &held].concat();
    drop(watched);
    let Some(stream) = Rc::into_inner(stream).map(RefCell::into_inner) else {
        return Served::Lost;
    };
    if let Err(error) = result {
        tracing::debug!(peer = %addresses.peer, "HTTP connection ended: {error}");
        // hyper has told the client what is wrong with its request.
        return match error.is_parse() {
            true => Served::Over(stream),
            false => Served::Lost,
        };
    }
    match upgraded.take() {
        Some(upgraded) => Served::Upgraded(Raw {
            stream,
            early,
            upgraded,
        }),
        None => Served::Over(stream),
    }
}

/// Whether each response is to be the last of its connection.
fn is_leaving(front: &Front) -> bool {
    *front.shared.retiring.borrow() || *front.worker.shutdown.borrow()
}

/// In the time that a client may take nothing, it is looked so often whether it does.
const LOOKS: u32 = 4;

/// Ends when a write has waited for `limit` and the client has taken nothing: hyper bounds the time for a request's head, but not for a
/// response that nobody reads.
async fn stalled(stream: &RefCell<Stream>, watch: &Watch, limit: Duration) {
    let interval = limit / LOOKS;
    let mut before = None;
    let mut since = clock::now();
    loop {
        let due = clock::now().checked_add(interval);
        tokio::time::sleep(interval).await;
        let now = clock::now();
        let is_late = due.is_some_and(|due| clock::is_late(due, now));
        // Of what the kernel holds, a client that reads slowly takes some long before the socket takes more.
        let seen = watch.blocked.get().then(|| {
            let untaken = stream.borrow().untaken_bytes();
            (watch.written.get(), untaken)
        });
        if seen.is_none() || seen != before || is_late {
            before = seen;
            since = now;
        } else if now.saturating_duration_since(since) >= limit {
            return;
        }
    }
}

/// What is known of a stream that hyper has.
#[derive(Default)]
struct Watch {
    /// Bytes that it took.
    written: Cell<u64>,
    /// Something waits for the client to read. TLS takes more than the socket does: only its flush waits then.
    blocked: Cell<bool>,
}

impl Watch {
    fn see<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.blocked.set(result.is_pending());
        result
    }

    fn see_written(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(written)) = result {
            self.written.set(self.written.get() + written as u64);
        }
        self.see(result)
    }
}

/// A stream that tells how writing goes. What is read says nothing: a client may send and send, and never read.
struct Watched {
    stream: Rc<RefCell<Stream>>,
    watch: Rc<Watch>,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, buf);
        self.watch.see_written(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut *self.stream.borrow_mut()).poll_write_vectored(cx, slices);
        self.watch.see_written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx);
        self.watch.see(result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx);
        self.watch.see(result)
    }
}

/// The timers of hyper, with the patience of the host.
#[derive(Clone, Copy, Debug)]
struct PatientTimer;

impl Timer for PatientTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(PatientSleep(Patience::new(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        clock::now()
    }
}

struct PatientSleep(Patience);

impl Sleep for PatientSleep {}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll_over(cx)
    }
}

async fn answer(
    front: &Rc<Front>,
    addresses: &Addresses,
    request: HttpRequest<Incoming>,
    accepted: &RefCell<Option<Upgraded>>,
) -> Response<Body> {
    if is_upgrade(&request) {
        let (response, upgraded) = upgrade(front, addresses, &request).await;
        *accepted.borrow_mut() = upgraded;
        return response;
    }
    plain::answer(front, addresses, request).await
}
