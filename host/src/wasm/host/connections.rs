//! `wsrun:websocket/connections`.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;
use wsrun_proto::ws::{MessageKind, SendError as Refused};

use super::super::bindings::wsrun::websocket::connections::Host;
use super::super::bindings::wsrun::websocket::types::{Message, Request, Role, SendError};
use super::super::message::MessageOut;
use super::super::state::GuestState;
use crate::command::Command;
use crate::session::ConnectionId;

/// The longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// Close codes that a handler may send (RFC 6455, 7.4), and 1005 for none.
fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1005 | 1007..=1014 | 3000..=4999)
}

/// Defines `send` so that the message is copied once, out of the handler's memory.
pub(super) fn add_send(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/connections@0.1.0")?
        .func_wrap(
            "send",
            |mut store: StoreContextMut<'_, GuestState>,
             (to, message): (ConnectionId, MessageOut)| {
                // The commands leave the store's data while the message, which borrows the store, is copied into them.
                let state = store.data_mut();
                let mut commands = std::mem::take(&mut state.commands.data);
                let start = commands.len();
                let kind = match &message {
                    MessageOut::Text(text) => {
                        commands.extend_from_slice(text.to_str(&store)?.as_bytes());
                        MessageKind::Text
                    }
                    MessageOut::Binary(list) => {
                        commands.extend_from_slice(list.as_le_slice(&store));
                        MessageKind::Binary
                    }
                };
                let state = store.data_mut();
                let length = commands.len() - start;
                if let Err(refused) = state.admit(to, length) {
                    commands.truncate(start);
                    state.commands.data = commands;
                    return Ok((Err::<(), SendError>(refused),));
                }
                state.commands.data = commands;
                let payload = state.commands.tail(kind, start);
                state.commands.push(Command::Send { to, payload })?;
                Ok((Ok(()),))
            },
        )
}

impl GuestState {
    /// Whether the queue of `to` takes `length` more bytes, after what this callback sent so far; counts them if so.
    fn admit(&self, to: ConnectionId, length: usize) -> Result<(), SendError> {
        let Some(session) = self.registry.get(to) else {
            return Err(SendError::Closed);
        };
        session.admit(length).map_err(|refused| match refused {
            Refused::QueueFull { queued } => SendError::QueueFull(queued as u64),
            Refused::TooLarge { limit } => SendError::TooLarge(limit),
            Refused::Closed | Refused::InvalidText | Refused::MessageUnfinished | _ => {
                SendError::Closed
            }
        })
    }

    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.registry
            .get(connection)
            .is_some_and(|session| session.is_open())
    }
}

impl Host for GuestState {
    fn send(
        &mut self,
        to: ConnectionId,
        message: Message,
    ) -> wasmtime::Result<Result<(), SendError>> {
        let (kind, bytes) = match &message {
            Message::Text(text) => (MessageKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (MessageKind::Binary, bytes.as_slice()),
        };
        if let Err(refused) = self.admit(to, bytes.len()) {
            return Ok(Err(refused));
        }
        let payload = self.commands.payload(kind, bytes);
        self.commands.push(Command::Send { to, payload })?;
        Ok(Ok(()))
    }

    fn ping(
        &mut self,
        to: ConnectionId,
        payload: Vec<u8>,
    ) -> wasmtime::Result<Result<(), SendError>> {
        if payload.len() > CONTROL_BYTES_MAX {
            return Ok(Err(SendError::TooLarge(CONTROL_BYTES_MAX as u64)));
        }
        if let Err(refused) = self.admit(to, payload.len()) {
            return Ok(Err(refused));
        }
        let payload = self.commands.payload(MessageKind::Binary, &payload);
        self.commands.push(Command::Ping { to, payload })?;
        Ok(Ok(()))
    }

    fn close(
        &mut self,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) -> wasmtime::Result<()> {
        if !is_sendable(code) {
            return Err(wasmtime::format_err!(
                "connections.close with code {code}: it must be 1000-1003, 1007-1014, 3000-4999, or 1005 for none"
            ));
        }
        if let Some(session) = self.registry.get(connection)
            && session.is_open()
        {
            session.set_closing();
            self.commands.push(Command::Close {
                connection,
                code,
                reason,
            })?;
        }
        Ok(())
    }

    fn abort(&mut self, connection: ConnectionId) -> wasmtime::Result<()> {
        if let Some(session) = self.registry.get(connection) {
            session.set_closing();
            self.commands.push(Command::Abort { connection })?;
        }
        Ok(())
    }

    fn buffered(&mut self, connection: ConnectionId) -> wasmtime::Result<u64> {
        Ok(self
            .registry
            .get(connection)
            .map_or(0, |session| session.buffered() as u64))
    }

    fn want_writable(&mut self, connection: ConnectionId) -> wasmtime::Result<()> {
        if self.is_open(connection) {
            self.commands.push(Command::WantWritable { connection })?;
        }
        Ok(())
    }

    fn receive_flow(&mut self, connection: ConnectionId, enabled: bool) -> wasmtime::Result<()> {
        if self.is_open(connection) {
            self.commands.push(Command::ReceiveFlow {
                connection,
                enabled,
            })?;
        }
        Ok(())
    }

    fn request_of(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<Request>> {
        Ok(self
            .registry
            .get(connection)
            .map(|session| Request::from(&*session.request)))
    }

    fn protocol(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<String>> {
        Ok(self
            .registry
            .get(connection)
            .and_then(|session| session.protocol.clone()))
    }

    fn session(&mut self, connection: ConnectionId) -> wasmtime::Result<Vec<u8>> {
        // What this callback has set is seen before it is applied.
        let queued = self.commands.list.iter().rev().find_map(|command| {
            if let Command::SetSession {
                connection: of,
                data,
            } = command
                && *of == connection
            {
                return Some(data.clone());
            }
            None
        });
        Ok(queued
            .or_else(|| self.registry.get(connection).map(|session| session.data()))
            .unwrap_or_default())
    }

    fn set_session(
        &mut self,
        connection: ConnectionId,
        data: Vec<u8>,
    ) -> wasmtime::Result<Result<(), SendError>> {
        if self.registry.get(connection).is_none() {
            return Ok(Err(SendError::Closed));
        }
        let limit = self.registry.limits().session_bytes_max;
        if data.len() > limit {
            return Ok(Err(SendError::TooLarge(limit as u64)));
        }
        self.commands
            .push(Command::SetSession { connection, data })?;
        Ok(Ok(()))
    }
}

impl From<&crate::request::Request> for Request {
    fn from(request: &crate::request::Request) -> Self {
        Self {
            role: Role::Server,
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            offered: request.offered.clone(),
            peer: request.peer.clone(),
            local: request.local.clone(),
            secure: request.secure,
            host: request.host.clone(),
        }
    }
}
