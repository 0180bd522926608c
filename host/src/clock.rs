//! The clock of everything that waits for the runtime: its own, which stands still in a scenario until it is advanced. And waiting for
//! others only for so long.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

/// A timer that fires so much later than it was set for tells that the process stood still (it was stopped, or its machine was), or that
/// this thread could not keep up. Whom it was set for may have done everything meanwhile.
const LATE: Duration = Duration::from_millis(500);

/// The time, as the timers of this runtime have it.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// What this thread has computed.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Whether what was due is looked at so late that nobody else is to blame.
pub(crate) fn is_late(due: Instant, now: Instant) -> bool {
    now.saturating_duration_since(due) >= LATE
}

/// Wakes a task when all else that is ready has run and the sockets were looked at.
pub(crate) fn wake_after_others(cx: &mut Context<'_>) {
    // It hands the waker over to the runtime.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

/// How long somebody is waited for. After a standstill of the process that is as long again.
pub(crate) struct Patience {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    /// It is over, and the sockets were looked at since.
    looked: bool,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
            looked: false,
        }
    }

    /// Whether it is over. To be asked when what is waited for was looked at in vain; the first time that it is over, the task is woken to
    /// look again instead: a process that was stopped sees its timers before its sockets.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if is_late(self.sleep.deadline().into_std(), now()) {
                self.looked = false;
                self.sleep.set(tokio::time::sleep(self.limit));
            } else if self.looked {
                return Poll::Ready(());
            } else {
                self.looked = true;
                wake_after_others(cx);
                return Poll::Pending;
            }
        }
    }
}

/// What was waited for did not come in time.
#[derive(Debug)]
pub(crate) struct Elapsed;

/// Waits for something of others for as long as [`Patience`] allows.
pub(crate) async fn timeout<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, Elapsed> {
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
        assert!(took >= limit && took < limit + LATE, "{took:?}");
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
        // Sixty seconds in one step, as for a process that was stopped.
        tokio::time::advance(Duration::from_secs(60)).await;
        let took = waiting.await.expect("it does not panic");
        assert!(took >= Duration::from_secs(60) + limit, "{took:?}");
    }
}
