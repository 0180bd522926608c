//! What `#[handler]` expands to: the exports of the bindings, implemented for every [`Exported`].

use std::cell::RefCell;
use std::time::Duration;

use crate::bindings::broadcast_filter::exports::wsrun::websocket::broadcast_filter;
use crate::bindings::chunks::exports::wsrun::websocket::chunks;
use crate::bindings::handler::exports::wsrun::websocket::handler;
use crate::bindings::handshake::exports::wsrun::websocket::handshake;
use crate::bindings::http::exports::wsrun::websocket::http;
use crate::bindings::lifecycle::exports::wsrun::websocket::lifecycle;
use crate::bindings::network_filter::exports::wsrun::websocket::network_filter;
use crate::bindings::packed::exports::wsrun::websocket::packed;
use crate::bindings::pong::exports::wsrun::websocket::pong;
use crate::bindings::reconnection::exports::wsrun::websocket::reconnection;
use crate::bindings::timer::exports::wsrun::websocket::timer_handler;
use crate::bindings::writable::exports::wsrun::websocket::writable;
use crate::{Connection, Handler, HttpRequest, Timer};

pub use crate::bindings::broadcast_filter::export_broadcast_filter;
pub use crate::bindings::chunks::export_chunks;
pub use crate::bindings::handler::export_handler;
pub use crate::bindings::handshake::export_handshake;
pub use crate::bindings::http::export_http;
pub use crate::bindings::lifecycle::export_lifecycle;
pub use crate::bindings::network_filter::export_network_filter;
pub use crate::bindings::packed::export_packed;
pub use crate::bindings::pong::export_pong;
pub use crate::bindings::reconnection::export_reconnection;
pub use crate::bindings::timer::export_timer;
pub use crate::bindings::writable::export_writable;

/// The state of a handler, made by `Default` at the first callback.
#[derive(Debug)]
pub struct State<H>(RefCell<Option<H>>);

impl<H> State<H> {
    #[expect(
        clippy::new_without_default,
        reason = "it is made in a const, where Default cannot be called"
    )]
    /// No state yet.
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Calls with the state.
    pub fn with<R>(&self, call: impl FnOnce(&mut H) -> R) -> R
    where
        H: Default,
    {
        call(self.0.borrow_mut().get_or_insert_with(H::default))
    }
}

/// A type that stands for a handler in the export macros.
pub trait Exported {
    /// The handler.
    type Handler: Handler;

    /// Calls with the handler of this instance.
    fn with<R>(call: impl FnOnce(&mut Self::Handler) -> R) -> R;
}

impl<E: Exported> handler::Guest for E {
    fn opened(connection: u64) {
        E::with(|handler| handler.opened(Connection::from_id(connection)));
    }

    fn received(connection: u64, message: handler::MessageResult) {
        E::with(|handler| handler.received(Connection::from_id(connection), message.into()));
    }

    fn closed(connection: u64, info: handler::CloseInfo) {
        E::with(|handler| handler.closed(Connection::from_id(connection), info));
    }
}

impl<E: Exported> packed::Guest for E {
    fn received(connection: u64, messages: Vec<u8>, room: u32) {
        let connection = Connection::from_id(connection);
        crate::packed::each(connection, &messages, room, |message| {
            E::with(|handler| handler.received(connection, message));
        });
    }
}

impl<E: Exported> handshake::Guest for E {
    fn requested(request: handshake::Request) -> Result<handshake::Acceptance, handshake::Refusal> {
        match E::with(|handler| handler.handshake(request)) {
            Ok(accept) => Ok(accept.into_acceptance()),
            Err(refusal) => Err(refusal.into_refusal()),
        }
    }
}

impl<E: Exported> writable::Guest for E {
    fn writable(connection: u64) {
        E::with(|handler| handler.writable(Connection::from_id(connection)));
    }
}

impl<E: Exported> chunks::Guest for E {
    fn received_chunk(connection: u64, chunk: chunks::Chunk) {
        E::with(|handler| handler.received_chunk(Connection::from_id(connection), chunk.into()));
    }
}

impl<E: Exported> broadcast_filter::Guest for E {
    fn wanted(connection: u64, message: handler::MessageResult) -> bool {
        E::with(|handler| handler.wanted(Connection::from_id(connection), message.into()))
    }
}

impl<E: Exported> network_filter::Guest for E {
    fn accepts(peer: String, local: String) -> bool {
        E::with(|handler| handler.accepts(&peer, &local))
    }
}

impl<E: Exported> http::Guest for E {
    fn requested(method: String, request: http::Request, body: Vec<u8>) -> http::Response {
        let request = HttpRequest {
            method,
            request,
            body,
        };
        E::with(|handler| handler.http(request)).into_response()
    }
}

impl<E: Exported> reconnection::Guest for E {
    fn lost(connection: u64, info: handler::CloseInfo, attempt: u32, after_ms: u32) {
        let after = Duration::from_millis(after_ms.into());
        E::with(|handler| handler.lost(Connection::from_id(connection), info, attempt, after));
    }

    fn restored(connection: u64) {
        E::with(|handler| handler.restored(Connection::from_id(connection)));
    }
}

impl<E: Exported> pong::Guest for E {
    fn pong(connection: u64, payload: Vec<u8>) {
        E::with(|handler| handler.pong(Connection::from_id(connection), payload));
    }
}

impl<E: Exported> timer_handler::Guest for E {
    fn fired(timer: u64, tag: u64, connection: Option<u64>) {
        let connection = connection.map(Connection::from_id);
        E::with(|handler| handler.timer(Timer::from_id(timer), tag, connection));
    }
}

impl<E: Exported> lifecycle::Guest for E {
    fn started() {
        E::with(Handler::started);
    }

    fn resumed(connection: u64) {
        E::with(|handler| handler.resumed(Connection::from_id(connection)));
    }

    fn save() -> Vec<u8> {
        E::with(Handler::save)
    }

    fn restore(state: Vec<u8>) -> Result<(), String> {
        E::with(|handler| handler.restore(state))
    }

    fn draining(deadline_ms: u32) {
        E::with(|handler| handler.draining(Duration::from_millis(deadline_ms.into())));
    }
}
