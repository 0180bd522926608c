//! A connection whose opening handshake was just answered.

use std::rc::Rc;

use wsrun_proto::ws::{self, Role, deflate};

use super::drive::drive;
use super::ws_config::ws_config;
use wsrun_contract::Request;
use wsrun_net::stream::Stream;
use wsrun_os::clock;
use wsrun_runtime::admission::{HandlerSlot, Handshake};
use wsrun_runtime::admission::{Held, Slot};
use wsrun_runtime::handler::Seated;
use wsrun_runtime::session::Session;
use wsrun_runtime::usage::SessionRoom;
use wsrun_runtime::worker::Worker;

/// A handshake that was answered with 101.
pub(super) struct Upgraded {
    pub(super) handler: Seated,
    pub(super) request: Rc<Request>,
    pub(super) protocol: Option<String>,
    pub(super) session: Vec<u8>,
    pub(super) session_room: SessionRoom,
    pub(super) deflate: Option<deflate::Agreed>,
    /// One of `--max-handler-connections`, where those are limited.
    pub(super) slot: Option<HandlerSlot>,
}

/// What is left of an HTTP connection that was upgraded.
pub(super) struct Raw {
    pub(super) stream: Stream,
    /// What the client sent behind its request: frames.
    pub(super) early: Vec<u8>,
    pub(super) upgraded: Upgraded,
}

/// Makes the session of a connection, notifies the handler, and starts the task.
pub(super) fn begin(worker: &Rc<Worker>, raw: Raw, mut slot: Slot, handshake: Handshake) {
    let Raw {
        stream,
        early,
        upgraded,
    } = raw;
    if upgraded.slot.is_some() {
        slot.hold_handler(upgraded.slot);
    }
    let handler = upgraded.handler.take();
    let config = ws_config(worker, &handler, upgraded.deflate);
    let connection = ws::Connection::new(clock::now(), Role::Server, config);
    let session = Rc::new(Session::new(
        worker.next_connection_id(),
        &upgraded.request,
        upgraded.protocol,
        Rc::clone(worker),
        upgraded.session,
        connection,
        Box::new(stream),
        Held::Inbound(slot),
    ));
    tracing::debug!(
        handler = %handler.registry.name(), connection = session.id, peer = %upgraded.request.peer, "connection opened"
    );
    handler.own(session.id);
    handler.registry.insert(Rc::clone(&session));
    // Its session data is counted with it from here on.
    drop(upgraded.session_room);
    drop(handshake);
    handler.push(|queue| queue.push_opened(Rc::clone(&session)));
    worker.flush();
    // A task of its own: that of the beginning has the size of a handshake.
    tokio::task::spawn_local(drive(session, handler, Rc::clone(worker), early));
}
