#![doc = include_str!("../README.md")]

pub mod auto_reply;
#[doc(hidden)]
pub mod bindings;
pub mod client;
pub mod close_code;
mod connection;
mod error;
mod export;
mod handler;
mod handshake;
mod headers;
pub mod host;
mod http;
mod message;
mod packed;
#[cfg(feature = "session")]
mod session;
pub mod timers;
pub mod topics;

pub use crate::bindings::handler::wsrun::websocket::types::{
    CloseInfo, ClosedBy, Request, Role, SlowPolicy,
};
pub use crate::close_code::CloseCode;
pub use crate::connection::Connection;
#[cfg(feature = "session")]
pub use crate::error::SessionError;
pub use crate::error::{ChunkError, PublishError, SendError, SubscribeError, TimerError};
pub use crate::handler::Handler;
pub use crate::handshake::{Accept, Refusal};
pub use crate::http::{HttpRequest, HttpResponse};
pub use crate::message::{Chunk, Message, MessageKind, MessageRef};
pub use crate::timers::Timer;

/// Exports an implementation of [`Handler`] from the component. One per crate.
///
/// It goes on `impl Handler for Type { .. }`, where `Type: Default`. It looks at which methods the block has, and exports the optional
/// interfaces whose methods are there and no others: the host then never calls what is not implemented. A method under `#[cfg(..)]` is
/// exported under the same condition.
///
/// ```
/// use wsrun_guest::{Connection, Handler, Message, handler};
///
/// #[derive(Default)]
/// struct Counter {
///     messages: u64,
/// }
///
/// #[handler]
/// impl Handler for Counter {
///     fn received(&mut self, connection: Connection, _message: Message) {
///         self.messages += 1;
///         let _ = connection.send(&self.messages.to_string());
///     }
/// }
/// ```
///
/// The exports are unsafe code in the expansion, which rustc does not count as the crate's own: `#![forbid(unsafe_code)]` stays possible.
pub use wsrun_guest_macros::handler;

/// What `#[handler]` expands to; not part of the API.
#[doc(hidden)]
pub mod __private {
    pub use crate::export::*;
}
