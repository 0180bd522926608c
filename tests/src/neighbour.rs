//! A well-behaved connection that lives through whatever a test does to its server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::peer::Peer;
use crate::wait;

/// A connection on a thread of its own that echoes all the time.
#[derive(Debug)]
pub struct Neighbour {
    stop: Arc<AtomicBool>,
    echoes: Arc<AtomicU64>,
    thread: Option<JoinHandle<Duration>>,
}

/// The longest that a neighbour may wait for its echo. The machine is shared with compilers; an unharmed server answers in a
/// millisecond, a stalled one not at all.
const LONGEST: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

impl Neighbour {
    /// Begins to echo on an open connection: `prefix` and a number go out, the number (and `answer` before it) comes back.
    #[track_caller]
    pub fn on(mut peer: Peer, prefix: &'static str, answer: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let echoes = Arc::new(AtomicU64::new(0));
        let thread = thread::spawn({
            let (stop, echoes) = (Arc::clone(&stop), Arc::clone(&echoes));
            move || {
                let mut longest = Duration::ZERO;
                while !stop.load(Ordering::Relaxed) {
                    let number = echoes.load(Ordering::Relaxed);
                    let asked = Instant::now();
                    peer.send_text(&format!("{prefix}{number}"));
                    peer.expect_text(&format!("{answer}{number}"));
                    longest = longest.max(asked.elapsed());
                    echoes.store(number + 1, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
                peer.close();
                longest
            }
        });
        let neighbour = Self {
            stop,
            echoes,
            thread: Some(thread),
        };
        neighbour.lives();
        neighbour
    }

    /// Waits until the neighbour has got further echoes, asked for after this call.
    #[track_caller]
    pub fn lives(&self) {
        let seen = self.echoes.load(Ordering::Relaxed);
        wait::until("the neighbour gets its echoes", || {
            assert!(
                self.thread
                    .as_ref()
                    .is_some_and(|thread| !thread.is_finished()),
                "the neighbour failed"
            );
            self.echoes.load(Ordering::Relaxed) > seen + 1
        });
    }

    /// Ends the neighbour's connection and asserts that it never noticed a thing.
    #[track_caller]
    pub fn is_unharmed(mut self) {
        self.lives();
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it was not ended before");
        let longest = thread.join().expect("the neighbour got every echo");
        assert!(
            longest <= LONGEST,
            "the neighbour waited {longest:?} for an echo"
        );
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
