//! The names of settings in errors and in the log.
//!
//! The library knows a setting by its path in the configuration. A program with a command line or
//! a file of its own says once how its users call the settings.

use std::fmt;
use std::sync::OnceLock;

/// Translates the path of a setting to the name that users of the program know.
type Names = fn(&str) -> Option<&'static str>;

static NAMES: OnceLock<Names> = OnceLock::new();

/// Names settings as the users of this program know them, for the whole process. Only the first
/// call has an effect. A setting without such a name is called by its path in the configuration.
#[inline]
pub fn name_settings(names: Names) {
    let _ = NAMES.set(names);
}

/// A setting, by its path in the configuration. Its text is the name that [`name_settings`] gives
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting(pub &'static str);

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self.0).unwrap_or(self.0))
    }
}

fn name(path: &str) -> Option<&'static str> {
    NAMES.get().and_then(|names| names(path))
}

/// Replaces every `{path}` in a text by the name of that setting.
pub(super) fn with_names(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, (path, after))) = rest
        .split_once('{')
        .and_then(|(before, inside)| Some((before, inside.split_once('}')?)))
    {
        shown.push_str(before);
        shown.push_str(name(path).unwrap_or(path));
        rest = after;
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_a_setting_is_called_by_its_path() {
        assert_eq!(
            with_names("{traffic.queued_bytes_max}, {a}: full"),
            "traffic.queued_bytes_max, a: full"
        );
        assert_eq!(with_names("an open { stays"), "an open { stays");
        assert_eq!(Setting("a.b").to_string(), "a.b");
    }
}
