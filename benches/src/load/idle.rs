//! Many connections that do nothing, and a few that do while they are there.

use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::echo::{self, Pace};
use super::{Exchange, Times};
use crate::link::{Link, Way};
use crate::meter::Measured;
use crate::process::{Memory, memory};

/// The result.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) before: Memory,
    pub(crate) after: Memory,
    /// Ping-pong of a hundred connections, without and with the idle ones.
    pub(crate) active: Option<(Measured, Measured)>,
}

/// Opens `count` connections. Each has sent one message and got it back: a connection that was never used is no measure.
pub(crate) fn run(
    way: &Way,
    exchange: &Exchange,
    count: usize,
    active: bool,
    times: Times,
    process: u32,
) -> anyhow::Result<Idle> {
    let ping_pong = || echo::run(way, exchange, ACTIVE, Pace::Burst(1), times, process);
    // Also without being asked for: what a server sets up for its first connections is not the idle ones'.
    let alone = ping_pong()?;
    thread::sleep(SETTLE);
    let before = memory(process)?;
    let mut links = Vec::with_capacity(count);
    for opened in 0..count {
        let open = || -> anyhow::Result<Link> {
            let mut link = Link::open(way)?;
            link.touch(&exchange.frame, &exchange.reply)?;
            Ok(link)
        };
        let link = open().with_context(|| format!("beside {opened} idle connections"))?;
        links.push(link);
    }
    thread::sleep(SETTLE);
    let after = memory(process)?;
    let active = if active {
        Some((alone, ping_pong()?))
    } else {
        None
    };
    for link in &mut links {
        link.touch(&exchange.frame, &exchange.reply)?;
    }
    Ok(Idle {
        before,
        after,
        active,
    })
}

const ACTIVE: usize = 100;
/// For what a server does a moment later: closing what is gone, letting buffers go.
const SETTLE: Duration = Duration::from_secs(1);
