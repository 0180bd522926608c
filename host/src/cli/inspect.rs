//! `wsrun inspect FILE`.

use std::path::Path;
use std::process::ExitCode;

use super::{Failure, say};
use crate::wasm::{component, engine, linker};

pub(super) fn run(file: &Path) -> Result<ExitCode, Failure> {
    let engine = engine::engine(None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let (loaded, exports) = component::load(&engine, file).map_err(Failure::usage)?;
    let linker = linker::linker(&engine).map_err(|error| anyhow::anyhow!("{error}"))?;
    linker::Linked::new(&linker, &loaded, exports, &file.display().to_string())
        .map_err(Failure::usage)?;
    let (imports, exports) = component::names(&engine, &loaded);
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
    say("imports");
    if imports.is_empty() {
        say("  nothing");
    }
    imports
        .iter()
        .for_each(|name| say(&format!("  {name}  {}", import_meaning(name))));
    say("needs granted");
    say(
        "  nothing: everything that it imports works without a grant, or is answered with an error",
    );
    Ok(ExitCode::SUCCESS)
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
            "topics" => "publish and subscribe",
            "timers" => "sets timers",
            "host-info" => "names and --config",
            _ => "",
        };
    }
    match name.split_once('/').map_or(name, |(package, _)| package) {
        "wasi:io" => "streams of what follows",
        "wasi:clocks" => "granted: the clock",
        "wasi:random" => "granted: random bytes",
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
