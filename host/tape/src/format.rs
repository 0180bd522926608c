//! The lines of a tape: JSON, one object per line. The number of an event is the number of its
//! line. Line 1 is the header.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use wsrun_contract::{HandlerLimits, Setting};

/// The format that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The most bytes of a line, and so of what one callback may put on a tape.
pub const LINE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The event of a new instance, with the calls that it made while it started.
pub const NEW: &str = "instance.new";
/// The event of an instance that has ended.
pub const GONE: &str = "instance.gone";

/// The first line of a tape.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Header {
    /// The number of the format.
    #[serde(rename = "wsrun-tape")]
    pub format: u32,
    /// The version of the host that wrote the tape.
    pub wsrun: String,
    /// The start of the recording, in milliseconds of Unix time.
    pub started_ms: u64,
    pub workers: u16,
    /// The handlers that were served at first. Later versions appear with their instances.
    pub handlers: Vec<Served>,
    /// The names of the header fields whose values are not on the tape.
    pub redacted: Vec<String>,
    pub limits: TapeLimits,
}

/// A handler at the beginning of a tape.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Served {
    pub name: String,
    pub file: String,
    pub sha256: String,
}

/// The limits that decide what an instance can do by itself. Every other limit shows in an answer
/// of the host.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct TapeLimits {
    wasm_stack_bytes_max: usize,
    memory_bytes_max: usize,
    /// Bytes for all instances on one worker. The tape of an older wsrun has none, and the default
    /// applies.
    #[serde(default = "handler_memory_bytes_max")]
    handler_memory_bytes_max: usize,
    host_calls_max: u64,
    effect_bytes_max: usize,
    /// The most bytes of a message. A multiple of it limits the arguments of one call.
    #[serde(default = "sent_message_bytes_max")]
    sent_message_bytes_max: usize,
    callback_timeout_ms: u64,
    blocking_timeout_ms: u64,
}

fn handler_memory_bytes_max() -> usize {
    HandlerLimits::default().memory.handler_bytes_max
}

fn sent_message_bytes_max() -> usize {
    HandlerLimits::default().contract.sent_message_bytes_max
}

/// The factor by which a callback may take longer in a replay: the machine may be slower.
const TIMEOUT_FACTOR: u32 = 10;

impl TapeLimits {
    pub fn new(wasm_stack_bytes_max: usize, limits: &HandlerLimits) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            wasm_stack_bytes_max,
            memory_bytes_max: limits.memory.instance_bytes_max,
            handler_memory_bytes_max: limits.memory.handler_bytes_max,
            host_calls_max: limits.compute.host_calls_max,
            effect_bytes_max: limits.contract.effect_bytes_max,
            sent_message_bytes_max: limits.contract.sent_message_bytes_max,
            callback_timeout_ms: millis(limits.compute.callback_timeout),
            blocking_timeout_ms: millis(limits.compute.blocking_timeout),
        }
    }

    /// Returns the bytes of the stack of a callback.
    pub fn wasm_stack_bytes_max(&self) -> usize {
        self.wasm_stack_bytes_max
    }

    /// Returns the limits that replay a tape of so many workers. In a replay all instances
    /// are on one worker.
    pub fn for_replay(&self, workers: u16) -> HandlerLimits {
        let mut handler_limits = HandlerLimits::default();
        let HandlerLimits {
            compute,
            memory,
            contract,
            ..
        } = &mut handler_limits;
        memory.instance_bytes_max = self.memory_bytes_max;
        memory.handler_bytes_max = self
            .handler_memory_bytes_max
            .saturating_mul(usize::from(workers.max(1)));
        contract.effect_bytes_max = self.effect_bytes_max;
        contract.sent_message_bytes_max = self.sent_message_bytes_max;
        compute.host_calls_max = self.host_calls_max;
        compute.callback_timeout =
            Duration::from_millis(self.callback_timeout_ms).saturating_mul(TIMEOUT_FACTOR);
        compute.blocking_timeout =
            Duration::from_millis(self.blocking_timeout_ms).saturating_mul(TIMEOUT_FACTOR);
        handler_limits
    }
}

/// A callback, with all that host and instance exchanged while it ran.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Milliseconds since the start of the recording.
    pub at_ms: u64,
    pub worker: u16,
    /// The number of the instance, unique on the tape.
    pub instance: u64,
    pub event: String,
    pub args: Value,
    pub calls: Vec<Call>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The arguments of [`NEW`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Made {
    pub handler: String,
    pub sha256: String,
    pub exports: Vec<String>,
}

/// The end of a callback.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Returned(Value),
    /// The callback trapped, for this reason.
    Trapped(String),
    /// The host stopped the callback, for this reason: it had computed or waited for too long. That
    /// is a matter of time and not of the recorded answers.
    Stopped(String),
}

/// A call of an import.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Call {
    pub call: String,
    pub args: Value,
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answer of the host to a call.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Gave(Value),
    /// The call broke the contract and trapped.
    Trapped(String),
}

/// The last line of a tape, with the reason why there is nothing more.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct End {
    pub end: EndReason,
    pub text: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EndReason {
    /// The server ended.
    Stopped,
    /// The tape was full.
    Full,
    /// The disk was slower than the traffic.
    Behind,
    /// One callback was larger than a line may be.
    Large,
}

/// Writes an entry. The calls are JSON text already.
pub fn entry(
    at_ms: u64,
    (worker, instance): (u16, u64),
    (event, args): (&str, &str),
    calls: &str,
    outcome: &Outcome,
) -> String {
    let mut line = String::with_capacity(args.len() + calls.len() + 160);
    let (key, value) = match outcome {
        Outcome::Returned(value) => ("returned", value.to_string()),
        Outcome::Trapped(text) => ("trapped", Value::from(text.as_str()).to_string()),
        Outcome::Stopped(text) => ("stopped", Value::from(text.as_str()).to_string()),
    };
    let _ = write!(
        line,
        r#"{{"at_ms":{at_ms},"worker":{worker},"instance":{instance},"event":"{event}","args":{args},"calls":[{calls}],"{key}":{value}}}"#
    );
    line
}

/// A line after the first.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Entry(Box<Entry>),
    End(End),
    /// The last line is not whole: its writer was killed, or is still writing.
    CutOff,
}

/// The reason why a file cannot be read as a tape.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    #[error("cannot read {file}: {cause}")]
    Unreadable { file: String, cause: std::io::Error },
    #[error("{file} is not a tape of `wsrun {record}`: its first line is not a header ({cause})", record = Setting("record"))]
    NoTape { file: String, cause: String },
    #[error(
        "{file} is a tape of format {format}, and this wsrun reads format {FORMAT}: use the wsrun that it was recorded with, {wsrun}"
    )]
    Format {
        file: String,
        format: u32,
        wsrun: String,
    },
    #[error("{file}, line {line}: {cause}; the tape is damaged")]
    Damaged {
        file: String,
        line: u64,
        cause: String,
    },
}

/// A reader of a tape, line by line.
#[derive(Debug)]
pub struct Reader {
    file: String,
    input: BufReader<std::fs::File>,
    /// The number of the line that was read last.
    number: u64,
    text: Vec<u8>,
}

impl Reader {
    /// Opens a tape and reads its header.
    pub fn open(path: &Path) -> Result<(Self, Header), TapeError> {
        let file = path.display().to_string();
        let unreadable = |cause| TapeError::Unreadable {
            file: file.clone(),
            cause,
        };
        let (input, _) = wsrun_os::file::open(path).map_err(unreadable)?;
        let mut reader = Self {
            file: file.clone(),
            input: BufReader::with_capacity(256 * 1024, input),
            number: 0,
            text: Vec::new(),
        };
        let whole = reader.read_line()?;
        let no_tape = |cause: String| TapeError::NoTape {
            file: file.clone(),
            cause,
        };
        if !whole {
            return Err(no_tape("it is empty, or has no whole line".into()));
        }
        /// The part of the header that every format has.
        #[derive(Deserialize)]
        struct Any {
            #[serde(rename = "wsrun-tape")]
            format: u32,
            #[serde(default)]
            wsrun: String,
        }
        let any: Any =
            serde_json::from_slice(&reader.text).map_err(|error| no_tape(error.to_string()))?;
        if any.format != FORMAT {
            return Err(TapeError::Format {
                file,
                format: any.format,
                wsrun: any.wsrun,
            });
        }
        let header =
            serde_json::from_slice(&reader.text).map_err(|error| no_tape(error.to_string()))?;
        Ok((reader, header))
    }

    /// Returns the number of the line that was read last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads the next line. Returns none at the end of the tape.
    pub fn next_line(&mut self) -> Result<Option<Line>, TapeError> {
        let whole = self.read_line()?;
        if self.text.is_empty() {
            return Ok(None);
        }
        if !whole {
            return Ok(Some(Line::CutOff));
        }
        let line = if self.text.starts_with(br#"{"end""#) {
            serde_json::from_slice(&self.text).map(Line::End)
        } else {
            serde_json::from_slice(&self.text).map(|entry| Line::Entry(Box::new(entry)))
        };
        line.map(Some)
            .map_err(|error| self.damaged(error.to_string()))
    }

    pub fn damaged(&self, cause: String) -> TapeError {
        TapeError::Damaged {
            file: self.file.clone(),
            line: self.number,
            cause,
        }
    }

    /// Reads a line into `text`. Returns true when the line is whole.
    fn read_line(&mut self) -> Result<bool, TapeError> {
        self.text.clear();
        self.number += 1;
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = (&mut self.input)
            .take(limit)
            .read_until(b'\n', &mut self.text);
        read.map_err(|cause| TapeError::Unreadable {
            file: self.file.clone(),
            cause,
        })?;
        if self.text.len() as u64 == limit {
            return Err(self.damaged(format!("it has more than {LINE_BYTES_MAX} bytes")));
        }
        Ok(self.text.ends_with(b"\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            format: FORMAT,
            wsrun: "0.1.0".into(),
            started_ms: 1,
            workers: 1,
            handlers: Vec::new(),
            redacted: Vec::new(),
            limits: TapeLimits::new(512 * 1024, &HandlerLimits::default()),
        }
    }

    fn tape(content: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn entry_that_is_written_is_read() {
        let call = Call {
            call: "connections.send".into(),
            args: serde_json::json!([7, {"text": "hi"}]),
            answer: Answer::Gave(Value::Null),
        };
        let calls = serde_json::to_string(&call).unwrap();
        for outcome in [
            Outcome::Returned(Value::Null),
            Outcome::Trapped("wasm `unreachable`\n".into()),
            Outcome::Stopped("late".into()),
        ] {
            let text = entry(5, (1, 2), ("handler.opened", "[7]"), &calls, &outcome);
            let read: Entry = serde_json::from_str(&text).unwrap();
            let written = Entry {
                at_ms: 5,
                worker: 1,
                instance: 2,
                event: "handler.opened".into(),
                args: serde_json::json!([7]),
                calls: vec![call.clone()],
                outcome,
            };
            assert_eq!(read, written);
        }
    }

    #[test]
    fn line_without_its_end_is_cut_off() {
        let header = serde_json::to_string(&header()).unwrap();
        let whole = entry(
            0,
            (0, 1),
            (GONE, "null"),
            "",
            &Outcome::Returned(Value::Null),
        );
        let (_folder, path) = tape(&format!("{header}\n{whole}\n{{\"at_ms\":1,"));
        let (mut reader, _) = Reader::open(&path).unwrap();
        assert!(matches!(reader.next_line(), Ok(Some(Line::Entry(_)))));
        assert_eq!(reader.next_line().unwrap(), Some(Line::CutOff));
        assert_eq!(reader.number(), 3);
    }

    #[test]
    fn line_that_is_no_entry_is_told_by_its_number() {
        let header = serde_json::to_string(&header()).unwrap();
        let (_folder, path) = tape(&format!("{header}\nnonsense\n"));
        let (mut reader, _) = Reader::open(&path).unwrap();
        let error = reader.next_line().unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn limits_come_back_and_older_tapes_have_the_defaults() {
        let mut limits = HandlerLimits::default();
        limits.contract.sent_message_bytes_max = 12_345;
        limits.memory.handler_bytes_max = 1 << 30;
        let mut json = serde_json::to_value(TapeLimits::new(512 * 1024, &limits)).unwrap();
        let read: TapeLimits = serde_json::from_value(json.clone()).unwrap();
        let replayed = read.for_replay(3);
        assert_eq!(replayed.contract.sent_message_bytes_max, 12_345);
        assert_eq!(replayed.memory.handler_bytes_max, 3 << 30);
        let map = json.as_object_mut().unwrap();
        map.remove("sent_message_bytes_max").unwrap();
        map.remove("handler_memory_bytes_max").unwrap();
        let read: TapeLimits = serde_json::from_value(json).unwrap();
        let replayed = read.for_replay(1);
        let default = HandlerLimits::default();
        assert_eq!(
            replayed.contract.sent_message_bytes_max,
            default.contract.sent_message_bytes_max
        );
        assert_eq!(
            replayed.memory.handler_bytes_max,
            default.memory.handler_bytes_max
        );
    }

    #[test]
    fn other_format_names_the_host_that_wrote_it() {
        let (_folder, path) = tape("{\"wsrun-tape\":9,\"wsrun\":\"3.4.5\"}\n");
        let error = Reader::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("format 9") && error.contains("3.4.5"),
            "{error}"
        );
    }
}
