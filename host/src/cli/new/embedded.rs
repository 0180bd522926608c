//! The files that the build embeds into the program: templates, SDKs and the contract.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Returns the files whose names begin with a prefix, each with the rest of its name.
pub(super) fn below(prefix: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES
        .iter()
        .filter_map(move |(name, bytes)| Some((name.strip_prefix(prefix)?, *bytes)))
}

/// Returns the languages that have templates.
pub(super) fn languages() -> Vec<&'static str> {
    first_parts(below("templates/"))
}

/// Returns the templates of a language.
pub(super) fn templates(language: &str) -> Vec<&'static str> {
    first_parts(below(&format!("templates/{language}/")))
}

/// Returns the templates of all languages.
pub(super) fn all_templates() -> Vec<&'static str> {
    let languages = languages();
    let mut all: Vec<_> = languages.into_iter().flat_map(templates).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Returns the distinct first parts of paths, which must be sorted.
fn first_parts(paths: impl Iterator<Item = (&'static str, &'static [u8])>) -> Vec<&'static str> {
    let mut names: Vec<_> = paths
        .filter_map(|(path, _)| Some(path.split_once('/')?.0))
        .collect();
    names.dedup();
    names
}
