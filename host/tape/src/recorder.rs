//! A tape that is being written: one for all workers, and a track for each instance.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::format::{
    Answer, Call, EndReason, FORMAT, GONE, Header, LINE_BYTES_MAX, Made, NEW, Outcome, Served,
    TapeLimits, entry,
};
use super::redact::Redaction;
use super::value::ToTape;
use super::writer::Writer;
use super::{RecordConfig, RecordError};
use wsrun_contract::{CallbackError, Capabilities};

/// Where every instance of a server is recorded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Writer,
    redaction: Redaction,
    started: Instant,
    instances: AtomicU64,
    /// What each instance that there is does just now. An instance may be held for longer than the tape is written.
    open: Mutex<BTreeMap<u64, Arc<Mutex<Open>>>>,
}

/// Ends a tape with the server.
#[derive(Debug)]
pub struct Finish(Recorder);

impl Drop for Finish {
    fn drop(&mut self) {
        let Recorder(inner) = &self.0;
        // Callbacks that the end of the server has cut off are on the tape as well: one of them may be why somebody looks at it.
        let open: Vec<_> = lock(&inner.open).values().map(Arc::clone).collect();
        for open in open {
            lock(&open).cut_off(&inner.writer, "its instance ended while it ran");
        }
        inner.writer.finish();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Makes the file and writes its header.
    pub fn create(
        record: &RecordConfig,
        workers: u16,
        limits: TapeLimits,
        handlers: Vec<Served>,
    ) -> Result<Self, RecordError> {
        let redaction = Redaction::new(&record.redacted);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let header = Header {
            format: FORMAT,
            wsrun: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX)),
            workers,
            handlers,
            redacted: redaction.names().to_vec(),
            limits,
        };
        let header = serde_json::to_string(&header).map_err(|error| RecordError::File {
            file: record.file.clone(),
            cause: error.into(),
        })?;
        let writer = Writer::create(&record.file, record.bytes_max, &header)?;
        Ok(Self(Arc::new(Inner {
            writer,
            redaction,
            started: Instant::now(),
            instances: AtomicU64::new(1),
            open: Mutex::default(),
        })))
    }

    /// Ends the tape when it is dropped: instances may hold it for longer.
    pub fn finish_later(&self) -> Finish {
        Finish(self.clone())
    }

    /// The track of a new instance; none when the tape has ended.
    pub fn track(
        &self,
        worker: u16,
        handler: &str,
        sha256: &str,
        exports: Capabilities,
    ) -> Option<Recording> {
        if !self.0.writer.is_on() {
            return None;
        }
        let instance = self.0.instances.fetch_add(1, Ordering::Relaxed);
        let open = Arc::new(Mutex::new(Open {
            worker,
            instance,
            runs: false,
            event: NEW,
            args: String::new(),
            calls: String::new(),
            at_ms: 0,
        }));
        lock(&self.0.open).insert(instance, Arc::clone(&open));
        let recording = Recording {
            recorder: self.clone(),
            instance,
            open,
        };
        let made = Made {
            handler: handler.to_owned(),
            sha256: sha256.to_owned(),
            exports: names(exports).into_iter().map(str::to_owned).collect(),
        };
        recording.begin_with(NEW, serde_json::to_string(&made).unwrap_or_default());
        Some(recording)
    }
}

/// The optional exports that a version has.
pub fn names(exports: Capabilities) -> Vec<&'static str> {
    let Capabilities {
        handshake,
        writable,
        chunks,
        packed,
        broadcast_filter,
        network_filter,
        http,
        reconnection,
        pong,
        timer_handler,
        lifecycle,
        wasi_http,
        plain_only: _,
    } = exports;
    let all = [
        (handshake, "handshake"),
        (writable, "writable"),
        (chunks, "chunks"),
        (packed, "packed"),
        (broadcast_filter, "broadcast-filter"),
        (network_filter, "network-filter"),
        (http, "http"),
        (reconnection, "reconnection"),
        (pong, "pong"),
        (timer_handler, "timer-handler"),
        (lifecycle, "lifecycle"),
        (wasi_http, "wasi:http/incoming-handler"),
    ];
    all.into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect()
}

/// The track of one instance: an entry is queued when its callback is over.
#[derive(Debug)]
pub struct Recording {
    recorder: Recorder,
    instance: u64,
    open: Arc<Mutex<Open>>,
}

/// The callback that runs, as far as it has come.
#[derive(Debug)]
struct Open {
    worker: u16,
    instance: u64,
    runs: bool,
    event: &'static str,
    args: String,
    /// JSON of the calls so far, with commas between them.
    calls: String,
    at_ms: u64,
}

impl Recording {
    pub fn redaction(&self) -> &Redaction {
        &self.recorder.0.redaction
    }

    /// Whether it is worth writing anything down.
    pub fn is_on(&self) -> bool {
        self.recorder.0.writer.is_on()
    }

    pub(super) fn begin(&self, event: &'static str, args: &impl ToTape) {
        if self.is_on() {
            let args = args.put(self.redaction()).to_string();
            self.begin_with(event, args);
        }
    }

    fn begin_with(&self, event: &'static str, args: String) {
        let mut open = lock(&self.open);
        open.runs = true;
        open.event = event;
        open.args = args;
        open.calls.clear();
        open.at_ms = self.now_ms();
    }

    /// An import was called, and answered.
    pub fn call(&self, call: &str, args: Value, answer: Answer) {
        if !self.is_on() {
            return;
        }
        let call = Call {
            call: call.to_owned(),
            args,
            answer,
        };
        let text = serde_json::to_string(&call).unwrap_or_default();
        let mut open = lock(&self.open);
        if open.calls.len() + text.len() + open.args.len() > LINE_BYTES_MAX {
            self.recorder.0.writer.end(EndReason::Large);
            return;
        }
        if !open.calls.is_empty() {
            open.calls.push(',');
        }
        open.calls.push_str(&text);
    }

    pub(super) fn end<T: ToTape>(&self, result: Result<&T, &CallbackError>) {
        if !self.is_on() {
            return;
        }
        let outcome = match result {
            Ok(value) => Outcome::Returned(value.put(self.redaction())),
            Err(error) => failed(error),
        };
        lock(&self.open).push(&self.recorder.0.writer, &outcome);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.recorder.0.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Open {
    /// Writes the callback down, unless it is written already.
    fn push(&mut self, writer: &Writer, outcome: &Outcome) {
        if !std::mem::take(&mut self.runs) {
            return;
        }
        let line = entry(
            self.at_ms,
            (self.worker, self.instance),
            (self.event, &self.args),
            &self.calls,
            outcome,
        );
        if line.len() >= LINE_BYTES_MAX {
            writer.end(EndReason::Large);
        }
        writer.push(line);
        self.calls.clear();
        self.calls.shrink_to(CALLS_BYTES_KEPT);
        self.args = String::new();
    }

    /// Writes down a callback that runs and will not be told as over.
    fn cut_off(&mut self, writer: &Writer, why: &str) {
        if self.runs && writer.is_on() {
            self.push(writer, &Outcome::Stopped(why.to_owned()));
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let inner = &self.recorder.0;
        lock(&inner.open).remove(&self.instance);
        if self.is_on() {
            lock(&self.open).cut_off(&inner.writer, "its instance ended while it ran");
            self.begin_with(GONE, "null".into());
            lock(&self.open).push(&inner.writer, &Outcome::Returned(Value::Null));
        }
    }
}

/// How a callback ended that did not return.
pub fn failed(error: &CallbackError) -> Outcome {
    match error {
        CallbackError::Trap { message, .. } => Outcome::Trapped(message.clone()),
        CallbackError::Types { .. } => Outcome::Trapped(error.to_string()),
        CallbackError::Deadline { .. }
        | CallbackError::Blocked { .. }
        | CallbackError::HostCalls { .. } => Outcome::Stopped(error.to_string()),
    }
}

/// One large callback must not hold its memory for ever.
const CALLS_BYTES_KEPT: usize = 64 * 1024;
