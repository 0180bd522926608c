//! The rules of a connection over a transport in memory, on a clock that stands until the test
//! advances it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::task::LocalSet;
use wsrun_proto::ws::{CloseCode, CloseFrame, MessageKind};

use super::Driver;
use crate::handler::tests::Bench;
use crate::session::Session;
use wsrun_contract::ClosedBy;
use wsrun_os::clock;
use wsrun_os::transport::memory::{MemoryPeer, pipe};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that a test drives by hand. The handler sends every message back.
struct Driven {
    bench: Bench,
    session: Rc<Session>,
    peer: MemoryPeer,
    driver: Driver,
    woken: Arc<Woken>,
    is_over: bool,
}

impl Driven {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let (ours, peer) = pipe();
        let session = bench.open_on(Box::new(ours));
        let driver = Driver::new(
            Rc::clone(&session),
            Rc::clone(&bench.handler),
            Rc::clone(&bench.worker),
            Vec::new(),
        );
        let mut driven = Self {
            bench,
            session,
            peer,
            driver,
            woken: Arc::default(),
            is_over: false,
        };
        driven.poll();
        driven.settle().await;
        driven
    }

    fn poll(&mut self) {
        assert!(!self.is_over);
        let waker = Waker::from(Arc::clone(&self.woken));
        let polled = self
            .driver
            .poll(&mut Context::from_waker(&waker), clock::now());
        self.is_over = matches!(polled, Poll::Ready(()));
    }

    /// Polls for as long as something wakes the driver.
    async fn settle(&mut self) {
        tokio::task::yield_now().await;
        while !self.is_over && self.woken.0.swap(false, Ordering::Relaxed) {
            self.poll();
            tokio::task::yield_now().await;
        }
    }

    /// Lets time pass, from deadline to deadline.
    async fn pass(&mut self, time: Duration) {
        let end = clock::now() + time;
        self.settle().await;
        while !self.is_over {
            let next = self.driver.deadline().min(end);
            tokio::time::advance(next.saturating_duration_since(clock::now())).await;
            let is_due = self.driver.deadline() <= clock::now();
            if is_due {
                self.poll();
            }
            self.settle().await;
            if clock::now() >= end && !is_due {
                return;
            }
        }
    }

    async fn send(&mut self, frames: &[u8]) {
        self.peer.send(frames);
        self.settle().await;
    }

    fn write_timeout(&self) -> Duration {
        self.bench.worker.settings.write_timeout
    }

    fn close_timeout(&self) -> Duration {
        self.bench.worker.settings.timeouts.close_timeout
    }

    /// Queues much, of which the peer takes nothing.
    async fn stall(&mut self) {
        self.peer.set_room(0);
        let much = vec![b'x'; 100_000];
        let sent = self.session.send_admitted(MessageKind::Binary, &much);
        assert_eq!(sent, Ok(()));
        self.session.flush();
        self.settle().await;
    }

    /// How the handler was told of the end.
    fn ends(&self) -> Vec<String> {
        let log = self.bench.log();
        log.into_iter()
            .filter(|line| line.starts_with("closed"))
            .collect()
    }

    fn messages(&self) -> usize {
        let log = self.bench.log();
        log.iter()
            .filter(|line| line.starts_with("received"))
            .count()
    }
}

/// Runs a test on a clock that stands still.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// A frame of a client, whose mask changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// A frame of the server.
fn answer(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    [&[first, length], payload].concat()
}

#[test]
fn messages_of_one_read_are_answered_with_one_write() {
    run(async {
        let mut driven = Driven::new().await;
        let sent: Vec<u8> = (0..10).flat_map(|_| frame(TEXT, b"hello")).collect();
        driven.send(&sent).await;
        let answers: Vec<u8> = (0..10).flat_map(|_| answer(TEXT, b"hello")).collect();
        assert_eq!(driven.peer.take_written(), answers);
        assert_eq!(driven.peer.writes(), 1);
    });
}

#[test]
fn pongs_of_a_peer_that_does_not_read_are_few() {
    run(async {
        let mut driven = Driven::new().await;
        driven.peer.set_room(0);
        let pings: Vec<[u8; 1]> = (0..30).map(|number| [number]).collect();
        for payload in &pings {
            driven.send(&frame(PING, payload)).await;
        }
        driven.peer.set_room(usize::MAX);
        driven.settle().await;
        let written = driven.peer.take_written();
        let length = answer(PONG, &pings[0]).len();
        assert!(written.len() < 20 * length, "{} bytes", written.len());
        assert!(written.ends_with(&answer(PONG, &pings[29])));
    });
}

#[test]
fn peer_that_takes_nothing_is_given_up_after_the_write_timeout() {
    run(async {
        let mut driven = Driven::new().await;
        driven.stall().await;
        let limit = driven.write_timeout();
        driven.pass(limit - SECOND).await;
        assert!(driven.session.is_open() && driven.ends().is_empty());
        driven.pass(2 * SECOND).await;
        assert!(driven.is_over);
        assert_eq!(driven.ends(), ["closed 1 1006"]);
        let info = driven.session.close_info().unwrap();
        assert_eq!((info.by, info.clean), (ClosedBy::Host, false));
        assert_eq!(info.reason, "peer does not read");
    });
}

#[test]
fn peer_that_takes_something_now_and_then_is_kept() {
    run(async {
        let mut driven = Driven::new().await;
        driven.stall().await;
        let limit = driven.write_timeout();
        for _ in 0..6 {
            driven.pass(limit - SECOND).await;
            driven.peer.set_room(100);
            // It is not silent.
            driven.send(&frame(PONG, b"")).await;
        }
        assert!(driven.session.is_open());
        driven.pass(limit + SECOND).await;
        assert!(driven.is_over);
    });
}

#[test]
fn peer_that_takes_what_the_kernel_holds_is_kept() {
    run(async {
        let mut driven = Driven::new().await;
        driven.stall().await;
        let limit = driven.write_timeout();
        for turn in 0..20 {
            driven.peer.set_untaken(1_000_000 - turn * 10);
            driven.pass(limit / 4).await;
            driven.send(&frame(PONG, b"")).await;
        }
        assert!(driven.session.is_open());
        driven.pass(2 * limit).await;
        assert!(driven.is_over, "it takes nothing any more");
    });
}

#[test]
fn time_in_which_the_process_stood_still_is_not_the_peers() {
    run(async {
        let mut driven = Driven::new().await;
        driven.stall().await;
        let limit = driven.write_timeout();
        tokio::time::advance(10 * limit).await;
        driven.poll();
        driven.settle().await;
        assert!(driven.session.is_open());
        driven.pass(limit + SECOND).await;
        assert!(driven.is_over);
    });
}

#[test]
fn peer_that_closes_is_answered_and_its_end_awaited() {
    run(async {
        let mut driven = Driven::new().await;
        let sent = [frame(TEXT, b"last"), frame(CLOSE, &1000_u16.to_be_bytes())].concat();
        driven.send(&sent).await;
        let answers = [
            answer(TEXT, b"last"),
            answer(CLOSE, &1000_u16.to_be_bytes()),
        ]
        .concat();
        assert_eq!(driven.peer.take_written(), answers);
        assert_eq!(driven.ends(), ["closed 1 1000"]);
        assert!(driven.peer.is_shut_down() && !driven.is_over);
        driven.peer.end();
        driven.settle().await;
        assert!(driven.is_over);
        assert_eq!(driven.ends().len(), 1);
        let info = driven.session.close_info().unwrap();
        assert_eq!((info.by, info.clean), (ClosedBy::Peer, true));
    });
}

#[test]
fn peer_that_does_not_answer_a_close_frame_has_the_close_timeout() {
    run(async {
        let mut driven = Driven::new().await;
        let close = CloseFrame::with_code(CloseCode::GOING_AWAY, "");
        driven.session.close(ClosedBy::Handler, close);
        driven.session.flush();
        let limit = driven.close_timeout();
        driven.pass(limit - SECOND).await;
        assert_eq!(
            driven.peer.take_written(),
            answer(CLOSE, &1001_u16.to_be_bytes())
        );
        assert!(driven.ends().is_empty());
        driven.pass(2 * SECOND).await;
        assert_eq!(driven.ends(), ["closed 1 1001"]);
        let info = driven.session.close_info().unwrap();
        assert_eq!((info.by, info.clean), (ClosedBy::Handler, false));
        driven.pass(2 * limit).await;
        assert!(driven.is_over);
    });
}

#[test]
fn messages_before_the_end_of_a_half_closed_peer_are_answered() {
    run(async {
        let mut driven = Driven::new().await;
        driven
            .peer
            .send(&[frame(TEXT, b"1"), frame(TEXT, b"2")].concat());
        driven.peer.end();
        driven.settle().await;
        let answers = [answer(TEXT, b"1"), answer(TEXT, b"2")].concat();
        assert_eq!(driven.peer.take_written(), answers);
        assert_eq!(driven.messages(), 2);
        assert_eq!(driven.ends(), ["closed 1 1006"]);
        assert!(driven.is_over);
    });
}

#[test]
fn messages_of_a_peer_that_cannot_be_written_to_are_still_delivered() {
    run(async {
        let mut driven = Driven::new().await;
        driven.peer.reset();
        driven.send(&frame(TEXT, b"1")).await;
        assert_eq!(driven.messages(), 1);
        driven.peer.send(&frame(TEXT, b"2"));
        driven.peer.end();
        driven.settle().await;
        assert_eq!(driven.messages(), 2);
        assert_eq!(driven.ends(), ["closed 1 1006"]);
        assert!(driven.is_over);
    });
}

#[test]
fn message_that_is_too_large_is_refused_and_the_rest_thrown_away() {
    run(async {
        let mut driven = Driven::new().await;
        // A frame of 2 MiB, of which 1 MiB is sent.
        let mut large = vec![0x82, 0xff];
        large.extend((2_u64 << 20).to_be_bytes());
        large.resize(large.len() + 4 + (1 << 20), 0);
        driven.send(&large).await;
        let written = driven.peer.take_written();
        assert_eq!(written[0], CLOSE);
        assert_eq!(written[2..4], 1009_u16.to_be_bytes());
        assert_eq!(driven.ends(), ["closed 1 1009"]);
        assert_eq!(driven.peer.unread_bytes(), 0);
        // A peer that is still writing must not be reset: it would lose the close frame.
        driven.send(&vec![0; 1 << 20]).await;
        assert_eq!(driven.peer.unread_bytes(), 0);
        assert!(!driven.is_over);
        driven.peer.end();
        driven.settle().await;
        assert!(driven.is_over);
        assert_eq!(driven.messages(), 0);
    });
}

#[test]
fn peer_that_writes_on_after_the_end_is_cut_off() {
    run(async {
        let mut driven = Driven::new().await;
        // An unmasked frame.
        driven.send(&[TEXT, 0]).await;
        assert_eq!(driven.ends(), ["closed 1 1002"]);
        let mut seconds = 0;
        while !driven.is_over {
            driven.peer.send(&[0; 100]);
            driven.pass(SECOND).await;
            seconds += 1;
            assert!(seconds < 60, "still read");
        }
        assert!(seconds > 30, "cut off after {seconds} s");
    });
}

#[test]
fn peer_is_not_read_while_the_handler_does_not_want_it() {
    run(async {
        let mut driven = Driven::new().await;
        driven.session.receive_flow.set(false);
        driven.send(&frame(TEXT, b"1")).await;
        // The peer is not to blame for silence that nobody hears.
        driven.pass(120 * SECOND).await;
        assert_eq!((driven.messages(), driven.peer.unread_bytes()), (0, 7));
        assert!(driven.session.is_open());
        driven.session.receive_flow.set(true);
        driven.session.wake();
        driven.settle().await;
        assert_eq!((driven.messages(), driven.peer.unread_bytes()), (1, 0));
        // A transport that fails meanwhile is noticed.
        driven.session.receive_flow.set(false);
        driven.session.wake();
        driven.settle().await;
        driven.peer.reset();
        driven.pass(10 * SECOND).await;
        assert_eq!(driven.ends(), ["closed 1 1006"]);
    });
}

#[test]
fn peer_that_does_not_read_is_not_read_either() {
    run(async {
        let mut driven = Driven::new().await;
        driven.peer.set_room(0);
        let limit = driven.bench.worker.settings.limits.queued_bytes_max;
        let half = vec![b'x'; limit / 2];
        let sent = driven.session.send_admitted(MessageKind::Binary, &half);
        assert_eq!(sent, Ok(()));
        driven.session.flush();
        driven.send(&frame(TEXT, b"1")).await;
        assert_eq!(driven.messages(), 0);
        driven.peer.set_room(usize::MAX);
        driven.settle().await;
        assert_eq!(driven.messages(), 1);
    });
}

#[test]
fn message_waits_for_the_end_of_one_in_parts() {
    run(async {
        let driven = Driven::new().await;
        let session = &driven.session;
        let text = MessageKind::Text;
        assert_eq!(session.send_chunk_admitted(text, b"a", false), Ok(()));
        assert_eq!(session.send_admitted(text, b"1"), Ok(()));
        assert_eq!(session.send_admitted(text, b"2"), Ok(()));
        assert_eq!(session.ping_admitted(b"p"), Ok(()));
        session.flush();
        let first = [answer(0x01, b"a"), answer(PING, b"p")].concat();
        assert_eq!(driven.peer.take_written(), first);
        assert_eq!(session.send_chunk_admitted(text, b"b", true), Ok(()));
        session.flush();
        let rest = [answer(0x80, b"b"), answer(TEXT, b"1"), answer(TEXT, b"2")].concat();
        assert_eq!(driven.peer.take_written(), rest);
    });
}

#[test]
fn close_frame_comes_behind_what_waits() {
    run(async {
        let driven = Driven::new().await;
        let session = &driven.session;
        let text = MessageKind::Text;
        assert_eq!(session.send_admitted(text, b"1"), Ok(()));
        session.close(ClosedBy::Handler, CloseFrame::empty());
        assert!(session.send_admitted(text, b"2").is_err());
        session.flush();
        let written = [answer(TEXT, b"1"), answer(CLOSE, b"")].concat();
        assert_eq!(driven.peer.take_written(), written);
    });
}
