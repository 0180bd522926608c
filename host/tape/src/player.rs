//! Answers the calls of a replayed instance from a tape, and finds the first difference.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::format::{Answer, Call, Outcome};
use super::redact::Redaction;
use super::value::ToTape;

/// The first difference between a callback and its recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// The callback made another call than the recorded one, or the same with other arguments.
    /// Calls count from 1.
    Call {
        number: usize,
        expected: (String, Value),
        got: (String, Value),
    },
    /// The callback made a call after the last recorded one.
    MoreCalls { number: usize, got: (String, Value) },
    /// The callback ended before a recorded call.
    FewerCalls {
        number: usize,
        expected: (String, Value),
        got: Outcome,
    },
    /// The callback ended differently.
    Outcome { expected: Outcome, got: Outcome },
    /// The component does not export the callback.
    NoCallback,
}

/// The recording that an instance plays, shared with the replay that sets the script.
#[derive(Clone, Debug)]
pub struct Playing {
    script: Arc<Mutex<Script>>,
    redaction: Arc<Redaction>,
}

/// One callback as it was recorded, and the position reached in it.
#[derive(Debug, Default)]
pub struct Script {
    calls: VecDeque<Call>,
    /// The number of calls that were answered.
    answered: usize,
    /// Set when the recorded callback was stopped: its position by then is a matter of time.
    stopped: bool,
    returned: Option<Value>,
    difference: Option<Difference>,
    unreadable: Option<String>,
}

/// The reason why a tape has no answer for a call. It ends the callback.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The instance does something else than the recorded one.
    #[error("the callback is not the recorded one")]
    Diverged,
    /// The recorded call trapped.
    #[error("{0}")]
    Trapped(String),
}

impl Playing {
    pub fn new(redaction: Arc<Redaction>) -> Self {
        Self {
            script: Arc::default(),
            redaction,
        }
    }

    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Sets the script of the next callback.
    pub fn lay_out(&self, calls: Vec<Call>, outcome: &Outcome) {
        *self.script() = Script {
            calls: calls.into(),
            stopped: matches!(outcome, Outcome::Stopped(_)),
            ..Script::default()
        };
    }

    /// Returns true when the next recorded call has this name.
    pub fn expects(&self, call: &str) -> bool {
        let script = self.script();
        script.calls.front().is_some_and(|next| next.call == call)
    }

    /// Returns the recorded answer to a call.
    pub fn answer(&self, call: &str, args: Value) -> Result<Value, NoAnswer> {
        let mut script = self.script();
        if script.difference.is_some() || script.unreadable.is_some() {
            return Err(NoAnswer::Diverged);
        }
        let number = script.answered + 1;
        let Some(expected) = script.calls.pop_front() else {
            if !script.stopped {
                script.difference = Some(Difference::MoreCalls {
                    number,
                    got: (call.to_owned(), args),
                });
            }
            return Err(NoAnswer::Diverged);
        };
        if expected.call != call || expected.args != args {
            script.difference = Some(Difference::Call {
                number,
                expected: (expected.call, expected.args),
                got: (call.to_owned(), args),
            });
            return Err(NoAnswer::Diverged);
        }
        script.answered = number;
        match expected.answer {
            Answer::Gave(value) => Ok(value),
            Answer::Trapped(text) => Err(NoAnswer::Trapped(text)),
        }
    }

    /// Records that an answer on the tape is not a possible answer to the call. Returns the error
    /// that ends the callback.
    pub fn unreadable(&self, call: &str, cause: &str) -> NoAnswer {
        self.script().unreadable = Some(format!("the answer to {call} is {cause}"));
        NoAnswer::Diverged
    }

    pub(super) fn returned(&self, value: &impl ToTape) {
        let value = value.put(&self.redaction);
        self.script().returned = Some(value);
    }

    /// Compares the callback with its recording, after its end. The error says what is wrong with
    /// the tape.
    pub fn compare(
        &self,
        expected: Outcome,
        failed: Option<Outcome>,
    ) -> Result<Option<Difference>, String> {
        let script = std::mem::take(&mut *self.script());
        if let Some(cause) = script.unreadable {
            return Err(cause);
        }
        if script.difference.is_some() {
            return Ok(script.difference);
        }
        let got = failed.unwrap_or_else(|| Outcome::Returned(script.returned.unwrap_or_default()));
        if script.stopped && matches!(got, Outcome::Stopped(_)) {
            return Ok(None);
        }
        if let Some(next) = script.calls.into_iter().next() {
            return Ok(Some(Difference::FewerCalls {
                number: script.answered + 1,
                expected: (next.call, next.args),
                got,
            }));
        }
        if script.stopped || expected == got {
            return Ok(None);
        }
        Ok(Some(Difference::Outcome { expected, got }))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(name: &str, args: Value, gave: Value) -> Call {
        Call {
            call: name.into(),
            args,
            answer: Answer::Gave(gave),
        }
    }

    fn playing(calls: Vec<Call>, outcome: &Outcome) -> Playing {
        let playing = Playing::new(Arc::default());
        playing.lay_out(calls, outcome);
        playing
    }

    const RETURNED: Outcome = Outcome::Returned(Value::Null);

    #[test]
    fn same_calls_get_the_recorded_answers() {
        let playing = playing(vec![call("a", json!([1]), json!("one"))], &RETURNED);
        assert_eq!(playing.answer("a", json!([1])).unwrap(), json!("one"));
        playing.returned(&());
        assert_eq!(playing.compare(RETURNED, None), Ok(None));
    }

    #[test]
    fn first_difference_is_kept() {
        let calls = vec![
            call("a", json!([1]), Value::Null),
            call("b", json!([2]), Value::Null),
        ];
        let playing = playing(calls, &RETURNED);
        assert!(playing.answer("a", json!([1])).is_ok());
        assert!(playing.answer("b", json!([3])).is_err());
        assert!(playing.answer("c", json!([])).is_err());
        let difference = playing.compare(RETURNED, Some(Outcome::Trapped("later".into())));
        assert_eq!(
            difference,
            Ok(Some(Difference::Call {
                number: 2,
                expected: ("b".into(), json!([2])),
                got: ("b".into(), json!([3])),
            }))
        );
    }

    #[test]
    fn calls_that_are_missing_or_too_many_are_differences() {
        let one = playing(vec![call("a", json!([]), Value::Null)], &RETURNED);
        let fewer = one.compare(RETURNED, None).unwrap();
        assert!(matches!(
            fewer,
            Some(Difference::FewerCalls { number: 1, .. })
        ));
        let none = playing(Vec::new(), &RETURNED);
        assert!(none.answer("a", json!([])).is_err());
        let more = none.compare(RETURNED, None).unwrap();
        assert!(matches!(
            more,
            Some(Difference::MoreCalls { number: 1, .. })
        ));
    }

    #[test]
    fn trap_of_a_call_comes_again() {
        let trapped = Call {
            call: "a".into(),
            args: json!([]),
            answer: Answer::Trapped("no such code".into()),
        };
        let outcome = Outcome::Trapped("no such code".into());
        let playing = playing(vec![trapped], &outcome);
        let error = playing.answer("a", json!([])).unwrap_err();
        assert_eq!(error.to_string(), "no such code");
        assert_eq!(playing.compare(outcome.clone(), Some(outcome)), Ok(None));
    }

    #[test]
    fn callback_that_was_stopped_may_come_further_or_less_far() {
        let stopped = Outcome::Stopped("late".into());
        let playing_on = playing(Vec::new(), &stopped);
        assert!(playing_on.answer("a", json!([])).is_err());
        let off = Outcome::Trapped("the callback is not the recorded one".into());
        assert_eq!(playing_on.compare(stopped.clone(), Some(off)), Ok(None));
        let slower = playing(vec![call("a", json!([]), Value::Null)], &stopped);
        assert_eq!(slower.compare(stopped.clone(), Some(stopped)), Ok(None));
    }
}
