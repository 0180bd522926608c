//! Where the handlers are that the build made.

use std::path::{Path, PathBuf};

/// The echo example.
pub fn echo() -> PathBuf {
    built("echo")
}

/// The guest that does what the text messages to it say: see `tests/guests/probe`.
pub fn probe() -> PathBuf {
    built("probe")
}

/// A component that was built from `examples` or `tests/guests`.
pub fn built(name: &str) -> PathBuf {
    let path =
        Path::new(env!("WSRUN_TEST_HANDLERS")).join(format!("{}.wasm", name.replace('-', "_")));
    if path.exists() {
        return path;
    }
    let path = Path::new(env!("WSRUN_TEST_HANDLERS")).join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "no handler at {}: is there an example or guest of that name?",
        path.display()
    );
    path
}

/// A file below the top of the project.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies in the workspace")
        .join(path)
}
