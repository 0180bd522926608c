//! The graceful stop of a server with many connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::server::{Server, run};
use wsrun_tests::wait::{self, PATIENCE};

const CONNECTIONS: usize = 5_000;
const THREADS: usize = 4;

struct Talker {
    peer: Peer,
    sent: u64,
    answered: u64,
    next: Instant,
}

/// How a connection ended.
struct End {
    at: Instant,
    answered: u64,
}

/// Peers that send a number now and then, and expect each back once and in order, until the server closes them with 1012. How they ended,
/// and the longest time for which this thread did not look.
fn talk(address: SocketAddr, peers: usize, connected: &AtomicUsize) -> (Vec<End>, Duration) {
    let began = Instant::now();
    let mut talkers: Vec<Talker> = (0..peers)
        .map(|position| {
            let mut peer = Peer::tcp(address);
            peer.upgrade(&Request::upgrade("/"));
            peer.set_nonblocking(true);
            Talker {
                peer,
                sent: 0,
                answered: 0,
                next: began + Duration::from_millis(position as u64 % 1_000),
            }
        })
        .collect();
    connected.fetch_add(peers, Ordering::Relaxed);
    let mut ends = Vec::new();
    let mut longest_pause = Duration::ZERO;
    let mut looked = Instant::now();
    while !talkers.is_empty() {
        let now = Instant::now();
        for talker in &mut talkers {
            if talker.sent == talker.answered && now >= talker.next {
                talker.sent += 1;
                talker.next = now + Duration::from_secs(1);
                talker.peer.send_text(&talker.sent.to_string());
            }
        }
        let mut ready: Vec<_> = talkers
            .iter()
            .map(|talker| PollFd::new(&talker.peer, PollFlags::IN))
            .collect();
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        };
        poll(&mut ready, Some(&pause)).expect("they are sockets");
        longest_pause = longest_pause.max(looked.elapsed());
        looked = Instant::now();
        let ready: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ready = ready.into_iter();
        talkers.retain_mut(|talker| {
            let ended = ready.next() == Some(true) && has_ended(talker);
            if ended {
                ends.push(End {
                    at: Instant::now(),
                    answered: talker.answered,
                });
            }
            !ended
        });
    }
    (ends, longest_pause)
}

/// Reads what is there. True after the close frame.
fn has_ended(talker: &mut Talker) -> bool {
    loop {
        match talker.peer.try_read_frame() {
            Ok(frame) if frame.opcode == frame::CLOSE => {
                assert_eq!(frame.close_info().0, 1012);
                talker.peer.send(&Frame::close(1012, ""));
                return true;
            }
            Ok(frame) => {
                talker.answered += 1;
                assert_eq!(frame.text(), talker.answered.to_string());
            }
            Err(NoFrame::TimedOut) => return false,
            Err(NoFrame::Ended) => panic!("a connection ended without a close frame"),
        }
    }
}

#[test]
fn closes_of_5000_connections_are_spread_evenly_and_no_message_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let mut server = Server::of(handlers::echo())
        .args(["--workers", "2", "--max-connections", "6000"])
        .args(["--drain-window", "10s", "--drain-code", "1012"])
        .args(["--shutdown-timeout", "14s", "--close-timeout", "60s"])
        .arg("--admin")
        .arg(&admin)
        .start();
    let address = server.address();
    // It never answers the close, and so the server is there to be asked when all others are gone, until it is cut.
    let mut deaf = server.open();
    let connected = AtomicUsize::new(0);
    let (ended, ends) = mpsc::channel();
    let began = thread::scope(|scope| {
        for _ in 0..THREADS {
            let ended = ended.clone();
            let connected = &connected;
            scope.spawn(move || {
                let ends = talk(address, CONNECTIONS / THREADS, connected);
                ended.send(ends).expect("the test waits");
            });
        }
        wait::until_within(Duration::from_secs(60), "all are connected", || {
            connected.load(Ordering::Relaxed) == CONNECTIONS
        });
        thread::sleep(Duration::from_secs(1));
        server.terminate();
        Instant::now()
    });
    drop(ended);
    let (ends, pauses): (Vec<Vec<End>>, Vec<Duration>) = ends.into_iter().unzip();
    let ends: Vec<End> = ends.into_iter().flatten().collect();
    let longest_pause = pauses.into_iter().max().unwrap_or_default();
    assert_eq!(ends.len(), CONNECTIONS);
    let answered: u64 = ends.iter().map(|end| end.answered).sum();
    let admin = admin.display().to_string();
    let metrics = run(["ctl", "--admin", &admin, "metrics"]).stdout;
    let metric = |name: &str| {
        let name = format!("wsrun_{name}_total{{handler=\"echo\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|value| value.parse::<u64>().ok())
            .expect("the metric is there")
    };
    // Every answer has arrived, and every message that was read was given to the handler: those that crossed a close frame as well, which
    // can only not be answered. The other callbacks are `opened`, `closed` and `draining`.
    assert_eq!(metric("messages_sent"), answered);
    let others = 2 * CONNECTIONS as u64 + 1 + 1;
    assert_eq!(metric("callbacks"), metric("messages_received") + others);
    assert!(answered > CONNECTIONS as u64, "{answered} messages");
    let mut times: Vec<f64> = ends
        .iter()
        .map(|end| end.at.saturating_duration_since(began).as_secs_f64())
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(last < 13.0, "the last close came after {last} s");
    assert!(last - first > 9.0, "closes from {first} s to {last} s");
    // A busy machine begins later, and takes longer.
    for time in &mut times {
        *time = (*time - first) / (last - first);
    }
    // Kolmogorov and Smirnov: the largest distance between the distribution of the times and the uniform one.
    let count = f64::from(u32::try_from(CONNECTIONS).expect("it is small"));
    let mut place = 0.0;
    let mut distance: f64 = 0.0;
    for time in &times {
        distance = distance.max((time - place / count).abs());
        place += 1.0;
        distance = distance.max((place / count - time).abs());
    }
    #[expect(
        clippy::print_stdout,
        reason = "the figures are for who runs it with --no-capture"
    )]
    {
        println!(
            "closes from {first:.2} s to {last:.2} s, distance from uniform {distance:.4}, longest pause {longest_pause:?}, {answered} messages"
        );
    }
    // At a level of 1 %. What this side saw late says nothing about the server, which other programs hold up as well.
    let late = 2.0 * longest_pause.as_secs_f64() / (last - first);
    let critical = 1.628 / count.sqrt() + late;
    assert!(distance < critical, "{distance} is not under {critical}");
    deaf.expect_close(1012);
    let status = server.wait(PATIENCE);
    // A connection had to be cut at the deadline, and the exit code says so.
    assert_eq!(status.code(), Some(1));
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(13)..Duration::from_secs(17)).contains(&took),
        "{took:?}"
    );
}
