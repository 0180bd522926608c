//! The folder of compiled components.
//!
//! Its files are run as machine code. So the folder and all folders above it must belong to this
//! user or to root, and nobody else may write there. An entry names the component and the engine
//! that it was made for: a file under another entry's name is not run.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::compile::{Compiled, Weight};
use wsrun_contract::Setting;

/// The reason why a folder is not used as the cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The folder does not exist and cannot be made, or this user may not read it.
    #[error(
        "the cache folder {folder} cannot be used: {cause}; name another with {cache_dir}, or use {no_cache}", cache_dir = Setting("wasm.cache_dir"), no_cache = Setting("no wasm.cache_dir"))]
    Unreachable {
        /// The folder.
        folder: String,
        /// The error of the system.
        cause: io::Error,
    },
    /// Another user could put machine code into the folder.
    #[error(
        "the cache folder {folder} is not safe: {path} {problem}, and what is in the cache is run as machine code; {advice}, name another \
         folder with {cache_dir}, or use {no_cache}", cache_dir = Setting("wasm.cache_dir"), no_cache = Setting("no wasm.cache_dir"))]
    Unsafe {
        /// The folder.
        folder: String,
        /// The part of its path that is wrong.
        path: String,
        /// The problem of that part.
        problem: String,
        /// The advice to the operator.
        advice: String,
    },
}

/// Checks that a folder is safe as the cache, and makes it where it is missing.
///
/// # Errors
///
/// See [`CacheError`].
pub fn check(folder: &Path) -> Result<(), CacheError> {
    Cache::open(folder).map(drop)
}

/// A cache folder that was checked.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// The digest of a component and of the engine that it is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; DIGEST_BYTES]);

const DIGEST_BYTES: usize = 32;
/// The first bytes of each entry.
const MAGIC: &[u8; 16] = b"wsrun code 1\n\0\0\0";
/// Bytes before the code: magic, key, weight, and the digest of all that and of the code.
const HEAD_BYTES: usize = MAGIC.len() + DIGEST_BYTES + 2 * NUMBER_BYTES + DIGEST_BYTES;
const NUMBER_BYTES: usize = size_of::<u64>();
/// The file extensions of entries, and of entries that are being written.
const ENTRY: &str = "code";
const UNFINISHED: &str = "new";
/// An unfinished entry older than this is deleted: nobody writes it any more.
const UNFINISHED_MAX: Duration = Duration::from_secs(3_600);
/// The limits of all entries together. Beyond them, entries that were not used for the longest time
/// are deleted.
const BYTES_MAX: u64 = 2 << 30;
const ENTRIES_MAX: usize = 4_096;

impl Key {
    /// Returns the key of a component for this engine and its settings.
    pub(super) fn of(engine: &Engine, component: &[u8]) -> Self {
        let mut digest = DigestHasher(Sha256::new_with_prefix(MAGIC));
        engine.precompile_compatibility_hash().hash(&mut digest);
        let settings = digest.0.finalize();
        let key = Sha256::new_with_prefix(settings).chain_update(component);
        Self(key.finalize().into())
    }

    fn file_name(self) -> String {
        let digits = self.0.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>() + "." + ENTRY
    }
}

/// A [`Hasher`] over SHA-256, so that nobody can make two engines' settings collide.
struct DigestHasher(Sha256);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest
            .iter()
            .take(8)
            .fold(0, |all, byte| (all << 8) | u64::from(*byte))
    }
}

impl Cache {
    /// Opens the folder. Makes it where it is missing, and checks that nobody else could write
    /// there.
    pub(super) fn open(folder: &Path) -> Result<Self, CacheError> {
        let unreachable = |cause| CacheError::Unreachable {
            folder: folder.display().to_string(),
            cause,
        };
        let given = std::path::absolute(folder).map_err(unreachable)?;
        // The existing part of the path is checked first, so that nothing is made where it would be
        // refused.
        let there = given
            .ancestors()
            .find(|path| path.symlink_metadata().is_ok());
        if let Some(there) = there.filter(|there| *there != given) {
            check_path(folder, there)?;
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(unreachable)?;
        let real = check_path(folder, &given)?;
        Ok(Self { folder: real })
    }

    /// Returns the entry for a component, if there is a whole one with at most `bytes_max` bytes of
    /// code.
    pub(super) fn get(&self, key: Key, bytes_max: u64) -> Option<Compiled> {
        let path = self.folder.join(key.file_name());
        let entry = match read(&path, bytes_max) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!("{} is not used: {error}", path.display());
                return None;
            }
        };
        let compiled = unpack(key, entry);
        if compiled.is_none() {
            tracing::warn!(
                "{} is not what was compiled for this component: it is compiled again",
                path.display()
            );
        }
        compiled
    }

    /// Adds an entry. A failure is only logged: a cache that takes no entries is slow, but does no
    /// harm.
    pub(super) fn put(&self, key: Key, compiled: &Compiled) {
        if let Err(error) = self.write(key, compiled) {
            tracing::debug!("nothing is kept in {}: {error}", self.folder.display());
            return;
        }
        if let Err(error) = self.clean(BYTES_MAX, ENTRIES_MAX) {
            tracing::debug!("{} is not cleaned: {error}", self.folder.display());
        }
    }

    fn write(&self, key: Key, compiled: &Compiled) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let unfinished = format!("{}.{process}-{number}.{UNFINISHED}", key.file_name());
        let unfinished = self.folder.join(unfinished);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let written = file
            .write_all(&head(key, compiled))
            .and_then(|()| file.write_all(&compiled.code))
            .and_then(|()| fs::rename(&unfinished, self.folder.join(key.file_name())));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Deletes the entries that were not used for the longest time, until the rest is within the
    /// limits. Files that are not the cache's own stay.
    fn clean(&self, bytes_max: u64, entries_max: usize) -> io::Result<()> {
        let now = SystemTime::now();
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let Some(kind) = path.extension().and_then(|kind| kind.to_str()) else {
                continue;
            };
            // An entry that was deleted meanwhile takes no room.
            let Ok(found) = path.symlink_metadata() else {
                continue;
            };
            let used = found.modified().unwrap_or(now);
            let age = now.duration_since(used).unwrap_or_default();
            if !found.is_file() {
                continue;
            }
            if kind == UNFINISHED && age > UNFINISHED_MAX {
                let _ = fs::remove_file(&path);
            } else if kind == ENTRY {
                entries.push((used, found.len(), path));
            }
        }
        entries.sort_unstable();
        let mut bytes: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        let mut count = entries.len();
        for (_, size, path) in entries {
            if bytes <= bytes_max && count <= entries_max {
                break;
            }
            let _ = fs::remove_file(path);
            bytes -= size;
            count -= 1;
        }
        Ok(())
    }
}

/// Checks that nobody else could write into a part of the path to a cache, or redirect it. Returns
/// its location without links.
fn check_path(folder: &Path, there: &Path) -> Result<PathBuf, CacheError> {
    let unreachable = |cause| CacheError::Unreachable {
        folder: folder.display().to_string(),
        cause,
    };
    let given = std::path::absolute(folder).map_err(unreachable)?;
    let real = there.canonicalize().map_err(unreachable)?;
    let user = rustix::process::geteuid().as_raw();
    // The owner of a link on the path could redirect it.
    for path in there.ancestors().chain(real.ancestors()) {
        let found = path.symlink_metadata().map_err(unreachable)?;
        let is_cache = there == given && path == real;
        if let Some((problem, advice)) = problem(&found, is_cache, user) {
            let shown = path.display();
            return Err(CacheError::Unsafe {
                folder: folder.display().to_string(),
                problem,
                advice: advice.replace('%', &shown.to_string()),
                path: shown.to_string(),
            });
        }
    }
    Ok(real)
}

/// Returns the problem of a part of the path to a cache, if it has one, and the advice to the
/// operator.
fn problem(found: &fs::Metadata, is_cache: bool, user: u32) -> Option<(String, &'static str)> {
    let owner = found.uid();
    if owner != user && owner != 0 {
        let problem = format!("belongs to user {owner}, who is neither user {user} nor root");
        return Some((problem, "change its owner (chown %)"));
    }
    let mode = found.mode() & 0o7777;
    // In a folder with the sticky bit, other users can neither rename nor delete foreign files.
    // They can add files, which the cache folder itself must not allow.
    let is_shared = mode & STICKY != 0 && !is_cache;
    if found.is_symlink() || mode & WRITABLE_BY_OTHERS == 0 || is_shared {
        return None;
    }
    Some((
        format!("may be written by others than its owner (mode {mode:04o})"),
        "take that away (chmod go-w %)",
    ))
}

const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Reads a file of the cache that only this user or root can have written.
fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(
            OFlags::NOFOLLOW
                .union(OFlags::NONBLOCK)
                .bits()
                .cast_signed(),
        )
        .open(path)?;
    let found = file.metadata()?;
    let user = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if let Some((problem, _)) = problem(&found, true, user) {
        return Err(io::Error::other(format!("it {problem}")));
    }
    let limit = bytes_max.saturating_add(HEAD_BYTES as u64);
    if found.len() > limit {
        return Err(io::Error::other(format!(
            "it is larger than {}",
            Setting("wasm.compilation.code_bytes_max")
        )));
    }
    let mut entry = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default());
    (&file).take(limit).read_to_end(&mut entry)?;
    touch(&file);
    Ok(entry)
}

/// Marks an entry as used now: others are deleted sooner.
fn touch(file: &File) {
    let _ = file.set_modified(SystemTime::now());
}

fn head(key: Key, compiled: &Compiled) -> Vec<u8> {
    let weight = compiled.weight;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&key.0);
    head.extend_from_slice(&weight.loaded_bytes.to_le_bytes());
    head.extend_from_slice(&weight.instance_bytes.to_le_bytes());
    let digest = Sha256::new_with_prefix(&head).chain_update(&compiled.code);
    head.extend_from_slice(&digest.finalize());
    head
}

/// Returns the code of an entry, if the entry is for this key and whole.
fn unpack(key: Key, mut entry: Vec<u8>) -> Option<Compiled> {
    let number = |at: usize| {
        let at = MAGIC.len() + DIGEST_BYTES + at * NUMBER_BYTES;
        Some(u64::from_le_bytes(*entry.get(at..)?.first_chunk()?))
    };
    let weight = Weight {
        loaded_bytes: number(0)?,
        instance_bytes: number(1)?,
    };
    let given = entry.get(..HEAD_BYTES)?.to_vec();
    let code = entry.split_off(HEAD_BYTES);
    let compiled = Compiled { code, weight };
    (head(key, &compiled) == given).then_some(compiled)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn compiled(code: &[u8]) -> Compiled {
        Compiled {
            code: code.to_vec(),
            weight: WEIGHT,
        }
    }

    const WEIGHT: Weight = Weight {
        loaded_bytes: 4_000,
        instance_bytes: 50,
    };

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn entry_is_that_of_its_key_and_whole_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let (one, other) = (Key([1; DIGEST_BYTES]), Key([2; DIGEST_BYTES]));
        assert!(cache.get(one, 100).is_none());
        cache.put(one, &compiled(b"code"));
        assert_eq!(cache.get(one, 100).unwrap().code, b"code");
        assert_eq!(cache.get(one, 100).unwrap().weight, WEIGHT);
        assert!(cache.get(one, 3).is_none());
        let path = |key: Key| folder.path().join(key.file_name());
        fs::copy(path(one), path(other)).unwrap();
        assert!(cache.get(other, 100).is_none());
        let whole = fs::read(path(one)).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(path(one), changed).unwrap();
            assert!(cache.get(one, 100).is_none(), "byte {at}");
            fs::write(path(one), &whole[..at]).unwrap();
            assert!(cache.get(one, 100).is_none(), "{at} bytes");
        }
        cache.put(one, &compiled(b"again"));
        assert_eq!(cache.get(one, 100).unwrap().code, b"again");
        set_mode(&path(one), 0o620);
        assert!(cache.get(one, 100).is_none());
    }

    #[test]
    fn oldest_entries_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let keys = [1, 2, 3].map(|number| Key([number; DIGEST_BYTES]));
        fs::write(folder.path().join("mine.txt"), "mine").unwrap();
        for (key, age) in keys.into_iter().zip([10, 30, 20]) {
            cache.put(key, &compiled(b"code"));
            let file = File::open(folder.path().join(key.file_name())).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
        }
        cache.clean(u64::MAX, 2).unwrap();
        let left = || keys.map(|key| folder.path().join(key.file_name()).exists());
        assert_eq!(left(), [true, false, true]);
        cache.clean(HEAD_BYTES as u64 + 4, 2).unwrap();
        assert_eq!(left(), [true, false, false]);
        assert!(folder.path().join("mine.txt").exists());
    }

    #[test]
    fn folder_that_others_can_write_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("cache");
        Cache::open(&folder).unwrap();
        let mode = fs::metadata(&folder).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700);
        for (path, mode, is_fine) in [
            (&folder, 0o770, false),
            (&folder, 0o702, false),
            (&folder, 0o1777, false),
            (&folder, 0o755, true),
            (&above.path().to_path_buf(), 0o777, false),
            (&above.path().to_path_buf(), 0o1777, true),
        ] {
            set_mode(path, mode);
            let opened = Cache::open(&folder);
            assert_eq!(opened.is_ok(), is_fine, "{mode:o} of {path:?}: {opened:?}");
        }
        // No folder is made there either.
        set_mode(above.path(), 0o777);
        Cache::open(&above.path().join("new/cache")).unwrap_err();
        assert!(!above.path().join("new").exists());
        set_mode(above.path(), 0o700);
        let link = above.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        Cache::open(&link).unwrap();
    }
}
