//! Tokens and lists of header values: RFC 9110, 5.6.

/// Returns true if the text is a token: at least one character, and only those that are allowed
/// outside of quotes.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Returns true if a byte is allowed in a token.
pub fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// Splits a comma-separated list of tokens into its elements. Empty elements are skipped.
///
/// RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list
/// elements".
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Removes the white space around a value.
pub fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// Returns the values of a header in their order. The name is in lower case.
pub(crate) fn values<'a>(
    headers: &'a [(&'a str, &'a [u8])],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

/// Returns the values of a header as text, with `None` for each value that is not visible ASCII.
pub(crate) fn texts<'a>(
    headers: &'a [(&'a str, &'a [u8])],
    name: &'static str,
) -> impl Iterator<Item = Option<&'a str>> {
    values(headers, name).map(|value| {
        let visible = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        std::str::from_utf8(value)
            .ok()
            .filter(|_| visible)
            .map(trim)
    })
}

/// Returns true if the lists of a header contain a token, compared without regard to case.
pub(crate) fn has_token(headers: &[(&str, &[u8])], name: &'static str, wanted: &str) -> bool {
    texts(headers, name)
        .flatten()
        .flat_map(list)
        .any(|element| element.eq_ignore_ascii_case(wanted))
}
