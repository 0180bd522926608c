//! Callbacks as values, and their answers.

use std::time::Duration;

use super::{
    Acceptance, CloseInfo, ConnectionId, HttpRequest, HttpResponse, Message, Refusal, Request,
    TimerId,
};

/// A callback other than those of messages, which have a method each.
#[derive(Clone, Copy, Debug)]
pub enum Callback<'a> {
    /// The instance was made.
    Started,
    /// An opening handshake is to be decided on.
    Requested(&'a Request),
    /// A connection is open.
    Opened(ConnectionId),
    /// A connection is gone.
    Closed(ConnectionId, &'a CloseInfo),
    /// A connection of an earlier instance is this one's.
    Resumed(ConnectionId),
    /// A timer has expired.
    Fired {
        timer: TimerId,
        tag: u64,
        connection: Option<ConnectionId>,
    },
    /// The peer sent a pong.
    Pong(ConnectionId, &'a [u8]),
    /// The queue of a connection has drained.
    Writable(ConnectionId),
    /// An outbound connection is gone and will be made anew.
    Lost {
        connection: ConnectionId,
        info: &'a CloseInfo,
        attempt: u32,
        after: Duration,
    },
    /// A lost connection is open again.
    Restored(ConnectionId),
    /// A connection may be left out of a broadcast.
    Wanted(ConnectionId, Message<'a>),
    /// A peer that has not said anything yet may be refused.
    Accepts { peer: &'a str, local: &'a str },
    /// A plain request is to be answered.
    Http(&'a HttpRequest),
    /// The next version is to know something of this one; empty for nothing.
    Save,
    /// The version before has saved this.
    Restore(&'a [u8]),
    /// The server stops: what is open after this time is cut.
    Draining(Duration),
}

impl Callback<'_> {
    /// Returns the interface and the function.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started => "lifecycle.started",
            Self::Requested(_) => "handshake.requested",
            Self::Opened(_) => "handler.opened",
            Self::Closed(..) => "handler.closed",
            Self::Resumed(_) => "lifecycle.resumed",
            Self::Fired { .. } => "timer-handler.fired",
            Self::Pong(..) => "pong.pong",
            Self::Writable(_) => "writable.writable",
            Self::Lost { .. } => "reconnection.lost",
            Self::Restored(_) => "reconnection.restored",
            Self::Wanted(..) => "broadcast-filter.wanted",
            Self::Accepts { .. } => "network-filter.accepts",
            Self::Http(_) => "http.requested",
            Self::Save => "lifecycle.save",
            Self::Restore(_) => "lifecycle.restore",
            Self::Draining(_) => "lifecycle.draining",
        }
    }

    /// Returns the connection that the callback is for.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Opened(connection)
            | Self::Closed(connection, _)
            | Self::Resumed(connection)
            | Self::Pong(connection, _)
            | Self::Writable(connection)
            | Self::Lost { connection, .. }
            | Self::Restored(connection)
            | Self::Wanted(connection, _) => Some(*connection),
            Self::Fired { connection, .. } => *connection,
            Self::Started
            | Self::Requested(_)
            | Self::Accepts { .. }
            | Self::Http(_)
            | Self::Save
            | Self::Restore(_)
            | Self::Draining(_) => None,
        }
    }
}

/// The answer of a callback.
#[derive(Debug)]
pub enum Answer {
    /// The callback has returned, which is all. Of [`Callback::Http`]: the version answers no plain
    /// requests.
    None,
    Handshake(Result<Acceptance, Refusal>),
    /// Of [`Callback::Wanted`] and [`Callback::Accepts`].
    Bool(bool),
    Http(HttpResponse),
    State(Vec<u8>),
    /// Of [`Callback::Restore`]. The error is the handler's own.
    Restored(Result<(), String>),
}

impl Answer {
    #[inline]
    pub fn into_handshake(self) -> Option<Result<Acceptance, Refusal>> {
        match self {
            Self::Handshake(decision) => Some(decision),
            Self::None | Self::Bool(_) | Self::Http(_) | Self::State(_) | Self::Restored(_) => None,
        }
    }

    pub fn into_bool(self) -> Option<bool> {
        match self {
            Self::Bool(answer) => Some(answer),
            Self::None
            | Self::Handshake(_)
            | Self::Http(_)
            | Self::State(_)
            | Self::Restored(_) => None,
        }
    }

    pub fn into_http(self) -> Option<HttpResponse> {
        match self {
            Self::Http(response) => Some(response),
            Self::None
            | Self::Handshake(_)
            | Self::Bool(_)
            | Self::State(_)
            | Self::Restored(_) => None,
        }
    }

    pub fn into_state(self) -> Option<Vec<u8>> {
        match self {
            Self::State(state) => Some(state),
            Self::None | Self::Handshake(_) | Self::Bool(_) | Self::Http(_) | Self::Restored(_) => {
                None
            }
        }
    }

    pub fn into_restored(self) -> Option<Result<(), String>> {
        match self {
            Self::Restored(outcome) => Some(outcome),
            Self::None | Self::Handshake(_) | Self::Bool(_) | Self::Http(_) | Self::State(_) => {
                None
            }
        }
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<Option<HttpResponse>> for Answer {
    fn from(response: Option<HttpResponse>) -> Self {
        response.map_or(Self::None, Self::Http)
    }
}
