//! Panics of the host itself: a defect must cost what it concerns and nothing else.
//!
//! A handler's traps are no panics. What panics is the host, by a defect of its own; whatever the cause, the worker and its other handlers
//! go on. Guards give back what is held while a stack unwinds: borrows, slots, seats. wasmtime carries a panic of an import across the stack
//! of the instance and goes on with it on that of the caller; such an instance is never called again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use crate::observability::HostTally;
use crate::text;

/// Characters of a panic's message in the log.
const TEXT_MAX: usize = 200;

/// Something has panicked.
#[derive(Debug)]
pub(crate) struct Panicked(String);

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("without a message");
        // It may quote what a peer has sent.
        let start: String = message.chars().take(TEXT_MAX).collect();
        Self(text::line(start))
    }

    /// Counts it and tells the log. `handler` is empty where it concerns none.
    pub(crate) fn report(&self, tally: &HostTally, handler: &str, stage: &str) {
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

/// Does something that may panic. Whoever calls this ends what it worked on, if it did.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What the work held is seen by nobody before it is ended: no broken invariant is relied on.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(&*payload))
}

/// The same for a future, which is not polled again when it has panicked.
pub(crate) async fn contained<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match caught(|| work.as_mut().poll(cx)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

/// Spawns a task of which nothing is left to be ended when it panics: what it holds is given back by guards.
pub(crate) fn spawn(
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

/// A place where tests have the host panic: `WSRUN_TEST_PANIC=STAGE:N` names it, and which time; 0 is each time. Not in a release build.
#[cfg(debug_assertions)]
pub(crate) fn plant(stage: &str) {
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

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn plant(_: &str) {}

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
