//! A peer that knows the texts of the model's handlers.

use std::path::Path;
use std::time::{Duration, Instant};

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::{NoFrame, Peer};
use wsrun_tests::wait::PATIENCE;

/// An open connection.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) seen: Seen,
}

/// What one connection asked for, and what it got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its id, once it knows it.
    pub(crate) id: u64,
    /// The commands of each message, by its number.
    pub(crate) asked: Vec<Vec<String>>,
    /// Messages that were sent to it by number and size, beside the answers.
    pub(crate) floods: u64,
    /// Who published what it got, and the number.
    pub(crate) published: Vec<(u64, u64)>,
    /// How many of those that it published itself were taken.
    pub(crate) taken: u64,
    /// Answers of the host.
    pub(crate) automatic: u64,
    /// What the host told in the end that it left out.
    pub(crate) dropped: Option<u64>,
    pub(crate) ended: Ended,
}

/// How the connection ended, as its peer saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ended {
    #[default]
    Not,
    /// It closed, and got all of what it was told would come.
    ByPeer,
    /// With a close frame of the server.
    ByServer(u16),
    /// The transport ended without one.
    Cut,
    /// It went away without looking at what there was to read.
    Gone,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    /// The answer to the message with this number: its results.
    Answer(usize, Vec<String>),
    Automatic,
    Published,
    Ended,
    Nothing,
}

/// A text that the host answers by itself, and its answer.
pub(crate) const AUTOMATIC: [&str; 2] = ["ping!", "pong!"];

/// When anything that is waited for from now on has come.
pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

impl Client {
    /// Opens one, or tells the status that it was answered with.
    pub(crate) fn open(mut peer: Peer, path: &str) -> Result<Self, u16> {
        let response = peer.request(&Request::upgrade(path));
        if response.status != 101 {
            return Err(response.status);
        }
        Ok(Self {
            peer,
            seen: Seen::default(),
        })
    }

    pub(crate) fn unix(path: &Path) -> Self {
        Self::open(Peer::unix(path), "/").expect("the handler lets it in")
    }

    /// Sends the next message.
    pub(crate) fn send(&mut self, commands: &[String]) {
        let number = self.seen.asked.len();
        let text = format!("{number} {}", commands.join("; "));
        self.seen.asked.push(commands.to_vec());
        // If it is gone, reading tells.
        let frame = Frame::new(frame::TEXT, text).encode();
        let _ = self.peer.try_send_bytes(&frame);
    }

    pub(crate) fn send_frame(&mut self, frame: &Frame) {
        let _ = self.peer.try_send_bytes(&frame.encode());
    }

    /// Asks and waits for the answer; none when the connection ended.
    pub(crate) fn ask(&mut self, commands: &[String]) -> Option<Vec<String>> {
        self.send(commands);
        let number = self.seen.asked.len() - 1;
        let deadline = deadline();
        loop {
            match self.read_by(deadline) {
                Got::Answer(of, results) => {
                    assert_eq!(of, number, "an answer is missing, or came twice");
                    return Some(results);
                }
                Got::Automatic | Got::Published => {}
                Got::Ended => return None,
                Got::Nothing => panic!("no answer to {number} {commands:?} within {PATIENCE:?}"),
            }
        }
    }

    pub(crate) fn ask_one(&mut self, command: &str) -> Option<String> {
        let results = self.ask(&[command.to_owned()])?;
        Some(results.into_iter().next().expect("there is one result"))
    }

    /// What comes next, or nothing within the time.
    pub(crate) fn read_within(&mut self, time: Duration) -> Got {
        self.read_by(Instant::now() + time)
    }

    /// What comes next, or nothing until then.
    pub(crate) fn read_by(&mut self, deadline: Instant) -> Got {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // None at all would be for ever.
            self.peer
                .set_read_timeout(left.max(Duration::from_millis(1)));
            let frame = match self.peer.try_read_frame() {
                Ok(frame) => frame,
                Err(NoFrame::TimedOut) => return Got::Nothing,
                Err(NoFrame::Ended) => {
                    self.seen.ended = Ended::Cut;
                    return Got::Ended;
                }
            };
            match frame.opcode {
                frame::CLOSE => {
                    self.seen.ended = Ended::ByServer(frame.close_info().0);
                    self.send_frame(&Frame::new(frame::CLOSE, frame.payload));
                    return Got::Ended;
                }
                frame::BINARY if frame.payload.first() == Some(&b'b') => self.seen.floods += 1,
                frame::TEXT if frame.text() == AUTOMATIC[1] => {
                    self.seen.automatic += 1;
                    return Got::Automatic;
                }
                frame::TEXT if frame.text().starts_with("p ") => {
                    let mut parts = frame.text().split(' ').skip(1);
                    let mut number = || parts.next()?.parse().ok();
                    let publisher = number().expect("who published it");
                    let number = number().expect("its number");
                    self.seen.published.push((publisher, number));
                    return Got::Published;
                }
                // A part of a message.
                frame::TEXT if frame.text().starts_with('c') => {}
                frame::TEXT => {
                    let (number, results) = frame.text().split_once(' ').expect("an answer");
                    let number = number.parse().expect("it begins with its number");
                    let results: Vec<_> = results.split("; ").map(str::to_owned).collect();
                    let taken = results
                        .iter()
                        .filter_map(|result| result.strip_prefix("published "));
                    let taken = taken.map(|count| count.parse::<u64>().expect("a count"));
                    self.seen.taken += taken.sum::<u64>();
                    return Got::Answer(number, results);
                }
                _ => {}
            }
        }
    }

    /// Closes, and reads what there still is.
    pub(crate) fn close(mut self) -> Seen {
        self.send_frame(&Frame::close(1000, ""));
        let deadline = deadline();
        loop {
            match self.read_by(deadline) {
                Got::Ended => break,
                Got::Nothing => panic!("the close is not answered within {PATIENCE:?}"),
                Got::Answer(..) | Got::Automatic | Got::Published => {}
            }
        }
        if self.seen.ended == Ended::ByServer(1000) {
            self.seen.ended = Ended::ByPeer;
        }
        self.seen
    }
}
