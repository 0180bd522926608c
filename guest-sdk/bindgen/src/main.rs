//! Writes `guest-sdk/src/bindings/*.rs` from `wit/`, so that users of the SDK compile neither wit-parser nor a bindings macro; and the
//! lowest layer of the SDKs for C, Zig, Go, JavaScript and Python (`native`), and the reference in the guide (`reference`).
//!
//! ```text
//! cargo run -p wsrun-guest-bindgen              write the files
//! cargo run -p wsrun-guest-bindgen -- --check   fail when a file differs from what would be written
//! cargo run -p wsrun-guest-bindgen -- inspect x.wasm…   print what components import and export
//! ```
//!
//! Each optional interface is a world of its own. A world is one bindings module, one export macro and one component-type section, and
//! a section is linked only where its export macro is used: that is what lets a handler export exactly the interfaces that it implements.
//! wit-component merges the worlds of the linked sections, and drops the imports that the code does not call.

mod native;
mod reference;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use wit_bindgen_core::{Files, WorldGenerator};
use wit_bindgen_rust::{Opts, Ownership, WithOption};
use wit_component::DecodedWasm;
use wit_parser::Resolve;

/// The bindings modules and, by the same names with `-` in place of `_`, the worlds of `worlds.wit`.
const MODULES: [&str; 12] = [
    "handler",
    "handshake",
    "writable",
    "chunks",
    "packed",
    "broadcast_filter",
    "network_filter",
    "http",
    "reconnection",
    "pong",
    "timer",
    "lifecycle",
];

const TYPES: &str = "wsrun:websocket/types@0.1.0";
const SHARED_TYPES_MODULE: &str = "crate::bindings::handler::wsrun::websocket::types";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.as_slice() {
        [] => write(),
        ["--check"] => check(),
        ["inspect", files @ ..] if !files.is_empty() => {
            files.iter().try_for_each(|file| inspect(Path::new(file)))
        }
        _ => Err(anyhow::anyhow!(
            "usage: wsrun-guest-bindgen [--check | inspect FILE...]"
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<()> {
    for (path, text) in generate(&contract())? {
        let path = sdk().join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn check() -> Result<()> {
    let outdated = outdated(&sdk(), &generate(&contract())?);
    if !outdated.is_empty() {
        bail!(
            "these do not match wit/: {}: run `cargo run -p wsrun-guest-bindgen` in guest-sdk",
            outdated.join(", ")
        );
    }
    Ok(())
}

/// The files below a folder that are not what is generated.
fn outdated(folder: &Path, files: &[(String, String)]) -> Vec<String> {
    let outdated = files.iter().filter(|(path, text)| {
        std::fs::read_to_string(folder.join(path)).map_or(true, |found| found != *text)
    });
    outdated.map(|(path, _)| path.clone()).collect()
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sdk() -> PathBuf {
    crate_dir().join("..")
}

fn contract() -> PathBuf {
    crate_dir().join("../../wit")
}

/// Every file, by its path in guest-sdk, and its contents.
fn generate(wit: &Path) -> Result<Vec<(String, String)>> {
    let rust = MODULES.iter().map(|module| {
        let text = generate_module(wit, module).with_context(|| format!("generating {module}"))?;
        Ok((format!("src/bindings/{module}.rs"), text))
    });
    let mut files = rust.collect::<Result<Vec<_>>>()?;
    files.extend(native::generate(wit)?);
    files.extend(reference::generate(wit)?);
    Ok(files)
}

fn generate_module(wit: &Path, module: &str) -> Result<String> {
    let mut resolve = Resolve::default();
    resolve.push_path(wit)?;
    let package = resolve.push_file(crate_dir().join("worlds.wit"))?;
    let world = resolve.select_world(&[package], Some(&module.replace('_', "-")))?;

    // The first defines the shared types, the others use none of them.
    let with = if matches!(module, "handler" | "network_filter") {
        Vec::new()
    } else {
        vec![(
            TYPES.to_owned(),
            WithOption::Path(SHARED_TYPES_MODULE.to_owned()),
        )]
    };
    let options = Opts {
        format: true,
        generate_all: true,
        // Imports borrow what they send, exports own what they are given.
        ownership: Ownership::Borrowing {
            duplicate_if_necessary: true,
        },
        additional_derive_attributes: vec!["PartialEq".to_owned(), "Eq".to_owned()],
        with,
        default_bindings_module: Some(format!("wsrun_guest::bindings::{module}")),
        export_macro_name: Some(format!("export_{module}")),
        pub_export_macro: true,
        ..Opts::default()
    };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    let (_, contents) = files.iter().next().context("the generator wrote no file")?;
    Ok(String::from_utf8(contents.to_vec())?)
}

fn inspect(path: &Path) -> Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let decoded =
        wit_component::decode(&bytes).with_context(|| format!("decoding {}", path.display()))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        bail!("{} is a WIT package and not a component", path.display());
    };
    let world = &resolve.worlds[world];
    println!("{} ({} bytes)", path.display(), bytes.len());
    for name in world.imports.keys() {
        println!("  import {}", resolve.name_world_key(name));
    }
    for name in world.exports.keys() {
        println!("  export {}", resolve.name_world_key(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const FUNCTION: (&str, &str, &str) = (
        "imports.wit",
        "    /// Sends a ping",
        "    /// Nobody has heard of it.\n    whisper: func(to: connection-id, text: string) -> result<_, send-error>;\n\n    /// Sends a ping",
    );
    const ERROR: (&str, &str, &str) = (
        "types.wit",
        "    variant send-error {",
        "    variant send-error {\n        /// Nobody has heard of it.\n        too-rude,\n",
    );
    const CALLBACK: (&str, &str, &str) = (
        "exports.wit",
        "interface pong {\n    use types.{connection-id};\n",
        "interface pong {\n    use types.{connection-id};\n\n    /// Nobody has heard of it.\n    whispered: func(connection: connection-id);\n",
    );
    const FIELD: (&str, &str, &str) = (
        "types.wit",
        "    record close-info {",
        "    record close-info {\n        /// Nobody has heard of it.\n        mood: string,\n",
    );

    #[test]
    fn files_match_the_contract() {
        let files = generate(&contract()).expect("the contract is valid");
        assert_eq!(outdated(&sdk(), &files), [""; 0]);
    }

    #[test]
    fn every_sdk_is_outdated_by_a_changed_contract() {
        for change in [FUNCTION, ERROR, CALLBACK, FIELD] {
            let scratch = Scratch::new();
            let files = generate(&scratch.contract(&[change])).expect("the contract is valid");
            let outdated = outdated(&sdk(), &files);
            for language in ["src/bindings", "c/", "zig/", "go/", "js/", "python/"] {
                assert!(
                    outdated.iter().any(|path| path.starts_with(language)),
                    "{language}: {outdated:?}"
                );
            }
        }
    }

    /// What is generated is then current, but what is written by hand does not know of it.
    #[track_caller]
    fn fails_for(language: &str, tests: &[&str], changes: &[((&str, &str, &str), &str)]) {
        if !is_there(tests[0]) {
            return;
        }
        let scratch = Scratch::new();
        copy(&sdk().join(language), &scratch.0.join(language));
        let run = || {
            let output = Command::new(tests[0])
                .args(&tests[1..])
                .current_dir(scratch.0.join(language))
                .output()
                .expect("the program can be started");
            let text = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        };
        let (passes, text) = run();
        assert!(passes, "{text}");
        for &(change, told) in changes {
            let files = generate(&scratch.contract(&[change])).expect("the contract is valid");
            for (path, text) in &files {
                if path.starts_with(&format!("{language}/")) {
                    std::fs::write(scratch.0.join(path), text).expect("the copy can be written");
                }
            }
            let (passes, text) = run();
            assert!(!passes && text.contains(told), "{change:?}: {text}");
        }
    }

    #[test]
    fn tests_of_the_sdk_for_javascript_fail_for_what_it_does_not_cover() {
        let tests = ["node", "--test", "tests/contract.test.mjs"];
        let changes = [
            (FUNCTION, "connections.whisper"),
            (ERROR, "too-rude"),
            (CALLBACK, "whispered"),
        ];
        fails_for("js", &tests, &changes);
    }

    #[test]
    fn tests_of_the_sdk_for_python_fail_for_what_it_does_not_cover() {
        let tests = ["python3", "-m", "unittest", "discover", "tests"];
        let changes = [
            (FUNCTION, "whisper"),
            (ERROR, "too_rude"),
            (CALLBACK, "whispered"),
            (FIELD, "mood"),
        ];
        fails_for("python", &tests, &changes);
    }

    #[track_caller]
    fn is_there(program: &str) -> bool {
        let there = Command::new(program).arg("--version").output().is_ok();
        let required =
            std::env::var_os("WSRUN_TOOLCHAINS").is_some_and(|value| value == "required");
        assert!(there || !required, "{program} is missing");
        if !there {
            eprintln!("SKIPPED: {program} is missing");
        }
        there
    }

    /// A folder of this test's own.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            use std::sync::atomic::{AtomicU32, Ordering};
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!(
                "wsrun-guest-bindgen-{}-{}",
                std::process::id(),
                NEXT.fetch_add(1, Ordering::Relaxed)
            );
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder).expect("a folder can be made");
            Self(folder)
        }

        /// The contract with texts replaced, and nothing of an earlier one.
        #[track_caller]
        fn contract(&self, changes: &[(&str, &str, &str)]) -> PathBuf {
            let folder = self.0.join("wit");
            copy(&contract(), &folder);
            for (file, old, new) in changes {
                let file = folder.join(file);
                let text = std::fs::read_to_string(&file).expect("a file of the contract");
                assert!(text.contains(old), "{old:?} is in {}", file.display());
                std::fs::write(&file, text.replacen(old, new, 1)).expect("it can be written");
            }
            folder
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder can be made");
        for entry in std::fs::read_dir(from).expect("a folder can be read") {
            let entry = entry.expect("a folder can be read");
            let (name, path) = (entry.file_name(), entry.path());
            if name == "node_modules" || name == "__pycache__" {
                continue;
            }
            match path.is_dir() {
                true => copy(&path, &to.join(name)),
                false => {
                    std::fs::copy(&path, to.join(name)).expect("a file can be copied");
                }
            }
        }
    }
}
