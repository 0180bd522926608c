//! A connection from accept to close: TLS, HTTP, the opening handshake, then frames.

mod accept;
mod answer;
mod drive;
mod http;
mod upgrade;

pub(crate) use self::accept::serve;
