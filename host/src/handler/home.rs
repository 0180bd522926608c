//! Scope `shared`: one worker has the instance, the handler's home. The others accept, do TLS and HTTP, ask there what the handler is to
//! decide, and hand connections over.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::{DecisionFailed, Handler, SessionRoom};
use crate::connection::{HttpBody, Moving, adopt};
use crate::contract::{
    Acceptance, Capabilities, HttpRequest, HttpResponse, Limit, NotServed, Refusal, Request,
};
use crate::panics::{plant, spawn};

/// What other workers have for the home of a handler.
pub(crate) enum AtHome {
    Knock {
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
        request: Box<hyper::Request<Bytes>>,
        secure: bool,
        reply: oneshot::Sender<Result<hyper::Response<HttpBody>, NotServed>>,
    },
    /// A connection whose opening handshake is done.
    Adopt(Box<Moving>),
}

/// What a handshake is accepted with.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) acceptance: Acceptance,
    /// Of its session data, until the connection has it: handshakes that are under way count as well.
    pub(crate) session_room: SessionRoom,
}

/// Why a handshake is refused.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// The handler failed too often and is left alone for so long.
    BackedOff(Duration),
    /// Its callback decided so.
    Refused(Refusal),
    /// Its callback failed.
    Failed,
    /// It keeps as much session data as it may.
    SessionFull,
}

/// The way from another worker to the home of a handler.
#[derive(Clone)]
pub(crate) struct Way {
    sender: mpsc::Sender<AtHome>,
    /// Of the version that serves.
    exports: watch::Receiver<Capabilities>,
}

/// The end of all ways, at the home.
pub(crate) struct Door {
    receiver: mpsc::Receiver<AtHome>,
    exports: watch::Sender<Capabilities>,
}

/// What waits at a door; more wait with their connections.
const WAITING_MAX: usize = 256;

/// A door, and the way to it.
pub(crate) fn door(exports: Capabilities) -> (Door, Way) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let (publisher, exports) = watch::channel(exports);
    let door = Door {
        receiver,
        exports: publisher,
    };
    (door, Way { sender, exports })
}

impl Way {
    pub(super) fn exports(&self) -> Capabilities {
        *self.exports.borrow()
    }

    /// Asks, and waits for the answer; none when the home has ended.
    async fn ask<R>(&self, question: impl FnOnce(oneshot::Sender<R>) -> AtHome) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(question(reply)).await.ok()?;
        answer.await.ok()
    }

    pub(super) async fn knock(&self, request: &Request) -> Result<Admitted, NotAdmitted> {
        let request = Box::new(request.clone());
        self.ask(|reply| AtHome::Knock { request, reply })
            .await
            .unwrap_or(Err(NotAdmitted::Failed))
    }

    pub(super) async fn accepts(&self, peer: String, local: String) -> bool {
        let asked = self.ask(|reply| AtHome::Accepts { peer, local, reply });
        asked.await.unwrap_or(false)
    }

    pub(super) async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, NotServed> {
        let request = Box::new(request);
        self.ask(|reply| AtHome::Http { request, reply })
            .await
            .unwrap_or(Err(NotServed::Failed))
    }

    pub(super) async fn incoming(
        &self,
        request: hyper::Request<Bytes>,
        secure: bool,
    ) -> Result<hyper::Response<HttpBody>, NotServed> {
        let request = Box::new(request);
        let asked = self.ask(|reply| AtHome::Incoming {
            request,
            secure,
            reply,
        });
        asked.await.unwrap_or(Err(NotServed::Failed))
    }

    /// Hands a connection over; one that cannot be is cut.
    pub(crate) async fn hand_over(&self, moving: Moving) {
        let _ = self.sender.send(AtHome::Adopt(Box::new(moving))).await;
    }
}

impl Handler {
    /// Whether the handler takes a connection, and how: its callback decides where it has one.
    pub(crate) async fn knock(&self, request: &Rc<Request>) -> Result<Admitted, NotAdmitted> {
        if let Some(way) = &self.way {
            return way.knock(request).await;
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

    /// The way to the instance, where another worker has it.
    pub(crate) fn way(&self) -> Option<&Way> {
        self.way.as_ref()
    }

    /// Attends to what comes from other workers, each on its own: one that waits holds nobody up.
    pub(crate) fn open_door(self: &Rc<Self>, door: Door) {
        let Door {
            mut receiver,
            exports,
        } = door;
        *self.tell_exports.borrow_mut() = Some(exports);
        let handler = Rc::clone(self);
        tokio::task::spawn_local(async move {
            while let Some(visit) = receiver.recv().await {
                let attending = Rc::clone(&handler).attend(visit);
                spawn(&handler.worker.tally, "door", attending);
            }
        });
    }

    async fn attend(self: Rc<Self>, visit: AtHome) {
        plant("door");
        match visit {
            AtHome::Knock { request, reply } => {
                let _ = reply.send(self.knock(&Rc::new(*request)).await);
            }
            AtHome::Accepts { peer, local, reply } => {
                let _ = reply.send(self.accepts(peer, local).await);
            }
            AtHome::Http { request, reply } => {
                let _ = reply.send(self.answer(*request).await);
            }
            AtHome::Incoming {
                request,
                secure,
                reply,
            } => {
                let _ = reply.send(self.answer_by_wasi(*request, secure).await);
            }
            AtHome::Adopt(moving) => adopt(&self.worker, &self, *moving),
        }
    }
}
