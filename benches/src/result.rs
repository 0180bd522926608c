//! What came out, in the form that the JSON report has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// Everything that a run found out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    /// Connections were this many times fewer than the scenarios' names say.
    pub(crate) fewer: usize,
    /// Name to version; those that are missing, name to reason.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) missing: BTreeMap<String, String>,
    pub(crate) scenarios: Vec<Outcome>,
}

impl Results {
    /// The scenario of this name, if it was measured.
    pub(crate) fn scenario(&self, name: &str) -> Option<&Outcome> {
        self.scenarios.iter().find(|outcome| outcome.name == name)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) commit: String,
    pub(crate) date: String,
    /// Processes that wanted a core, over the last minute, when the run began and ended: what was there beside it.
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
    /// Server and load generator had a core each.
    pub(crate) pinned: bool,
}

/// One scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) base: String,
    /// In the order in which they were taken.
    pub(crate) samples: Vec<Sample>,
    /// Peer to reason.
    pub(crate) failed: BTreeMap<String, String>,
}

/// One peer in one round. Every figure that was taken, by its name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) peer: String,
    pub(crate) round: usize,
    pub(crate) figures: BTreeMap<Figure, f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// Processor time of the server for each message, in nanoseconds.
    CpuNs,
    /// Messages per second.
    Rate,
    /// Latency in microseconds.
    P50Us,
    P90Us,
    P99Us,
    P999Us,
    MaxUs,
    /// Processor time of the load generator for each message, in nanoseconds, and the part of it outside the kernel.
    LoaderCpuNs,
    LoaderUserNs,
    /// Share of one core that the server and the load generator took.
    ServerBusy,
    LoaderBusy,
    /// Resident memory and page tables for each idle connection, in bytes.
    IdleBytes,
    IdlePageTableBytes,
    /// Connections that were held.
    Held,
    /// Median latency and processor time of 100 active connections beside the idle ones, to those without.
    ActiveP50Ratio,
    ActiveCpuRatio,
    /// From the start of the process to its first connection, in milliseconds.
    StartUpMs,
    /// From there to the answer to a first message.
    AnswerMs,
    /// Both with an empty cache of compiled components.
    ColdStartUpMs,
    ColdAnswerMs,
    /// From the request for a new version of the handler to its first answer, median and largest over the swaps of a round, in milliseconds;
    /// and of the first swap, for which the version had to be compiled.
    SwapMs,
    SwapMaxMs,
    SwapColdMs,
    /// Until every connection has had an answer of it, and until it has survived its trial; medians.
    SwapAllMs,
    SwapKeptMs,
    /// The longest latency of each connection during a swap, over connections and swaps, in microseconds; and in a stretch as long without
    /// one.
    PauseP50Us,
    PauseP99Us,
    PauseMaxUs,
    CalmP50Us,
    CalmP99Us,
    CalmMaxUs,
    /// Processor time of the server from a connection to the answer to its first message, with a shared instance and with an instance of
    /// its own, and the difference.
    OpenCpuNs,
    OpenOwnCpuNs,
    InstanceCpuNs,
    /// How long that took, in microseconds.
    OpenP50Us,
    OpenP99Us,
    OpenOwnP50Us,
    OpenOwnP99Us,
}

impl Outcome {
    /// Nothing is measured yet.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            base: scenario.base.to_owned(),
            samples: Vec::new(),
            failed: BTreeMap::new(),
        }
    }

    /// How many rounds were taken.
    pub(crate) fn rounds(&self) -> usize {
        let rounds = self.samples.iter().map(|sample| sample.round + 1);
        rounds.max().unwrap_or_default()
    }

    /// How many workers its servers had, where that is what was measured.
    pub(crate) fn workers(&self) -> Option<usize> {
        self.name.strip_prefix("workers-")?.parse().ok()
    }

    /// The figures of a peer, by round.
    fn by_round(&self, peer: &str, figure: Figure) -> BTreeMap<usize, f64> {
        let samples = self.samples.iter().filter(|sample| sample.peer == peer);
        samples
            .filter_map(|sample| Some((sample.round, *sample.figures.get(&figure)?)))
            .collect()
    }

    /// The median over the rounds.
    pub(crate) fn median(&self, peer: &str, figure: Figure) -> Option<f64> {
        median(self.by_round(peer, figure).into_values().collect())
    }

    /// The least and the largest.
    pub(crate) fn range(&self, peer: &str, figure: Figure) -> Option<(f64, f64)> {
        let values: Vec<f64> = self.by_round(peer, figure).into_values().collect();
        let least = values.iter().copied().reduce(f64::min)?;
        let largest = values.iter().copied().reduce(f64::max)?;
        Some((least, largest))
    }

    /// The median of the ratios of each round: what disturbs a round disturbs both.
    pub(crate) fn ratio(&self, peer: &str, base: &str, figure: Figure) -> Option<f64> {
        self.paired(peer, base, figure, |peer, base| peer / base)
    }

    /// The same of one peer in two scenarios that were measured in the same rounds.
    pub(crate) fn ratio_to(&self, other: &Self, peer: &str, figure: Figure) -> Option<f64> {
        let (own, base) = (self.by_round(peer, figure), other.by_round(peer, figure));
        median(pairs(own, &base, |own, base| own / base))
    }

    /// The median of the differences of each round.
    pub(crate) fn difference(&self, peer: &str, base: &str, figure: Figure) -> Option<f64> {
        self.paired(peer, base, figure, |peer, base| peer - base)
    }

    fn paired(
        &self,
        peer: &str,
        base: &str,
        figure: Figure,
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let (peer, base) = (self.by_round(peer, figure), self.by_round(base, figure));
        median(pairs(peer, &base, compare))
    }

    /// The peers that were measured, those that are cheapest first.
    pub(crate) fn peers(&self, by: Figure) -> Vec<&str> {
        let mut peers: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !peers.contains(&sample.peer.as_str()) {
                peers.push(&sample.peer);
            }
        }
        peers.sort_by(|a, b| {
            let of = |peer| self.median(peer, by).unwrap_or(f64::INFINITY);
            of(a).total_cmp(&of(b))
        });
        peers
    }
}

/// What comparing the values of each round gives, where both sides have one.
fn pairs(
    values: BTreeMap<usize, f64>,
    base: &BTreeMap<usize, f64>,
    compare: impl Fn(f64, f64) -> f64,
) -> Vec<f64> {
    let pairs = values.into_iter();
    let pairs = pairs.filter_map(|(round, value)| Some(compare(value, *base.get(&round)?)));
    pairs.collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(samples: &[(&str, usize, f64)]) -> Outcome {
        Outcome {
            name: String::new(),
            title: String::new(),
            base: String::new(),
            samples: samples
                .iter()
                .map(|&(peer, round, value)| Sample {
                    peer: peer.to_owned(),
                    round,
                    figures: BTreeMap::from([(Figure::CpuNs, value)]),
                })
                .collect(),
            failed: BTreeMap::new(),
        }
    }

    #[test]
    fn ratio_compares_within_a_round_and_leaves_out_rounds_that_one_missed() {
        // The machine was twice as slow in round 1; medians of each alone would be 200 and 100.
        let outcome = outcome(&[
            ("a", 0, 120.0),
            ("b", 0, 100.0),
            ("a", 1, 240.0),
            ("b", 1, 200.0),
            ("a", 2, 999.0),
        ]);
        assert_eq!(outcome.ratio("a", "b", Figure::CpuNs), Some(1.2));
        assert_eq!(outcome.difference("a", "b", Figure::CpuNs), Some(30.0));
        assert_eq!(outcome.median("a", Figure::CpuNs), Some(240.0));
        assert_eq!(outcome.ratio("a", "c", Figure::CpuNs), None);
        assert_eq!(outcome.peers(Figure::CpuNs), ["b", "a"]);
    }
}
