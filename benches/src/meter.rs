//! What a stretch of traffic cost, by the operating system's accounts.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::process::Accounts;

/// Runs from the end of the warm-up to the end of the measurement.
pub(crate) struct Meter {
    process: u32,
    warm: Instant,
    end: Instant,
    begun: Option<Begun>,
    latency_ns: Histogram<u64>,
}

struct Begun {
    accounts: Accounts,
    at: Instant,
    server: Duration,
    loader: Loader,
    messages: u64,
}

#[derive(Clone, Copy)]
struct Loader {
    user: Duration,
    system: Duration,
}

/// The result.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) messages: u64,
    pub(crate) wall: Duration,
    pub(crate) server_cpu: Duration,
    pub(crate) loader_user: Duration,
    pub(crate) loader_system: Duration,
    pub(crate) latency_ns: Histogram<u64>,
}

impl Meter {
    pub(crate) fn new(process: u32, warm_up: Duration, measure: Duration) -> anyhow::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            process,
            warm: now + warm_up,
            end: now + warm_up + measure,
            begun: None,
            latency_ns: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
        })
    }

    /// To be called often; `messages` is how many there have been from the beginning. Tells when it is over.
    #[inline]
    pub(crate) fn tick(&mut self, now: Instant, messages: u64) -> anyhow::Result<bool> {
        if self.begun.is_none() && now >= self.warm {
            // Whatever the warm-up took too long is not taken from the measurement.
            let late = now - self.warm;
            self.end += late;
            let accounts = Accounts::of(self.process);
            self.begun = Some(Begun {
                at: Instant::now(),
                server: accounts.cpu()?,
                accounts,
                loader: loader()?,
                messages,
            });
        }
        Ok(now >= self.end)
    }

    #[inline]
    pub(crate) fn record(&mut self, latency: Duration) {
        if self.begun.is_some() {
            self.latency_ns.saturating_record(latency.as_nanos() as u64);
        }
    }

    pub(crate) fn finish(self, messages: u64) -> anyhow::Result<Measured> {
        let begun = self
            .begun
            .ok_or_else(|| anyhow::anyhow!("it ended while it was warming up"))?;
        let (server, now, loader) = (begun.accounts.cpu()?, Instant::now(), loader()?);
        Ok(Measured {
            messages: messages - begun.messages,
            wall: now - begun.at,
            server_cpu: server.saturating_sub(begun.server),
            loader_user: loader.user.saturating_sub(begun.loader.user),
            loader_system: loader.system.saturating_sub(begun.loader.system),
            latency_ns: self.latency_ns,
        })
    }
}

fn loader() -> anyhow::Result<Loader> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    Ok(Loader {
        user: duration(usage.user_time()),
        system: duration(usage.system_time()),
    })
}

fn duration(time: TimeVal) -> Duration {
    Duration::from_secs(time.tv_sec().unsigned_abs())
        + Duration::from_micros(time.tv_usec().unsigned_abs())
}

const LATENCY_NS_MAX: u64 = 60_000_000_000;
