//! One message to many: the next goes out when the last subscriber has the one before.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::{Exchange, TICK, Times, open, take};
use crate::link::Way;
use crate::meter::{Measured, Meter};
use crate::poll::Poll;
use crate::traffic::Expected;

/// Runs until its time is over. A message is one delivery to one subscriber; latency is that of the last of each.
pub(crate) fn run(
    way: &Way,
    exchange: &Exchange,
    subscribers: usize,
    times: Times,
    process: u32,
) -> anyhow::Result<Measured> {
    let mut links = open(way, subscribers)?;
    let mut received = vec![0_u64; subscribers];
    let mut poll = Poll::new()?;
    for (index, link) in links.iter().enumerate() {
        poll.add(link, index)?;
    }
    let period = exchange.expected.period() as u64;
    let mut buffer = vec![0; Expected::READ_BYTES_MAX];
    let mut meter = Meter::new(process, times.warm_up, times.measure)?;
    let (mut delivered, mut publishes) = (0_u64, 0_u64);
    let mut sent = Instant::now();
    loop {
        if delivered == publishes * subscribers as u64 {
            let now = Instant::now();
            if publishes > 0 {
                meter.record(now - sent);
            }
            // Only between publishes, so that what is counted is whole.
            if meter.tick(now, delivered)? {
                return meter.finish(delivered);
            }
            sent = Instant::now();
            let publisher = (publishes % subscribers as u64) as usize;
            if links[publisher].write(&exchange.frame)? < exchange.frame.len() {
                bail!("a small message does not fit into a socket");
            }
            publishes += 1;
        }
        poll.wait(TICK)?;
        for n in 0..poll.count() {
            let ready = poll.ready(n);
            if !ready.readable {
                continue;
            }
            let index = ready.index;
            let before = received[index] / period;
            received[index] += take(
                &mut links[index],
                &mut buffer,
                &exchange.expected,
                received[index],
            )?;
            delivered += received[index] / period - before;
        }
        if sent.elapsed() > Duration::from_secs(20) {
            bail!(
                "{delivered} of {} deliveries came",
                publishes * subscribers as u64
            );
        }
    }
}
