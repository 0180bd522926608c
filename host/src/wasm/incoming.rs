//! Plain requests to a component that exports `wasi:http/incoming-handler`: an instance of its own for each.
//!
//! Such an instance shares no memory with the one that has the sockets, but its imports look at the same connections and topics, so that a
//! request can publish to them. What it asks for is carried out when `handle` returns, or not at all when it traps.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, WasiHttpView as _};

use super::error::GuestError;
use super::instance::{begin, bounded, explain, store};
use super::linker::Linked;
use super::state::Log;
use crate::command::Commands;
use crate::config::HandlerLimits;
use crate::connection::HttpBody;
use crate::handler::{Handler, Limit, NotServed, Registry, report};
use crate::panics::{plant, spawn};
use crate::seldom::Seldom;

/// Bytes of one write to the body of a response, two of which may wait for the client.
const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Answers the plain requests of one handler on one worker.
pub(crate) struct Incoming {
    linked: Linked,
    limits: HandlerLimits,
    log: Log,
    free: Arc<Semaphore>,
}

/// What an instance sends as the head of its response.
type Head = Result<Response<HyperOutgoingBody>, ErrorCode>;

impl Incoming {
    /// For a handler that exports the interface.
    pub(crate) fn of(handler: &Arc<str>, linked: &Linked, limits: &HandlerLimits) -> Option<Self> {
        linked.exports.wasi_http.then(|| Self {
            linked: linked.clone(),
            log: Log::new(handler),
            free: Arc::new(Semaphore::new(limits.http_instances_max)),
            limits: limits.clone(),
        })
    }

    /// The response, once its head is there: its body follows while the instance writes it.
    pub(crate) async fn answer(
        self: &Rc<Self>,
        handler: &Rc<Handler>,
        request: Request<Bytes>,
        secure: bool,
        patience: Duration,
    ) -> Result<Response<HttpBody>, NotServed> {
        if self.free.available_permits() == 0 {
            handler.registry.note_limit(Limit::HttpInstances);
        }
        let permit = Arc::clone(&self.free).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(patience, permit).await else {
            return Err(NotServed::Busy);
        };
        let (sender, head) = oneshot::channel();
        let failed = Arc::new(AtomicBool::new(false));
        // It goes on when the client is gone, as any callback does; `--blocking-timeout` ends it.
        let running = Rc::clone(self).run(
            Rc::clone(handler),
            request,
            secure,
            sender,
            Arc::clone(&failed),
            permit,
        );
        spawn(&handler.registry.worker().tally, "incoming", running);
        let name = handler.registry.name();
        let head = head.await;
        if failed.load(Ordering::Relaxed) {
            // Nothing of it was sent yet, and so nothing of it is.
            return Err(NotServed::Failed);
        }
        match head {
            Ok(Ok(response)) if (200..=599).contains(&response.status().as_u16()) => {
                Ok(response.map(|inner| Whole { inner, failed }.boxed_unsync()))
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
        }
    }

    async fn run(
        self: Rc<Self>,
        handler: Rc<Handler>,
        request: Request<Bytes>,
        secure: bool,
        head: oneshot::Sender<Head>,
        failed: Arc<AtomicBool>,
        permit: OwnedSemaphorePermit,
    ) {
        let result = self
            .call(&handler.registry, request, secure, head, &failed)
            .await;
        match result {
            Ok(commands) => handler.apply_of_request(commands).await,
            // Nothing was counted on any connection: what it asked for is just forgotten.
            Err(error) => report(&handler.registry, "incoming-handler.handle", None, &error),
        }
        // What it asked for may have to wait for other workers, and is held meanwhile.
        drop(permit);
    }

    /// Makes an instance and lets it handle the request. What it asked for comes back.
    async fn call(
        &self,
        registry: &Rc<Registry>,
        request: Request<Bytes>,
        secure: bool,
        head: oneshot::Sender<Head>,
        failed: &AtomicBool,
    ) -> Result<Commands, GuestError> {
        let Self {
            linked,
            limits,
            log,
            ..
        } = self;
        plant("incoming");
        let mut store = store(linked, limits, Rc::clone(registry), log);
        store.data_mut().calls.of_request = true;
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
        let result = bounded(&registry.pulse(), limits.blocking_timeout, handled).await;
        let result = result.map_err(|error| {
            // Before the store is dropped, which ends the body: what was sent of it is not all of it.
            failed.store(true, Ordering::Relaxed);
            explain(&mut store, error)
        });
        result.map(|()| store.data_mut().calls.commands.take())
    }
}

fn body_of(bytes: Bytes) -> WasiBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// The body of a response, which fails when its instance did: without that, a body that was cut short would look whole.
struct Whole {
    inner: HyperOutgoingBody,
    failed: Arc<AtomicBool>,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(None) if self.failed.load(Ordering::Relaxed) => {
                Poll::Ready(Some(Err(std::io::Error::other("the handler failed"))))
            }
            Poll::Ready(frame) => {
                Poll::Ready(frame.map(|frame| frame.map_err(std::io::Error::other)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Outbound HTTP is not granted: every request is denied.
pub(super) struct NothingGranted;

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for NothingGranted {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }
}
