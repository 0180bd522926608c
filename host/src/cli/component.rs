//! `wsrun component CORE.wasm -o OUT.wasm`: makes a handler from a core module of any compiler.
//!
//! The functions that the module exports decide which optional interfaces the handler exports. Some
//! compilers cannot express "export this only if that is defined". Their modules export such a
//! function under the name `CONDITION|CONDITION=>NAME`. It becomes `NAME` when the module exports a
//! function with the name of one of the conditions, and is left out otherwise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{ExportSection, Module, RawSection};
use wasmparser::{ExternalKind, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap, WorldId, WorldItem};

use super::callbacks;
use super::failure::Failure;
use super::output::{say, say_error};

/// The contract, as this binary contains it.
const CONTRACT: [(&str, &str); 4] = [
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("imports.wit", include_str!("../../../wit/imports.wit")),
    ("exports.wit", include_str!("../../../wit/exports.wit")),
    ("world.wit", include_str!("../../../wit/world.wit")),
];
/// The world with everything that a handler can export, and the one interface that every handler
/// must export.
const WORLD: &str = "full-handler";
const REQUIRED: &str = "handler";
const CONDITION: &str = "=>";
/// The most bytes of a core module, which is held in memory. It does not depend on the
/// --max-component of a server.
const CORE_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The core module, as a compiler for wasm32 writes it
    core: PathBuf,
    /// Sources in C, C++, Go or Zig to look through for callbacks whose names are misspelled, which nobody would call
    sources: Vec<PathBuf>,
    /// The component to write [default: CORE with the extension `.component.wasm`]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let core = wsrun_os::file::read(&args.core, CORE_BYTES_MAX)
        .with_context(|| args.core.display().to_string())
        .map_err(Failure::usage)?;
    let component = component(&core)
        .with_context(|| args.core.display().to_string())
        .map_err(Failure::usage)?;
    let misspelled = callbacks::misspelled(&args.sources).map_err(Failure::usage)?;
    for warning in misspelled {
        say_error(&format!("warning: {warning}"));
    }
    let output = args
        .output
        .unwrap_or_else(|| args.core.with_extension("component.wasm"));
    write(&output, &component.bytes)?;
    say(&format!(
        "{}: a handler of {} bytes that exports {}",
        output.display(),
        component.bytes.len(),
        component.exports.join(", ")
    ));
    Ok(ExitCode::SUCCESS)
}

/// Writes a file whole or not at all: a server may be watching it.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, bytes).with_context(|| beside.display().to_string())?;
    std::fs::rename(&beside, path).with_context(|| path.display().to_string())
}

struct Component {
    bytes: Vec<u8>,
    /// The names of the exported interfaces.
    exports: Vec<String>,
}

fn component(core: &[u8]) -> Result<Component> {
    let module = decide_exports(core)?;
    let exported = exported_functions(&module)?;
    let mut resolve = Resolve::default();
    let world = contract(&mut resolve)?;
    let exports = narrow(&mut resolve, world, &exported)?;

    let mut module = module;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
    if imports_from(&module, WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME)? {
        encoder = encoder.adapter(
            WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
        )?;
    }
    let bytes = encoder.encode()?;
    Ok(Component { bytes, exports })
}

fn contract(resolve: &mut Resolve) -> Result<WorldId> {
    let mut sources = SourceMap::new();
    for (name, text) in CONTRACT {
        sources.push_str(name, text);
    }
    let group = sources
        .parse()
        .map_err(|(_, error)| anyhow!("the contract in this binary cannot be read: {error}"))?;
    let package = resolve.push_group(group)?;
    resolve.select_world(&[package], Some(WORLD))
}

/// Removes from the world the interfaces that the module does not export. Returns the names of the
/// interfaces that stay. Fails when the module exports only a part of an interface, lacks
/// [`REQUIRED`], or exports a function that the contract does not have.
fn narrow(
    resolve: &mut Resolve,
    world: WorldId,
    exported: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let mut known = BTreeSet::new();
    let mut kept = Vec::new();
    let mut dropped = Vec::new();
    for (key, item) in &resolve.worlds[world].exports {
        let WorldItem::Interface { id, .. } = item else {
            continue;
        };
        let interface = &resolve.interfaces[*id];
        let name = interface.name.clone().unwrap_or_default();
        let prefix = resolve.name_world_key(key);
        let functions: Vec<String> = interface
            .functions
            .keys()
            .map(|function| format!("{prefix}#{function}"))
            .collect();
        let (there, missing): (Vec<_>, Vec<_>) = functions
            .iter()
            .partition(|function| exported.contains(*function));
        match (there.as_slice(), missing.as_slice()) {
            ([], _) if name == REQUIRED => bail!(
                "the module exports no {prefix}: it is not built with an SDK of wsrun, or the functions that it must export were left \
                 out by the linker"
            ),
            ([], _) => dropped.push(key.clone()),
            (_, []) => kept.push(name),
            ([first, ..], [missing, ..]) => {
                bail!(
                    "the module exports {first} but not {missing}: an interface is exported as a whole"
                )
            }
        }
        known.extend(functions);
    }
    let package = format!("{}/", wsrun_wasm::component::PACKAGE);
    if let Some(unknown) = exported
        .iter()
        .find(|name| name.starts_with(&package) && !known.contains(*name))
    {
        bail!("the module exports {unknown}, which is not in the contract of this wsrun");
    }
    let world = &mut resolve.worlds[world];
    world.exports.retain(|key, _| !dropped.contains(key));
    kept.sort_by_key(|name| name != REQUIRED);
    Ok(kept)
}

/// Returns the module with its conditional exports resolved.
fn decide_exports(core: &[u8]) -> Result<Vec<u8>> {
    if !Parser::is_core_wasm(core) {
        if Parser::is_component(core) {
            bail!("is a component already");
        }
        bail!("is not a WebAssembly module");
    }
    let exported = exported_functions(core)?;
    if !exported.iter().any(|name| name.contains(CONDITION)) {
        return Ok(core.to_vec());
    }
    let conditions: BTreeSet<&str> = exported
        .iter()
        .filter_map(|name| name.split_once(CONDITION))
        .flat_map(|(conditions, _)| conditions.split('|'))
        .collect();

    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload?;
        if let Payload::ExportSection(reader) = payload {
            let mut exports = ExportSection::new();
            for export in reader {
                let export = export?;
                let name = match export.name.split_once(CONDITION) {
                    Some((conditions, name)) => {
                        if !conditions.split('|').any(|it| exported.contains(it)) {
                            continue;
                        }
                        name
                    }
                    None if conditions.contains(export.name) => continue,
                    None => export.name,
                };
                let kind = RoundtripReencoder.export_kind(export.kind)?;
                exports.export(name, kind, export.index);
            }
            module.section(&exports);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection {
                id,
                data: &core[range],
            });
        }
    }
    Ok(module.finish())
}

fn exported_functions(core: &[u8]) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for payload in Parser::new(0).parse_all(core) {
        if let Payload::ExportSection(reader) = payload? {
            for export in reader {
                let export = export?;
                if export.kind == ExternalKind::Func {
                    names.insert(export.name.to_owned());
                }
            }
        }
    }
    Ok(names)
}

fn imports_from(core: &[u8], module: &str) -> Result<bool> {
    for payload in Parser::new(0).parse_all(core) {
        if let Payload::ImportSection(reader) = payload? {
            for import in reader.into_imports() {
                if import?.module == module {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLER: &str = r#"
        (func (export "wsrun:websocket/handler@0.1.0#opened") (param i64))
        (func (export "wsrun:websocket/handler@0.1.0#received") (param i64 i32 i32 i32))
        (func (export "wsrun:websocket/handler@0.1.0#closed") (param i64 i32 i32 i32 i32 i32))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
        (memory (export "memory") 1)"#;

    fn made_of(text: &str) -> Result<Component> {
        component(&wat::parse_str(format!("(module {text})"))?)
    }

    fn refused(text: &str) -> String {
        match made_of(text) {
            Ok(component) => panic!("exports {:?}", component.exports),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn component_exports_what_the_module_exports() {
        let pong = r#"(func (export "wsrun:websocket/pong@0.1.0#pong") (param i64 i32 i32))"#;
        let plain = made_of(HANDLER).expect("a handler");
        assert_eq!(plain.exports, ["handler"]);
        let more = made_of(&format!("{HANDLER}{pong}")).expect("a handler");
        assert_eq!(more.exports, ["handler", "pong"]);
        assert!(Parser::is_component(&more.bytes));
    }

    #[test]
    fn conditional_export_follows_its_condition() {
        let pong = r#"(func (export "on_pong|other=>wsrun:websocket/pong@0.1.0#pong") (param i64 i32 i32))"#;
        let without = made_of(&format!("{HANDLER}{pong}")).expect("a handler");
        assert_eq!(without.exports, ["handler"]);
        for condition in ["on_pong", "other"] {
            let there = format!(r#"(func (export "{condition}"))"#);
            let with = made_of(&format!("{HANDLER}{pong}{there}")).expect("a handler");
            assert_eq!(with.exports, ["handler", "pong"]);
        }
    }

    #[test]
    fn what_is_no_handler_is_refused() {
        assert!(refused("").contains("exports no wsrun:websocket/handler@0.1.0"));
        let half = r#"(func (export "wsrun:websocket/reconnection@0.1.0#restored") (param i64))"#;
        assert!(refused(&format!("{HANDLER}{half}")).contains("but not"));
        let unknown = r#"(func (export "wsrun:websocket/pong@0.2.0#pong"))"#;
        assert!(refused(&format!("{HANDLER}{unknown}")).contains("not in the contract"));
        let wrong = r#"(func (export "wsrun:websocket/pong@0.1.0#pong") (param i32))"#;
        assert!(refused(&format!("{HANDLER}{wrong}")).contains("pong"));
        let made = made_of(HANDLER).expect("a handler").bytes;
        for bytes in [made.as_slice(), b"#!/bin/sh"] {
            assert!(component(bytes).is_err());
        }
    }
}
