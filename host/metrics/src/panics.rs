//! Containment of panics of the host itself: a defect must end what it concerns and nothing else.
//!
//! A handler's traps are not panics. A panic is a defect of the host; whatever its cause, the
//! worker and its other handlers go on. While the stack unwinds, guards give back what is held:
//! borrows, permits, instance slots. wasmtime carries a panic of an import across the stack of the
//! instance and resumes it on the stack of the caller. Such an instance is never called again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use crate::HostTally;
use crate::text;

/// Characters of a panic's message that are logged.
const TEXT_MAX: usize = 200;

/// A panic that was caught.
#[derive(Debug)]
pub struct Panicked(String);

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("without a message");
        // The message may quote what a peer has sent.
        let start: String = message.chars().take(TEXT_MAX).collect();
        Self(text::line(start))
    }

    /// Counts the panic and logs it. `handler` is empty when the panic concerns none.
    pub fn report(&self, tally: &HostTally, handler: &str, stage: &str) {
        tally.panics.add(1);
        tracing::error!(
            handler,
            stage,
            "a panic of the host, which is a defect of wsrun: what it concerned was ended, the rest goes on; please report it: {}",
            self.0
        );
    }
}

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the host panicked: {}", self.0)
    }
}

/// Runs something that may panic. When it did, the caller must end what it was working on.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Nothing uses what the work held before it is ended, so no broken invariant is relied on.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(&*payload))
}

/// Awaits a future that may panic, as [`caught`] does for a function. The future is not polled
/// again after a panic.
pub async fn contained<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match caught(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Spawns a task that needs no cleanup after a panic: guards give back what the task holds.
pub fn spawn(
    tally: &Arc<HostTally>,
    stage: &'static str,
    task: impl Future<Output = ()> + 'static,
) {
    let tally = Arc::clone(tally);
    tokio::task::spawn_local(async move {
        if let Err(panicked) = contained(task).await {
            panicked.report(&tally, "", stage);
        }
    });
}

/// Panics where a test asks for it. `WSRUN_TEST_PANIC=STAGE:N` names the stage and the number of
/// the call that panics; 0 means every call. Does nothing in a release build.
#[cfg(debug_assertions)]
pub fn plant(stage: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static PLANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let planted = std::env::var("WSRUN_TEST_PANIC").ok()?;
        let (stage, time) = planted.split_once(':')?;
        Some((stage.to_owned(), time.parse().ok()?))
    });
    static TIMES: AtomicU32 = AtomicU32::new(0);
    if let Some((planted, time)) = &*PLANTED
        && planted == stage
    {
        let this = TIMES.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(*time != 0 && this != *time, "planted in {stage}");
    }
}

/// Does nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn plant(_: &str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_panic_is_one_short_line() {
        let panicked = caught(|| panic!("{}\n\u{1b}[2J", "x".repeat(300))).unwrap_err();
        assert_eq!(panicked.0, "x".repeat(TEXT_MAX));
        let panicked = caught(|| panic!("a\n\u{1b}\u{202e}b")).unwrap_err();
        assert_eq!(panicked.0, "a\\u{a}\\u{1b}\\u{202e}b");
    }

    #[tokio::test]
    async fn future_that_panics_after_a_while_is_contained() {
        let outcome = contained(async {
            tokio::task::yield_now().await;
            panic!("later")
        });
        assert_eq!(
            outcome.await.unwrap_err().to_string(),
            "the host panicked: later"
        );
        assert_eq!(contained(async { 7 }).await.unwrap(), 7);
    }
}
