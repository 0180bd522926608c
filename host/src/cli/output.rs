//! The text that commands print.

use std::io::{IsTerminal as _, Write as _};

use wsrun_metrics::text::{Line, Lines};

/// Prints a line on standard output and flushes it. A closed pipe is ignored.
pub(super) fn say(line: &str) {
    say_as_it_is(&Line(line));
}

/// Prints several lines on standard output.
pub(super) fn say_lines(text: &str) {
    say_as_it_is(&Lines(text));
}

/// Prints text of a peer or the handler. It is escaped for a terminal only, since a program may be
/// reading it otherwise.
pub(super) fn say_foreign(text: &str) {
    match std::io::stdout().is_terminal() {
        true => say_lines(text),
        false => say_as_it_is(&text),
    }
}

pub(super) fn say_as_it_is(text: &dyn std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints lines on standard error.
pub(super) fn say_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", Lines(text));
}

/// Formats a size: `12.3 KiB`.
pub(super) fn size(bytes: u64) -> String {
    let mut units = ["KiB", "MiB", "GiB"].into_iter();
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // The conversion is exact up to 2^53 bytes.
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        assert_eq!(size(1_023), "1023 bytes");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(3 << 20), "3.0 MiB");
    }
}
