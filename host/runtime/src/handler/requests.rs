//! Plain requests that are answered by an instance of their own, beside the one that has the sockets.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Handler;
use crate::imports::Imports;
use crate::reservations::ReservedEffects;
use wsrun_contract::{Limit, NotServed, ReplySender, RequestHandler, ResponseBody};
use wsrun_metrics::panics::spawn;

/// The callback, as failures name it.
pub(super) const HANDLE: &str = "incoming-handler.handle";

/// The instances that answer the plain requests of one version of a handler on one worker.
pub struct RequestInstances {
    handler: Rc<dyn RequestHandler>,
    /// A permit for each instance that may run at the same time.
    free: Arc<Semaphore>,
    /// The number of requests that wait for a permit.
    waiting: Cell<usize>,
}

impl RequestInstances {
    /// At most `instances_max` instances of `handler` run at the same time. More requests wait.
    #[inline]
    pub fn new(handler: Rc<dyn RequestHandler>, instances_max: usize) -> Rc<Self> {
        Rc::new(Self {
            handler,
            free: Arc::new(Semaphore::new(instances_max)),
            waiting: Cell::default(),
        })
    }

    /// Returns the response once its head is there. Its body follows while the instance writes it.
    /// The request waits at most `patience` for an instance.
    pub(super) async fn answer(
        self: &Rc<Self>,
        handler: &Rc<Handler>,
        request: Request<Bytes>,
        secure: bool,
        patience: Duration,
    ) -> Result<Response<ResponseBody>, NotServed> {
        if handler.registry.backed_off().is_some() {
            return Err(NotServed::Failed);
        }
        if self.free.available_permits() == 0 {
            handler.registry.note_limit(Limit::HttpInstances);
        }
        let begin = async {
            let waiting = Waiting::begin(self);
            let permit = Arc::clone(&self.free).acquire_owned().await;
            drop(waiting);
            while let Some(until) = handler.registry.usage().rest_until() {
                handler.registry.note_limit(Limit::CpuShare);
                tokio::time::sleep_until(until.into()).await;
            }
            permit
        };
        let Ok(Ok(permit)) = tokio::time::timeout(patience, begin).await else {
            return Err(NotServed::Busy);
        };
        let (sender, response) = oneshot::channel();
        let reply: ReplySender = Box::new(move |response| {
            let _ = sender.send(response);
        });
        let failed = Rc::new(Cell::new(false));
        let (given_up, verdict) = oneshot::channel();
        // The instance goes on when the client is gone, as any callback does. The time that it may
        // block ends it.
        let running = Rc::clone(self).run(
            Rc::clone(handler),
            (request, secure, reply),
            Failure {
                failed: Rc::clone(&failed),
                given_up,
            },
            permit,
        );
        spawn(&handler.registry.worker().tally, "incoming", running);
        let response = response.await;
        if failed.get() {
            // Nothing of the response was sent yet, and so nothing of it is.
            let is_given_up = handler.has_trial() && verdict.await.unwrap_or(false);
            return Err(match is_given_up {
                true => NotServed::GivenUp,
                false => NotServed::Failed,
            });
        }
        response.unwrap_or(Err(NotServed::Failed))
    }

    /// Runs one instance to its end, and applies what it asked for.
    async fn run(
        self: Rc<Self>,
        handler: Rc<Handler>,
        (request, secure, reply): (Request<Bytes>, bool, ReplySender),
        Failure { failed, given_up }: Failure,
        permit: OwnedSemaphorePermit,
    ) {
        let imports = Imports::new(Rc::clone(&handler.registry));
        let reserved = Rc::clone(imports.reserved());
        reserved.set_beside(true);
        let instance = Rc::clone(&self.handler);
        let call = instance.handle(Rc::new(imports), request, secure, reply);
        match handler.registry.usage().beside(call).await {
            Ok(effects) => {
                let reserved = reserved.take();
                let asked = ReservedEffects { effects, reserved };
                handler.apply_of_request(asked).await;
            }
            // Nothing was counted on any connection, so its effects are just dropped.
            Err(error) => {
                failed.set(true);
                handler
                    .registry
                    .metrics()
                    .report_failure(HANDLE, None, &error);
                let counted = handler.note_request_failed(self, error).await;
                let _ = given_up.send(counted);
            }
        }
        // What it asked for may have to wait for other workers, and is held meanwhile.
        drop(permit);
    }
}

/// The failure of an instance, for whoever waits for its response.
struct Failure {
    failed: Rc<Cell<bool>>,
    /// True when the failure ended the trial of its version.
    given_up: oneshot::Sender<bool>,
}

/// Counts a request as one that waits for an instance, until it is dropped.
struct Waiting<'a>(&'a RequestInstances);

impl<'a> Waiting<'a> {
    fn begin(instances: &'a RequestInstances) -> Self {
        let waiting = Self(instances);
        waiting.set(instances.waiting.get() + 1);
        waiting
    }

    fn set(&self, count: usize) {
        self.0.waiting.set(count);
        self.0.handler.set_waiting(count);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.set(self.0.waiting.get() - 1);
    }
}
