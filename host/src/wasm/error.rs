//! What goes wrong in a handler.

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
            Self::Trap { backtrace, .. } | Self::Deadline { backtrace, .. } => backtrace,
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

/// Frames shown; a recursion without end has tens of thousands.
const FRAMES_MAX: usize = 32;

fn describe(backtrace: &wasmtime::WasmBacktrace) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let frames = backtrace.frames();
    for (n, frame) in frames.iter().take(FRAMES_MAX).enumerate() {
        let name = match frame.func_name() {
            // The alternate form leaves the hash out. The name is the handler's: nothing in it may move a cursor.
            Some(name) => format!("{:#}", rustc_demangle::demangle(name))
                .replace(char::is_control, "\u{fffd}"),
            None => format!("function {}", frame.func_index()),
        };
        if n > 0 {
            text.push('\n');
        }
        let _ = write!(text, "{n}: {name}");
        if let Some(symbol) = frame.symbols().first()
            && let (Some(file), Some(line)) = (symbol.file(), symbol.line())
        {
            let _ = write!(text, " at {file}:{line}");
        }
    }
    if frames.len() > FRAMES_MAX {
        let _ = write!(text, "\n… {} more", frames.len() - FRAMES_MAX);
    }
    text
}
