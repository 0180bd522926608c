//! `wsrun:websocket/topics`.

use std::collections::BTreeMap;

use wsrun_proto::topic::SubscribeError as Refused;
use wsrun_proto::ws::MessageKind;

use super::super::bindings::wsrun::websocket::topics::{Host, SubscribeError};
use super::super::bindings::wsrun::websocket::types::Message;
use super::super::state::GuestState;
use crate::command::{Command, Payload};
use crate::session::ConnectionId;

/// What the queued commands of this callback make of one subscription, if they touch it.
fn queued(commands: &[Command], connection: ConnectionId, topic: &str) -> Option<bool> {
    let of_this = |(of, to, subscribed): (ConnectionId, &str, bool)| {
        (of == connection && to == topic).then_some(subscribed)
    };
    commands
        .iter()
        .rev()
        .filter_map(Command::subscription)
        .find_map(of_this)
}

impl GuestState {
    fn is_subscribed(&self, connection: ConnectionId, topic: &str) -> bool {
        queued(&self.commands.list, connection, topic)
            .unwrap_or_else(|| self.registry.topics().is_subscribed(connection, topic))
    }

    fn message(&mut self, function: &str, message: &Message) -> wasmtime::Result<Payload> {
        let (kind, bytes) = match message {
            Message::Text(text) => (MessageKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (MessageKind::Binary, bytes.as_slice()),
        };
        let limit = self.registry.limits().sent_message_bytes_max;
        if bytes.len() > limit {
            return Err(wasmtime::format_err!(
                "{function} with {} bytes: a message may have at most {limit}",
                bytes.len()
            ));
        }
        Ok(self.commands.payload(kind, bytes))
    }
}

impl Host for GuestState {
    fn subscribe(
        &mut self,
        connection: ConnectionId,
        topic: String,
    ) -> wasmtime::Result<Result<bool, SubscribeError>> {
        if !self.is_open(connection) {
            return Ok(Err(SubscribeError::Closed));
        }
        if self.is_subscribed(connection, &topic) {
            return Ok(Ok(false));
        }
        // What is queued counts as done, so that applying it cannot fail.
        let mut added = 0;
        let mut mine: BTreeMap<&str, bool> = BTreeMap::new();
        for (of, to, subscribed) in self.commands.list.iter().filter_map(Command::subscription) {
            added += usize::from(subscribed);
            if of == connection {
                mine.insert(to, subscribed);
            }
        }
        let own = mine
            .into_iter()
            .map(|(to, now)| {
                let before = self.registry.topics().is_subscribed(connection, to);
                isize::from(now) - isize::from(before)
            })
            .sum();
        let checked = self.registry.topics().check(connection, &topic, own, added);
        if let Err(refused) = checked {
            return Ok(Err(match refused {
                Refused::InvalidName => SubscribeError::InvalidName,
                Refused::SubscriptionLimit | Refused::TopicLimit | _ => SubscribeError::Limit,
            }));
        }
        self.commands
            .push(Command::Subscribe { connection, topic })?;
        Ok(Ok(true))
    }

    fn unsubscribe(&mut self, connection: ConnectionId, topic: String) -> wasmtime::Result<bool> {
        if !self.is_subscribed(connection, &topic) {
            return Ok(false);
        }
        self.commands
            .push(Command::Unsubscribe { connection, topic })?;
        Ok(true)
    }

    fn publish(
        &mut self,
        topic: String,
        message: Message,
        except: Option<ConnectionId>,
    ) -> wasmtime::Result<u32> {
        // The set as it will be when the message is applied: the table, changed by what is queued before it.
        let mut changes: BTreeMap<ConnectionId, bool> = BTreeMap::new();
        for (connection, to, subscribed) in
            self.commands.list.iter().filter_map(Command::subscription)
        {
            if to == topic {
                changes.insert(connection, subscribed);
            }
        }
        for command in &self.commands.list {
            if let Command::Close { connection, .. } | Command::Abort { connection } = command {
                changes.insert(*connection, false);
            }
        }
        let count = {
            let topics = self.registry.topics();
            let mut count = topics.count(&topic);
            for (connection, subscribed) in &changes {
                match (topics.is_subscribed(*connection, &topic), subscribed) {
                    (false, true) => count += 1,
                    (true, false) => count -= 1,
                    (true, true) | (false, false) => {}
                }
            }
            let left_out = except.is_some_and(|except| {
                let now = changes.get(&except).copied();
                now.unwrap_or_else(|| topics.is_subscribed(except, &topic))
            });
            count - usize::from(left_out)
        };
        let payload = self.message("topics.publish", &message)?;
        self.commands.push(Command::Publish {
            topic,
            payload,
            except,
        })?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn broadcast(&mut self, protocol: Option<String>, message: Message) -> wasmtime::Result<u32> {
        let count = self.registry.open_count_of(protocol.as_deref());
        let payload = self.message("topics.broadcast", &message)?;
        self.commands
            .push(Command::Broadcast { protocol, payload })?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}
