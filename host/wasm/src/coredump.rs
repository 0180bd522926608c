//! Core dumps of instances that trapped, for `wasmgdb` and its like.
//!
//! A dump has the memory of the instance, so it is made by the worker, which owns the store, and written by another thread.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::{Store, WasmCoreDump};

use super::context::HandlerContext;
use super::state::GuestState;
use wsrun_contract::{Limit, Setting};
use wsrun_metrics::HandlerMetrics;
use wsrun_os::clock;

/// Dumps what an instance was when it trapped, if that is wanted and was not done a moment ago.
pub(super) fn dump(store: &mut Store<GuestState>, error: &wasmtime::Error) {
    let Some(dump) = error.downcast_ref::<WasmCoreDump>() else {
        return;
    };
    let HandlerContext { worker, metrics } = HandlerContext::clone(&store.data().context);
    let wanted = worker.coredumps.as_ref();
    let Some(settings) = wanted.filter(|_| metrics.take_core_dump(clock::now())) else {
        return;
    };
    if store.data().limiter.used() as u64 > settings.bytes_max {
        metrics.note_limit(Limit::Coredumps);
        return;
    }
    let bytes = dump.serialize(&mut *store, metrics.name());
    let (folder, bytes_max) = (settings.folder.clone(), settings.bytes_max);
    tokio::task::spawn_local(write(metrics, folder, bytes_max, bytes));
}

async fn write(metrics: Rc<HandlerMetrics>, folder: PathBuf, bytes_max: u64, bytes: Vec<u8>) {
    let name = metrics.name().clone();
    let length = bytes.len();
    let shown = folder.display().to_string();
    let saved = tokio::task::spawn_blocking(move || save(&folder, &name, bytes_max, &bytes)).await;
    let handler = metrics.name();
    match saved.map_err(io::Error::other).flatten() {
        Ok(Some(file)) => {
            tracing::info!(%handler, file = %file.display(), bytes = length, "core dump written");
        }
        Ok(None) => metrics.note_limit(Limit::Coredumps),
        Err(error) => {
            tracing::warn!(%handler, "a core dump could not be written in {folder} {shown}: {error}", folder = Setting("wasm.coredumps.folder"));
        }
    }
}

/// Writes one more file, unless the folder would have more than `bytes_max` then.
fn save(folder: &Path, handler: &str, bytes_max: u64, bytes: &[u8]) -> io::Result<Option<PathBuf>> {
    // One at a time: two would not see each other's size.
    let mut number = NUMBER.lock().unwrap_or_else(PoisonError::into_inner);
    if used(folder)?.saturating_add(bytes.len() as u64) > bytes_max {
        return Ok(None);
    }
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    loop {
        *number += 1;
        let file = folder.join(format!("{}-{seconds}-{number}.coredump", plain(handler)));
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file);
        let mut opened = match opened {
            // Another process has the same folder.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        return match opened.write_all(bytes) {
            Ok(()) => Ok(Some(file)),
            Err(error) => {
                let _ = fs::remove_file(&file);
                Err(error)
            }
        };
    }
}

/// Of the files of this process.
static NUMBER: Mutex<u64> = Mutex::new(0);

fn used(folder: &Path) -> io::Result<u64> {
    let mut used: u64 = 0;
    for entry in fs::read_dir(folder)? {
        // One that is gone meanwhile takes no room.
        if let Ok(metadata) = entry.and_then(|entry| entry.metadata()) {
            used = used.saturating_add(metadata.len());
        }
    }
    Ok(used)
}

/// The name of a handler as a part of a file's.
fn plain(handler: &str) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() => c,
        '-' | '_' => c,
        _ => '_',
    };
    handler.chars().take(NAME_CHARS_MAX).map(plain).collect()
}

const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn full_folder_gets_no_more_files() {
        let folder = tempfile::tempdir().unwrap();
        let save = |bytes: &[u8]| save(folder.path(), "../a b", 100, bytes).unwrap();
        let first = save(&[1; 60]).expect("there is room");
        assert!(save(&[2; 60]).is_none());
        assert!(save(&[3; 40]).is_some());
        assert_eq!(fs::read(&first).unwrap(), [1; 60]);
        let mode = fs::metadata(&first).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let name = first.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("___a_b-"), "{name}");
        fs::remove_file(first).unwrap();
        assert!(save(&[4; 60]).is_some());
    }
}
