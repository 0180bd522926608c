//! How long a neighbour waits for its echoes, while a test does something else to the server.

use std::fmt::{self, Display};
use std::time::{Duration, Instant};

use crate::frame::{self, Frame};
use crate::peer::Peer;

/// The waits for some echoes.
#[derive(Clone, Debug)]
pub struct Latency {
    sorted: Vec<Duration>,
}

/// Between two messages.
const PAUSE: Duration = Duration::from_millis(1);

impl Latency {
    /// Echoes for so long, a message a millisecond: `prefix` and a number go out, the number comes back.
    #[track_caller]
    pub fn measure(peer: &mut Peer, prefix: &str, time: Duration) -> Self {
        let begun = Instant::now();
        let mut waits = Vec::new();
        while begun.elapsed() < time {
            let number = waits.len();
            let asked = Instant::now();
            peer.send_text(&format!("{prefix}{number}"));
            peer.expect_text(&number.to_string());
            waits.push(asked.elapsed());
            std::thread::sleep(PAUSE);
        }
        Self::of(waits)
    }

    /// The same on several connections in turn, until the server has closed all of them with this code: a message is answered, or was on
    /// its way when the close frame was.
    #[track_caller]
    pub fn measure_until_closed(mut peers: Vec<Peer>, code: u16) -> Self {
        let mut waits = Vec::new();
        while !peers.is_empty() {
            peers.retain_mut(|peer| {
                let number = waits.len().to_string();
                let asked = Instant::now();
                peer.send_text(&number);
                let frame = peer.read_frame();
                let open = frame.opcode != frame::CLOSE;
                if open {
                    assert_eq!(frame.text(), number);
                    waits.push(asked.elapsed());
                } else {
                    assert_eq!(frame.close_info().0, code);
                    peer.send(&Frame::close(code, ""));
                }
                std::thread::sleep(PAUSE);
                open
            });
        }
        Self::of(waits)
    }

    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        Self { sorted: waits }
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
