//! Measures the guests of a worker: whether one is running and for how long, for the ticker of the
//! epoch, and the time of each callback.
//!
//! A worker runs at most one guest at a time. It records each begin and end with one relaxed store.
//! The ticker's thread compares what it sees with what it saw before. Only the worker's thread
//! writes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use wsrun_os::clock::thread_time;

/// The measurements of one worker. They are on a cache line of their own, so that workers do not
/// slow each other.
#[derive(Debug)]
#[repr(align(128))]
pub struct ExecutionMeter {
    /// The number of begins and ends of slices: odd while a guest runs.
    slices: AtomicU64,
    /// The begin of the slice, in nanoseconds since `base`.
    since: AtomicU64,
    /// The thread's processor time at the begin of the slice, in nanoseconds. 0 for the first slice
    /// of a callback, where asking for it would cost more than most callbacks take.
    cpu_since: AtomicU64,
    /// Nanoseconds that the callback computed in its earlier slices.
    used: AtomicU64,
    base: Instant,
    alone: bool,
}

impl Default for ExecutionMeter {
    fn default() -> Self {
        Self {
            slices: AtomicU64::new(0),
            since: AtomicU64::new(0),
            cpu_since: AtomicU64::new(0),
            used: AtomicU64::new(0),
            base: Instant::now(),
            alone: false,
        }
    }
}

impl ExecutionMeter {
    /// Returns the measurements of a worker that serves a single handler.
    pub fn of_one_handler() -> Self {
        Self {
            alone: true,
            ..Self::default()
        }
    }

    /// Returns true when no other handler can wait for a guest of this worker.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Returns the number of the slice that is running, if one is, and the time since its begin.
    pub(super) fn slice(&self) -> Option<(u64, Duration)> {
        let slices = self.slices.load(Ordering::Relaxed);
        if slices & 1 == 0 {
            return None;
        }
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        Some((slices, self.base.elapsed().saturating_sub(since)))
    }

    /// Starts the measurement of a callback, which has computed for no time yet.
    pub(super) fn begin(&self) {
        self.since
            .store(nanos(self.base.elapsed()), Ordering::Relaxed);
        self.cpu_since.store(0, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
    }

    /// Returns the time that the callback has computed in all its slices. It is processor time, so
    /// that a machine that is busy elsewhere ends no callback.
    pub(super) fn used(&self) -> Duration {
        let before = Duration::from_nanos(self.used.load(Ordering::Relaxed));
        let cpu_since = self.cpu_since.load(Ordering::Relaxed);
        if cpu_since > 0 {
            return before + thread_time().saturating_sub(Duration::from_nanos(cpu_since));
        }
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        // The epoch ends the first slice sooner than this, unless something else had the processor.
        let slice = self.base.elapsed().saturating_sub(since);
        before + slice.min(FIRST_SLICE_MAX)
    }

    /// Starts another slice of a callback that has computed for `used` before.
    fn resume(&self, used: Duration) {
        self.since
            .store(nanos(self.base.elapsed()), Ordering::Relaxed);
        self.cpu_since
            .store(nanos(thread_time()).max(1), Ordering::Relaxed);
        self.used.store(nanos(used), Ordering::Relaxed);
    }

    /// Runs a program, slice by slice, like [`measure`](Self::measure). Since a program runs for long,
    /// its time starts anew after it has waited for anything but other tasks of its worker. `after`
    /// is called after each slice.
    pub(super) async fn measure_program<T>(
        &self,
        yields: &AtomicBool,
        after: impl Fn(),
        call: impl Future<Output = T>,
    ) -> T {
        let mut call = pin!(call);
        let mut used = Duration::ZERO;
        poll_fn(move |cx| {
            self.resume(used);
            let slice = self.enter();
            let result = call.as_mut().poll(cx);
            drop(slice);
            used = match yields.load(Ordering::Relaxed) {
                true => self.used(),
                false => Duration::ZERO,
            };
            after();
            result
        })
        .await
    }

    fn enter(&self) -> Slice<'_> {
        let slices = self.slices.load(Ordering::Relaxed) | 1;
        self.slices.store(slices, Ordering::Relaxed);
        Slice(self)
    }

    /// Runs a callback, slice by slice. Only the time within its polls counts: a wait between them
    /// does not.
    pub(super) async fn measure<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut used = None;
        poll_fn(move |cx| {
            // The first slice began with the callback.
            if let Some(used) = used {
                self.resume(used);
            }
            let slice = self.enter();
            let result = call.as_mut().poll(cx);
            drop(slice);
            if result.is_pending() {
                used = Some(self.used());
            }
            result
        })
        .await
    }
}

/// A running slice, which ends when this is dropped, also by a panic of the host.
struct Slice<'a>(&'a ExecutionMeter);

impl Drop for Slice<'_> {
    fn drop(&mut self) {
        let slices = self.0.slices.load(Ordering::Relaxed);
        self.0
            .slices
            .store(slices.wrapping_add(1), Ordering::Relaxed);
    }
}

/// The longest time until the ticker has seen a slice twice.
const FIRST_SLICE_MAX: Duration = Duration::from_millis(10);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Lets every other task of the worker run, and its sockets be polled, once.
///
/// A plain `yield_now` ends with the next poll, whatever causes it. Each event for a busy handler
/// polls it, so its slices would come before the tasks that wait.
pub(super) async fn others_had_their_turn() {
    let state = Arc::new(YieldState::default());
    let waker = Waker::from(Arc::clone(&state));
    let mut yielded = pin!(tokio::task::yield_now());
    let mut begun = false;
    poll_fn(move |cx| {
        state.register(cx.waker());
        if !begun {
            begun = true;
            // Wakes after every task that is ready now, and after the sockets were polled.
            return yielded.as_mut().poll(&mut Context::from_waker(&waker));
        }
        match state.is_done.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

#[derive(Default)]
struct YieldState {
    is_done: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl YieldState {
    fn register(&self, waker: &Waker) {
        let mut kept = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
    }
}

impl Wake for YieldState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_done.store(true, Ordering::Release);
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_is_seen_while_a_callback_computes_and_not_while_it_waits() {
        let meter = ExecutionMeter::default();
        meter.begin();
        let mut first = None;
        let number = || meter.slice().map(|(number, _)| number);
        let mut call = pin!(meter.measure(poll_fn(|_| match first {
            None => {
                first = number();
                Poll::Pending
            }
            Some(first) => Poll::Ready((first, number())),
        })));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(meter.slice(), None);
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(meter.slice(), None);
        let Poll::Ready((first, second)) = call.as_mut().poll(&mut cx) else {
            panic!("the second slice is the last");
        };
        assert!(
            second.is_some_and(|second| second > first),
            "{first} {second:?}"
        );
    }

    #[test]
    fn time_between_slices_is_not_the_callbacks() {
        let meter = ExecutionMeter::default();
        meter.begin();
        let mut polls = 0;
        let mut call = pin!(meter.measure(poll_fn(|_| {
            polls += 1;
            match polls {
                1 => Poll::Pending,
                _ => Poll::Ready(meter.used()),
            }
        })));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(200) {
            std::thread::yield_now();
        }
        let Poll::Ready(used) = call.as_mut().poll(&mut cx) else {
            panic!("the second slice is the last");
        };
        assert!(used < Duration::from_millis(200), "{used:?}");
    }
}
