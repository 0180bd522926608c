//! Who computes on a worker, and for how long: what the ticker of the epoch looks at, and the time of a callback.
//!
//! A worker runs at most one guest at a time. It tells when it begins and ends to do so with one relaxed store each; the ticker's thread
//! compares what it sees with what it saw before. Only the worker's thread writes.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::clock::thread_time;

/// What one worker tells. On a cache line of its own, so that workers do not slow each other.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Pulse {
    /// Counts the begins and ends of slices: odd while a guest computes.
    slices: AtomicU64,
    /// When the slice began, in nanoseconds since `base`.
    since: AtomicU64,
    /// What the thread's clock of processor time said then; 0 for the first slice of a callback, where asking would cost more than most
    /// callbacks take.
    cpu_since: AtomicU64,
    /// Nanoseconds that the callback of this slice computed before it.
    spent: AtomicU64,
    base: Instant,
    alone: bool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            slices: AtomicU64::new(0),
            since: AtomicU64::new(0),
            cpu_since: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            base: Instant::now(),
            alone: false,
        }
    }
}

impl Pulse {
    /// Of a worker that none but one handler has.
    pub(crate) fn of_one_handler() -> Self {
        Self {
            alone: true,
            ..Self::default()
        }
    }

    /// Whether no other handler waits for a guest of this worker.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The slice that is being computed, if one is, and how long ago it began.
    pub(super) fn slice(&self) -> Option<(u64, Duration)> {
        let slices = self.slices.load(Ordering::Relaxed);
        if slices & 1 == 0 {
            return None;
        }
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        Some((slices, self.base.elapsed().saturating_sub(since)))
    }

    /// A callback begins: it has computed for no time.
    pub(super) fn begin(&self) {
        self.since
            .store(nanos(self.base.elapsed()), Ordering::Relaxed);
        self.cpu_since.store(0, Ordering::Relaxed);
        self.spent.store(0, Ordering::Relaxed);
    }

    /// How long the callback has computed in all its slices: processor time, so that a machine that is busy elsewhere ends no callback.
    pub(super) fn spent(&self) -> Duration {
        let before = Duration::from_nanos(self.spent.load(Ordering::Relaxed));
        let cpu_since = self.cpu_since.load(Ordering::Relaxed);
        if cpu_since > 0 {
            return before + thread_time().saturating_sub(Duration::from_nanos(cpu_since));
        }
        let since = Duration::from_nanos(self.since.load(Ordering::Relaxed));
        // The epoch ends the first slice sooner than this, unless something else had the processor.
        let slice = self.base.elapsed().saturating_sub(since);
        before + slice.min(FIRST_SLICE_MAX)
    }

    /// Another slice begins.
    fn resume(&self, spent: Duration) {
        self.since
            .store(nanos(self.base.elapsed()), Ordering::Relaxed);
        self.cpu_since
            .store(nanos(thread_time()).max(1), Ordering::Relaxed);
        self.spent.store(nanos(spent), Ordering::Relaxed);
    }

    /// The same for a program that runs for long: its time begins anew when it has waited for anything but its turn. `after` is done after
    /// each slice.
    pub(super) async fn watch_program<T>(
        &self,
        yields: &AtomicBool,
        after: impl Fn(),
        call: impl Future<Output = T>,
    ) -> T {
        let mut call = pin!(call);
        let mut spent = Duration::ZERO;
        poll_fn(move |cx| {
            self.resume(spent);
            let slice = self.enter();
            let result = call.as_mut().poll(cx);
            drop(slice);
            spent = match yields.load(Ordering::Relaxed) {
                true => self.spent(),
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

    /// Runs a callback, slice by slice. Its time is what it takes within its polls: a wait between them does not count.
    pub(super) async fn watch<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut spent = None;
        poll_fn(move |cx| {
            // The first slice began with the callback.
            if let Some(spent) = spent {
                self.resume(spent);
            }
            let slice = self.enter();
            let result = call.as_mut().poll(cx);
            drop(slice);
            if result.is_pending() {
                spent = Some(self.spent());
            }
            result
        })
        .await
    }
}

/// Ends when dropped, a panic of the host included.
struct Slice<'a>(&'a Pulse);

impl Drop for Slice<'_> {
    fn drop(&mut self) {
        let slices = self.0.slices.load(Ordering::Relaxed);
        self.0
            .slices
            .store(slices.wrapping_add(1), Ordering::Relaxed);
    }
}

/// The longest time until the ticker has looked at a slice twice.
const FIRST_SLICE_MAX: Duration = Duration::from_millis(10);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Lets every other task of the worker run, and its sockets be looked at, once.
///
/// A plain `yield_now` goes on with whatever poll is next, and each event that comes for a busy handler polls it: its slices would come
/// before those who wait.
pub(super) async fn others_had_their_turn() {
    let turn = Arc::new(Turn::default());
    let waker = Waker::from(Arc::clone(&turn));
    let mut yielded = pin!(tokio::task::yield_now());
    let mut begun = false;
    poll_fn(move |cx| {
        turn.keep(cx.waker());
        if !begun {
            begun = true;
            // Wakes behind all that is ready, after the sockets were looked at.
            return yielded.as_mut().poll(&mut Context::from_waker(&waker));
        }
        match turn.over.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

#[derive(Default)]
struct Turn {
    over: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Turn {
    fn keep(&self, waker: &Waker) {
        let mut kept = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *kept {
            Some(kept) => kept.clone_from(waker),
            None => *kept = Some(waker.clone()),
        }
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.over.store(true, Ordering::Release);
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
        let pulse = Pulse::default();
        pulse.begin();
        let mut first = None;
        let number = || pulse.slice().map(|(number, _)| number);
        let mut call = pin!(pulse.watch(poll_fn(|_| match first {
            None => {
                first = number();
                Poll::Pending
            }
            Some(first) => Poll::Ready((first, number())),
        })));
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(pulse.slice(), None);
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert_eq!(pulse.slice(), None);
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
        let pulse = Pulse::default();
        pulse.begin();
        let mut polls = 0;
        let mut call = pin!(pulse.watch(poll_fn(|_| {
            polls += 1;
            match polls {
                1 => Poll::Pending,
                _ => Poll::Ready(pulse.spent()),
            }
        })));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_pending());
        let waited = Instant::now();
        while waited.elapsed() < Duration::from_millis(200) {
            std::thread::yield_now();
        }
        let Poll::Ready(spent) = call.as_mut().poll(&mut cx) else {
            panic!("the second slice is the last");
        };
        assert!(spent < Duration::from_millis(200), "{spent:?}");
    }
}
