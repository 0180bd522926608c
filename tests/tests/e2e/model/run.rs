//! A plan from the start of its server to its end.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wsrun_tests::admin::{Administered, value};
use wsrun_tests::frame;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::server::Server;
use wsrun_tests::told::{Event, Told};
use wsrun_tests::wait::{self, PATIENCE};

use super::actors::{Alarm, Stage};
use super::check;
use super::client::{Client, Ended, Seen, deadline};
use super::plan::{Actor, Plan, Subject, Version};
use super::versions::Versions;

/// What was done, in figures.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) connections: usize,
    pub(crate) events: usize,
    pub(crate) published: usize,
    pub(crate) automatic: u64,
    pub(crate) dropped: u64,
    pub(crate) swaps: u64,
    pub(crate) given_up: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.events += other.events;
        self.published += other.published;
        self.automatic += other.automatic;
        self.dropped += other.dropped;
        self.swaps += other.swaps;
        self.given_up += other.given_up;
    }
}

/// Shows what was being done, if it fails.
struct Shown<'a>(&'a Plan);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let plan = self.0;
            #[expect(
                clippy::print_stderr,
                reason = "the plan explains the failure, and the test framework captures it"
            )]
            {
                eprintln!(
                    "{:?} failed with seed {}: WSRUN_MODEL_SEED={} does it again\n{plan:#?}",
                    plan.subject, plan.seed, plan.seed
                );
            }
        }
    }
}

/// Reads what the handler tells until it has ended.
fn observe(mut observer: Peer, done: &AtomicBool, failed: &AtomicBool) -> Told {
    let _alarm = Alarm(failed);
    let mut told = Told::default();
    observer.set_read_timeout(Duration::from_millis(50));
    let mut last: Option<Instant> = None;
    loop {
        assert!(
            last.is_none_or(|deadline| Instant::now() < deadline),
            "{} events were told, and there is no end of them",
            told.len()
        );
        match observer.try_read_frame() {
            // A broadcast is for everybody.
            Ok(frame) if frame.opcode == frame::TEXT && frame.text().starts_with("p ") => {}
            Ok(frame) if frame.opcode == frame::TEXT => {
                if frame.text() == "last" {
                    return told;
                }
                told.add(Event::parse(frame.text()));
            }
            Ok(frame) => panic!("to who observes, and reads all: {:?}", frame.close_info()),
            Err(NoFrame::TimedOut) if done.load(Ordering::SeqCst) => {
                // It is answered behind all that was told.
                done.store(false, Ordering::SeqCst);
                observer.set_read_timeout(PATIENCE);
                last = Some(deadline());
                observer.send_text("last");
            }
            Err(NoFrame::TimedOut) => {
                assert!(last.is_none(), "the last message is not answered");
                assert!(!failed.load(Ordering::SeqCst), "somebody else has failed");
            }
            Err(NoFrame::Ended) => panic!("who observes, and reads all, was cut off"),
        }
    }
}

fn server(plan: &Plan, versions: &mut Versions, unix: &str, url: &str) -> Administered {
    let granted = url.trim_start_matches("ws://").trim_end_matches('/');
    let server = Server::of(versions.write(plan.first))
        .listen("127.0.0.1:0")
        .listen(&format!("unix:{unix}"))
        .args(["--scope", plan.scope])
        .args(&plan.arguments)
        .args(["--max-message", "16KiB"])
        .args(["--max-queue", &plan.queue_max.to_string()])
        .args(["--max-handler-queue", &plan.handler_queue_max.to_string()])
        .args(["--max-handler-session", &plan.session_max.to_string()])
        .args(["--max-failures", "10000000", "--close-timeout", "60s"])
        .args(["--allow-connect", granted, "--connect-timeout", "10m"])
        .args(["--log-level", "error", "--shutdown-timeout", "500ms"]);
    Administered::started_by(server, |server| server.start_within(PATIENCE))
}

pub(crate) fn run(plan: &Plan) -> Summary {
    let _shown = Shown(plan);
    let mut versions = Versions::new();
    let folder = tempfile::tempdir().expect("a folder");
    let unix = folder.path().join("wsrun.sock");
    // It takes connections, and nobody answers them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("it is bound");
    let url = format!("ws://{address}/");
    let mut server = server(plan, &mut versions, &unix.display().to_string(), &url);
    let mut observer = server.open_with(&Request::upgrade("/observe"));
    assert_eq!(observer.ask("ready"), "ready");
    let at_work = plan
        .actors
        .iter()
        .map(|actor| AtomicBool::new(actor.is_active()));
    let stage = Stage {
        plan,
        address: server.address(),
        unix,
        url,
        ids: plan.actors.iter().map(|_| AtomicU64::new(0)).collect(),
        ready: AtomicUsize::new(plan.actors.len()),
        at_work: at_work.collect(),
        failed: AtomicBool::new(false),
        due: AtomicU64::new(0),
        swapped: AtomicBool::new(false),
        seen: Mutex::default(),
    };
    let done = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        let observing = scope.spawn(|| observe(observer, &done, &stage.failed));
        let _alarm = Alarm(&stage.failed);
        let actors: Vec<_> = plan
            .actors
            .iter()
            .enumerate()
            .map(|(number, actor)| {
                let stage = &stage;
                scope.spawn(move || stage.run(number, actor))
            })
            .collect();
        wait::until("everybody is there", || {
            stage.ready.load(Ordering::SeqCst) == 0 || stage.failed.load(Ordering::SeqCst)
        });
        for (pause, version) in &plan.swaps {
            thread::sleep(Duration::from_millis(*pause));
            swap(&server, &mut versions, *version);
        }
        stage.swapped.store(true, Ordering::SeqCst);
        let deadline = deadline();
        while !stage.is_over() {
            assert!(
                Instant::now() < deadline,
                "actors {:?} have not done within {PATIENCE:?} what they had to",
                stage.left().collect::<Vec<_>>()
            );
            is_within_limits(&server, plan);
            thread::sleep(Duration::from_millis(50));
        }
        let failed = actors.into_iter().enumerate();
        let failed: Vec<_> = failed
            .filter_map(|(number, actor)| actor.join().err().map(|_| number))
            .collect();
        assert!(failed.is_empty(), "actors {failed:?} failed");
        still_serves(&server, &mut versions, plan);
        wait::until("the end of each connection is told", || {
            connections(&server) == 1 || plan.subject == Subject::Openings
        });
        done.store(true, Ordering::SeqCst);
        observing.join().expect("the observer sees everything")
    });
    let seen = stage.seen.into_inner().expect("nobody failed");
    let mut errors = check::errors(plan, &told, &seen);
    errors.extend(figures(&server, plan, &told, &seen));
    if server.log().contains("panicked") {
        errors.push("the host panicked".into());
    }
    assert!(errors.is_empty(), "{errors:#?}");
    let summary = Summary {
        connections: told.0.len(),
        events: told.len(),
        published: seen.iter().map(|(_, seen)| seen.published.len()).sum(),
        automatic: seen.iter().map(|(_, seen)| seen.automatic).sum(),
        dropped: seen.iter().filter_map(|(_, seen)| seen.dropped).sum(),
        swaps: server.metric(&of_handler("wsrun_swaps_total")),
        given_up: server.metric(&of_handler("wsrun_swaps_given_up_total")),
    };
    server.terminate();
    server.server.wait(PATIENCE);
    summary
}

fn of_handler(metric: &str) -> String {
    format!("{metric}{{handler=\"model\"}}")
}

fn connections(server: &Administered) -> u64 {
    server.metric(&of_handler("wsrun_connections"))
}

/// Whether it took place does not matter here, but it is answered.
fn swap(server: &Administered, versions: &mut Versions, version: Version) -> bool {
    let file = versions.write(version).display().to_string();
    let began = Instant::now();
    let ended = server.ctl(["swap", &file]);
    assert!(
        ended.code.is_some(),
        "{version:?} was not answered within {:?}: {}",
        began.elapsed(),
        ended.stderr
    );
    ended.code == Some(0)
}

fn is_within_limits(server: &Administered, plan: &Plan) {
    let metrics = server.ctl(["metrics"]).stdout;
    let of = |metric| value(&metrics, &of_handler(metric)).expect("it is a metric");
    // An empty queue takes one message, whatever the others hold.
    let slack = (plan.actors.len() as u64 + 1) * (16 << 10);
    let queued = of("wsrun_queued_bytes");
    let workers = plan.workers_with_instances();
    assert!(
        queued <= workers * plan.handler_queue_max + slack,
        "{queued} bytes are queued"
    );
    let session = of("wsrun_session_bytes");
    assert!(
        session <= workers * plan.session_max,
        "{session} bytes of session data"
    );
}

/// Another version can take over, every worker serves, and plain requests are answered.
fn still_serves(server: &Administered, versions: &mut Versions, plan: &Plan) {
    wait::until("a good version can take over", || {
        swap(server, versions, Version::good(plan.first.kind))
    });
    let probes: Vec<_> = (0..8)
        .map(|_| {
            let opened = Client::open(server.connect(), "/");
            let mut client = opened.unwrap_or_else(|status| panic!("a handshake: {status}"));
            let said = client.ask_one("say");
            assert_eq!(said.as_deref(), Some("said"), "{:?}", client.seen.ended);
            client
        })
        .collect();
    for probe in probes {
        probe.close();
    }
    let response = server.connect().request(&Request::get("/"));
    assert!([200, 404, 426].contains(&response.status), "{response:?}");
}

/// What the metrics say in the end.
fn figures(server: &Administered, plan: &Plan, told: &Told, seen: &[(usize, Seen)]) -> Vec<String> {
    let mut errors = Vec::new();
    let metrics = server.ctl(["metrics"]).stdout;
    let of = |metric| value(&metrics, &of_handler(metric)).expect("it is a metric");
    if plan.subject == Subject::Openings {
        let workers = plan.workers_with_instances();
        let bytes = check::outbound_session_bytes(told, seen);
        if bytes > workers * plan.session_max {
            errors.push(format!(
                "outbound connections keep {bytes} bytes of session data: the limit is {}",
                plan.session_max
            ));
        }
    } else {
        for gone in [
            "wsrun_queued_bytes",
            "wsrun_event_bytes",
            "wsrun_session_bytes",
        ] {
            if of(gone) != 0 {
                errors.push(format!("{gone} is {} when all have gone", of(gone)));
            }
        }
    }
    let dropped: u64 = seen.iter().filter_map(|(_, seen)| seen.dropped).sum();
    if of("wsrun_messages_dropped_total") < dropped {
        errors.push(format!(
            "{dropped} messages were told as dropped, fewer are counted"
        ));
    }
    let slow = seen
        .iter()
        .filter(|(actor, _)| matches!(plan.actors[*actor], Actor::Slow { .. }));
    let cut = slow.filter(|(_, seen)| seen.ended == Ended::Cut).count();
    if cut > 0 && server.hits("model", "handler-queue") == 0 {
        errors.push(format!(
            "{cut} slow peers were cut off, and there was room for all"
        ));
    }
    let opened = of("wsrun_connections_opened_total");
    let known = told.0.keys().filter(|id| **id != 0).count() as u64;
    if plan.subject != Subject::Openings && opened < known {
        errors.push(format!(
            "{known} connections are told, {opened} were opened"
        ));
    }
    errors
}
