//! Rounds: every server in turn, over and over, each time a new process.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::link::{Way, client_config};
use crate::load::{Exchange, Times, churn, echo, fan, idle};
use crate::meter::Measured;
use crate::peers::{Ask, Peer, Places};
use crate::process::{Placement, Server};
use crate::result::{Figure, Outcome, Sample};
use crate::scenario::{Effort, Load, Scenario};
use crate::traffic::Message;

/// What all measurements of a run share.
pub(crate) struct Session {
    pub(crate) places: Places,
    pub(crate) effort: Effort,
    pub(crate) placement: Placement,
    /// For what servers print, and certificates.
    pub(crate) folder: tempfile::TempDir,
    client: std::sync::Arc<rustls::ClientConfig>,
}

impl Session {
    pub(crate) fn new(
        mut places: Places,
        effort: Effort,
        placement: Placement,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()])?;
        places.certificate = folder.path().join("certificate.pem");
        places.key = folder.path().join("key.pem");
        fs::write(&places.certificate, cert.pem())?;
        fs::write(&places.key, signing_key.serialize_pem())?;
        Ok(Self {
            places,
            effort,
            placement,
            folder,
            client: client_config(cert.der().clone())?,
        })
    }

    /// All rounds of scenarios that belong together, mostly one. A server that fails once is not tried again.
    pub(crate) fn scenarios(
        &self,
        scenarios: &[Scenario],
        peers: &[&Peer],
        say: impl Fn(&str),
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = scenarios.iter().map(Outcome::of).collect();
        for round in 0..self.effort.rounds {
            // Each round begins with another, so that none always follows the same one.
            for n in 0..peers.len() {
                let peer = peers[(n + round) % peers.len()];
                for (scenario, outcome) in scenarios.iter().zip(&mut outcomes) {
                    let fits = scenario.suits(peer) && !outcome.failed.contains_key(peer.name);
                    if !fits {
                        continue;
                    }
                    match self.measure(scenario, peer) {
                        Ok(figures) => {
                            say(&line(scenario, peer, round, &figures));
                            outcome.samples.push(Sample {
                                peer: peer.name.to_owned(),
                                round,
                                figures,
                            });
                        }
                        Err(error) => {
                            let reason = format!("{error:#}");
                            say(&format!(
                                "{:<14} {:<18} FAILED: {reason}",
                                scenario.name, peer.name
                            ));
                            outcome.failed.insert(peer.name.to_owned(), reason);
                        }
                    }
                }
            }
        }
        outcomes
    }

    fn measure(&self, scenario: &Scenario, peer: &Peer) -> anyhow::Result<BTreeMap<Figure, f64>> {
        let cores = self.placement.of(scenario.workers)?;
        match scenario.load {
            Load::Start => self.starts(scenario, peer, cores),
            Load::Swaps(swaps) => self.swaps(scenario, peer, swaps, cores),
            Load::Instances { connections } => {
                self.instances(scenario, peer, connections, cores.as_ref())
            }
            Load::Echo { .. } | Load::Fan { .. } | Load::Idle { .. } | Load::Churn { .. } => {
                self.traffic(scenario, peer, cores)
            }
        }
    }

    /// Where what a server prints goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    fn traffic(
        &self,
        scenario: &Scenario,
        peer: &Peer,
        cores: Option<Range<usize>>,
    ) -> anyhow::Result<BTreeMap<Figure, f64>> {
        let asks = scenario.asks;
        let server = Server::start(cores, &self.log(), START_UP, |port| {
            self.places.command(peer, asks, scenario.workers, port)
        })?;
        let way = Way {
            address: server.address,
            tls: asks.contains(&Ask::Tls).then(|| self.client.clone()),
            deflate: asks.contains(&Ask::Deflate),
            raw: peer.is_raw(),
        };
        let message = if way.deflate {
            Message::deflated(scenario.size)?
        } else {
            Message::plain(scenario.size, peer.is_of_lines())
        };
        let frame = if peer.is_raw() && asks.contains(&Ask::Fan) {
            message.as_server_frame()
        } else {
            message.frame.clone()
        };
        let exchange = Exchange::learn(&way, &message, frame)?;
        let times = Times {
            warm_up: self.effort.warm_up,
            measure: self.effort.measure,
        };
        let process = server.process();
        let mut figures = match scenario.load {
            Load::Echo { connections, pace } => figures(&echo::run(
                &way,
                &exchange,
                connections,
                pace,
                times,
                process,
            )?),
            Load::Fan { subscribers } => {
                figures(&fan::run(&way, &exchange, subscribers, times, process)?)
            }
            Load::Churn { at_a_time } => {
                figures(&churn::run(&way, &exchange, at_a_time, times, process)?)
            }
            Load::Idle {
                connections,
                active,
            } => idle_figures(
                &idle::run(&way, &exchange, connections, active, times, process)?,
                connections,
            ),
            Load::Start | Load::Swaps(_) | Load::Instances { .. } => {
                unreachable!("they are measured otherwise")
            }
        };
        figures.insert(Figure::StartUpMs, server.start_up.as_secs_f64() * 1e3);
        Ok(figures)
    }
}

/// How long a server may take to start.
pub(crate) const START_UP: Duration = Duration::from_secs(60);

fn figures(measured: &Measured) -> BTreeMap<Figure, f64> {
    let messages = measured.messages as f64;
    let per_message = |time: Duration| time.as_nanos() as f64 / messages;
    let wall = measured.wall.as_secs_f64();
    let loader = measured.loader_user + measured.loader_system;
    let mut figures = BTreeMap::from([
        (Figure::Rate, messages / wall),
        (Figure::ServerBusy, measured.server_cpu.as_secs_f64() / wall),
        (Figure::LoaderBusy, loader.as_secs_f64() / wall),
    ]);
    // Nothing at all in the time: there is no "each".
    if measured.messages > 0 {
        // Replies that were already on their way when the time began, and nothing since: too short to tell.
        if !measured.server_cpu.is_zero() {
            figures.insert(Figure::CpuNs, per_message(measured.server_cpu));
        }
        figures.extend([
            (Figure::LoaderCpuNs, per_message(loader)),
            (Figure::LoaderUserNs, per_message(measured.loader_user)),
        ]);
        let at = |quantile| measured.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
        figures.extend([
            (Figure::P50Us, at(0.5)),
            (Figure::P90Us, at(0.9)),
            (Figure::P99Us, at(0.99)),
            (Figure::P999Us, at(0.999)),
            (Figure::MaxUs, measured.latency_ns.max() as f64 / 1e3),
        ]);
    }
    figures
}

fn idle_figures(idle: &idle::Idle, connections: usize) -> BTreeMap<Figure, f64> {
    let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
    let mut figures = BTreeMap::from([
        (
            Figure::IdleBytes,
            each(idle.before.resident, idle.after.resident),
        ),
        (
            Figure::IdlePageTableBytes,
            each(idle.before.page_tables, idle.after.page_tables),
        ),
        (Figure::Held, connections as f64),
    ]);
    if let Some((alone, beside)) = &idle.active {
        let (alone, beside) = (self::figures(alone), self::figures(beside));
        let ratio = |figure| Some(beside.get(&figure)? / alone.get(&figure)?);
        if let Some(ratio) = ratio(Figure::P50Us) {
            figures.insert(Figure::ActiveP50Ratio, ratio);
        }
        if let Some(ratio) = ratio(Figure::CpuNs) {
            figures.insert(Figure::ActiveCpuRatio, ratio);
        }
    }
    figures
}

fn line(scenario: &Scenario, peer: &Peer, round: usize, figures: &BTreeMap<Figure, f64>) -> String {
    let figure = |figure| figures.get(&figure).copied();
    let mut line = format!(
        "{:<14} {:<18} round {}",
        scenario.name,
        peer.name,
        round + 1
    );
    let mut add = |value: Option<f64>, unit: &str| {
        if let Some(value) = value {
            line += &format!("  {value:>10.0} {unit}");
        }
    };
    add(figure(Figure::CpuNs), "ns CPU");
    add(figure(Figure::Rate), "per s");
    add(figure(Figure::P50Us), "us p50");
    add(figure(Figure::LoaderCpuNs), "ns loader");
    add(figure(Figure::LoaderUserNs), "ns of it user");
    add(figure(Figure::IdleBytes), "B idle");
    add(figure(Figure::ColdAnswerMs), "ms to an answer, cold");
    add(figure(Figure::AnswerMs), "ms to an answer");
    add(figure(Figure::SwapMs), "ms to swap");
    add(figure(Figure::PauseMaxUs), "us pause at most");
    add(figure(Figure::InstanceCpuNs), "ns CPU for an instance");
    line
}
