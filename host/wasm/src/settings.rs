//! The settings of compiling and running components.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use wsrun_contract::Setting;

/// The settings of compiling and running components.
#[derive(Clone, Debug)]
pub struct WasmSettings {
    /// Folder for compiled components; none compiles at each start. It must be this user's or root's, with all above it, and writable by nobody
    /// else: what is in it is run.
    pub cache_dir: Option<PathBuf>,
    /// How components are compiled.
    pub compilation: Compilation,
    /// Stack of the wasm frames of a callback, 512 KiB by default, from 64 KiB to 16 MiB. Deeper recursion traps. Host functions that it calls
    /// have a stack of their own behind it, of one size.
    pub stack_bytes_max: usize,
    /// Whether backtraces tell files and lines where a handler has debug information. For handlers that are trusted: it is read for each frame
    /// of each trap, while the worker waits, and costs time and memory as its author likes.
    pub backtrace_lines: bool,
    /// Where core dumps of handlers that trapped are written; none writes none.
    pub coredumps: Option<Coredumps>,
    /// Shows handlers the clock of the runtime, which begins at a date of its own and may be made to stand still, and randomness that is the same
    /// each time. For scenarios (`wsrun::test`) alone: keys that a handler makes are no secret then.
    pub danger_predictable: bool,
}

impl Default for WasmSettings {
    fn default() -> Self {
        Self {
            cache_dir: None,
            compilation: Compilation::default(),
            stack_bytes_max: 512 * 1024,
            backtrace_lines: false,
            coredumps: None,
            danger_predictable: false,
        }
    }
}

/// Bounds of compiling a component, which takes time and memory as its author likes.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// The `wsrun` whose process compiles first, with the limits below: `/proc/self/exe` in `wsrun` itself. None, the default of the library,
    /// compiles in this process, without a limit but that of the size.
    pub program: Option<PathBuf>,
    /// The largest component, 64 MiB by default.
    pub component_bytes_max: u64,
    /// How long that process may take: 60 s by default.
    pub timeout: Duration,
    /// Its address space, 2 GiB by default, from 256 MiB.
    pub memory_bytes_max: u64,
    /// What a compiled component may take of memory when it is loaded, 256 MiB by default. Another process of [`program`](Self::program)
    /// loads it first to tell; without one, only the bytes of what was compiled are known.
    pub code_bytes_max: u64,
}

impl Default for Compilation {
    fn default() -> Self {
        Self {
            program: None,
            component_bytes_max: 64 * 1024 * 1024,
            timeout: Duration::from_secs(60),
            memory_bytes_max: 2 << 30,
            code_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Core dumps of instances whose callback failed. They have the whole memory of the instance, and with it what handler and peers keep secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coredumps {
    /// An existing folder.
    pub folder: PathBuf,
    /// What the files in it may have together. No more are written then: the oldest, which mostly tell most, stay.
    pub bytes_max: u64,
}

/// How messages go through the standard input and output of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramFormat {
    /// A text message is a line. A binary message closes the connection with 1003.
    #[default]
    Lines,
    /// A message is a byte, 1 for text and 2 for binary, its length in four bytes, the highest first, and its payload.
    Frames,
}

/// The sizes that the stack of a callback may have. Less does not hold the frames of an ordinary
/// program.
const STACK_BYTES: RangeInclusive<usize> = 64 * 1024..=16 * 1024 * 1024;

/// The least addresses of the process that compiles: its program, its threads and their stacks are
/// in them.
const COMPILE_MEMORY_MIN: u64 = 256 * 1024 * 1024;

/// Settings with which no component could be compiled or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWasm {
    /// The folder for core dumps does not exist.
    #[error("{} {}: there is no such folder", Setting("wasm.coredumps.folder"), .0.display())]
    NoCoredumpFolder(PathBuf),
    /// The size of the stack is out of range.
    #[error(
        "{setting} {0}: it must be {min} to {max}, since every instance has a stack of its own",
        setting = Setting("wasm.stack_bytes_max"), min = STACK_BYTES.start(), max = STACK_BYTES.end()
    )]
    Stack(usize),
    /// The process that compiles would not start.
    #[error(
        "{setting} {0}: it must be at least {COMPILE_MEMORY_MIN}, which the compiler needs for the smallest handler",
        setting = Setting("wasm.compilation.memory_bytes_max")
    )]
    CompileMemory(u64),
}

impl WasmSettings {
    /// Checks that components can be compiled and run with these settings.
    ///
    /// # Errors
    ///
    /// Fails with the first setting that does not allow it.
    pub fn check(&self) -> Result<(), InvalidWasm> {
        let coredumps = self.coredumps.as_ref().map(|coredumps| &coredumps.folder);
        if let Some(folder) = coredumps.filter(|folder| !folder.is_dir()) {
            return Err(InvalidWasm::NoCoredumpFolder(folder.clone()));
        }
        if !STACK_BYTES.contains(&self.stack_bytes_max) {
            return Err(InvalidWasm::Stack(self.stack_bytes_max));
        }
        let memory = self.compilation.memory_bytes_max;
        if memory < COMPILE_MEMORY_MIN {
            return Err(InvalidWasm::CompileMemory(memory));
        }
        Ok(())
    }
}
