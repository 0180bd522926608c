//! A server on the thread of its caller: it works when it is called, and a file descriptor shows
//! when to call it.
//!
//! A thread of the runtime watches the sockets. When one of them is ready, or a timer is due, that
//! thread wakes a task, and with it an eventfd. The eventfd is the one descriptor that a foreign
//! poll loop has to watch, whatever connections come and go. The tasks themselves, and all
//! callbacks of handlers, run in [`Turns::step`].

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// Polls of the tasks in one step, before control returns to the caller.
const POLLS_PER_STEP: usize = 64;

/// A set of tasks that run when [`Turns::step`] is called.
pub(super) struct Turns {
    // Fields are dropped in this order: tasks release their sockets while the runtime exists.
    tasks: LocalSet,
    runtime: Option<Runtime>,
    signal: Arc<Signal>,
    waker: Waker,
}

/// An eventfd, which is readable while there is something to do.
struct Signal(OwnedFd);

impl Signal {
    fn raise(&self) {
        // The counter cannot overflow before it is read.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Lowers the signal. Returns true when it was raised.
    fn lower(&self) -> bool {
        let mut counter = [0; 8];
        rustix::io::read(&self.0, &mut counter).is_ok()
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
    }
}

impl Turns {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("wsrun-poll")
            .enable_all()
            .build()?;
        let signal = Arc::new(Signal(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?));
        let waker = Waker::from(Arc::clone(&signal));
        signal.raise();
        Ok(Self {
            tasks: LocalSet::new(),
            runtime: Some(runtime),
            signal,
            waker,
        })
    }

    /// Runs a future to its end, and the tasks meanwhile.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let result = self.runtime().block_on(self.tasks.run_until(work));
        // Tasks that became ready meanwhile have woken another waker.
        self.signal.raise();
        result
    }

    /// Runs the tasks that are ready, without waiting. Returns false when there was nothing to do.
    pub(super) fn step(&mut self) -> bool {
        let handle = self.runtime().handle().clone();
        let _entered = handle.enter();
        let mut worked = false;
        for _ in 0..POLLS_PER_STEP {
            if !self.signal.lower() {
                break;
            }
            worked = true;
            let mut cx = Context::from_waker(&self.waker);
            // Pending as long as there are tasks, and accept loops never end by themselves.
            let _ = Pin::new(&mut self.tasks).poll(&mut cx);
        }
        worked
    }

    /// Waits until there is something to do, at most for `timeout`, and does it. Returns false when
    /// there was nothing.
    pub(super) fn service(&mut self, timeout: Duration) -> io::Result<bool> {
        if !timeout.is_zero() {
            self.wait(timeout)?;
        }
        Ok(self.step())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.signal.0.as_fd()
    }

    fn wait(&self, timeout: Duration) -> io::Result<()> {
        // A time beyond the clock's range means no deadline.
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()))
                .map(Timespec::try_from)
                .transpose()
                .map_err(io::Error::other)?;
            let mut fds = [PollFd::new(&self.signal.0, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime
            .as_ref()
            .expect("it is there until it is dropped")
    }
}

impl Turns {
    /// Ends all tasks, and runs `last` afterwards while the runtime still exists.
    pub(super) fn end(&mut self, last: impl FnOnce()) {
        if let Some(runtime) = self.runtime.take() {
            let entered = runtime.enter();
            self.tasks = LocalSet::new();
            last();
            drop(entered);
            // A file read that never ends must not delay the end of the program.
            runtime.shutdown_background();
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.end(|| {});
    }
}
