//! `wsrun inspect FILE`: prints the exports and imports of a component, and the grants that it
//! needs.

use std::path::Path;
use std::process::ExitCode;

use wasmtime::Engine;

use super::failure::Failure;
use super::output::say;
use crate::config::{MemoryLimits, WasmSettings};
use wsrun_metrics::text;
use wsrun_wasm::component::ComponentError;
use wsrun_wasm::{component, engine, linker};

pub(super) fn run(file: &Path) -> Result<ExitCode, Failure> {
    let mut settings = WasmSettings::default();
    // The component is not trusted yet, so it is compiled in a separate process.
    settings.compilation.program = Some("/proc/self/exe".into());
    let engine = engine::engine(&engine::EngineConfig::from(&settings))
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let loaded = match component::load(&engine, &settings, instance_bytes_max(), file) {
        Err(ComponentError::Program { .. }) => return program(&engine, &settings, file),
        loaded => loaded.map_err(Failure::usage)?,
    };
    let linker = linker::linker(&engine).map_err(|error| anyhow::anyhow!("{error}"))?;
    let name = text::line(file.display());
    linker::Linked::new(&linker, &loaded.component, loaded.exports, &name)
        .map_err(Failure::usage)?;
    let (imports, exports) = component::names(&engine, loaded.component.component());
    say(&format!(
        "{}: a handler for {}@{}",
        file.display(),
        component::PACKAGE,
        component::VERSION
    ));
    say("exports");
    exports
        .iter()
        .for_each(|name| say(&format!("  {name}  {}", export_meaning(name))));
    print_imports(&imports);
    say("needs granted");
    let needs = needs(&imports, &exports);
    needs.iter().for_each(|need| say(&format!("  {need}")));
    if needs.is_empty() {
        say(
            "  nothing: everything that it imports works without a grant, or is answered with an error",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows a program that `--stdio` runs.
fn program(engine: &Engine, settings: &WasmSettings, file: &Path) -> Result<ExitCode, Failure> {
    let loaded = component::load_program(engine, settings, instance_bytes_max(), file)
        .map_err(Failure::usage)?;
    let (imports, exports) = component::names(engine, loaded.component());
    let name = file.display();
    say(&format!(
        "{name}: a program for WASI 0.2; `wsrun --stdio {name}` runs it for each connection"
    ));
    say("exports");
    exports.iter().for_each(|name| say(&format!("  {name}")));
    print_imports(&imports);
    Ok(ExitCode::SUCCESS)
}

fn print_imports(imports: &[String]) {
    say("imports");
    if imports.is_empty() {
        say("  nothing");
    }
    imports
        .iter()
        .for_each(|name| say(&format!("  {name}  {}", import_meaning(name))));
}

/// Returns the options that an operator may have to set.
fn needs(imports: &[String], exports: &[String]) -> Vec<&'static str> {
    let is = |names: &[String], wanted| {
        let mut own = names.iter().filter(|name| !name.starts_with("wasi:"));
        own.any(|name| interface(name) == wanted)
    };
    let mut needs = Vec::new();
    if is(imports, "client") {
        needs.push("--allow-connect HOST[:PORT], for each place that it connects to");
    }
    if is(exports, "http") {
        needs.push("--files DIR, if it answers with files");
    }
    needs
}

fn interface(name: &str) -> &str {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    name.rsplit_once('/')
        .map_or(name, |(_, interface)| interface)
}

fn export_meaning(name: &str) -> &'static str {
    match interface(name) {
        "handler" => "opened, received, closed",
        "handshake" => "decides on opening handshakes",
        "writable" => "is told when a queue has drained",
        "packed" => "takes several messages in one call: the SDK's",
        "chunks" => "takes messages in parts, as they arrive",
        "broadcast-filter" => "decides who gets a broadcast",
        "network-filter" => "decides by address who may connect, as the default handler",
        "http" => "answers plain requests, as the default handler",
        "incoming-handler" => {
            "answers plain requests, as the default handler, with an instance for each"
        }
        "reconnection" => "is told when an outbound connection is lost and restored",
        "pong" => "is told of pongs",
        "timer-handler" => "has timers",
        "lifecycle" => "is told when an instance starts",
        _ => "",
    }
}

fn import_meaning(name: &str) -> &'static str {
    if !name.starts_with("wasi:") {
        return match interface(name) {
            "types" => "the types of the contract",
            "connections" => "sends, closes, session data",
            "packed-send" => "sends several messages in one call: the SDK's",
            "topics" => "publish and subscribe",
            "client" => "connects out, where the operator allows it",
            "timers" => "sets timers",
            "host-info" => "names and --config",
            _ => "",
        };
    }
    match name.split_once('/').map_or(name, |(package, _)| package) {
        "wasi:io" => "streams of what follows",
        "wasi:clocks" => "granted: the clock",
        "wasi:random" => "granted: random bytes",
        "wasi:http" => match interface(name) {
            "outgoing-handler" => "not granted: every request is denied",
            _ => "requests and responses",
        },
        "wasi:filesystem" => "not granted: no folder is there",
        "wasi:sockets" => "not granted: every socket is refused",
        "wasi:cli" => match interface(name) {
            "stdout" | "stderr" => "goes to the log",
            "stdin" => "not granted: always at its end",
            "environment" => "not granted: no variables, no arguments",
            _ => "granted",
        },
        _ => "",
    }
}

/// Returns the memory that an instance may take by default.
fn instance_bytes_max() -> usize {
    MemoryLimits::default().instance_bytes_max
}
