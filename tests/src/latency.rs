//! How long a neighbour waits for its echoes, while a test does something else to the server.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use crate::peer::Peer;

/// The waits for some echoes.
#[derive(Clone, Debug)]
pub struct Latency {
    sorted: Vec<Duration>,
}

impl Latency {
    /// Echoes for so long, a message a millisecond: `prefix` and a number go out, the number comes back.
    #[track_caller]
    pub fn measure(peer: &mut Peer, prefix: &str, time: Duration) -> Self {
        const PAUSE: Duration = Duration::from_millis(1);
        let begun = Instant::now();
        let mut sorted = Vec::new();
        while begun.elapsed() < time {
            let number = sorted.len();
            let asked = Instant::now();
            peer.send_text(&format!("{prefix}{number}"));
            peer.expect_text(&number.to_string());
            sorted.push(asked.elapsed());
            std::thread::sleep(PAUSE);
        }
        sorted.sort_unstable();
        Self { sorted }
    }

    /// What so many of a hundred waits did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.sorted.len() * percent / 100).min(self.sorted.len() - 1);
        self.sorted[at]
    }
}

impl Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:?}, p99 {:?}, longest {:?} of {}",
            self.percentile(50),
            self.percentile(99),
            self.percentile(100),
            self.sorted.len()
        )
    }
}
