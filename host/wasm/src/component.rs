//! Loading a component and checking what it asks for, with errors that say what to do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::Digest as _;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::cache::{Cache, CacheError, Key};
use super::code::Code;
use super::compile;
use super::engine::EngineConfig;
use super::settings::WasmSettings;
use wsrun_contract::{Capabilities, Setting};
use wsrun_metrics::text;
use wsrun_os::file::ReadError;

/// The package that handlers speak.
pub const PACKAGE: &str = "wsrun:websocket";
/// Its version here.
pub const VERSION: &str = "0.1.0";

/// The one export that every handler has.
const HANDLER: &str = "handler";
const OPTIONAL_EXPORTS: [&str; 11] = [
    "handshake",
    "writable",
    "chunks",
    "packed",
    "broadcast-filter",
    "network-filter",
    "http",
    "reconnection",
    "pong",
    "timer-handler",
    "lifecycle",
];
/// The export of WASI that answers plain requests.
const WASI_HTTP: &str = "wasi:http/incoming-handler";
/// What builders of components call while they build, and leave among the exports: componentize-qjs and componentize-py. Nobody calls it
/// here.
const BUILDERS_EXPORTS: [&str; 2] = ["init", "exports"];
/// The export of WASI that a program is run by.
const WASI_RUN: &str = "wasi:cli/run";
const IMPORTS: [&str; 7] = [
    "types",
    "connections",
    "packed-send",
    "topics",
    "client",
    "timers",
    "host-info",
];

/// Why a file is not a handler.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The file cannot be read.
    #[error("cannot read {file}: {cause}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is larger than a component may be.
    #[error("{file} has {bytes} bytes; a handler may have at most {limit} ({component_bytes_max})", component_bytes_max = Setting("wasm.compilation.component_bytes_max"))]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
        /// What it may be.
        limit: u64,
    },
    /// Compiling takes longer than it may.
    #[error(
        "{file} could not be compiled within {limit:?} ({timeout}); a handler that takes longer has very large functions, or \
         was made to: build it optimised", timeout = Setting("wasm.compilation.timeout"))]
    CompileTimeout {
        /// The file.
        file: String,
        /// The limit.
        limit: Duration,
    },
    /// The process that compiles ended early, mostly since it needs more memory than it may have.
    #[error(
        "{file} could not be compiled within {limit} bytes of memory ({memory_bytes_max}): the compiler ended ({how})", memory_bytes_max = Setting("wasm.compilation.memory_bytes_max"))]
    CompileMemory {
        /// The file.
        file: String,
        /// The limit.
        limit: u64,
        /// What it said, or the signal that ended it.
        how: String,
    },
    /// What was made of it takes more memory than it may.
    #[error(
        "{file} takes more than {limit} bytes of memory when it is loaded ({code_bytes_max}), beside that of its instances; a component that has \
         few bytes and takes many has nested instances or types, or was made to", code_bytes_max = Setting("wasm.compilation.code_bytes_max"))]
    CodeTooLarge {
        /// The file.
        file: String,
        /// The limit.
        limit: u64,
    },
    /// An instance of it takes more memory than it may, before it has any of its own.
    #[error(
        "each instance of {file} takes {bytes} bytes of the host, beside its own memory; it may have {limit} in all ({instance_bytes_max}): it has \
         nested instances, which were composed into it, or it was made to", instance_bytes_max = Setting("memory.instance_bytes_max"))]
    InstanceTooLarge {
        /// The file.
        file: String,
        /// What it takes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The compiler panicked.
    #[error(
        "{file} could not be compiled: the compiler itself failed on this component, which is a defect of it that a component with few bytes \
         and many nested instances or types can reach; if it was not made to, please report it with the component: {how}"
    )]
    CompilerPanicked {
        /// The file.
        file: String,
        /// What it said.
        how: String,
    },
    /// The process that compiles could not do its work.
    #[error("{file} could not be compiled: the process that compiles failed ({how})")]
    CompilerFailed {
        /// The file.
        file: String,
        /// What it said, or how it ended.
        how: String,
    },
    /// What was compiled is not kept where others could change it.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No process that compiles could be started.
    #[error(
        "{program} could not be started to compile a handler: {cause}; where no process can be started, {in_process} compiles \
         without limits", in_process = Setting("wasm.compilation.program"))]
    CompilerNotStarted {
        /// What was to be started.
        program: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is a core module.
    #[error(
        "{file} is a core WebAssembly module, not a component; build it for the target wasm32-wasip2 (Rust), or make a handler of it \
         with `wsrun component {file}` (C, C++, Zig, Go and others)"
    )]
    CoreModule {
        /// The file.
        file: String,
    },
    /// The file is not WebAssembly at all.
    #[error("{file} is not WebAssembly: a handler is a component (.wasm, or .wat text)")]
    NotWasm {
        /// The file.
        file: String,
    },
    /// The text does not parse.
    #[error("{file} is not valid WebAssembly text: {cause}")]
    Text {
        /// The file.
        file: String,
        /// Where and why.
        cause: String,
    },
    /// The bytes do not make a valid component.
    #[error(
        "{file} is not a valid component ({cause}); if it was copied or downloaded it may be truncated: build it again"
    )]
    Invalid {
        /// The file.
        file: String,
        /// Where and why.
        cause: String,
    },
    /// The mandatory export is missing.
    #[error(
        "{file} does not export {PACKAGE}/{HANDLER}@{VERSION}, so it is not a handler; implement the `Handler` trait of wsrun-guest, or \
         export that interface from your world"
    )]
    NoHandler {
        /// The file.
        file: String,
    },
    /// A program of WASI in the place of a handler.
    #[error(
        "{file} is a program (it exports {WASI_RUN}), not a handler; `wsrun {program} {file}` runs it for each connection, with messages as its \
         standard input and output", program = Setting("HandlerSource::Program"))]
    Program {
        /// The file.
        file: String,
    },
    /// What `--stdio` is to run is no program.
    #[error(
        "{file} does not export {WASI_RUN}@0.2, so {program} cannot run it; build a program, with a `main`, for WASI 0.2 (a handler for this \
         host is served without {program})", program = Setting("HandlerSource::Program"))]
    NoProgram {
        /// The file.
        file: String,
    },
    /// What `--stdio` is to run asks for more than WASI.
    #[error(
        "{file} imports {name}, which programs that {program} runs do not get: they may import WASI 0.2", program = Setting("HandlerSource::Program"))]
    ProgramImport {
        /// The file.
        file: String,
        /// The import.
        name: String,
    },
    /// An interface of the contract in another version.
    #[error(
        "{file} {direction} {name}, but this host speaks {PACKAGE}@{VERSION}; rebuild it with the matching SDK or wit/ folder"
    )]
    Version {
        /// The file.
        file: String,
        /// `exports` or `imports`.
        direction: &'static str,
        /// The interface as the component names it.
        name: String,
    },
    /// An import that this host does not have.
    #[error(
        "{file} imports {name}, which this host does not provide; a handler may import {PACKAGE}@{VERSION} \
         (connections, packed-send, topics, client, timers, host-info) and WASI 0.2: remove the dependency that needs it, or compose it into the component"
    )]
    UnknownImport {
        /// The file.
        file: String,
        /// The import.
        name: String,
    },
    /// An export that this host does not know.
    #[error(
        "{file} exports {name}, which this host does not know; of {PACKAGE}@{VERSION} it calls handler, handshake, writable, chunks, \
         packed, broadcast-filter, network-filter, http, reconnection, pong, timer-handler and lifecycle, and of WASI {WASI_HTTP}@0.2: remove the export from your world, or use a host that has it"
    )]
    UnknownExport {
        /// The file.
        file: String,
        /// The export.
        name: String,
    },
    /// `wasi:http/incoming-handler` with other functions or types than WASI's, or in a version that is not known.
    #[error(
        "{file}: its {WASI_HTTP} is not the one of WASI 0.2 that this host has ({cause}); rebuild it with current bindings"
    )]
    WasiHttp {
        /// The file.
        file: String,
        /// What differs.
        cause: String,
    },
    /// An interface with other functions or types than the contract's.
    #[error(
        "{file}: {name} does not have the types of {PACKAGE}@{VERSION} ({cause}); rebuild it with the matching SDK or wit/ folder"
    )]
    Types {
        /// The file.
        file: String,
        /// The interface, or what is known of it.
        name: String,
        /// What differs.
        cause: String,
    },
}

/// A file that was read once: what tells it from another, what is compiled and what is recorded are of the same bytes.
pub struct Source {
    name: String,
    bytes: Vec<u8>,
    is_text: bool,
}

/// The SHA-256 of a file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content([u8; 32]);

/// A component that was checked.
pub struct Loaded {
    pub component: Arc<Code>,
    pub exports: Capabilities,
    /// Of the component, which is not that of the file where it is text: in hexadecimal digits.
    pub sha256: Arc<str>,
}

impl Source {
    /// Reads a file of at most `--max-component` bytes.
    ///
    /// # Errors
    ///
    /// When it is larger, no regular file, or cannot be read.
    pub fn read(settings: &WasmSettings, file: &Path) -> Result<Self, ComponentError> {
        let name = text::line(file.display());
        let bytes = match wsrun_os::file::read(file, settings.compilation.component_bytes_max) {
            Ok(bytes) => bytes,
            Err(ReadError::TooLarge { bytes, limit }) => {
                return Err(ComponentError::TooLarge {
                    file: name,
                    bytes,
                    limit,
                });
            }
            Err(ReadError::Io(cause)) => {
                return Err(ComponentError::Unreadable { file: name, cause });
            }
        };
        Ok(Self {
            name,
            bytes,
            is_text: file.extension().is_some_and(|extension| extension == "wat"),
        })
    }

    /// What tells one content of a file from another.
    pub fn content(&self) -> Content {
        Content(sha2::Sha256::digest(&self.bytes).into())
    }

    /// Compiles it (or finds it in the cache) and checks its imports and exports.
    ///
    /// # Errors
    ///
    /// See [`ComponentError`]; every text names the file.
    pub fn load(
        self,
        engine: &Engine,
        settings: &WasmSettings,
        instance_bytes_max: usize,
    ) -> Result<Loaded, ComponentError> {
        let (bytes, name) = self.into_binary()?;
        let component = compile(engine, settings, instance_bytes_max, &bytes, &name)?;
        let exports = check(engine, component.component(), &name)?;
        let digest = sha2::Sha256::digest(&bytes);
        let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Loaded {
            component,
            exports,
            sha256: sha256.into(),
        })
    }

    /// The bytes of the component, and the name of the file.
    fn into_binary(self) -> Result<(Vec<u8>, String), ComponentError> {
        let Self {
            name,
            bytes,
            is_text,
        } = self;
        if !is_text {
            return Ok((of_kind(bytes, &name)?, name));
        }
        let wrong = |cause: String| ComponentError::Text {
            file: name.clone(),
            cause,
        };
        let source = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
        let binary = wat::parse_str(source).map_err(|error| wrong(error.to_string()))?;
        Ok((of_kind(binary, &name)?, name))
    }
}

/// Reads a component, compiles it (or finds it in the cache) and checks its imports and exports.
///
/// # Errors
///
/// See [`ComponentError`]; every text names the file.
pub fn load(
    engine: &Engine,
    settings: &WasmSettings,
    instance_bytes_max: usize,
    file: &Path,
) -> Result<Loaded, ComponentError> {
    Source::read(settings, file)?.load(engine, settings, instance_bytes_max)
}

/// The same for a program of its own, which exports `wasi:cli/run`.
///
/// # Errors
///
/// As for [`load`].
pub fn load_program(
    engine: &Engine,
    settings: &WasmSettings,
    instance_bytes_max: usize,
    file: &Path,
) -> Result<Arc<Code>, ComponentError> {
    let (bytes, name) = Source::read(settings, file)?.into_binary()?;
    let code = compile(engine, settings, instance_bytes_max, &bytes, &name)?;
    let (imports, exports) = names(engine, code.component());
    if !exports.iter().any(|export| is_run(export)) {
        return Err(ComponentError::NoProgram { file: name });
    }
    match imports
        .into_iter()
        .find(|import| !is_wasi(import) || import.starts_with("wasi:http/"))
    {
        Some(import) => Err(ComponentError::ProgramImport {
            file: name,
            name: import,
        }),
        None => Ok(code),
    }
}

/// Whether an export is what a program is run by.
fn is_run(export: &str) -> bool {
    let version = export.strip_prefix(WASI_RUN);
    version.is_some_and(|version| version.starts_with("@0.2."))
}

fn compile(
    engine: &Engine,
    settings: &WasmSettings,
    instance_bytes_max: usize,
    bytes: &[u8],
    name: &str,
) -> Result<Arc<Code>, ComponentError> {
    let cache = match settings.cache_dir.as_deref().map(Cache::open).transpose() {
        Ok(cache) => cache,
        // It may have been root's, and this process somebody else since: compiling again is all that is lost.
        Err(error @ CacheError::Unreachable { .. }) => {
            tracing::debug!("{error}");
            None
        }
        Err(error @ CacheError::Unsafe { .. }) => return Err(error.into()),
    };
    let compilation = &settings.compilation;
    let key = cache.as_ref().map(|cache| (cache, Key::of(engine, bytes)));
    let kept = key.and_then(|(cache, key)| cache.get(key, compilation.code_bytes_max));
    let compiled = match kept {
        Some(compiled) => compiled,
        None => {
            let engine_config = EngineConfig::from(settings);
            let compiled = compile::compile(compilation, &engine_config, engine, name, bytes)?;
            if let Some((cache, key)) = key {
                cache.put(key, &compiled);
            }
            compiled
        }
    };
    let weight = compiled.weight;
    if weight.loaded_bytes > compilation.code_bytes_max {
        return Err(ComponentError::CodeTooLarge {
            file: name.to_owned(),
            limit: compilation.code_bytes_max,
        });
    }
    let limit = instance_bytes_max as u64;
    if weight.instance_bytes > limit {
        return Err(ComponentError::InstanceTooLarge {
            file: name.to_owned(),
            bytes: weight.instance_bytes,
            limit,
        });
    }
    Code::load(engine, &compiled).map_err(|error| ComponentError::CompilerFailed {
        file: name.to_owned(),
        how: first_line(&error),
    })
}

/// The names of what a component imports and exports, in its order.
pub fn names(engine: &Engine, component: &Component) -> (Vec<String>, Vec<String>) {
    let ty = component.component_type();
    let imports = ty
        .imports(engine)
        .filter(|(_, item)| is_behaviour(item))
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports = ty
        .exports(engine)
        .filter(|(_, item)| is_behaviour(item))
        .map(|(name, _)| name.to_owned())
        .collect();
    (imports, exports)
}

/// Tells a component from a core module by the header: magic, version, layer.
fn of_kind(bytes: Vec<u8>, name: &str) -> Result<Vec<u8>, ComponentError> {
    if !bytes.starts_with(b"\0asm") {
        // What begins like the header and ends within it is a truncated file, which the validator tells.
        if !bytes.is_empty() && b"\0asm".starts_with(&bytes) {
            return Ok(bytes);
        }
        return Err(ComponentError::NotWasm {
            file: name.to_owned(),
        });
    }
    if bytes.get(4..8) == Some(&[1, 0, 0, 0]) {
        return Err(ComponentError::CoreModule {
            file: name.to_owned(),
        });
    }
    Ok(bytes)
}

fn check(
    engine: &Engine,
    component: &Component,
    file: &str,
) -> Result<Capabilities, ComponentError> {
    let (imports, exports) = names(engine, component);
    let file = file.to_owned();
    let is_other = |export: &String| Interface::parse(export).is_none();
    if exports.iter().any(|export| is_run(export)) && exports.iter().all(is_other) {
        return Err(ComponentError::Program { file });
    }
    let mut handler = false;
    let mut optional = Capabilities::default();
    for name in exports {
        if name
            .strip_prefix(WASI_HTTP)
            .is_some_and(|version| version.starts_with("@0.2."))
        {
            optional.wasi_http = true;
            continue;
        }
        if BUILDERS_EXPORTS.contains(&name.as_str()) {
            continue;
        }
        let Some(interface) = Interface::parse(&name) else {
            return Err(ComponentError::UnknownExport { file, name });
        };
        if interface.name != HANDLER && !OPTIONAL_EXPORTS.contains(&interface.name) {
            return Err(ComponentError::UnknownExport { file, name });
        }
        if !interface.is_compatible() {
            return Err(ComponentError::Version {
                file,
                direction: "exports",
                name,
            });
        }
        match interface.name {
            HANDLER => handler = true,
            "handshake" => optional.handshake = true,
            "writable" => optional.writable = true,
            "chunks" => optional.chunks = true,
            "packed" => optional.packed = true,
            "broadcast-filter" => optional.broadcast_filter = true,
            "network-filter" => optional.network_filter = true,
            "http" => optional.http = true,
            "reconnection" => optional.reconnection = true,
            "pong" => optional.pong = true,
            "timer-handler" => optional.timer_handler = true,
            "lifecycle" => optional.lifecycle = true,
            other => unreachable!("{other} is in the list of optional exports"),
        }
    }
    for name in imports {
        match Interface::parse(&name) {
            Some(interface) if !IMPORTS.contains(&interface.name) => {
                return Err(ComponentError::UnknownImport { file, name });
            }
            Some(interface) if !interface.is_compatible() => {
                return Err(ComponentError::Version {
                    file,
                    direction: "imports",
                    name,
                });
            }
            Some(_) => {}
            None if is_wasi(&name) => {}
            None => return Err(ComponentError::UnknownImport { file, name }),
        }
    }
    if !handler {
        let other = optional
            != Capabilities {
                wasi_http: true,
                ..Capabilities::default()
            };
        if other {
            return Err(ComponentError::NoHandler { file });
        }
        optional.plain_only = true;
    }
    Ok(optional)
}

/// An interface of the contract: `wsrun:websocket/NAME@VERSION`.
struct Interface<'a> {
    name: &'a str,
    version: &'a str,
}

impl<'a> Interface<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
        let (name, version) = rest.split_once('@').unwrap_or((rest, ""));
        Some(Self { name, version })
    }

    /// Before 1.0 the minor version must be the same (semver, as the linker matches names).
    fn is_compatible(&self) -> bool {
        self.version.starts_with("0.1.")
    }
}

/// The packages of WASI 0.2 that the linker provides; which versions, it tells itself.
fn is_wasi(name: &str) -> bool {
    [
        "wasi:io/",
        "wasi:clocks/",
        "wasi:random/",
        "wasi:cli/",
        "wasi:filesystem/",
        "wasi:sockets/",
        "wasi:http/",
    ]
    .iter()
    .any(|package| name.starts_with(package))
        && name
            .rsplit_once('@')
            .is_some_and(|(_, version)| version.starts_with("0.2."))
}

/// Types are named in passing; functions, instances, modules and components are what somebody calls.
fn is_behaviour(item: &wasmtime::component::types::ComponentExtern<'_>) -> bool {
    !matches!(item.ty, ComponentItem::Type(_) | ComponentItem::Resource(_))
}

pub fn first_line(error: &wasmtime::Error) -> String {
    let text = error.root_cause().to_string();
    text::line(text.lines().next().unwrap_or_default())
}
