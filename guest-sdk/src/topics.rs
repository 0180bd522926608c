//! Named sets of connections. Publishing costs the handler one call: the host encodes the message once and fans it out to all workers.
//!
//! [`Connection::subscribe`] puts a connection into a topic; it leaves by [`Connection::unsubscribe`] or when it closes. A topic exists
//! while it has a subscriber. Topics are this handler's own.
//!
//! Each function here returns the number of connections of this worker that the message will be sent to. A connection whose queue cannot
//! take it is closed with 1008: nothing is left out silently. A message larger than a queue (2 MiB by default) traps.

use crate::bindings::handler::wsrun::websocket::topics;
use crate::{Connection, MessageRef};

/// Sends a message to every subscriber of a topic.
pub fn publish<'a>(topic: &str, message: impl Into<MessageRef<'a>>) -> u32 {
    topics::publish(topic, message.into().into_param(), None)
}

/// Sends a message to every subscriber of a topic but one, usually the connection that the message came from.
pub fn publish_except<'a>(
    topic: &str,
    message: impl Into<MessageRef<'a>>,
    except: Connection,
) -> u32 {
    topics::publish(topic, message.into().into_param(), Some(except.id()))
}

/// Sends a message to every open connection of this handler.
pub fn broadcast<'a>(message: impl Into<MessageRef<'a>>) -> u32 {
    topics::broadcast(None, message.into().into_param())
}

/// Sends a message to every open connection of this handler that agreed on a subprotocol.
pub fn broadcast_to_protocol<'a>(protocol: &str, message: impl Into<MessageRef<'a>>) -> u32 {
    topics::broadcast(Some(protocol), message.into().into_param())
}
