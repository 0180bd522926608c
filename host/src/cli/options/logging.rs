//! The options of the log.

use crate::cli::logging::{self, Format, Level};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct LogArgs {
    /// Form of the log on standard error
    #[arg(long, value_enum, default_value = "text", help_heading = "Log")]
    pub(in crate::cli) log_format: Format,
    /// How much is logged
    #[arg(long, value_enum, default_value = "info", help_heading = "Log")]
    pub(in crate::cli) log_level: Level,
}

impl LogArgs {
    pub(in crate::cli) fn start(&self) {
        logging::start(self.log_format, self.log_level);
    }
}
