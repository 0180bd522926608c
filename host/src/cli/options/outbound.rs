//! The options of outbound connections.

use std::path::PathBuf;
use std::time::Duration;

use super::each_once;
use crate::cli::failure::Failure;
use crate::cli::values::{duration, identity};
use crate::config::{Grant, OutboundConfig, TlsFiles};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct OutboundArgs {
    /// Lets handlers connect to `HOST[:PORT]`: a name, `*.example.com`, `*` for all that is public, an address or a range like
    /// `10.0.0.0/8`; what is not public must be named by address. Repeatable; without it nothing is allowed
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "Connections out")]
    pub(in crate::cli) allow_connect: Vec<Grant>,
    /// Time for name and transport, for TLS and for the opening handshake, each
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s", help_heading = "Connections out")]
    pub(in crate::cli) connect_timeout: Duration,
    /// Outbound connections of a handler per worker. More: `limit`
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        help_heading = "Connections out"
    )]
    pub(in crate::cli) max_outbound: usize,
    /// Trusts the certificates of this PEM file beside the roots of the platform
    #[arg(long, value_name = "FILE", help_heading = "Connections out")]
    pub(in crate::cli) connect_ca: Option<PathBuf>,
    /// A client certificate and its key (PEM), for handlers that ask for this name. Repeatable
    #[arg(long, value_name = "NAME=CERT,KEY", value_parser = identity, help_heading = "Connections out")]
    pub(in crate::cli) client_cert: Vec<(String, TlsFiles)>,
}

impl OutboundArgs {
    pub(in crate::cli) fn apply(self, settings: &mut OutboundConfig) -> Result<(), Failure> {
        settings.grants = self.allow_connect.into_iter().collect();
        settings.connect_timeout = self.connect_timeout;
        settings.connections_max = self.max_outbound;
        settings.extra_roots = self.connect_ca;
        settings.identities = each_once("--client-cert", &self.client_cert)?;
        Ok(())
    }
}
