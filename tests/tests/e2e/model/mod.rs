//! One random model of a server: several versions with different exports, several workers, peers that read and peers that do not, callbacks
//! that are interrupted and handlers that publish from everywhere, against what the contract, the limits and the metrics say.
//!
//! What is done is a [`plan`](plan::Plan), drawn from a seed: a failure tells the seed and the plan, and `WSRUN_MODEL_SEED` begins with
//! that one. `WSRUN_MODEL_SECONDS` is how long each test goes on, `WSRUN_MODEL_PLANS` how many plans it runs at most, and
//! `WSRUN_TEST_BINARY` names another `wsrun` to do it to.

mod actors;
mod check;
mod client;
mod plan;
mod run;
mod versions;

use std::time::{Duration, Instant};

use self::plan::{Plan, Subject};

/// As long as a test of every day has time for.
const SECONDS: u64 = 12;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text:?}")),
    )
}

fn holds(subject: Subject) {
    let time = Duration::from_secs(number("WSRUN_MODEL_SECONDS").unwrap_or(SECONDS));
    let first = number("WSRUN_MODEL_SEED").unwrap_or(1);
    let plans = number("WSRUN_MODEL_PLANS").unwrap_or(u64::MAX);
    let began = Instant::now();
    let mut summary = run::Summary::default();
    let mut seed = first;
    while seed - first < plans && (seed == first || began.elapsed() < time) {
        let plan = Plan::draw(subject, seed);
        summary.add(&run::run(&plan));
        seed += 1;
    }
    #[expect(
        clippy::print_stdout,
        reason = "the figures are for who runs it with --no-capture"
    )]
    {
        println!(
            "{subject:?}: {} plans in {:?}, {summary:?}",
            seed - first,
            began.elapsed()
        );
    }
}

#[test]
fn versions_with_different_exports_are_swapped_under_traffic() {
    holds(Subject::Swaps);
}

#[test]
fn workers_that_publish_to_each_other_never_wait_in_a_circle() {
    holds(Subject::Workers);
}

#[test]
fn peers_that_read_do_not_notice_those_that_do_not() {
    holds(Subject::SlowPeers);
}

#[test]
fn interrupted_callback_is_told_the_truth() {
    holds(Subject::Interruptions);
}

#[test]
fn what_is_asked_for_before_a_connection_counts_as_its_own() {
    holds(Subject::Openings);
}

#[test]
fn timer_of_a_handshake_fires_where_the_connection_is() {
    holds(Subject::Handshakes);
}

#[test]
fn workers_whose_handlers_publish_at_the_start_start() {
    holds(Subject::Starts);
}

#[test]
fn peer_that_goes_without_reading_is_heard() {
    holds(Subject::Departures);
}
