//! The protocol of the admin socket: a JSON object in one line each way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::server::{HandlerStatus, Phase, Status};

/// A request to the server.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::cli) enum Request {
    Status {},
    Metrics {},
    Swap {
        /// The name of the handler. None is allowed when there is only one.
        handler: Option<String>,
        /// The new version. None for the file that the handler came from.
        file: Option<PathBuf>,
    },
    Drain {},
    /// Asks for descriptors of the listeners, which follow the answer. Nobody else gets them until
    /// this connection ends, and nothing else changes.
    TakeOver {
        /// Asks for the admin socket as well, which comes last: it continues at the same path.
        #[serde(default)]
        admin: bool,
    },
    /// Tells the server, on the same connection, that the process with the listeners accepts now,
    /// and that the server is to drain.
    TakenOver {},
}

/// The reply to a request.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Reply {
    Ok(Answer),
    Error(String),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::cli) enum Answer {
    Status(Box<StatusReply>),
    Metrics(String),
    Swapped {
        handler: String,
        file: PathBuf,
        milliseconds: u64,
    },
    Draining,
    /// The number of descriptors that follow for each address.
    Listeners(Vec<usize>),
}

/// A [`Status`] in the form of the protocol.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::cli) struct StatusReply {
    pub(in crate::cli) version: String,
    pub(in crate::cli) pid: u32,
    pub(in crate::cli) state: String,
    pub(in crate::cli) uptime_seconds: u64,
    pub(in crate::cli) listening: Vec<String>,
    pub(in crate::cli) workers: u16,
    pub(in crate::cli) connections: usize,
    pub(in crate::cli) swap_seconds_max: u64,
    pub(in crate::cli) handlers: Vec<HandlerReply>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(in crate::cli) struct HandlerReply {
    pub(in crate::cli) name: String,
    pub(in crate::cli) file: Option<PathBuf>,
    pub(in crate::cli) connections: u64,
    pub(in crate::cli) messages_received: u64,
    pub(in crate::cli) messages_sent: u64,
    pub(in crate::cli) callbacks_failed: u64,
    pub(in crate::cli) backed_off_workers: u64,
    pub(in crate::cli) swaps: u64,
    pub(in crate::cli) swaps_given_up: u64,
    pub(in crate::cli) queued_bytes: u64,
    pub(in crate::cli) session_bytes: u64,
    pub(in crate::cli) memory_bytes: u64,
    pub(in crate::cli) limits_reached: std::collections::BTreeMap<String, u64>,
}

impl From<Status> for StatusReply {
    fn from(status: Status) -> Self {
        let state = match status.phase {
            Phase::Serving => "serving",
            Phase::Retiring => "retiring",
            Phase::Draining => "draining",
        };
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            state: state.into(),
            uptime_seconds: status.uptime.as_secs(),
            listening: status.urls,
            workers: status.workers,
            connections: status.connections,
            swap_seconds_max: status.swap_time_max.as_secs().saturating_add(1),
            handlers: status.handlers.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<HandlerStatus> for HandlerReply {
    fn from(handler: HandlerStatus) -> Self {
        let [queued_bytes, session_bytes, memory_bytes] = handler.bytes;
        let limits = handler.limits.into_iter();
        Self {
            name: handler.name,
            file: handler.file,
            connections: handler.connections,
            messages_received: handler.messages.0,
            messages_sent: handler.messages.1,
            callbacks_failed: handler.failures,
            backed_off_workers: handler.backed_off_workers,
            swaps: handler.swaps.0,
            swaps_given_up: handler.swaps.1,
            queued_bytes,
            session_bytes,
            memory_bytes,
            limits_reached: limits.map(|(name, hits)| (name.to_owned(), hits)).collect(),
        }
    }
}
