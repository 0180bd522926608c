//! The metrics as text for Prometheus.

use std::fmt;
use std::sync::Arc;
use wsrun_contract::{Limit, Setting};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use wsrun_metrics::{FailureKind, HandlerTally, RefusalReason, Tallies};

/// Returns all metrics in the text format of OpenMetrics 1.0, which Prometheus reads.
pub(crate) fn exposition(tallies: &Arc<Tallies>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(Arc::clone(tallies))));
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = text::encode(&mut out, &registry);
    out
}

#[derive(Debug)]
struct Collected(Arc<Tallies>);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn in_format(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
        }
    }
}

type ReadValue = fn(&HandlerTally) -> u64;

/// Name, help and value of each counter that every handler has. The format adds `_total` to the
/// names.
const COUNTERS: &[(&str, &str, ReadValue)] = &[
    (
        "wsrun_connections_opened",
        "Connections of the handler, those that it makes included",
        |tally| tally.opened.get(),
    ),
    (
        "wsrun_messages_received",
        "Messages that were read",
        |tally| tally.messages_in.get(),
    ),
    (
        "wsrun_messages_sent",
        "Messages that were queued to be sent, published ones counted for each subscriber",
        |tally| tally.messages_out.get(),
    ),
    (
        "wsrun_messages_dropped",
        "Published messages that a policy for slow subscribers left out",
        |tally| tally.dropped.get(),
    ),
    (
        "wsrun_received_bytes",
        "Bytes of frames that were read",
        |tally| tally.bytes_in.get(),
    ),
    (
        "wsrun_sent_bytes",
        "Bytes of frames that were written",
        |tally| tally.bytes_out.get(),
    ),
    (
        "wsrun_auto_replies",
        "Messages that were answered without the handler",
        |tally| tally.auto_replies.get(),
    ),
    (
        "wsrun_callbacks",
        "Callbacks of events that went well",
        |tally| tally.callbacks.get(),
    ),
    ("wsrun_instances", "Instances that were made", |tally| {
        tally.instances.get()
    }),
    (
        "wsrun_hibernations",
        "Instances that were let go because nothing happened",
        |tally| tally.hibernations.get(),
    ),
    (
        "wsrun_back_offs",
        "Times that the handler was left alone because it failed again and again, on each worker",
        |tally| tally.back_offs.get(),
    ),
    (
        "wsrun_swaps",
        "Takeovers by a new version, on each worker",
        |tally| tally.swaps.get(),
    ),
    (
        "wsrun_swaps_given_up",
        "New versions that were given up, on each worker",
        |tally| tally.swaps_given_up.get(),
    ),
];

/// Name, help and value of each gauge that every handler has.
const GAUGES: &[(&str, &str, ReadValue)] = &[
    (
        "wsrun_connections",
        "Open connections, those that are being made or closed included",
        |tally| tally.connections.get() as u64,
    ),
    (
        "wsrun_backed_off_workers",
        "Workers on which the handler is left alone because it failed again and again",
        |tally| tally.backed_off.get() as u64,
    ),
    (
        "wsrun_queued_bytes",
        "Bytes that wait to be written",
        |tally| tally.queued_bytes.get() as u64,
    ),
    (
        "wsrun_event_bytes",
        "Bytes of events that wait for the handler",
        |tally| tally.event_bytes.get() as u64,
    ),
    ("wsrun_session_bytes", "Session data", |tally| {
        tally.session_bytes.get() as u64
    }),
    (
        "wsrun_live_instances",
        "Instances that there are, spare ones included",
        |tally| tally.live_instances.get() as u64,
    ),
    (
        "wsrun_memory_bytes",
        "Memories and tables of the handler's instances",
        |tally| tally.memory_bytes.get() as u64,
    ),
];

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let tallies = &self.0;
        for (name, help, of) in COUNTERS {
            let values = per_handler(tallies, *of);
            family(&mut encoder, name, help, Kind::Counter, values)?;
        }
        for (name, help, of) in GAUGES {
            let values = per_handler(tallies, *of);
            family(&mut encoder, name, help, Kind::Gauge, values)?;
        }
        let code = tallies.names.iter().enumerate();
        let code = code.map(|(position, name)| {
            let labels = vec![("handler", name.as_str())];
            (labels, tallies.code_bytes(position))
        });
        family(
            &mut encoder,
            "wsrun_code_bytes",
            "Machine code and what belongs to it of the handler's versions that are loaded, on all workers together",
            Kind::Gauge,
            code,
        )?;
        let failures = FailureKind::ALL.map(|kind| (kind.name(), kind as usize));
        labelled(
            &mut encoder,
            tallies,
            "wsrun_callbacks_failed",
            "Callbacks that failed and had no effect, and instances that did not start",
            "kind",
            &failures,
            |tally, at| tally.failures[at].get(),
        )?;
        let limits = Limit::ALL.map(|limit| (limit.name(), limit as usize));
        labelled(
            &mut encoder,
            tallies,
            "wsrun_limit_hits",
            "Times that a limit was reached",
            "limit",
            &limits,
            |tally, at| tally.limits[at].get(),
        )?;
        let accepted = tallies.host_sum(|host| host.accepted.get());
        host_counter(
            &mut encoder,
            "wsrun_accepted",
            "Sockets that were accepted",
            accepted,
        )?;
        let turned_away = tallies.host_sum(|host| host.turned_away.get());
        host_counter(
            &mut encoder,
            "wsrun_turned_away",
            &format!(
                "Sockets beyond {} or {}",
                Setting("connection.connections_max"),
                Setting("connection.connections_per_address_max")
            ),
            turned_away,
        )?;
        let refused = RefusalReason::ALL.map(|reason| {
            let count = tallies.host_sum(|host| host.handshakes_refused[reason as usize].get());
            (vec![("reason", reason.name())], count)
        });
        family(
            &mut encoder,
            "wsrun_handshakes_refused",
            "Upgrades to WebSocket that were refused",
            Kind::Counter,
            refused.into_iter(),
        )?;
        let panics = tallies.host_sum(|host| host.panics.get());
        host_counter(
            &mut encoder,
            "wsrun_panics",
            "Panics of the host, each a defect of wsrun, that ended what they concerned and nothing else",
            panics,
        )
    }
}

fn per_handler(tallies: &Tallies, of: ReadValue) -> impl Iterator<Item = (Vec<(&str, &str)>, u64)> {
    let handlers = tallies.names.iter().enumerate();
    handlers
        .map(move |(position, name)| (vec![("handler", name.as_str())], tallies.sum(position, of)))
}

fn labelled(
    encoder: &mut DescriptorEncoder<'_>,
    tallies: &Tallies,
    name: &str,
    help: &str,
    label: &str,
    kinds: &[(&'static str, usize)],
    of: fn(&HandlerTally, usize) -> u64,
) -> Result<(), fmt::Error> {
    let handlers = tallies.names.iter().enumerate();
    let values = handlers.flat_map(|(position, handler)| {
        kinds.iter().map(move |(kind, at)| {
            let labels = vec![("handler", handler.as_str()), (label, *kind)];
            (labels, tallies.sum(position, |tally| of(tally, *at)))
        })
    });
    family(encoder, name, help, Kind::Counter, values)
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: Kind,
    values: impl Iterator<Item = (Vec<(&'a str, &'a str)>, u64)>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, kind.in_format())?;
    for (labels, value) in values {
        let metric = family.encode_family(&labels)?;
        match kind {
            Kind::Gauge => ConstGauge::new(value).encode(metric)?,
            Kind::Counter => ConstCounter::new(value).encode(metric)?,
        }
    }
    Ok(())
}

fn host_counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> Result<(), fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    ConstCounter::new(value).encode(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_workers_are_added_up_by_handler() {
        let tallies = Arc::new(Tallies::new(vec!["a".into(), "b\"".into()], 2));
        tallies.workers[0].handlers[0].messages_in.add(3);
        tallies.workers[1].handlers[0].messages_in.add(4);
        tallies.workers[1].handlers[1].connections.change(0, 2);
        tallies.workers[1].handlers[1].limits[Limit::CpuShare as usize].add(1);
        tallies.workers[0].host.accepted.add(9);
        for worker in &tallies.workers {
            worker.host.handshakes_refused[RefusalReason::Origin as usize].add(1);
        }
        tallies.workers[1].handlers[0].code_bytes.add(50);
        tallies.workers[0].handlers[0].code_bytes.subtract(8);
        let text = exposition(&tallies);
        for line in [
            "wsrun_messages_received_total{handler=\"a\"} 7",
            "wsrun_messages_received_total{handler=\"b\\\"\"} 0",
            "wsrun_connections{handler=\"b\\\"\"} 2",
            "wsrun_limit_hits_total{handler=\"b\\\"\",limit=\"cpu-share\"} 1",
            "wsrun_callbacks_failed_total{handler=\"a\",kind=\"deadline\"} 0",
            "wsrun_accepted_total 9",
            "wsrun_handshakes_refused_total{reason=\"origin\"} 2",
            "wsrun_handshakes_refused_total{reason=\"subprotocol\"} 0",
            "wsrun_code_bytes{handler=\"a\"} 42",
            "# TYPE wsrun_connections gauge",
            "# EOF",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
    }
}
