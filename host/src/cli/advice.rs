//! Hints for a command line, a name or a server that is not the intended one.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use wsrun_metrics::text;

/// Words that users of other programs write as a command. In wsrun the name of a handler alone
/// serves it.
const SERVE: [&str; 4] = ["serve", "run", "start", "server"];

/// Returns a hint for a command line that clap refuses, where clap's own text would mislead.
pub(super) fn of_command_line(
    error: &clap::Error,
    arguments: &[OsString],
    commands: &[String],
) -> Option<String> {
    // clap takes an argument after a handler for a command, and one after that for an unexpected
    // argument.
    let place = if error.kind() == ErrorKind::UnknownArgument {
        ContextKind::InvalidArg
    } else if error.kind() == ErrorKind::ArgumentConflict {
        ContextKind::InvalidSubcommand
    } else {
        return None;
    };
    let Some(ContextValue::String(surplus)) = error.get(place) else {
        return None;
    };
    if surplus.starts_with('-') || commands.contains(surplus) {
        return None;
    }
    let first = arguments.get(1).and_then(|first| first.to_str())?;
    if commands.iter().any(|command| command == first) {
        return None;
    }
    if SERVE.contains(&first) {
        return Some(format!(
            "there is no command `{first}`: a handler is served by its name, wsrun {surplus}"
        ));
    }
    if let Some(command) = command_meant(first, commands) {
        return Some(format!(
            "there is no command `{first}`: is `wsrun {command}` meant?"
        ));
    }
    Some(format!(
        "{surplus}: there is a handler before it, and one handler serves all clients; another is for those who ask for it by subprotocol, \
         --protocol NAME={surplus}"
    ))
}

/// Returns clap's text, with the user's input escaped in it. A line end in an argument does not end
/// a line here.
pub(super) fn shown(mut error: clap::Error) -> String {
    let foreign: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| Some((kind, harmless(kind, value)?)))
        .collect();
    for (kind, value) in foreign {
        error.insert(kind, value);
    }
    let whole = error.render().to_string();
    // The cause of a refused value may contain it. clap has left out what looks like a style to it.
    let cause = error.source().map(ToString::to_string);
    match cause.map(|cause| StyledStr::from(cause).to_string()) {
        Some(cause) if !cause.is_empty() => whole.replace(&cause, &text::line(&cause)),
        _ => whole,
    }
}

/// Returns an escaped part of clap's text. None for a part that is clap's own.
fn harmless(kind: ContextKind, value: &ContextValue) -> Option<ContextValue> {
    if let ContextValue::String(given) = value {
        return Some(ContextValue::String(text::line(given)));
    }
    if let ContextValue::Strings(given) = value {
        let given = given.iter().map(text::line);
        return Some(ContextValue::Strings(given.collect()));
    }
    if let ContextValue::StyledStrs(given) = value
        && kind == ContextKind::Suggested
    {
        let given = given.iter().map(|given| text::line(given).into());
        return Some(ContextValue::StyledStrs(given.collect()));
    }
    None
}

/// Returns the addition to the error for a handler's missing file, since the argument may not be
/// meant as a file name.
pub(super) fn of_missing_file(file: &Path, commands: &[String]) -> String {
    let name = file.to_str().unwrap_or_default();
    if SERVE.contains(&name) {
        return "; a handler is served by its name, wsrun HANDLER".to_owned();
    }
    match command_meant(name, commands) {
        Some(command) => format!("; is the command `wsrun {command}` meant?"),
        None => String::new(),
    }
}

/// Returns the addition to a TLS error for users of the command line, who have flags where a
/// handler has options.
pub(super) fn of_tls(text: &str) -> &'static str {
    if text.contains("not issued by a trusted authority") {
        return "; if it is self-signed: --allow-self-signed takes such a one for the name in the URL, --ca-file FILE trusts what is in a file, \
                --insecure takes any";
    }
    ""
}

/// Returns the command that a word is close to. A word with a dot or a slash is the name of a file.
fn command_meant<'a>(word: &str, commands: &'a [String]) -> Option<&'a str> {
    let is_word = word.chars().all(|c| c.is_ascii_alphabetic());
    let names = commands.iter().map(String::as_str);
    is_word.then(|| meant(word, names)).flatten()
}

/// Returns the known name that is closest to this one, if it is close enough to be a typing
/// mistake.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.map(|other| (strsim::osa_distance(name, other), other));
    let near = distances.filter(|(distance, other)| {
        let allowed = if other.len() < 6 { 1 } else { 2 };
        (1..=allowed).contains(distance)
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// Returns the extension of a file as text; empty when there is none.
pub(super) fn extension(file: &Path) -> &str {
    file.extension().and_then(OsStr::to_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_mean_a_command() {
        let commands = ["test", "replay", "inspect", "dev"].map(str::to_owned);
        for (word, command) in [
            ("tset", Some("test")),
            ("tests", Some("test")),
            ("inspct", Some("inspect")),
            ("replya", Some("replay")),
            ("echo", None),
            ("test.wasm", None),
            ("./tset", None),
            ("", None),
        ] {
            assert_eq!(command_meant(word, &commands), command, "{word}");
        }
    }
}
