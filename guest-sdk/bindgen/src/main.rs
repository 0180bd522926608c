//! Writes `guest-sdk/src/bindings/*.rs` from `wit/`, so that users of the SDK compile neither wit-parser nor a bindings macro; and the
//! lowest layer of the SDKs for C, Zig and Go (`native`), and the reference in the guide (`reference`).
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
    for (path, text) in generate()? {
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

fn check() -> Result<()> {
    for (path, text) in generate()? {
        let found = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        if found != text {
            bail!(
                "{} does not match wit/: run `cargo run -p wsrun-guest-bindgen` in guest-sdk",
                path.display()
            );
        }
    }
    Ok(())
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn generate() -> Result<Vec<(PathBuf, String)>> {
    let rust = MODULES.iter().map(|module| {
        let path = crate_dir()
            .join("../src/bindings")
            .join(format!("{module}.rs"));
        let text = generate_module(module).with_context(|| format!("generating {module}"))?;
        Ok((path, text))
    });
    let mut files = rust.collect::<Result<Vec<_>>>()?;
    files.extend(native::generate()?);
    files.extend(reference::generate()?);
    Ok(files)
}

fn generate_module(module: &str) -> Result<String> {
    let mut resolve = Resolve::default();
    resolve.push_path(crate_dir().join("../../wit"))?;
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
