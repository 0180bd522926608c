//! Where the log goes: standard error, as text or JSON lines.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::server::{SwapError, Swapped};
use crate::text::{Json, Line};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// A line per event
    Text,
    /// A JSON object per line
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Level {
    /// wsrun or a handler is broken
    Error,
    /// Somebody should look
    Warn,
    /// The server's state, and what handlers write to stdout and stderr
    Info,
    /// Each connection's state
    Debug,
    /// Everything
    Trace,
}

pub(super) fn start(format: Format, level: Level) {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let filter = tracing_subscriber::filter::Targets::new()
        // Other crates warn of what peers do, once for each time and in the peers' words. Whoever should look is told in our own.
        .with_default(LevelFilter::ERROR)
        // It calls each certificate of a peer that it does not trust an error of ours.
        .with_target("rustls_platform_verifier", LevelFilter::OFF)
        .with_target("wsrun", level)
        .with_target("wsrun_proto", level);
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let registry = tracing_subscriber::registry();
    match format {
        Format::Text => {
            let layer = fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(io::stderr().is_terminal())
                .fmt_fields(debug_fn(field).delimited(" "));
            registry.with(layer.with_filter(filter)).init();
        }
        Format::Json => {
            let layer = fmt::layer().json().with_writer(|| JsonLines(io::stderr()));
            registry.with(layer.with_filter(filter)).init();
        }
    }
}

/// Tells what came of a new version.
pub(super) fn log_swap(handler: &str, outcome: &Result<Swapped, SwapError>) {
    let handler = tracing::field::display(handler);
    match outcome {
        Ok(swapped) => tracing::info!(
            handler, file = %swapped.file.display(), took = ?swapped.took, "handler replaced"
        ),
        Err(error) => {
            let text = error.to_string();
            let (why, backtrace) = match text.split_once('\n') {
                Some((why, frames)) => (why, Some(tracing::field::display(frames))),
                None => (text.as_str(), None),
            };
            tracing::error!(
                handler,
                backtrace,
                "handler not replaced, the old version serves: {why}"
            );
        }
    }
}

/// What a failed handler was doing: a line for each frame. Named last where it is logged, as it is shown behind the other fields.
const BACKTRACE: &str = "backtrace";

/// Writes one field. Whatever it holds, and whoever said it, the event stays one line and moves no cursor.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug) -> std::fmt::Result {
    let name = field.name();
    // What a line of the `log` crate came with is shown in front of it.
    if name.starts_with("log.") {
        return Ok(());
    }
    if name == "message" {
        return write!(writer, "{}", Line(format_args!("{value:?}")));
    }
    if name == BACKTRACE {
        let frames = format!("{value:?}");
        return frames
            .lines()
            .try_for_each(|frame| write!(writer, "\n    {}", Line(frame)));
    }
    match writer.has_ansi_escapes() {
        true => write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?,
        false => write!(writer, "{name}=")?,
    }
    write!(writer, "{}", Line(format_args!("{value:?}")))
}

/// Standard error for events as JSON, each of which comes in one piece.
struct JsonLines<W>(W);

impl<W: Write> Write for JsonLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let event = String::from_utf8_lossy(bytes);
        self.0.write_all(Json(&event).to_string().as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
