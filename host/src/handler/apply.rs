//! Applying what a callback asked for.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use wsrun_proto::ws::{CloseCode, CloseFrame, MessageKind, Prepared, SendError};

use super::timers::Timer;
use super::{Handler, Remote};
use crate::command::{Command, Commands, Payload};
use crate::session::{ClosedBy, ConnectionId, Session};

/// Messages given to subscribers before others get their turn: what a callback asks for is not bounded by its own time.
const DELIVERIES_PER_SLICE: usize = 4_096;

impl Handler {
    /// Applies the commands of a callback in order. Lets others run when it is much, and waits for other workers whose queue of publishes
    /// is full.
    pub(super) async fn apply(&self, commands: &mut Commands) {
        self.clear_pending(commands);
        let list = std::mem::take(&mut commands.list);
        for command in &list {
            if self.worker.deliveries.get() >= DELIVERIES_PER_SLICE {
                self.worker.deliveries.set(0);
                self.worker.flush();
                tokio::task::yield_now().await;
            }
            if let Some(remote) = self.apply_one(command, commands) {
                self.tell_peers(remote).await;
            }
        }
        commands.list = list;
        commands.clear();
    }

    /// Drops the commands of a callback that failed.
    pub(super) fn drop_commands(&self, commands: &mut Commands) {
        // It may have failed between counting an effect and queueing it.
        for session in self.registry.sessions() {
            session.clear_pending();
        }
        commands.clear();
    }

    pub(super) fn fan_out_remote(&self, remote: &Remote) {
        match remote {
            Remote::Publish {
                topic,
                kind,
                payload,
            } => self.publish(topic, *kind, payload, None),
            Remote::Broadcast {
                protocol,
                kind,
                payload,
            } => self.broadcast(protocol.as_deref(), *kind, payload),
        }
    }

    fn clear_pending(&self, commands: &Commands) {
        for command in &commands.list {
            if let Command::Send { to: connection, .. }
            | Command::Ping { to: connection, .. }
            | Command::Close { connection, .. }
            | Command::Abort { connection } = command
                && let Some(session) = self.registry.get(*connection)
            {
                session.clear_pending();
            }
        }
    }

    /// Applies one command; what it returns is for the other workers.
    fn apply_one(&self, command: &Command, commands: &Commands) -> Option<Remote> {
        match command {
            Command::Send { to, payload } => {
                if let Some(session) = self.registry.get(*to) {
                    // It was admitted; only a connection that has closed since takes no more.
                    let _ = session.send_admitted(payload.kind, commands.bytes(*payload));
                }
            }
            Command::Ping { to, payload } => {
                if let Some(session) = self.registry.get(*to) {
                    let _ = session.ping_admitted(commands.bytes(*payload));
                }
            }
            Command::Close {
                connection,
                code,
                reason,
            } => {
                if let Some(session) = self.registry.get(*connection) {
                    self.registry.leave(*connection);
                    session.close(ClosedBy::Handler, close_frame(*code, reason));
                }
            }
            Command::Abort { connection } => {
                if let Some(session) = self.registry.get(*connection) {
                    self.registry.leave(*connection);
                    session.abort(ClosedBy::Handler, "aborted by the handler");
                }
            }
            Command::WantWritable { connection } => {
                if let Some(session) = self.registry.get(*connection) {
                    session.want_writable.set(true);
                    session.wake();
                }
            }
            Command::ReceiveFlow {
                connection,
                enabled,
            } => {
                if let Some(session) = self.registry.get(*connection) {
                    session.receive_flow.set(*enabled);
                    session.wake();
                }
            }
            Command::SetSession { connection, data } => {
                if let Some(session) = self.registry.get(*connection) {
                    session.set_data(data.clone());
                }
            }
            Command::Subscribe { connection, topic } => {
                if self
                    .registry
                    .get(*connection)
                    .is_some_and(|session| session.is_open())
                {
                    // Checked when it was queued.
                    let _ = self.registry.topics_mut().subscribe(*connection, topic);
                }
            }
            Command::Unsubscribe { connection, topic } => {
                self.registry.topics_mut().unsubscribe(*connection, topic);
            }
            Command::Publish {
                topic,
                payload,
                except,
            } => {
                let bytes = commands.bytes(*payload);
                self.publish(topic, payload.kind, bytes, *except);
                return self.remote(*payload, bytes, |kind, payload| Remote::Publish {
                    topic: Arc::from(topic.as_str()),
                    kind,
                    payload,
                });
            }
            Command::Broadcast { protocol, payload } => {
                let bytes = commands.bytes(*payload);
                self.broadcast(protocol.as_deref(), payload.kind, bytes);
                return self.remote(*payload, bytes, |kind, payload| Remote::Broadcast {
                    protocol: protocol.as_deref().map(Arc::from),
                    kind,
                    payload,
                });
            }
            Command::SetTimer {
                timer,
                after,
                tag,
                connection,
            } => {
                if connection.is_none_or(|connection| self.is_open(connection)) {
                    let timer = Timer {
                        id: *timer,
                        tag: *tag,
                        connection: *connection,
                    };
                    self.registry.timers_mut().set(*after, timer);
                }
            }
            Command::CancelTimer { timer } => {
                self.registry.timers_mut().remove(*timer);
            }
        }
        None
    }

    fn is_open(&self, connection: ConnectionId) -> bool {
        self.registry
            .get(connection)
            .is_some_and(|session| session.is_open())
    }

    fn publish(
        &self,
        topic: &str,
        kind: MessageKind,
        payload: &[u8],
        except: Option<ConnectionId>,
    ) {
        let subscribers: Vec<ConnectionId> = self.registry.topics().subscribers(topic).collect();
        if subscribers.is_empty() {
            return;
        }
        let mut message = Prepared::new(kind, payload);
        for connection in subscribers {
            if Some(connection) != except
                && let Some(session) = self.registry.get(connection)
            {
                self.fan_out(&session, &mut message);
            }
        }
    }

    fn broadcast(&self, protocol: Option<&str>, kind: MessageKind, payload: &[u8]) {
        let mut message = Prepared::new(kind, payload);
        for session in self.registry.sessions() {
            if protocol.is_none() || session.protocol.as_deref() == protocol {
                self.fan_out(&session, &mut message);
            }
        }
    }

    fn fan_out(&self, session: &Rc<Session>, message: &mut Prepared) {
        self.worker.deliveries.set(self.worker.deliveries.get() + 1);
        let mut sent = session.send_prepared(message);
        if matches!(sent, Err(SendError::QueueFull { .. })) {
            // It may be this turn that has not written yet, and not the peer that does not read.
            session.flush();
            sent = session.send_prepared(message);
        }
        match sent {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => {
                tracing::warn!(
                    handler = %self.registry.name(), connection = session.id,
                    "closing a subscriber that does not keep up: {error}"
                );
                self.registry.leave(session.id);
                session.close(
                    ClosedBy::Host,
                    CloseFrame::with_code(CloseCode::POLICY_VIOLATION, "slow consumer"),
                );
            }
        }
    }

    fn remote(
        &self,
        payload: Payload,
        bytes: &[u8],
        make: impl FnOnce(MessageKind, Bytes) -> Remote,
    ) -> Option<Remote> {
        (!self.peers.is_empty()).then(|| make(payload.kind, Bytes::copy_from_slice(bytes)))
    }

    async fn tell_peers(&self, remote: Remote) {
        for peer in &self.peers {
            // A worker that has ended has nobody to tell.
            let _ = peer.send(remote.clone()).await;
        }
    }
}

/// The frame that a handler asked for; the code was checked when it was queued, and 1005 stands for none.
fn close_frame(code: u16, reason: &str) -> CloseFrame {
    CloseFrame::new(code, reason).unwrap_or_else(|_| CloseFrame::empty())
}
