//! Limits that were reached: counted, and told in the log now and then.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::observability::HandlerTally;

macro_rules! limits {
    ($($variant:ident $name:literal $explanation:literal,)*) => {
        /// A limit of a handler.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Limit { $($variant,)* }

        impl Limit {
            pub(crate) const ALL: [Self; [$($name,)*].len()] = [$(Self::$variant,)*];

            /// Its label in the metrics.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What an operator would change, and what happens at it.
            fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)* }
            }
        }
    };
}

limits! {
    CallbackTimeout "callback-timeout" "--callback-timeout: a callback was stopped",
    BlockingTimeout "blocking-timeout" "--blocking-timeout: a callback was stopped",
    Memory "memory" "--max-memory: the handler did not get more",
    TableElements "table-elements" "131,072 elements of an instance's tables: the handler did not get more",
    HandlerMemory "handler-memory" "--max-handler-memory: the handler did not get more",
    Instances "instances" "--max-instances: a connection waits, or was refused",
    Effects "effects" "a callback asked for more than it may",
    Connections "connections" "--max-handler-connections: a handshake was answered 503",
    AddressConnections "address-connections" "--max-connections-per-address: a peer was cut off",
    MessageRateIn "message-rate-in" "--max-message-rate or --max-handler-message-rate: a peer is read no faster",
    ByteRateIn "byte-rate-in" "--max-byte-rate or --max-handler-byte-rate: a peer is read no faster",
    MessageRateOut "message-rate-out" "--max-send-rate: the handler could not send",
    ByteRateOut "byte-rate-out" "--max-send-byte-rate: the handler could not send",
    MessageSize "message-size" "--max-queue, --max-stream: the handler wanted to send more at once",
    Queue "queue" "--max-queue: a peer does not read, and the handler could not send to it",
    HandlerQueue "handler-queue" "--max-handler-queue: what waits for all connections together is as much as may wait, and those that hold most give way",
    Session "session" "--max-session: session data was refused",
    HandlerSession "handler-session" "--max-handler-session: session data was refused",
    CpuShare "cpu-share" "--max-cpu-share: the handler waits",
    Topics "topics" "--max-topics: a subscription was refused",
    Subscriptions "subscriptions" "--max-subscriptions: a subscription was refused",
    Timers "timers" "--max-timers: a timer was refused",
    AutoReplies "auto-replies" "an automatic reply was refused",
    Outbound "outbound" "--max-outbound: a connection was refused",
    HttpInstances "http-instances" "--max-http-instances: a request waited",
    State "state" "--max-state: the old version serves on",
    LogRate "log-rate" "--max-log-rate: lines of the handler's output were left out",
    LogBytes "log-bytes" "64 KiB/s of the handler's output: lines of it were left out",
    WasmStack "wasm-stack" "--max-wasm-stack: a callback was stopped",
    HostCalls "host-calls" "--max-host-calls: a callback was stopped",
    CopiedBytes "copied-bytes" "the arguments of one call of the host were more than may be copied: a callback was stopped",
    Resources "resources" "4,096 resources of WASI or 10,000 handles: a callback was stopped",
    Coredumps "coredumps" "--coredump-max: a core dump was not written",
    Failures "failures" "--max-failures, or a tenth of --failure-window spent on them: the handler is left alone",
}

/// What the log was told of each limit.
#[derive(Debug)]
pub(crate) struct Reached {
    tally: Arc<HandlerTally>,
    told: [Cell<Option<Instant>>; Limit::ALL.len()],
}

impl Reached {
    pub(crate) fn new(tally: Arc<HandlerTally>) -> Self {
        Self {
            tally,
            told: std::array::from_fn(|_| Cell::new(None)),
        }
    }

    /// Counts, and warns unless that was done a moment ago.
    pub(crate) fn note(&self, handler: &str, limit: Limit) {
        let count = &self.tally.limits[limit as usize];
        count.add(1);
        let told = &self.told[limit as usize];
        let now = Instant::now();
        if told.get().is_none_or(|told| now >= told + INTERVAL) {
            told.set(Some(now));
            tracing::warn!(
                handler,
                limit = limit.name(),
                reached = count.get(),
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
        let tally = Arc::<HandlerTally>::default();
        let reached = Reached::new(Arc::clone(&tally));
        for limit in Limit::ALL {
            for _ in 0..=limit as usize {
                reached.note("test", limit);
            }
        }
        for (position, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, position);
            let count = tally.limits[position].get();
            assert_eq!(count, position as u64 + 1, "{}", limit.name());
        }
    }
}
