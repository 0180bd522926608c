//! `wsrun:websocket/connections`.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmList};
use wsrun_proto::ws::MessageKind;

use super::super::bindings::wsrun::websocket::connections::{AutoReplyError, ChunkError, Host};
use super::super::bindings::wsrun::websocket::packed_send;
use super::super::bindings::wsrun::websocket::types::{
    Message, Request, Role, SendError, SlowPolicy,
};
use super::super::message::MessageOut;
use super::super::state::GuestState;
use crate::calls::Calls;
use crate::contract::{self, ConnectionId};
use crate::effects::Effect;
use crate::panics::plant;

/// Defines `send` so that the message is copied once, out of the handler's memory.
pub(super) fn add_send(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/connections@0.1.0")?
        .func_wrap(
            "send",
            |mut store: StoreContextMut<'_, GuestState>,
             (to, message): (ConnectionId, MessageOut)| {
                // The effects leave the store's data while the message, which borrows the store, is copied into them.
                let calls: &mut Calls = &mut store.data_mut().called().calls;
                let mut effects = std::mem::take(&mut calls.effects.data);
                let start = effects.len();
                // What is refused is not copied: it may be all of the handler's memory.
                let mut copy = |bytes: &[u8]| {
                    let calls: &Calls = &store.data().calls;
                    let admitted = calls.admit(to, bytes.len());
                    admitted.map(|()| effects.extend_from_slice(bytes))
                };
                let (kind, copied) = match &message {
                    MessageOut::Text(text) => {
                        (MessageKind::Text, copy(text.to_str(&store)?.as_bytes()))
                    }
                    MessageOut::Binary(list) => {
                        (MessageKind::Binary, copy(list.as_le_slice(&store)))
                    }
                };
                let calls: &mut Calls = &mut store.data_mut().calls;
                calls.effects.data = effects;
                if let Err(refused) = copied {
                    return Ok((Err::<(), SendError>(refused.into()),));
                }
                plant("import");
                let payload = calls.effects.tail(kind, start);
                calls.effects.push(Effect::Send { to, payload })?;
                Ok((Ok(()),))
            },
        )
}

/// Defines `packed-send.send` in the same way.
pub(super) fn add_send_packed(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/packed-send@0.1.0")?
        .func_wrap(
            "send",
            |mut store: StoreContextMut<'_, GuestState>,
             (to, messages): (ConnectionId, WasmList<u8>)| {
                let calls: &mut Calls = &mut store.data_mut().called().calls;
                let mut effects = std::mem::take(&mut calls.effects.data);
                let start = effects.len();
                let room = calls.packed.map_or(0, |(_, room)| room);
                let bytes = messages.as_le_slice(&store);
                // What is refused is not copied.
                let fits = bytes.len() <= room;
                if fits {
                    effects.extend_from_slice(bytes);
                }
                let calls: &mut Calls = &mut store.data_mut().calls;
                calls.effects.data = effects;
                Ok(calls.send_packed(to, start, fits)?)
            },
        )
}

impl packed_send::Host for GuestState {
    fn send(&mut self, to: ConnectionId, messages: Vec<u8>) -> wasmtime::Result<()> {
        let start = self.calls.effects.data.len();
        self.calls.effects.data.extend(messages);
        Ok(self.calls.send_packed(to, start, true)?)
    }
}

/// Defines `send-chunk` in the same way.
pub(super) fn add_send_chunk(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/connections@0.1.0")?
        .func_wrap(
            "send-chunk",
            |mut store: StoreContextMut<'_, GuestState>,
             (to, text, data, fin): (ConnectionId, bool, WasmList<u8>, bool)| {
                let calls: &mut Calls = &mut store.data_mut().called().calls;
                let mut effects = std::mem::take(&mut calls.effects.data);
                let start = effects.len();
                let kind = if text {
                    MessageKind::Text
                } else {
                    MessageKind::Binary
                };
                let bytes = data.as_le_slice(&store);
                let stored: &Calls = &store.data().calls;
                let admitted = stored.admit_chunk(to, kind, bytes, fin);
                let copied = admitted.map(|()| effects.extend_from_slice(bytes));
                let calls: &mut Calls = &mut store.data_mut().calls;
                calls.effects.data = effects;
                if let Err(refused) = copied {
                    return Ok((Err::<(), ChunkError>(refused.into()),));
                }
                let payload = calls.effects.tail(kind, start);
                calls.effects.push(Effect::SendChunk { to, payload, fin })?;
                Ok((Ok(()),))
            },
        )
}

/// Defines `set-session` so that what is refused is not copied.
pub(super) fn add_set_session(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/connections@0.1.0")?
        .func_wrap(
            "set-session",
            |mut store: StoreContextMut<'_, GuestState>,
             (connection, data): (ConnectionId, WasmList<u8>)| {
                store.data_mut().called();
                let bytes = data.as_le_slice(&store);
                let calls = &store.data().calls;
                let admitted = calls.admit_session(connection, bytes.len());
                let set = match admitted.map(|room| (bytes.to_vec(), room)) {
                    Ok((data, room)) => {
                        let calls: &mut Calls = &mut store.data_mut().calls;
                        calls.set_admitted_session(connection, data, room)?;
                        Ok(())
                    }
                    Err(refused) => Err(refused),
                };
                Ok((set.map_err(SendError::from),))
            },
        )
}

impl From<contract::SendError> for SendError {
    fn from(error: contract::SendError) -> Self {
        match error {
            contract::SendError::Closed => Self::Closed,
            contract::SendError::QueueFull(queued) => Self::QueueFull(queued),
            contract::SendError::TooLarge(limit) => Self::TooLarge(limit),
        }
    }
}

impl From<contract::ChunkError> for ChunkError {
    fn from(error: contract::ChunkError) -> Self {
        match error {
            contract::ChunkError::Closed => Self::Closed,
            contract::ChunkError::QueueFull(queued) => Self::QueueFull(queued),
            contract::ChunkError::TooLarge(limit) => Self::TooLarge(limit),
            contract::ChunkError::InvalidText => Self::InvalidText,
            contract::ChunkError::WrongKind => Self::WrongKind,
        }
    }
}

impl From<SlowPolicy> for contract::SlowPolicy {
    fn from(policy: SlowPolicy) -> Self {
        match policy {
            SlowPolicy::Wait => Self::Wait,
            SlowPolicy::DropOldest => Self::DropOldest,
            SlowPolicy::DropNewest => Self::DropNewest,
            SlowPolicy::LatestOnly => Self::LatestOnly,
            SlowPolicy::Disconnect(code) => Self::Disconnect(code),
        }
    }
}

fn parts(message: &Message) -> (MessageKind, &[u8]) {
    match message {
        Message::Text(text) => (MessageKind::Text, text.as_bytes()),
        Message::Binary(bytes) => (MessageKind::Binary, bytes.as_slice()),
    }
}

type Sent = Result<(), SendError>;

impl Host for GuestState {
    fn send(&mut self, to: ConnectionId, message: Message) -> wasmtime::Result<Sent> {
        let (kind, bytes) = parts(&message);
        Ok(self.calls.send(to, kind, bytes)?.map_err(SendError::from))
    }

    fn send_chunk(
        &mut self,
        to: ConnectionId,
        text: bool,
        data: Vec<u8>,
        fin: bool,
    ) -> wasmtime::Result<Result<(), ChunkError>> {
        let kind = if text {
            MessageKind::Text
        } else {
            MessageKind::Binary
        };
        let sent = self.calls.send_chunk(to, kind, &data, fin)?;
        Ok(sent.map_err(ChunkError::from))
    }

    fn ping(&mut self, to: ConnectionId, payload: Vec<u8>) -> wasmtime::Result<Sent> {
        Ok(self.calls.ping(to, &payload)?.map_err(SendError::from))
    }

    fn pong(&mut self, to: ConnectionId, payload: Vec<u8>) -> wasmtime::Result<Sent> {
        Ok(self.calls.pong(to, &payload)?.map_err(SendError::from))
    }

    fn close(
        &mut self,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) -> wasmtime::Result<()> {
        Ok(self.calls.close(connection, code, reason)?)
    }

    fn abort(&mut self, connection: ConnectionId) -> wasmtime::Result<()> {
        Ok(self.calls.abort(connection)?)
    }

    fn buffered(&mut self, connection: ConnectionId) -> wasmtime::Result<u64> {
        Ok(self.calls.buffered(connection))
    }

    fn want_writable(&mut self, connection: ConnectionId) -> wasmtime::Result<()> {
        Ok(self.calls.want_writable(connection)?)
    }

    fn want_writable_all(&mut self, protocol: Option<String>) -> wasmtime::Result<()> {
        Ok(self.calls.want_writable_all(protocol)?)
    }

    fn set_slow_policy(
        &mut self,
        connection: ConnectionId,
        policy: Option<SlowPolicy>,
    ) -> wasmtime::Result<()> {
        let policy = policy.map(contract::SlowPolicy::from);
        Ok(self.calls.set_slow_policy(connection, policy)?)
    }

    fn dropped(&mut self, connection: ConnectionId) -> wasmtime::Result<u64> {
        Ok(self.calls.dropped(connection))
    }

    fn receive_flow(&mut self, connection: ConnectionId, enabled: bool) -> wasmtime::Result<()> {
        Ok(self.calls.receive_flow(connection, enabled)?)
    }

    fn set_auto_reply(
        &mut self,
        received: Message,
        reply: Option<Message>,
    ) -> wasmtime::Result<Result<(), AutoReplyError>> {
        let set = self
            .calls
            .set_auto_reply(parts(&received), reply.as_ref().map(parts))?;
        Ok(set.map_err(|error| match error {
            contract::AutoReplyError::TooLarge(limit) => AutoReplyError::TooLarge(limit),
            contract::AutoReplyError::Limit => AutoReplyError::Limit,
        }))
    }

    fn request_of(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<Request>> {
        let session = self.calls.registry.get(connection);
        Ok(session.map(|session| Request::from(&session.request())))
    }

    fn protocol(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<String>> {
        Ok(self.calls.protocol(connection))
    }

    fn session(&mut self, connection: ConnectionId) -> wasmtime::Result<Vec<u8>> {
        Ok(self.calls.session(connection))
    }

    fn set_session(&mut self, connection: ConnectionId, data: Vec<u8>) -> wasmtime::Result<Sent> {
        Ok(self
            .calls
            .set_session(connection, data)?
            .map_err(SendError::from))
    }
}

impl From<&contract::Request> for Request {
    fn from(request: &contract::Request) -> Self {
        Self {
            role: match request.role {
                contract::Role::Server => Role::Server,
                contract::Role::Client => Role::Client,
            },
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
