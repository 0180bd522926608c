//! The contract of events, against a model: whatever peers do, at whatever byte they vanish, whichever callback fails and whichever version
//! takes over, and however often its instance has slept meanwhile, a connection is told as `opened`, what happens to it in order, and `closed` once; never two of them at a time.
//!
//! Each sequence is drawn from a seed, which is told when it fails. `WSRUN_EVENT_SEQUENCES` is how many are run in each scope.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wsrun_tests::admin::Administered;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::random::Random;
use wsrun_tests::server::Server;
use wsrun_tests::told::{Event, Told};
use wsrun_tests::wait;

const THREADS: u64 = 4;

/// As many as a test of every day has time for.
const SEQUENCES: u64 = 3_000;

/// What a peer does, from the opening handshake to its end. While it is quiet it does nothing, wherever it is.
fn sequence(address: SocketAddr, seed: u64, quiet: &AtomicBool) {
    let mut random = Random::of(seed);
    let path = random.pick(&[
        "/",
        "/",
        "/",
        "/",
        "/",
        "/",
        "/",
        "/",
        "/",
        "/refused",
        "/handshake-traps",
        "/opened-traps",
        "/opened-closes",
        "/resumed-traps",
    ]);
    // Ends of the processor time that a callback may take are rare: each costs that time.
    let path = match random.below(400) {
        0 => "/handshake-spins",
        _ => path,
    };
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let _ = stream.set_nodelay(true);
    let mut bytes = Request::upgrade(path).encode();
    let early = random.below(4) == 0;
    if !early {
        if random.below(12) == 0 {
            return cut(&mut stream, &bytes, &mut random);
        }
        if stream.write_all(&bytes).is_err() || !is_upgraded(&mut stream) {
            return;
        }
        bytes.clear();
    }
    for _ in 0..random.below(7) {
        let text = random.pick(&[
            "say",
            "say",
            "say",
            "say",
            "timer",
            "late-timer",
            "trap-timer",
            "compute",
            "trap",
            "close",
            "abort",
            "trap-closed",
        ]);
        while quiet.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        let frame = match random.below(24) {
            0 => Frame::new(frame::PING, "x"),
            1 => Frame::new(frame::PONG, "x"),
            2 => Frame::close(1000, ""),
            // Not a frame of this protocol.
            3 => Frame::new(11, "x"),
            5 => Frame::new(frame::PONG, "trap"),
            4 if random.below(15) == 0 => Frame::new(frame::TEXT, "spin"),
            _ => Frame::new(frame::TEXT, text),
        };
        bytes.extend(frame.encode());
        match random.below(10) {
            0 => return cut(&mut stream, &bytes, &mut random),
            1..=4 => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
                bytes.clear();
            }
            _ => {}
        }
        if random.below(16) == 0 {
            thread::sleep(Duration::from_millis(random.below(3)));
        }
        // Its own instance, where it has one, may sleep meanwhile.
        if random.below(200) == 0 {
            thread::sleep(Duration::from_millis(random.below(30)));
        }
    }
    match random.below(4) {
        0 => cut(&mut stream, &bytes, &mut random),
        1 => {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        _ => {
            bytes.extend(Frame::close(1000, "").encode());
            let _ = stream.write_all(&bytes);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            let mut rest = [0; 4_096];
            // Until the server has ended it, or does not within the time.
            while matches!(stream.read(&mut rest), Ok(1..)) {}
        }
    }
}

/// Sends a part of what there is and vanishes, with a reset if what the server sent was not read.
fn cut(stream: &mut TcpStream, bytes: &[u8], random: &mut Random) {
    let length = random.below(bytes.len() as u64 + 1);
    let length = usize::try_from(length).expect("it is small");
    let _ = stream.write_all(&bytes[..length]);
}

fn is_upgraded(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => return false,
        }
    }
    head.starts_with(b"HTTP/1.1 101 ")
}

/// Reads what the handler tells until `done`, and then until nothing has come for a while.
fn observe(mut observer: Peer, done: &AtomicBool) -> Told {
    let mut told = Told::default();
    observer.set_read_timeout(Duration::from_millis(500));
    loop {
        match observer.try_read_frame() {
            // The host's own: whether the observer is still there.
            Ok(frame) if frame.opcode == frame::PING => {
                observer.send(&Frame::new(frame::PONG, frame.payload));
            }
            Ok(frame) => {
                assert_eq!(frame.opcode, frame::TEXT, "{frame:?}");
                told.add(Event::parse(frame.text()));
            }
            Err(NoFrame::TimedOut) if done.load(Ordering::Relaxed) => return told,
            Err(NoFrame::TimedOut) => {}
            Err(NoFrame::Ended) => panic!("the observer was cut off"),
        }
    }
}

fn holds(scope: &str, workers: &str) {
    let sequences = std::env::var("WSRUN_EVENT_SEQUENCES");
    let sequences = sequences.map_or(SEQUENCES, |text| text.parse().expect("a number"));
    let seed = std::env::var("WSRUN_EVENT_SEED");
    let seed: u64 = seed.map_or(1, |text| text.parse().expect("a number"));
    let server = Server::of(handlers::built("contract"))
        .args(["--scope", scope, "--workers", workers])
        .args(["--max-failures", "10000000", "--callback-timeout", "20ms"])
        .args([
            "--max-message",
            "128MiB",
            "--max-queue",
            "256MiB",
            "--close-timeout",
            "300ms",
        ])
        .args(["--hibernate-after", "5ms"])
        .args(["--trial-callbacks", "5", "--trial-time", "50ms"])
        .args(["--log-level", "error", "--max-log-rate", "1"]);
    let server = Administered::start(server);
    let address = server.address();
    let mut observer = server.open_with(&Request::upgrade("/observe"));
    // It has subscribed when it is answered.
    assert_eq!(observer.ask("ready"), "ready");
    let (done, quiet) = (AtomicBool::new(false), AtomicBool::new(false));
    let next = AtomicU64::new(0);
    let mut swaps = 0;
    let began = Instant::now();
    let told = thread::scope(|scope| {
        let observing = scope.spawn(|| observe(observer, &done));
        let peers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= sequences {
                            break;
                        }
                        sequence(
                            address,
                            seed.wrapping_mul(1 << 40).wrapping_add(number),
                            &quiet,
                        );
                    }
                })
            })
            .collect();
        while !peers.iter().all(thread::ScopedJoinHandle::is_finished) {
            // A new version of the same code. It may fail its trial, since callbacks trap here.
            let _ = server.ctl(["swap"]);
            swaps += 1;
            thread::sleep(Duration::from_millis(150));
            // An instance that all connections share sleeps when none of them has anything to tell.
            quiet.store(true, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(30));
            quiet.store(false, Ordering::Relaxed);
        }
        for peer in peers {
            peer.join().expect("no peer fails");
        }
        // Everybody but the observer is gone.
        wait::until("all connections have ended", || {
            server.status()["connections"] == 1
        });
        done.store(true, Ordering::Relaxed);
        observing.join().expect("the observer lives")
    });
    let (closed, events) = (told.closed(), told.len());
    let hibernations = server.metric("wsrun_hibernations_total{handler=\"contract\"}");
    #[expect(
        clippy::print_stdout,
        reason = "the figures are for who runs it with --no-capture"
    )]
    {
        println!(
            "scope {scope}: {sequences} sequences in {:?}, {} connections, {events} events, {closed} closed, {swaps} swaps tried, {} taken over, {hibernations} fell asleep",
            began.elapsed(),
            told.0.len(),
            server.metric("wsrun_swaps_total{handler=\"contract\"}")
        );
    }
    let errors = told.errors();
    assert!(errors.is_empty(), "scope {scope}, seed {seed}: {errors:#?}");
    assert!(hibernations > 0, "no instance has slept");
    let opened = server.metric("wsrun_connections_opened_total{handler=\"contract\"}");
    assert!(
        told.0.len() as u64 <= opened,
        "{} connections, but {opened} were opened",
        told.0.len()
    );
}

#[test]
fn contract_of_events_holds_in_scope_shared() {
    holds("shared", "2");
}

#[test]
fn contract_of_events_holds_in_scope_worker() {
    holds("worker", "2");
}

#[test]
fn contract_of_events_holds_in_scope_connection() {
    holds("connection", "2");
}
