//! Answers from a tape, and the first difference.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::format::{Answer, Call, Outcome};
use super::redact::Redaction;
use super::value::Put;

/// What a callback did otherwise than on the tape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Difference {
    /// Another call than the recorded one, or the same with other arguments. Calls count from 1.
    Call {
        number: usize,
        expected: (String, Value),
        got: (String, Value),
    },
    /// A call where the recorded callback made no more.
    MoreCalls { number: usize, got: (String, Value) },
    /// The callback was over before a recorded call.
    FewerCalls {
        number: usize,
        expected: (String, Value),
        got: Outcome,
    },
    /// It ended otherwise.
    Outcome { expected: Outcome, got: Outcome },
    /// The component does not export the callback.
    NoCallback,
}

/// The track of an instance in a replay, shared with who lays the script out.
#[derive(Clone, Debug)]
pub(crate) struct Playing {
    script: Arc<Mutex<Script>>,
    redaction: Arc<Redaction>,
}

/// One callback as it was recorded, and how far it was played.
#[derive(Debug, Default)]
pub(crate) struct Script {
    calls: VecDeque<Call>,
    /// Calls that were answered.
    answered: usize,
    /// It was stopped: where it stood by then is a matter of time.
    stopped: bool,
    returned: Option<Value>,
    difference: Option<Difference>,
    unreadable: Option<String>,
}

/// Ends a callback that went another way; the difference is in the script.
#[derive(Debug, thiserror::Error)]
#[error("the callback is not the recorded one")]
struct OffScript;

/// The trap of a recorded call, again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Again(String);

impl Playing {
    pub(super) fn new(redaction: Arc<Redaction>) -> Self {
        Self {
            script: Arc::default(),
            redaction,
        }
    }

    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// The next callback is this one.
    pub(super) fn lay_out(&self, calls: Vec<Call>, outcome: &Outcome) {
        *self.script() = Script {
            calls: calls.into(),
            stopped: matches!(outcome, Outcome::Stopped(_)),
            ..Script::default()
        };
    }

    /// Whether the next recorded call is this one.
    pub(crate) fn expects(&self, call: &str) -> bool {
        let script = self.script();
        script.calls.front().is_some_and(|next| next.call == call)
    }

    /// What a recorded call was answered with.
    pub(crate) fn answer(&self, call: &str, args: Value) -> wasmtime::Result<Value> {
        let mut script = self.script();
        if script.difference.is_some() || script.unreadable.is_some() {
            return Err(OffScript.into());
        }
        let number = script.answered + 1;
        let Some(expected) = script.calls.pop_front() else {
            if !script.stopped {
                script.difference = Some(Difference::MoreCalls {
                    number,
                    got: (call.to_owned(), args),
                });
            }
            return Err(OffScript.into());
        };
        if expected.call != call || expected.args != args {
            script.difference = Some(Difference::Call {
                number,
                expected: (expected.call, expected.args),
                got: (call.to_owned(), args),
            });
            return Err(OffScript.into());
        }
        script.answered = number;
        match expected.answer {
            Answer::Gave(value) => Ok(value),
            Answer::Trapped(text) => Err(Again(text).into()),
        }
    }

    /// An answer on the tape is not one that the call can have.
    pub(crate) fn unreadable(&self, call: &str, cause: &str) -> wasmtime::Error {
        self.script().unreadable = Some(format!("the answer to {call} is {cause}"));
        OffScript.into()
    }

    pub(super) fn returned(&self, value: &impl Put) {
        let value = value.put(&self.redaction);
        self.script().returned = Some(value);
    }

    /// How the callback compares with the recorded one, now that it is over. The error is the tape's.
    pub(super) fn compare(
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
