//! One attempt: transport, TLS and opening handshake, each with its time limit.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixSocket, UnixStream};
use tokio_rustls::TlsConnector;
use wsrun_proto::http::connect::{Connect, ConnectError as CoreError, Established};
use wsrun_proto::ws::deflate::Agreed;

use super::target::{Place, Target};
use super::{Outbound, Prepared, tls};
use crate::descriptors;
use crate::stream::{Socket, Stream, set_options};
use wsrun_contract::{ConnectOptions, Failure, Phase, Request, ResponseHead, Role};
use wsrun_os::clock::timeout;
use wsrun_os::random::random;

/// The most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 16;

/// The time after which the next address is tried in parallel. RFC 8305, 5: "A recommended value
/// for a default delay is 250 milliseconds."
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The most addresses that are tried at the same time, since each takes a socket.
const ATTEMPTS_MAX: usize = 8;

/// Bytes that are read of a response at a time.
const READ_BYTES: usize = 4 * 1024;

/// A connection whose opening handshake has succeeded.
#[derive(Debug)]
pub struct Opened {
    pub stream: Stream,
    /// The bytes that the server sent after its response.
    pub early: Vec<u8>,
    pub protocol: Option<String>,
    pub deflate: Option<Agreed>,
    /// The opening request as it was sent.
    pub request: Request,
    pub response: ResponseHead,
}

/// An attempt that failed.
#[derive(Debug)]
pub struct Failed {
    pub failure: Failure,
    /// The response, if the server has answered.
    pub response: Option<ResponseHead>,
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            response: None,
        }
    }
}

/// Connects. Fails as denied where [`Outbound::check`] would fail. Dropping the future gives the
/// attempt up.
pub async fn open(outbound: &Outbound, options: &ConnectOptions) -> Result<Opened, Failed> {
    let Prepared {
        target,
        mut connect,
        timeout: limit,
    } = outbound
        .prepare(options, random())
        .map_err(|error| Failure::Denied(error.to_string()))?;
    let transport = transport(outbound, &target);
    let (socket, peer, local) = within(limit, Phase::Connect, transport).await?;
    let mut stream = match target.server_name.clone() {
        None => Stream::Plain(socket),
        Some(name) => {
            let securing = start_tls(outbound, options, name, socket);
            within(limit, Phase::Tls, securing).await?
        }
    };
    let shaken = within(
        limit,
        Phase::Handshake,
        handshake(&mut stream, &mut connect),
    )
    .await;
    let response = connect.response().map(|response| ResponseHead {
        status: response.status,
        headers: response
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
            .collect(),
    });
    let (established, early) = match shaken {
        Ok(shaken) => shaken,
        Err(failure) => return Err(Failed { failure, response }),
    };
    let request = Request {
        role: Role::Client,
        headers: connect
            .request_headers()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
            .collect(),
        offered: options.protocols.clone(),
        peer,
        local,
        secure: target.server_name.is_some(),
        host: Some(options.host.clone().unwrap_or(target.host)),
        path: target.path,
        query: target.query,
    };
    Ok(Opened {
        stream,
        early,
        protocol: established.protocol,
        deflate: established.deflate,
        request,
        response: response.unwrap_or_default(),
    })
}

async fn within<T>(
    limit: Duration,
    phase: Phase,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::TimedOut(phase)),
    }
}

/// Makes the transport. Returns the socket, the peer's address and this side's.
async fn transport(
    outbound: &Outbound,
    target: &Target,
) -> Result<(Socket, String, String), Failure> {
    match &target.place {
        Place::Unix(path) => {
            let connected = connect_unix(path).await;
            let path = path.display().to_string();
            let stream =
                connected.map_err(|error| Failure::Unreachable(format!("{path}: {error}")))?;
            Ok((Socket::Unix(stream), "unix".to_owned(), path))
        }
        Place::Tcp(host, port) => {
            let stream = connect_first(addresses(outbound, host, *port).await?).await?;
            set_options(&stream);
            let text = |address: io::Result<SocketAddr>| {
                address.map_or_else(|_| String::new(), |address| address.to_string())
            };
            let (peer, local) = (text(stream.peer_addr()), text(stream.local_addr()));
            Ok((Socket::Tcp(stream), peer, local))
        }
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket?;
    descriptors::check(&socket)?;
    socket.connect(address).await
}

async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let socket = UnixSocket::new_stream()?;
    descriptors::check(&socket)?;
    socket.connect(path).await
}

/// Returns the addresses of a host that may be connected to, at least one, in the order in which
/// they are tried.
pub(super) async fn addresses(
    outbound: &Outbound,
    host: &str,
    port: u16,
) -> Result<Vec<SocketAddr>, Failure> {
    let found = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => look_up(outbound, host, port)
            .await
            .map_err(|error| Failure::Unreachable(format!("cannot look up {host}: {error}")))?,
    };
    let mut allowed = Vec::new();
    let mut denied = None;
    for mut address in found {
        // Everything but the port stays as it was found: a link-local address contains its link.
        address.set_port(port);
        match outbound.access.check_address(host, address.ip(), port) {
            Ok(()) => allowed.push(address),
            Err(error) => {
                denied.get_or_insert_with(|| Failure::Denied(error.to_string()));
            }
        }
    }
    let mut allowed = interleaved(allowed);
    allowed.truncate(ADDRESSES_MAX);
    if allowed.is_empty() {
        return Err(
            denied.unwrap_or_else(|| Failure::Unreachable(format!("{host} has no address")))
        );
    }
    Ok(allowed)
}

/// Looks up the addresses of a name, once fewer than the allowed number of lookups are running.
async fn look_up(outbound: &Outbound, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let permit = Arc::clone(&outbound.lookups).acquire_owned().await;
    let permit = permit.map_err(io::Error::other)?;
    (outbound.resolve)(name.to_owned(), port, permit).await
}

/// Alternates between the address families, beginning with that of the first address (RFC 8305, 4).
/// A family without a route then costs one delay, however many addresses it has.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::with_capacity(first.len() + second.len());
    while first.len() + second.len() > 0 {
        all.extend(first.next());
        all.extend(second.next());
    }
    all
}

type Attempt = Pin<Box<dyn Future<Output = Result<TcpStream, Failure>>>>;

/// Tries addresses in their order, and returns the first connection (RFC 8305, 5). The next address
/// is tried when one has failed, or has not answered for [`ATTEMPT_DELAY`]. A dead address costs
/// that delay.
async fn connect_first(addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
    let mut untried = addresses.into_iter();
    let mut running: Vec<Attempt> = Vec::new();
    let mut failure = Failure::TimedOut(Phase::Connect);
    loop {
        if let Some(address) = untried.next() {
            if running.len() == ATTEMPTS_MAX {
                // The oldest attempt, which has had the most time.
                drop(running.remove(0));
            }
            running.push(Box::pin(async move {
                let connected = connect_tcp(address).await;
                connected.map_err(|error| Failure::Unreachable(format!("{address}: {error}")))
            }));
        } else if running.is_empty() {
            return Err(failure);
        }
        let ended = if untried.len() > 0 {
            timeout(ATTEMPT_DELAY, first_finished(&mut running))
                .await
                .ok()
        } else {
            Some(first_finished(&mut running).await)
        };
        match ended {
            None => {}
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = error,
        }
    }
}

/// Waits for the attempt that ends first, and returns its result. The others continue.
async fn first_finished(running: &mut Vec<Attempt>) -> Result<TcpStream, Failure> {
    poll_fn(|cx| {
        for position in 0..running.len() {
            if let Poll::Ready(outcome) = running[position].as_mut().poll(cx) {
                drop(running.remove(position));
                return Poll::Ready(outcome);
            }
        }
        Poll::Pending
    })
    .await
}

async fn start_tls(
    outbound: &Outbound,
    options: &ConnectOptions,
    name: ServerName<'static>,
    socket: Socket,
) -> Result<Stream, Failure> {
    let config = match outbound
        .tls
        .made(options.verify, options.identity.as_deref())
    {
        Some(config) => config,
        None => {
            // The roots of the platform are many files.
            let tls = Arc::clone(&outbound.tls);
            let (verify, identity) = (options.verify, options.identity.clone());
            let making = tokio::task::spawn_blocking(move || tls.make(verify, identity));
            let made = making
                .await
                .map_err(|error| Failure::Tls(error.to_string()))?;
            made.map_err(|error| Failure::Tls(tls::describe(&error)))?
        }
    };
    match TlsConnector::from(config).connect(name, socket).await {
        Ok(stream) => Ok(Stream::ClientTls(Box::new(stream))),
        Err(error) => Err(transport_failure(&error)),
    }
}

async fn handshake(
    stream: &mut Stream,
    connect: &mut Connect,
) -> Result<(Established, Vec<u8>), Failure> {
    let sending = async {
        stream.write_all(connect.request_bytes()).await?;
        stream.flush().await
    };
    // A server that stops reading may have answered first. Reading shows that, and shows also
    // whether the transport is gone.
    let _ = sending.await;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = stream.read(&mut buffer).await;
        let length = length.map_err(|error| transport_failure(&error))?;
        if length == 0 {
            return Err(Failure::Ended);
        }
        if let Some(established) = connect.handle_input(&buffer[..length]).map_err(failure)? {
            let early = buffer[established.consumed..length].to_vec();
            return Ok((established, early));
        }
    }
}

/// Returns the failure of a transport error: the reason of TLS if there is one, else that the peer
/// ended it.
fn transport_failure(error: &io::Error) -> Failure {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    tls.map_or(Failure::Ended, |error| Failure::Tls(tls::describe(error)))
}

fn failure(error: CoreError) -> Failure {
    match error {
        CoreError::InvalidResponse(error) => Failure::InvalidResponse(error.to_string()),
        CoreError::Refused { status } => Failure::Refused(status),
        CoreError::Redirected { location, .. } => Failure::Redirected(location),
        CoreError::NotUpgraded => Failure::NotUpgraded,
        CoreError::AcceptMissing => Failure::AcceptMissing,
        CoreError::AcceptWrong => Failure::AcceptWrong,
        CoreError::ProtocolNotOffered => Failure::ProtocolNotOffered,
        CoreError::Extension(error) => Failure::ExtensionNotOffered(error.to_string()),
        // The first two are found before anything is sent.
        error @ (CoreError::InvalidOption(_) | CoreError::RequestTooLarge { .. } | _) => {
            Failure::InvalidResponse(error.to_string())
        }
    }
}
