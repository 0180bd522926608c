//! Messages that go to many connections, at one of them: what its policy for slow readers makes of them.

use std::rc::Rc;

use wsrun_proto::ws::{Prepared, SendError};

use super::{DROPPABLE_OUTPUT_BYTES, Session};
use crate::backlog::Published;
use wsrun_contract::SlowPolicy;

/// What became of a published message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fanned {
    /// It is queued, or the connection is closed.
    Done,
    /// It, or as many older ones, were left out.
    Dropped(u64),
    /// There is no room, and the connection is to be closed.
    Full(SendError),
}

impl Session {
    /// Sends a message that goes to others as well. `policy` is what the connection itself, or else the topic, says about the lack of room.
    pub fn fan(
        self: &Rc<Self>,
        message: &mut Prepared,
        published: &Published,
        policy: Option<SlowPolicy>,
    ) -> Fanned {
        // What a running callback has only asked for has no effect yet, and may never have one.
        if !self.is_open() {
            return Fanned::Done;
        }
        let fanned = match policy {
            Some(SlowPolicy::DropOldest | SlowPolicy::LatestOnly) => {
                self.fan_droppable(message, published, policy == Some(SlowPolicy::LatestOnly))
            }
            Some(SlowPolicy::Wait) => {
                // It was promised to be taken.
                self.fan_now(message, false).unwrap_or_else(|_| {
                    let _ = self.send_admitted(message.kind(), &message.shared_payload());
                    Fanned::Done
                })
            }
            Some(SlowPolicy::DropNewest) => {
                let fanned = self.fan_now(message, true);
                fanned.unwrap_or(Fanned::Dropped(1))
            }
            // It is not to pay for what others hold: who holds most gives way.
            Some(SlowPolicy::Disconnect(_)) | None => {
                self.fan_now(message, false).unwrap_or_else(Fanned::Full)
            }
        };
        if let Fanned::Dropped(count) = fanned {
            self.count_dropped(count);
        }
        fanned
    }

    /// `yields`: not if the connections of the handler together hold too much.
    fn fan_now(self: &Rc<Self>, message: &mut Prepared, yields: bool) -> Result<Fanned, SendError> {
        let takes = |length: usize| {
            let queued = self.buffered();
            !yields || self.handler_takes(length, queued)
        };
        if self.must_wait.get() {
            let payload = message.shared_payload();
            let has_room = |length: usize| takes(length) && self.fits(length, self.buffered());
            if !has_room(payload.len()) {
                self.flush();
            }
            if !has_room(payload.len()) {
                let queued = self.buffered();
                return Err(SendError::QueueFull { queued });
            }
            self.count_sent();
            let _ = self.send_later(message.kind(), payload, None);
            return Ok(Fanned::Done);
        }
        let length = message.payload().len();
        if !takes(length) {
            self.flush();
        }
        if !takes(length) {
            let queued = self.buffered();
            return Err(SendError::QueueFull { queued });
        }
        let mut sent = self.send_prepared(message);
        if matches!(sent, Err(SendError::QueueFull { .. })) {
            // It may be this turn that has not written yet, and not the peer that does not read.
            self.flush();
            sent = self.send_prepared(message);
        }
        match sent {
            Ok(()) => {
                self.count_sent();
                Ok(Fanned::Done)
            }
            Err(SendError::Closed) => Ok(Fanned::Done),
            Err(error) => Err(error),
        }
    }

    fn fan_droppable(
        self: &Rc<Self>,
        message: &mut Prepared,
        published: &Published,
        latest_only: bool,
    ) -> Fanned {
        let is_low = || self.connection.borrow().output().len() < DROPPABLE_OUTPUT_BYTES;
        if !self.must_wait.get() && !is_low() {
            self.flush();
        }
        let takes = |length: usize| self.handler_takes(length, self.buffered());
        if !self.must_wait.get() && is_low() && takes(message.payload().len()) {
            let mut sent = self.send_prepared(message);
            if matches!(sent, Err(SendError::QueueFull { .. })) {
                self.flush();
                sent = self.send_prepared(message);
            }
            match sent {
                Ok(()) => {
                    self.count_sent();
                    return Fanned::Done;
                }
                Err(SendError::Closed) => return Fanned::Done,
                Err(SendError::QueueFull { .. }) => {}
                Err(_) => return Fanned::Dropped(1),
            }
        }
        let payload = message.shared_payload();
        let mut backlog = self.backlog.borrow_mut();
        let output = self.connection.borrow().output().len() + self.reserved.get();
        let room = self
            .worker
            .settings
            .limits
            .queued_bytes_max
            .saturating_sub(output);
        let shared = self.usage.get().map_or(usize::MAX, |usage| usage.room());
        let room = match output + backlog.bytes() {
            0 => room,
            _ => room.min(shared.saturating_add(backlog.bytes())),
        };
        if backlog.kept_bytes() + payload.len() > room {
            // What stands before it was sent to this connection alone: dropping the others would not help.
            return Fanned::Dropped(1);
        }
        let mut dropped = 0;
        if latest_only {
            dropped += backlog.replace(published);
        }
        dropped += backlog.make_room(payload.len(), room);
        drop(backlog);
        self.count_sent();
        let _ = self.send_later(message.kind(), payload, Some(published.clone()));
        if dropped > 0 {
            Fanned::Dropped(dropped)
        } else {
            Fanned::Done
        }
    }

    fn send_prepared(self: &Rc<Self>, message: &mut Prepared) -> Result<(), SendError> {
        self.queue(|connection, scratch| connection.send_prepared(message, scratch))
    }
}
