//! Connections that come, say one thing, and go.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::{Exchange, TICK, Times};
use crate::link::{Way, judge, request};
use crate::meter::{Measured, Meter};
use crate::poll::Poll;
use crate::traffic::close_frame;

/// Runs until its time is over, with so many connections at a time. A message is a whole connection: TCP, opening handshake, one message
/// and its echo, closing handshake, end of TCP.
pub(crate) fn run(
    way: &Way,
    exchange: &Exchange,
    at_a_time: usize,
    times: Times,
    process: u32,
) -> anyhow::Result<Measured> {
    let script = Script {
        address: way.address,
        request: request(way),
        close: close_frame(),
        exchange,
    };
    let mut poll = Poll::new()?;
    let mut visits = Vec::with_capacity(at_a_time);
    for index in 0..at_a_time {
        visits.push(Visit::begin(&script, &mut poll, index)?);
    }
    let mut meter = Meter::new(process, times.warm_up, times.measure)?;
    let mut connections = 0;
    let mut last = Instant::now();
    loop {
        poll.wait(TICK)?;
        for n in 0..poll.count() {
            let ready = poll.ready(n);
            if ready.readable && visits[ready.index].go_on(&script)? {
                last = Instant::now();
                meter.record(last - visits[ready.index].began);
                connections += 1;
                visits[ready.index] = Visit::begin(&script, &mut poll, ready.index)?;
            }
        }
        let now = Instant::now();
        if meter.tick(now, connections)? {
            return meter.finish(connections);
        }
        if now.saturating_duration_since(last) > Duration::from_secs(10) {
            bail!("no connection has ended for 10 seconds");
        }
    }
}

struct Script<'a> {
    address: SocketAddr,
    request: Vec<u8>,
    close: Vec<u8>,
    exchange: &'a Exchange,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Opening,
    Speaking,
    Closing,
}

struct Visit {
    stream: TcpStream,
    stage: Stage,
    came: Vec<u8>,
    began: Instant,
}

impl Visit {
    fn begin(script: &Script<'_>, poll: &mut Poll, index: usize) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut stream = TcpStream::connect(script.address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        stream.write_all(&script.request)?;
        poll.add(&stream, index)?;
        Ok(Self {
            stream,
            stage: Stage::Opening,
            came: Vec::with_capacity(512),
            began,
        })
    }

    /// Whether it is over.
    fn go_on(&mut self, script: &Script<'_>) -> anyhow::Result<bool> {
        let mut buffer = [0; 2048];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) if self.stage == Stage::Closing => {
                    // RFC 6455, 5.5.1: a close frame is answered with one before the connection ends.
                    ensure!(
                        self.came.first() == Some(&0x88),
                        "the close was not answered"
                    );
                    return Ok(true);
                }
                Ok(0) => bail!("the server closed a connection early"),
                Ok(read) => self.came.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                // What a server makes of a socket that it closed with something unread.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(self.stage == Stage::Closing);
                }
                Err(error) => return Err(error.into()),
            }
            self.answer(script)?;
        }
    }

    fn answer(&mut self, script: &Script<'_>) -> anyhow::Result<()> {
        match self.stage {
            Stage::Opening => {
                if self.came.ends_with(b"\r\n\r\n") {
                    judge(&self.came, false)?;
                    self.step(Stage::Speaking, &script.exchange.frame)?;
                }
            }
            Stage::Speaking => {
                if self.came.len() >= script.exchange.reply.len() {
                    ensure!(self.came == script.exchange.reply, "other bytes came back");
                    self.step(Stage::Closing, &script.close)?;
                }
            }
            Stage::Closing => {}
        }
        Ok(())
    }

    fn step(&mut self, stage: Stage, bytes: &[u8]) -> anyhow::Result<()> {
        self.stage = stage;
        self.came.clear();
        self.stream.write_all(bytes)?;
        Ok(())
    }
}
