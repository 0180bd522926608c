//! The order of succession: one process at a time may take over, and only one ever does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state of succession of this server.
#[derive(Debug, Default)]
pub(super) struct Succession(Mutex<State>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Serves,
    /// A process with this id has the listeners, and has not said yet that it accepts.
    Starts(Option<i32>),
    TakenOver,
    Drains,
}

/// The right to take over. When it is dropped before [`end`](Self::end), the process has not taken
/// over.
#[derive(Debug)]
pub(super) struct Turn(Arc<Succession>);

impl Succession {
    /// Gives a process the right to take over.
    ///
    /// # Errors
    ///
    /// The error says why it may not take over.
    pub(super) fn begin(self: &Arc<Self>, pid: Option<i32>) -> Result<Turn, String> {
        let mut state = self.lock();
        match *state {
            State::Serves => {
                *state = State::Starts(pid);
                Ok(Turn(Arc::clone(self)))
            }
            State::Starts(other) => Err(format!(
                "another server{} is taking over already, and only one can: wait until it serves and take over from it, or stop it",
                shown(other)
            )),
            State::TakenOver => Err("another server has taken over from this one".into()),
            State::Drains => Err("this server is draining".into()),
        }
    }

    /// Records that the server is to drain. Nobody can take over afterwards.
    ///
    /// # Errors
    ///
    /// Fails while another process is taking over: it would go on serving.
    pub(super) fn drain(&self) -> Result<(), String> {
        let mut state = self.lock();
        match *state {
            State::Serves => *state = State::Drains,
            State::TakenOver | State::Drains => {}
            State::Starts(other) => {
                return Err(format!(
                    "another server{} is taking over and would go on serving: drain it when it serves, or stop it first",
                    shown(other)
                ));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Records that the process accepts connections.
    pub(super) fn end(self) {
        *self.0.lock() = State::TakenOver;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if matches!(*state, State::Starts(_)) {
            *state = State::Serves;
        }
    }
}

fn shown(pid: Option<i32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_takes_over() {
        let succession = Arc::<Succession>::default();
        let first = succession.begin(Some(1)).unwrap();
        assert!(succession.begin(Some(2)).unwrap_err().contains("(pid 1)"));
        assert!(succession.drain().unwrap_err().contains("(pid 1)"));
        // The first process ended before it served.
        drop(first);
        let second = succession.begin(Some(2)).unwrap();
        second.end();
        assert!(succession.begin(Some(3)).unwrap_err().contains("has taken"));
        succession.drain().unwrap();
    }

    #[test]
    fn nobody_takes_over_what_drains() {
        let succession = Arc::<Succession>::default();
        succession.drain().unwrap();
        assert!(succession.begin(None).unwrap_err().contains("draining"));
    }
}
