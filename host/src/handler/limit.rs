//! Limits that were reached: counted, and told in the log now and then.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A limit of a handler that does not end its callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Connections,
    AddressConnections,
    MessageRateIn,
    ByteRateIn,
    MessageRateOut,
    ByteRateOut,
    HandlerQueue,
    HandlerSession,
    CpuShare,
}

impl Limit {
    const ALL: [Self; 9] = [
        Self::Connections,
        Self::AddressConnections,
        Self::MessageRateIn,
        Self::ByteRateIn,
        Self::MessageRateOut,
        Self::ByteRateOut,
        Self::HandlerQueue,
        Self::HandlerSession,
        Self::CpuShare,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::AddressConnections => "address-connections",
            Self::MessageRateIn => "message-rate-in",
            Self::ByteRateIn => "byte-rate-in",
            Self::MessageRateOut => "message-rate-out",
            Self::ByteRateOut => "byte-rate-out",
            Self::HandlerQueue => "handler-queue",
            Self::HandlerSession => "handler-session",
            Self::CpuShare => "cpu-share",
        }
    }

    /// What an operator would change, and what happens at it.
    fn explanation(self) -> &'static str {
        match self {
            Self::Connections => "--max-handler-connections: a handshake was answered 503",
            Self::AddressConnections => "--max-connections-per-address: a peer was cut off",
            Self::MessageRateIn => {
                "--max-message-rate or --max-handler-message-rate: a peer is read no faster"
            }
            Self::ByteRateIn => {
                "--max-byte-rate or --max-handler-byte-rate: a peer is read no faster"
            }
            Self::MessageRateOut => "--max-send-rate: the handler could not send",
            Self::ByteRateOut => "--max-send-byte-rate: the handler could not send",
            Self::HandlerQueue => {
                "--max-handler-queue: what waits for all connections together is as much as may wait"
            }
            Self::HandlerSession => "--max-handler-session: session data was refused",
            Self::CpuShare => "--max-cpu-share: the handler waits",
        }
    }
}

/// How often each limit was reached.
#[derive(Debug, Default)]
pub(crate) struct Reached([Entry; Limit::ALL.len()]);

#[derive(Debug, Default)]
struct Entry {
    count: Cell<u64>,
    told: Cell<Option<Instant>>,
}

impl Reached {
    /// Counts, and warns unless that was done a moment ago.
    pub(crate) fn note(&self, handler: &str, limit: Limit) {
        let entry = &self.0[limit as usize];
        entry.count.set(entry.count.get() + 1);
        let now = Instant::now();
        if entry.told.get().is_none_or(|told| now >= told + INTERVAL) {
            entry.told.set(Some(now));
            tracing::warn!(
                handler,
                limit = limit.name(),
                reached = entry.count.get(),
                "a limit was reached: {}",
                limit.explanation()
            );
        }
    }
}

/// Between two warnings of one limit of a handler.
const INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_place_of_its_own() {
        let reached = Reached::default();
        for limit in Limit::ALL {
            for _ in 0..=limit as usize {
                reached.note("test", limit);
            }
        }
        for (position, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, position);
            let entry = &reached.0[position];
            assert_eq!(entry.count.get(), position as u64 + 1, "{}", limit.name());
        }
    }
}
