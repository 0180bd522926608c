//! The text of the report.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::plot::shown;
use super::{PLOTS, main_figure};
use crate::criteria::{Row, rows, title};
use crate::peers::{RAW, WSRUN};
use crate::result::{Figure, Outcome, Results};

/// The whole text.
pub(super) fn text(results: &Results) -> String {
    let mut text = String::new();
    head(&mut text, results);
    points(&mut text, &rows(results));
    loader(&mut text, results);
    let with_plot = |outcome: &&Outcome| main_figure(outcome).is_some();
    for outcome in results.scenarios.iter().filter(with_plot) {
        scenario(&mut text, outcome);
    }
    workers(&mut text, results);
    start_up(&mut text, results);
    swap(&mut text, results);
    instances(&mut text, results);
    versions(&mut text, results);
    text
}

/// Writing to a string does not fail.
fn line(text: &mut String, line: impl Display) {
    let _ = writeln!(text, "{line}");
}

fn head(text: &mut String, results: &Results) {
    let machine = &results.machine;
    line(text, "# Performance\n");
    line(
        text,
        "Made by `wsrun-bench`; [benches/README.md](../benches/README.md) tells how to make and how to read it.\n",
    );
    line(text, "| | |\n|---|---|");
    line(
        text,
        format_args!(
            "| processor | {}, {} cores |",
            machine.processor, machine.cores
        ),
    );
    line(
        text,
        format_args!("| memory | {:.0} GiB |", machine.memory_gib),
    );
    line(text, format_args!("| kernel | {} |", machine.kernel));
    line(text, format_args!("| commit | {} |", machine.commit));
    line(text, format_args!("| date | {} |", machine.date));
    // Runs that were merged, or one that was ended, may have more of one scenario than of another.
    let least = results.scenarios.iter().map(Outcome::rounds);
    let least = least.filter(|&rounds| rounds > 0).min();
    let rounds = match least {
        Some(least) if least < results.rounds => format!("{least} to {}", results.rounds),
        _ => results.rounds.to_string(),
    };
    line(
        text,
        format_args!(
            "| rounds | {rounds} of {} s, every server in turn |",
            results.seconds
        ),
    );
    line(
        text,
        format_args!(
            "| load of the machine | {:.1} before, {:.1} after; a quiet one has at most 2 during the run |",
            machine.load_before, machine.load_after
        ),
    );
    let place = if machine.pinned {
        "server and load generator on a core each"
    } else {
        "server and load generator on whatever core is free"
    };
    line(text, format_args!("| placement | {place} |\n"));
    if results.fewer > 1 {
        line(
            text,
            format_args!(
                "**A quick look: connections are {} times fewer, times short. No figure of it is to be quoted.**\n",
                results.fewer
            ),
        );
    }
}

fn points(text: &mut String, rows: &[Row]) {
    line(text, "## What was asked for\n");
    line(
        text,
        "| point | claim about wsrun with a sandboxed handler | bar | measured | reached |\n|---|---|---|---|---|",
    );
    for row in rows {
        let (value, reached) = match &row.value {
            Some(value) if row.reached => (value.as_str(), "yes"),
            Some(value) => (value.as_str(), "**no**"),
            None => ("-", "not measured"),
        };
        line(
            text,
            format_args!(
                "| {} | {} | {} | {value} | {reached} |",
                row.point, row.claim, row.bar
            ),
        );
    }
    line(text, "");
}

/// Whether the load generator is fit to measure with.
fn loader(text: &mut String, results: &Results) {
    let rows: Vec<_> = results
        .scenarios
        .iter()
        // At a fixed rate it does not sleep, so that it is never late.
        .filter(|outcome| outcome.name != "rate")
        .filter_map(|outcome| {
            let raw = outcome.median(RAW, Figure::CpuNs)?;
            let all = outcome.median(RAW, Figure::LoaderCpuNs)?;
            let user = outcome.median(RAW, Figure::LoaderUserNs)?;
            Some(format!(
                "| {} | {} | {} | {} |",
                outcome.name,
                shown(raw, Figure::CpuNs),
                shown(all, Figure::CpuNs),
                shown(user, Figure::CpuNs)
            ))
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    line(text, "## The load generator itself\n");
    line(
        text,
        "Against raw TCP, CPU for each message. Both make the same system calls for a message, which is most of what either costs; what the \
         generator adds outside the kernel, its checks of every byte included, is the last column.\n",
    );
    line(
        text,
        "| scenario | raw TCP server | load generator | of it outside the kernel |\n|---|---|---|---|",
    );
    for row in rows {
        line(text, row);
    }
    line(text, "");
}

fn scenario(text: &mut String, outcome: &Outcome) {
    line(text, format_args!("## {}\n", outcome.title));
    if outcome.samples.is_empty() {
        line(text, "No server could be measured.\n");
    } else {
        line(
            text,
            format_args!("![{}]({PLOTS}/{}.svg)\n", outcome.title, outcome.name),
        );
        match main_figure(outcome) {
            Some(Figure::IdleBytes) => idle(text, outcome),
            Some(Figure::P99Us) => rate(text, outcome),
            _ => traffic(text, outcome),
        }
        line(text, "");
    }
    failures(text, outcome);
}

fn traffic(text: &mut String, outcome: &Outcome) {
    let base = &outcome.base;
    let one = if outcome.name == "churn" {
        "connection"
    } else {
        "message"
    };
    line(
        text,
        format_args!(
            "| server | CPU per {one} | least to largest | CPU, to {0} | {one}s/s | {one}s/s, to {0} | p50 | p99 | p99.9 | server busy |",
            title(base)
        ),
    );
    line(text, "|---|---|---|---|---|---|---|---|---|---|");
    for peer in outcome.peers(Figure::CpuNs) {
        let median = |figure| outcome.median(peer, figure);
        let ratio = |figure| {
            optional(outcome.ratio(peer, base, figure), |ratio| {
                format!("{ratio:.2}")
            })
        };
        let time = |figure| optional(median(figure), |us| shown(us * 1e3, Figure::CpuNs));
        let range = outcome.range(peer, Figure::CpuNs);
        let range = range.map_or_else(dash, |(least, most)| {
            format!(
                "{} to {}",
                shown(least, Figure::CpuNs),
                shown(most, Figure::CpuNs)
            )
        });
        line(
            text,
            format_args!(
                "| {} | {} | {range} | {} | {} | {} | {} | {} | {} | {} |",
                name(peer),
                optional(median(Figure::CpuNs), |ns| shown(ns, Figure::CpuNs)),
                ratio(Figure::CpuNs),
                optional(median(Figure::Rate), |rate| format!("{rate:.0}")),
                ratio(Figure::Rate),
                time(Figure::P50Us),
                time(Figure::P99Us),
                time(Figure::P999Us),
                optional(median(Figure::ServerBusy), |share| format!(
                    "{:.0} %",
                    share * 100.0
                )),
            ),
        );
    }
}

/// Latency at a fixed rate, which says of a server what it keeps waiting. What cannot keep up is further behind with each message.
fn rate(text: &mut String, outcome: &Outcome) {
    let base = &outcome.base;
    line(
        text,
        "Latency counts from when a message was due, sent or not, so that a server that stalls is charged for all that it keeps waiting. Medians \
         over the rounds; *largest* is that of all rounds. Fewer messages per second than are due: the server, or the machine, did not keep up.\n",
    );
    line(
        text,
        format_args!(
            "| server | p50 | p99 | least to largest | p99.9 | largest | messages/s | CPU per message | CPU, to {} | server busy |",
            title(base)
        ),
    );
    line(text, "|---|---|---|---|---|---|---|---|---|---|");
    for peer in outcome.peers(Figure::P99Us) {
        let median = |figure| outcome.median(peer, figure);
        let us = |us| shown(us * 1e3, Figure::CpuNs);
        let time = |figure| optional(median(figure), us);
        let range = outcome.range(peer, Figure::P99Us);
        let most = outcome.range(peer, Figure::MaxUs).map(|(_, most)| most);
        line(
            text,
            format_args!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                name(peer),
                time(Figure::P50Us),
                time(Figure::P99Us),
                range.map_or_else(dash, |(least, most)| format!(
                    "{} to {}",
                    us(least),
                    us(most)
                )),
                time(Figure::P999Us),
                optional(most, us),
                optional(median(Figure::Rate), |rate| format!("{rate:.0}")),
                optional(median(Figure::CpuNs), |ns| shown(ns, Figure::CpuNs)),
                optional(outcome.ratio(peer, base, Figure::CpuNs), |ratio| format!(
                    "{ratio:.2}"
                )),
                optional(median(Figure::ServerBusy), |share| format!(
                    "{:.0} %",
                    share * 100.0
                )),
            ),
        );
    }
}

fn idle(text: &mut String, outcome: &Outcome) {
    line(
        text,
        "| server | memory per connection | least to largest | page tables | connections in one GiB | latency of the active, to without | CPU of the active, to without |",
    );
    line(text, "|---|---|---|---|---|---|---|");
    for peer in outcome.peers(Figure::IdleBytes) {
        let median = |figure| outcome.median(peer, figure);
        let bytes = |value| shown(value, Figure::IdleBytes);
        let ratio = |figure| optional(median(figure), |ratio| format!("{ratio:.2}"));
        let range = outcome.range(peer, Figure::IdleBytes);
        let range = range.map_or_else(dash, |(least, most)| {
            format!("{} to {}", bytes(least), bytes(most))
        });
        // Less than a page for ten connections is below what can be told.
        let in_one = median(Figure::IdleBytes).filter(|&bytes| bytes >= 400.0);
        line(
            text,
            format_args!(
                "| {} | {} | {range} | {} | {} | {} | {} |",
                name(peer),
                optional(median(Figure::IdleBytes), bytes),
                optional(median(Figure::IdlePageTableBytes), bytes),
                optional(in_one, |each| format!("{:.0}", f64::from(1 << 30) / each)),
                ratio(Figure::ActiveP50Ratio),
                ratio(Figure::ActiveCpuRatio),
            ),
        );
    }
}

/// What more workers bring, and what they cost.
fn workers(text: &mut String, results: &Results) {
    let mut counts: Vec<(usize, &Outcome)> = results
        .scenarios
        .iter()
        .filter_map(|outcome| Some((outcome.workers()?, outcome)))
        .collect();
    counts.sort_by_key(|(count, _)| *count);
    let Some(&(1, one)) = counts.first() else {
        return;
    };
    let cores = results.machine.cores;
    line(text, "## More workers\n");
    let place = if results.machine.pinned {
        format!(
            "A server with one worker has the first core, with two the first two, and so on; the load generator, one thread, has the last of \
             the {cores}, which it shares with a server of {cores} workers."
        )
    } else {
        format!("Servers and load generator, one thread, share all {cores} cores.")
    };
    line(
        text,
        format_args!(
            "{place} *CPU per message* should stay: workers that wait for each other, or take each \
             other's cache lines, make a message dearer. *Cores busy* is what server and generator take together of all {cores}. \
             What this machine can show is what a message costs with more workers, and that they use what the generator leaves of its core. \
             It cannot show that messages per second grow with the number of workers, as {cores} workers never have {cores} cores: the ratio of \
             messages/s is what the machine yields, and at 100 % busy it can give no more. Nothing is said of more workers than {cores}. \
             The kernel spreads connections by a hash, not evenly.\n",
        ),
    );
    line(
        text,
        "| server | workers | CPU per message | to one worker | messages/s | to one worker | p50 | p99 | cores busy |\n|---|---|---|---|---|---|---|---|---|",
    );
    for peer in one.peers(Figure::CpuNs) {
        for (count, outcome) in &counts {
            let median = |figure| outcome.median(peer, figure);
            let ratio = |figure| {
                optional(outcome.ratio_to(one, peer, figure), |ratio| {
                    format!("{ratio:.2}")
                })
            };
            let time = |figure| optional(median(figure), |us| shown(us * 1e3, Figure::CpuNs));
            let busy = median(Figure::ServerBusy).zip(median(Figure::LoaderBusy));
            let busy = optional(busy.map(|(server, loader)| server + loader), |busy| {
                format!("{:.0} %", busy / cores as f64 * 100.0)
            });
            line(
                text,
                format_args!(
                    "| {} | {count} | {} | {} | {} | {} | {} | {} | {busy} |",
                    name(peer),
                    optional(median(Figure::CpuNs), |ns| shown(ns, Figure::CpuNs)),
                    ratio(Figure::CpuNs),
                    optional(median(Figure::Rate), |rate| format!("{rate:.0}")),
                    ratio(Figure::Rate),
                    time(Figure::P50Us),
                    time(Figure::P99Us),
                ),
            );
        }
    }
    line(text, "");
}

fn start_up(text: &mut String, results: &Results) {
    let Some(outcome) = results.scenario("start") else {
        return;
    };
    line(text, "## Start-up\n");
    line(
        text,
        "From the start of the process, in milliseconds, until it takes a connection and until the first message has come back: medians, the \
         last column with the least and the largest. *Cold* is wsrun with an empty cache of compiled components, so that it compiles its handler; \
         the line without it finds the handler compiled. The files themselves are in memory in both.\n",
    );
    line(
        text,
        "| server | takes a connection | first message is back | least to largest |\n|---|---|---|---|",
    );
    let mut rows: Vec<(String, &str, [Figure; 2])> = Vec::new();
    for peer in outcome.peers(Figure::AnswerMs) {
        rows.push((name(peer), peer, [Figure::StartUpMs, Figure::AnswerMs]));
    }
    for peer in outcome.peers(Figure::ColdAnswerMs) {
        if outcome.median(peer, Figure::ColdAnswerMs).is_some() {
            let cold = format!("{}, cold", name(peer));
            rows.push((cold, peer, [Figure::ColdStartUpMs, Figure::ColdAnswerMs]));
        }
    }
    for (name, peer, [connection, answer]) in rows {
        let range = outcome.range(peer, answer);
        line(
            text,
            format_args!(
                "| {name} | {} | {} | {} |",
                milliseconds(outcome.median(peer, connection)),
                milliseconds(outcome.median(peer, answer)),
                range.map_or_else(dash, |(least, most)| format!("{least:.1} to {most:.1}")),
            ),
        );
    }
    line(text, "");
    failures(text, outcome);
}

/// A new version of the handler, by wsrun alone: no other server has it.
fn swap(text: &mut String, results: &Results) {
    let Some(outcome) = results.scenario("swap") else {
        return;
    };
    line(text, format_args!("## {}\n", outcome.title));
    line(
        text,
        "The echo is replaced by one that answers backwards and the other way round, each time by the request that `wsrun ctl swap` makes, while \
         every connection goes on sending when it is time. The server has one core, and the process that compiles shares it. Medians over \
         the swaps of a round, and then over the rounds; the first swap of each round is told apart, as the new version is not in the cache of \
         compiled components then.\n",
    );
    line(
        text,
        "| from the request | milliseconds | least to largest |\n|---|---|---|",
    );
    let rows = [
        ("first answer of the new version", Figure::SwapMs),
        ("the same, longest of a round", Figure::SwapMaxMs),
        (
            "every connection has had an answer of it",
            Figure::SwapAllMs,
        ),
        (
            "it has survived its trial of 100 messages",
            Figure::SwapKeptMs,
        ),
        (
            "first answer, where it had to be compiled",
            Figure::SwapColdMs,
        ),
    ];
    for (what, figure) in rows {
        let range = outcome.range(WSRUN, figure);
        line(
            text,
            format_args!(
                "| {what} | {} | {} |",
                milliseconds(outcome.median(WSRUN, figure)),
                range.map_or_else(dash, |(least, most)| format!("{least:.1} to {most:.1}")),
            ),
        );
    }
    line(
        text,
        "\nWhat connections noticed: of each connection the longest latency, from when a message was due, during each swap that found its \
         version compiled, up to the end of the trial; and in a stretch as long in which nothing happened.\n",
    );
    line(
        text,
        "| longest latency of a connection | p50 | p99 | largest |\n|---|---|---|---|",
    );
    let stretches = [
        (
            "during a swap",
            [Figure::PauseP50Us, Figure::PauseP99Us, Figure::PauseMaxUs],
        ),
        (
            "without one",
            [Figure::CalmP50Us, Figure::CalmP99Us, Figure::CalmMaxUs],
        ),
    ];
    for (what, [middle, tail, largest]) in stretches {
        let time = |value| optional(value, |us| shown(us * 1e3, Figure::CpuNs));
        let most = outcome.range(WSRUN, largest).map(|(_, most)| most);
        line(
            text,
            format_args!(
                "| {what} | {} | {} | {} |",
                time(outcome.median(WSRUN, middle)),
                time(outcome.median(WSRUN, tail)),
                time(most),
            ),
        );
    }
    line(text, "");
    failures(text, outcome);
}

fn instances(text: &mut String, results: &Results) {
    let Some(outcome) = results.scenario("instances") else {
        return;
    };
    line(text, format_args!("## {}\n", outcome.title));
    line(
        text,
        "Connections are opened one after the other and stay open: from TCP to the answer to a first message, with one instance for all \
         (`--scope shared`) and with an instance for each (`--scope connection`). The difference is what an instance costs, its first call included.\n",
    );
    line(
        text,
        "| instance | CPU of the server per connection | least to largest | p50 | p99 |\n|---|---|---|---|---|",
    );
    let rows = [
        (
            "shared",
            Figure::OpenCpuNs,
            Some([Figure::OpenP50Us, Figure::OpenP99Us]),
        ),
        (
            "own",
            Figure::OpenOwnCpuNs,
            Some([Figure::OpenOwnP50Us, Figure::OpenOwnP99Us]),
        ),
        ("**difference: an instance**", Figure::InstanceCpuNs, None),
    ];
    for (what, cpu, times) in rows {
        let cpu_time = |ns| shown(ns, Figure::CpuNs);
        let range = outcome.range(WSRUN, cpu);
        let time = |n: usize| {
            let value = times.and_then(|times| outcome.median(WSRUN, times[n]));
            optional(value, |us| shown(us * 1e3, Figure::CpuNs))
        };
        line(
            text,
            format_args!(
                "| {what} | {} | {} | {} | {} |",
                optional(outcome.median(WSRUN, cpu), cpu_time),
                range.map_or_else(dash, |(least, most)| {
                    format!("{} to {}", cpu_time(least), cpu_time(most))
                }),
                time(0),
                time(1),
            ),
        );
    }
    line(text, "");
    failures(text, outcome);
}

fn failures(text: &mut String, outcome: &Outcome) {
    for (peer, reason) in &outcome.failed {
        line(
            text,
            format_args!("{} could not be measured: {reason}.\n", title(peer)),
        );
    }
}

fn milliseconds(value: Option<f64>) -> String {
    optional(value, |ms| format!("{ms:.1}"))
}

fn versions(text: &mut String, results: &Results) {
    line(text, "## Versions\n");
    line(text, "| server | version |\n|---|---|");
    let table = |text: &mut String, versions: &BTreeMap<String, String>, note: &str| {
        for (peer, version) in versions {
            line(text, format_args!("| {} | {note}{version} |", title(peer)));
        }
    };
    table(text, &results.versions, "");
    table(text, &results.missing, "not measured: ");
}

fn name(peer: &str) -> String {
    if peer == WSRUN {
        format!("**{}**", title(peer))
    } else {
        title(peer).to_owned()
    }
}

fn optional(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(dash, show)
}

fn dash() -> String {
    "-".to_owned()
}
