//! The hand-over of listeners from one process to the next: descriptors over the admin socket
//! (SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::verbs::{Answer, Reply, Request};
use crate::config::{Inherited, Listen};
use wsrun_os::clock;

/// Descriptors in one message; the kernel's limit is 253.
const DESCRIPTORS_MAX: usize = 128;

/// The time limit for the other server's answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends descriptors in messages of up to [`DESCRIPTORS_MAX`], each with one byte.
pub(super) async fn send(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    for sockets in sockets.chunks(DESCRIPTORS_MAX) {
        stream
            .async_io(Interest::WRITABLE, || {
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                ancillary.push(SendAncillaryMessage::ScmRights(sockets));
                let byte = [IoSlice::new(b"F")];
                sendmsg(stream, &byte, &mut ancillary, SendFlags::NOSIGNAL)?;
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// The server that listens until now, and that is asked to hand over.
#[derive(Debug)]
pub(in crate::cli) struct Predecessor {
    stream: StdUnixStream,
}

/// The sockets that the predecessor has handed over.
pub(in crate::cli) struct Handed {
    pub(in crate::cli) predecessor: Predecessor,
    pub(in crate::cli) listen: Vec<Listen>,
    /// The predecessor's admin socket, if that was asked for.
    pub(in crate::cli) socket: Option<OwnedFd>,
}

impl Predecessor {
    /// Gets the listeners of the server whose admin socket is at `path`, and with `admin` that
    /// socket too. The server keeps serving until [`release`](Self::release). It hands nothing to
    /// anybody else while this value exists. After the future is dropped, a thread may still wait
    /// for the answer for a while.
    pub(in crate::cli) async fn ask(path: &Path, admin: bool) -> anyhow::Result<Handed> {
        let asking = tokio::task::spawn_blocking({
            let path = path.to_owned();
            move || Self::ask_blocking(&path, admin)
        });
        match clock::timeout(TIMEOUT, asking).await {
            Ok(asked) => asked?,
            Err(_) => anyhow::bail!(
                "--take-over {}: the server does not answer within {TIMEOUT:?}: look at its log, and stop it if it hangs",
                path.display()
            ),
        }
    }

    fn ask_blocking(path: &Path, admin: bool) -> anyhow::Result<Handed> {
        let context = || format!("--take-over {}", path.display());
        let stream = StdUnixStream::connect(path).with_context(|| {
            format!(
                "--take-over {}: no server answers there (is it the --admin socket of the running one?)",
                path.display()
            )
        })?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut predecessor = Self { stream };
        let answer = predecessor
            .request(&Request::TakeOver { admin })
            .with_context(context)?;
        let Answer::Listeners(counts) = answer else {
            anyhow::bail!("{}: the server answers something else", context());
        };
        let mut groups = Vec::new();
        for count in counts {
            groups.push(predecessor.receive(count).with_context(context)?);
        }
        let socket = match admin {
            true => groups.pop().and_then(|mut sockets| sockets.pop()),
            false => None,
        };
        let mut listen = Vec::new();
        for sockets in groups {
            let inherited = Inherited::taken_over(sockets).with_context(context)?;
            listen.extend(inherited.map(Listen::Inherited));
        }
        anyhow::ensure!(
            !listen.is_empty() && socket.is_some() == admin,
            "{}: the server listens nowhere",
            context()
        );
        Ok(Handed {
            predecessor,
            listen,
            socket,
        })
    }

    /// Tells the predecessor that this process accepts now and that it is to drain. Returns false
    /// if the predecessor has ended already.
    pub(in crate::cli) fn release(mut self) -> anyhow::Result<bool> {
        match self.request(&Request::TakenOver {}) {
            Ok(_) => Ok(true),
            Err(error) if has_ended(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn request(&mut self, request: &Request) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        // A server that answers without reading may have closed already, and its answer says why.
        let written = self.stream.write_all(&line);
        let mut reply = Vec::new();
        loop {
            // Bytes are read one at a time, because a descriptor comes with the byte after the
            // line.
            let mut byte = [0];
            let read = self.stream.read_exact(&mut byte);
            if let Err(error) = read {
                let error = written.err().unwrap_or(error);
                return Err(error).context("the server does not answer");
            }
            if byte == *b"\n" {
                break;
            }
            reply.push(byte[0]);
        }
        match serde_json::from_slice(&reply)? {
            Reply::Ok(answer) => Ok(answer),
            Reply::Error(text) => Err(anyhow::anyhow!(text)),
        }
    }

    fn receive(&self, count: usize) -> anyhow::Result<Vec<OwnedFd>> {
        let mut sockets = Vec::new();
        while sockets.len() < count {
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(
                &self.stream,
                &mut [IoSliceMut::new(&mut byte)],
                &mut ancillary,
                flags,
            )?;
            anyhow::ensure!(received.bytes == 1, "the server ended");
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    sockets.extend(descriptors);
                }
            }
        }
        Ok(sockets)
    }
}

/// Returns true when a request failed because the other process has ended.
fn has_ended(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| {
        [
            io::ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionReset,
            io::ErrorKind::UnexpectedEof,
        ]
        .contains(&error.kind())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_of_who_closes_without_reading_is_read() {
        let (asking, mut answering) = StdUnixStream::pair().unwrap();
        answering
            .write_all(b"{\"error\":\"others are being answered\"}\n")
            .unwrap();
        drop(answering);
        let mut predecessor = Predecessor { stream: asking };
        let error = predecessor
            .request(&Request::TakeOver { admin: true })
            .unwrap_err();
        assert_eq!(error.to_string(), "others are being answered");
    }

    #[test]
    fn server_that_has_ended_need_not_be_told_to_drain() {
        let (asking, answering) = StdUnixStream::pair().unwrap();
        drop(answering);
        let predecessor = Predecessor { stream: asking };
        assert!(!predecessor.release().unwrap());
    }
}
