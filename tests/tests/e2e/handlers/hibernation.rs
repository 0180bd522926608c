//! What an instance that sleeps costs, and how long it takes to wake.

use std::time::{Duration, Instant};

use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::wait;

const CONNECTIONS: usize = 10_000;

/// Bytes beside those of a plain connection: the seat, its queue and its place in two maps. `docs/operating.md` tells the usual figure; what the
/// allocator keeps of instances that were awake is some of it.
const SLEEP_BYTES_MAX: u64 = 4_096;

fn bytes_of_each(server: &Administered, asleep: bool) -> (u64, Vec<Peer>) {
    // What a first connection alone needs.
    let mut first = server.open();
    assert_eq!(first.ask("x"), "x");
    let before = server.usage().resident_bytes();
    let mut peers = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS / 100 {
        let mut some: Vec<Peer> = (0..100).map(|_| server.open()).collect();
        // Each has an instance, where it has its own.
        for peer in &mut some {
            assert_eq!(peer.ask("x"), "x");
        }
        peers.append(&mut some);
    }
    if asleep {
        wait::until_within(Duration::from_secs(60), "all sleep", || {
            server.metric("wsrun_live_instances{handler=\"echo\"}") <= 2
        });
    }
    let grown = server.usage().resident_bytes().saturating_sub(before);
    peers.push(first);
    (grown / CONNECTIONS as u64, peers)
}

#[test]
fn ten_thousand_connections_that_sleep_cost_little_more_than_idle_ones_and_wake_in_milliseconds() {
    let limits = ["--max-connections", "11000", "--max-queue", "2MiB"];
    let plain = Administered::start(Server::of(handlers::echo()).args(limits));
    let (idle, peers) = bytes_of_each(&plain, false);
    drop(peers);
    drop(plain);
    let server = Administered::start(
        Server::of(handlers::echo())
            .args(limits)
            .args(["--scope", "connection", "--hibernate-after", "100ms"])
            .args(["--max-instances", "10500", "--max-handler-memory", "64GiB"]),
    );
    let (asleep, mut peers) = bytes_of_each(&server, true);
    let mut wakes: Vec<Duration> = peers
        .iter_mut()
        .step_by(10)
        .map(|peer| {
            let began = Instant::now();
            assert_eq!(peer.ask("wake"), "wake");
            began.elapsed()
        })
        .collect();
    wakes.sort_unstable();
    let hibernations = server.metric("wsrun_hibernations_total{handler=\"echo\"}");
    #[expect(
        clippy::print_stdout,
        reason = "the figures are for who runs it with --no-capture"
    )]
    {
        println!(
            "bytes of each: {idle} idle, {asleep} asleep; {hibernations} fell asleep; waking: median {:?}, 99 % {:?}, longest {:?}",
            wakes[wakes.len() / 2],
            wakes[wakes.len() * 99 / 100],
            wakes[wakes.len() - 1]
        );
    }
    assert!(hibernations >= CONNECTIONS as u64, "{hibernations}");
    // The machine is shared with other tests.
    assert!(
        wakes[wakes.len() / 2] < Duration::from_millis(10),
        "{wakes:?}"
    );
    assert!(
        asleep <= idle + SLEEP_BYTES_MAX,
        "{asleep} bytes asleep, {idle} idle"
    );
}
