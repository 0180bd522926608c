//! A handler's stdout and stderr: lines in the log.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use send_wrapper::SendWrapper;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use wsrun_contract::{Limit, Setting};
use wsrun_metrics::HandlerMetrics;
use wsrun_metrics::text::Line;
use wsrun_os::clock;

/// A longer line is logged in pieces of this size.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// Log bytes of one stream per second; more are counted and dropped.
const BYTES_PER_SECOND_MAX: usize = 64 * 1024;
/// What a stream may log at once after a silence.
const BURST_BYTES_MAX: usize = 256 * 1024;

/// One of a handler's output streams, whichever instance writes to it.
#[derive(Clone)]
pub(super) struct OutputLog {
    handler: Arc<str>,
    stream: &'static str,
    lines: Arc<Mutex<Lines>>,
}

impl OutputLog {
    pub(super) fn new(handler: &Arc<str>, stream: &'static str) -> Self {
        let lines = Lines {
            partial: Vec::new(),
            allowance: BURST_BYTES_MAX,
            refilled: Instant::now(),
            dropped: 0,
        };
        Self {
            handler: Arc::clone(handler),
            stream,
            lines: Arc::new(Mutex::new(lines)),
        }
    }

    /// For an instance of this handler.
    pub(super) fn of(&self, metrics: &Rc<HandlerMetrics>) -> GuestLog {
        GuestLog {
            log: self.clone(),
            metrics: SendWrapper::new(Rc::clone(metrics)),
        }
    }
}

/// The same, as an instance has it.
#[derive(Clone)]
pub(super) struct GuestLog {
    log: OutputLog,
    /// Counts the lines of all streams. WASI's streams must be `Send` but never leave the thread of their
    /// store; the wrapper checks that.
    metrics: SendWrapper<Rc<HandlerMetrics>>,
}

impl GuestLog {
    /// Logs a line that was begun and not ended.
    pub(super) fn end_line(&self) {
        let partial = {
            let lines = &self.log.lines;
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut lines.partial)
        };
        if !partial.is_empty() {
            self.log(&partial);
        }
    }

    fn take(&self, bytes: &[u8]) {
        let lines = &self.log.lines;
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = lines.dropped;
        lines.take(
            Instant::now(),
            bytes,
            |line| self.log(line),
            |dropped| self.log_dropped(dropped),
        );
        if lines.dropped > dropped {
            self.metrics.note_limit(Limit::LogBytes);
        }
    }

    fn log(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        // What parts paragraphs on a terminal is a record of nothing in a log.
        if text.trim().is_empty() {
            return;
        }
        let Some(left_out) = self.metrics.take_log_line(clock::now()) else {
            return;
        };
        let OutputLog {
            handler, stream, ..
        } = &self.log;
        if left_out > 0 {
            tracing::warn!(
                target: "wsrun::guest", %handler, left_out,
                "handler wrote more lines than {}; so many were left out before this one",
                Setting("traffic.log_lines_per_second_max")
            );
        }
        tracing::info!(target: "wsrun::guest", %handler, stream, "{}", Line(text));
    }

    fn log_dropped(&self, dropped: u64) {
        tracing::warn!(
            target: "wsrun::guest", handler = %self.log.handler, stream = self.log.stream, dropped_bytes = dropped,
            "handler wrote more than {BYTES_PER_SECOND_MAX} bytes a second; some were dropped"
        );
    }
}

struct Lines {
    partial: Vec<u8>,
    allowance: usize,
    refilled: Instant,
    dropped: u64,
}

impl Lines {
    fn take(
        &mut self,
        now: Instant,
        mut bytes: &[u8],
        mut log: impl FnMut(&[u8]),
        mut log_dropped: impl FnMut(u64),
    ) {
        let passed = now
            .saturating_duration_since(self.refilled)
            .min(Duration::from_secs(60));
        let earned = usize::try_from(passed.as_millis())
            .unwrap_or(usize::MAX)
            .saturating_mul(BYTES_PER_SECOND_MAX)
            / 1_000;
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(BURST_BYTES_MAX);
            self.refilled = now;
        }
        if self.dropped > 0 && self.allowance >= LINE_BYTES_MAX {
            log_dropped(std::mem::take(&mut self.dropped));
        }
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.partial.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n');
            let (piece, rest) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..]),
                None => bytes.split_at(room.min(bytes.len())),
            };
            self.partial.extend_from_slice(piece);
            bytes = rest;
            if end.is_some() || self.partial.len() == LINE_BYTES_MAX {
                let cost = self.partial.len() + 1;
                if cost <= self.allowance {
                    self.allowance -= cost;
                    log(&self.partial);
                } else {
                    self.dropped += cost as u64;
                }
                self.partial.clear();
            }
        }
    }
}

impl IsTerminal for GuestLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for GuestLog {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.take(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

impl OutputStream for GuestLog {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(BYTES_PER_SECOND_MAX)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for GuestLog {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines {
            partial: Vec::new(),
            allowance: BURST_BYTES_MAX,
            refilled: Instant::now(),
            dropped: 0,
        }
    }

    #[test]
    fn lines_are_cut_at_newlines_and_at_the_limit() {
        let mut logged: Vec<usize> = Vec::new();
        let mut lines = lines();
        let now = Instant::now();
        lines.take(now, b"a", |line| logged.push(line.len()), |_| {});
        lines.take(now, b"bc\n\nd", |line| logged.push(line.len()), |_| {});
        lines.take(
            now,
            &vec![b'x'; LINE_BYTES_MAX],
            |line| logged.push(line.len()),
            |_| {},
        );
        assert_eq!(logged, [3, 0, LINE_BYTES_MAX]);
        assert_eq!(lines.partial.len(), 1);
    }

    #[test]
    fn flood_is_dropped_and_counted() {
        let mut logged = 0;
        let mut told = 0;
        let mut lines = lines();
        let now = lines.refilled;
        for _ in 0..1_000 {
            lines.take(now, &[b'x'; 1_023], |_| {}, |_| {});
            lines.take(now, b"\n", |line| logged += line.len() + 1, |_| {});
        }
        assert_eq!(logged, BURST_BYTES_MAX);
        lines.take(
            now + Duration::from_secs(1),
            b"y\n",
            |_| {},
            |dropped| told = dropped,
        );
        assert_eq!(told, 1_000 * 1_024 - BURST_BYTES_MAX as u64);
    }
}
