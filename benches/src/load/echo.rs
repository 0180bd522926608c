//! Messages that come back: one at a time, in bursts, or at a fixed rate.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::{Exchange, TICK, Times, open, take};
use crate::link::{Link, Way};
use crate::meter::{Measured, Meter};
use crate::poll::Poll;
use crate::traffic::Expected;

/// How the messages follow one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// So many in one write on each connection, the next when all are back. One is ping-pong.
    Burst(usize),
    /// So many per second over all connections, whether the server keeps up or not. Latency counts from when a message was due, so that a
    /// server that stalls is charged for what it kept waiting.
    Rate(u32),
}

/// Runs until its time is over.
pub(crate) fn run(
    way: &Way,
    exchange: &Exchange,
    connections: usize,
    pace: Pace,
    times: Times,
    process: u32,
) -> anyhow::Result<Measured> {
    let links = open(way, connections)?;
    let poll = Poll::new()?;
    for (index, link) in links.iter().enumerate() {
        poll.add(link, index)?;
    }
    let meter = Meter::new(process, times.warm_up, times.measure)?;
    match pace {
        Pace::Burst(window) => bursts(links, poll, exchange, window, meter),
        Pace::Rate(rate) => paced(links, poll, exchange, rate, meter),
    }
}

/// A connection that sends bursts.
struct Burst {
    link: Link,
    /// Bytes of the current burst that are written.
    written: usize,
    /// Bytes that came back, of all bursts.
    received: u64,
    /// Bytes that will have come back when the current burst is over.
    wanted: u64,
    sent: Instant,
}

fn bursts(
    links: Vec<Link>,
    mut poll: Poll,
    exchange: &Exchange,
    window: usize,
    mut meter: Meter,
) -> anyhow::Result<Measured> {
    let burst = exchange.frame.repeat(window);
    let reply = (exchange.expected.period() * window) as u64;
    let mut buffer = vec![0; Expected::READ_BYTES_MAX];
    let mut messages = 0;
    let mut connections: Vec<Burst> = links
        .into_iter()
        .map(|link| Burst {
            link,
            written: 0,
            received: 0,
            wanted: reply,
            sent: Instant::now(),
        })
        .collect();
    for connection in &mut connections {
        connection.sent = Instant::now();
        connection.written = connection.link.write(&burst)?;
    }
    let mut stalled = Stall::new();
    loop {
        poll.wait(TICK)?;
        for n in 0..poll.count() {
            let ready = poll.ready(n);
            let connection = &mut connections[ready.index];
            if ready.readable {
                let taken = take(
                    &mut connection.link,
                    &mut buffer,
                    &exchange.expected,
                    connection.received,
                )?;
                connection.received += taken;
                if connection.received == connection.wanted {
                    let now = Instant::now();
                    meter.record(now - connection.sent);
                    messages += window as u64;
                    connection.wanted += reply;
                    connection.sent = now;
                    connection.written = connection.link.write(&burst)?;
                } else if connection.received > connection.wanted {
                    bail!("more came back than was sent");
                }
            }
            if ready.writable && connection.written < burst.len() {
                let rest = &burst[connection.written..];
                connection.written += connection.link.write(rest)?;
            } else if ready.writable {
                // TLS may hold a record that the socket did not take.
                connection.link.write(&[])?;
            }
        }
        let now = Instant::now();
        stalled.check(now, messages)?;
        if meter.tick(now, messages)? {
            return meter.finish(messages);
        }
    }
}

/// A connection that sends when it is time. Its n-th message is due at a time that n tells, so nothing is kept for each.
struct Paced {
    link: Link,
    due: u64,
    /// Bytes that are written, of all messages.
    written: u64,
    received: u64,
}

fn paced(
    links: Vec<Link>,
    mut poll: Poll,
    exchange: &Exchange,
    rate: u32,
    mut meter: Meter,
) -> anyhow::Result<Measured> {
    let frame = &exchange.frame;
    let (frame_bytes, period) = (frame.len() as u64, exchange.expected.period() as u64);
    let count = links.len() as u64;
    let begun = Instant::now();
    let due =
        |message: u64| begun + Duration::from_nanos(message * 1_000_000_000 / u64::from(rate));
    let mut buffer = vec![0; Expected::READ_BYTES_MAX];
    let mut connections: Vec<Paced> = links
        .into_iter()
        .map(|link| Paced {
            link,
            due: 0,
            written: 0,
            received: 0,
        })
        .collect();
    let (mut next, mut messages) = (0, 0);
    let mut stalled = Stall::new();
    loop {
        // It does not sleep between messages: the time to wake up would count as the server's.
        poll.wait(Duration::ZERO)?;
        for n in 0..poll.count() {
            let ready = poll.ready(n);
            let connection = &mut connections[ready.index];
            if ready.readable {
                let before = connection.received / period;
                connection.received += take(
                    &mut connection.link,
                    &mut buffer,
                    &exchange.expected,
                    connection.received,
                )?;
                let now = Instant::now();
                for own in before..connection.received / period {
                    meter.record(now - due(own * count + ready.index as u64));
                    messages += 1;
                }
            }
            if ready.writable {
                connection.write_due(frame, frame_bytes)?;
            }
        }
        let now = Instant::now();
        while due(next) <= now {
            let connection = &mut connections[(next % count) as usize];
            connection.due += 1;
            connection.write_due(frame, frame_bytes)?;
            next += 1;
        }
        stalled.check(now, messages)?;
        if meter.tick(now, messages)? {
            return meter.finish(messages);
        }
    }
}

impl Paced {
    fn write_due(&mut self, frame: &[u8], frame_bytes: u64) -> anyhow::Result<()> {
        while self.written < self.due * frame_bytes {
            let rest = &frame[(self.written % frame_bytes) as usize..];
            let written = self.link.write(rest)?;
            if written == 0 {
                break;
            }
            self.written += written as u64;
        }
        Ok(())
    }
}

/// Notices that nothing comes any more.
struct Stall {
    messages: u64,
    since: Instant,
}

impl Stall {
    fn new() -> Self {
        Self {
            messages: 0,
            since: Instant::now(),
        }
    }

    fn check(&mut self, now: Instant, messages: u64) -> anyhow::Result<()> {
        if messages != self.messages {
            self.messages = messages;
            self.since = now;
        } else if now - self.since > Duration::from_secs(10) {
            bail!("nothing has come back for 10 seconds");
        }
        Ok(())
    }
}
