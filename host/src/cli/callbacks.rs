//! Finds misspelled names of callbacks in sources. Compilers take them for ordinary functions, and
//! nothing would call them.
//!
//! Sources are read as lines of text, without a parser of their languages. So a finding is a
//! warning and not an error.

use std::collections::BTreeSet;
use std::path::Path;

use super::advice::{extension, meant};

/// The most bytes of a source. A larger one is refused.
const SOURCE_BYTES_MAX: u64 = 64 << 20;

const C_PREFIX: &str = "wsrun_on_";
const C: [&str; 18] = [
    "opened",
    "received",
    "closed",
    "handshake",
    "writable",
    "chunk",
    "broadcast",
    "accept",
    "http",
    "lost",
    "restored",
    "pong",
    "timer",
    "started",
    "resumed",
    "save",
    "restore",
    "draining",
];
/// The methods of the values that `Handle` of the packages `wsrun` and `wsrun/lifecycle` takes.
const GO: [&str; 8] = [
    "Opened", "Received", "Closed", "Started", "Resumed", "Save", "Restore", "Draining",
];
const ZIG: [&str; 18] = [
    "opened",
    "received",
    "closed",
    "handshake",
    "writable",
    "chunk",
    "wanted",
    "accepts",
    "http",
    "lost",
    "restored",
    "pong",
    "timer",
    "started",
    "resumed",
    "save",
    "restore",
    "draining",
];

/// Returns warnings about these sources, a line for each name that is close to a callback's.
pub(super) fn misspelled(sources: &[impl AsRef<Path>]) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    let texts = sources.iter().map(|file| {
        let file = file.as_ref();
        read(file).map(|text| (file, text))
    });
    let texts: Vec<(&Path, String)> = texts.collect::<anyhow::Result<_>>()?;
    // A callback that is defined in another file is not the one meant.
    let names = texts.iter().map(|(file, text)| (*file, names(file, text)));
    let names: Vec<(&Path, Vec<(usize, &str)>)> = names.collect();
    let defined: BTreeSet<&str> = names
        .iter()
        .flat_map(|(_, names)| names.iter().map(|(_, name)| *name))
        .collect();
    for (file, names) in &names {
        let (known, prefix): (&[&str], &str) = match extension(file) {
            "go" => (&GO, ""),
            "zig" => (&ZIG, ""),
            _ => (&C, C_PREFIX),
        };
        let mut warned = BTreeSet::new();
        for (line, name) in names {
            if known.contains(name) || !warned.insert(name) {
                continue;
            }
            let missing = known
                .iter()
                .copied()
                .filter(|other| !defined.contains(other));
            let text = match meant(name, missing) {
                Some(other) => format!("is {prefix}{other} meant?"),
                // In C, every name with the prefix is meant as a callback.
                None if !prefix.is_empty() => format!(
                    "there are {}",
                    known
                        .iter()
                        .map(|other| format!("{prefix}{other}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                None => continue,
            };
            warnings.push(format!(
                "{}:{line}: nobody calls {prefix}{name}: {text}",
                file.display()
            ));
        }
    }
    Ok(warnings)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let bytes = wsrun_os::file::read(file, SOURCE_BYTES_MAX)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the functions of a source that may be callbacks, with their line numbers. The names are
/// without the prefix, where the language has one.
fn names<'a>(file: &Path, text: &'a str) -> Vec<(usize, &'a str)> {
    let lines = text.lines().zip(1..);
    match extension(file) {
        "go" => lines
            .filter_map(|(line, number)| Some((number, method_of_go(line)?)))
            .collect(),
        // In a file that defines no handler, functions are called by other code.
        "zig" if !text.contains("wsrun.handler(") => Vec::new(),
        "zig" => lines
            .filter_map(|(line, number)| Some((number, identifier(line.strip_prefix("pub fn ")?))))
            .collect(),
        _ => lines
            .flat_map(|(line, number)| {
                let rest = line.split(C_PREFIX).skip(1);
                rest.map(move |rest| (number, identifier(rest)))
            })
            .filter(|(_, name)| !name.is_empty())
            .collect(),
    }
}

/// Returns the name of a Go method that may be a callback: `func (h *Handler) Received(c
/// wsrun.Connection, …`.
fn method_of_go(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix("func (")?.split_once(')')?;
    let rest = rest.trim_start();
    let name = identifier(rest);
    let parameters = rest[name.len()..].strip_prefix('(')?;
    // Many types that are not handlers have methods named `Close` and `Start`.
    let is_of_connection = parameters.contains("Connection");
    let is_beginning = GO.iter().any(|known| known.starts_with(name));
    (is_of_connection || !is_beginning || GO.contains(&name)).then_some(name)
}

/// Returns the identifier at the beginning of a text.
fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn warned(name: &str, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let prefix = format!("{}:", file.display());
        let warnings = misspelled(&[&file]).unwrap();
        warnings
            .iter()
            .map(|line| line.strip_prefix(&prefix).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn misspelled_callbacks_are_told_with_what_is_meant() {
        let go = "func (e echo) Recieved(c wsrun.Connection, m wsrun.Message) {\n}\nfunc (e echo) Open(c wsrun.Connection) {}\n\
                  func (f *file) Close() error {}\nfunc (e *echo) Darining(d time.Duration) {}\nfunc Received() {}\n";
        assert_eq!(
            warned("main.go", go),
            [
                "1: nobody calls Recieved: is Received meant?",
                "3: nobody calls Open: is Opened meant?",
                "5: nobody calls Darining: is Draining meant?",
            ]
        );
        let c = "void wsrun_on_recieved(wsrun_connection c) { wsrun_on_recieved(c); }\nvoid wsrun_on_closed(void) {}\n// wsrun_on_message\n";
        let warnings = warned("handler.c", c);
        assert_eq!(
            warnings[0],
            "1: nobody calls wsrun_on_recieved: is wsrun_on_received meant?"
        );
        assert!(
            warnings[1]
                .starts_with("3: nobody calls wsrun_on_message: there are wsrun_on_opened, ")
        );
        assert_eq!(warnings.len(), 2);
        let zig = "comptime {\n    wsrun.handler(@This());\n}\npub fn recieved() void {}\nfn openned() void {}\npub fn main() void {}\n";
        assert_eq!(
            warned("main.zig", zig),
            ["4: nobody calls recieved: is received meant?"]
        );
        assert_eq!(warned("other.zig", "pub fn close() void {}\n"), [""; 0]);
    }

    #[test]
    fn what_is_right_is_not_told() {
        let go = "func (e echo) Received(c wsrun.Connection, m wsrun.Message) {}\nfunc (e echo) Receive(c wsrun.Connection) {}\n";
        assert_eq!(warned("main.go", go), [""; 0]);
        for known in C {
            assert_eq!(
                warned("a.cpp", &format!("void wsrun_on_{known}(int);")),
                [""; 0]
            );
        }
    }
}
