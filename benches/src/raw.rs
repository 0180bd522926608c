//! What the kernel takes for itself: TCP servers without a protocol, with the reads and writes that a good WebSocket server makes.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::Context as _;

use crate::poll::Poll;

/// What it does with the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Writes them back: one write for each read.
    Echo,
    /// Writes them to every connection: a loop of `send`.
    Fan,
}

/// Serves until it is killed.
pub(crate) fn serve(port: u16, mode: Mode) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    rustix::net::listen(&listener, 4096)?;
    listener.set_nonblocking(true)?;
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free = Vec::new();
    let mut buffer = vec![0; 512 * 1024];
    loop {
        poll.wait(Duration::from_secs(1))?;
        for n in 0..poll.count() {
            let ready = poll.ready(n);
            if ready.index == LISTENER {
                while let Some(stream) = accepted(&listener)? {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let index = free.pop().unwrap_or_else(|| {
                        connections.push(None);
                        connections.len() - 1
                    });
                    poll.add(&stream, index)?;
                    connections[index] = Some(Connection {
                        stream,
                        waiting: Vec::new(),
                    });
                }
                continue;
            }
            let Some(connection) = &mut connections[ready.index] else {
                continue;
            };
            if ready.writable && connection.flush().is_err() {
                connections[ready.index] = None;
                free.push(ready.index);
                continue;
            }
            let mut ended = false;
            while ready.readable {
                let Some(connection) = &mut connections[ready.index] else {
                    break;
                };
                match connection.stream.read(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(read) => {
                        let bytes = &buffer[..read];
                        match mode {
                            Mode::Echo => ended = connection.write(bytes).is_err(),
                            Mode::Fan => {
                                for connection in connections.iter_mut().flatten() {
                                    // One that is gone is told by its own event.
                                    let _ = connection.write(bytes);
                                }
                            }
                        }
                        if !ended && read == buffer.len() {
                            continue;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => ended = true,
                }
                break;
            }
            if ended {
                connections[ready.index] = None;
                free.push(ready.index);
            }
        }
    }
}

fn accepted(listener: &TcpListener) -> anyhow::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("cannot accept"),
    }
}

struct Connection {
    stream: TcpStream,
    /// What the socket did not take.
    waiting: Vec<u8>,
}

impl Connection {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let written = if self.waiting.is_empty() {
            self.stream.write(bytes).or_else(blocked)?
        } else {
            0
        };
        self.waiting.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting).or_else(blocked)? {
                0 => break,
                written => drop(self.waiting.drain(..written)),
            }
        }
        Ok(())
    }
}

fn blocked(error: std::io::Error) -> std::io::Result<usize> {
    match error.kind() {
        ErrorKind::WouldBlock => Ok(0),
        _ => Err(error),
    }
}

const LISTENER: usize = usize::MAX;
