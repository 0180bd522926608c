//! The effects of a handler as a peer sees them.

use std::fmt;

/// Characters that are shown of a text and of a body, and bytes of a binary message.
const SHOWN_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The handshake was answered with this subprotocol; empty for none. Compared only where it is
    /// expected.
    Subprotocol(String),
    Refused(u16),
    /// The handshake was answered with something that a client does not accept. Never expected.
    NoHandshake(String),
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close {
        code: u16,
        reason: String,
    },
    /// The connection ended without a close frame.
    Cut,
    Answered(Answer),
}

/// The answer to a plain request, or the part of it that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// The body. None expects any body.
    pub(super) body: Option<Vec<u8>>,
}

impl Effect {
    /// Returns true when this is the expected effect.
    pub(super) fn is(&self, expected: &Self) -> bool {
        let (Self::Answered(got), Self::Answered(expected)) = (self, expected) else {
            return self == expected;
        };
        let has = |(name, value): &(String, String)| {
            got.headers
                .iter()
                .any(|(other, got)| other.eq_ignore_ascii_case(name) && got == value)
        };
        got.status == expected.status
            && expected.headers.iter().all(has)
            && (expected.body.is_none() || got.body == expected.body)
    }

    /// Returns an answer reduced to the parts that are expected.
    pub(super) fn beside(&self, expected: Option<&Self>) -> Self {
        let (Self::Answered(got), Some(Self::Answered(expected))) = (self, expected) else {
            return self.clone();
        };
        let mut got = got.clone();
        got.headers.retain(|(name, _)| {
            let mut names = expected.headers.iter();
            names.any(|(other, _)| other.eq_ignore_ascii_case(name))
        });
        if expected.body.is_none() {
            got.body = None;
        }
        Self::Answered(got)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subprotocol(name) if name.is_empty() => write!(f, "no subprotocol"),
            Self::Subprotocol(name) => write!(f, "subprotocol {name:?}"),
            Self::Refused(status) => write!(f, "refused with {status}"),
            Self::NoHandshake(why) => write!(f, "no handshake that a client takes: {}", shown(why)),
            Self::Text(text) => write!(f, "text {}", shown(text)),
            Self::Binary(bytes) => write!(f, "binary {}", hex(bytes)),
            Self::Ping(payload) => write!(f, "ping {}", hex(payload)),
            Self::Pong(payload) => write!(f, "pong {}", hex(payload)),
            Self::Close { code, reason } if reason.is_empty() => write!(f, "close {code}"),
            Self::Close { code, reason } => write!(f, "close {code} {}", shown(reason)),
            Self::Cut => write!(f, "cut"),
            Self::Answered(answer) => {
                write!(f, "status {}", answer.status)?;
                for (name, value) in &answer.headers {
                    write!(f, ", {name}: {}", shown(value))?;
                }
                match &answer.body {
                    None => Ok(()),
                    Some(body) => write!(f, ", body {}", shown(&String::from_utf8_lossy(body))),
                }
            }
        }
    }
}

/// Quotes a text. Characters that could move a cursor are escaped.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN_MAX).collect();
    match short.len() < text.len() {
        true => format!("{short:?}… ({} bytes)", text.len()),
        false => format!("{short:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(SHOWN_MAX)];
    let digits: String = short.iter().map(|byte| format!("{byte:02x}")).collect();
    match short.len() < bytes.len() {
        true => format!("\"{digits}\"… ({} bytes)", bytes.len()),
        false => format!("\"{digits}\""),
    }
}

/// The event that a step sends from a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close { code: u16, reason: String },
    Cut,
}
