//! A socket from accept to its end, each stage under a deadline.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::sleep;

use super::addresses::Addresses;
use super::front::Front;
use super::hand_off::{detach, note_lost};
use super::http::{Served, serve as serve_http};
use super::upgraded::begin;
use wsrun_contract::{Limit, Setting};
use wsrun_metrics::panics::{contained, plant, spawn};
use wsrun_net::listener::{Accepted, Bound, Listener};
use wsrun_net::stream::{Socket, Stream};
use wsrun_net::tls::Tls;
use wsrun_os::clock::timeout;
use wsrun_runtime::admission::Slot;
use wsrun_runtime::admission::{AddressSlot, Handshake};
use wsrun_runtime::worker::Worker;

/// How long a client that is turned away has to read why.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// How long, and for how much, an HTTP connection that has had its last response is read: RFC 9112, 9.6. A client that writes on meanwhile
/// would be reset otherwise, and might never see the response.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const DISCARD_BYTES_MAX: usize = 4 * 1024 * 1024;
const DISCARD_READ_BYTES: usize = 16 * 1024;
const DISCARD_READ_PAUSE: Duration = Duration::from_millis(5);

/// Clients that are told why at the same time; more are cut off without a word.
const TURNED_AWAY_MAX: usize = 64;

/// After a panic of the accept loop: how long to wait before it goes on. One that panics each time
/// must not take the front.worker.
const ACCEPT_AGAIN: Duration = Duration::from_millis(5);

/// Serves every socket of a listener until the server stops accepting. No error ends that, and no
/// panic.
pub(crate) async fn accept(
    bound: Bound,
    front: Rc<Front>,
    tls: Option<Arc<Tls>>,
) -> std::io::Result<()> {
    let listener = Listener::new(bound)?;
    // Each worker may take one more before it sees that there is no more.
    let margin = u64::from(front.worker.threads);
    let serve_in_task = |accepted: Accepted| {
        plant("accept-loop");
        // TLS is for TCP: who can open the Unix socket is on this machine already.
        let tls = tls
            .clone()
            .filter(|_| matches!(accepted.socket, Socket::Tcp(_)));
        // The task ends by its own deadlines, and with the worker's runtime.
        let handshake = Handshake::begin(&front.shared.handshakes);
        let serving = serve(Rc::clone(&front), handshake, accepted, tls);
        spawn(&front.worker.tally, "serve", serving);
    };
    loop {
        let accepting = listener.accept(margin, is_over(&front), serve_in_task);
        let Err(panicked) = contained(accepting).await else {
            return Ok(());
        };
        panicked.report(&front.worker.tally, "", "accept-loop");
        sleep(ACCEPT_AGAIN).await;
    }
}

/// Waits until the server stops, or another process accepts in its place.
async fn is_over(front: &Front) {
    let mut retiring = front.shared.retiring.clone();
    let mut shutdown = front.worker.shutdown.clone();
    tokio::select! {
        _ = shutdown.wait_for(|shutdown| *shutdown) => {}
        _ = retiring.wait_for(|retiring| *retiring) => {}
    }
}

/// Serves one accepted socket until it is gone. Holds a slot of `--max-connections` meanwhile. Who may not connect from where it does is
/// cut off before anything of it is read.
pub(crate) async fn serve(
    front: Rc<Front>,
    handshake: Handshake,
    accepted: Accepted,
    tls: Option<Arc<Tls>>,
) {
    let Accepted {
        socket,
        peer,
        local,
    } = accepted;
    plant("accept");
    if !is_allowed(&front, &socket) {
        tracing::debug!(%peer, "connection refused: {allow}, {deny}", allow = Setting("connection.network.allow"), deny = Setting("connection.network.deny"));
        return;
    }
    let asked = front
        .handlers()
        .first()
        .filter(|handler| handler.exports().network_filter)
        .cloned();
    front.worker.tally.accepted.add(1);
    let Ok(address) = address_slot(&front, &socket) else {
        front.worker.tally.turned_away.add(1);
        if let Some(handler) = front.handlers().first() {
            handler.registry.note_limit(Limit::AddressConnections);
        }
        tracing::debug!(%peer, "connection turned away: {connections_per_address_max}", connections_per_address_max = Setting("connection.connections_per_address_max"));
        drop(handshake);
        if asked.is_none() {
            Box::pin(turn_away(socket, tls.is_some(), ADDRESS_FULL)).await;
        }
        return;
    };
    let Some(mut slot) = Slot::take(&front.shared.slots, front.shared.settings.connections_max)
    else {
        front.worker.tally.turned_away.add(1);
        tracing::debug!(
            "connection turned away: {connections_max} {} reached",
            front.shared.settings.connections_max,
            connections_max = Setting("connection.connections_max")
        );
        drop(handshake);
        // Whom the handler was not asked about is not spoken to.
        if asked.is_none() {
            Box::pin(turn_away(socket, tls.is_some(), FULL)).await;
        }
        return;
    };
    slot.hold_address(address);
    if let Some(handler) = asked {
        let decision = Box::pin(timeout(
            front.worker.settings.handshake_timeout,
            handler.accepts(peer.clone(), local.clone()),
        ));
        if !matches!(
            until_shutdown(&front.worker, decision).await,
            Some(Ok(true))
        ) {
            tracing::debug!(%peer, handler = %handler.registry.name(), "connection refused: network-filter");
            return;
        }
    }
    let addresses = Addresses {
        peer,
        local,
        secure: tls.is_some(),
    };
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(tls) => {
            let shaken = Box::pin(timeout(
                front.worker.settings.handshake_timeout,
                tls.accept(socket),
            ));
            match until_shutdown(&front.worker, shaken).await {
                Some(Ok(Ok(stream))) => Stream::Tls(Box::new(stream)),
                Some(Ok(Err(error))) => {
                    tracing::debug!(peer = %addresses.peer, "TLS handshake failed: {error}");
                    return;
                }
                Some(Err(_)) => {
                    tracing::debug!(peer = %addresses.peer, "TLS handshake timed out");
                    return;
                }
                None => return,
            }
        }
    };
    // What only a beginning needs is not part of the task, which has its size as long as the connection is open.
    let raw = match Box::pin(serve_http(&front, stream, &addresses)).await {
        Served::Upgraded(raw) => raw,
        Served::Over(stream) => {
            Box::pin(close(stream, Some(handshake), CLOSE_TIMEOUT)).await;
            return;
        }
        Served::Lost => return,
    };
    let handler = Rc::clone(&*raw.upgraded.handler);
    let Some(remote) = handler.remote_handler() else {
        return begin(&front.worker, raw, slot, handshake);
    };
    let mut raw = raw;
    slot.hold_handler(raw.upgraded.slot.take());
    match detach(raw, slot, handshake) {
        Ok(hand_off) => Box::pin(remote.hand_over(hand_off)).await,
        Err(error) => note_lost(&error),
    }
}

/// What the lists say. Unix sockets have no address: the permissions of their file decide.
fn is_allowed(front: &Front, socket: &Socket) -> bool {
    let network = &front.shared.settings.network;
    match socket {
        Socket::Tcp(stream) if !network.is_empty() => stream
            .peer_addr()
            .is_ok_and(|peer| network.accepts(peer.ip())),
        Socket::Tcp(_) | Socket::Unix(_) | Socket::Memory(_) | Socket::Gone => true,
    }
}

/// One of `--max-connections-per-address`, where those are limited.
fn address_slot(front: &Front, socket: &Socket) -> Result<Option<AddressSlot>, AddressFull> {
    let (Some(max), Socket::Tcp(stream)) =
        (front.shared.settings.connections_per_address_max, socket)
    else {
        return Ok(None);
    };
    // Who is gone already has no address.
    let peer = stream.peer_addr().map_err(|_| AddressFull)?;
    let slot = front.shared.admission.take_address(peer.ip(), max);
    slot.map(Some).ok_or(AddressFull)
}

/// The address of the peer has as many connections as it may have.
struct AddressFull;

/// Ends an HTTP connection: our side is shut, and what the client still sends is read and thrown away for a moment, so that the last
/// response is not lost to a reset. Nobody has to wait for that: `handshake` is over before.
async fn close(mut stream: Stream, handshake: Option<Handshake>, limit: Duration) {
    let shut = timeout(TURN_AWAY_TIMEOUT, stream.shutdown()).await;
    drop(handshake);
    if !matches!(shut, Ok(Ok(()))) {
        return;
    }
    let _ = timeout(limit, async {
        let mut buffer = vec![0; DISCARD_READ_BYTES];
        let mut discarded = 0;
        while discarded < DISCARD_BYTES_MAX {
            match stream.read(&mut buffer).await {
                Ok(length) if length > 0 => discarded += length,
                Ok(_) | Err(_) => return,
            }
            // A client that sends byte by byte costs no more than one that sends at once.
            sleep(DISCARD_READ_PAUSE).await;
        }
    })
    .await;
}

/// Gives up what is not a connection yet when the server shuts down.
async fn until_shutdown<T>(worker: &Worker, work: impl Future<Output = T>) -> Option<T> {
    let mut shutdown = worker.shutdown.clone();
    tokio::select! {
        result = work => Some(result),
        _ = shutdown.wait_for(|shutdown| *shutdown) => None,
    }
}

/// Tells a client that there is no room for it, if that can be done quickly.
async fn turn_away(socket: Socket, tls: bool, answer: &str) {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    if tls || BUSY.fetch_add(1, Ordering::Relaxed) >= TURNED_AWAY_MAX {
        if !tls {
            BUSY.fetch_sub(1, Ordering::Relaxed);
        }
        return;
    }
    let mut stream = Stream::Plain(socket);
    let _ = timeout(TURN_AWAY_TIMEOUT, async {
        // The request first: a socket that is closed with unread bytes is reset, and the answer lost.
        let mut head = [0; 4096];
        poll_fn(|cx| {
            match tokio::io::AsyncRead::poll_read(
                Pin::new(&mut stream),
                cx,
                &mut ReadBuf::new(&mut head),
            ) {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => Poll::Pending,
            }
        })
        .await?;
        stream.write_all(answer.as_bytes()).await?;
        std::io::Result::Ok(())
    })
    .await;
    close(stream, None, TURN_AWAY_TIMEOUT).await;
    BUSY.fetch_sub(1, Ordering::Relaxed);
}

const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
content-length: 74\r\n\r\n503 service unavailable: the server has as many connections as it may have";

const ADDRESS_FULL: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n\
content-length: 76\r\n\r\n503 service unavailable: your address has as many connections as it may have";
