//! Watches files, which are used again when they change.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::Watcher as _;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

/// The time that a writer gets to write the rest.
const SETTLE: Duration = Duration::from_millis(200);

/// The interval between checks of the files. A link to another folder, on the path to a file or in
/// its place, changes without an event in the folder of the file. A file on another machine may
/// have no events either.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// A set of files that are watched.
#[derive(Debug)]
pub(super) struct Watch {
    /// Reports changes at once, as long as it is not dropped.
    _watcher: Option<notify::RecommendedWatcher>,
    changes: mpsc::Receiver<()>,
    checks: Interval,
    seen: Seen,
}

/// The file that was found at each path.
type Seen = Vec<(PathBuf, Option<Found>)>;

#[derive(Debug, PartialEq, Eq)]
struct Found {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Watch {
    /// Watches the files from now on.
    pub(super) fn new(files: Vec<PathBuf>) -> Self {
        let (changed, changes) = mpsc::channel(1);
        let mut checks = tokio::time::interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            _watcher: watch_folders(&files, changed),
            changes,
            checks,
            seen: scan(files),
        }
    }

    /// Waits until one of `files` may have changed. It is cancel-safe: the next check sees a change
    /// that was not returned.
    pub(super) async fn changed(&mut self, files: impl Fn() -> Vec<PathBuf>) {
        loop {
            // Both branches are cancel-safe: a channel and an interval keep what was not taken.
            tokio::select! {
                Some(()) = self.changes.recv() => return,
                _ = self.checks.tick() => {}
            }
            // In a separate thread, so that a file system that does not answer delays nothing else.
            let files = files();
            let scanned = tokio::task::spawn_blocking(|| scan(files)).await;
            if scanned.is_ok_and(|found| found != self.seen) {
                return;
            }
        }
    }

    /// Waits for a writer to finish: compilers and linkers write in many steps, and certificate and
    /// key are two files. A change after this counts as another change.
    pub(super) async fn settle(&mut self, files: Vec<PathBuf>) {
        tokio::time::sleep(SETTLE).await;
        while self.changes.try_recv().is_ok() {}
        if let Ok(found) = tokio::task::spawn_blocking(|| scan(files)).await {
            self.seen = found;
        }
    }
}

fn scan(files: Vec<PathBuf>) -> Seen {
    let files = files.into_iter().map(|file| {
        let found = std::fs::metadata(&file).ok().map(|found| Found {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        });
        (file, found)
    });
    files.collect()
}

/// Watches the folders of `files`, since editors and ACME clients replace files instead of writing
/// into them.
fn watch_folders(
    files: &[PathBuf],
    changed: mpsc::Sender<()>,
) -> Option<notify::RecommendedWatcher> {
    let first = files.first()?;
    let names: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| file.file_name().map(PathBuf::from))
        .collect();
    let handler = move |event: notify::Result<notify::Event>| {
        let Ok(event) = event else { return };
        let concerns = event.paths.iter().any(|path| {
            path.file_name()
                .is_some_and(|name| names.iter().any(|n| n == name))
        });
        // Symbolic links to a versioned folder change without any event that names the file.
        let is_write = !matches!(event.kind, notify::EventKind::Access(_));
        if is_write
            && (concerns
                || event
                    .paths
                    .iter()
                    .any(|path| path.is_symlink() || path.is_dir()))
        {
            let _ = changed.try_send(());
        }
    };
    let watched = notify::recommended_watcher(handler).and_then(|mut watcher| {
        for file in files {
            let folder = file
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
        }
        Ok(watcher)
    });
    watched
        .inspect_err(|error| {
            tracing::warn!(
                "cannot watch the folder of {}, it is looked at every {CHECK_INTERVAL:?}: {error}",
                first.display()
            )
        })
        .ok()
}
