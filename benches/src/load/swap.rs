//! Steady traffic while a handler is replaced, over and over, by another version that answers otherwise.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use hdrhistogram::Histogram;

use super::{Exchange, open};
use crate::link::{Link, Way};
use crate::poll::Poll;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Swaps {
    pub(crate) count: usize,
    pub(crate) connections: usize,
    /// Messages per second over all connections, sent when they are due.
    pub(crate) rate: u32,
}

/// The two versions, of which the first serves: a component, and what it answers.
pub(crate) struct Version {
    pub(crate) component: PathBuf,
    pub(crate) reply: Vec<u8>,
}

/// The result.
#[derive(Debug)]
pub(crate) struct Swapped {
    /// The first swap, for which the new version had to be compiled, and all others.
    pub(crate) first: Swap,
    pub(crate) others: Vec<Swap>,
    /// The longest latency of each connection during each swap, and in a stretch as long before it, in nanoseconds.
    pub(crate) pauses_ns: Histogram<u64>,
    pub(crate) calm_ns: Histogram<u64>,
}

/// One swap, from the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Swap {
    /// Until the first connection had an answer of the new version.
    pub(crate) answered: Duration,
    /// Until all had.
    pub(crate) all_answered: Duration,
    /// Until the new version had survived its trial.
    pub(crate) kept: Duration,
}

/// Replaces the handler by the other version, `count` times.
pub(crate) fn run(
    way: &Way,
    exchange: &Exchange,
    swaps: Swaps,
    versions: &[Version; 2],
    admin: &Path,
) -> anyhow::Result<Swapped> {
    let mut traffic = Traffic::new(way, exchange, swaps, versions)?;
    let mut swapped: Vec<Swap> = Vec::with_capacity(swaps.count);
    let mut pauses_ns = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut calm_ns = pauses_ns.clone();
    traffic.during(WARM_UP, &mut None)?;
    let mut stretch = WARM_UP;
    for turn in 0..swaps.count {
        let new = (turn + 1) % 2;
        traffic.begin();
        traffic.during(stretch, &mut None)?;
        let calm = traffic.longest();
        traffic.begin();
        let began = Instant::now();
        let mut asked = Some(Asked {
            new,
            answered: None,
            all_answered: None,
            kept: None,
            reply: ask(admin, &versions[new].component)?,
        });
        traffic.during(PATIENCE, &mut asked)?;
        let asked = asked.and_then(|asked| asked.done());
        let [answered, all_answered, kept] = asked.context("the new version does not answer")?;
        stretch = began.elapsed();
        let swap = Swap {
            answered: answered - began,
            all_answered: all_answered - began,
            kept: kept - began,
        };
        swapped.push(swap);
        // Compiling is no part of what is compared: it takes a long time on the core of the server, and comes once.
        if turn > 0 {
            for latency in traffic.longest() {
                pauses_ns.saturating_record(latency.as_nanos() as u64);
            }
            for latency in calm {
                calm_ns.saturating_record(latency.as_nanos() as u64);
            }
        }
    }
    ensure!(swapped.len() > 1, "there are to be two swaps at least");
    Ok(Swapped {
        first: swapped.remove(0),
        others: swapped,
        pauses_ns,
        calm_ns,
    })
}

/// A swap that was asked for.
struct Asked {
    new: usize,
    answered: Option<Instant>,
    all_answered: Option<Instant>,
    kept: Option<Instant>,
    reply: Receiver<anyhow::Result<Instant>>,
}

impl Asked {
    fn done(&self) -> Option<[Instant; 3]> {
        Some([self.answered?, self.all_answered?, self.kept?])
    }
}

/// Asks for a swap, as `wsrun ctl swap` does. When the server answers, which it does when the new version has survived its trial, the time is
/// told.
fn ask(admin: &Path, component: &Path) -> anyhow::Result<Receiver<anyhow::Result<Instant>>> {
    let mut stream = UnixStream::connect(admin).context("the admin socket does not answer")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = serde_json::json!({ "verb": "swap", "handler": null, "file": component });
    writeln!(stream, "{request}")?;
    let (tell, told) = channel();
    // It sleeps until the answer is there, so that it takes nothing from the traffic.
    thread::spawn(move || {
        let mut reply = String::new();
        let read = BufReader::new(stream).read_line(&mut reply);
        let at = Instant::now();
        let outcome = match read {
            Ok(_) if reply.contains("\"swapped\"") => Ok(at),
            Ok(_) => Err(anyhow::anyhow!("the server did not swap: {}", reply.trim())),
            Err(error) => Err(error.into()),
        };
        // Nobody waits if the measurement has failed.
        let _ = tell.send(outcome);
    });
    Ok(told)
}

struct Traffic<'a> {
    poll: Poll,
    links: Vec<Paced>,
    frame: &'a [u8],
    replies: [&'a [u8]; 2],
    buffer: Vec<u8>,
    rate: u32,
    begun: Instant,
    /// The next message.
    next: u64,
}

/// A connection that sends when it is time. Its n-th message is due at a time that n tells.
struct Paced {
    link: Link,
    /// Messages that came back, and the beginning of one.
    received: u64,
    came: Vec<u8>,
    /// The longest latency since a stretch began.
    longest: Duration,
    /// The version that answered last.
    version: usize,
}

impl<'a> Traffic<'a> {
    fn new(
        way: &Way,
        exchange: &'a Exchange,
        swaps: Swaps,
        versions: &'a [Version; 2],
    ) -> anyhow::Result<Self> {
        let replies = versions.each_ref().map(|version| version.reply.as_slice());
        ensure!(
            replies[0].len() == replies[1].len() && replies[0] != replies[1],
            "answers are of one length and not the same"
        );
        let links = open(way, swaps.connections)?;
        let poll = Poll::new()?;
        for (index, link) in links.iter().enumerate() {
            poll.add(link, index)?;
        }
        let links = links.into_iter().map(|link| Paced {
            link,
            received: 0,
            came: Vec::with_capacity(2 * replies[0].len()),
            longest: Duration::ZERO,
            version: 0,
        });
        Ok(Self {
            poll,
            links: links.collect(),
            frame: &exchange.frame,
            replies,
            buffer: vec![0; 64 * 1024],
            rate: swaps.rate,
            begun: Instant::now(),
            next: 0,
        })
    }

    /// Begins to look for the longest latency.
    fn begin(&mut self) {
        for paced in &mut self.links {
            paced.longest = Duration::ZERO;
        }
    }

    fn longest(&self) -> Vec<Duration> {
        self.links.iter().map(|paced| paced.longest).collect()
    }

    fn due(&self, message: u64) -> Instant {
        self.begun + Duration::from_nanos(message * 1_000_000_000 / u64::from(self.rate))
    }

    /// Goes on for some time, or until a swap is over.
    fn during(&mut self, time: Duration, asked: &mut Option<Asked>) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        let count = self.links.len() as u64;
        loop {
            // It does not sleep between messages: the time to wake up would count as the server's.
            self.poll.wait(Duration::ZERO)?;
            for n in 0..self.poll.count() {
                let ready = self.poll.ready(n);
                if ready.readable {
                    self.take(ready.index)?;
                }
            }
            let now = Instant::now();
            while self.due(self.next) <= now {
                let index = (self.next % count) as usize;
                if self.links[index].link.write(self.frame)? < self.frame.len() {
                    bail!("a small message does not fit into a socket");
                }
                self.next += 1;
            }
            if let Some(asked) = asked {
                self.look(asked, now)?;
                if asked.done().is_some() {
                    return Ok(());
                }
            }
            if now >= end {
                return Ok(());
            }
        }
    }

    fn take(&mut self, index: usize) -> anyhow::Result<()> {
        loop {
            let read = match self.links[index].link.read(&mut self.buffer)? {
                None => return Ok(()),
                Some(0) => bail!("the server closed a connection"),
                Some(read) => read,
            };
            let now = Instant::now();
            self.links[index]
                .came
                .extend_from_slice(&self.buffer[..read]);
            let length = self.replies[0].len();
            while self.links[index].came.len() >= length {
                let number = self.links[index].received * self.links.len() as u64 + index as u64;
                let due = self.due(number);
                let paced = &mut self.links[index];
                let mut replies = self.replies.iter();
                let version = replies.position(|reply| *reply == &paced.came[..length]);
                paced.version = version.context("the server sent what no version answers")?;
                paced.came.drain(..length);
                paced.received += 1;
                paced.longest = paced.longest.max(now.saturating_duration_since(due));
            }
        }
    }

    /// How far a swap has come.
    fn look(&self, asked: &mut Asked, now: Instant) -> anyhow::Result<()> {
        let has_new = |paced: &Paced| paced.version == asked.new;
        if asked.answered.is_none() && self.links.iter().any(has_new) {
            asked.answered = Some(now);
        }
        if asked.answered.is_some()
            && asked.all_answered.is_none()
            && self.links.iter().all(has_new)
        {
            asked.all_answered = Some(now);
        }
        if asked.kept.is_none() {
            asked.kept = match asked.reply.try_recv() {
                Ok(kept) => Some(kept?),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => bail!("nobody waits for the server's answer"),
            };
        }
        Ok(())
    }
}

const WARM_UP: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);
