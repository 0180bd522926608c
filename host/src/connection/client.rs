//! A connection of the client role: made, driven, and made again where that was asked for.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use wsrun_proto::ws::{self, Role};

use super::drive::drive;
use super::ws_config::ws_config;
use wsrun_contract::effects::Connect;
use wsrun_contract::{CloseInfo, ClosedBy, ConnectOptions, Failure, Reconnect, Request};
use wsrun_metrics::panics::{contained, plant};
use wsrun_net::outbound::{self, Failed, Opened, Outbound};
use wsrun_os::clock;
use wsrun_os::transport::Unconnected;
use wsrun_runtime::admission::Held;
use wsrun_runtime::handler::{AskedBy, Connector, Handler};
use wsrun_runtime::session::{Opening, Session};
use wsrun_runtime::worker::Worker;

/// Makes connections of the client role.
pub(crate) struct OutboundConnector {
    /// For handlers, which need a grant.
    granted: Arc<Outbound>,
    /// For the program that runs the host.
    trusted: Arc<Outbound>,
}

impl OutboundConnector {
    pub(crate) fn new(granted: Arc<Outbound>, trusted: Arc<Outbound>) -> Self {
        Self { granted, trusted }
    }
}

impl Connector for OutboundConnector {
    fn connect(&self, handler: &Rc<Handler>, connect: &Connect, asked_by: AskedBy) {
        let (outbound, ended) = match asked_by {
            AskedBy::Handler => (&self.granted, None),
            AskedBy::Host(ended) => (&self.trusted, Some(ended)),
        };
        begin(handler, connect, Arc::clone(outbound), ended);
    }
}

/// Begins to make a connection. `ended` is notified of the end beside the handler.
fn begin(
    handler: &Rc<Handler>,
    connect: &Connect,
    outbound: Arc<Outbound>,
    ended: Option<oneshot::Sender<CloseInfo>>,
) {
    let worker = handler.worker();
    let Connect {
        connection,
        options,
    } = connect;
    let mut options = options.clone();
    let data = std::mem::take(&mut options.session);
    let session = Rc::new(Session::new(
        *connection,
        &Request::default(),
        None,
        Rc::clone(worker),
        data,
        // Replaced when there is a transport.
        ws::Connection::new(clock::now(), Role::Client, ws::Config::default()),
        Box::new(Unconnected),
        Held::Outbound(handler.registry.count_outbound()),
    ));
    session.begin_opening();
    if let Some(ended) = ended {
        session.when_ended(ended);
    }
    handler.own(session.id);
    handler.registry.insert(Rc::clone(&session));
    let client = Client {
        session,
        handler: Rc::clone(handler),
        worker: Rc::clone(worker),
        options,
        outbound,
        was_open: false,
        failed_attempts: 0,
        waited: Duration::ZERO,
    };
    // It ends by its own timeouts, when the handler closes it, and with the worker's runtime.
    let (handler, worker) = (Rc::clone(handler), Rc::clone(worker));
    tokio::task::spawn_local(async move {
        let session = Rc::clone(&client.session);
        if let Err(panicked) = contained(client.run()).await {
            panicked.report(&worker.tally, handler.registry.name(), "client");
            if !session.end_queued.get() {
                give_up(
                    &handler,
                    &session,
                    abnormal(ClosedBy::Host, "the host failed"),
                );
            }
        }
    });
}

struct Client {
    session: Rc<Session>,
    handler: Rc<Handler>,
    worker: Rc<Worker>,
    options: ConnectOptions,
    outbound: Arc<Outbound>,
    was_open: bool,
    /// In a row, since it was last open for longer than it was waited for.
    failed_attempts: u32,
    waited: Duration,
}

/// How one life of the connection ended.
enum Ended {
    /// The handler was told.
    Told,
    /// The handler is to be told, or the connection to be made again.
    Untold { info: CloseInfo, may_retry: bool },
}

impl Client {
    async fn run(mut self) {
        plant("client");
        loop {
            let (info, may_retry) = match self.live_once().await {
                Ended::Told => return,
                Ended::Untold { info, may_retry } => (info, may_retry),
            };
            let reconnect = self.options.reconnect.filter(|_| may_retry);
            let Some(delay) = reconnect.and_then(|reconnect| self.next_delay(&reconnect)) else {
                self.give_up(info);
                return;
            };
            self.failed_attempts += 1;
            self.waited = delay;
            tracing::debug!(
                handler = %self.handler.registry.name(), connection = self.session.id, attempt = self.failed_attempts,
                ?delay, "connecting again: {}", info.reason
            );
            if self.handler.exports().reconnection {
                let attempt = self.failed_attempts;
                self.handler.push(|queue| {
                    queue.push_lost(Rc::clone(&self.session), info.clone(), attempt, delay);
                });
                self.worker.flush();
            }
            let waited = self.unless_ended(tokio::time::sleep(delay)).await;
            if let Err(info) = waited {
                self.give_up(info);
                return;
            }
        }
    }

    /// Makes the connection and drives it to its end.
    async fn live_once(&mut self) -> Ended {
        let opening = outbound::open(&self.outbound, &self.options);
        let opened = match self.unless_ended(opening).await {
            Ok(opened) => opened,
            Err(info) => {
                let may_retry = false;
                return Ended::Untold { info, may_retry };
            }
        };
        match opened {
            Ok(opened) => self.drive(opened).await,
            Err(failed) => self.failed(failed),
        }
    }

    fn failed(&self, failed: Failed) -> Ended {
        let Failed { failure, response } = failed;
        let may_retry = outbound::retries_failure(&failure);
        let by = match failure {
            Failure::Denied(_) | Failure::TimedOut(_) => ClosedBy::Host,
            Failure::Unreachable(_)
            | Failure::Tls(_)
            | Failure::Ended
            | Failure::Refused(_)
            | Failure::Redirected(_)
            | Failure::InvalidResponse(_)
            | Failure::NotUpgraded
            | Failure::AcceptMissing
            | Failure::AcceptWrong
            | Failure::ProtocolNotOffered
            | Failure::ExtensionNotOffered(_) => ClosedBy::Peer,
        };
        let info = abnormal(by, &failure.to_string());
        self.session.opening_failed(Opening {
            failure: Some(failure),
            response,
        });
        Ended::Untold { info, may_retry }
    }

    async fn drive(&mut self, opened: Opened) -> Ended {
        let Opened {
            stream,
            early,
            protocol,
            deflate,
            request,
            response,
        } = opened;
        let config = ws_config(&self.worker, &self.handler, deflate);
        let connection = ws::Connection::new(clock::now(), Role::Client, config);
        let session = &self.session;
        session.establish(&request, protocol, connection, Box::new(stream), response);
        session.reconnects.set(self.options.reconnect.is_some());
        let opened = clock::now();
        tracing::debug!(
            handler = %self.handler.registry.name(), connection = session.id, peer = %session.request().peer,
            "connection opened to the peer"
        );
        if !self.was_open {
            self.handler
                .push(|queue| queue.push_opened(Rc::clone(session)));
        } else if self.handler.exports().reconnection {
            self.handler
                .push(|queue| queue.push_restored(Rc::clone(session)));
        }
        self.was_open = true;
        self.worker.flush();
        drive(
            Rc::clone(session),
            Rc::clone(&self.handler),
            Rc::clone(&self.worker),
            early,
        )
        .await;
        let Some((info, lost)) = session.take_lost() else {
            return Ended::Told;
        };
        session.release_transport();
        if let Some(by) = session.ended_while_opening() {
            // While its transport ended.
            let info = abnormal(by, "closed while it was being opened");
            return Ended::Untold {
                info,
                may_retry: false,
            };
        }
        // A server that accepts and drops at once is no better than one that does not accept, however long it keeps the transport after its
        // close frame.
        if lost.saturating_duration_since(opened) >= self.waited {
            self.failed_attempts = 0;
        }
        Ended::Untold {
            info,
            may_retry: true,
        }
    }

    /// The wait before the next attempt, if there is to be one.
    fn next_delay(&self, reconnect: &Reconnect) -> Option<Duration> {
        let max = reconnect.attempts_max;
        if max > 0 && self.failed_attempts >= max {
            return None;
        }
        let random = getrandom::u32().unwrap_or(0);
        Some(outbound::delay(reconnect, self.failed_attempts, random))
    }

    /// Does something unless the handler, or the end of the server, ends the connection first.
    async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Result<T, CloseInfo> {
        let mut shutdown = self.worker.shutdown.clone();
        let ended = poll_fn(|cx| {
            self.session.set_waker(cx.waker());
            match self.session.ended_while_opening() {
                Some(by) => Poll::Ready(by),
                None => Poll::Pending,
            }
        });
        // Dropping the work drops a transport that is not made yet; the others have no state.
        tokio::select! {
            biased;
            by = ended => Err(abnormal(by, "closed while it was being opened")),
            result = work => Ok(result),
            _ = shutdown.wait_for(|shutdown| *shutdown) => Err(abnormal(ClosedBy::Host, "server is shutting down")),
        }
    }

    fn give_up(&self, info: CloseInfo) {
        give_up(&self.handler, &self.session, info);
    }
}

fn give_up(handler: &Handler, session: &Rc<Session>, info: CloseInfo) {
    tracing::debug!(
        handler = %handler.registry.name(), connection = session.id,
        by = ?info.by, "connection not made: {}", info.reason
    );
    handler.registry.leave(session.id);
    handler.push(|queue| queue.push_closed(Rc::clone(session), info));
    session.worker().flush();
}

/// The end of a connection that had no close frame.
fn abnormal(by: ClosedBy, reason: &str) -> CloseInfo {
    CloseInfo {
        code: ws::ABNORMAL_CLOSURE,
        reason: reason.to_owned(),
        by,
        clean: false,
    }
}
