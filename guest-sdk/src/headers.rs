//! Lookups in header fields as the host gives them.

pub(crate) type Fields = [(String, Vec<u8>)];

pub(crate) fn values<'a>(fields: &'a Fields, name: &str) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// The first, if it is UTF-8.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    str::from_utf8(values(fields, name).next()?).ok()
}
