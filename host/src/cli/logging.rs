//! Where the log goes: standard error, as text or JSON lines.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

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
    use std::io::IsTerminal as _;
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    let filter = tracing_subscriber::filter::Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        // It calls each certificate of a peer that it does not trust an error of ours.
        .with_target("rustls_platform_verifier", LevelFilter::OFF)
        .with_target("wsrun", level)
        .with_target("wsrun_proto", level);
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    use tracing_subscriber::Layer as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let registry = tracing_subscriber::registry();
    match format {
        Format::Text => registry.with(layer.with_filter(filter)).init(),
        Format::Json => registry.with(layer.json().with_filter(filter)).init(),
    }
}
