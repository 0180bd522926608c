//! A connection from accept to close: TLS, HTTP, the opening handshake, then frames.

mod accept;
mod addresses;
mod answer;
mod body;
mod client;
mod drive;
pub(crate) mod files;
mod framed;
mod front;
mod hand_off;
mod http;
mod plain;
mod refusal;
pub(crate) mod settings;
mod upgrade;
mod upgraded;
mod ws_config;

pub(crate) use self::accept::{accept, serve};
pub(crate) use self::client::OutboundConnector;
pub(crate) use self::files::Folders;
pub(crate) use self::front::{Front, SharedFront};
