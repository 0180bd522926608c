//! Foreign text in a line of text: what handlers, peers, files and their names contribute to logs,
//! terminals, labels and pages.
//!
//! Such text may contain characters that end a line, move a cursor, or show what follows from right
//! to left. Each such character is shown as `\u{…}` instead, and a text that is too long is cut.
//! All code uses this module for it, so that a character that is missing here is missing nowhere
//! else.

use std::fmt::{self, Display, Write};

/// The most characters of one text that are shown.
const CHARS_MAX: usize = 16 * 1024;

/// Returns true when a character affects the text around it instead of being visible: controls (C0,
/// C1, DEL), line and paragraph separators, writing directions, fillers without a width, and tags.
fn must_escape(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Returns the text, escaped for one line.
pub fn line(text: impl Display) -> String {
    Line(text).to_string()
}

/// Shows a text escaped for one line. A tab stays.
#[derive(Clone, Copy, Debug)]
pub struct Line<T>(pub T);

impl<T: Display> Display for Line<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaper = Escaper::new(f, false);
        write!(escaper, "{}", self.0)
    }
}

/// Shows a text of several lines, each of them escaped.
#[derive(Clone, Copy, Debug)]
pub struct Lines<T>(pub T);

impl<T: Display> Display for Lines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaper = Escaper::new(f, true);
        write!(escaper, "{}", self.0)
    }
}

/// A writer that escapes text as it is written.
struct Escaper<'a, W: ?Sized> {
    out: &'a mut W,
    has_lines: bool,
    /// Characters that may still be shown in this line.
    left: usize,
}

impl<'a, W: Write + ?Sized> Escaper<'a, W> {
    fn new(out: &'a mut W, has_lines: bool) -> Self {
        Self {
            out,
            has_lines,
            left: CHARS_MAX,
        }
    }
}

impl<W: Write + ?Sized> Write for Escaper<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' && self.has_lines {
                self.left = CHARS_MAX;
                self.out.write_char(c)?;
                continue;
            }
            match self.left {
                0 => continue,
                1 => self.out.write_char('…')?,
                _ if must_escape(c) && c != '\t' => write!(self.out, "{}", c.escape_unicode())?,
                _ => self.out.write_char(c)?,
            }
            self.left -= 1;
        }
        Ok(())
    }
}

/// Shows JSON with the same characters escaped in JSON's own way, so that parsing gives the
/// original.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(pub &'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some((at, c)) = rest
            .char_indices()
            .find(|(_, c)| must_escape(*c) && *c != '\n')
        {
            f.write_str(&rest[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(f, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_and_not_obeyed() {
        for (text, shown) in [
            ("grüße, 世界 🙂\tx", "grüße, 世界 🙂\tx"),
            ("a\x1b[2Jb\r\n", "a\\u{1b}[2Jb\\u{d}\\u{a}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("exe.\u{202e}gpj", "exe.\\u{202e}gpj"),
            (
                "a\u{2028}b\u{2029}c\u{85}d",
                "a\\u{2028}b\\u{2029}c\\u{85}d",
            ),
            (
                "\u{2066}\u{200f}\u{feff}\u{e0041}",
                "\\u{2066}\\u{200f}\\u{feff}\\u{e0041}",
            ),
        ] {
            assert_eq!(line(text), shown);
        }
        assert_eq!(Lines("a\nb\x1bc\r\n").to_string(), "a\nb\\u{1b}c\\u{d}\n");
    }

    #[test]
    fn long_text_is_cut() {
        let long = "é".repeat(CHARS_MAX - 1);
        assert_eq!(line(&long), long);
        assert_eq!(line(format_args!("{long}xyz")), format!("{long}…"));
        let lines = format!("{long}xyz\nnext");
        assert_eq!(Lines(lines).to_string(), format!("{long}…\nnext"));
    }

    #[test]
    fn json_stays_what_it_was() {
        let texts = [
            "a\u{9b}b",
            "\u{202e}\u{e0041}",
            "\u{2028}",
            "plain ü",
            "\x1b\u{7f}",
        ];
        let json = serde_json::to_string(&texts).unwrap();
        let shown = Json(&json).to_string();
        assert!(!shown.chars().any(must_escape), "{shown}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), texts);
    }
}
