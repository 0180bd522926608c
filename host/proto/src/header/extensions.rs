//! The grammar of `Sec-WebSocket-Extensions`: RFC 6455, 9.1.

use std::borrow::Cow;

use thiserror::Error;

use super::token::{is_token, is_token_byte};

/// One extension of the list, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension<'a> {
    /// The registered name.
    pub name: &'a str,
    /// The parameters in their order, repeated ones included.
    pub parameters: Vec<Parameter<'a>>,
}

/// A parameter of an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The name.
    pub name: &'a str,
    /// The value without quotes, if there is one.
    pub value: Option<Cow<'a, str>>,
}

/// The error for a value that does not follow the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("extensions are malformed")]
pub struct MalformedExtensions;

/// Reads one header value, in time linear in its length.
///
/// # Errors
///
/// Fails if any part of the value does not follow the grammar, because no extension of an
/// unreadable list can be agreed to.
pub fn parse(value: &str) -> Result<Vec<Extension<'_>>, MalformedExtensions> {
    let mut rest = Cursor(value);
    let mut extensions = Vec::new();
    loop {
        rest.skip_space();
        if rest.take(b',') {
            continue;
        }
        if rest.0.is_empty() {
            break;
        }
        let name = rest.token()?;
        let mut parameters = Vec::new();
        rest.skip_space();
        while rest.take(b';') {
            rest.skip_space();
            parameters.push(rest.parameter()?);
            rest.skip_space();
        }
        extensions.push(Extension { name, parameters });
        if !rest.0.is_empty() && !rest.take(b',') {
            return Err(MalformedExtensions);
        }
    }
    Ok(extensions)
}

/// The part of the value that was not read yet.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(char::from(byte));
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn token(&mut self) -> Result<&'a str, MalformedExtensions> {
        let end = self
            .0
            .bytes()
            .position(|byte| !is_token_byte(byte))
            .unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at_checked(end).ok_or(MalformedExtensions)?;
        self.0 = rest;
        if token.is_empty() {
            Err(MalformedExtensions)
        } else {
            Ok(token)
        }
    }

    fn parameter(&mut self) -> Result<Parameter<'a>, MalformedExtensions> {
        let name = self.token()?;
        self.skip_space();
        if !self.take(b'=') {
            return Ok(Parameter { name, value: None });
        }
        self.skip_space();
        let value = if self.take(b'"') {
            Cow::Owned(self.quoted()?)
        } else {
            Cow::Borrowed(self.token()?)
        };
        Ok(Parameter {
            name,
            value: Some(value),
        })
    }

    /// Reads a value in quotes.
    ///
    /// RFC 6455, 9.1: "When using the quoted-string syntax variant, the value after quoted-string
    /// unescaping MUST conform to the 'token' ABNF."
    fn quoted(&mut self) -> Result<String, MalformedExtensions> {
        let mut value = String::new();
        let mut characters = self.0.chars();
        loop {
            match characters.next().ok_or(MalformedExtensions)? {
                '"' => break,
                '\\' => value.push(characters.next().ok_or(MalformedExtensions)?),
                character => value.push(character),
            }
        }
        self.0 = characters.as_str();
        if is_token(&value) {
            Ok(value)
        } else {
            Err(MalformedExtensions)
        }
    }
}
