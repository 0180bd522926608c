//! Messages from the embedding program to the connections of a handler, from any thread.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use wsrun_proto::ws::MessageKind;

use wsrun_contract::{ConnectError, ConnectOptions, Message};
use wsrun_runtime::handler::{Connecting, Remote, ToHandler, ToWorker};

/// A handle that publishes, broadcasts and connects on behalf of a handler. It is cheap to clone,
/// and may be sent to any thread.
#[derive(Clone, Debug)]
pub struct Publisher {
    handlers: Arc<[Named]>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// The channels to the handler, one for each worker.
    workers: Vec<ToWorker>,
    /// The largest message that the handler may publish.
    message_bytes_max: usize,
}

/// The reason why a message of the embedding program was not published. Nobody got it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishFailed {
    /// No handler has this name.
    #[error("there is no handler {0:?}")]
    UnknownHandler(String),
    /// The message is larger than a message of a handler may be.
    #[error("larger than the limit of {0} bytes")]
    TooLarge(usize),
    /// A worker has not caught up with earlier publishes: try again.
    #[error("a worker is behind with earlier messages")]
    Busy,
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
}

/// The reason why a connection of the embedding program is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFailed {
    /// No handler has this name.
    #[error("there is no handler {0:?}")]
    UnknownHandler(String),
    /// The options cannot be used.
    #[error(transparent)]
    Options(#[from] ConnectError),
    /// A worker has not caught up with earlier messages, or the server has stopped.
    #[error("the worker takes no more at this time")]
    Busy,
}

impl Publisher {
    pub(super) fn new(handlers: impl Iterator<Item = (String, Vec<ToWorker>, usize)>) -> Self {
        Self {
            handlers: handlers
                .map(|(name, workers, message_bytes_max)| Named {
                    name,
                    workers,
                    message_bytes_max,
                })
                .collect(),
        }
    }

    /// Returns the channels to each handler, one for each worker.
    pub(super) fn workers(&self) -> Vec<Vec<ToWorker>> {
        self.handlers
            .iter()
            .map(|named| named.workers.clone())
            .collect()
    }

    /// Sends a message to every subscriber of a topic of a handler, on all workers. Returns at
    /// once.
    ///
    /// # Errors
    ///
    /// Fails when nobody got it.
    pub fn publish<'m>(
        &self,
        handler: &str,
        topic: &str,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PublishFailed> {
        let (kind, payload) = self.payload(handler, message.into())?;
        let topic = topic.into();
        self.send(
            handler,
            Remote::Publish {
                topic,
                kind,
                payload,
            },
        )
    }

    /// Sends a message to every connection of a handler, or to those that agreed on the subprotocol
    /// `protocol`. A handler with a broadcast filter is asked about each connection. Returns at
    /// once.
    ///
    /// # Errors
    ///
    /// Fails when nobody got it.
    pub fn broadcast<'m>(
        &self,
        handler: &str,
        protocol: Option<&str>,
        message: impl Into<Message<'m>>,
    ) -> Result<(), PublishFailed> {
        let (kind, payload) = self.payload(handler, message.into())?;
        let protocol = protocol.map(Arc::from);
        self.send(
            handler,
            Remote::Broadcast {
                protocol,
                kind,
                payload,
            },
        )
    }

    /// Makes an outbound connection of a handler, on the first worker. The URL needs no grant,
    /// since the program itself asks for it.
    ///
    /// # Errors
    ///
    /// Fails when no attempt is made.
    pub async fn connect(
        &self,
        handler: &str,
        options: ConnectOptions,
    ) -> Result<Connecting, ConnectFailed> {
        let named = self
            .named(handler)
            .ok_or_else(|| ConnectFailed::UnknownHandler(handler.to_owned()))?;
        let (reply, connecting) = oneshot::channel();
        let options = Box::new(options);
        named.workers[0]
            .asked
            .try_send(ToHandler::Connect { options, reply })
            .map_err(|_| ConnectFailed::Busy)?;
        Ok(connecting.await.map_err(|_| ConnectFailed::Busy)??)
    }

    fn named(&self, handler: &str) -> Option<&Named> {
        self.handlers.iter().find(|named| named.name == handler)
    }

    fn payload(
        &self,
        handler: &str,
        message: Message<'_>,
    ) -> Result<(MessageKind, Bytes), PublishFailed> {
        let bytes = message.as_bytes();
        let named = self
            .named(handler)
            .ok_or_else(|| PublishFailed::UnknownHandler(handler.to_owned()))?;
        let bytes_max = named.message_bytes_max;
        if bytes.len() > bytes_max {
            return Err(PublishFailed::TooLarge(bytes_max));
        }
        let kind = match message {
            Message::Text(_) => MessageKind::Text,
            Message::Binary(_) => MessageKind::Binary,
        };
        Ok((kind, Bytes::copy_from_slice(bytes)))
    }

    fn send(&self, handler: &str, remote: Remote) -> Result<(), PublishFailed> {
        let named = self
            .named(handler)
            .ok_or_else(|| PublishFailed::UnknownHandler(handler.to_owned()))?;
        // All workers take the message, or none does.
        let mut permits = Vec::new();
        for worker in &named.workers {
            permits.push(
                worker
                    .publishes
                    .try_reserve()
                    .map_err(|error| match error {
                        mpsc::error::TrySendError::Full(()) => PublishFailed::Busy,
                        mpsc::error::TrySendError::Closed(()) => PublishFailed::Stopped,
                    })?,
            );
        }
        for permit in permits {
            permit.send(remote.clone());
        }
        Ok(())
    }
}
