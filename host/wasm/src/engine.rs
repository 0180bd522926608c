//! The wasmtime engine, its configuration and its epoch ticker.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::set_current_timer_slack;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use super::error::FRAMES_ASKED;
use super::meter::ExecutionMeter;
use super::settings::WasmSettings;
use wsrun_os::timeslice;

/// The part of a callback's stack beyond the wasm frames. Host functions have nothing else, and an
/// overflow there would abort the process.
const HOST_STACK_BYTES: usize = 1536 * 1024;

/// The part of the configuration that concerns the engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Bytes of stack for the wasm frames of a callback. Deeper recursion traps.
    pub wasm_stack_bytes: usize,
    /// True when backtraces contain files and lines.
    pub backtrace_lines: bool,
    /// True when failing callbacks produce a core dump.
    pub coredumps: bool,
}

impl From<&WasmSettings> for EngineConfig {
    fn from(settings: &WasmSettings) -> Self {
        Self {
            wasm_stack_bytes: settings.stack_bytes_max,
            backtrace_lines: settings.backtrace_lines,
            coredumps: settings.coredumps.is_some(),
        }
    }
}

/// Makes the engine of the process.
pub fn engine(settings: &EngineConfig) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // With the bookkeeping of component-model-async a call costs three to four times as much
        // (docs/adr/0003).
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(settings.wasm_stack_bytes)
        .async_stack_size(settings.wasm_stack_bytes + HOST_STACK_BYTES)
        .wasm_backtrace_max_frames(Some(FRAMES_ASKED))
        .coredump_on_trap(settings.coredumps)
        .wasm_backtrace_details(match settings.backtrace_lines {
            true => WasmBacktraceDetails::Enable,
            false => WasmBacktraceDetails::Disable,
        });
    Engine::new(&config)
}

/// Makes guests that compute for long yield, until it is dropped.
///
/// Each advance of the epoch makes every running guest yield to its neighbours once. So the epoch
/// is advanced only when a guest has computed for a while (docs/adr/0009).
#[derive(Debug)]
pub struct EpochTicker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    pub fn start(engine: &Engine, meters: Arc<[Arc<ExecutionMeter>]>) -> std::io::Result<Self> {
        let engine = engine.weak();
        let (stop, stopped) = channel::<()>();
        let mut monitor = WorkerMonitor::new(meters.len());
        let thread = std::thread::Builder::new()
            .name("wsrun-epoch".into())
            .spawn(move || {
                // Without this the shortest interval takes half as long again.
                let _ = set_current_timer_slack(NonZeroU64::new(1));
                // Without this the ticker is late when the processors are busy, and guests compute
                // for longer.
                let _ = timeslice::request(timeslice::OF_TICKER);
                let mut interval = CHECK_INTERVAL_IDLE;
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    let long;
                    (long, interval) =
                        monitor.check(Instant::now(), meters.iter().map(Observation::of));
                    if long {
                        engine.increment_epoch();
                    }
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The state of a worker at one check.
#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    /// The slice that a guest is running, and the time since its begin.
    slice: Option<(u64, Duration)>,
    /// True when no other handler can wait for the guest.
    alone: bool,
}

impl Observation {
    fn of(meter: &Arc<ExecutionMeter>) -> Self {
        Self {
            slice: meter.slice(),
            alone: meter.is_alone(),
        }
    }
}

/// The history of all workers, which decides when guests yield and when the next check is.
#[derive(Debug)]
struct WorkerMonitor {
    workers: Vec<WorkerHistory>,
    /// The last time that a guest computed for long while others may have waited.
    last_long: Option<Instant>,
    /// The last time that a guest yielded: one that computed for long, or one after many in a row.
    last_yield: Option<Instant>,
    last_busy: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct WorkerHistory {
    slice: Option<u64>,
    /// Checks in a row that found the worker in a guest, the same or another.
    busy: u32,
}

impl WorkerMonitor {
    fn new(workers: usize) -> Self {
        Self {
            workers: vec![WorkerHistory::default(); workers],
            last_long: None,
            last_yield: None,
            last_busy: None,
        }
    }

    /// Returns true when a guest is to yield, and the interval until the next check.
    fn check(
        &mut self,
        now: Instant,
        workers: impl Iterator<Item = Observation>,
    ) -> (bool, Duration) {
        let is_close = within(now, self.last_long, SHORTEST_CHECKS_TIME);
        let (mut busy, mut long, mut wanted, mut many) = (false, false, false, false);
        for (seen, Observation { slice, alone }) in self.workers.iter_mut().zip(workers) {
            let number = slice.map(|(number, _)| number);
            seen.busy = if slice.is_some() { seen.busy + 1 } else { 0 };
            busy |= slice.is_some();
            let is_same = slice.is_some() && number == seen.slice;
            let is_over = slice.is_some_and(|(_, time)| time >= SLICE);
            long |= is_same || (is_over && is_close && !alone);
            wanted |= !alone && (is_same || (is_over && is_close));
            // Many short callbacks in a row keep the others waiting as one long one does.
            if seen.busy >= BUSY_CHECKS_MAX
                && !within(now, self.last_yield, BUSY_YIELD_INTERVAL_MIN)
            {
                many = true;
                seen.busy = 0;
            }
            seen.slice = number;
        }
        if wanted {
            self.last_long = Some(now);
        }
        if long || many {
            self.last_yield = Some(now);
        }
        if busy {
            self.last_busy = Some(now);
        }
        let interval = if within(now, self.last_long, SHORTEST_CHECKS_TIME) {
            CHECK_INTERVAL_SHORTEST
        } else if within(now, self.last_long, FREQUENT_CHECKS_TIME) {
            CHECK_INTERVAL_SHORT
        } else if busy || within(now, self.last_yield, FREQUENT_CHECKS_TIME) {
            CHECK_INTERVAL_BUSY
        } else if within(now, self.last_busy, IDLE_AFTER) {
            CHECK_INTERVAL
        } else {
            CHECK_INTERVAL_IDLE
        };
        (long || many, interval)
    }
}

fn within(now: Instant, then: Option<Instant>, time: Duration) -> bool {
    then.is_some_and(|then| now.saturating_duration_since(then) < time)
}

/// The interval of the checks when no worker is in a guest, but one was within the last
/// [`IDLE_AFTER`].
const CHECK_INTERVAL: Duration = Duration::from_millis(2);
/// The interval while a worker is in a guest, and after a guest yielded within the last
/// [`FREQUENT_CHECKS_TIME`]. A guest that is found twice in the same slice yields.
const CHECK_INTERVAL_BUSY: Duration = Duration::from_micros(500);
/// The interval after a guest computed for long within the last [`SHORTEST_CHECKS_TIME`]. This is
/// the granularity of fairness.
const CHECK_INTERVAL_SHORTEST: Duration = Duration::from_micros(100);
/// A guest that has computed for at least this long at such a check yields.
const SLICE: Duration = Duration::from_micros(50);
/// The time for which the checks stay at the shortest interval.
const SHORTEST_CHECKS_TIME: Duration = Duration::from_millis(20);
/// The interval after no worker was in a guest for [`IDLE_AFTER`].
const CHECK_INTERVAL_IDLE: Duration = Duration::from_millis(5);
/// The interval after a guest computed for long within the last [`FREQUENT_CHECKS_TIME`]: the guest
/// may do so again at its next message.
const CHECK_INTERVAL_SHORT: Duration = Duration::from_micros(200);
/// The time for which the checks stay frequent after a guest had to yield.
const FREQUENT_CHECKS_TIME: Duration = Duration::from_millis(100);
/// The time without a guest after which the checks become rare.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// Checks in a row that find a worker in one guest or another, after which it yields.
const BUSY_CHECKS_MAX: u32 = 4;
/// The shortest time between two such yields, however short the interval of the checks is. A worker
/// that is only busy must not yield more often because it is checked more often.
const BUSY_YIELD_INTERVAL_MIN: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use super::*;

    const fn nothing() -> Observation {
        Observation {
            slice: None,
            alone: false,
        }
    }

    /// Returns the state of a worker with a slice that has lasted for `micros` microseconds.
    const fn slice(number: u64, micros: u64) -> Observation {
        Observation {
            slice: Some((number, Duration::from_micros(micros))),
            alone: false,
        }
    }

    const fn alone(seeing: Observation) -> Observation {
        Observation {
            alone: true,
            ..seeing
        }
    }

    #[test]
    fn long_slice_yields_at_the_second_look() {
        let mut monitor = WorkerMonitor::new(2);
        let now = Instant::now();
        let mut at = |workers: [Observation; 2]| monitor.check(now, workers.into_iter());
        assert_eq!(at([nothing(), nothing()]), (false, CHECK_INTERVAL_IDLE));
        assert_eq!(at([nothing(), slice(7, 90)]), (false, CHECK_INTERVAL_BUSY));
        assert_eq!(
            at([nothing(), slice(7, 590)]),
            (true, CHECK_INTERVAL_SHORTEST)
        );
    }

    #[test]
    fn later_slices_yield_at_the_first_look_that_finds_them_over() {
        let mut monitor = WorkerMonitor::new(1);
        let now = Instant::now();
        let mut at = |after, worker| monitor.check(now + after, [worker].into_iter());
        at(Duration::ZERO, slice(7, 90));
        at(Duration::ZERO, slice(7, 590));
        assert_eq!(
            at(Duration::ZERO, slice(9, 49)),
            (false, CHECK_INTERVAL_SHORTEST)
        );
        assert_eq!(
            at(SHORTEST_CHECKS_TIME / 2, slice(11, 50)),
            (true, CHECK_INTERVAL_SHORTEST)
        );
        assert_eq!(
            at(SHORTEST_CHECKS_TIME, slice(13, 99)),
            (true, CHECK_INTERVAL_SHORTEST)
        );
        assert_eq!(
            at(2 * SHORTEST_CHECKS_TIME, slice(15, 99)),
            (false, CHECK_INTERVAL_SHORT)
        );
    }

    #[test]
    fn guest_that_nobody_waits_for_is_not_looked_at_closely() {
        let mut monitor = WorkerMonitor::new(2);
        let now = Instant::now();
        let mut at = |workers: [Observation; 2]| monitor.check(now, workers.into_iter());
        at([nothing(), alone(slice(7, 90))]);
        assert_eq!(
            at([nothing(), alone(slice(7, 590))]),
            (true, CHECK_INTERVAL_BUSY)
        );
        assert_eq!(
            at([slice(3, 90), alone(slice(9, 400))]),
            (false, CHECK_INTERVAL_BUSY)
        );
        assert_eq!(
            at([slice(3, 590), nothing()]),
            (true, CHECK_INTERVAL_SHORTEST)
        );
        assert_eq!(
            at([nothing(), alone(slice(11, 90))]),
            (false, CHECK_INTERVAL_SHORTEST)
        );
    }

    #[test]
    fn short_slices_in_a_row_yield_as_a_long_one() {
        let mut monitor = WorkerMonitor::new(1);
        let now = Instant::now();
        let long: Vec<bool> = (0..8)
            .map(|number| {
                let now = now + CHECK_INTERVAL_BUSY * number;
                let worker = slice(u64::from(number) * 2 + 1, 1);
                monitor.check(now, [worker].into_iter()).0
            })
            .collect();
        assert_eq!(long, [false, false, false, true, false, false, false, true]);
    }

    #[test]
    fn looks_grow_rare_when_nothing_happens() {
        let mut monitor = WorkerMonitor::new(1);
        let now = Instant::now();
        monitor.check(now, [slice(1, 0)].into_iter());
        monitor.check(now, [slice(1, 500)].into_iter());
        let mut after = |time| monitor.check(now + time, [nothing()].into_iter()).1;
        assert_eq!(after(Duration::from_millis(19)), CHECK_INTERVAL_SHORTEST);
        assert_eq!(after(Duration::from_millis(99)), CHECK_INTERVAL_SHORT);
        assert_eq!(after(Duration::from_millis(101)), CHECK_INTERVAL);
        assert_eq!(after(Duration::from_millis(1_001)), CHECK_INTERVAL_IDLE);
    }
}
