//! Binding and accepting.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, Type};
use tokio::net::{TcpListener, UnixListener};

use crate::descriptors;
use crate::stream::{Socket, set_options};
use wsrun_contract::Setting;
use wsrun_metrics::seldom::Seldom;

const BACKLOG: i32 = 4_096;

/// After an accept that failed: how long to wait before the next, doubled each time it fails again.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// A bound listener, not yet part of a runtime.
#[derive(Debug)]
pub enum Bound {
    Tcp(StdTcpListener),
    Unix(StdUnixListener, PathBuf),
}

impl Bound {
    /// The same socket again, to be handed over to another process.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.as_fd().try_clone_to_owned()
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// IPv4 or IPv6; port 0 picks a free one.
    Tcp(SocketAddr),
    /// A Unix socket. A stale socket file is replaced, anything else at the path is an error.
    Unix(PathBuf),
    /// A listener that somebody else bound, as a service manager does. With several workers all of them accept on the one socket:
    /// SO_REUSEPORT, which gives each its own, cannot be added to it.
    Inherited(Inherited),
}

/// A TCP or Unix listener that was bound by somebody else. Its socket file, if it has one, stays when the server ends.
#[derive(Clone, Debug)]
pub struct Inherited {
    /// At least one; more are sockets of one address, among which the kernel spreads connections.
    sockets: Vec<Handed>,
    /// The server before is gone: its socket file is this one's.
    owns_file: bool,
}

#[derive(Clone, Debug)]
enum Handed {
    Tcp(Arc<StdTcpListener>),
    Unix(Arc<StdUnixListener>),
}

impl From<StdTcpListener> for Inherited {
    fn from(listener: StdTcpListener) -> Self {
        Self::of(Handed::Tcp(Arc::new(listener)))
    }
}

impl From<StdUnixListener> for Inherited {
    fn from(listener: StdUnixListener) -> Self {
        Self::of(Handed::Unix(Arc::new(listener)))
    }
}

/// The same socket.
impl PartialEq for Inherited {
    fn eq(&self, other: &Self) -> bool {
        self.fd() == other.fd()
    }
}

impl Eq for Inherited {}

impl Inherited {
    fn of(socket: Handed) -> Self {
        Self {
            sockets: vec![socket],
            owns_file: false,
        }
    }

    /// All sockets of an address of another server, which stops. None for no sockets.
    pub fn taken_over(sockets: Vec<OwnedFd>) -> io::Result<Option<Self>> {
        let mut handed = Vec::new();
        for socket in sockets {
            let domain = SockRef::from(&socket).domain()?;
            handed.push(match domain {
                Domain::UNIX => Handed::Unix(Arc::new(socket.into())),
                _ => Handed::Tcp(Arc::new(socket.into())),
            });
        }
        Ok((!handed.is_empty()).then_some(Self {
            sockets: handed,
            owns_file: true,
        }))
    }

    fn fd(&self) -> RawFd {
        match &self.sockets[0] {
            Handed::Tcp(listener) => listener.as_raw_fd(),
            Handed::Unix(listener) => listener.as_raw_fd(),
        }
    }

    /// The path of a socket file that is this server's to remove.
    pub fn own_file(&self) -> Option<PathBuf> {
        match &self.sockets[0] {
            Handed::Unix(listener) if self.owns_file => {
                Some(listener.local_addr().ok()?.as_pathname()?.to_owned())
            }
            Handed::Unix(_) | Handed::Tcp(_) => None,
        }
    }

    /// A listener for each worker at least, and every socket at least once: what comes in at one that nobody accepts from would wait for
    /// ever.
    fn bound(&self, workers: u16) -> io::Result<(Address, Vec<Bound>)> {
        let mut bound = Vec::new();
        let mut address = None;
        let count = self.sockets.len().max(usize::from(workers));
        for socket in self.sockets.iter().cycle().take(count) {
            let (at, listener) = socket.bound()?;
            address.get_or_insert(at);
            bound.push(listener);
        }
        Ok((address.ok_or(io::ErrorKind::InvalidInput)?, bound))
    }
}

impl Handed {
    fn bound(&self) -> io::Result<(Address, Bound)> {
        let socket = match self {
            Self::Tcp(listener) => SockRef::from(&**listener),
            Self::Unix(listener) => SockRef::from(&**listener),
        };
        if !socket.is_listener()? {
            let text = "it is not listening: what is handed over must be a listener, not a connection (Accept=no)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        socket.set_nonblocking(true)?;
        Ok(match self {
            Self::Tcp(listener) => {
                let address = Address::Tcp(listener.local_addr()?);
                (address, Bound::Tcp(listener.try_clone()?))
            }
            Self::Unix(listener) => {
                let path = unix_path(listener)?;
                let bound = Bound::Unix(listener.try_clone()?, path.clone());
                (Address::Unix(path), bound)
            }
        })
    }
}

/// The path of a Unix listener; an abstract name begins with `@`, as is usual.
fn unix_path(listener: &StdUnixListener) -> io::Result<PathBuf> {
    let address = listener.local_addr()?;
    if let Some(path) = address.as_pathname() {
        return Ok(path.to_owned());
    }
    let name = address.as_abstract_name().unwrap_or_default();
    Ok(PathBuf::from(format!("@{}", String::from_utf8_lossy(name))))
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// The address that was bound, with the real port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}{hint}")]
pub struct ListenError {
    address: String,
    cause: io::Error,
    hint: String,
}

/// Binds one address for `workers` workers: a socket each, among which the kernel spreads connections.
pub fn bind(listen: &Listen, workers: u16) -> Result<(Address, Vec<Bound>), ListenError> {
    let error = |cause: io::Error| {
        let hint = match (cause.kind(), listen) {
            (io::ErrorKind::AddrInUse, Listen::Tcp(_)) => {
                format!(
                    "; another program listens there: stop it, or use another {} address",
                    Setting("listen")
                )
            }
            (io::ErrorKind::PermissionDenied, Listen::Tcp(_)) => {
                format!(
                    "; ports below 1024 need root (with {}), CAP_NET_BIND_SERVICE, or socket activation",
                    Setting("privileges.user")
                )
            }
            (io::ErrorKind::AddrNotAvailable, _) => "; this machine has no such address".to_owned(),
            _ => String::new(),
        };
        let address = match listen {
            Listen::Tcp(address) => address.to_string(),
            Listen::Unix(path) => format!("unix:{}", path.display()),
            Listen::Inherited(inherited) => {
                format!("the inherited file descriptor {}", inherited.fd())
            }
        };
        ListenError {
            address,
            cause,
            hint,
        }
    };
    match listen {
        Listen::Tcp(address) => bind_tcp(*address, workers).map_err(error),
        Listen::Unix(path) => bind_unix(path, workers).map_err(error),
        Listen::Inherited(inherited) => inherited.bound(workers).map_err(error),
    }
}

fn bind_tcp(mut address: SocketAddr, workers: u16) -> io::Result<(Address, Vec<Bound>)> {
    if workers > 1 {
        // SO_REUSEPORT would let a second server in unnoticed: this socket, without it, tells whether somebody is there.
        address = probe(address)?;
    }
    let mut bound = Vec::new();
    for _ in 0..workers {
        let socket = RawSocket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        if workers > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(BACKLOG)?;
        let listener = StdTcpListener::from(socket);
        address = listener.local_addr()?;
        bound.push(Bound::Tcp(listener));
    }
    Ok((Address::Tcp(address), bound))
}

/// Binds an address for a moment and returns it, with the real port.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = RawSocket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    let bound = socket.local_addr()?;
    bound
        .as_socket()
        .ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn bind_unix(path: &Path, workers: u16) -> io::Result<(Address, Vec<Bound>)> {
    remove_stale(path)?;
    let listener = StdUnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    let mut bound = Vec::new();
    for _ in 0..workers {
        bound.push(Bound::Unix(listener.try_clone()?, path.to_owned()));
    }
    Ok((Address::Unix(path.to_owned()), bound))
}

/// Removes the socket file of a server that is gone. One that answers, or a file of another kind, stays.
pub fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is not a socket",
        ));
    }
    let probe = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server with a full backlog must not hold this one.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        Ok(()) => Err(taken()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(taken()),
        Err(error) => Err(error),
    }
}

fn taken() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")
}

/// The file of a bound Unix socket, removed when this is dropped, unless another server has put its own there meanwhile.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
    ownership: Ownership,
}

/// Whose a socket file is. Clones speak of the same file.
#[derive(Clone, Debug, Default)]
pub struct Ownership(Arc<AtomicBool>);

impl Ownership {
    /// It is another server's, or may be: it stays.
    pub fn leave(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// It is this server's, as before.
    pub fn keep(&self) {
        self.0.store(false, Ordering::Release);
    }

    fn is_left(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl SocketFile {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: Self::identity_of(path),
            ownership: Ownership::default(),
        }
    }

    fn identity_of(path: &Path) -> Option<(u64, u64)> {
        std::fs::symlink_metadata(path)
            .ok()
            .map(|metadata| (metadata.dev(), metadata.ino()))
    }
}

impl SocketFile {
    /// Whose it is.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// It is this server's from here on.
    pub fn take(&mut self) {
        self.identity = Self::identity_of(&self.path);
        self.ownership.keep();
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = self.identity.is_some() && !self.ownership.is_left();
        if is_own && Self::identity_of(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// An inherited socket may be one of IPv6 for both, which shows IPv4 addresses as `::ffff:192.0.2.1`.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

fn is_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

/// A bound listener that is part of a runtime.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener, _) => listener.as_fd(),
        }
    }
}

impl Listener {
    /// Makes the listener part of the runtime of this thread.
    pub fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound {
            Bound::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Bound::Unix(listener, path) => Self::Unix(UnixListener::from_std(listener)?, path),
        })
    }

    /// Gives every socket that is accepted to `on_accepted`, until `stopped` is ready. No error ends
    /// it: it logs, waits, and goes on.
    ///
    /// `margin`: how many sockets other threads may accept before they notice that descriptors run
    /// out.
    pub async fn accept(
        &self,
        margin: u64,
        stopped: impl Future<Output = ()>,
        on_accepted: impl Fn(Accepted),
    ) {
        static FAILED: Seldom = Seldom::new();
        let mut stopped = pin!(stopped);
        let mut backoff = BACKOFF_MIN;
        let mut is_low = false;
        loop {
            // Both arms are safe to cancel: an accept that was not finished has taken nothing.
            let accepted = tokio::select! {
                accepted = self.accept_one(), if !is_low => accepted,
                () = tokio::time::sleep(backoff), if is_low => {
                    is_low = !descriptors::has_room(self, margin);
                    if is_low { Err(descriptors::exhausted()) } else { continue }
                }
                () = &mut stopped => return,
            };
            match accepted {
                Ok((number, accepted)) => {
                    backoff = BACKOFF_MIN;
                    is_low = descriptors::is_reserve(number, margin);
                    on_accepted(accepted);
                }
                // The client was gone before it was accepted: nothing is wrong here.
                Err(error) if is_clients(&error) => {}
                Err(error) => {
                    if let Some(left_out) = FAILED.take() {
                        tracing::warn!(
                            left_out,
                            "cannot accept connections, trying again: {error}"
                        );
                    }
                    if !is_low {
                        tokio::time::sleep(backoff).await;
                    }
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Returns the next socket, and the number of its descriptor.
    async fn accept_one(&self) -> io::Result<(RawFd, Accepted)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                set_options(&stream);
                let local = stream
                    .local_addr()
                    .map(|address| canonical(address).to_string())
                    .unwrap_or_default();
                let number = stream.as_raw_fd();
                let accepted = Accepted {
                    socket: Socket::Tcp(stream),
                    peer: canonical(peer).to_string(),
                    local,
                };
                Ok((number, accepted))
            }
            Self::Unix(listener, path) => {
                let (stream, _) = listener.accept().await?;
                let number = stream.as_raw_fd();
                let accepted = Accepted {
                    socket: Socket::Unix(stream),
                    peer: "unix".into(),
                    local: path.display().to_string(),
                };
                Ok((number, accepted))
            }
        }
    }
}

/// A socket that was accepted.
#[derive(Debug)]
pub struct Accepted {
    pub socket: Socket,
    /// The address of the peer.
    pub peer: String,
    /// The address that the peer connected to.
    pub local: String,
}
