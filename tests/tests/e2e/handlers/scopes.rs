//! Which connections share an instance.

use std::collections::BTreeSet;
use std::time::Duration;

use wsrun_tests::admin::Administered;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Server, run};
use wsrun_tests::wait;

/// What an id tells of the worker that made it.
fn worker_of(peer: &mut Peer) -> u64 {
    peer.ask("id").parse::<u64>().expect("a number") >> 48
}

/// So many that the kernel spreads them over all workers.
const MANY: usize = 60;

#[test]
fn shared_handler_has_one_instance_for_the_connections_of_all_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let server = Server::of(handlers::probe())
        .args(["--workers", "4"])
        .listen("127.0.0.1:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    let mut peers: Vec<_> = (0..MANY).map(|_| server.open()).collect();
    let mut unix = Peer::unix(&path);
    unix.upgrade(&Request::upgrade("/"));
    peers.push(unix);
    let workers: BTreeSet<u64> = peers.iter_mut().map(worker_of).collect();
    assert_eq!(workers.len(), 1, "{workers:?}");
    // A global of the handler, which counts calls, is one for all.
    let mut last = 0;
    for peer in &mut peers {
        let calls: u64 = peer.ask("calls").parse().expect("a number");
        assert!(calls > last, "{calls} after {last}");
        last = calls;
    }
    assert_eq!(peers[0].ask("count"), peers.len().to_string());
    for peer in &mut peers {
        peer.send_binary(&vec![7; 100_000]);
        assert_eq!(peer.read_frame().payload.len(), 100_000);
    }
    for peer in peers {
        peer.close();
    }
}

#[test]
fn worker_scope_has_an_instance_for_each_worker() {
    let server = Server::of(handlers::probe())
        .args(["--workers", "4", "--scope", "worker"])
        .start();
    let mut peers: Vec<_> = (0..MANY).map(|_| server.open()).collect();
    let workers: BTreeSet<u64> = peers.iter_mut().map(worker_of).collect();
    assert!(workers.len() > 1, "{workers:?}");
}

#[test]
fn tls_goes_with_the_connection_and_frames_behind_the_request_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::probe())
        .args(["--workers", "4"])
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let mut workers = BTreeSet::new();
    for _ in 0..24 {
        let mut peer = Peer::tls(server.address(), certificate.trusting_client())
            .expect("the TLS handshake succeeds");
        // In one record with the request: what is read of it too early must not be lost.
        let mut bytes = Request::upgrade("/").encode();
        bytes.extend(Frame::new(frame::TEXT, "echo early").encode());
        bytes.extend(Frame::new(frame::TEXT, "echo earlier").encode());
        peer.send_bytes(&bytes);
        assert_eq!(peer.read_response().status, 101);
        peer.expect_text("early");
        peer.expect_text("earlier");
        workers.insert(worker_of(&mut peer));
        peer.send_binary(&vec![9; 200_000]);
        assert_eq!(peer.read_frame().payload.len(), 200_000);
        peer.close();
    }
    assert_eq!(workers.len(), 1, "{workers:?}");
}

#[test]
fn decisions_of_a_shared_handler_are_made_at_its_home() {
    let server = Server::of(handlers::built("gate"))
        .args(["--workers", "4", "--max-failures", "1000"])
        .start();
    for _ in 0..MANY {
        let mut peer = server.connect();
        let refused = peer.request(&Request::upgrade("/refuse"));
        assert_eq!(
            (refused.status, refused.header("x-gate")),
            (403, Some("no"))
        );
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::upgrade("/trap")).status, 500);
        let mut peer = server.connect();
        let accepted = peer.upgrade(&Request::upgrade("/"));
        assert_eq!(accepted.header("x-gate"), Some("yes"));
    }
}

#[test]
fn shared_handler_that_is_left_alone_refuses_at_every_worker() {
    let server = Server::of(handlers::built("gate"))
        .args(["--workers", "4", "--max-failures", "3"])
        .start();
    for _ in 0..4 {
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::upgrade("/trap")).status, 500);
    }
    for _ in 0..20 {
        let mut peer = server.connect();
        let refused = peer.request(&Request::upgrade("/"));
        assert_eq!(refused.status, 503);
        assert!(refused.header("retry-after").is_some());
    }
}

#[test]
fn plain_requests_of_a_shared_handler_are_answered_at_its_home() {
    let server = Server::of(handlers::built("http"))
        .args(["--workers", "4"])
        .start();
    for _ in 0..MANY {
        let mut peer = server.connect();
        let answer = peer.request(&Request::get("/anything"));
        assert!(answer.header("content-type").is_some(), "{answer:?}");
    }
    let server = Server::of(handlers::built("wasi-http"))
        .args(["--workers", "4"])
        .start();
    for _ in 0..MANY {
        let mut peer = server.connect();
        let page = peer.request(&Request::get("/"));
        assert!(page.text().starts_with("<!doctype html>"), "{page:?}");
    }
}

#[test]
fn each_handler_has_its_own_scope_and_homes_are_spread() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("two={}", handlers::probe().display()))
        .arg("--protocol")
        .arg(format!("three={}", handlers::probe().display()))
        .args(["--workers", "2", "--scope", "three=worker"])
        .start();
    let mut workers = Vec::new();
    for protocol in ["one", "two", "three"] {
        let peers = (0..MANY).map(|_| server.open_protocol(protocol));
        let workers_of: BTreeSet<u64> = peers.map(|mut peer| worker_of(&mut peer)).collect();
        workers.push(workers_of);
    }
    assert_eq!(workers[0].len(), 1);
    assert_eq!(workers[1].len(), 1);
    assert_ne!(workers[0], workers[1]);
    assert_eq!(workers[2].len(), 2);
}

#[test]
fn handler_with_a_worker_of_its_own_shares_it_with_nobody() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("two={}", handlers::probe().display()))
        .arg("--protocol")
        .arg(format!("three={}", handlers::probe().display()))
        .args(["--workers", "2", "--scope", "three=worker"])
        .args(["--own-worker", "default", "--own-worker", "two"])
        .args(["--own-worker-nice", "10"]);
    let server = Administered::start(server);
    assert_eq!(server.status()["workers"], 4);
    let nice = |worker| server.usage().nice_of(&format!("wsrun-worker-{worker}"));
    assert_eq!([0, 1, 2, 3].map(nice), [0, 0, 10, 10].map(Some));
    let mut workers = Vec::new();
    for protocol in ["one", "two", "three"] {
        let peers = (0..MANY).map(|_| server.open_protocol(protocol));
        let workers_of: BTreeSet<u64> = peers.map(|mut peer| worker_of(&mut peer)).collect();
        workers.push(workers_of);
        // It takes another version like any other, and where it is not in use as well.
        let named = if protocol == "one" { "probe" } else { protocol };
        let ended = server.ctl(["swap", "--handler", named]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    assert_eq!(workers[0].len(), 1);
    assert_eq!(workers[1].len(), 1);
    assert!(workers.iter().enumerate().all(|(n, some)| {
        let mut others = workers.iter().take(n);
        others.all(|other| other.is_disjoint(some))
    }));
    assert_eq!(workers[2].len(), 2, "the workers that accept");
}

#[test]
fn handler_that_filters_broadcasts_is_refused_in_connection_scope() {
    let filter = handlers::built("filter").display().to_string();
    let ended = run([filter.as_str(), "--scope", "connection"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("use shared or worker"),
        "{}",
        ended.stderr
    );
    let server = each_its_own(&[]);
    let mut peer = server.open();
    let ended = server.ctl(["swap", &filter]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("use shared or worker"),
        "{}",
        ended.stderr
    );
    assert_eq!(peer.ask("echo still"), "still");
}

#[test]
fn worker_that_cannot_be_somebodys_own_is_a_mistake() {
    let echo = handlers::echo().display().to_string();
    for (arguments, says) in [
        (
            ["--own-worker", "chat"].as_slice(),
            "no handler has this name",
        ),
        (
            &["--own-worker", "default", "--scope", "worker"],
            "only a handler of --scope shared",
        ),
        (
            &["--own-worker", "default", "--workers", "1024"],
            "together they must be 1 to 1024",
        ),
        (&["--own-worker-nice", "1"], "--own-worker <NAME>"),
        (
            &["--own-worker", "default", "--own-worker-nice", "20"],
            "20 is not in 0..20",
        ),
    ] {
        let ended = run([echo.as_str()].iter().chain(arguments));
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
}

#[test]
fn scope_of_nobody_is_a_mistake() {
    let echo = handlers::echo().display().to_string();
    for (scope, says) in [
        ("chat=worker", "no handler has this name"),
        ("thread", "is no scope"),
    ] {
        let ended = run([echo.as_str(), "--scope", scope]);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
}

fn each_its_own(arguments: &[&str]) -> Administered {
    let server = Server::of(handlers::probe())
        .args(["--scope", "connection"])
        .args(arguments);
    Administered::start(server)
}

const LIVE: &str = "wsrun_live_instances{handler=\"probe\"}";
const HIBERNATIONS: &str = "wsrun_hibernations_total{handler=\"probe\"}";

#[test]
fn connection_scope_has_an_instance_for_each_connection() {
    let server = each_its_own(&["--workers", "2"]);
    let mut peers: Vec<_> = (0..20).map(|_| server.open()).collect();
    // A global of the handler counts calls: everybody's are the same, as nobody else is counted.
    let calls: BTreeSet<String> = peers.iter_mut().map(|peer| peer.ask("calls")).collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    // What belongs to the handler is shared.
    for peer in &mut peers {
        assert_eq!(peer.ask("subscribe all"), "ok true");
    }
    peers[0].send_text("publish all hello");
    for peer in &mut peers[1..] {
        peer.expect_text("hello");
    }
    assert!(server.metric(LIVE) >= 20);
    for peer in peers {
        peer.close();
    }
    // One for what belongs to no connection, and a spare one, on each worker.
    wait::until("instances go with their connections", || {
        server.metric(LIVE) <= 4
    });
}

#[test]
fn trap_in_connection_scope_costs_one_connection_and_closed_is_told_to_another_instance() {
    let server = each_its_own(&[]);
    let mut watcher = server.open();
    assert_eq!(watcher.ask("subscribe closed-events"), "ok true");
    let mut other = server.open();
    let before = other.ask("calls");
    let mut guilty = server.open();
    let id = guilty.ask("id");
    guilty.send_text("trap");
    guilty.expect_close(1011);
    let told = watcher.read_text();
    assert!(told.contains(&id), "{told}");
    let after: u64 = other.ask("calls").parse().expect("a number");
    assert_eq!(after, before.parse::<u64>().expect("a number") + 1);
}

#[test]
fn timers_of_a_connection_are_told_to_its_instance() {
    let server = each_its_own(&[]);
    let mut peers: Vec<_> = (0..5).map(|_| server.open()).collect();
    let mut calls = Vec::new();
    for (number, peer) in peers.iter_mut().enumerate() {
        // Each instance has received another number of messages, and tells it when the timer fires.
        for _ in 0..number {
            assert_eq!(peer.ask("echo x"), "x");
        }
        assert!(peer.ask("timer-conn 300 1000000").starts_with("ok "));
        calls.push(number + 1);
    }
    for (peer, calls) in peers.iter_mut().zip(calls) {
        let fired = peer.read_text();
        assert!(
            fired.ends_with(&format!(" 1000000 calls {calls}")),
            "{fired}"
        );
    }
}

#[test]
fn timers_of_a_connection_wake_it() {
    let server = each_its_own(&["--hibernate-after", "150ms"]);
    let mut first = server.open();
    let mut second = server.open();
    first.send_text("timer-conn 400 1");
    first.read_text();
    second.send_text("timer-conn 600 2");
    second.read_text();
    // They sleep when it fires.
    wait::until("both sleep", || server.metric(HIBERNATIONS) >= 2);
    let fired = first.read_text();
    assert!(fired.starts_with("timer "), "{fired}");
    let fired = second.read_text();
    assert!(fired.starts_with("timer "), "{fired}");
}

#[test]
fn instance_that_nothing_happens_to_sleeps_and_finds_its_session_data_when_it_wakes() {
    for scope in ["connection", "shared"] {
        let server = Administered::start(Server::of(handlers::probe()).args([
            "--scope",
            scope,
            "--hibernate-after",
            "200ms",
        ]));
        let mut peers: Vec<_> = (0..10).map(|_| server.open()).collect();
        for peer in &mut peers {
            assert_eq!(peer.ask("session-set kept"), "ok");
            assert_eq!(peer.ask("subscribe all"), "ok true");
            peer.send_text("auto-reply ping pong");
            assert_eq!(peer.read_text(), "ok");
        }
        wait::until("they sleep", || {
            server.metric(LIVE) == 0 || { scope == "connection" && server.metric(LIVE) <= 1 }
        });
        let memory = server.metric("wsrun_memory_bytes{handler=\"probe\"}");
        assert!(memory < 3_000_000, "{memory}");
        let slept = server.metric(HIBERNATIONS);
        // The host answers in sleep.
        for peer in &mut peers {
            assert_eq!(peer.ask("ping"), "pong");
        }
        assert!(server.metric(LIVE) <= 1);
        assert_eq!(server.metric(HIBERNATIONS), slept);
        // Any other event wakes.
        for peer in &mut peers {
            assert_eq!(peer.ask("session-get"), "kept");
        }
        peers[0].send_text("publish all awake");
        for peer in &mut peers[1..] {
            peer.expect_text("awake");
        }
        wait::until("they sleep again", || server.metric(HIBERNATIONS) > slept);
        let last = peers.pop().expect("there are some");
        last.close();
        assert_eq!(peers[1].ask("count"), "9");
    }
}

#[test]
fn new_version_takes_the_place_of_a_handler_that_sleeps() {
    for scope in ["connection", "shared"] {
        let server = Administered::start(
            Server::of(handlers::probe())
                .args(["--scope", scope, "--hibernate-after", "100ms"])
                .args(["--trial-time", "200ms"]),
        );
        let mut peer = server.open();
        assert_eq!(peer.ask("echo x"), "x");
        wait::until("it sleeps", || server.metric(HIBERNATIONS) >= 1);
        wait::until("nobody is awake", || server.metric(LIVE) <= 1);
        let ended = server.ctl(["swap", &handlers::echo().display().to_string()]);
        assert_eq!(ended.code, Some(0), "{scope}: {}", ended.stderr);
        assert_eq!(peer.ask("echo x"), "echo x");
        // One that does not start is given up, and the sleepers wake with the version that serves.
        wait::until("it sleeps again", || server.metric(LIVE) <= 1);
        let broken = handlers::built("start-trap").display().to_string();
        assert_eq!(server.ctl(["swap", &broken]).code, Some(1));
        assert_eq!(peer.ask("echo y"), "echo y");
    }
}

#[test]
fn one_instance_more_than_there_may_be_is_answered_503() {
    let server = each_its_own(&["--max-instances", "6"]);
    let mut peers = Vec::new();
    let refused = loop {
        let mut peer = server.connect();
        let answer = peer.request(&Request::upgrade("/"));
        if answer.status != 101 {
            break answer;
        }
        peers.push(peer);
        assert_eq!(
            peers.last_mut().map(|peer| peer.ask("echo x")).as_deref(),
            Some("x")
        );
        assert!(peers.len() < 10, "there is no limit");
    };
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert!(server.hits("probe", "instances") > 0);
    for peer in &mut peers {
        assert_eq!(peer.ask("echo lives"), "lives");
    }
    for peer in peers {
        peer.close();
    }
    wait::until("there is room again", || {
        let mut peer = server.connect();
        peer.request(&Request::upgrade("/")).status == 101
    });
}

#[test]
fn memory_of_all_instances_together_is_bounded() {
    let server = each_its_own(&["--max-memory", "16MiB", "--max-handler-memory", "48MiB"]);
    let mut peers: Vec<_> = (0..8).map(|_| server.open()).collect();
    for peer in &mut peers {
        peer.send_text("alloc");
    }
    wait::until("the limit is reached", || {
        server.hits("probe", "handler-memory") > 0
    });
    let memory = server.metric("wsrun_memory_bytes{handler=\"probe\"}");
    assert!(memory <= 48 << 20, "{memory}");
}

#[test]
fn decision_in_connection_scope_is_made_by_the_instance_of_the_connection() {
    let server = Administered::start(Server::of(handlers::built("gate")).args([
        "--scope",
        "connection",
        "--max-failures",
        "100",
    ]));
    for _ in 0..10 {
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::upgrade("/refuse")).status, 403);
        let mut peer = server.connect();
        assert_eq!(peer.request(&Request::upgrade("/trap")).status, 500);
        let mut peer = server.connect();
        peer.upgrade(&Request::upgrade("/"));
        peer.close();
    }
    wait::until("no instance is left of those", || {
        server.metric("wsrun_live_instances{handler=\"gate\"}") <= 2
    });
}

#[test]
fn timer_of_a_handshake_is_told_to_the_instance_that_set_it() {
    let server = Server::of(handlers::built("gate"))
        .args(["--scope", "connection"])
        .start();
    let mut other = server.open();
    let mut peer = server.open_with(&Request::upgrade("/?timer=300"));
    peer.expect_text("the timer of the handshake");
    // One that is refused has no instance any more, and nobody else is told.
    let refused = server
        .connect()
        .request(&Request::upgrade("/refuse?timer=50"));
    assert_eq!(refused.status, 403);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        other.ask("nothing came before this"),
        "nothing came before this"
    );
    assert_eq!(
        peer.ask("nothing came before this"),
        "nothing came before this"
    );
}
