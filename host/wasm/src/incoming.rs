//! Plain requests to a component that exports `wasi:http/incoming-handler`: an instance of its own for each.
//!
//! Such an instance shares no memory with the one that has the sockets, but its imports look at the same connections and topics, so that a
//! request can publish to them. What it asks for is carried out when `handle` returns, or not at all when it traps.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{WasiBody, WasiHttpView as _};

use super::context::HandlerContext;
use super::instance::{begin, bounded, explain, store};
use super::linker::Linked;
use super::state::Log;
use wsrun_contract::effects::Effects;
use wsrun_contract::host::Host;
use wsrun_contract::{CallbackError, HandlerLimits, NotServed, ReplySender, RequestHandler};
use wsrun_metrics::panics::plant;
use wsrun_metrics::seldom::Seldom;

/// What the host holds of a response that its client has not read yet: an instance that wrote no more than that has ended.
const WAITING_BYTES_MAX: u32 = 1024 * 1024;

/// How long a client may take nothing while its instance waits for it and a request waits for an instance.
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);

/// Answers the plain requests of one handler on one worker.
pub struct Incoming {
    context: HandlerContext,
    linked: Linked,
    limits: HandlerLimits,
    log: Log,
    /// Bytes that responses may wait with together.
    room: Arc<Semaphore>,
    /// Requests that wait for an instance.
    queued: Rc<Cell<usize>>,
}

/// What an instance sends as the head of its response.
type Head = Result<Response<HyperOutgoingBody>, ErrorCode>;

impl Incoming {
    /// For a handler that exports the interface.
    pub fn of(context: &HandlerContext, linked: &Linked, limits: &HandlerLimits) -> Option<Self> {
        linked.exports.wasi_http.then(|| Self {
            linked: linked.clone(),
            log: Log::new(context.metrics.name()),
            context: context.clone(),
            room: Arc::new(Semaphore::new(
                limits
                    .contract
                    .http_instances_max
                    .saturating_mul(WAITING_BYTES_MAX as usize)
                    .min(Semaphore::MAX_PERMITS),
            )),
            queued: Rc::default(),
            limits: limits.clone(),
        })
    }

    /// Sends the response once its head is there. Its body follows while the instance writes it.
    async fn respond(
        &self,
        head: oneshot::Receiver<Head>,
        failed: &Arc<AtomicBool>,
        reply: ReplySender,
    ) {
        let head = head.await;
        if failed.load(Ordering::Relaxed) {
            return;
        }
        let name = self.context.metrics.name();
        reply(match head {
            Ok(Ok(response)) if (200..=599).contains(&response.status().as_u16()) => {
                Ok(response.map(|body| self.held(body, Arc::clone(failed)).boxed_unsync()))
            }
            Ok(Ok(response)) => {
                static STATUS: Seldom = Seldom::new();
                if let Some(left_out) = STATUS.take() {
                    tracing::error!(handler = %name, left_out, "status {} cannot be sent", response.status());
                }
                Err(NotServed::Failed)
            }
            Ok(Err(error)) => {
                tracing::debug!(handler = %name, "a request was answered with an error: {error:?}");
                Err(NotServed::Failed)
            }
            Err(_) => {
                static SILENT: Seldom = Seldom::new();
                if let Some(left_out) = SILENT.take() {
                    tracing::error!(handler = %name, left_out, "incoming-handler.handle returned without a response");
                }
                Err(NotServed::Failed)
            }
        });
    }

    /// Has the body taken from the instance as soon as it writes it, as much of it as may wait for the client.
    fn held(&self, body: HyperOutgoingBody, failed: Arc<AtomicBool>) -> Held {
        let (sender, pieces) = unbounded_channel();
        let held = Held {
            size: body.size_hint(),
            is_empty: body.is_end_stream(),
            pieces,
        };
        let holding = Holding {
            body,
            failed,
            own: Arc::new(Semaphore::new(WAITING_BYTES_MAX as usize)),
            all: Arc::clone(&self.room),
            queued: Rc::clone(&self.queued),
        };
        tokio::task::spawn_local(holding.run(sender));
        held
    }

    /// Makes an instance and lets it handle the request. What it asked for comes back.
    async fn call(
        &self,
        host: Rc<dyn Host>,
        request: Request<Bytes>,
        secure: bool,
        head: oneshot::Sender<Head>,
        failed: &AtomicBool,
    ) -> Result<Effects, CallbackError> {
        let Self {
            context,
            linked,
            limits,
            log,
            ..
        } = self;
        plant("incoming");
        let mut store = store(linked, limits, context, host, log);
        begin(&mut store);
        let handled = async {
            let instance = linked.pre.instantiate_async(&mut store).await?;
            let indices = linked.wasi_http.as_ref();
            let indices = indices.expect("a handler without the export is not asked");
            let guest = indices.load(&mut store, &instance)?;
            let scheme = if secure { Scheme::Https } else { Scheme::Http };
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(scheme, request.map(body_of))?;
            let response = http.new_response_outparam(head)?;
            begin(&mut store);
            guest.call_handle(&mut store, request, response).await
        };
        let result = bounded(
            &context.worker.meter,
            limits.compute.blocking_timeout,
            handled,
        )
        .await;
        let result = result.map_err(|error| {
            // Before the store is dropped, which ends the body: what was sent of it is not all of it.
            failed.store(true, Ordering::Relaxed);
            explain(&mut store, error)
        });
        result.map(|()| store.data_mut().calls.effects.take())
    }
}

impl RequestHandler for Incoming {
    fn handle(
        self: Rc<Self>,
        host: Rc<dyn Host>,
        request: Request<Bytes>,
        secure: bool,
        reply: ReplySender,
    ) -> Pin<Box<dyn Future<Output = Result<Effects, CallbackError>>>> {
        Box::pin(async move {
            let failed = Arc::new(AtomicBool::new(false));
            let (sender, head) = oneshot::channel();
            let call = self.call(host, request, secure, sender, &failed);
            let respond = self.respond(head, &failed, reply);
            // The call first: what has failed sends no head that it has set just before.
            let (result, ()) = tokio::join!(biased; call, respond);
            result
        })
    }

    fn set_waiting(&self, requests: usize) {
        self.queued.set(requests);
    }
}

fn body_of(bytes: Bytes) -> WasiBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A part of a body, and its place among what may wait, which is free when the client has taken it.
type Piece = std::io::Result<(Frame<Bytes>, [Option<OwnedSemaphorePermit>; 2])>;

/// Between an instance and its client.
struct Holding {
    body: HyperOutgoingBody,
    failed: Arc<AtomicBool>,
    /// Bytes that this response may wait with.
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
    queued: Rc<Cell<usize>>,
}

impl Holding {
    /// Ends with the body, or with the client.
    async fn run(mut self, client: UnboundedSender<Piece>) {
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
            let piece = match frame {
                Err(error) => Err(std::io::Error::other(error)),
                Ok(frame) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                    let places = self.places(bytes.min(WAITING_BYTES_MAX)).await;
                    places.map(|places| (frame, places))
                }
            };
            let is_over = piece.is_err();
            if client.send(piece).is_err() || is_over {
                return;
            }
        }
        // Without this, a body that was cut short would look whole.
        if self.failed.load(Ordering::Relaxed) {
            let _ = client.send(Err(std::io::Error::other("the handler failed")));
        }
    }

    /// Waits for room, which there always is when nothing waits. Fails for a client that takes nothing while others want its instance.
    async fn places(&self, bytes: u32) -> std::io::Result<[Option<OwnedSemaphorePermit>; 2]> {
        let own = self.client_takes(bytes).await?;
        match Arc::clone(&self.all).try_acquire_many_owned(bytes) {
            Ok(all) => Ok([Some(own), Some(all)]),
            Err(_) => {
                drop(own);
                let mut whole = self.client_takes(WAITING_BYTES_MAX).await?;
                Ok([whole.split(bytes as usize), None])
            }
        }
    }

    async fn client_takes(&self, bytes: u32) -> std::io::Result<OwnedSemaphorePermit> {
        let mut free = self.own.available_permits();
        let mut taken = Instant::now();
        loop {
            let place = Arc::clone(&self.own).acquire_many_owned(bytes);
            match tokio::time::timeout(CLIENT_PATIENCE, place).await {
                Ok(place) => return place.map_err(std::io::Error::other),
                Err(_) if self.own.available_permits() > free => taken = Instant::now(),
                Err(_) if self.queued.get() > 0 && taken.elapsed() >= CLIENT_PATIENCE => {
                    let text = "the client reads nothing, and others wait for an instance";
                    return Err(std::io::Error::other(text));
                }
                Err(_) => {}
            }
            free = self.own.available_permits();
        }
    }
}

/// The body of a response, as its client has it: it does not wait for the instance where that has written it already.
struct Held {
    pieces: UnboundedReceiver<Piece>,
    /// Of what has not been taken.
    size: SizeHint,
    is_empty: bool,
}

impl Body for Held {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Poll::Ready(piece) = self.pieces.poll_recv(cx) else {
            return Poll::Pending;
        };
        let frame = piece.map(|piece| piece.map(|(frame, _)| frame));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Some(left) = self.size.exact()
        {
            self.size = SizeHint::with_exact(left.saturating_sub(data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
