//! The hand-off of a connection to the worker that has the instance of its handler.

use std::io;
use std::rc::Rc;

use wsrun_proto::ws::deflate;

use super::upgraded::{Raw, Upgraded, begin};
use wsrun_contract::Request;
use wsrun_metrics::seldom::Seldom;
use wsrun_net::stream::Detached;
use wsrun_runtime::admission::Handshake;
use wsrun_runtime::admission::Slot;
use wsrun_runtime::handler::{HandOff, Handler, Seated};
use wsrun_runtime::usage::SessionRoom;

/// A connection whose opening handshake is done, without anything of the worker that did it.
struct Parts {
    stream: Detached,
    early: Vec<u8>,
    request: Request,
    protocol: Option<String>,
    session: Vec<u8>,
    session_room: SessionRoom,
    deflate: Option<deflate::Agreed>,
    slot: Slot,
    /// Held until a worker has the connection.
    handshake: Handshake,
}

/// Takes a connection out of this worker, to be handed over to the one that has the instance.
///
/// # Errors
///
/// Fails when the runtime does not let go of the socket.
pub(super) fn detach(raw: Raw, slot: Slot, handshake: Handshake) -> io::Result<HandOff> {
    let Raw {
        stream,
        early,
        upgraded,
    } = raw;
    let parts = Parts {
        stream: stream.detach()?,
        early,
        request: Rc::unwrap_or_clone(upgraded.request),
        protocol: upgraded.protocol,
        session: upgraded.session,
        session_room: upgraded.session_room,
        deflate: upgraded.deflate,
        slot,
        handshake,
    };
    Ok(Box::new(move |handler| accept_hand_off(handler, parts)))
}

/// Serves a connection that another worker has accepted.
fn accept_hand_off(handler: &Rc<Handler>, parts: Parts) {
    match parts.attach(handler) {
        Ok((raw, slot, handshake)) => begin(handler.worker(), raw, slot, handshake),
        Err(error) => note_lost(&error),
    }
}

impl Parts {
    /// Makes the connection part of this worker.
    fn attach(self, handler: &Rc<Handler>) -> io::Result<(Raw, Slot, Handshake)> {
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

/// Logs that a connection could not be handed over.
pub(super) fn note_lost(error: &io::Error) {
    static LOST: Seldom = Seldom::new();
    if let Some(left_out) = LOST.take() {
        tracing::warn!(
            left_out,
            "a connection was lost on its way between workers: {error}"
        );
    }
}
