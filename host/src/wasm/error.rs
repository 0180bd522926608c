//! What goes wrong in a handler.

use std::num::NonZeroUsize;
use std::time::Duration;

/// Why a callback had no effect. Each of them ends the instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// The handler trapped: a panic, an out-of-bounds access, a broken contract…
    #[error("trap: {message}")]
    Trap {
        /// What happened.
        message: String,
        /// Where, innermost frame first, one line per frame; empty when unknown.
        backtrace: String,
    },
    /// The callback computed for longer than it may.
    #[error("callback ran for longer than {limit:?} (--callback-timeout)")]
    Deadline {
        /// The limit.
        limit: Duration,
        /// Where it was when it was stopped.
        backtrace: String,
    },
    /// The callback waited in a host call for longer than it may.
    #[error("callback waited for longer than {limit:?} (--blocking-timeout)")]
    Blocked {
        /// The limit.
        limit: Duration,
    },
    /// The callback called the host more often than it may.
    #[error("callback called the host more than {limit} times (--max-host-calls)")]
    HostCalls {
        /// The limit.
        limit: u64,
        /// Where it was when it was stopped.
        backtrace: String,
    },
    /// An exported interface does not have the functions and types of the contract.
    #[error(
        "its {interface} does not have the types of the contract ({cause}); rebuild it with the matching SDK or wit/ folder"
    )]
    Types {
        /// The interface.
        interface: &'static str,
        /// What differs.
        cause: String,
    },
}

impl GuestError {
    /// The frames of the handler at the moment of the error, innermost first; empty when unknown.
    pub fn backtrace(&self) -> &str {
        match self {
            Self::Trap { backtrace, .. }
            | Self::Deadline { backtrace, .. }
            | Self::HostCalls { backtrace, .. } => backtrace,
            Self::Blocked { .. } | Self::Types { .. } => "",
        }
    }

    pub(super) fn from_wasmtime(error: &wasmtime::Error) -> Self {
        let backtrace = error
            .downcast_ref::<wasmtime::WasmBacktrace>()
            .map(describe)
            .unwrap_or_default();
        if let Some(deadline) = error.downcast_ref::<DeadlineExceeded>() {
            return Self::Deadline {
                limit: deadline.0,
                backtrace,
            };
        }
        if let Some(exceeded) = error.downcast_ref::<HostCallsExceeded>() {
            return Self::HostCalls {
                limit: exceeded.0,
                backtrace,
            };
        }
        // The backtrace is the outermost context; the cause is the trap itself.
        let message = match error.downcast_ref::<wasmtime::Trap>() {
            Some(trap) => trap.to_string(),
            None => error.root_cause().to_string(),
        };
        Self::Trap { message, backtrace }
    }
}

/// What the epoch callback returns when a callback has used up its time.
#[derive(Debug, thiserror::Error)]
#[error("callback ran for longer than {0:?}")]
pub(super) struct DeadlineExceeded(pub(super) Duration);

/// What the epoch callback returns when a callback has called the host too often.
#[derive(Debug, thiserror::Error)]
#[error("callback called the host more than {0} times")]
pub(super) struct HostCallsExceeded(pub(super) u64);

/// Frames shown; a recursion without end has tens of thousands.
const FRAMES_MAX: usize = 32;
/// Frames asked for: one more tells that there are more.
pub(super) const FRAMES_ASKED: NonZeroUsize =
    NonZeroUsize::new(FRAMES_MAX + 1).expect("it is not 0");

fn describe(backtrace: &wasmtime::WasmBacktrace) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let frames = backtrace.frames();
    for (n, frame) in frames.iter().take(FRAMES_MAX).enumerate() {
        let name = match frame.func_name() {
            // The alternate form leaves the hash out. The name is the handler's: nothing in it may move a cursor.
            Some(name) if name.len() <= MANGLED_BYTES_MAX => {
                shown(&format!("{:#}", rustc_demangle::demangle(name)))
            }
            Some(name) => shown(name),
            None => format!("function {}", frame.func_index()),
        };
        if n > 0 {
            text.push('\n');
        }
        let _ = write!(text, "{n}: {name}");
        if let Some(symbol) = frame.symbols().first()
            && let (Some(file), Some(line)) = (symbol.file(), symbol.line())
        {
            let _ = write!(text, " at {}:{line}", shown(file));
        }
    }
    if frames.len() > FRAMES_MAX {
        text.push_str("\n… and more");
    }
    text
}

/// A name that the handler chose: cut, and nothing in it moves a cursor.
fn shown(name: &str) -> String {
    let cut = name.char_indices().nth(NAME_CHARS_MAX);
    let whole = cut.map_or(name, |(at, _)| &name[..at]);
    let mut text = whole.replace(char::is_control, "\u{fffd}");
    if cut.is_some() {
        text.push('…');
    }
    text
}

/// Characters of a function's name or a file's that are shown: generic ones may be longer than a screen.
const NAME_CHARS_MAX: usize = 200;

/// A longer name is shown as it is.
const MANGLED_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cannot_move_a_cursor() {
        assert_eq!(shown("probe::run"), "probe::run");
        assert_eq!(shown("a\n\u{1b}[2Jb"), "a\u{fffd}\u{fffd}[2Jb");
        let long = "é".repeat(NAME_CHARS_MAX);
        assert_eq!(shown(&long), long);
        assert_eq!(shown(&format!("{long}x")), format!("{long}…"));
    }
}
