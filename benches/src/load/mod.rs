//! The kinds of load.

pub(crate) mod churn;
pub(crate) mod echo;
pub(crate) mod fan;
pub(crate) mod idle;
pub(crate) mod swap;

use std::time::Duration;

use anyhow::bail;

use crate::link::{Link, Way};
use crate::traffic::{Expected, Message};

/// For how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
}

/// What is sent, and what the server answers.
pub(crate) struct Exchange {
    /// The frame, or the bytes for a raw server.
    pub(crate) frame: Vec<u8>,
    pub(crate) reply: Vec<u8>,
    pub(crate) expected: Expected,
}

impl Exchange {
    /// Asks the server once, on a connection of its own.
    pub(crate) fn learn(way: &Way, message: &Message, frame: Vec<u8>) -> anyhow::Result<Self> {
        let reply = Link::learn(way, &frame, &message.payload)?;
        Ok(Self {
            expected: Expected::new(&reply),
            frame,
            reply,
        })
    }
}

fn open(way: &Way, count: usize) -> anyhow::Result<Vec<Link>> {
    (0..count).map(|_| Link::open(way)).collect()
}

/// Reads what is there and compares it. Returns how many bytes it was.
#[inline]
fn take(
    link: &mut Link,
    buffer: &mut [u8],
    expected: &Expected,
    received: u64,
) -> anyhow::Result<u64> {
    let mut taken = 0;
    loop {
        match link.read(buffer)? {
            None => return Ok(taken),
            Some(0) => bail!("the server closed a connection"),
            Some(read) => {
                if !expected.matches(received + taken, &buffer[..read]) {
                    bail!("the server sent other bytes than at first");
                }
                taken += read as u64;
                if read < buffer.len() && !link.may_hold_more() {
                    return Ok(taken);
                }
            }
        }
    }
}

const TICK: Duration = Duration::from_millis(20);
