//! The clock of everything that waits for the runtime, and time limits for waiting on others.
//!
//! The clock is the runtime's own: in a scenario it stands still until the scenario advances it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// The delay from which a timer counts as late. A timer that fires this much after it was due shows
/// that the process was stopped, that its machine was, or that this thread could not keep up. The
/// peer that the timer is for may have done everything in time.
const LATE_AFTER: Duration = Duration::from_millis(500);

/// Returns the current time of this runtime's timers.
#[inline]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns the processor time that this thread has used.
#[inline]
pub fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Returns true when something that was due is handled so late that the delay is this process's own
/// fault and nobody else's.
#[inline]
pub fn is_late(due: Instant, now: Instant) -> bool {
    now.saturating_duration_since(due) >= LATE_AFTER
}

/// Wakes a task after every other ready task has run and the sockets were polled.
#[inline]
pub fn wake_after_others(cx: &mut Context<'_>) {
    // Polling `yield_now` once hands the waker over to the runtime.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// A time limit for waiting on somebody else. It starts again when the process itself stood still
/// in the meantime.
pub struct Patience {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    /// Set once the time is over and the task was woken to poll the sockets a last time.
    was_woken: bool,
}

impl Patience {
    #[inline]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
            was_woken: false,
        }
    }

    /// Returns ready when the time is over. Call it after polling in vain for what is waited for.
    ///
    /// When the time is over, the task is first woken to poll once more: a process that was stopped
    /// sees its timers before its sockets.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if is_late(self.sleep.deadline().into_std(), now()) {
                self.was_woken = false;
                self.sleep.set(tokio::time::sleep(self.limit));
            } else if self.was_woken {
                return Poll::Ready(());
            } else {
                self.was_woken = true;
                wake_after_others(cx);
                return Poll::Pending;
            }
        }
    }
}

/// The error of [`timeout`]: the work was not done in time.
#[derive(Debug)]
pub struct Elapsed;

/// Waits for something that others do, for as long as [`Patience`] allows.
pub async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut work = pin!(work);
    let mut patience = Patience::new(limit);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => patience.poll_over(cx).map(|()| Err(Elapsed)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_is_given_up_in_time() {
        let began = now();
        let limit = Duration::from_secs(3);
        assert!(timeout(limit, std::future::pending::<()>()).await.is_err());
        let took = now() - began;
        assert!(took >= limit && took < limit + LATE_AFTER, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn standstill_is_nobodys_time() {
        let limit = Duration::from_secs(3);
        let began = now();
        let waiting = tokio::spawn(async move {
            let _ = timeout(limit, std::future::pending::<()>()).await;
            now() - began
        });
        tokio::task::yield_now().await;
        // Advances 60 seconds in one step, as for a process that was stopped.
        tokio::time::advance(Duration::from_secs(60)).await;
        let took = waiting.await.expect("it does not panic");
        assert!(took >= Duration::from_secs(60) + limit, "{took:?}");
    }
}
