//! `wsrun:websocket/topics`.

use wsrun_proto::ws::MessageKind;

use super::super::bindings::wsrun::websocket::topics::{Host, SubscribeError};
use super::super::bindings::wsrun::websocket::types::{Message, PublishError, SlowPolicy};
use super::super::state::GuestState;
use crate::contract::{self, ConnectionId};

fn parts(message: &Message) -> (MessageKind, &[u8]) {
    match message {
        Message::Text(text) => (MessageKind::Text, text.as_bytes()),
        Message::Binary(bytes) => (MessageKind::Binary, bytes),
    }
}

impl From<contract::PublishError> for PublishError {
    fn from(error: contract::PublishError) -> Self {
        match error {
            contract::PublishError::Waiting(subscribers) => Self::Waiting(subscribers),
            contract::PublishError::TooLarge(limit) => Self::TooLarge(limit),
        }
    }
}

impl Host for GuestState {
    fn subscribe(
        &mut self,
        connection: ConnectionId,
        topic: String,
    ) -> wasmtime::Result<Result<bool, SubscribeError>> {
        let subscribed = self.calls.subscribe(connection, topic)?;
        Ok(subscribed.map_err(|error| match error {
            contract::SubscribeError::Closed => SubscribeError::Closed,
            contract::SubscribeError::InvalidName => SubscribeError::InvalidName,
            contract::SubscribeError::Limit => SubscribeError::Limit,
        }))
    }

    fn unsubscribe(&mut self, connection: ConnectionId, topic: String) -> wasmtime::Result<bool> {
        Ok(self.calls.unsubscribe(connection, topic)?)
    }

    fn publish(
        &mut self,
        topic: String,
        message: Message,
        except: Option<ConnectionId>,
    ) -> wasmtime::Result<Result<u32, PublishError>> {
        let (kind, bytes) = parts(&message);
        let published = self.calls.publish(topic, kind, bytes, except)?;
        Ok(published.map_err(PublishError::from))
    }

    fn broadcast(
        &mut self,
        protocol: Option<String>,
        message: Message,
    ) -> wasmtime::Result<Result<u32, PublishError>> {
        let (kind, bytes) = parts(&message);
        let published = self.calls.broadcast(protocol, kind, bytes)?;
        Ok(published.map_err(PublishError::from))
    }

    fn set_slow_policy(
        &mut self,
        topic: String,
        policy: Option<SlowPolicy>,
    ) -> wasmtime::Result<()> {
        let policy = policy.map(contract::SlowPolicy::from);
        Ok(self.calls.set_topic_policy(topic, policy)?)
    }

    fn dropped(&mut self, topic: String) -> wasmtime::Result<u64> {
        Ok(self.calls.registry.topic_dropped(&topic))
    }
}
