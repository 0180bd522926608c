//! Results as text: `ok`, `ok VALUE` or `err NAME`, with the names of the WIT.

use std::fmt::Display;

use wsrun_guest::{ChunkError, PublishError, SendError, SubscribeError, TimerError};

pub(crate) trait ErrorName {
    fn name(&self) -> String;
}

impl ErrorName for SendError {
    fn name(&self) -> String {
        match self {
            Self::Closed => "closed".to_owned(),
            Self::QueueFull { queued_bytes } => format!("queue-full {queued_bytes}"),
            Self::TooLarge { bytes_max } => format!("too-large {bytes_max}"),
        }
    }
}

impl ErrorName for ChunkError {
    fn name(&self) -> String {
        match self {
            Self::Closed => "closed".to_owned(),
            Self::QueueFull { queued_bytes } => format!("queue-full {queued_bytes}"),
            Self::TooLarge { bytes_max } => format!("too-large {bytes_max}"),
            Self::InvalidText => "invalid-text".to_owned(),
            Self::WrongKind => "wrong-kind".to_owned(),
        }
    }
}

impl ErrorName for PublishError {
    fn name(&self) -> String {
        match self {
            Self::Waiting { subscribers } => format!("waiting {subscribers}"),
            Self::TooLarge { bytes_max } => format!("too-large {bytes_max}"),
        }
    }
}

impl ErrorName for SubscribeError {
    fn name(&self) -> String {
        match self {
            Self::Closed => "closed",
            Self::InvalidName => "invalid-name",
            Self::Limit => "limit",
        }
        .to_owned()
    }
}

impl ErrorName for TimerError {
    fn name(&self) -> String {
        match self {
            Self::Closed => "closed",
            Self::Limit => "limit",
            Self::NotExported => "not-exported",
        }
        .to_owned()
    }
}

pub(crate) fn result<E: ErrorName>(result: Result<(), E>) -> String {
    match result {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("err {}", error.name()),
    }
}

pub(crate) fn result_with<T: Display, E: ErrorName>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok {value}"),
        Err(error) => format!("err {}", error.name()),
    }
}

/// The number itself, or `err NAME`.
pub(crate) fn published(result: Result<u32, PublishError>) -> String {
    match result {
        Ok(connections) => connections.to_string(),
        Err(error) => format!("err {}", error.name()),
    }
}

pub(crate) fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "none".to_owned())
}
