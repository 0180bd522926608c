//! Redaction of header fields whose values are not written to a tape.

/// The names of header fields that carry credentials.
pub const DEFAULT: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
];

/// The names of the redacted header fields, in lower case.
#[derive(Clone, Debug, Default)]
pub struct Redaction(Vec<String>);

impl Redaction {
    pub fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_lowercase()).collect())
    }

    pub fn names(&self) -> &[String] {
        &self.0
    }

    pub fn covers(&self, name: &str) -> bool {
        self.0.iter().any(|of| of.eq_ignore_ascii_case(name))
    }
}

/// Returns a placeholder as long as the value, so that lengths and limits come out the same in a
/// replay.
pub fn placeholder(length: usize) -> String {
    "*".repeat(length)
}
