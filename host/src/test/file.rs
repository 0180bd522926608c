//! Scenario files: parses TOML into steps.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::effect::{Answer, Effect, Sent};
use super::peer::{check_handshake, check_plain_request, handshake};

/// The reason why a file is not a scenario.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
    /// The file is not TOML, or has a key or a type of value that scenarios do not have.
    #[error("{}: {text}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The place and the reason, over several lines.
        text: String,
    },
    /// A step contradicts itself.
    #[error("{}, step {step} (line {line}): {text}", .file.display())]
    Step {
        /// The file.
        file: PathBuf,
        /// The number of the step, from 1.
        step: usize,
        /// The line at which the step begins.
        line: usize,
        /// The reason.
        text: String,
    },
}

/// A scenario as its file describes it: events that go in and effects that are expected.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub(super) file: PathBuf,
    pub(super) about: String,
    pub(super) config: BTreeMap<String, String>,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) action: Action,
    /// The expected effects in their order, each with the name of its connection.
    pub(super) expected: Vec<(String, Effect)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Connect {
        name: String,
        path: String,
        subprotocols: Vec<String>,
        headers: Vec<(String, String)>,
    },
    Send {
        from: String,
        what: Sent,
    },
    Advance(Duration),
    Request {
        method: String,
        target: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
}

/// The most bytes of a scenario, which is read as a whole.
const SCENARIO_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The name under which the answer to a request appears.
pub(super) const ANSWER: &str = "the request";

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    ///
    /// See [`FileError`]. Every text names the file and the position in it.
    pub fn load(file: impl AsRef<Path>) -> Result<Self, FileError> {
        let file = file.as_ref();
        let bytes = wsrun_os::file::read(file, SCENARIO_BYTES_MAX).map_err(io::Error::from);
        let text = bytes.and_then(|bytes| {
            let text = String::from_utf8(bytes);
            text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        });
        let text = text.map_err(|cause| FileError::Unreadable {
            file: file.to_owned(),
            cause,
        })?;
        Self::parse(file, &text)
    }

    /// Parses a scenario from its text. Errors name it as `file`.
    ///
    /// # Errors
    ///
    /// Fails as [`load`](Self::load) does.
    pub fn parse(file: impl Into<PathBuf>, text: &str) -> Result<Self, FileError> {
        let file = file.into();
        let malformed = |text: String| FileError::Malformed {
            file: file.clone(),
            text,
        };
        let read: ScenarioText =
            toml::from_str(text).map_err(|error| malformed(error.to_string().trim_end().into()))?;
        if read.step.is_empty() {
            return Err(malformed("a scenario has at least one [[step]]".into()));
        }
        let mut steps = Vec::new();
        let mut known: Vec<String> = Vec::new();
        for (position, step) in read.step.into_iter().enumerate() {
            let line = line_of(text, &step.span());
            let step = step.into_inner().check(line, &mut known);
            steps.push(step.map_err(|text| FileError::Step {
                file: file.clone(),
                step: position + 1,
                line,
                text,
            })?);
        }
        Ok(Self {
            file,
            about: read.about,
            config: read.config,
            steps,
        })
    }

    /// Returns the subject of the scenario, in a line.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Returns the file of the scenario.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or_default();
    before.matches('\n').count() + 1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioText {
    about: String,
    /// The values that the handler gets with `host-info.config`.
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    step: Vec<Spanned<StepText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepText {
    connect: Option<String>,
    path: Option<String>,
    subprotocols: Option<Vec<String>>,
    headers: Option<BTreeMap<String, String>>,
    from: Option<String>,
    text: Option<String>,
    binary: Option<String>,
    ping: Option<String>,
    pong: Option<String>,
    close: Option<u16>,
    reason: Option<String>,
    cut: Option<bool>,
    advance: Option<String>,
    request: Option<String>,
    body: Option<String>,
    #[serde(default)]
    expect: Vec<ExpectText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectText {
    to: Option<String>,
    text: Option<String>,
    binary: Option<String>,
    ping: Option<String>,
    pong: Option<String>,
    close: Option<u16>,
    reason: Option<String>,
    cut: Option<bool>,
    refused: Option<u16>,
    subprotocol: Option<String>,
    status: Option<u16>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
}

impl StepText {
    fn check(mut self, line: usize, known: &mut Vec<String>) -> Result<Step, String> {
        let given = [
            ("connect", self.connect.is_some()),
            ("from", self.from.is_some()),
            ("advance", self.advance.is_some()),
            ("request", self.request.is_some()),
        ];
        let action = match one_of("a step", &given)? {
            "connect" => self.connect(known)?,
            "from" => self.send(known)?,
            "advance" => {
                let time = self.advance.take().unwrap_or_default();
                Action::Advance(duration(&time)?)
            }
            _ => self.request()?,
        };
        self.nothing_left(&action)?;
        let default = match &action {
            Action::Connect { name, .. } => Some(name.as_str()),
            Action::Send { from, .. } => Some(from.as_str()),
            Action::Advance(_) | Action::Request { .. } => None,
        };
        let is_request = matches!(action, Action::Request { .. });
        let mut expected = Vec::new();
        for (position, item) in std::mem::take(&mut self.expect).into_iter().enumerate() {
            let item = item.check(default, is_request, known);
            expected.push(item.map_err(|text| format!("expect, item {}: {text}", position + 1))?);
        }
        Ok(Step {
            line,
            action,
            expected,
        })
    }

    fn connect(&mut self, known: &mut Vec<String>) -> Result<Action, String> {
        let name = self.connect.take().unwrap_or_default();
        if name.is_empty() {
            return Err("connect names the connection, as in connect = \"ann\"".into());
        }
        if known.contains(&name) {
            return Err(format!(
                "there is a connection {name:?} already; give each its own name"
            ));
        }
        known.push(name.clone());
        let path = self.path.take().unwrap_or_else(|| "/".into());
        if !path.starts_with('/') {
            return Err(format!("path {path:?} does not begin with /"));
        }
        let subprotocols = self.subprotocols.take().unwrap_or_default();
        let headers = self.headers();
        check_handshake(handshake(&path, &subprotocols, &headers))?;
        Ok(Action::Connect {
            name,
            path,
            subprotocols,
            headers,
        })
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let headers = self.headers.take().unwrap_or_default();
        headers.into_iter().collect()
    }

    fn send(&mut self, known: &[String]) -> Result<Action, String> {
        let from = self.from.take().unwrap_or_default();
        if !known.contains(&from) {
            return Err(unknown(&from, known));
        }
        let given = [
            ("text", self.text.is_some()),
            ("binary", self.binary.is_some()),
            ("ping", self.ping.is_some()),
            ("pong", self.pong.is_some()),
            ("close", self.close.is_some()),
            ("cut", self.cut.is_some()),
        ];
        let what = match one_of("a step with `from`", &given)? {
            "text" => Sent::Text(self.text.take().unwrap_or_default()),
            "binary" => Sent::Binary(hex(&self.binary.take().unwrap_or_default())?),
            "ping" => Sent::Ping(control(&self.ping.take().unwrap_or_default())?),
            "pong" => Sent::Pong(control(&self.pong.take().unwrap_or_default())?),
            "close" => Sent::Close {
                code: self.close.take().unwrap_or_default(),
                reason: self.reason.take().unwrap_or_default(),
            },
            _ if self.cut.take() == Some(true) => Sent::Cut,
            _ => return Err("cut = false says nothing: leave it out".into()),
        };
        Ok(Action::Send { from, what })
    }

    fn request(&mut self) -> Result<Action, String> {
        let request = self.request.take().unwrap_or_default();
        let (method, target) = request
            .split_once(' ')
            .filter(|(_, target)| target.starts_with('/'))
            .ok_or_else(|| {
                format!("request {request:?} is not a method and a path, as in \"GET /\"")
            })?;
        let headers = self.headers();
        check_plain_request(method, target, &headers)?;
        Ok(Action::Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body: self.body.take().unwrap_or_default().into_bytes(),
        })
    }

    /// Fails when a key is left that does not belong to the action.
    fn nothing_left(&self, action: &Action) -> Result<(), String> {
        let of = match action {
            Action::Connect { .. } => "connect",
            Action::Send { .. } => "from",
            Action::Advance(_) => "advance",
            Action::Request { .. } => "request",
        };
        let left = [
            ("path", self.path.is_some()),
            ("subprotocols", self.subprotocols.is_some()),
            ("headers", self.headers.is_some()),
            ("text", self.text.is_some()),
            ("binary", self.binary.is_some()),
            ("ping", self.ping.is_some()),
            ("pong", self.pong.is_some()),
            ("close", self.close.is_some()),
            ("reason", self.reason.is_some()),
            ("cut", self.cut.is_some()),
            ("body", self.body.is_some()),
        ];
        match left.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!("{name} does not go with {of}")),
            None => Ok(()),
        }
    }
}

impl ExpectText {
    fn check(
        self,
        default: Option<&str>,
        is_request: bool,
        known: &[String],
    ) -> Result<(String, Effect), String> {
        let given = [
            ("text", self.text.is_some()),
            ("binary", self.binary.is_some()),
            ("ping", self.ping.is_some()),
            ("pong", self.pong.is_some()),
            ("close", self.close.is_some()),
            ("cut", self.cut == Some(true)),
            ("refused", self.refused.is_some()),
            ("subprotocol", self.subprotocol.is_some()),
            ("status", self.status.is_some()),
        ];
        let kind = one_of("an effect", &given)?;
        if self.reason.is_some() && kind != "close" {
            return Err(format!("reason does not go with {kind}"));
        }
        if (self.headers.is_some() || self.body.is_some()) && kind != "status" {
            return Err(format!("headers and body do not go with {kind}"));
        }
        if kind == "status" {
            if !is_request {
                return Err("status is what a step with `request` is answered".into());
            }
            let answer = Answer {
                status: self.status.unwrap_or_default(),
                headers: self.headers.unwrap_or_default().into_iter().collect(),
                body: self.body.map(String::into_bytes),
            };
            return Ok((ANSWER.to_owned(), Effect::Answered(answer)));
        }
        let to = match (self.to, default) {
            (Some(to), _) if known.contains(&to) => to,
            (Some(to), _) => return Err(unknown(&to, known)),
            (None, Some(default)) => default.to_owned(),
            (None, None) => return Err("to is missing: which connection gets it?".into()),
        };
        let effect = match kind {
            "text" => Effect::Text(self.text.unwrap_or_default()),
            "binary" => Effect::Binary(hex(&self.binary.unwrap_or_default())?),
            "ping" => Effect::Ping(control(&self.ping.unwrap_or_default())?),
            "pong" => Effect::Pong(control(&self.pong.unwrap_or_default())?),
            "close" => Effect::Close {
                code: self.close.unwrap_or_default(),
                reason: self.reason.unwrap_or_default(),
            },
            "cut" => Effect::Cut,
            "refused" => Effect::Refused(self.refused.unwrap_or_default()),
            _ => Effect::Subprotocol(self.subprotocol.unwrap_or_default()),
        };
        Ok((to, effect))
    }
}

fn unknown(name: &str, known: &[String]) -> String {
    match known {
        [] => format!("there is no connection {name:?} yet: connect it in a step before"),
        known => format!(
            "there is no connection {name:?}; there are: {}",
            known.join(", ")
        ),
    }
}

/// Returns the one name that is given. Fails when there is none or more than one.
fn one_of<'a>(what: &str, given: &[(&'a str, bool)]) -> Result<&'a str, String> {
    let mut names = given.iter().filter(|(_, given)| *given);
    match (names.next(), names.next()) {
        (Some((name, _)), None) => Ok(name),
        (Some((one, _)), Some((other, _))) => {
            Err(format!("{what} has either {one} or {other}, not both"))
        }
        (None, _) => {
            let all: Vec<_> = given.iter().map(|(name, _)| *name).collect();
            Err(format!("{what} has one of: {}", all.join(", ")))
        }
    }
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("{text:?} is not hexadecimal: two digits for each byte, as in \"00ff\"");
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    let bytes = digits.chunks(2).map(|pair| {
        let high = pair[0].to_digit(16)?;
        let low = pair[1].to_digit(16)?;
        u8::try_from(high * 16 + low).ok()
    });
    bytes.collect::<Option<_>>().ok_or_else(wrong)
}

/// Parses the payload of a ping or pong.
fn control(text: &str) -> Result<Vec<u8>, String> {
    let payload = hex(text)?;
    match payload.len() {
        0..=125 => Ok(payload),
        length => Err(format!(
            "a payload of {length} bytes; pings and pongs have at most 125"
        )),
    }
}

/// Parses a time: `500ms`, `5s`, `2m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("advance {text:?} is not a time, as in \"500ms\", \"5s\", \"2m\", \"1h\"");
    let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..end].parse().map_err(|_| wrong())?;
    let millis = match &text[end..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(millis).ok_or_else(wrong)?;
    match Duration::from_millis(millis) {
        time if time <= ADVANCE_MAX => Ok(time),
        _ => Err(format!("advance {text:?}: at most 366 days")),
    }
}

const ADVANCE_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str) -> String {
        let error = Scenario::parse("x.toml", text).expect_err("it is no scenario");
        error.to_string()
    }

    #[test]
    fn what_is_no_scenario_is_told_by_step_and_line() {
        let head = "about = \"x\"\n[[step]]\nconnect = \"ann\"\n";
        for (text, expected) in [
            ("about = \"x\"\n", "at least one [[step]]"),
            ("about = \"x\"\nsteps = 1\n", "unknown field `steps`"),
            ("about = 1\n[[step]]\nadvance = \"1s\"", "expected a string"),
            (
                &format!("{head}[[step]]\nfrom = \"bob\"\ntext = \"\""),
                "step 2 (line 4): there is no connection \"bob\"; there are: ann",
            ),
            (
                &format!("{head}[[step]]\nfrom = \"ann\""),
                "has one of: text, binary",
            ),
            (
                &format!("{head}[[step]]\nfrom = \"ann\"\ntext = \"\"\nbinary = \"\""),
                "either text or binary",
            ),
            (
                &format!("{head}[[step]]\nfrom = \"ann\"\nbinary = \"0\""),
                "not hexadecimal",
            ),
            (&format!("{head}[[step]]\nadvance = \"5\""), "not a time"),
            (
                &format!("{head}[[step]]\nadvance = \"5s\"\ntext = \"a\""),
                "text does not go with advance",
            ),
            (
                &format!("{head}[[step]]\nadvance = \"5s\"\nexpect = [{{ text = \"a\" }}]"),
                "to is missing",
            ),
            (&format!("{head}[[step]]\nconnect = \"ann\""), "already"),
            (
                "about = \"x\"\n[[step]]\nconnect = \"ann\"\nsubprotocols = [\"a\", \"a\"]\nexpect = [{ refused = 400 }]",
                "step 1 (line 2): subprotocol cannot be sent",
            ),
            (
                "about = \"x\"\n[[step]]\nconnect = \"ann\"\npath = \"/a b\"\nexpect = [{ refused = 400 }]",
                "path cannot be sent",
            ),
            (
                "about = \"x\"\n[[step]]\nconnect = \"ann\"\nheaders = { Upgrade = \"x\" }\nexpect = [{ refused = 400 }]",
                "header cannot be sent",
            ),
            (
                "about = \"x\"\n[[step]]\nrequest = \"GET /a\"\nheaders = { \"a b\" = \"c\" }\nexpect = [{ status = 400 }]",
                "\"a b\" is not the name of a header",
            ),
            (
                "about = \"x\"\n[[step]]\nrequest = \"GET /a\"\nheaders = { a = \"b\\r\\nc: d\" }\nexpect = [{ status = 200 }]",
                "the value of a has line ends",
            ),
            (
                "about = \"x\"\n[[step]]\nrequest = \"GET /a b\"\nexpect = [{ status = 400 }]",
                "is not a path",
            ),
            (
                &format!("{head}expect = [{{ status = 200 }}]"),
                "status is what a step with `request`",
            ),
        ] {
            let told = refused(text);
            assert!(
                told.contains(expected) && told.starts_with("x.toml"),
                "{told}"
            );
        }
    }

    #[test]
    fn expected_effects_go_to_the_connection_of_the_step_unless_they_say_otherwise() {
        let text = "about = \"x\"\n[[step]]\nconnect = \"ann\"\n[[step]]\nconnect = \"bob\"\n\
                    expect = [{ text = \"a\" }, { to = \"ann\", binary = \"00 fF\" }]\n";
        let scenario = Scenario::parse("x.toml", text).expect("it is a scenario");
        let expected = &scenario.steps[1].expected;
        assert_eq!(expected[0], ("bob".into(), Effect::Text("a".into())));
        assert_eq!(expected[1], ("ann".into(), Effect::Binary(vec![0, 255])));
    }
}
