//! What a server records, from the loading of its handlers on.

use std::path::Path;
use std::sync::Arc;

use wasmtime::Engine;
use wasmtime::component::Component;

use super::{Source, StartError};
use crate::config::Config;
use crate::handler::Exports;
use crate::tape::Tape;
use crate::tape::format::Served;
use crate::tape::recorder::Recorder;
use crate::wasm::component::{self, ComponentError};

/// The handlers of a tape that is about to begin.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    handlers: Vec<Served>,
    hashes: Vec<Arc<str>>,
}

impl Recorded {
    /// Loads a handler that will be recorded.
    pub(super) fn load(
        &mut self,
        engine: &Engine,
        config: &Config,
        file: &Path,
        name: String,
    ) -> Result<(Component, Exports), ComponentError> {
        let (component, exports, sha256) = component::load_hashed(engine, config, file)?;
        if exports.wasi_http {
            tracing::warn!(
                handler = %name,
                "--record: requests that wasi:http answers are not recorded, all other events are"
            );
        }
        self.handlers.push(Served {
            name,
            file: file.display().to_string(),
            sha256: sha256.to_string(),
        });
        self.hashes.push(sha256);
        Ok((component, exports))
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
        let recorder = Recorder::create(record, config, self.handlers)?;
        for (source, sha256) in handlers.iter_mut().zip(self.hashes) {
            if let Source::Component(linked) = source {
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
