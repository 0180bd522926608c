//! Tapes: what instances were called with, what they asked the host for and what they were told, and the same over again without a network.
//!
//! ```text
//!  wasm::instance ──callbacks──▶ Track ──▶ Recording ──entries──▶ Recorder ──queue──▶ file
//!  wasm::taped ─────calls──────▶   └─────▶ Playing  ◀──script──── Replay ◀─────────── file
//! ```
//!
//! An instance sees nothing but the arguments of its callbacks and the answers of its imports. Both are on the tape, at the place where they
//! cross into the instance, so that the same component does the same again.
//!
//! * [`mod@format`]: the lines of a tape. [`value`]: the values of the contract as JSON. [`redact`]: what is not written.
//! * [`recorder`]: a tape that is being written. `writer`: its file. [`player`]: answers from a tape, of which `replay` plays a whole one.

pub mod format;
pub mod player;
pub mod recorder;
pub mod redact;
pub mod value;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use self::player::Playing;
use self::recorder::{Recorder, Recording};
use self::value::ToTape;
use wsrun_contract::{CallbackError, Capabilities, Setting};

/// What is recorded, and where to.
#[derive(Clone, Debug)]
pub struct RecordConfig {
    /// The file, which must not exist. Only its owner can read it.
    pub file: PathBuf,
    /// Bytes of the file, 1 GiB by default. At the limit recording ends and the server goes on.
    pub bytes_max: u64,
    /// Names of header fields whose values are not written, in lower case: by default those that carry credentials.
    pub redacted: Vec<String>,
}

impl RecordConfig {
    /// Records into `file` with the defaults.
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            bytes_max: 1 << 30,
            redacted: redact::DEFAULT.map(str::to_owned).to_vec(),
        }
    }
}

/// Why a tape is not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A tape is never written over.
    #[error(
        "{record} {0}: the file exists, and a tape is not written over; name another, or remove it", record = Setting("record"))]
    Exists(PathBuf),
    /// The file cannot be made.
    #[error("{record} {file}: {cause}", record = Setting("record"))]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Handlers in Rust are not called through the imports that a tape holds.
    #[error(
        "{record}: handler {0:?} is part of the program, or a program of its own ({program}); only handlers that are components can be recorded", record = Setting("record"), program = Setting("HandlerSource::Program"))]
    Native(String),
}

/// What the instances of one version are recorded on, or played from.
#[derive(Clone)]
pub enum Tape {
    Record {
        recorder: Recorder,
        /// Of the version.
        sha256: Arc<str>,
    },
    Play(Playing),
}

impl Tape {
    /// The track of a new instance.
    pub fn track(&self, worker: u16, handler: &Arc<str>, exports: Capabilities) -> Option<Track> {
        match self {
            Self::Record { recorder, sha256 } => recorder
                .track(worker, handler, sha256, exports)
                .map(Track::Recording),
            Self::Play(playing) => Some(Track::Playing(playing.clone())),
        }
    }
}

/// The tape of one instance, in one direction or the other.
pub enum Track {
    Recording(Recording),
    Playing(Playing),
}

impl Track {
    /// A callback begins.
    #[cold]
    pub fn begin(&mut self, event: &'static str, args: &impl ToTape) {
        match self {
            Self::Recording(recording) => recording.begin(event, args),
            // The script of the callback was laid out by who makes it.
            Self::Playing(_) => {}
        }
    }

    /// The callback is over.
    #[cold]
    pub fn end<T: ToTape>(&mut self, result: Result<&T, &CallbackError>) {
        match self {
            Self::Recording(recording) => recording.end(result),
            Self::Playing(playing) => {
                if let Ok(value) = result {
                    playing.returned(value);
                }
            }
        }
    }

    /// A value as this tape has it; none where nothing is written any more.
    pub fn put(&self, value: &impl ToTape) -> Option<Value> {
        match self {
            Self::Recording(recording) => {
                recording.is_on().then(|| value.put(recording.redaction()))
            }
            Self::Playing(playing) => Some(value.put(playing.redaction())),
        }
    }
}
