//! Collects what `wsrun new` writes: the templates, the SDKs that projects bring along, and the contract.
//!
//! Templates are `guest-sdk/templates/<language>/<template>/`; `guest-sdk/pages/<template>/` is the page of one, whatever the language. An
//! SDK is the files that `sdk-files.txt` in its folder lists, a path or a pattern with `*` in its last part per line; a folder stands for
//! everything in it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// What builds leave behind.
const LEFT_OUT: [&str; 7] = [
    "target",
    "dist",
    "node_modules",
    "__pycache__",
    ".zig-cache",
    "zig-out",
    ".venv",
];

fn main() {
    let host = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let top = host.parent().expect("the crate lies in the workspace");
    let sdk = top.join("guest-sdk");
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    collect(&sdk.join("templates"), "templates", &mut files);
    collect(&sdk.join("pages"), "pages", &mut files);
    collect(&top.join("wit"), "wit", &mut files);
    collect_sdk(&sdk, "rust", &mut files);
    for folder in entries(&sdk) {
        let name = file_name(&folder);
        if folder.is_dir() && !LEFT_OUT.contains(&name.as_str()) {
            collect_sdk(&folder, &name, &mut files);
        }
    }
    files.sort();
    let mut code = String::from("pub(super) static FILES: &[(&str, &[u8])] = &[\n");
    for (name, path) in &files {
        println!("cargo::rerun-if-changed={}", path.display());
        let _ = writeln!(
            code,
            "    ({name:?}, include_bytes!({:?})),",
            path.display().to_string()
        );
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("embedded.rs"), code).expect("the build folder can be written");
    // Where files come and go. Not the whole of guest-sdk, which has build folders in it: a new language comes with templates.
    for folder in [sdk.join("templates"), sdk.join("pages"), top.join("wit")] {
        println!("cargo::rerun-if-changed={}", folder.display());
    }
}

fn collect_sdk(folder: &Path, language: &str, files: &mut Vec<(String, PathBuf)>) {
    let list = folder.join("sdk-files.txt");
    let Ok(text) = fs::read_to_string(&list) else {
        return;
    };
    println!("cargo::rerun-if-changed={}", list.display());
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.trim_end_matches('/');
        let (parent, pattern) = line.rsplit_once('/').unwrap_or(("", line));
        let parent_name = match parent {
            "" => format!("sdk/{language}"),
            parent => format!("sdk/{language}/{parent}"),
        };
        let found: Vec<PathBuf> = entries(&folder.join(parent))
            .into_iter()
            .filter(|path| matches(pattern, &file_name(path)))
            .collect();
        assert!(
            !found.is_empty(),
            "{} lists {line}, and nothing of that name is there",
            list.display()
        );
        if pattern.contains('*') {
            println!("cargo::rerun-if-changed={}", folder.join(parent).display());
        }
        for path in found {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = format!("{parent_name}/{}", file_name(&path));
            match path.is_dir() {
                true => collect(&path, &name, files),
                false => files.push((name, path)),
            }
        }
    }
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    for path in entries(folder) {
        let part = file_name(&path);
        if LEFT_OUT.contains(&part.as_str()) {
            continue;
        }
        let name = format!("{name}/{part}");
        match path.is_dir() {
            true => collect(&path, &name, files),
            false => files.push((name, path)),
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether a name is of a pattern with at most one `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        }
    }
}
