//! `--record` and the options beside it.

use std::path::PathBuf;

use super::values::bytes;
use crate::config::RecordConfig;

#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// Writes every event and every effect of the handlers to this new file, messages in clear, for `wsrun replay`
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    record: Option<PathBuf>,
    /// Bytes of that file. More: recording ends with a warning, the server goes on
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1GiB", requires = "record", help_heading = "Recording")]
    record_max: u64,
    /// One more header field whose values are replaced by asterisks in it. Repeatable; Authorization, Cookie, Set-Cookie and
    /// Proxy-Authorization always are
    #[arg(long, value_name = "HEADER", value_parser = header, requires = "record", help_heading = "Recording")]
    record_redact: Vec<String>,
    /// Writes the values of those four as they are: a handler that looks at them is then the same in a replay
    #[arg(long, requires = "record", help_heading = "Recording")]
    record_credentials: bool,
}

impl RecordArgs {
    pub(super) fn into_config(self) -> Option<RecordConfig> {
        let mut config = RecordConfig::new(self.record?);
        config.bytes_max = self.record_max;
        if self.record_credentials {
            config.redacted.clear();
        }
        config.redacted.extend(self.record_redact);
        Some(config)
    }
}

/// Parses the name of a header field (RFC 9110, 5.1). Returns it in lower case.
fn header(text: &str) -> Result<String, String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(is_token) {
        return Err("it must be the name of a header field, as in X-Api-Key".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}
