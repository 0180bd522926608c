//! The arguments of `wsrun connect`.

use crate::cli::client::PeerArgs;
use crate::cli::runtime::RuntimeArgs;
use wsrun_contract::ConnectOptions;

#[derive(Debug, clap::Args)]
#[command(override_usage = "wsrun connect [OPTIONS] [HANDLER] URL")]
pub(in crate::cli) struct Args {
    /// ws://HOST:PORT/PATH, wss://… or, without a handler, ws+unix:PATH. With a HANDLER (a component) before it the connection is the
    /// handler's, which may make more to the same host, and the command ends with the last of them
    #[arg(value_name = "URL", required = true, num_args = 1..=2)]
    pub(super) target: Vec<String>,
    /// Sends lines as binary messages
    #[arg(long)]
    pub(super) binary: bool,
    #[command(flatten)]
    pub(super) peer: PeerArgs,
    /// With a handler: shows the client certificate of this name (--client-cert)
    #[arg(long, value_name = "NAME")]
    pub(super) identity: Option<String>,
    /// With a handler: connects again when the connection is lost, or cannot be made
    #[arg(long)]
    pub(super) reconnect: bool,
    #[command(flatten)]
    pub(super) runtime: RuntimeArgs,
}

impl Args {
    pub(super) fn options(&self, url: &str) -> ConnectOptions {
        ConnectOptions {
            identity: self.identity.clone(),
            compression: self.runtime.compresses(),
            reconnect: self.reconnect.then(Default::default),
            ..self.peer.options(url)
        }
    }
}
