//! The metrics of one handler on one worker, and the lines of the log that are written about it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::{FailureKind, HandlerTally};
use super::log_rate::LogRate;
use wsrun_contract::{CallbackError, ConnectionId, Limit};

/// The shortest time between two warnings about one limit of a handler.
const LIMIT_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The shortest time between two core dumps of a handler. Its worker does nothing else while it
/// writes one.
const CORE_DUMP_INTERVAL: Duration = Duration::from_secs(1);

/// What is counted and logged about one handler on one worker. It never leaves the worker's
/// thread; the counters in it may be read on any.
#[derive(Debug)]
pub struct HandlerMetrics {
    name: Arc<str>,
    counters: Arc<HandlerTally>,
    /// The time of the last warning about each limit.
    warned: [Cell<Option<Instant>>; Limit::ALL.len()],
    log_rate: RefCell<LogRate>,
    dumped: Cell<Option<Instant>>,
}

impl HandlerMetrics {
    /// Begins with the numbers of `counters`. The handler may log `log_lines_per_second_max` lines.
    pub fn new(
        name: Arc<str>,
        counters: Arc<HandlerTally>,
        log_lines_per_second_max: u64,
        now: Instant,
    ) -> Self {
        Self {
            name,
            counters,
            warned: std::array::from_fn(|_| Cell::new(None)),
            log_rate: RefCell::new(LogRate::new(now, log_lines_per_second_max)),
            dumped: Cell::new(None),
        }
    }

    /// Returns the handler's name.
    #[inline]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the handler's counters.
    #[inline]
    pub fn counters(&self) -> &Arc<HandlerTally> {
        &self.counters
    }

    /// Counts that a limit was reached, and warns about it in the log at most once in five seconds.
    pub fn note_limit(&self, limit: Limit) {
        let count = &self.counters.limits[limit as usize];
        count.add(1);
        let warned = &self.warned[limit as usize];
        let now = Instant::now();
        if warned
            .get()
            .is_none_or(|last| now >= last + LIMIT_LOG_INTERVAL)
        {
            warned.set(Some(now));
            tracing::warn!(
                handler = &*self.name,
                limit = limit.name(),
                reached = count.get(),
                "a limit was reached: {}",
                limit.explanation()
            );
        }
    }

    /// Takes the right to log one line of the handler's output. Returns the number of lines that
    /// were left out before it and not reported yet, or none when this line is to be left out.
    #[inline]
    pub fn take_log_line(&self, now: Instant) -> Option<u64> {
        let taken = self.log_rate.borrow_mut().take(now);
        if taken.is_none() {
            self.note_limit(Limit::LogRate);
        }
        taken
    }

    /// Returns true when a core dump may be written, at most once in a second.
    pub fn take_core_dump(&self, now: Instant) -> bool {
        let is_due = self
            .dumped
            .get()
            .is_none_or(|last| now >= last + CORE_DUMP_INTERVAL);
        if is_due {
            self.dumped.set(Some(now));
        }
        is_due
    }

    /// Counts a callback that failed and logs it.
    pub fn report_failure(
        &self,
        callback: &str,
        connection: Option<ConnectionId>,
        error: &CallbackError,
    ) {
        self.count_failure(callback, error);
        let backtrace = Some(error.backtrace()).filter(|frames| !frames.is_empty());
        tracing::error!(
            handler = %self.name, callback, connection, backtrace = backtrace.map(tracing::field::display),
            "callback failed and had no effect: {error}"
        );
    }

    fn count_failure(&self, callback: &str, error: &CallbackError) {
        let kind = match error {
            _ if callback == "lifecycle.started" => FailureKind::Start,
            CallbackError::Trap { .. } | CallbackError::HostCalls { .. } => FailureKind::Trap,
            CallbackError::Deadline { .. } => FailureKind::Deadline,
            CallbackError::Blocked { .. } => FailureKind::Blocked,
            CallbackError::Types { .. } => FailureKind::Start,
        };
        self.counters.failures[kind as usize].add(1);
        match error {
            CallbackError::Deadline { .. } => self.note_limit(Limit::CallbackTimeout),
            CallbackError::Blocked { .. } => self.note_limit(Limit::BlockingTimeout),
            CallbackError::HostCalls { .. } => self.note_limit(Limit::HostCalls),
            CallbackError::Trap { .. } | CallbackError::Types { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> HandlerMetrics {
        HandlerMetrics::new(Arc::from("test"), Arc::default(), 10, Instant::now())
    }

    #[test]
    fn every_limit_has_a_counter_of_its_own() {
        let metrics = metrics();
        for limit in Limit::ALL {
            for _ in 0..=limit as usize {
                metrics.note_limit(limit);
            }
        }
        for (position, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, position);
            let count = metrics.counters().limits[position].get();
            assert_eq!(count, position as u64 + 1, "{}", limit.name());
        }
    }

    #[test]
    fn core_dumps_are_a_second_apart() {
        let metrics = metrics();
        let start = Instant::now();
        assert!(metrics.take_core_dump(start));
        assert!(!metrics.take_core_dump(start + CORE_DUMP_INTERVAL / 2));
        assert!(metrics.take_core_dump(start + CORE_DUMP_INTERVAL));
    }

    #[test]
    fn failed_callbacks_count_by_kind_and_by_the_limit_that_ended_them() {
        let metrics = metrics();
        let limit = Duration::from_secs(1);
        let deadline = CallbackError::Deadline {
            limit,
            backtrace: String::new(),
        };
        metrics.report_failure("messages.received", Some(1), &deadline);
        metrics.report_failure("lifecycle.started", None, &deadline);
        metrics.report_failure("timers.fired", None, &CallbackError::Blocked { limit });
        let failures = &metrics.counters().failures;
        assert_eq!(failures[FailureKind::Deadline as usize].get(), 1);
        assert_eq!(failures[FailureKind::Start as usize].get(), 1);
        assert_eq!(failures[FailureKind::Blocked as usize].get(), 1);
        let limits = &metrics.counters().limits;
        assert_eq!(limits[Limit::CallbackTimeout as usize].get(), 2);
        assert_eq!(limits[Limit::BlockingTimeout as usize].get(), 1);
    }

    #[test]
    fn line_over_the_rate_counts_as_a_limit_reached() {
        let metrics = metrics();
        let start = Instant::now();
        let written = (0..12).filter(|_| metrics.take_log_line(start).is_some());
        assert_eq!(written.count(), 10);
        assert_eq!(metrics.counters().limits[Limit::LogRate as usize].get(), 2);
    }
}
