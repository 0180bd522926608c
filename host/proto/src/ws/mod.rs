//! WebSocket connections: RFC 6455, 5 to 8, and RFC 7692.

mod buffers;
mod close;
mod close_code;
mod config;
mod connection;
pub mod deflate;
mod end;
mod error;
mod event;
pub mod frame;
mod input;
pub mod mask;
mod output;
mod partial;
mod prepared;
mod scratch;
mod send;
mod sending;
mod utf8;

pub use close::CloseFrame;
pub use close_code::{ABNORMAL_CLOSURE, CloseCode, InvalidCloseCode, NO_STATUS_RECEIVED};
pub use config::{Config, Delivery, Timeouts};
pub use connection::{Connection, State};
pub use end::{Cause, End, Party, Timer};
pub use error::{ProtocolError, SendError};
pub use event::{Chunk, Event};
pub use input::Input;
pub use output::Output;
pub use prepared::Prepared;
pub use scratch::Scratch;
pub use sending::Sending;

/// The role of this side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This side accepted the connection, and sends frames without a mask.
    Server,
    /// This side made the connection, and masks its frames.
    Client,
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Text in UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

impl MessageKind {
    fn opcode(self) -> frame::Opcode {
        match self {
            Self::Text => frame::Opcode::Text,
            Self::Binary => frame::Opcode::Binary,
        }
    }
}
