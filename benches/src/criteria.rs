//! What the results are held against: each row a claim about wsrun with a sandboxed handler, its bar, and whether it is reached.

use crate::peers::{NATIVE, PEERS, RAW, WSRUN};
use crate::result::{Figure, Results};

/// A claim and what came out.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) point: u8,
    pub(crate) claim: String,
    pub(crate) bar: String,
    /// What was measured; none if it was not.
    pub(crate) value: Option<String>,
    pub(crate) reached: bool,
}

/// Which side of the bar is good.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bar {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
}

/// The rows, in the order of the points.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let mut rows = Rows {
        results,
        rows: Vec::new(),
    };
    let others = || {
        PEERS
            .iter()
            .filter(|peer| ![WSRUN, NATIVE, RAW, "bun"].contains(&peer.name))
    };

    rows.cpu(1, "ping-pong", "bun", Bar::AtMost(1.10));
    rows.cpu(1, "ping-pong", NATIVE, Bar::AtMost(1.10));
    for peer in others() {
        rows.cpu(1, "ping-pong", peer.name, Bar::Below(1.0));
    }
    rows.cpu(2, "window", NATIVE, Bar::AtMost(1.25));
    rows.rate(2, "window", "bun", Bar::AtLeast(0.9));
    for peer in ["ws", "tokio-tungstenite", "gorilla"] {
        rows.rate(2, "window", peer, Bar::AtLeast(10.0));
    }
    rows.cpu(3, "16k", NATIVE, Bar::AtMost(1.10));
    rows.cpu(3, "1m", RAW, Bar::AtMost(1.15));
    rows.cpu(4, "fan-1000", RAW, Bar::AtMost(1.15));
    rows.cpu(4, "fan-15000", RAW, Bar::AtMost(1.15));
    rows.memory("idle", "an idle connection", 2.0);
    rows.memory("idle-tls", "an idle TLS connection", 16.0);
    rows.memory("idle-instance", "a connection with its own instance", 40.0);
    rows.held("idle");
    rows.own(
        5,
        "idle",
        "median latency of 100 active connections beside the idle ones, to without",
        Figure::ActiveP50Ratio,
        Bar::AtMost(1.10),
    );
    rows.sandbox(
        "window",
        "what the sandbox adds to a message in a batch of 32",
        100.0,
    );
    rows.sandbox(
        "ping-pong",
        "what the sandbox adds to a single message",
        450.0,
    );
    rows.cpu(7, "tls", NATIVE, Bar::AtMost(1.15));
    rows.cpu(7, "tls-16k", NATIVE, Bar::AtMost(1.15));
    rows.cpu(7, "deflate", "bun", Bar::AtMost(1.0));
    rows.cpu(7, "deflate", "ws", Bar::AtMost(1.0));
    rows.rows
}

struct Rows<'a> {
    results: &'a Results,
    rows: Vec<Row>,
}

impl Rows<'_> {
    fn cpu(&mut self, point: u8, scenario: &str, to: &str, bar: Bar) {
        let value = self.results.scenario(scenario);
        let value = value.and_then(|outcome| outcome.ratio(WSRUN, to, Figure::CpuNs));
        self.add(
            point,
            format!("{scenario}: CPU per message, to {}", title(to)),
            bar,
            value,
            "x",
        );
    }

    fn rate(&mut self, point: u8, scenario: &str, to: &str, bar: Bar) {
        let value = self.results.scenario(scenario);
        let value = value.and_then(|outcome| outcome.ratio(WSRUN, to, Figure::Rate));
        self.add(
            point,
            format!("{scenario}: messages per second, to {}", title(to)),
            bar,
            value,
            "x",
        );
    }

    fn memory(&mut self, scenario: &str, what: &str, kibibytes: f64) {
        let value = self.results.scenario(scenario);
        let value = value.and_then(|outcome| outcome.median(WSRUN, Figure::IdleBytes));
        let value = value.map(|bytes| bytes / 1024.0);
        self.add(
            5,
            format!("memory of {what}"),
            Bar::AtMost(kibibytes),
            value,
            " KiB",
        );
    }

    fn held(&mut self, scenario: &str) {
        let value = self.results.scenario(scenario);
        let value = value.and_then(|outcome| outcome.median(WSRUN, Figure::Held));
        self.add(
            5,
            "idle connections held".to_owned(),
            Bar::AtLeast(15_000.0),
            value,
            "",
        );
    }

    fn own(&mut self, point: u8, scenario: &str, claim: &str, figure: Figure, bar: Bar) {
        let value = self.results.scenario(scenario);
        let value = value.and_then(|outcome| outcome.median(WSRUN, figure));
        self.add(point, claim.to_owned(), bar, value, "x");
    }

    fn sandbox(&mut self, scenario: &str, claim: &str, nanoseconds: f64) {
        let value = self.results.scenario(scenario);
        let value = value.and_then(|outcome| outcome.difference(WSRUN, NATIVE, Figure::CpuNs));
        let claim = format!("{scenario}: {claim} (CPU, sandboxed less native)");
        self.add(6, claim, Bar::AtMost(nanoseconds), value, " ns");
    }

    fn add(&mut self, point: u8, claim: String, bar: Bar, value: Option<f64>, unit: &str) {
        let digits = if unit == "x" {
            2
        } else {
            usize::from(unit == " KiB")
        };
        let show = |value: f64| format!("{value:.digits$}{unit}");
        let reached = value.is_some_and(|value| match bar {
            Bar::AtMost(most) => value <= most,
            Bar::AtLeast(least) => value >= least,
            Bar::Below(limit) => value < limit,
        });
        let bar = match bar {
            Bar::AtMost(most) => format!("at most {}", show(most)),
            Bar::AtLeast(least) => format!("at least {}", show(least)),
            Bar::Below(limit) => format!("below {}", show(limit)),
        };
        self.rows.push(Row {
            point,
            claim,
            bar,
            value: value.map(show),
            reached,
        });
    }
}

/// What the report calls a peer.
pub(crate) fn title(peer: &str) -> &str {
    let mut peers = PEERS.iter();
    peers
        .find(|known| known.name == peer)
        .map_or(peer, |known| known.title)
}
