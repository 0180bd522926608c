use std::error::Error;
use std::fmt;

use crate::bindings::handler::wsrun::websocket::client::{Failure, Phase};
use crate::bindings::handler::wsrun::websocket::{client, connections, timers, topics, types};

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

/// Why a part of a message was not taken. Nothing was queued, and the message is where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkError {
    /// The connection is closing, closed or not this handler's.
    Closed,
    /// The connection's queue would exceed its limit. Call [`Connection::want_writable`](crate::Connection::want_writable) and send the part
    /// again when [`Handler::writable`](crate::Handler::writable) is called.
    QueueFull {
        /// Bytes that are queued.
        queued_bytes: u64,
    },
    /// The message would become larger than the limit.
    TooLarge {
        /// The limit of the whole message, `--max-stream`.
        bytes_max: u64,
    },
    /// The parts so far are not the beginning of valid UTF-8, or the last one ends inside a character.
    InvalidText,
    /// The message was begun as the other kind.
    WrongKind,
}

impl From<connections::ChunkError> for ChunkError {
    fn from(error: connections::ChunkError) -> Self {
        match error {
            connections::ChunkError::Closed => Self::Closed,
            connections::ChunkError::QueueFull(queued_bytes) => Self::QueueFull { queued_bytes },
            connections::ChunkError::TooLarge(bytes_max) => Self::TooLarge { bytes_max },
            connections::ChunkError::InvalidText => Self::InvalidText,
            connections::ChunkError::WrongKind => Self::WrongKind,
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => SendError::Closed.fmt(f),
            &Self::QueueFull { queued_bytes } => SendError::QueueFull { queued_bytes }.fmt(f),
            Self::TooLarge { bytes_max } => {
                write!(
                    f,
                    "the message is larger than the limit of {bytes_max} bytes"
                )
            }
            Self::InvalidText => f.write_str("the parts of the text are not valid UTF-8"),
            Self::WrongKind => f.write_str("the message was begun as the other kind"),
        }
    }
}

impl Error for ChunkError {}

/// Why a message was not published. Nobody got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Subscribers with the policy [`SlowPolicy::Wait`](crate::SlowPolicy::Wait) have no room.
    /// [`Connection::want_writable`](crate::Connection::want_writable) tells when they have, or try again later.
    Waiting {
        /// How many they are.
        subscribers: u32,
    },
    /// Larger than the limit.
    TooLarge {
        /// The limit: that of a queue, `--max-queue`.
        bytes_max: u64,
    },
}

impl From<types::PublishError> for PublishError {
    fn from(error: types::PublishError) -> Self {
        match error {
            types::PublishError::Waiting(subscribers) => Self::Waiting { subscribers },
            types::PublishError::TooLarge(bytes_max) => Self::TooLarge { bytes_max },
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Waiting { subscribers } => {
                write!(f, "{subscribers} subscribers have no room for the message")
            }
            Self::TooLarge { bytes_max } => SendError::TooLarge { bytes_max }.fmt(f),
        }
    }
}

impl Error for PublishError {}

/// Why no attempt to connect was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The operator does not allow it; the text says what would.
    Denied(String),
    /// An option cannot be used; the text says which and why.
    Invalid(String),
    /// The version is none that the host speaks.
    UnsupportedVersion {
        /// Those that it speaks, the newest first.
        supported: Vec<u8>,
    },
    /// The handler has as many outbound connections as it may (`--max-outbound`, 1,000 by default).
    Limit,
}

impl From<client::ConnectError> for ConnectError {
    fn from(error: client::ConnectError) -> Self {
        match error {
            client::ConnectError::Denied(text) => Self::Denied(text),
            client::ConnectError::Invalid(text) => Self::Invalid(text),
            client::ConnectError::UnsupportedVersion(supported) => {
                Self::UnsupportedVersion { supported }
            }
            client::ConnectError::Limit => Self::Limit,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) => write!(f, "connecting is not allowed: {text}"),
            Self::Invalid(text) => write!(f, "an option cannot be used: {text}"),
            Self::UnsupportedVersion { supported } => {
                f.write_str("the version is not supported, but these are:")?;
                supported
                    .iter()
                    .try_for_each(|version| write!(f, " {version}"))
            }
            Self::Limit => f.write_str("no more outbound connections are allowed"),
        }
    }
}

impl Error for ConnectError {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(text) => write!(f, "the address is not allowed: {text}"),
            Self::Unreachable(text) => write!(f, "the server cannot be reached: {text}"),
            Self::Tls(text) => write!(f, "TLS failed: {text}"),
            Self::TimedOut(Phase::Connect) => f.write_str("connecting took too long"),
            Self::TimedOut(Phase::Tls) => f.write_str("the TLS handshake took too long"),
            Self::TimedOut(Phase::Handshake) => f.write_str("the opening handshake took too long"),
            Self::Ended => f.write_str("the server ended the connection before it answered"),
            Self::Refused(status) => write!(f, "the server refused with status {status}"),
            Self::Redirected(Some(location)) => {
                write!(
                    f,
                    "the server redirects to {location}, which is not followed"
                )
            }
            Self::Redirected(None) => f.write_str("the server redirects without saying where"),
            Self::InvalidResponse(text) => write!(f, "the answer is not valid HTTP: {text}"),
            Self::NotUpgraded => f.write_str("the answer does not upgrade to WebSocket"),
            Self::AcceptMissing => f.write_str("the answer has not one sec-websocket-accept"),
            Self::AcceptWrong => f.write_str("sec-websocket-accept does not answer the key"),
            Self::ProtocolNotOffered => {
                f.write_str("the server chose a subprotocol that was not offered")
            }
            Self::ExtensionNotOffered(extension) => {
                write!(
                    f,
                    "the server chose an extension that was not offered: {extension}"
                )
            }
        }
    }
}

impl Error for Failure {}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_version_names_the_others() {
        let error = ConnectError::from(client::ConnectError::UnsupportedVersion(vec![13, 8, 7]));
        assert_eq!(
            error.to_string(),
            "the version is not supported, but these are: 13 8 7"
        );
    }

    #[test]
    fn waiting_publish_tells_how_many_have_no_room() {
        let error = PublishError::from(types::PublishError::Waiting(3));
        assert_eq!(
            error.to_string(),
            "3 subscribers have no room for the message"
        );
    }
}
