//! Several runs as one: a long report is made in pieces.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context as _, ensure};

use crate::result::{Outcome, Results};

/// Joins runs of one machine and, unless any commit will do, of one commit. A scenario that several of them have gets the rounds of all.
///
/// # Errors
///
/// When runs are not to be compared: another machine, commit, way of measuring, or another version of a server.
pub(crate) fn merge(runs: Vec<Results>, any_commit: bool) -> anyhow::Result<Results> {
    let mut runs = runs.into_iter();
    let mut all = runs.next().context("there is no run")?;
    for run in runs {
        join(&mut all, run, any_commit)?;
    }
    Ok(all)
}

fn join(all: &mut Results, run: Results, any_commit: bool) -> anyhow::Result<()> {
    let (ours, theirs) = (&mut all.machine, &run.machine);
    let is_same = ours.processor == theirs.processor
        && ours.cores == theirs.cores
        && ours.kernel == theirs.kernel
        && ours.memory_gib.round() == theirs.memory_gib.round();
    ensure!(is_same, "the runs are of different machines");
    ensure!(
        ours.pinned == theirs.pinned && all.seconds == run.seconds && all.fewer == run.fewer,
        "the runs were not measured in the same way: --seconds, --quick and --no-pin are to be the same"
    );
    if !listed(&ours.commit).any(|commit| commit == theirs.commit) {
        ensure!(
            any_commit,
            "the runs are of different commits, {} and {}: --any-commit merges them nevertheless",
            ours.commit,
            theirs.commit
        );
        ours.commit = format!("{}, {}", ours.commit, theirs.commit);
    }
    if !listed(&ours.date).any(|date| date == theirs.date) {
        ours.date = format!("{}, {}", ours.date, theirs.date);
    }
    ours.load_before = ours.load_before.max(theirs.load_before);
    ours.load_after = ours.load_after.max(theirs.load_after);
    join_versions(&mut all.versions, run.versions)?;
    all.missing.extend(run.missing);
    all.missing
        .retain(|peer, _| !all.versions.contains_key(peer));
    for outcome in run.scenarios {
        match all
            .scenarios
            .iter_mut()
            .find(|own| own.name == outcome.name)
        {
            None => all.scenarios.push(outcome),
            Some(own) => join_rounds(own, outcome)?,
        }
    }
    let rounds = all.scenarios.iter().map(Outcome::rounds).max();
    all.rounds = rounds.unwrap_or_default();
    Ok(())
}

fn join_versions(
    versions: &mut BTreeMap<String, String>,
    more: BTreeMap<String, String>,
) -> anyhow::Result<()> {
    for (peer, version) in more {
        match versions.entry(peer) {
            Entry::Vacant(entry) => drop(entry.insert(version)),
            Entry::Occupied(entry) => ensure!(
                *entry.get() == version,
                "{} is {} in one run and {version} in another",
                entry.key(),
                entry.get()
            ),
        }
    }
    Ok(())
}

/// Rounds of another run follow: ratios are taken within rounds, and no server is held against one of another run.
fn join_rounds(own: &mut Outcome, more: Outcome) -> anyhow::Result<()> {
    ensure!(
        own.title == more.title && own.base == more.base,
        "the scenario {} is not the same in all runs: {} and {}",
        own.name,
        own.title,
        more.title
    );
    let before = own.rounds();
    own.samples
        .extend(more.samples.into_iter().map(|mut sample| {
            sample.round += before;
            sample
        }));
    own.failed.extend(more.failed);
    Ok(())
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Figure, Machine, Sample};

    fn run(commit: &str, scenario: &str, samples: &[(&str, usize, f64)]) -> Results {
        let samples = samples.iter().map(|&(peer, round, value)| Sample {
            peer: peer.to_owned(),
            round,
            figures: BTreeMap::from([(Figure::CpuNs, value)]),
        });
        Results {
            machine: Machine {
                processor: "a processor".to_owned(),
                cores: 2,
                memory_gib: 24.0,
                kernel: "6.1".to_owned(),
                commit: commit.to_owned(),
                date: "2026-01-01".to_owned(),
                load_before: 1.0,
                load_after: 1.5,
                pinned: true,
            },
            rounds: 1,
            seconds: 3.0,
            fewer: 1,
            versions: BTreeMap::from([("bun".to_owned(), "Bun 1".to_owned())]),
            missing: BTreeMap::new(),
            scenarios: vec![Outcome {
                name: scenario.to_owned(),
                title: scenario.to_owned(),
                base: "bun".to_owned(),
                samples: samples.collect(),
                failed: BTreeMap::new(),
            }],
        }
    }

    #[test]
    fn merge_keeps_each_scenario_and_takes_ratios_within_the_rounds_of_one_run() {
        let runs = vec![
            run("abc", "window", &[("wsrun", 0, 200.0), ("bun", 0, 100.0)]),
            run("abc", "window", &[("wsrun", 0, 30.0), ("bun", 0, 10.0)]),
            run("abc", "1m", &[("wsrun", 0, 5.0)]),
        ];
        let merged = merge(runs, false).expect("they belong together");
        let names: Vec<&str> = merged
            .scenarios
            .iter()
            .map(|own| own.name.as_str())
            .collect();
        assert_eq!(names, ["window", "1m"]);
        let window = merged.scenario("window").expect("it is there");
        assert_eq!(window.ratio("wsrun", "bun", Figure::CpuNs), Some(2.5));
        assert_eq!(merged.rounds, 2);
        assert_eq!(merged.machine.commit, "abc");
    }

    #[test]
    fn merge_refuses_another_commit_unless_any_will_do() {
        let runs = || vec![run("abc", "window", &[]), run("def", "1m", &[])];
        let error = merge(runs(), false)
            .expect_err("the commits differ")
            .to_string();
        assert!(error.contains("--any-commit"), "{error}");
        let merged = merge(runs(), true).expect("it was asked for");
        assert_eq!(merged.machine.commit, "abc, def");
    }

    #[test]
    fn merge_refuses_what_is_not_to_be_compared() {
        let refused = |change: fn(&mut Results)| {
            let mut other = run("abc", "window", &[]);
            change(&mut other);
            merge(vec![run("abc", "window", &[]), other], true).is_err()
        };
        assert!(!refused(|_| ()));
        assert!(refused(|run| run.machine.kernel = "6.2".to_owned()));
        assert!(refused(|run| run.machine.cores = 4));
        assert!(refused(|run| run.machine.pinned = false));
        assert!(refused(|run| run.seconds = 1.0));
        assert!(refused(|run| run.fewer = 15));
        assert!(refused(|run| run.scenarios[0].title = "another".to_owned()));
        assert!(refused(|run| {
            run.versions.insert("bun".to_owned(), "Bun 2".to_owned());
        }));
    }

    #[test]
    fn server_that_one_run_had_is_not_missing() {
        let mut without = run("abc", "window", &[]);
        without.versions.clear();
        without
            .missing
            .insert("bun".to_owned(), "no network".to_owned());
        let merged = merge(vec![without, run("abc", "1m", &[])], false).expect("they fit");
        assert!(merged.missing.is_empty());
        assert_eq!(merged.versions["bun"], "Bun 1");
    }
}
