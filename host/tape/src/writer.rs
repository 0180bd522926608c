//! The file of a tape, which a separate thread writes: workers never wait for a disk.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::RecordError;
use super::format::{End, EndReason, LINE_BYTES_MAX};
use wsrun_contract::Setting;

/// The most bytes that wait for the disk. A line that does not fit ends the tape, since a tape must
/// have no gaps.
const QUEUED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that are kept free for the last line, which says why the tape ends.
const END_BYTES: u64 = 512;

/// A message of a worker to the thread.
enum Message {
    Line(String),
    End(EndReason),
}

/// The workers' side of the queue.
#[derive(Debug)]
pub(super) struct Writer {
    sender: Sender<Message>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    /// Set once no more lines are taken.
    ended: AtomicBool,
    queued_bytes: AtomicUsize,
    queued_bytes_max: usize,
}

impl Writer {
    /// Makes the file, writes its header, and starts the thread.
    pub(super) fn create(path: &Path, bytes_max: u64, header: &str) -> Result<Self, RecordError> {
        Self::with_queue(path, bytes_max, header, QUEUED_BYTES_MAX)
    }

    fn with_queue(
        path: &Path,
        bytes_max: u64,
        header: &str,
        queued_bytes_max: usize,
    ) -> Result<Self, RecordError> {
        let failed = |cause: std::io::Error| {
            let file = path.to_owned();
            if cause.kind() == ErrorKind::AlreadyExists {
                RecordError::Exists(file)
            } else {
                RecordError::File { file, cause }
            }
        };
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let (sender, receiver) = channel();
        let shared = Arc::new(Shared {
            ended: AtomicBool::new(false),
            queued_bytes: AtomicUsize::new(0),
            queued_bytes_max,
        });
        let mut output = Output {
            path: path.to_owned(),
            file: BufWriter::with_capacity(256 * 1024, file),
            written: 0,
            bytes_max,
            shared: Arc::clone(&shared),
        };
        output.write(header).map_err(failed)?;
        output.file.flush().map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("wsrun-tape".into())
            .spawn(move || output.run(&receiver))
            .map_err(failed)?;
        Ok(Self {
            sender,
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Returns true while lines are taken.
    pub(super) fn is_on(&self) -> bool {
        !self.shared.ended.load(Ordering::Relaxed)
    }

    /// Queues a line. When it does not fit, the tape ends before it.
    pub(super) fn push(&self, line: String) {
        if !self.is_on() {
            return;
        }
        let length = line.len();
        let queued = self
            .shared
            .queued_bytes
            .fetch_add(length, Ordering::Relaxed);
        if queued > 0 && queued.saturating_add(length) > self.shared.queued_bytes_max {
            self.end(EndReason::Behind);
            return;
        }
        // Sending fails only after the thread has ended, and it has logged why.
        let _ = self.sender.send(Message::Line(line));
    }

    /// Ends the tape, unless it has ended already.
    pub(super) fn end(&self, reason: EndReason) {
        if !self.shared.ended.swap(true, Ordering::Relaxed) {
            let _ = self.sender.send(Message::End(reason));
        }
    }

    /// Ends the tape, and waits until it is written.
    pub(super) fn finish(&self) {
        self.end(EndReason::Stopped);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The thread's side of the queue.
struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    written: u64,
    bytes_max: u64,
    shared: Arc<Shared>,
}

impl Output {
    fn run(mut self, messages: &Receiver<Message>) {
        if let Err(error) = self.write_messages(messages) {
            self.shared.ended.store(true, Ordering::Relaxed);
            tracing::error!(
                file = %self.path.display(),
                "recording ended, the server goes on: the tape cannot be written: {error}"
            );
        }
    }

    fn write_messages(&mut self, messages: &Receiver<Message>) -> std::io::Result<()> {
        loop {
            let message = match messages.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Empty) => {
                    // Buffered lines are written out while nothing else arrives.
                    self.file.flush()?;
                    match messages.recv() {
                        Ok(message) => message,
                        Err(_) => return self.finish(EndReason::Stopped),
                    }
                }
                Err(TryRecvError::Disconnected) => return self.finish(EndReason::Stopped),
            };
            match message {
                Message::Line(line) => {
                    let after = self.written + line.len() as u64 + 1;
                    if after + END_BYTES > self.bytes_max {
                        self.shared.ended.store(true, Ordering::Relaxed);
                        return self.finish(EndReason::Full);
                    }
                    self.write(&line)?;
                    self.shared
                        .queued_bytes
                        .fetch_sub(line.len(), Ordering::Relaxed);
                }
                Message::End(reason) => return self.finish(reason),
            }
        }
    }

    fn finish(&mut self, reason: EndReason) -> std::io::Result<()> {
        let text = match reason {
            EndReason::Stopped => "the server ended".to_owned(),
            EndReason::Full => format!(
                "the tape was full ({bytes_max} {})",
                self.bytes_max,
                bytes_max = Setting("record.bytes_max")
            ),
            EndReason::Behind => format!(
                "events came faster than the disk took them: {} bytes waited",
                self.shared.queued_bytes_max
            ),
            EndReason::Large => {
                format!("one callback had more than a line may have: {LINE_BYTES_MAX} bytes")
            }
        };
        match reason {
            EndReason::Stopped => {
                tracing::info!(file = %self.path.display(), bytes = self.written, "tape written");
            }
            EndReason::Full | EndReason::Behind | EndReason::Large => tracing::warn!(
                file = %self.path.display(), bytes = self.written,
                "recording ended, the server goes on: {text}"
            ),
        }
        let end = serde_json::to_string(&End { end: reason, text })?;
        self.write(&end)?;
        self.file.flush()
    }

    fn write(&mut self, line: &str) -> std::io::Result<()> {
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")?;
        self.written += line.len() as u64 + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn path() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape");
        (folder, path)
    }

    #[test]
    fn lines_come_in_order_and_the_last_says_why_it_ends() {
        let (_folder, path) = path();
        let writer = Writer::create(&path, 1 << 20, "header").unwrap();
        for n in 0..1_000 {
            writer.push(n.to_string());
        }
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1_002);
        assert_eq!((lines[0], lines[1], lines[1_000]), ("header", "0", "999"));
        assert!(lines[1_001].starts_with(r#"{"end":"stopped""#));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn tape_ends_at_its_limit_and_not_beyond() {
        let (_folder, path) = path();
        let writer = Writer::create(&path, 2_000, "header").unwrap();
        for _ in 0..100 {
            writer.push("x".repeat(99));
        }
        writer.finish();
        assert!(!writer.is_on());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= 2_000, "{}", text.len());
        assert!(text.lines().last().unwrap().starts_with(r#"{"end":"full""#));
        assert_eq!(text.lines().count(), 1 + 14 + 1);
    }

    #[test]
    fn tape_ends_before_the_line_that_finds_no_room() {
        let (_folder, path) = path();
        let writer = Writer::with_queue(&path, 1 << 20, "header", 100).unwrap();
        // A line is larger than the queue, so only an empty queue takes it. The second line finds
        // the first in the queue, or is taken after it.
        let mut pushed = 0;
        while writer.is_on() {
            writer.push("x".repeat(1_000_000));
            pushed += 1;
        }
        writer.push("late".into());
        writer.finish();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() < pushed + 2);
        assert!(text.lines().all(|line| line != "late"));
        let end = text.lines().last().unwrap();
        assert!(end.starts_with(r#"{"end":"behind""#) || end.starts_with(r#"{"end":"full""#));
    }

    #[test]
    fn file_that_exists_is_not_written_over() {
        let (_folder, path) = path();
        std::fs::write(&path, "precious").unwrap();
        let error = Writer::create(&path, 1 << 20, "header").unwrap_err();
        assert!(matches!(error, RecordError::Exists(_)), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
