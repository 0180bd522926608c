//! What is measured.

use std::time::Duration;

use crate::load::echo::Pace;
use crate::load::swap::Swaps;
use crate::peers::{Ask, Peer};

/// One kind of load on every server that can take it.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) asks: &'static [Ask],
    /// The size of a message in bytes.
    pub(crate) size: usize,
    pub(crate) load: Load,
    /// The server that others are compared with, where it can take this.
    pub(crate) base: &'static str,
    /// Measured with these servers alone.
    pub(crate) among: Option<&'static [&'static str]>,
    /// Worker threads of the server, where that is what is measured. Such a server has the first so many cores.
    pub(crate) workers: Option<usize>,
}

impl Scenario {
    /// Whether a server is measured in it.
    pub(crate) fn suits(&self, peer: &Peer) -> bool {
        let is_asked = |among: &[&str]| among.contains(&peer.name);
        peer.can(self.asks) && self.among.is_none_or(is_asked)
    }

    /// Whether both are measured in the same rounds, because one is compared with the other.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        self.workers.is_some() && other.workers.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Load {
    Echo { connections: usize, pace: Pace },
    Fan { subscribers: usize },
    Idle { connections: usize, active: bool },
    Churn { at_a_time: usize },
    Start,
    Swaps(Swaps),
    Instances { connections: usize },
}

/// How thorough a run is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    /// Connections are this many times fewer.
    pub(crate) fewer: usize,
    /// Messages per second of the fixed rate.
    pub(crate) rate: u32,
    /// The largest number of workers that is tried.
    pub(crate) workers_max: usize,
}

/// All scenarios.
pub(crate) fn scenarios(effort: &Effort) -> Vec<Scenario> {
    use Ask::{Deflate, Fan, Handshakes, Instances, Large, Many, Small, Tls};
    use Load::{Churn, Echo, Idle};
    let scaled = |count: usize| (count / effort.fewer).max(10);
    let echo = |connections, window| Echo {
        connections,
        pace: Pace::Burst(window),
    };
    let fan = |subscribers| Load::Fan { subscribers };
    let idle = |connections, active| Idle {
        connections,
        active,
    };
    let (thousand, many) = (scaled(1_000), scaled(15_000));
    let (tls, instances) = (scaled(4_000), scaled(4_000));
    let ours: &[&str] = &["wsrun", "native", "raw", "bun"];
    let mut list: Vec<Scenario> = Vec::new();
    let mut add = |name: &str, title: String, asks, size, load, base, among| {
        list.push(Scenario {
            name: name.to_owned(),
            title,
            asks,
            size,
            load,
            base,
            among,
            workers: None,
        });
    };
    add(
        "ping-pong",
        "Ping-pong: 100 connections, 20 B".into(),
        &[Small],
        20,
        echo(100, 1),
        "bun",
        None,
    );
    add(
        "window",
        "Window: 100 connections, bursts of 32 messages of 20 B".into(),
        &[Small],
        20,
        echo(100, 32),
        "bun",
        None,
    );
    add(
        "16k",
        "16 KiB messages: 100 connections".into(),
        &[Large],
        16 * 1024,
        echo(100, 1),
        "bun",
        None,
    );
    add(
        "1m",
        "1 MiB messages: 4 connections".into(),
        &[Large],
        1024 * 1024,
        echo(4, 1),
        "raw",
        None,
    );
    add(
        "deflate",
        "permessage-deflate: 100 connections, 1 KiB of JSON, no context takeover".into(),
        &[Deflate],
        1024,
        echo(100, 1),
        "bun",
        None,
    );
    add(
        "tls",
        "TLS ping-pong: 100 connections, 20 B".into(),
        &[Tls],
        20,
        echo(100, 1),
        "native",
        None,
    );
    add(
        "tls-16k",
        "TLS, 16 KiB messages: 100 connections".into(),
        &[Tls],
        16 * 1024,
        echo(100, 1),
        "native",
        None,
    );
    add(
        "fan-10",
        "Fan-out: 24 B to 10 subscribers".into(),
        &[Fan],
        24,
        fan(10),
        "raw",
        None,
    );
    add(
        "fan-1000",
        format!("Fan-out: 24 B to {thousand} subscribers"),
        &[Fan, Many],
        24,
        fan(thousand),
        "raw",
        None,
    );
    add(
        "fan-15000",
        format!("Fan-out: 24 B to {many} subscribers"),
        &[Fan, Many],
        24,
        fan(many),
        "raw",
        None,
    );
    add(
        "rate",
        format!(
            "Fixed rate: {} messages of 20 B a second on 100 connections",
            effort.rate
        ),
        &[Small],
        20,
        Echo {
            connections: 100,
            pace: Pace::Rate(effort.rate),
        },
        "bun",
        None,
    );
    add(
        "churn",
        "Churn: connect, one message and its echo, close; 32 at a time".into(),
        &[Handshakes],
        20,
        Churn { at_a_time: 32 },
        "bun",
        None,
    );
    add(
        "open-10",
        "Ping-pong on 10 connections, 20 B".into(),
        &[Small, Many],
        20,
        echo(10, 1),
        "bun",
        Some(ours),
    );
    add(
        "open-1000",
        format!("Ping-pong on {thousand} connections, 20 B"),
        &[Small, Many],
        20,
        echo(thousand, 1),
        "bun",
        Some(ours),
    );
    add(
        "open-15000",
        format!("Ping-pong on {many} connections, 20 B"),
        &[Small, Many],
        20,
        echo(many, 1),
        "bun",
        Some(ours),
    );
    add(
        "idle",
        format!("{many} idle connections, and 100 that are active"),
        &[Small, Many],
        20,
        idle(many, true),
        "bun",
        None,
    );
    add(
        "idle-tls",
        format!("{tls} idle connections over TLS"),
        &[Tls, Many],
        20,
        idle(tls, false),
        "bun",
        None,
    );
    add(
        "idle-deflate",
        format!("{tls} idle connections with permessage-deflate"),
        &[Deflate, Many],
        1024,
        idle(tls, false),
        "bun",
        None,
    );
    add(
        "idle-instance",
        format!("{instances} idle connections, each with an instance of the handler"),
        &[Instances, Many],
        20,
        idle(instances, false),
        "wsrun",
        None,
    );
    add(
        "start",
        "Start-up".into(),
        &[Small],
        20,
        Load::Start,
        "wsrun",
        None,
    );
    let swaps = Swaps {
        count: if effort.fewer > 1 { 5 } else { 21 },
        connections: 100,
        rate: effort.rate,
    };
    add(
        "swap",
        format!(
            "A new version of the handler: {} connections, {} messages a second, {} swaps",
            swaps.connections,
            swaps.rate,
            swaps.count - 1
        ),
        &[Small, Ask::Swaps],
        20,
        Load::Swaps(swaps),
        "wsrun",
        None,
    );
    add(
        "instances",
        format!("An instance: {instances} connections, sharing one and with one each"),
        &[Small, Many, Instances],
        20,
        Load::Instances {
            connections: instances,
        },
        "wsrun",
        None,
    );
    let at = list.iter().position(|scenario| scenario.name == "idle");
    let at = at.unwrap_or(list.len());
    list.splice(at..at, workers(effort.workers_max));
    list
}

/// One worker, two, and so on in doubles to as many as there are cores. The load is the one that leaves most of the machine to the server.
fn workers(most: usize) -> Vec<Scenario> {
    let mut counts: Vec<usize> = std::iter::successors(Some(1), |count| Some(count * 2))
        .take_while(|&count| count < most)
        .collect();
    counts.push(most);
    let of = |count| Scenario {
        name: format!("workers-{count}"),
        title: format!(
            "{count} worker{}: 100 connections, bursts of 32 messages of 20 B",
            if count == 1 { "" } else { "s" }
        ),
        asks: &[Ask::Small, Ask::Workers],
        size: 20,
        load: Load::Echo {
            connections: 100,
            pace: Pace::Burst(32),
        },
        base: "native",
        among: None,
        workers: Some(count),
    };
    counts.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_counts_double_and_end_with_the_cores() {
        let counts = |most| -> Vec<Option<usize>> {
            let scenarios = workers(most).into_iter();
            scenarios.map(|scenario| scenario.workers).collect()
        };
        assert_eq!(counts(1), [Some(1)]);
        assert_eq!(counts(2), [Some(1), Some(2)]);
        assert_eq!(counts(6), [Some(1), Some(2), Some(4), Some(6)]);
    }
}
