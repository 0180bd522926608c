//! The hand-off of a connection to the worker that has the instance of its handler.

use std::io;
use std::rc::Rc;

use wsrun_proto::ws::deflate;

use super::http::Raw;
use super::upgrade::Upgraded;
use crate::admission::Handshake;
use crate::contract::Request;
use crate::handler::{Handler, Seated, SessionRoom};
use crate::stream::Detached;
use crate::worker::Slot;

/// A connection whose opening handshake is done, without anything of the worker that did it.
pub(crate) struct HandOff {
    stream: Detached,
    early: Vec<u8>,
    request: Request,
    protocol: Option<String>,
    session: Vec<u8>,
    session_room: SessionRoom,
    deflate: Option<deflate::Agreed>,
    slot: Slot,
    /// Until somebody has it.
    handshake: Handshake,
}

impl HandOff {
    pub(super) fn detach(raw: Raw, slot: Slot, handshake: Handshake) -> io::Result<Self> {
        let Raw {
            stream,
            early,
            upgraded,
        } = raw;
        Ok(Self {
            stream: stream.detach()?,
            early,
            request: Rc::unwrap_or_clone(upgraded.request),
            protocol: upgraded.protocol,
            session: upgraded.session,
            session_room: upgraded.session_room,
            deflate: upgraded.deflate,
            slot,
            handshake,
        })
    }

    pub(super) fn attach(self, handler: &Rc<Handler>) -> io::Result<(Raw, Slot, Handshake)> {
        let upgraded = Upgraded {
            handler: Seated::new(Rc::clone(handler)),
            request: Rc::new(self.request),
            protocol: self.protocol,
            session: self.session,
            session_room: self.session_room,
            deflate: self.deflate,
            // It is in the slot.
            slot: None,
        };
        let raw = Raw {
            stream: self.stream.attach()?,
            early: self.early,
            upgraded,
        };
        Ok((raw, self.slot, self.handshake))
    }
}
