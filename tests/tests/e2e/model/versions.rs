//! The files of the versions.

use std::path::PathBuf;

use tempfile::TempDir;
use wsrun_tests::handlers;

use super::plan::Version;

/// A folder with versions.
pub(crate) struct Versions {
    folder: TempDir,
    written: usize,
}

impl Versions {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            written: 0,
        }
    }

    /// Writes the file of one, which no other has been in.
    pub(crate) fn write(&mut self, version: Version) -> PathBuf {
        const MARKER: &[u8; 48] = b"version=one:nothing:0                           ";
        let mut bytes =
            std::fs::read(handlers::built(version.kind.guest())).expect("the handler was built");
        let at = bytes
            .windows(MARKER.len())
            .position(|window| window == MARKER)
            .expect("the handler has its marker");
        let Version {
            kind: _,
            fails,
            publishes,
        } = version;
        // No two have names of their own, so that what was compiled once is compiled.
        let new = format!("{:48}", format!("version=v:{fails}:{publishes}"));
        bytes[at..at + MARKER.len()].copy_from_slice(new.as_bytes());
        // The first one names the handler.
        let name = match self.written {
            0 => "model.wasm".to_owned(),
            number => format!("v{number}.wasm"),
        };
        self.written += 1;
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("the folder is there");
        path
    }
}
