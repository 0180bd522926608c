//! What the kernel takes for itself: TCP servers without a protocol, with the reads and writes that a good WebSocket server makes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::net;

use crate::poll::Poll;

/// What it does with the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Writes them back: one write for each read.
    Echo,
    /// Writes them to every connection: a loop of `send`.
    Fan,
}

/// Serves until it is killed, on so many threads among which the kernel spreads connections.
pub(crate) fn serve(port: u16, mode: Mode, workers: usize) -> anyhow::Result<()> {
    ensure!(
        workers == 1 || mode == Mode::Echo,
        "a thread knows no connections but its own: --mode fan has one"
    );
    let listeners: Vec<TcpListener> = (0..workers)
        .map(|_| listener(port))
        .collect::<Result<_, _>>()?;
    thread::scope(|scope| {
        let threads: Vec<_> = listeners
            .into_iter()
            .map(|listener| scope.spawn(|| work(listener, mode)))
            .collect();
        for thread in threads {
            thread.join().expect("serving does not panic")?;
        }
        Ok(())
    })
}

fn listener(port: u16) -> anyhow::Result<TcpListener> {
    let listener = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None)?;
    net::sockopt::set_socket_reuseport(&listener, true)?;
    net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    net::listen(&listener, 4096)?;
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn work(listener: TcpListener, mode: Mode) -> anyhow::Result<()> {
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
            let ended = ready.readable && !take(&mut connections, ready.index, &mut buffer, mode);
            if ended {
                connections[ready.index] = None;
                free.push(ready.index);
            }
        }
    }
}

/// Reads what a connection has and writes it where it belongs. Whether the connection goes on.
fn take(
    connections: &mut [Option<Connection>],
    index: usize,
    buffer: &mut [u8],
    mode: Mode,
) -> bool {
    while let Some(connection) = &mut connections[index] {
        let read = match connection.stream.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        };
        let bytes = &buffer[..read];
        match mode {
            Mode::Echo => {
                if connection.write(bytes).is_err() {
                    return false;
                }
            }
            Mode::Fan => {
                for connection in connections.iter_mut().flatten() {
                    // One that is gone is told by its own event.
                    let _ = connection.write(bytes);
                }
            }
        }
        if read < buffer.len() {
            break;
        }
    }
    true
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
    if error.kind() == ErrorKind::WouldBlock {
        Ok(0)
    } else {
        Err(error)
    }
}

const LISTENER: usize = usize::MAX;
