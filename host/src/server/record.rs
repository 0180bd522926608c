//! What a server records, from the loading of its handlers on.

use std::path::Path;
use std::sync::Arc;

use super::{Source, StartError};
use crate::config::Config;
use wsrun_contract::Setting;
use wsrun_tape::Tape;
use wsrun_tape::format::Served;
use wsrun_tape::format::TapeLimits;
use wsrun_tape::recorder::Recorder;
use wsrun_wasm::component::Loaded;

/// The handlers of a tape that is about to begin.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    handlers: Vec<Served>,
    hashes: Vec<Arc<str>>,
}

impl Recorded {
    /// Notes a handler that will be recorded.
    pub(super) fn note(&mut self, loaded: &Loaded, file: &Path, name: String) {
        if loaded.exports.wasi_http {
            tracing::warn!(
                handler = %name,
                "{record}: requests that wasi:http answers are not recorded, all other events are", record = Setting("record"));
        }
        self.handlers.push(Served {
            name,
            file: file.display().to_string(),
            sha256: loaded.sha256.to_string(),
        });
        self.hashes.push(Arc::clone(&loaded.sha256));
    }

    /// Begins the tape, where the configuration wants one.
    pub(super) fn begin(
        self,
        config: &Config,
        handlers: &mut [Source],
    ) -> Result<Option<Recorder>, StartError> {
        let Some(record) = &config.record else {
            return Ok(None);
        };
        let recorder = {
            // The format has room for one set of limits.
            let limits = config
                .handlers
                .first()
                .map(|handler| Arc::clone(&handler.limits));
            let limits = TapeLimits::new(config.wasm.stack_bytes_max, &limits.unwrap_or_default());
            Recorder::create(record, config.threads(), limits, self.handlers)
        }?;
        for (source, sha256) in handlers.iter_mut().zip(self.hashes) {
            if let Source::Component(linked, _) = source {
                linked.tape = Some(Tape::Record {
                    recorder: recorder.clone(),
                    sha256,
                });
            }
        }
        tracing::info!(file = %record.file.display(), bytes_max = record.bytes_max, "recording");
        Ok(Some(recorder))
    }
}
