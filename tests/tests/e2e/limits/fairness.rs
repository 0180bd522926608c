//! A handler that computes for as long as it may: its neighbours on the same worker hardly notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::latency::Latency;
use wsrun_tests::server::{Builder, Server};

/// How long each latency is measured.
const TIME: Duration = Duration::from_secs(1);
/// What a neighbour may wait at p99 beside a hostile handler. The machine is shared with compilers; without time slices it would be the
/// whole `--callback-timeout` of each of them.
const P99_MAX: Duration = Duration::from_millis(150);
const CALLBACK_TIMEOUT: Duration = Duration::from_millis(400);

/// A server with an echo and so many hostile handlers, all on one worker.
fn server(hostile: usize) -> Builder {
    let names = (0..hostile).map(|number| {
        let mut handler = std::ffi::OsString::from(format!("hostile-{number}="));
        handler.push(handlers::probe());
        handler
    });
    let mut builder = Server::of(handlers::probe()).args(["--callback-timeout", "400ms"]);
    for name in names {
        builder = builder.arg("--protocol").arg(name);
    }
    builder
}

/// Has handlers do this again and again, each on a thread of its own, until dropped.
struct Hostile {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hostile {
    fn on(server: &Server, handlers: usize, command: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..handlers).map(|number| {
            let (stop, command) = (Arc::clone(&stop), command.to_owned());
            let address = server.address();
            let name = format!("hostile-{number}");
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let mut peer = wsrun_tests::peer::Peer::tcp(address);
                    peer.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", &name));
                    peer.send_text(&command);
                    if command.starts_with("compute") {
                        peer.expect_text("ok");
                        peer.close();
                    } else {
                        peer.expect_close(1011);
                    }
                }
            })
        });
        Self {
            threads: threads.collect(),
            stop,
        }
    }

    #[track_caller]
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a hostile handler is answered too");
        }
    }
}

#[track_caller]
fn neighbour_is_answered_beside(handlers: usize, command: &str) {
    let server = server(handlers).start();
    let mut peer = server.open();
    let before = Latency::measure(&mut peer, "echo ", TIME);
    let hostile = Hostile::on(&server, handlers, command);
    let during = Latency::measure(&mut peer, "echo ", TIME);
    hostile.end();
    let after = Latency::measure(&mut peer, "echo ", TIME);
    let figures =
        format!("{handlers} x {command}\n before {before}\n during {during}\n after {after}");
    #[expect(clippy::print_stderr, reason = "the figures of docs/adr/0009")]
    {
        eprintln!("{figures}");
    }
    assert!(during.percentile(99) <= P99_MAX, "{figures}");
    assert!(after.percentile(99) <= P99_MAX, "{figures}");
}

#[test]
fn endless_loop_does_not_stall_a_neighbour() {
    neighbour_is_answered_beside(1, "loop");
}

#[test]
fn four_endless_loops_do_not_stall_a_neighbour() {
    neighbour_is_answered_beside(4, "loop");
}

#[test]
fn callbacks_just_within_their_deadline_do_not_stall_a_neighbour() {
    neighbour_is_answered_beside(1, "compute 390");
}

#[test]
fn fills_of_memory_do_not_stall_a_neighbour() {
    neighbour_is_answered_beside(1, "fill 32000000");
}

#[test]
fn waits_for_no_time_do_not_stall_a_neighbour() {
    neighbour_is_answered_beside(1, "poll");
}

#[test]
fn events_for_a_busy_handler_do_not_give_it_more_time() {
    let server = server(1).start();
    let mut peer = server.open();
    let mut senders: Vec<_> = (0..20).map(|_| server.open_protocol("hostile-0")).collect();
    let mut looping = server.open_protocol("hostile-0");
    looping.send_text("loop");
    let mut longest = Duration::ZERO;
    for number in 0..30 {
        // Each of them polls the handler, which must not go on before the neighbour's turn.
        senders
            .iter_mut()
            .for_each(|sender| sender.send_text("echo x"));
        let asked = Instant::now();
        peer.send_text(&format!("echo {number}"));
        peer.expect_text(&number.to_string());
        longest = longest.max(asked.elapsed());
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    looping.expect_close(1011);
    for sender in &mut senders {
        for _ in 0..30 {
            sender.expect_text("x");
        }
    }
}

#[test]
fn endless_loop_ends_at_its_deadline_of_computing() {
    let server = server(2).start();
    let mut peer = server.open_protocol("hostile-0");
    peer.send_text("loop");
    let asked = Instant::now();
    peer.expect_close(1011);
    let took = asked.elapsed();
    assert!(
        took >= CALLBACK_TIMEOUT.mul_f32(0.95) && took < CALLBACK_TIMEOUT * 5,
        "{took:?}"
    );
}
