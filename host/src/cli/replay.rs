//! `wsrun replay TAPE HANDLER`: runs a handler over a tape and prints the first difference.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use super::failure::Failure;
use super::logging::{self, Format, Level};
use super::options::compilation::default_cache;
use super::output::{say, say_error};
use crate::replay::{Found, replay};
use wsrun_metrics::text;
use wsrun_tape::format::Outcome;
use wsrun_tape::player::Difference;

/// Characters of a value that are shown, at most.
const SHOWN_CHARS_MAX: usize = 400;
/// Characters that are shown before the position where two values differ.
const SHOWN_CHARS_BEFORE: usize = 80;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT CODES:\n  0  every event came out as recorded\n  1  an event came out otherwise: it is shown\n  \
                        2  wrong arguments, a file that is not a tape or not a handler, a damaged tape"
)]
pub(super) struct Args {
    /// The tape, written by --record
    tape: PathBuf,
    /// The handler: the recorded component, or another version of it
    handler: PathBuf,
    /// Which handler of a tape with several, by its name there
    #[arg(long = "handler", value_name = "NAME")]
    name: Option<String>,
    /// How much is logged; `info` shows what the handler prints
    #[arg(long, value_enum, default_value = "warn")]
    log_level: Level,
    /// Folder for compiled components [default: wsrun in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Compiles the handler in any case
    #[arg(long)]
    no_cache: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    logging::start(Format::Text, args.log_level);
    let cache = match (args.no_cache, &args.cache_dir) {
        (true, _) => None,
        (false, Some(folder)) => Some(std::path::absolute(folder)?),
        (false, None) => default_cache().transpose()?,
    };
    let report =
        replay(&args.tape, &args.handler, args.name.as_deref(), cache).map_err(Failure::usage)?;
    for note in &report.notes {
        say_error(&format!("note: {note}"));
    }
    if report.left_out > 0 {
        say_error(&format!(
            "note: {} of other versions left out",
            count(report.left_out, "instance")
        ));
    }
    match &report.difference {
        None => {
            say(&format!(
                "identical: {} on {}",
                count(report.events, "event"),
                count(report.instances, "instance")
            ));
            Ok(ExitCode::SUCCESS)
        }
        Some(found) => {
            describe(found).iter().for_each(|line| say(line));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn count(number: u64, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        _ => format!("{number} {of}s"),
    }
}

/// Returns the lines that describe a difference.
fn describe(found: &Found) -> Vec<String> {
    let place = &found.entry;
    let (expected, got) = match &found.difference {
        Difference::Call {
            number,
            expected,
            got,
        } => (
            format!("call {number}, {}", call(expected)),
            format!("call {number}, {}", call(got)),
        ),
        Difference::MoreCalls { number, got } => (
            "no more calls".to_owned(),
            format!("call {number}, {}", call(got)),
        ),
        Difference::FewerCalls {
            number,
            expected,
            got,
        } => (format!("call {number}, {}", call(expected)), outcome(got)),
        Difference::Outcome { expected, got } => (outcome(expected), outcome(got)),
        Difference::NoCallback => (
            format!("a callback {}", place.event),
            "a component that does not export it".to_owned(),
        ),
    };
    let same = expected
        .chars()
        .zip(got.chars())
        .take_while(|(a, b)| a == b)
        .count();
    vec![
        format!("event {} differs: {}", found.event, place.event),
        format!(
            "  at        {} (worker {}, instance {})",
            time(place.at_ms),
            place.worker,
            place.instance
        ),
        format!("  with      {}", shown(&place.args.to_string(), 0)),
        format!("  expected  {}", shown(&expected, same)),
        format!("  got       {}", shown(&got, same)),
    ]
}

fn call((name, args): &(String, Value)) -> String {
    if args.is_null() {
        name.clone()
    } else {
        format!("{name} {args}")
    }
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Returned(Value::Null) => "returned".to_owned(),
        Outcome::Returned(value) => format!("returned {value}"),
        Outcome::Trapped(text) => format!("trapped: {text}"),
        Outcome::Stopped(text) => format!("stopped: {text}"),
    }
}

/// Formats the time since the start of the recording: `H:MM:SS.mmm`.
fn time(at_ms: u64) -> String {
    let (seconds, millis) = (at_ms / 1_000, at_ms % 1_000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!(
        "{}:{:02}:{seconds:02}.{millis:03}",
        minutes / 60,
        minutes % 60
    )
}

/// Returns an excerpt of a text around the character number `matters`, escaped for one line.
fn shown(value: &str, matters: usize) -> String {
    let length = value.chars().count();
    let start = match length > SHOWN_CHARS_MAX {
        true => matters.saturating_sub(SHOWN_CHARS_BEFORE),
        false => 0,
    };
    let mut out = String::new();
    if start > 0 {
        out.push('…');
    }
    out.extend(value.chars().skip(start).take(SHOWN_CHARS_MAX));
    if length > start + SHOWN_CHARS_MAX {
        out.push('…');
    }
    text::line(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shown_where_they_part() {
        let text = format!("{}X{}", "a".repeat(1_000), "b".repeat(1_000));
        let piece = shown(&text, 1_000);
        assert!(piece.starts_with('…') && piece.ends_with('…'), "{piece}");
        assert!(piece.contains("aXb"), "{piece}");
        assert_eq!(shown("a\u{9b}b", 0), "a\\u{9b}b");
    }

    #[test]
    fn time_is_told_by_the_clock() {
        assert_eq!(time(3_723_004), "1:02:03.004");
    }
}
