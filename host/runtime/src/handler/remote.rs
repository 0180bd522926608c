//! Scope `shared`: one worker has the instance of a handler. The others accept, do TLS and HTTP, ask
//! that worker what the handler is to decide, and hand connections over to it.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::{DecisionFailed, Handler};
use crate::usage::SessionRoom;
use wsrun_contract::{
    Acceptance, Capabilities, HttpRequest, HttpResponse, Limit, NotServed, Refusal, Request,
    ResponseBody,
};
use wsrun_metrics::panics::{plant, spawn};

/// A connection on its way to the worker that has the instance: called there, it attaches the
/// connection to the handler.
pub type HandOff = Box<dyn FnOnce(&Rc<Handler>) + Send>;

/// A request of another worker to the one that has the instance.
pub(super) enum RemoteRequest {
    Admit {
        request: Box<Request>,
        reply: oneshot::Sender<Result<Admitted, NotAdmitted>>,
    },
    Accepts {
        peer: String,
        local: String,
        reply: oneshot::Sender<bool>,
    },
    Http {
        request: Box<HttpRequest>,
        reply: oneshot::Sender<Result<HttpResponse, NotServed>>,
    },
    Incoming {
        request: Box<http::Request<Bytes>>,
        secure: bool,
        reply: oneshot::Sender<Result<http::Response<ResponseBody>, NotServed>>,
    },
    /// A connection whose opening handshake is done.
    HandOff(HandOff),
}

/// What a handshake is accepted with.
#[derive(Debug)]
pub struct Admitted {
    pub acceptance: Acceptance,
    /// Of its session data, until the connection has it: handshakes that are under way count as well.
    pub session_room: SessionRoom,
}

/// Why a handshake is refused.
#[derive(Debug)]
pub enum NotAdmitted {
    /// The handler failed too often and is left alone for so long.
    BackedOff(Duration),
    /// Its callback decided so.
    Refused(Refusal),
    /// Its callback failed.
    Failed,
    /// It keeps as much session data as it may.
    SessionFull,
}

/// A handler whose instance another worker has, as the other workers see it.
#[derive(Clone)]
pub struct RemoteHandler {
    sender: mpsc::Sender<RemoteRequest>,
    /// The optional callbacks of the version that serves.
    exports: watch::Receiver<Capabilities>,
}

/// Receives the requests of other workers.
pub struct RemoteRequests {
    receiver: mpsc::Receiver<RemoteRequest>,
    exports: watch::Sender<Capabilities>,
}

/// Capacity of the channel. When it is full, senders wait.
const WAITING_MAX: usize = 256;

/// Returns the two ends of the channel to the worker that has the instance.
pub fn remote_channel(exports: Capabilities) -> (RemoteRequests, RemoteHandler) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let (publisher, exports) = watch::channel(exports);
    let requests = RemoteRequests {
        receiver,
        exports: publisher,
    };
    (requests, RemoteHandler { sender, exports })
}

impl RemoteHandler {
    #[inline]
    pub(super) fn exports(&self) -> Capabilities {
        *self.exports.borrow()
    }

    /// Asks, and waits for the answer. Returns none when the worker with the instance has ended.
    async fn ask<R>(
        &self,
        question: impl FnOnce(oneshot::Sender<R>) -> RemoteRequest,
    ) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(question(reply)).await.ok()?;
        answer.await.ok()
    }

    pub(super) async fn admit(&self, request: &Request) -> Result<Admitted, NotAdmitted> {
        let request = Box::new(request.clone());
        self.ask(|reply| RemoteRequest::Admit { request, reply })
            .await
            .unwrap_or(Err(NotAdmitted::Failed))
    }

    pub(super) async fn accepts(&self, peer: String, local: String) -> bool {
        let asked = self.ask(|reply| RemoteRequest::Accepts { peer, local, reply });
        asked.await.unwrap_or(false)
    }

    pub(super) async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, NotServed> {
        let request = Box::new(request);
        self.ask(|reply| RemoteRequest::Http { request, reply })
            .await
            .unwrap_or(Err(NotServed::Failed))
    }

    pub(super) async fn incoming(
        &self,
        request: http::Request<Bytes>,
        secure: bool,
    ) -> Result<http::Response<ResponseBody>, NotServed> {
        let request = Box::new(request);
        let asked = self.ask(|reply| RemoteRequest::Incoming {
            request,
            secure,
            reply,
        });
        asked.await.unwrap_or(Err(NotServed::Failed))
    }

    /// Hands a connection over. It is cut when the worker with the instance has ended.
    pub async fn hand_over(&self, hand_off: HandOff) {
        let _ = self.sender.send(RemoteRequest::HandOff(hand_off)).await;
    }
}

impl Handler {
    /// Decides whether the handler takes a connection, and how: its callback decides where it has one.
    pub async fn admit(&self, request: &Rc<Request>) -> Result<Admitted, NotAdmitted> {
        if let Some(remote) = &self.remote {
            return remote.admit(request).await;
        }
        if let Some(left) = self.registry.backed_off() {
            return Err(NotAdmitted::BackedOff(left));
        }
        let acceptance = if self.exports().handshake {
            match self.decide(Rc::clone(request)).await {
                Ok(Ok(acceptance)) => acceptance,
                Ok(Err(refusal)) => return Err(NotAdmitted::Refused(refusal)),
                Err(DecisionFailed) => return Err(NotAdmitted::Failed),
            }
        } else {
            Acceptance::default()
        };
        let promised = self
            .registry
            .usage()
            .promise_session(acceptance.session.len());
        let Some(session_room) = promised else {
            self.registry.note_limit(Limit::HandlerSession);
            return Err(NotAdmitted::SessionFull);
        };
        Ok(Admitted {
            acceptance,
            session_room,
        })
    }

    /// Returns the handler as another worker has it, if one does.
    #[inline]
    pub fn remote_handler(&self) -> Option<&RemoteHandler> {
        self.remote.as_ref()
    }

    /// Serves the requests of other workers, each in a task of its own: one that waits holds nobody
    /// up.
    pub fn serve_remote(self: &Rc<Self>, requests: RemoteRequests) {
        let RemoteRequests {
            mut receiver,
            exports,
        } = requests;
        *self.tell_exports.borrow_mut() = Some(exports);
        let handler = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Some(request) = receiver.recv().await {
                let serving = Rc::clone(&handler).serve_remote_request(request);
                spawn(&handler.worker.tally, "door", serving);
            }
        });
    }

    async fn serve_remote_request(self: Rc<Self>, request: RemoteRequest) {
        plant("door");
        match request {
            RemoteRequest::Admit { request, reply } => {
                let _ = reply.send(self.admit(&Rc::new(*request)).await);
            }
            RemoteRequest::Accepts { peer, local, reply } => {
                let _ = reply.send(self.accepts(peer, local).await);
            }
            RemoteRequest::Http { request, reply } => {
                let _ = reply.send(self.answer(*request).await);
            }
            RemoteRequest::Incoming {
                request,
                secure,
                reply,
            } => {
                let _ = reply.send(self.answer_by_wasi(*request, secure).await);
            }
            RemoteRequest::HandOff(accept) => accept(&self),
        }
    }
}
