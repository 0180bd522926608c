//! The options of every run of handlers, whether it serves or only connects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::failure::Failure;
use super::options::compilation::CompilationArgs;
use super::options::each_once;
use super::options::handler::{FailureArgs, HandlerLimitArgs};
use super::options::limits::LimitArgs;
use super::options::logging::LogArgs;
use super::options::outbound::OutboundArgs;
use super::options::protocol::{Compression, ProtocolArgs};
use super::options::size;
use super::privileges::PrivilegeArgs;
use super::record::RecordArgs;
use super::values::configured;
use crate::config::{Config, HandlerLimits};

#[derive(Debug, clap::Args)]
pub(super) struct RuntimeArgs {
    /// What host-info.config tells the handlers; @FILE for the text of a file (64 KiB, its last line end left out), as for a secret, which
    /// would be seen in the list of processes; @@ for an @ at the beginning. Repeatable
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = configured)]
    config: Vec<(String, String)>,

    #[command(flatten)]
    protocol: ProtocolArgs,
    #[command(flatten)]
    handler: HandlerLimitArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    failures: FailureArgs,
    #[command(flatten)]
    outbound: OutboundArgs,
    #[command(flatten)]
    privileges: PrivilegeArgs,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    compilation: CompilationArgs,
}

impl RuntimeArgs {
    pub(super) fn start_log(&self) {
        self.log.start();
    }

    /// Returns true when the process is to become another user or group.
    pub(super) fn becomes_somebody(&self) -> bool {
        self.privileges.is_given()
    }

    /// Returns true when permessage-deflate is offered.
    pub(super) fn compresses(&self) -> bool {
        !matches!(self.protocol.compression, Compression::Off)
    }

    /// Returns the time for each step of connecting.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.outbound.connect_timeout
    }

    /// Returns the most bytes of a message.
    pub(super) fn max_message(&self) -> u64 {
        self.limits.max_message
    }

    /// Returns the values that handlers get with `host-info.config`.
    pub(super) fn values(&self) -> Result<Arc<BTreeMap<String, String>>, Failure> {
        Ok(Arc::new(each_once("--config", &self.config)?))
    }

    /// Returns a configuration without handlers and listeners, and the limits of every handler.
    pub(super) fn into_config(self) -> Result<(Config, HandlerLimits), Failure> {
        let max_queue = self.limits.queue()?;
        let mut limits = HandlerLimits::default();
        self.handler.apply(max_queue, &mut limits);
        self.failures.apply(&mut limits);
        let mut config = Config {
            listen: Vec::new(),
            privileges: self.privileges.into_config()?,
            record: self.record.into_config(),
            ..Config::default()
        };
        self.outbound.apply(&mut config.outbound)?;
        config.wasm.stack_bytes_max = size(self.handler.max_wasm_stack);
        self.failures.apply_to_wasm(&mut config.wasm)?;
        self.compilation.apply(&mut config.wasm)?;
        self.limits.apply(max_queue, &mut config.runtime);
        self.protocol.apply(&mut config.runtime);
        Ok((config, limits))
    }
}
