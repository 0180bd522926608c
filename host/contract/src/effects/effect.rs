//! One thing that a callback asks for.

use std::time::Duration;

use wsrun_proto::ws::MessageKind;

use super::super::{ConnectOptions, ConnectionId, SlowPolicy, TimerId};

/// What a frame is counted with beside its payload: the longest header that this side sends (RFC 6455, 5.2).
pub const FRAME_HEADER_BYTES_MAX: usize = 10;

/// Something that a handler asked for. It happens when the callback has returned.
#[derive(Debug)]
pub enum Effect {
    Send {
        to: ConnectionId,
        payload: Payload,
    },
    /// Several messages, packed.
    SendPacked {
        to: ConnectionId,
        payload: Payload,
    },
    /// A part of a message.
    SendChunk {
        to: ConnectionId,
        payload: Payload,
        fin: bool,
    },
    Ping {
        to: ConnectionId,
        payload: Payload,
    },
    Pong {
        to: ConnectionId,
        payload: Payload,
    },
    Close {
        connection: ConnectionId,
        code: u16,
        reason: String,
    },
    Abort {
        connection: ConnectionId,
    },
    WantWritable {
        connection: ConnectionId,
    },
    WantWritableAll {
        protocol: Option<String>,
    },
    ReceiveFlow {
        connection: ConnectionId,
        enabled: bool,
    },
    SetPolicy {
        connection: ConnectionId,
        policy: Option<SlowPolicy>,
    },
    SetSession {
        connection: ConnectionId,
        data: Vec<u8>,
    },
    Subscribe {
        connection: ConnectionId,
        topic: String,
    },
    Unsubscribe {
        connection: ConnectionId,
        topic: String,
    },
    Publish {
        topic: String,
        payload: Payload,
        except: Option<ConnectionId>,
    },
    Broadcast {
        protocol: Option<String>,
        payload: Payload,
    },
    /// Boxed: it is large and rare.
    SetAutoReply(Box<SetAutoReply>),
    SetTopicPolicy {
        topic: String,
        policy: Option<SlowPolicy>,
    },
    /// Boxed: it is large and rare.
    Connect(Box<Connect>),
    SetTimer {
        timer: TimerId,
        after: Duration,
        tag: u64,
        connection: Option<ConnectionId>,
    },
    CancelTimer {
        timer: TimerId,
    },
}

impl Effect {
    /// The bytes that it gives to one connection.
    pub fn sent_bytes(&self) -> usize {
        if let Self::Send { payload, .. }
        | Self::SendPacked { payload, .. }
        | Self::SendChunk { payload, .. } = self
        {
            return payload.byte_len();
        }
        0
    }
}

/// An automatic reply, or the end of one.
#[derive(Debug)]
pub struct SetAutoReply {
    pub received: CannedMessage,
    pub reply: Option<CannedMessage>,
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannedMessage {
    pub kind: MessageKind,
    pub bytes: Box<[u8]>,
}

impl CannedMessage {
    #[inline]
    pub fn is(&self, kind: MessageKind, bytes: &[u8]) -> bool {
        self.kind == kind && *self.bytes == *bytes
    }
}

/// A connection to be made.
#[derive(Debug)]
pub struct Connect {
    pub connection: ConnectionId,
    pub options: ConnectOptions,
}

impl Connect {
    /// Returns the bytes that it counts with, beside the payloads.
    pub(super) fn bytes(&self) -> usize {
        let ConnectOptions {
            url,
            protocols,
            host,
            origin,
            headers,
            session,
            ..
        } = &self.options;
        let headers = headers.iter().map(|(name, value)| name.len() + value.len());
        url.len()
            + session.len()
            + protocols.iter().map(String::len).sum::<usize>()
            + host.as_ref().map_or(0, String::len)
            + origin.as_ref().map_or(0, String::len)
            + headers.sum::<usize>()
    }
}

/// A range of [`Effects::data`](super::Effects::data).
#[derive(Clone, Copy, Debug)]
pub struct Payload {
    pub kind: MessageKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Payload {
    /// Returns the length in bytes.
    #[inline]
    pub fn byte_len(self) -> usize {
        self.end - self.start
    }
}
