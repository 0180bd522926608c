//! The log: standard error, as text or JSON lines.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::server::{SwapError, Swapped};
use wsrun_metrics::text::{Json, Line};

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
        // Other crates warn about the actions of peers, every time and with the peers' text. wsrun
        // logs these itself where an operator should know.
        .with_default(LevelFilter::ERROR)
        // This crate logs every untrusted certificate of a peer as an error of the host.
        .with_target("rustls_platform_verifier", LevelFilter::OFF)
        // The beginning of a name: of every crate of wsrun.
        .with_target("wsrun", level);
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

/// Logs the result of a swap.
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

/// The field with the backtrace of a failed handler: a line for each frame. It is given last in
/// each event, since it is shown after the other fields.
const BACKTRACE: &str = "backtrace";

/// Writes one field. Whatever it contains, the event stays one line and moves no cursor.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn std::fmt::Debug) -> std::fmt::Result {
    let name = field.name();
    // The fields that a record of the `log` crate brings are shown before the event already.
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

/// Writes JSON events, each of which comes in one piece, escaped for a terminal.
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
