//! Reads files that somebody outside named: whole, once, and never more than a limit.
//!
//! A name may lead to anything: a pipe that nobody writes to, a device without an end, a file that
//! grows. So a file is opened without blocking, it must be a regular file, and reading stops at the
//! limit. Code that needs the content for several purposes, such as comparing it and using it,
//! takes the bytes of one reading for all of them.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;

/// The reason why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system reported an error, or it is not a regular file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is larger than the limit.
    #[error("it has {bytes} bytes or more; it may have at most {limit}")]
    TooLarge {
        /// The size, as far as it is known.
        bytes: u64,
        /// The largest size allowed.
        limit: u64,
    },
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => error,
            ReadError::TooLarge { .. } => Self::new(io::ErrorKind::FileTooLarge, error),
        }
    }
}

/// Opens a regular file without blocking.
///
/// # Errors
///
/// Fails when there is no regular file at this path: a folder, a pipe or a device is an error.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // Opening a pipe or a device may have effects of its own.
    check_regular(&std::fs::metadata(path)?)?;
    let file = open_without_waiting(path)?;
    // The file may have been replaced by a pipe since the check.
    let metadata = file.metadata()?;
    check_regular(&metadata)?;
    Ok((file, metadata))
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
///
/// Fails as [`open`] does, and when the file is larger or cannot be read.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let (file, metadata) = open(path)?;
    if metadata.len() > limit {
        return Err(ReadError::TooLarge {
            bytes: metadata.len(),
            limit,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    // The file may grow meanwhile, and files of /proc have no size.
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    check_limit(read, limit)?;
    Ok(bytes)
}

/// Reads a regular file, or a pipe. The writers of a pipe have `time` in all until its end.
///
/// # Errors
///
/// Fails as [`read`] does, and when a pipe has not ended in time.
pub fn read_or_pipe(path: &Path, limit: u64, time: Duration) -> Result<Vec<u8>, ReadError> {
    if !std::fs::metadata(path)?.file_type().is_fifo() {
        return read(path, limit);
    }
    let mut pipe = open_without_waiting(path)?;
    if !pipe.metadata()?.file_type().is_fifo() {
        return read(path, limit);
    }
    let deadline = Instant::now() + time;
    let mut bytes = Vec::new();
    loop {
        wait_for_input(&pipe, deadline, time)?;
        let mut piece = [0; 4096];
        match pipe.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(length) => {
                bytes.extend_from_slice(&piece[..length]);
                check_limit(bytes.len(), limit)?;
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn check_limit(read: usize, limit: u64) -> Result<(), ReadError> {
    match u64::try_from(read) {
        Ok(bytes) if bytes <= limit => Ok(()),
        Ok(bytes) => Err(ReadError::TooLarge { bytes, limit }),
        Err(_) => Err(ReadError::TooLarge {
            bytes: u64::MAX,
            limit,
        }),
    }
}

fn wait_for_input(pipe: &File, deadline: Instant, time: Duration) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout =
            Timespec::try_from(left).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut watched = [PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)];
        match poll(&mut watched, Some(&timeout)) {
            Ok(0) => {
                let text =
                    format!("it is a pipe, and whoever writes to it did not end within {time:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).map_err(|_| io::ErrorKind::InvalidInput)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn check_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let text = format!("it is {}, not a regular file", kind_name(kind));
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

fn kind_name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::thread;

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn pipe() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        (folder, path)
    }

    #[test]
    fn files_are_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err().to_string();
        assert_eq!(error, "it has 5 bytes or more; it may have at most 4");
        // The size of this one is reported as 0.
        assert!(matches!(
            read(Path::new("/proc/self/maps"), 10),
            Err(ReadError::TooLarge { .. })
        ));
    }

    #[test]
    fn what_is_no_regular_file_is_neither_opened_nor_waited_for() {
        let (folder, pipe) = pipe();
        for (path, what) in [
            (folder.path(), "it is a folder"),
            (pipe.as_path(), "it is a pipe"),
            (Path::new("/dev/zero"), "it is a device"),
            (Path::new("/dev/null"), "it is a device"),
        ] {
            let error = read(path, u64::MAX).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            let error = open(path).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn pipe_is_read_to_its_end_where_it_may_be_one() {
        let (_folder, path) = pipe();
        let writing = thread::spawn({
            let path = path.clone();
            move || {
                let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
                for piece in [b"sec", b"ret"] {
                    pipe.write_all(piece).unwrap();
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        assert_eq!(read_or_pipe(&path, 64, LONG).unwrap(), b"secret");
        writing.join().unwrap();
    }

    #[test]
    fn pipe_without_an_end_is_given_up() {
        let (_folder, path) = pipe();
        let error = read_or_pipe(&path, 64, Duration::from_millis(30)).unwrap_err();
        assert!(error.to_string().contains("did not end within"), "{error}");
        let writing = thread::spawn({
            let path = path.clone();
            move || {
                let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
                while pipe.write_all(&[b'x'; 4096]).is_ok() {}
            }
        });
        let error = read_or_pipe(&path, 64, LONG).unwrap_err();
        assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
        writing.join().unwrap();
    }
}
