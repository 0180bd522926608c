//! The task of a connection: its driver, and the runtime's timer for what the driver waits for.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

use wsrun_metrics::panics::caught;
use wsrun_os::clock;
use wsrun_runtime::driver::Driver;
use wsrun_runtime::handler::Handler;
use wsrun_runtime::session::Session;
use wsrun_runtime::worker::Worker;

/// Runs a connection until its transport is gone, and closes it when the server stops. `early` is
/// what the peer sent behind its handshake.
///
/// The future of every connection: it has the size of its [`Driver`].
pub(super) fn drive(
    session: Rc<Session>,
    handler: Rc<Handler>,
    worker: Rc<Worker>,
    early: Vec<u8>,
) -> impl Future<Output = ()> {
    let mut alarm = Alarm::new(clock::now() + worker.settings.timeouts.close_timeout);
    let mut driver = Driver::new(session, handler, worker, early);
    poll_fn(move |cx| match caught(|| driver.poll(cx, clock::now())) {
        Ok(Poll::Ready(())) => Poll::Ready(()),
        Ok(Poll::Pending) => {
            alarm.set(cx, driver.deadline());
            Poll::Pending
        }
        Err(panicked) => {
            driver.fail(&panicked);
            Poll::Ready(())
        }
    })
}

/// A timer of the runtime. It may be set to an earlier time than what is due: moving it back for
/// every message would cost more than to look in vain once.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    at: Instant,
}

impl Alarm {
    fn new(at: Instant) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(at.into())),
            at,
        }
    }

    /// Has the task of `cx` woken at `due` at the latest.
    fn set(&mut self, cx: &mut Context<'_>, due: Instant) {
        if due < self.at {
            self.reset(due);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return;
        }
        self.reset(due);
        if self.sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn reset(&mut self, at: Instant) {
        self.at = at;
        self.sleep.as_mut().reset(at.into());
    }
}
