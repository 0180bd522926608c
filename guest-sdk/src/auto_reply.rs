//! Messages that the host answers by itself.

use std::error::Error;
use std::fmt;

use crate::MessageRef;
use crate::bindings::handler::wsrun::websocket::connections;

/// Has the host answer a message with a fixed reply, on every connection of the handler (on this worker), without calling the handler: for
/// heartbeats of clients that cannot send pings. Mostly called in [`started`](crate::Handler::started).
///
/// The message must be the same, byte for byte, text or binary. The reply may go before the replies to messages that still wait for the
/// handler. It is kept while the handler runs, whatever becomes of the instance that set it.
///
/// ```
/// use wsrun_guest::{Handler, auto_reply, handler};
///
/// #[derive(Default)]
/// struct Chat;
///
/// #[handler]
/// impl Handler for Chat {
///     fn started(&mut self) {
///         auto_reply::set("ping", "pong").expect("it is short, and the only one");
///     }
/// }
/// ```
///
/// # Errors
///
/// When one of the two is larger than 2 KiB, or there are 16 already.
pub fn set<'a, 'b>(
    received: impl Into<MessageRef<'a>>,
    reply: impl Into<MessageRef<'b>>,
) -> Result<(), AutoReplyError> {
    let reply = reply.into().into_param();
    Ok(connections::set_auto_reply(
        received.into().into_param(),
        Some(reply),
    )?)
}

/// Takes an automatic reply back.
pub fn remove<'a>(received: impl Into<MessageRef<'a>>) {
    // Taking back is never refused.
    let _ = connections::set_auto_reply(received.into().into_param(), None);
}

/// Why an automatic reply was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoReplyError {
    /// The message or the reply is larger than the limit.
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// There are as many as there may be.
    Limit,
}

impl From<connections::AutoReplyError> for AutoReplyError {
    fn from(error: connections::AutoReplyError) -> Self {
        match error {
            connections::AutoReplyError::TooLarge(bytes_max) => Self::TooLarge { bytes_max },
            connections::AutoReplyError::Limit => Self::Limit,
        }
    }
}

impl fmt::Display for AutoReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes_max } => write!(f, "larger than the limit of {bytes_max} bytes"),
            Self::Limit => f.write_str("there are as many automatic replies as there may be"),
        }
    }
}

impl Error for AutoReplyError {}
