//! `wsrun:websocket/topics`.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wsrun_proto::ws::MessageKind;

use super::super::bindings::wsrun::websocket::topics::{Host, SubscribeError};
use super::super::bindings::wsrun::websocket::types::{Message, PublishError, SlowPolicy};
use super::super::message::MessageOut;
use super::super::state::{Calls, GuestState};
use wsrun_contract::{self as contract, ConnectionId};

/// A message, once its size is known to be within the limit: what is too large is not copied.
fn taken(
    store: &mut StoreContextMut<'_, GuestState>,
    message: &MessageOut,
) -> wasmtime::Result<Result<(MessageKind, Vec<u8>), contract::PublishError>> {
    store.data_mut().called();
    let calls = &store.data().calls;
    Ok(match message {
        MessageOut::Text(text) => {
            let text = text.to_str(&*store)?;
            let fits = calls.host.check_size(text.len());
            fits.map(|()| (MessageKind::Text, text.into_owned().into_bytes()))
        }
        MessageOut::Binary(list) => {
            let bytes = list.as_le_slice(&*store);
            let fits = calls.host.check_size(bytes.len());
            fits.map(|()| (MessageKind::Binary, bytes.to_vec()))
        }
    })
}

/// Defines `publish`.
pub(super) fn add_publish(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance("wsrun:websocket/topics@0.1.0")?.func_wrap(
        "publish",
        |mut store: StoreContextMut<'_, GuestState>,
         (topic, message, except): (String, MessageOut, Option<ConnectionId>)| {
            let published = match taken(&mut store, &message)? {
                Ok((kind, bytes)) => {
                    let Calls { host, effects } = &mut *store.data_mut().calls;
                    host.publish(effects, topic, kind, &bytes, except)?
                }
                Err(refused) => Err(refused),
            };
            Ok((published.map_err(PublishError::from),))
        },
    )
}

/// Defines `broadcast`.
pub(super) fn add_broadcast(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.instance("wsrun:websocket/topics@0.1.0")?.func_wrap(
        "broadcast",
        |mut store: StoreContextMut<'_, GuestState>,
         (protocol, message): (Option<String>, MessageOut)| {
            let published = match taken(&mut store, &message)? {
                Ok((kind, bytes)) => {
                    let Calls { host, effects } = &mut *store.data_mut().calls;
                    host.broadcast(effects, protocol, kind, &bytes)?
                }
                Err(refused) => Err(refused),
            };
            Ok((published.map_err(PublishError::from),))
        },
    )
}

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
        let Calls { host, effects } = &mut *self.calls;
        let subscribed = host.subscribe(effects, connection, topic)?;
        Ok(subscribed.map_err(|error| match error {
            contract::SubscribeError::Closed => SubscribeError::Closed,
            contract::SubscribeError::InvalidName => SubscribeError::InvalidName,
            contract::SubscribeError::Limit => SubscribeError::Limit,
        }))
    }

    fn unsubscribe(&mut self, connection: ConnectionId, topic: String) -> wasmtime::Result<bool> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.unsubscribe(effects, connection, topic)?)
    }

    fn publish(
        &mut self,
        topic: String,
        message: Message,
        except: Option<ConnectionId>,
    ) -> wasmtime::Result<Result<u32, PublishError>> {
        let Calls { host, effects } = &mut *self.calls;
        let (kind, bytes) = parts(&message);
        let published = host.publish(effects, topic, kind, bytes, except)?;
        Ok(published.map_err(PublishError::from))
    }

    fn broadcast(
        &mut self,
        protocol: Option<String>,
        message: Message,
    ) -> wasmtime::Result<Result<u32, PublishError>> {
        let Calls { host, effects } = &mut *self.calls;
        let (kind, bytes) = parts(&message);
        let published = host.broadcast(effects, protocol, kind, bytes)?;
        Ok(published.map_err(PublishError::from))
    }

    fn set_slow_policy(
        &mut self,
        topic: String,
        policy: Option<SlowPolicy>,
    ) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        let policy = policy.map(contract::SlowPolicy::from);
        Ok(host.set_topic_policy(effects, topic, policy)?)
    }

    fn dropped(&mut self, topic: String) -> wasmtime::Result<u64> {
        Ok(self.calls.host.topic_dropped(&topic))
    }
}
