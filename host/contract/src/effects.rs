//! What a handler asked for during one callback.
//!
//! The functions that a handler imports check and queue; nothing happens before the callback has returned. Then the effects are
//! applied in order, or dropped when it failed: a callback is all or nothing.

mod asked;
mod effect;

use std::rc::Rc;

use bytes::Bytes;
use wsrun_proto::ws::MessageKind;

pub use self::asked::{Additions, AllAdditions, Asked};
pub use self::effect::{
    CannedMessage, Connect, Effect, FRAME_HEADER_BYTES_MAX, Payload, SetAutoReply,
};
use super::{ConnectionId, ContractBroken, HandlerLimits};

/// The effects of one callback, with the payloads back to back.
pub struct Effects {
    pub list: Vec<Effect>,
    pub data: Vec<u8>,
    /// What was `data`, while it is carried out, if queues share it.
    shared: Option<Bytes>,
    /// What they make of things that the callback asks about; none while there is no such effect.
    asked: Option<Box<Asked>>,
    all_additions: AllAdditions,
    /// The callback decides on a broadcast, and must not make another.
    pub in_filter: bool,
    /// While a call with several messages runs: their connection, and the bytes that it may still be
    /// sent in the same way.
    pub packed: Option<(ConnectionId, usize)>,
    count_max: usize,
    bytes_max: usize,
    /// Bytes of effects beside `data`: names, reasons, session data.
    other_bytes: usize,
    /// Called for each effect that is refused. None in what was taken out.
    on_refused: Option<Box<dyn Fn()>>,
}

impl Effects {
    /// Has room for as many effects as the limits say. `on_refused` is called for each one more.
    pub fn new(
        limits: &HandlerLimits,
        all_additions: AllAdditions,
        on_refused: Box<dyn Fn()>,
    ) -> Self {
        Self {
            all_additions,
            on_refused: Some(on_refused),
            list: Vec::new(),
            data: Vec::new(),
            shared: None,
            asked: None,
            in_filter: false,
            packed: None,
            count_max: limits.contract.effects_max,
            bytes_max: limits.contract.effect_bytes_max,
            other_bytes: 0,
        }
    }

    /// Queues an effect.
    ///
    /// # Errors
    ///
    /// When the callback has asked for more than it may: a broken contract, which traps.
    #[inline]
    pub fn push(&mut self, effect: Effect) -> Result<(), ContractBroken> {
        let bytes = match &effect {
            Effect::Close { reason, .. } => reason.len(),
            Effect::SetSession { data, .. } => data.len(),
            Effect::Subscribe { topic, .. }
            | Effect::Unsubscribe { topic, .. }
            | Effect::SetTopicPolicy { topic, .. }
            | Effect::Publish { topic, .. } => topic.len(),
            Effect::Broadcast { protocol, .. } | Effect::WantWritableAll { protocol } => {
                protocol.as_ref().map_or(0, String::len)
            }
            Effect::Connect(connect) => connect.bytes(),
            Effect::SetAutoReply(set) => {
                let reply = set.reply.as_ref().map_or(0, |reply| reply.bytes.len());
                set.received.bytes.len() + reply
            }
            Effect::Send { .. }
            | Effect::SendPacked { .. }
            | Effect::SendChunk { .. }
            | Effect::Ping { .. }
            | Effect::Pong { .. }
            | Effect::Abort { .. }
            | Effect::WantWritable { .. }
            | Effect::ReceiveFlow { .. }
            | Effect::SetPolicy { .. }
            | Effect::SetTimer { .. }
            | Effect::CancelTimer { .. } => 0,
        };
        self.other_bytes += bytes;
        if self.list.len() >= self.count_max || self.data.len() + self.other_bytes > self.bytes_max
        {
            if let Some(on_refused) = &self.on_refused {
                on_refused();
            }
            return Err(ContractBroken(format!(
                "one callback may queue at most {} effects with {} bytes",
                self.count_max, self.bytes_max
            )));
        }
        if Asked::concerns(&effect) {
            let all = &self.all_additions;
            let asked = self
                .asked
                .get_or_insert_with(|| Box::new(Asked::new(Rc::clone(all))));
            asked.note(&effect, self.list.len());
        }
        self.list.push(effect);
        Ok(())
    }

    /// What the effects make of things that the callback asks about; none where no effect touches any.
    #[inline]
    pub fn asked(&self) -> Option<&Asked> {
        self.asked.as_deref()
    }

    #[inline]
    pub fn asked_mut(&mut self) -> Option<&mut Asked> {
        self.asked.as_deref_mut()
    }

    /// Session data that a connection will have, if an effect sets it.
    #[inline]
    pub fn session_data(&self, connection: ConnectionId) -> Option<&[u8]> {
        let position = self.asked()?.session_data(connection)?;
        if let Some(Effect::SetSession { data, .. }) = self.list.get(position) {
            return Some(data);
        }
        None
    }

    /// Copies a payload in.
    #[inline]
    pub fn payload(&mut self, kind: MessageKind, bytes: &[u8]) -> Payload {
        let start = self.data.len();
        self.data.extend_from_slice(bytes);
        Payload {
            kind,
            start,
            end: self.data.len(),
        }
    }

    /// What was appended to [`Effects::data`] since `start`.
    #[inline]
    pub fn tail(&self, kind: MessageKind, start: usize) -> Payload {
        Payload {
            kind,
            start,
            end: self.data.len(),
        }
    }

    #[inline]
    pub fn bytes(&self, payload: Payload) -> &[u8] {
        let data = self.shared.as_deref().unwrap_or(&self.data);
        &data[payload.start..payload.end]
    }

    /// Shares the payloads with the queues of connections where one that is large is most of them: so it is not copied there.
    #[inline]
    pub fn share(&mut self) {
        let shares = |effect: &Effect| {
            matches!(effect, Effect::Send { .. })
                && effect.sent_bytes() >= SHARED_BYTES_MIN
                // What is shared is kept with all the room that its buffer has.
                && effect.sent_bytes() >= self.data.capacity() / 2
        };
        if self.data.len() >= SHARED_BYTES_MIN && self.list.iter().any(shares) {
            self.shared = Some(Bytes::from(std::mem::take(&mut self.data)));
        }
    }

    /// A payload that is shared, unless it would keep much more than itself.
    #[inline]
    pub fn shared_bytes(&self, payload: Payload) -> Option<Bytes> {
        let shared = self.shared.as_ref()?;
        let is_most = payload.end - payload.start >= shared.len() / 2;
        is_most.then(|| shared.slice(payload.start..payload.end))
    }

    /// Takes everything out to be carried out, and leaves the room for more.
    #[inline]
    pub fn take(&mut self) -> Self {
        Self {
            list: std::mem::take(&mut self.list),
            data: std::mem::take(&mut self.data),
            shared: None,
            asked: self.asked.take(),
            all_additions: Rc::clone(&self.all_additions),
            in_filter: false,
            packed: None,
            count_max: self.count_max,
            bytes_max: self.bytes_max,
            other_bytes: std::mem::take(&mut self.other_bytes),
            on_refused: None,
        }
    }

    /// Returns true when nothing was asked for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.data.is_empty()
    }

    /// Gives the buffers of carried out effects back, unless there are new ones.
    #[inline]
    pub fn reuse(&mut self, mut done: Self) {
        if self.is_empty() {
            done.clear();
            self.list = done.list;
            self.data = done.data;
            self.asked = done.asked;
        }
    }

    pub fn clear(&mut self) {
        self.list.clear();
        if let Some(asked) = &mut self.asked {
            asked.clear();
        }
        self.data.clear();
        self.shared = None;
        self.other_bytes = 0;
        // One large callback must not hold its memory for ever.
        self.data.shrink_to(BYTES_KEPT);
        self.list.shrink_to(EFFECTS_KEPT);
    }
}

const BYTES_KEPT: usize = 256 * 1024;
/// From this size on a copy costs more than another piece of a write.
const SHARED_BYTES_MIN: usize = 64 * 1024;
const EFFECTS_KEPT: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(sizes: &[usize]) -> (Effects, Vec<Payload>) {
        let mut effects = Effects::new(&HandlerLimits::default(), Rc::default(), Box::new(|| {}));
        let payloads = sizes
            .iter()
            .map(|&size| {
                let payload = effects.payload(MessageKind::Binary, &vec![size as u8; size]);
                let sent = effects.push(Effect::Send { to: 1, payload });
                sent.expect("there is room");
                payload
            })
            .collect();
        effects.share();
        (effects, payloads)
    }

    #[test]
    fn large_message_is_shared_and_what_is_beside_it_is_not() {
        let (mut effects, payloads) = effects(&[10, 100_000]);
        assert!(effects.shared_bytes(payloads[0]).is_none());
        assert_eq!(effects.bytes(payloads[0]), [10; 10]);
        let shared = effects.shared_bytes(payloads[1]).expect("it is large");
        assert!(shared == effects.bytes(payloads[1]));
        effects.clear();
        assert!(effects.shared.is_none() && effects.data.is_empty());
    }

    #[test]
    fn message_in_a_buffer_with_much_more_room_is_not_shared() {
        let mut effects = Effects::new(&HandlerLimits::default(), Rc::default(), Box::new(|| {}));
        effects.data.reserve_exact(BYTES_KEPT);
        let payload = effects.payload(MessageKind::Binary, &[1; 70_000]);
        let sent = effects.push(Effect::Send { to: 1, payload });
        sent.expect("there is room");
        effects.share();
        assert!(effects.shared_bytes(payload).is_none());
        assert_eq!(effects.bytes(payload).len(), 70_000);
    }

    #[test]
    fn message_that_would_keep_much_more_than_itself_is_not_shared() {
        for sizes in [&[100_000, 70_000, 70_000][..], &[60_000], &[10, 10]] {
            let (effects, payloads) = effects(sizes);
            for payload in payloads {
                assert!(effects.shared_bytes(payload).is_none());
            }
        }
    }
}
