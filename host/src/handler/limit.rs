//! Limits that were reached: counted, and told in the log now and then.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A limit of a handler.
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
    LogRate,
    LogBytes,
    WasmStack,
    HostCalls,
    Memory,
    Coredumps,
}

impl Limit {
    const ALL: [Self; 15] = [
        Self::Connections,
        Self::AddressConnections,
        Self::MessageRateIn,
        Self::ByteRateIn,
        Self::MessageRateOut,
        Self::ByteRateOut,
        Self::HandlerQueue,
        Self::HandlerSession,
        Self::CpuShare,
        Self::LogRate,
        Self::LogBytes,
        Self::WasmStack,
        Self::HostCalls,
        Self::Memory,
        Self::Coredumps,
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
            Self::LogRate => "log-rate",
            Self::LogBytes => "log-bytes",
            Self::WasmStack => "wasm-stack",
            Self::HostCalls => "host-calls",
            Self::Memory => "memory",
            Self::Coredumps => "coredumps",
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
            Self::LogRate => "--max-log-rate: lines of the handler's output were left out",
            Self::LogBytes => "64 KiB/s of the handler's output: lines of it were left out",
            Self::WasmStack => "--max-wasm-stack: a callback was stopped",
            Self::HostCalls => "--max-host-calls: a callback was stopped",
            Self::Memory => "--max-memory: an instance could not grow, and its callback failed",
            Self::Coredumps => "--coredump-max: a core dump was not written",
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
