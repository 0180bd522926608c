//! What is no traffic: starting, a new version of the handler, an instance.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hdrhistogram::Histogram;

use crate::link::{Link, Way};
use crate::load::Exchange;
use crate::load::swap::{self, Swaps, Version};
use crate::peers::{Ask, Peer};
use crate::process::{Accounts, Server};
use crate::result::Figure;
use crate::run::{START_UP, Session};
use crate::scenario::Scenario;
use crate::traffic::Message;

type Figures = BTreeMap<Figure, f64>;

impl Session {
    /// Starts a server; wsrun with an empty cache of compiled components, and then with what that start has left there.
    pub(crate) fn starts(
        &self,
        scenario: &Scenario,
        peer: &Peer,
        cores: Option<Range<usize>>,
    ) -> anyhow::Result<Figures> {
        let compiled = tempfile::tempdir()?;
        let start = || {
            let more = peer.compiles().then_some(compiled.path());
            self.start(scenario, peer, cores.clone(), more)
        };
        let mut figures = Figures::new();
        if peer.compiles() {
            let (listens, answers) = start()?;
            figures.insert(Figure::ColdStartUpMs, milliseconds(listens));
            figures.insert(Figure::ColdAnswerMs, milliseconds(answers));
        }
        let (listens, answers) = start()?;
        figures.insert(Figure::StartUpMs, milliseconds(listens));
        figures.insert(Figure::AnswerMs, milliseconds(answers));
        Ok(figures)
    }

    /// How long until it listens, and until it has answered a message.
    fn start(
        &self,
        scenario: &Scenario,
        peer: &Peer,
        cores: Option<Range<usize>>,
        compiled: Option<&Path>,
    ) -> anyhow::Result<(Duration, Duration)> {
        let server = Server::start(cores, &self.log(), START_UP, |port| {
            let mut command = self.places.command(peer, scenario.asks, None, port);
            if let Some(compiled) = compiled {
                command.arg("--cache-dir").arg(compiled);
            }
            command
        })?;
        let message = Message::plain(scenario.size, peer.is_of_lines());
        let way = plain(&server, peer);
        Exchange::learn(&way, &message, message.frame.clone())?;
        Ok((server.start_up, server.began.elapsed()))
    }

    /// Replaces the handler again and again while there is traffic.
    pub(crate) fn swaps(
        &self,
        scenario: &Scenario,
        peer: &Peer,
        swaps: Swaps,
        cores: Option<Range<usize>>,
    ) -> anyhow::Result<Figures> {
        // The first version is found in it, the second is compiled by the first swap.
        let compiled = tempfile::tempdir()?;
        let admin = self.folder.path().join("admin.sock");
        let server = Server::start(cores, &self.log(), START_UP, |port| {
            let mut command = self.places.command(peer, scenario.asks, None, port);
            command.arg("--cache-dir").arg(compiled.path());
            command.arg("--admin").arg(&admin);
            command
        })?;
        let message = Message::plain(scenario.size, false);
        let way = plain(&server, peer);
        let exchange = Exchange::learn(&way, &message, message.frame.clone())?;
        let mut reversed = exchange.reply.clone();
        let head = reversed.len() - scenario.size;
        reversed[head..].reverse();
        let versions = [
            Version {
                component: std::path::absolute(&self.places.handlers.echo)?,
                reply: exchange.reply.clone(),
            },
            Version {
                component: std::path::absolute(&self.places.handlers.reverse)?,
                reply: reversed,
            },
        ];
        let swapped = swap::run(&way, &exchange, swaps, &versions, &admin)?;
        let middle = |of: fn(&swap::Swap) -> Duration| {
            let mut times: Vec<Duration> = swapped.others.iter().map(of).collect();
            times.sort();
            milliseconds(times[times.len() / 2])
        };
        let longest = swapped.others.iter().map(|swap| swap.answered).max();
        let mut figures = Figures::from([
            (Figure::SwapColdMs, milliseconds(swapped.first.answered)),
            (Figure::SwapMs, middle(|swap| swap.answered)),
            (Figure::SwapMaxMs, milliseconds(longest.unwrap_or_default())),
            (Figure::SwapAllMs, middle(|swap| swap.all_answered)),
            (Figure::SwapKeptMs, middle(|swap| swap.kept)),
        ]);
        let at =
            |latency: &Histogram<u64>, quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        figures.extend([
            (Figure::PauseP50Us, at(&swapped.pauses_ns, 0.5)),
            (Figure::PauseP99Us, at(&swapped.pauses_ns, 0.99)),
            (Figure::PauseMaxUs, at(&swapped.pauses_ns, 1.0)),
            (Figure::CalmP50Us, at(&swapped.calm_ns, 0.5)),
            (Figure::CalmP99Us, at(&swapped.calm_ns, 0.99)),
            (Figure::CalmMaxUs, at(&swapped.calm_ns, 1.0)),
        ]);
        Ok(figures)
    }

    /// Opens connections that share an instance, and as many of which each has its own, and takes the difference.
    pub(crate) fn instances(
        &self,
        scenario: &Scenario,
        peer: &Peer,
        connections: usize,
        cores: Option<&Range<usize>>,
    ) -> anyhow::Result<Figures> {
        let opened = |asks: &[Ask]| -> anyhow::Result<Opened> {
            let server = Server::start(cores.cloned(), &self.log(), START_UP, |port| {
                self.places.command(peer, asks, None, port)
            })?;
            let message = Message::plain(scenario.size, false);
            open(
                &plain(&server, peer),
                &message,
                connections,
                server.process(),
            )
        };
        let shared = opened(&[Ask::Small, Ask::Many])?;
        let own = opened(&[Ask::Small, Ask::Many, Ask::Instances])?;
        let us =
            |opened: &Opened, quantile| opened.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Figures::from([
            (Figure::OpenCpuNs, shared.cpu_ns),
            (Figure::OpenOwnCpuNs, own.cpu_ns),
            (Figure::InstanceCpuNs, own.cpu_ns - shared.cpu_ns),
            (Figure::OpenP50Us, us(&shared, 0.5)),
            (Figure::OpenP99Us, us(&shared, 0.99)),
            (Figure::OpenOwnP50Us, us(&own, 0.5)),
            (Figure::OpenOwnP99Us, us(&own, 0.99)),
        ]))
    }
}

/// What opening a connection took, up to the answer to its first message.
struct Opened {
    cpu_ns: f64,
    latency_ns: Histogram<u64>,
}

/// Opens connections one after the other, and keeps them.
fn open(way: &Way, message: &Message, count: usize, process: u32) -> anyhow::Result<Opened> {
    ensure!(count > 0, "there is to be a connection");
    let exchange = Exchange::learn(way, message, message.frame.clone())?;
    let mut links = Vec::with_capacity(count);
    let mut latency_ns = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let accounts = Accounts::of(process);
    let before = accounts.cpu()?;
    for opened in 0..count {
        let began = Instant::now();
        let open = || -> anyhow::Result<Link> {
            let mut link = Link::open(way)?;
            link.touch(&exchange.frame, &exchange.reply)?;
            Ok(link)
        };
        links.push(open().with_context(|| format!("beside {opened} connections"))?);
        latency_ns.saturating_record(began.elapsed().as_nanos() as u64);
    }
    let took = accounts.cpu()?.saturating_sub(before);
    Ok(Opened {
        cpu_ns: took.as_nanos() as f64 / count as f64,
        latency_ns,
    })
}

fn plain(server: &Server, peer: &Peer) -> Way {
    Way {
        address: server.address,
        tls: None,
        deflate: false,
        raw: peer.is_raw(),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
