//! Metrics and health over HTTP, for monitoring that has no access to the admin socket.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::server::{Control, Phase};
use wsrun_metrics::seldom::Seldom;

/// The most clients at a time; one more waits. They are fewer than the descriptors that connections
/// leave to the operator.
const CLIENTS_MAX: usize = 16;

/// The time limit for the head of a request, and the time limit for a whole connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// The most clients that wait to be accepted.
const BACKLOG: i32 = 128;

/// Listens at the address. Only a server that takes over can bind it too.
pub(in crate::cli) fn bind(address: SocketAddr) -> io::Result<StdTcpListener> {
    // SO_REUSEPORT would let a second server in unnoticed. This socket, without it, shows whether
    // the address is taken.
    let address = StdTcpListener::bind(address)?.local_addr()?;
    listen(shared(address)?)
}

/// Binds the address together with a server of the same user that listens there.
fn shared(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<StdTcpListener> {
    socket.set_nonblocking(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// An address at which this server listens once the previous server has stopped listening there.
#[derive(Debug)]
pub(in crate::cli) struct Later {
    address: SocketAddr,
    /// None when the previous server does not share the address.
    bound: Option<Socket>,
}

impl Later {
    /// Binds the address while the process still has the privilege. A socket that is bound but does
    /// not listen gets no connection.
    pub(in crate::cli) fn bind(address: SocketAddr) -> io::Result<Self> {
        let bound = match shared(address) {
            Ok(socket) => Some(socket),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
            Err(error) => return Err(error),
        };
        Ok(Self { address, bound })
    }

    pub(in crate::cli) fn listen(self) -> io::Result<StdTcpListener> {
        match self.bound {
            Some(socket) => listen(socket),
            None => bind(self.address),
        }
    }
}

/// Answers requests until the process ends, or until another process takes over and listens here
/// itself.
pub(in crate::cli) async fn serve(listener: StdTcpListener, control: Control) -> io::Result<()> {
    static FAILED: Seldom = Seldom::new();
    let listener = TcpListener::from_std(listener)?;
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    loop {
        let permit = Arc::clone(&clients).acquire_owned().await;
        // Both branches are cancel-safe: an accept that was not finished has taken nothing.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = control.retired() => return Ok(()),
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if let Some(left_out) = FAILED.take() {
                    tracing::warn!(
                        left_out,
                        "cannot accept at the --metrics address, trying again: {error}"
                    );
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let control = control.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(move |request| {
                let response = answer(&request, &control);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
        });
    }
}

fn answer(request: &Request<Incoming>, control: &Control) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let mut response = Response::new(Full::from(control.metrics()));
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" => match control.phase() {
            Phase::Serving => text(StatusCode::OK, "ready\n"),
            Phase::Retiring => text(StatusCode::SERVICE_UNAVAILABLE, "retiring\n"),
            Phase::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "404 not found: there are /metrics, /live and /ready\n",
        ),
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
