//! The admin socket. Only the user that the server runs as, and root, may open its file.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::clients::{CLIENTS_MAX, Clients};
use super::succession::{Succession, Turn};
use super::take_over;
use super::verbs::{Answer, Reply, Request, StatusReply};
use crate::cli::logging::log_swap;
use crate::server::{Control, SwapError};
use wsrun_metrics::seldom::Seldom;
use wsrun_net::listener::{Ownership, SocketFile, remove_stale};

/// The most clients that wait for the end of the server.
const WAITING_MAX: usize = 64;

/// The most bytes of a request.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// The time limit for a client to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for a client to read the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A bound admin socket and its file.
#[derive(Debug)]
pub(in crate::cli) struct AdminSocket {
    listener: StdUnixListener,
    file: SocketFile,
    /// True while the file belongs to another server, until this one answers.
    is_inherited: bool,
}

impl AdminSocket {
    /// Binds `path` with mode 0600.
    pub(in crate::cli) fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The mode is set before the file exists, so that nobody else can open it meanwhile.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, 16)?;
        Ok(Self {
            listener: socket.into(),
            file: SocketFile::new(path),
            is_inherited: false,
        })
    }

    /// Takes over the socket of another server, which stays at `path`.
    pub(in crate::cli) fn inherit(socket: OwnedFd, path: &Path) -> Self {
        let file = SocketFile::new(path);
        file.ownership().leave();
        Self {
            listener: socket.into(),
            file,
            is_inherited: true,
        }
    }

    /// Answers requests until the process ends, or until another process has taken this socket
    /// over. Sends to `stop` when the server is to drain. The file is removed when the future is
    /// dropped, unless it belongs to another process by then.
    pub(in crate::cli) async fn serve(
        self,
        control: Control,
        stop: mpsc::Sender<()>,
    ) -> io::Result<()> {
        static FAILED: Seldom = Seldom::new();
        // The file is removed when this future is dropped.
        let mut file = self.file;
        if self.is_inherited {
            file.take();
        }
        let server = Arc::new(AdminServer {
            listener: UnixListener::from_std(self.listener)?,
            control,
            stop,
            succession: Arc::default(),
            clients: Arc::default(),
            waiting: Semaphore::new(WAITING_MAX),
            handed_over: watch::Sender::new(false),
            file: file.ownership().clone(),
        });
        let mut handed_over = server.handed_over.subscribe();
        loop {
            // Both branches are cancel-safe: an accept that was not finished has taken nothing.
            let accepted = tokio::select! {
                accepted = server.listener.accept() => accepted,
                _ = handed_over.wait_for(|handed_over| *handed_over) => {
                    file.ownership().leave();
                    return Ok(());
                }
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if let Some(left_out) = FAILED.take() {
                        tracing::warn!(
                            left_out,
                            "cannot accept at the admin socket, trying again: {error}"
                        );
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                if let Err(error) = server.serve_client(stream).await {
                    tracing::debug!("an admin connection ended: {error}");
                }
            });
        }
    }
}

/// The state that all clients share.
struct AdminServer {
    listener: UnixListener,
    control: Control,
    stop: mpsc::Sender<()>,
    succession: Arc<Succession>,
    clients: Arc<Clients>,
    waiting: Semaphore,
    /// True once another process accepts on this socket.
    handed_over: watch::Sender<bool>,
    /// The ownership of this socket's file.
    file: Ownership,
}

impl AdminServer {
    /// Answers the requests of one client.
    async fn serve_client(&self, stream: UnixStream) -> io::Result<()> {
        // The right to take over, and whether the successor gets this socket as well.
        let mut successor = None;
        let ended = self.serve_requests(stream, &mut successor).await;
        // Not reached when this future is dropped because the server ends: the files belong to the
        // successor then.
        self.give_up(successor);
        ended
    }

    async fn serve_requests(
        &self,
        stream: UnixStream,
        successor: &mut Option<(Turn, bool)>,
    ) -> io::Result<()> {
        static REFUSED: Seldom = Seldom::new();
        let peer = stream.peer_cred()?;
        if !is_trusted(&peer) {
            if let Some(left_out) = REFUSED.take() {
                tracing::warn!(
                    left_out,
                    uid = peer.uid(),
                    "an admin connection of another user was refused"
                );
            }
            return Ok(());
        }
        let mut stream = BufReader::new(stream);
        let Some(seat) = self.clients.enter() else {
            let text = format!("{CLIENTS_MAX} others are being answered: ask again");
            return answer(&mut stream, &Reply::Error(text)).await;
        };
        loop {
            // A successor that is starting may take its time, and is not replaced.
            seat.listens(successor.is_none());
            let limit = successor.is_none().then_some(REQUEST_TIMEOUT);
            let line = tokio::select! {
                line = read_line(&mut stream, limit) => line,
                () = seat.is_taken() => return Ok(()),
            };
            seat.listens(false);
            let Some(line) = line else {
                return Ok(());
            };
            if line.last() != Some(&b'\n') {
                let text = format!(
                    "a request has at most {REQUEST_BYTES_MAX} bytes and ends with its line"
                );
                return answer(&mut stream, &Reply::Error(text)).await;
            }
            let request = match serde_json::from_slice(&line) {
                Ok(request) => request,
                Err(error) => {
                    let text = format!("this is no request: {error}");
                    answer(&mut stream, &Reply::Error(text)).await?;
                    continue;
                }
            };
            let reply = match request {
                Request::TakeOver { admin } => match self.succession.begin(peer.pid()) {
                    Ok(turn) => {
                        self.leave_files(admin);
                        *successor = Some((turn, admin));
                        let handing = self.hand_over(&mut stream, admin);
                        if !within_answer_timeout(handing).await? {
                            self.give_up(successor.take());
                        }
                        continue;
                    }
                    Err(text) => Reply::Error(text),
                },
                Request::TakenOver {} => self.retire(successor.take()).await,
                Request::Status {} => {
                    let status = StatusReply::from(self.control.status());
                    Reply::Ok(Answer::Status(Box::new(status)))
                }
                Request::Metrics {} => Reply::Ok(Answer::Metrics(self.control.metrics())),
                Request::Swap { handler, file } => swap(&self.control, handler, file).await,
                Request::Drain {} => self.drain(),
            };
            let drains = matches!(reply, Reply::Ok(Answer::Draining));
            answer(&mut stream, &reply).await?;
            if drains {
                drop(seat);
                return self.await_end(stream).await;
            }
        }
    }

    /// Leaves the files in place for a successor that is about to get the listeners. It serves with
    /// them even if this server ends before it is told that the successor accepts.
    fn leave_files(&self, admin: bool) {
        self.control.leave_files();
        if admin {
            self.file.leave();
        }
    }

    /// Keeps the files after all, when a successor has given up.
    fn give_up(&self, successor: Option<(Turn, bool)>) {
        if let Some((_turn, admin)) = successor {
            // Before another process can begin to take over.
            self.control.keep_files();
            if admin {
                self.file.keep();
            }
        }
    }

    /// Sends the descriptors of the listeners. Returns false when there are none to send.
    async fn hand_over(&self, stream: &mut BufReader<UnixStream>, admin: bool) -> io::Result<bool> {
        let sockets = match self.control.listeners() {
            Some(Ok(sockets)) => sockets,
            Some(Err(error)) => {
                let text = format!("the listeners cannot be handed over: {error}");
                answer(stream, &Reply::Error(text)).await?;
                return Ok(false);
            }
            None => {
                let text = "this server is draining";
                answer(stream, &Reply::Error(text.into())).await?;
                return Ok(false);
            }
        };
        let sockets = sockets.iter();
        let mut sockets: Vec<Vec<_>> = sockets
            .map(|sockets| sockets.iter().map(AsFd::as_fd).collect())
            .collect();
        if admin {
            sockets.push(vec![self.listener.as_fd()]);
        }
        let counts = sockets.iter().map(Vec::len).collect();
        answer(stream, &Reply::Ok(Answer::Listeners(counts))).await?;
        for sockets in &sockets {
            take_over::send(stream.get_ref(), sockets).await?;
        }
        Ok(true)
    }

    /// Stops accepting: the successor accepts now.
    async fn retire(&self, successor: Option<(Turn, bool)>) -> Reply {
        let Some((turn, has_socket)) = successor else {
            return Reply::Error("nothing was handed over on this connection".into());
        };
        turn.end();
        if has_socket {
            self.handed_over.send_replace(true);
        }
        tracing::info!("another process accepts connections now");
        self.control.retire().await;
        let _ = self.stop.try_send(());
        Reply::Ok(Answer::Draining)
    }

    fn drain(&self) -> Reply {
        if let Err(text) = self.succession.drain() {
            return Reply::Error(text);
        }
        tracing::info!("told to drain by the admin socket");
        let _ = self.stop.try_send(());
        Reply::Ok(Answer::Draining)
    }

    /// Holds the connection until the client closes it. A client that waits for the end of this
    /// process sees it when the connection ends.
    async fn await_end(&self, mut stream: BufReader<UnixStream>) -> io::Result<()> {
        let Ok(_waiting) = self.waiting.try_acquire() else {
            let text = format!("{WAITING_MAX} others wait for the end already");
            return answer(&mut stream, &Reply::Error(text)).await;
        };
        let mut rest = [0; 64];
        while stream.read(&mut rest).await? > 0 {}
        Ok(())
    }
}

/// Reads a line with its line end, or the first [`REQUEST_BYTES_MAX`] bytes of one that is too
/// long. Returns none when the client left or took too long.
async fn read_line(stream: &mut BufReader<UnixStream>, limit: Option<Duration>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut limited = stream.take(REQUEST_BYTES_MAX);
    let read = limited.read_until(b'\n', &mut line);
    let read = match limit {
        Some(limit) => tokio::time::timeout(limit, read).await.ok()?,
        None => read.await,
    };
    matches!(read, Ok(1..)).then_some(line)
}

/// Returns true when the peer is the user of this process, or root. The mode of the file ensures
/// the same, but a folder that is shared by mistake does not.
fn is_trusted(peer: &UCred) -> bool {
    peer.uid() == 0 || peer.uid() == rustix::process::geteuid().as_raw()
}

async fn answer(stream: &mut BufReader<UnixStream>, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    within_answer_timeout(stream.write_all(&line)).await
}

/// Limits the time of an answer, for a client that does not read.
async fn within_answer_timeout<T>(sending: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let sent = tokio::time::timeout(ANSWER_TIMEOUT, sending).await;
    sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn swap(control: &Control, handler: Option<String>, file: Option<PathBuf>) -> Reply {
    let swapper = control.swapper();
    let swapped = tokio::task::spawn_blocking(move || {
        let handler = match handler {
            Some(handler) => handler,
            None => swapper.only()?,
        };
        let swapped = swapper.swap(&handler, file.as_deref());
        log_swap(&handler, &swapped);
        swapped
    })
    .await
    .unwrap_or(Err(SwapError::Stopped));
    match swapped {
        Ok(swapped) => Reply::Ok(Answer::Swapped {
            handler: swapped.handler,
            file: swapped.file,
            milliseconds: u64::try_from(swapped.took.as_millis()).unwrap_or(u64::MAX),
        }),
        Err(error) => Reply::Error(format!("not replaced, the old version serves: {error}")),
    }
}
