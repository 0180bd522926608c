//! Compiling with bounds: first in a process of its own.
//!
//! A compiler has no bounds on time and memory, and its makers call a component that takes too much of them no vulnerability of theirs. So a
//! process of its own compiles first, which has limits and whose end harms nobody. Its result comes here through the cache of compiled
//! components. Where there is none, or it could not be written to, the server compiles the same bytes again, as they have been shown to
//! stay within the limits. Nothing but the cache is ever loaded as machine code.

use std::io::{self, Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rlimit::Resource;
use wasmtime::component::Component;

use super::component::{ComponentError, first_line};
use super::engine::{EngineConfig, engine};
use crate::config::Compilation;

/// The hidden command that [`run`] is.
pub(crate) const COMMAND: &str = "compile-component";
/// Its exit code for what is not a valid component: none that anything else ends with.
pub(crate) const INVALID: u8 = 65;

/// Threads of the compiler, which have an address space to share.
const THREADS: u64 = 4;
/// The compiler's nice value.
const NICE: i32 = 10;
/// What is read of the text in which it complains.
const COMPLAINT_BYTES_MAX: u64 = 4 * 1024;

/// Compiles in another process. What it has made is in the cache then.
pub(super) fn try_out(
    settings: &Compilation,
    engine: &EngineConfig,
    file: &str,
    component: &[u8],
) -> Result<(), ComponentError> {
    let Some(program) = &settings.program else {
        return Ok(());
    };
    let mut command = Command::new(program);
    command
        .arg(COMMAND)
        .arg("--seconds")
        .arg(cpu_seconds(settings.timeout).to_string())
        .arg("--memory")
        .arg(settings.memory_bytes_max.to_string())
        .arg("--stack")
        .arg(engine.wasm_stack_bytes.to_string());
    if let Some(cache) = &engine.cache {
        command.arg("--cache").arg(cache);
    }
    if engine.backtrace_lines {
        command.arg("--backtrace-lines");
    }
    command
        .env_clear()
        .env("RAYON_NUM_THREADS", THREADS.to_string())
        // Each arena of the allocator takes 64 MiB of addresses.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let ended = command
        .spawn()
        .and_then(|child| feed(child, component, settings.timeout));
    let ended = ended.map_err(|cause| ComponentError::CompilerNotStarted {
        program: program.display().to_string(),
        cause,
    })?;
    let Some((status, complaint)) = ended else {
        return Err(ComponentError::CompileTimeout {
            file: file.to_owned(),
            limit: settings.timeout,
        });
    };
    if status.success() {
        return Ok(());
    }
    let complaint = complaint.lines().next().unwrap_or_default().to_owned();
    if status.code() == Some(INVALID.into()) {
        return Err(ComponentError::Invalid {
            file: file.to_owned(),
            cause: complaint,
        });
    }
    Err(ComponentError::CompileMemory {
        file: file.to_owned(),
        limit: settings.memory_bytes_max,
        how: how(status, complaint),
    })
}

/// Gives it the component and waits for its end, at most for so long; none when that was not enough.
fn feed(
    mut child: Child,
    component: &[u8],
    timeout: Duration,
) -> io::Result<Option<(ExitStatus, String)>> {
    let deadline = Instant::now() + timeout;
    let mut input = child.stdin.take().expect("it is piped");
    let mut output = child.stderr.take().expect("it is piped");
    thread::scope(|scope| {
        // It may end before it has read everything, which its status tells.
        scope.spawn(move || drop(input.write_all(component)));
        let (told, complaint) = mpsc::channel();
        scope.spawn(move || {
            let mut text = Vec::new();
            let _ = output
                .by_ref()
                .take(COMPLAINT_BYTES_MAX)
                .read_to_end(&mut text);
            // What it says beyond that must not make it wait.
            let _ = io::copy(&mut output, &mut io::sink());
            let _ = told.send(String::from_utf8_lossy(&text).into_owned());
        });
        // Its end closes the pipe; nobody else has the other side.
        let left = deadline.saturating_duration_since(Instant::now());
        match complaint.recv_timeout(left) {
            Ok(text) => Ok(Some((child.wait()?, text))),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                child.kill()?;
                child.wait()?;
                Ok(None)
            }
        }
    })
}

fn how(status: ExitStatus, complaint: String) -> String {
    match status.signal() {
        Some(signal) if complaint.is_empty() => format!("signal {signal}"),
        Some(_) | None => complaint,
    }
}

/// What all of its threads may take together, should nobody be there any more to end it.
fn cpu_seconds(timeout: Duration) -> u64 {
    timeout.as_secs().saturating_add(1).saturating_mul(THREADS)
}

/// What the other process does: bounds itself, reads a component from standard input and compiles it into the cache.
///
/// # Errors
///
/// When a limit could not be set, or there is no input. Within it, why the bytes are not a valid component.
pub(crate) fn run(
    engine_config: &EngineConfig,
    memory: u64,
    seconds: u64,
) -> Result<Result<(), String>, String> {
    let limits = [
        (Resource::AS, memory),
        (Resource::CPU, seconds),
        (Resource::CORE, 0),
    ];
    for (resource, limit) in limits {
        let (_, hard) = resource.get().map_err(|error| error.to_string())?;
        let limit = limit.min(hard);
        let set = resource.set(limit, limit);
        set.map_err(|error| format!("{resource:?} could not be limited: {error}"))?;
    }
    // Who is to be told the result may be stopped meanwhile.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    // A server that serves meanwhile comes first.
    let _ = rustix::process::setpriority_process(None, NICE);
    let engine = engine(engine_config).map_err(|error| first_line(&error))?;
    let mut component = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut component)
        .map_err(|error| error.to_string())?;
    let compiled = Component::from_binary(&engine, &component);
    Ok(compiled.map(drop).map_err(|error| first_line(&error)))
}
