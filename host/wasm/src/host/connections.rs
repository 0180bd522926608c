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
use super::super::state::{Calls, GuestState};
use wsrun_contract::effects::Effect;
use wsrun_contract::{self as contract, ConnectionId};
use wsrun_metrics::panics::plant;

/// Defines `send` so that the message is copied once, out of the handler's memory.
pub(super) fn add_send(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/connections@0.1.0")?
        .func_wrap(
            "send",
            |mut store: StoreContextMut<'_, GuestState>,
             (to, message): (ConnectionId, MessageOut)| {
                // The payloads leave the store's data while the message, which borrows the store, is copied into them.
                let calls: &mut Calls = &mut store.data_mut().called().calls;
                let mut data = std::mem::take(&mut calls.effects.data);
                let start = data.len();
                // What is refused is not copied: it may be all of the handler's memory.
                let mut copy = |bytes: &[u8]| {
                    let calls: &Calls = &store.data().calls;
                    let admitted = calls.host.admit(to, bytes.len());
                    admitted.map(|()| data.extend_from_slice(bytes))
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
                calls.effects.data = data;
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
                let mut data = std::mem::take(&mut calls.effects.data);
                let start = data.len();
                let room = calls.effects.packed.map_or(0, |(_, room)| room);
                let bytes = messages.as_le_slice(&store);
                // What is refused is not copied.
                let fits = bytes.len() <= room;
                if fits {
                    data.extend_from_slice(bytes);
                }
                let Calls { host, effects } = &mut *store.data_mut().calls;
                effects.data = data;
                Ok(host.send_packed(effects, to, start, fits)?)
            },
        )
}

impl packed_send::Host for GuestState {
    fn send(&mut self, to: ConnectionId, messages: Vec<u8>) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        let start = effects.data.len();
        effects.data.extend(messages);
        Ok(host.send_packed(effects, to, start, true)?)
    }
}

/// Defines `send-chunk` in the same way.
pub(super) fn add_send_chunk(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker
        .instance("wsrun:websocket/connections@0.1.0")?
        .func_wrap(
            "send-chunk",
            |mut store: StoreContextMut<'_, GuestState>,
             (to, text, payload, fin): (ConnectionId, bool, WasmList<u8>, bool)| {
                let calls: &mut Calls = &mut store.data_mut().called().calls;
                let mut data = std::mem::take(&mut calls.effects.data);
                let start = data.len();
                let kind = if text {
                    MessageKind::Text
                } else {
                    MessageKind::Binary
                };
                let bytes = payload.as_le_slice(&store);
                let stored: &Calls = &store.data().calls;
                let admitted = stored.host.admit_chunk(to, kind, bytes, fin);
                let copied = admitted.map(|()| data.extend_from_slice(bytes));
                let calls: &mut Calls = &mut store.data_mut().calls;
                calls.effects.data = data;
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
                let admitted = calls.host.admit_session(connection, bytes.len());
                let set = match admitted.map(|()| bytes.to_vec()) {
                    Ok(data) => {
                        let effects = &mut store.data_mut().calls.effects;
                        effects.push(Effect::SetSession { connection, data })?;
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
        let Calls { host, effects } = &mut *self.calls;
        let (kind, bytes) = parts(&message);
        Ok(host
            .send(effects, to, kind, bytes)?
            .map_err(SendError::from))
    }

    fn send_chunk(
        &mut self,
        to: ConnectionId,
        text: bool,
        data: Vec<u8>,
        fin: bool,
    ) -> wasmtime::Result<Result<(), ChunkError>> {
        let Calls { host, effects } = &mut *self.calls;
        let kind = if text {
            MessageKind::Text
        } else {
            MessageKind::Binary
        };
        let sent = host.send_chunk(effects, to, kind, &data, fin)?;
        Ok(sent.map_err(ChunkError::from))
    }

    fn ping(&mut self, to: ConnectionId, payload: Vec<u8>) -> wasmtime::Result<Sent> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.ping(effects, to, &payload)?.map_err(SendError::from))
    }

    fn pong(&mut self, to: ConnectionId, payload: Vec<u8>) -> wasmtime::Result<Sent> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.pong(effects, to, &payload)?.map_err(SendError::from))
    }

    fn close(
        &mut self,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.close(effects, connection, code, reason)?)
    }

    fn abort(&mut self, connection: ConnectionId) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.abort(effects, connection)?)
    }

    fn buffered(&mut self, connection: ConnectionId) -> wasmtime::Result<u64> {
        Ok(self.calls.host.buffered(connection))
    }

    fn want_writable(&mut self, connection: ConnectionId) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.want_writable(effects, connection)?)
    }

    fn want_writable_all(&mut self, protocol: Option<String>) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.want_writable_all(effects, protocol)?)
    }

    fn set_slow_policy(
        &mut self,
        connection: ConnectionId,
        policy: Option<SlowPolicy>,
    ) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        let policy = policy.map(contract::SlowPolicy::from);
        Ok(host.set_slow_policy(effects, connection, policy)?)
    }

    fn dropped(&mut self, connection: ConnectionId) -> wasmtime::Result<u64> {
        Ok(self.calls.host.dropped(connection))
    }

    fn receive_flow(&mut self, connection: ConnectionId, enabled: bool) -> wasmtime::Result<()> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host.receive_flow(effects, connection, enabled)?)
    }

    fn set_auto_reply(
        &mut self,
        received: Message,
        reply: Option<Message>,
    ) -> wasmtime::Result<Result<(), AutoReplyError>> {
        let Calls { host, effects } = &mut *self.calls;
        let set = host.set_auto_reply(effects, parts(&received), reply.as_ref().map(parts))?;
        Ok(set.map_err(|error| match error {
            contract::AutoReplyError::TooLarge(limit) => AutoReplyError::TooLarge(limit),
            contract::AutoReplyError::Limit => AutoReplyError::Limit,
        }))
    }

    fn request_of(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<Request>> {
        let request = self.calls.host.request(connection);
        Ok(request.as_ref().map(Request::from))
    }

    fn protocol(&mut self, connection: ConnectionId) -> wasmtime::Result<Option<String>> {
        Ok(self.calls.host.protocol(connection))
    }

    fn session(&mut self, connection: ConnectionId) -> wasmtime::Result<Vec<u8>> {
        Ok(self.calls.host.session(&self.calls.effects, connection))
    }

    fn set_session(&mut self, connection: ConnectionId, data: Vec<u8>) -> wasmtime::Result<Sent> {
        let Calls { host, effects } = &mut *self.calls;
        Ok(host
            .set_session(effects, connection, data)?
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
