use std::error::Error;
use std::fmt;

use crate::bindings::handler::wsrun::websocket::{timers, topics, types};

/// Why a message, a ping or session data was not taken. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The connection is closing, closed or not this handler's.
    Closed,
    /// The connection's queue would exceed its limit. Try again when [`Handler::writable`](crate::Handler::writable) says so, or close.
    QueueFull {
        /// Bytes that are queued.
        queued_bytes: u64,
    },
    /// Larger than the limit.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
}

impl From<types::SendError> for SendError {
    fn from(error: types::SendError) -> Self {
        match error {
            types::SendError::Closed => Self::Closed,
            types::SendError::QueueFull(queued_bytes) => Self::QueueFull { queued_bytes },
            types::SendError::TooLarge(bytes_max) => Self::TooLarge { bytes_max },
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closed"),
            Self::QueueFull { queued_bytes } => write!(
                f,
                "the queue of the connection is full: {queued_bytes} bytes"
            ),
            Self::TooLarge { bytes_max } => write!(f, "larger than the limit of {bytes_max} bytes"),
        }
    }
}

impl Error for SendError {}

/// Why a subscription was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The connection is closing, closed or not this handler's.
    Closed,
    /// The name is empty or longer than 256 bytes.
    InvalidName,
    /// The connection has as many subscriptions as it may (64 by default), or the handler as many topics (100,000 by default).
    Limit,
}

impl From<topics::SubscribeError> for SubscribeError {
    fn from(error: topics::SubscribeError) -> Self {
        match error {
            topics::SubscribeError::Closed => Self::Closed,
            topics::SubscribeError::InvalidName => Self::InvalidName,
            topics::SubscribeError::Limit => Self::Limit,
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::InvalidName => "the name of a topic has 1 to 256 bytes",
            Self::Limit => "no more subscriptions or topics are allowed",
        })
    }
}

impl Error for SubscribeError {}

/// Why a timer was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerError {
    /// The connection is closing, closed or not this handler's.
    Closed,
    /// The handler has as many timers as it may (10,000 by default).
    Limit,
    /// The handler has no [`timer`](crate::Handler::timer) method, so that nobody would be told.
    NotExported,
}

impl From<timers::TimerError> for TimerError {
    fn from(error: timers::TimerError) -> Self {
        match error {
            timers::TimerError::Closed => Self::Closed,
            timers::TimerError::Limit => Self::Limit,
            timers::TimerError::NotExported => Self::NotExported,
        }
    }
}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection is closed",
            Self::Limit => "no more timers are allowed",
            Self::NotExported => "the handler has no `timer` method",
        })
    }
}

impl Error for TimerError {}

/// Why session data was not read.
#[cfg(feature = "session")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The connection has no session data, or is unknown.
    Absent,
    /// The bytes are not a value of the type asked for: another version of the handler may have written them.
    Malformed,
}

#[cfg(feature = "session")]
impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "the connection has no session data",
            Self::Malformed => "the session data is not of the expected type",
        })
    }
}

#[cfg(feature = "session")]
impl Error for SessionError {}
