//! Fixed answers to fixed messages, given without the handler.

use wsrun_proto::ws::MessageKind;

use wsrun_contract::effects::{CannedMessage, SetAutoReply};

/// How many a handler may have on a worker: they are compared with every message.
const REPLIES_MAX: usize = 16;

/// A handler's automatic replies.
#[derive(Debug, Default)]
pub struct AutoReplies(Vec<(CannedMessage, CannedMessage)>);

impl AutoReplies {
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer to a message, where it has one.
    #[inline]
    pub fn to(&self, kind: MessageKind, bytes: &[u8]) -> Option<&CannedMessage> {
        let found = self.0.iter().find(|(received, _)| received.is(kind, bytes));
        found.map(|(_, reply)| reply)
    }

    /// Whether there is room for a reply to this message, when `queued` more are set.
    #[inline]
    pub fn takes(&self, kind: MessageKind, bytes: &[u8], queued: usize) -> bool {
        self.to(kind, bytes).is_some() || self.0.len() + queued < REPLIES_MAX
    }

    #[inline]
    pub fn set(&mut self, set: &SetAutoReply) {
        self.0.retain(|(received, _)| *received != set.received);
        if let Some(reply) = &set.reply {
            self.0.push((set.received.clone(), reply.clone()));
        }
    }
}
