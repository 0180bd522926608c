//! What `#[handler]` expands to: the exports of the bindings, implemented for every [`Exported`].

use std::cell::RefCell;

use crate::bindings::handler::exports::wsrun::websocket::handler;
use crate::bindings::handshake::exports::wsrun::websocket::handshake;
use crate::bindings::lifecycle::exports::wsrun::websocket::lifecycle;
use crate::bindings::pong::exports::wsrun::websocket::pong;
use crate::bindings::timer::exports::wsrun::websocket::timer_handler;
use crate::bindings::writable::exports::wsrun::websocket::writable;
use crate::{Connection, Handler, Timer};

pub use crate::bindings::handler::export_handler;
pub use crate::bindings::handshake::export_handshake;
pub use crate::bindings::lifecycle::export_lifecycle;
pub use crate::bindings::pong::export_pong;
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
}
