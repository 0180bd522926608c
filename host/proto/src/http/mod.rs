//! The opening handshake: RFC 6455, 4, over RFC 9110 and 9112.

pub mod authority;
pub mod connect;
pub mod framing;
mod head;
pub mod origin;
pub mod request;
pub mod response;
pub mod upgrade;

pub use crate::header::{extensions, token};
pub use head::HeadError;
