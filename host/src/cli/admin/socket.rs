//! The admin socket: whoever may open its file, which is the user that the server runs as and root.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::Mode;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::take_over;
use super::verbs::{Answer, Reply, Request, StatusReply};
use crate::listener::{SocketFile, remove_stale};
use crate::server::{Control, SwapError};

/// Operators at a time; one more waits.
const CLIENTS_MAX: usize = 16;

/// A request.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Bound, and its file.
#[derive(Debug)]
pub(in crate::cli) struct AdminSocket {
    listener: StdUnixListener,
    file: SocketFile,
    /// The path of another server's socket, whose place this one takes when it serves.
    replaces: Option<PathBuf>,
}

impl AdminSocket {
    /// Binds `path` with mode 0600. With `replace` it takes the place of a socket that another server listens on.
    pub(in crate::cli) fn bind(path: &Path, replace: bool) -> io::Result<Self> {
        let file = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut temporary = file.to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = path.with_file_name(temporary);
        if replace {
            remove_stale(&temporary)?;
        } else {
            remove_stale(path)?;
        }
        let bound = if replace { &temporary } else { path };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // Before the file is there: nobody else may open it meanwhile.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        bind(&socket, &SocketAddrUnix::new(bound)?)?;
        listen(&socket, 16)?;
        Ok(Self {
            listener: socket.into(),
            file: SocketFile::new(bound),
            replaces: replace.then(|| path.to_owned()),
        })
    }

    /// Answers until the process ends. `stop` is told when the server is to drain. The file is removed when this is dropped.
    pub(in crate::cli) async fn serve(
        self,
        control: Control,
        stop: mpsc::Sender<()>,
    ) -> io::Result<()> {
        let mut file = self.file;
        if let Some(path) = self.replaces {
            file.rename(&path)?;
        }
        // Removed with this future.
        let _file = file;
        let listener = UnixListener::from_std(self.listener)?;
        let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            let permit = Arc::clone(&clients).acquire_owned().await;
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("cannot accept at the admin socket, trying again: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (control, stop) = (control.clone(), stop.clone());
            tokio::spawn(async move {
                let _permit = permit;
                if let Err(error) = attend(stream, &control, &stop).await {
                    tracing::debug!("an admin connection ended: {error}");
                }
            });
        }
    }
}

/// Answers the requests of one client.
async fn attend(stream: UnixStream, control: &Control, stop: &mpsc::Sender<()>) -> io::Result<()> {
    if !is_trusted(&stream)? {
        tracing::warn!("an admin connection of another user was refused");
        return Ok(());
    }
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut stream).take(REQUEST_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut line);
        let read = tokio::time::timeout(REQUEST_TIMEOUT, read).await;
        if !matches!(read, Ok(Ok(1..))) {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            let text =
                format!("a request has at most {REQUEST_BYTES_MAX} bytes and ends with its line");
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
        match request {
            Request::TakeOver {} => hand_over(&mut stream, control).await?,
            request @ (Request::Status {}
            | Request::Metrics {}
            | Request::Swap { .. }
            | Request::Drain {}
            | Request::TakenOver {}) => {
                let reply = reply(request, control, stop).await;
                answer(&mut stream, &reply).await?;
                if matches!(reply, Reply::Ok(Answer::Draining)) {
                    // Who waits for the end of this process sees it by the end of the connection.
                    let mut rest = [0; 64];
                    while stream.read(&mut rest).await? > 0 {}
                    return Ok(());
                }
            }
        }
    }
}

/// Whether the peer is the user of this process, or root. The mode of the file says the same; a folder that is shared by mistake does not.
fn is_trusted(stream: &UnixStream) -> io::Result<bool> {
    let peer = stream.peer_cred()?.uid();
    Ok(peer == 0 || peer == rustix::process::geteuid().as_raw())
}

async fn answer(stream: &mut BufReader<UnixStream>, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line).await
}

async fn reply(request: Request, control: &Control, stop: &mpsc::Sender<()>) -> Reply {
    match request {
        Request::Status {} => {
            let status = StatusReply::from(control.status());
            Reply::Ok(Answer::Status(Box::new(status)))
        }
        Request::Metrics {} => Reply::Ok(Answer::Metrics(control.metrics())),
        Request::Swap { handler, file } => swap(control, handler, file).await,
        Request::Drain {} => {
            tracing::info!("told to drain by the admin socket");
            let _ = stop.try_send(());
            Reply::Ok(Answer::Draining)
        }
        Request::TakenOver {} => {
            tracing::info!("another process accepts connections now");
            control.retire().await;
            let _ = stop.try_send(());
            Reply::Ok(Answer::Draining)
        }
        Request::TakeOver {} => unreachable!("it is answered with descriptors"),
    }
}

async fn swap(control: &Control, handler: Option<String>, file: Option<PathBuf>) -> Reply {
    let swapper = control.swapper();
    let swapped = tokio::task::spawn_blocking(move || {
        let handler = match handler {
            Some(handler) => handler,
            None => swapper.only()?,
        };
        let swapped = swapper.swap(&handler, file.as_deref());
        match &swapped {
            Ok(swapped) => {
                tracing::info!(%handler, file = %swapped.file.display(), took = ?swapped.took, "handler replaced");
            }
            Err(error) => {
                tracing::error!(%handler, "handler not replaced, the old version serves: {error}");
            }
        }
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

async fn hand_over(stream: &mut BufReader<UnixStream>, control: &Control) -> io::Result<()> {
    let sockets = match control.listeners() {
        Some(Ok(sockets)) => sockets,
        Some(Err(error)) => {
            let text = format!("the listeners cannot be handed over: {error}");
            return answer(stream, &Reply::Error(text)).await;
        }
        None => {
            let text = "this server has handed its listeners over already, or is draining";
            return answer(stream, &Reply::Error(text.into())).await;
        }
    };
    let counts = sockets.iter().map(Vec::len).collect();
    answer(stream, &Reply::Ok(Answer::Listeners(counts))).await?;
    for sockets in &sockets {
        let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        take_over::send(stream.get_ref(), &sockets).await?;
    }
    Ok(())
}
