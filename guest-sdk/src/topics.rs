//! Named sets of connections. Publishing costs the handler one call: the host encodes the message once and fans it out to all workers.
//!
//! [`Connection::subscribe`] puts a connection into a topic; it leaves by [`Connection::unsubscribe`] or when it closes. A topic exists
//! while it has a subscriber. Topics are this handler's own.
//!
//! What publishes returns the number of connections of this worker that the message will be sent to. What becomes of a connection whose
//! queue cannot take it is told by its own [`SlowPolicy`] ([`Connection::set_slow_policy`]), else by that of the topic
//! ([`set_slow_policy`]), else it is closed with 1008: nothing is left out silently.
//!
//! ```no_run
//! use wsrun_guest::{PublishError, SlowPolicy, topics};
//!
//! # fn started() {
//! // Of positions only the newest matters.
//! topics::set_slow_policy("positions", SlowPolicy::LatestOnly);
//! // Of orders each does: the publisher waits for the slowest.
//! topics::set_slow_policy("orders", SlowPolicy::Wait);
//! # }
//! # fn publish(order: &str) {
//! if let Err(PublishError::Waiting { subscribers }) = topics::publish("orders", order) {
//!     println!("{subscribers} subscribers are behind: the order is published again later");
//! }
//! # }
//! ```

use crate::bindings::handler::wsrun::websocket::topics;
use crate::{Connection, MessageRef, PublishError, SlowPolicy, packed};

/// Sends a message to every subscriber of a topic.
///
/// # Errors
///
/// When subscribers with the policy [`SlowPolicy::Wait`] have no room, or the message is too large. Nobody got it.
pub fn publish<'a>(topic: &str, message: impl Into<MessageRef<'a>>) -> Result<u32, PublishError> {
    packed::flush();
    Ok(topics::publish(topic, message.into().into_param(), None)?)
}

/// Sends a message to every subscriber of a topic but one, usually the connection that the message came from.
///
/// # Errors
///
/// As [`publish`].
pub fn publish_except<'a>(
    topic: &str,
    message: impl Into<MessageRef<'a>>,
    except: Connection,
) -> Result<u32, PublishError> {
    let message = message.into().into_param();
    packed::flush();
    Ok(topics::publish(topic, message, Some(except.id()))?)
}

/// Sends a message to every open connection of this handler. A handler with [`wanted`](crate::Handler::wanted) decides for each: the number
/// is then that of the connections that are asked for.
///
/// # Errors
///
/// As [`publish`].
pub fn broadcast<'a>(message: impl Into<MessageRef<'a>>) -> Result<u32, PublishError> {
    packed::flush();
    Ok(topics::broadcast(None, message.into().into_param())?)
}

/// Sends a message to every open connection of this handler that agreed on a subprotocol.
///
/// # Errors
///
/// As [`publish`].
pub fn broadcast_to_protocol<'a>(
    protocol: &str,
    message: impl Into<MessageRef<'a>>,
) -> Result<u32, PublishError> {
    let message = message.into().into_param();
    packed::flush();
    Ok(topics::broadcast(Some(protocol), message)?)
}

/// What becomes of messages of a topic that a subscriber has no room for, on this worker; `None` takes it back.
///
/// It is kept while the handler runs, also while the topic has no subscriber. At most 1,000 topics have one: the host traps at one more,
/// and on a close code that may not be sent.
pub fn set_slow_policy(topic: &str, policy: impl Into<Option<SlowPolicy>>) {
    topics::set_slow_policy(topic, policy.into());
}

/// Messages of a topic that policies have left out so far, on this worker, over all subscribers; counted for topics that have a policy.
pub fn dropped(topic: &str) -> u64 {
    topics::dropped(topic)
}
