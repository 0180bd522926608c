//! Tokens and lists of header values: RFC 9110, 5.6.

/// Whether this is a token: at least one character, and only those that may stand outside of quotes.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether a byte may stand in a token.
pub fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
}

/// The elements of a comma-separated list of tokens. Empty elements are passed over.
///
/// RFC 9110, 5.6.1.2: "A recipient MUST parse and ignore a reasonable number of empty list elements".
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Removes the white space that may surround a value.
pub fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// A header by its name in small letters: the values in their order.
pub(crate) fn values<'a>(
    headers: &'a [(&'a str, &'a [u8])],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| *value)
}

/// The same for headers whose values are text; `None` stands for a value that is not visible ASCII.
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
