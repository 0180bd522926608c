//! WebSocket connections: RFC 6455, 5 to 8, and RFC 7692.

mod close;
mod connection;
pub mod deflate;
mod error;
pub mod frame;
mod input;
pub mod mask;
mod output;
mod partial;
mod prepared;
mod scratch;
mod sending;
mod utf8;

pub use close::{
    ABNORMAL_CLOSURE, Cause, CloseCode, CloseFrame, End, InvalidCloseCode, NO_STATUS_RECEIVED,
    Party, Timer,
};
pub use connection::{Config, Connection, Delivery, State, Timeouts};
pub use error::{ProtocolError, SendError};
pub use input::{Chunk, Event, Input};
pub use output::Output;
pub use prepared::Prepared;
pub use scratch::Scratch;
pub use sending::Sending;

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It was connected to, and sends frames without a mask.
    Server,
    /// It connected, and masks what it sends.
    Client,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
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
