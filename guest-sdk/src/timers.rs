//! Timers kept by the host; they survive a trap of the handler. A connection's own is [`Connection::set_timer`].

use std::time::Duration;

use crate::bindings::handler::wsrun::websocket::timers;
use crate::{Connection, TimerError};

/// A timer that was set, named by the host's number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer(u64);

impl Timer {
    /// The timer with this number.
    pub const fn from_id(id: u64) -> Self {
        Self(id)
    }

    /// The host's number: unique while the host runs, never 0.
    pub const fn id(self) -> u64 {
        self.0
    }

    /// Cancels the timer; `false` when it has fired, was cancelled or never was.
    pub fn cancel(self) -> bool {
        timers::cancel(self.0)
    }
}

/// Calls [`Handler::timer`](crate::Handler::timer) with `tag` once, no earlier than `after` from now, in whole milliseconds and at most
/// 49 days.
///
/// ```no_run
/// use std::time::Duration;
/// use wsrun_guest::{Connection, Handler, Timer, handler, timers, topics};
///
/// #[derive(Default)]
/// struct Clock;
///
/// #[handler]
/// impl Handler for Clock {
///     fn started(&mut self) {
///         let _ = timers::set(Duration::from_secs(1), 0);
///     }
///
///     fn timer(&mut self, _timer: Timer, tag: u64, _connection: Option<Connection>) {
///         let _ = topics::broadcast(&format!("tick {tag}"));
///         let _ = timers::set(Duration::from_secs(1), tag + 1);
///     }
/// }
/// ```
///
/// # Errors
///
/// When a limit is reached or the handler has no `timer` method.
pub fn set(after: Duration, tag: u64) -> Result<Timer, TimerError> {
    set_for(after, tag, None)
}

pub(crate) fn set_for(
    after: Duration,
    tag: u64,
    connection: Option<Connection>,
) -> Result<Timer, TimerError> {
    let timer = timers::set(whole_millis(after), tag, connection.map(Connection::id))?;
    Ok(Timer::from_id(timer))
}

/// Rounded up: a timer fires no earlier than asked for, and a time that is not zero does not become it.
pub(crate) fn whole_millis(after: Duration) -> u32 {
    after
        .as_nanos()
        .div_ceil(1_000_000)
        .try_into()
        .unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_to_milliseconds() {
        assert_eq!(whole_millis(Duration::ZERO), 0);
        assert_eq!(whole_millis(Duration::from_micros(1)), 1);
        assert_eq!(whole_millis(Duration::from_millis(50)), 50);
        assert_eq!(whole_millis(Duration::MAX), u32::MAX);
    }
}
