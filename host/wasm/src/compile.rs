//! Compilation with bounds, in separate processes.
//!
//! A compiler has no bounds on time and memory, and its makers do not treat a component that takes
//! too much of them as a vulnerability. So a separate process compiles: it has limits, and its end
//! harms nobody. The code may take far more memory when it is loaded than it has bytes, so a second
//! process loads it first and measures that. Both exchange data through pipes: they need no folder.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rlimit::Resource;
use wasmtime::component::Linker;
use wasmtime::{Engine, Store};

use super::code::Code;
use super::component::{ComponentError, first_line};
use super::engine::{EngineConfig, engine};
use super::names::ignore_long_names;
use super::settings::Compilation;
use wsrun_metrics::panics;
use wsrun_metrics::text;

/// The hidden command that runs [`run`].
pub const COMMAND: &str = "compile-component";
/// The exit code for bytes that are not a valid component. Nothing else ends with it.
pub const INVALID: u8 = 65;
/// The exit code of a compiler that panics.
const PANICKED: u8 = 70;

/// Threads of the compiler, which share one address space limit.
const THREADS: u64 = 4;
/// The compiler's nice value.
const NICE: i32 = 10;
/// Bytes that are read of the compiler's error output.
const COMPLAINT_BYTES_MAX: u64 = 4 * 1024;

/// A compiled component.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) code: Vec<u8>,
    pub(super) weight: Weight,
}

/// The memory that a component takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Bytes when it is loaded.
    pub(super) loaded_bytes: u64,
    /// Bytes for each instance, in addition to its memories and tables.
    pub(super) instance_bytes: u64,
}

/// Compiles a component: in other processes, or in this one when no program for them is set.
pub(super) fn compile(
    settings: &Compilation,
    engine_config: &EngineConfig,
    engine: &Engine,
    file: &str,
    component: &[u8],
) -> Result<Compiled, ComponentError> {
    let too_large = || ComponentError::CodeTooLarge {
        file: file.to_owned(),
        limit: settings.code_bytes_max,
    };
    if settings.program.is_none() {
        let mut component = component.to_vec();
        ignore_long_names(&mut component);
        let made = panics::caught(|| engine.precompile_component(&component));
        let made = made.map_err(|panicked| ComponentError::CompilerPanicked {
            file: file.to_owned(),
            how: panicked.to_string(),
        })?;
        let code = made.map_err(|error| ComponentError::Invalid {
            file: file.to_owned(),
            cause: first_line(&error),
        })?;
        // A lower bound: nobody has loaded the code yet.
        let weight = Weight {
            loaded_bytes: code.len() as u64,
            instance_bytes: 0,
        };
        if weight.loaded_bytes > settings.code_bytes_max {
            return Err(too_large());
        }
        return Ok(Compiled { code, weight });
    }
    let process = CompilerProcess {
        settings,
        engine: engine_config,
        file,
    };
    let code = process.run(Task::Compile, component)?;
    // Code that takes too much is not loaded in this process. Loading copies its bytes, so it takes
    // at least as many.
    let weight = match process.run(Task::Weigh, &code) {
        Ok(told) => Weight::parse(&String::from_utf8_lossy(&told)),
        Err(ComponentError::CompileMemory { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut weight = weight.ok_or_else(too_large)?;
    weight.loaded_bytes = weight.loaded_bytes.max(code.len() as u64);
    match weight.loaded_bytes <= settings.code_bytes_max {
        true => Ok(Compiled { code, weight }),
        false => Err(too_large()),
    }
}

impl Weight {
    /// Parses the output of [`Task::Weigh`].
    fn parse(told: &str) -> Option<Self> {
        let (loaded, instance) = told.trim().split_once(' ')?;
        Some(Self {
            loaded_bytes: loaded.parse().ok()?,
            instance_bytes: instance.parse().ok()?,
        })
    }
}

/// The task of a separate process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Compiles a component.
    Compile,
    /// Loads compiled code and reports the memory that it takes.
    Weigh,
}

/// A process to be started for one task.
struct CompilerProcess<'a> {
    settings: &'a Compilation,
    engine: &'a EngineConfig,
    file: &'a str,
}

impl CompilerProcess<'_> {
    /// Runs the process with this input. Returns its output.
    fn run(&self, task: Task, input: &[u8]) -> Result<Vec<u8>, ComponentError> {
        let (settings, file) = (self.settings, self.file);
        let mut command = self.command(task);
        let ended = command
            .spawn()
            .and_then(|child| feed(child, input, settings.code_bytes_max, settings.timeout));
        let ended = ended.map_err(|cause| ComponentError::CompilerNotStarted {
            program: command.get_program().display().to_string(),
            cause,
        })?;
        let ProcessEnd {
            status,
            output,
            complaint,
        } = ended.ok_or_else(|| ComponentError::CompileTimeout {
            file: file.to_owned(),
            limit: settings.timeout,
        })?;
        if output.len() as u64 > settings.code_bytes_max {
            return Err(ComponentError::CodeTooLarge {
                file: file.to_owned(),
                limit: settings.code_bytes_max,
            });
        }
        if status.success() {
            return Ok(output);
        }
        let mut lines = complaint.lines();
        let complaint = text::line(lines.find(|line| !line.is_empty()).unwrap_or_default());
        if status.signal().is_some() || is_out_of_memory(&complaint) {
            return Err(ComponentError::CompileMemory {
                file: file.to_owned(),
                limit: settings.memory_bytes_max,
                how: describe_end(status, complaint),
            });
        }
        if status.code() == Some(INVALID.into()) {
            return Err(ComponentError::Invalid {
                file: file.to_owned(),
                cause: complaint,
            });
        }
        if status.code() == Some(PANICKED.into()) {
            return Err(ComponentError::CompilerPanicked {
                file: file.to_owned(),
                how: describe_end(status, complaint),
            });
        }
        Err(ComponentError::CompilerFailed {
            file: file.to_owned(),
            how: describe_end(status, complaint),
        })
    }

    fn command(&self, task: Task) -> Command {
        let (settings, engine) = (self.settings, self.engine);
        let program = settings
            .program
            .as_deref()
            .unwrap_or_else(|| "wsrun".as_ref());
        let mut command = Command::new(program);
        command
            .arg(COMMAND)
            .arg("--seconds")
            .arg(cpu_seconds(settings.timeout).to_string())
            .arg("--memory")
            .arg(settings.memory_bytes_max.to_string())
            .arg("--stack")
            .arg(engine.wasm_stack_bytes.to_string());
        if engine.backtrace_lines {
            command.arg("--backtrace-lines");
        }
        if engine.coredumps {
            command.arg("--coredumps");
        }
        if task == Task::Weigh {
            command.arg("--weigh");
        }
        command
            // The process needs no folder, and another user may own the current one.
            .current_dir("/")
            .env_clear()
            .env("RAYON_NUM_THREADS", THREADS.to_string())
            // Each arena of the allocator takes 64 MiB of addresses.
            .env("MALLOC_ARENA_MAX", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// The end of a process.
struct ProcessEnd {
    status: ExitStatus,
    output: Vec<u8>,
    complaint: String,
}

/// Gives a process its input and waits for its end, at most for `timeout`. Returns none when that
/// was not enough. One byte of output more than allowed ends the process.
fn feed(
    mut child: Child,
    input: &[u8],
    output_max: u64,
    timeout: Duration,
) -> io::Result<Option<ProcessEnd>> {
    let deadline = Instant::now() + timeout;
    let mut stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    thread::scope(|scope| {
        // The process may end before it has read everything. Its status shows that.
        scope.spawn(move || drop(stdin.write_all(input)));
        let output_max = output_max.saturating_add(1);
        let output = read_in(scope, stdout, output_max, false);
        // Further error output is drained, so that the process does not block on it.
        let complaint = read_in(scope, stderr, COMPLAINT_BYTES_MAX, true);
        // The end of the process closes the pipes: nobody else has the other ends.
        let left = || deadline.saturating_duration_since(Instant::now());
        let output = output.recv_timeout(left());
        let complaint = complaint.recv_timeout(left());
        let (Ok(output), Ok(complaint)) = (output, complaint) else {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        };
        Ok(Some(ProcessEnd {
            status: child.wait()?,
            output,
            complaint: String::from_utf8_lossy(&complaint).into_owned(),
        }))
    })
}

/// Reads up to `bytes_max` of a pipe in a thread. The rest is drained and discarded when `drains`
/// is set, and not read otherwise.
fn read_in<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    mut pipe: impl Read + Send + 'scope,
    bytes_max: u64,
    drains: bool,
) -> Receiver<Vec<u8>> {
    let (told, read) = mpsc::channel();
    scope.spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.by_ref().take(bytes_max).read_to_end(&mut bytes);
        if drains {
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        drop(pipe);
        let _ = told.send(bytes);
    });
    read
}

fn describe_end(status: ExitStatus, complaint: String) -> String {
    match (status.signal(), status.code()) {
        _ if !complaint.is_empty() => complaint,
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "for no known reason".to_owned(),
    }
}

/// Returns true when the process reports that it did not get more memory, or a thread (which needs
/// memory too).
fn is_out_of_memory(complaint: &str) -> bool {
    ["os error 12", "os error 11", "emory allocation"]
        .iter()
        .any(|words| complaint.contains(words))
}

/// Returns the processor time, in seconds, that all threads of the process may take together. The
/// limit ends a process whose parent is gone.
fn cpu_seconds(timeout: Duration) -> u64 {
    timeout.as_secs().saturating_add(1).saturating_mul(THREADS)
}

/// Runs a task in the separate process: sets its limits, reads from standard input and writes the
/// result to standard output.
///
/// # Errors
///
/// Fails when a limit could not be set, or there is no input. The inner error says why the bytes
/// are not a valid component.
pub fn run(
    task: Task,
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
    // The parent, which waits for the result, may be stopped meanwhile.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    exit_on_panic();
    // A server that serves meanwhile has priority.
    let _ = rustix::process::setpriority_process(None, NICE);
    let engine = engine(engine_config).map_err(|error| first_line(&error))?;
    let mut input = Vec::new();
    io::stdin()
        .lock()
        .read_to_end(&mut input)
        .map_err(|error| error.to_string())?;
    let made = match task {
        Task::Compile => {
            ignore_long_names(&mut input);
            let made = engine.precompile_component(&input);
            made.map_err(|error| first_line(&error))
        }
        Task::Weigh => weigh(&engine, input).map(|weight| {
            format!("{} {}", weight.loaded_bytes, weight.instance_bytes).into_bytes()
        }),
    };
    let made = match made {
        Ok(made) => made,
        Err(error) => return Ok(Err(error)),
    };
    let mut output = io::stdout().lock();
    let written = output.write_all(&made).and_then(|()| output.flush());
    written.map(Ok).map_err(|error| error.to_string())
}

/// Makes the first panic of any thread end the process, with one line of error output: nothing can
/// go on after it.
fn exit_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        let message = text::line(message.lines().next().unwrap_or_default());
        let mut told = io::stderr().lock();
        let _ = match panic.location() {
            // Only the file name: the folder that it was built in does not matter here.
            Some(place) => {
                let file = Path::new(place.file()).file_name().unwrap_or_default();
                writeln!(
                    told,
                    "{message} ({}, line {})",
                    file.display(),
                    place.line()
                )
            }
            None => writeln!(told, "{message}"),
        };
        // Other threads that panic meanwhile print nothing more.
        std::process::exit(PANICKED.into());
    }));
}

/// Returns the bytes by which this process grows when it loads the code, and when it makes an
/// instance.
fn weigh(engine: &Engine, code: Vec<u8>) -> Result<Weight, String> {
    let compiled = Compiled {
        code,
        weight: Weight::default(),
    };
    let before = resident()?;
    let code = Code::load(engine, &compiled).map_err(|error| first_line(&error))?;
    let loaded = resident()?;
    let mut linker = Linker::new(engine);
    let mut store = Store::new(engine, ());
    // Code that would run on instantiation is interrupted at once: the host's own memory for an
    // instance is allocated before.
    store.set_epoch_deadline(0);
    let made = linker
        .define_unknown_imports_as_traps(code.component())
        .and_then(|()| linker.instantiate(&mut store, code.component()));
    let instantiated = resident()?;
    // The process ends at once, so freeing all this would be wasted time.
    std::mem::forget((made, store, linker, code));
    let instance_bytes = instantiated.saturating_sub(loaded);
    Ok(Weight {
        loaded_bytes: loaded.saturating_sub(before),
        instance_bytes: instance_bytes.saturating_sub(FIRST_INSTANCE_BYTES),
    })
}

/// Bytes that only the first instance of a process takes, with a margin.
const FIRST_INSTANCE_BYTES: u64 = 1024 * 1024;

/// Returns the bytes of this process that are resident in memory.
fn resident() -> Result<u64, String> {
    let status = fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    let kilobytes: u64 = kilobytes.ok_or("/proc/self/status does not tell VmRSS")?;
    Ok(kilobytes.saturating_mul(1024))
}
