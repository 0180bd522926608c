//! What goes wrong in a handler.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::time::Duration;

use wsrun_contract::CallbackError;

/// Tells by what a call of wasmtime has failed.
pub(super) fn callback_error(error: &wasmtime::Error) -> CallbackError {
    let backtrace = error
        .downcast_ref::<wasmtime::WasmBacktrace>()
        .map(describe)
        .unwrap_or_default();
    if let Some(deadline) = error.downcast_ref::<DeadlineExceeded>() {
        return CallbackError::Deadline {
            limit: deadline.0,
            backtrace,
        };
    }
    if let Some(exceeded) = error.downcast_ref::<HostCallsExceeded>() {
        return CallbackError::HostCalls {
            limit: exceeded.0,
            backtrace,
        };
    }
    // The backtrace is the outermost context; the cause is the trap itself.
    let message = match error.downcast_ref::<wasmtime::Trap>() {
        Some(trap) => trap.to_string(),
        None => {
            let mut text = String::new();
            let cause = error.root_cause();
            show(&mut text, MESSAGE_CHARS_MAX, format_args!("{cause}"));
            text
        }
    };
    CallbackError::Trap { message, backtrace }
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
    let mut text = String::new();
    let frames = backtrace.frames();
    for (n, frame) in frames.iter().take(FRAMES_MAX).enumerate() {
        if n > 0 {
            text.push('\n');
        }
        let _ = write!(text, "{n}: ");
        match frame.func_name() {
            Some(name) => show_function(&mut text, name),
            None => {
                let _ = write!(text, "function {}", frame.func_index());
            }
        }
        if let Some(symbol) = frame.symbols().first()
            && let (Some(file), Some(line)) = (symbol.file(), symbol.line())
        {
            text.push_str(" at ");
            show(&mut text, NAME_CHARS_MAX, format_args!("{file}"));
            let _ = write!(text, ":{line}");
        }
    }
    if frames.len() > FRAMES_MAX {
        text.push_str("\n… and more");
    }
    text
}

/// A function's name, demangled where that is not much work.
fn show_function(text: &mut String, name: &str) {
    if name.len() <= MANGLED_BYTES_MAX {
        // The alternate form leaves the hash out.
        let name = rustc_demangle::demangle(name);
        show(text, NAME_CHARS_MAX, format_args!("{name:#}"));
    } else {
        show(text, NAME_CHARS_MAX, format_args!("{name}"));
    }
}

/// Appends what the handler chose: cut, and nothing in it moves a cursor. Returns how often it was written to: once more than it took at
/// most, so that whatever writes stops there.
fn show(text: &mut String, chars_max: usize, shown: std::fmt::Arguments<'_>) -> usize {
    let mut cut = Cut {
        text,
        chars_left: chars_max,
        writes: 0,
    };
    // A name of a few bytes may be a million when it is demangled: the error is what ends that.
    let is_cut = cut.write_fmt(shown).is_err();
    let writes = cut.writes;
    if is_cut {
        text.push('…');
    }
    writes
}

/// Takes so many characters and then fails.
struct Cut<'a> {
    text: &'a mut String,
    chars_left: usize,
    writes: usize,
}

impl std::fmt::Write for Cut<'_> {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        self.writes += 1;
        for c in more.chars() {
            self.chars_left = self.chars_left.checked_sub(1).ok_or(std::fmt::Error)?;
            self.text.push(if c.is_control() { '\u{fffd}' } else { c });
        }
        Ok(())
    }
}

/// Characters of a function's name or a file's that are shown: generic ones may be longer than a screen.
const NAME_CHARS_MAX: usize = 200;

/// A longer name is shown as it is: to demangle one takes time for each byte of it, whatever is shown.
const MANGLED_BYTES_MAX: usize = 2 * 1024;

/// Characters of the text of an error: it may have a handler's own words in it.
const MESSAGE_CHARS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        let mut text = String::new();
        show_function(&mut text, name);
        text
    }

    #[test]
    fn names_are_cut_and_cannot_move_a_cursor() {
        assert_eq!(shown("probe::run"), "probe::run");
        assert_eq!(shown("a\n\u{1b}[2Jb"), "a\u{fffd}\u{fffd}[2Jb");
        let long = "é".repeat(NAME_CHARS_MAX);
        assert_eq!(shown(&long), long);
        assert_eq!(shown(&format!("{long}x")), format!("{long}…"));
        assert_eq!(shown("_RNvNtCs1234_7mycrate3foo3bar"), "mycrate::foo::bar");
    }

    /// A tuple of two of the tuple before, by references back, so many times.
    fn doubled(times: usize) -> String {
        let mut name = "_RIC1aTuu".to_owned();
        let mut before = name.len() - 3 - 2;
        name.push('E');
        for _ in 0..times {
            let digits = base_62(before);
            before = name.len() - 2;
            name.push_str(&format!("TB{digits}B{digits}E"));
        }
        name.push('E');
        name
    }

    /// As names count back: 0 is `_`, 1 is `0_`.
    fn base_62(number: usize) -> String {
        const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let Some(mut left) = number.checked_sub(1) else {
            return "_".to_owned();
        };
        let mut digits = Vec::new();
        loop {
            digits.push(char::from(DIGITS[left % 62]));
            left /= 62;
            if left == 0 {
                break;
            }
        }
        digits.iter().rev().chain(&['_']).collect()
    }

    #[test]
    fn name_that_grows_by_references_back_is_no_more_work_than_what_is_shown_of_it() {
        let name = doubled(30);
        let whole = format!("{:#}", rustc_demangle::demangle(&name));
        assert!(whole.len() > 100_000, "{} of {name}", whole.len());
        let mut text = String::new();
        let demangled = rustc_demangle::demangle(&name);
        let writes = show(&mut text, NAME_CHARS_MAX, format_args!("{demangled:#}"));
        assert!(writes <= NAME_CHARS_MAX + 1, "written {writes} times");
        assert_eq!(text.chars().count(), NAME_CHARS_MAX + 1, "{text}");
        assert!(whole.starts_with(text.trim_end_matches('…')), "{text}");
    }
}
