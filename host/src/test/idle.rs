//! Waits until nothing is left to do, without time passing.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Notified by the runtime when it is about to sleep.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    waker: Option<Waker>,
    came: bool,
}

impl Idle {
    /// Notifies the waiting task that the runtime has no task that is ready.
    pub(super) fn tell(&self) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A runtime that was woken does not advance its clock to the next timer.
        if let Some(waker) = waiting.waker.take() {
            waiting.came = true;
            waker.wake();
        }
    }

    /// Waits until no task is ready. The clock stands still.
    pub(super) async fn wait(&self) {
        self.lock_with(|waiting| waiting.came = false);
        poll_fn(|cx| {
            self.lock_with(|waiting| match waiting.came {
                true => Poll::Ready(()),
                false => {
                    waiting.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await;
    }

    fn lock_with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
