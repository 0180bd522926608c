//! The options of compiling components.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::values::{bytes, duration};
use crate::config::{Compilation, WasmSettings};
use wsrun_wasm::cache::{self, CacheError};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CompilationArgs {
    /// Folder for compiled components, which must be this user's or root's, with all above it, and writable by nobody else [default: wsrun in the user's cache folder]
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "no_cache",
        help_heading = "Compilation"
    )]
    pub(in crate::cli) cache_dir: Option<PathBuf>,
    /// Compiles the handlers at each start
    #[arg(long, help_heading = "Compilation")]
    pub(in crate::cli) no_cache: bool,
    /// Largest component. More: refused
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "64MiB", help_heading = "Compilation")]
    pub(in crate::cli) max_component: u64,
    /// Memory that a compiled handler may take when it is loaded, beside that of its instances. More: refused
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "256MiB", help_heading = "Compilation")]
    pub(in crate::cli) max_code: u64,
    /// Time that compiling a handler may take. More: refused
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s", help_heading = "Compilation")]
    pub(in crate::cli) compile_timeout: Duration,
    /// Address space of the process that compiles, at least 256MiB. More: refused
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "2GiB", help_heading = "Compilation")]
    pub(in crate::cli) compile_memory: u64,
    /// Compiles in the process that serves, without limits of time and memory: for handlers that are trusted, where no process can be started
    #[arg(long, conflicts_with_all = ["compile_timeout", "compile_memory"], help_heading = "Compilation")]
    pub(in crate::cli) compile_in_process: bool,
}

impl CompilationArgs {
    pub(in crate::cli) fn apply(self, settings: &mut WasmSettings) -> Result<(), Failure> {
        settings.cache_dir = if self.no_cache {
            None
        } else {
            self.cache_dir
                .map(std::path::absolute)
                .or_else(default_cache)
                .transpose()?
        };
        settings.compilation = Compilation {
            // The running program, even when another file has replaced it in the file system.
            program: (!self.compile_in_process).then(|| "/proc/self/exe".into()),
            component_bytes_max: self.max_component,
            timeout: self.compile_timeout,
            memory_bytes_max: self.compile_memory,
            code_bytes_max: self.max_code,
        };
        Ok(())
    }
}

/// Returns the default cache folder: `$XDG_CACHE_HOME/wsrun`, else `~/.cache/wsrun`. None without a
/// home, or when nothing can be stored there.
pub(in crate::cli) fn default_cache() -> Option<std::io::Result<PathBuf>> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    let folder = base.join("wsrun");
    // A cache that cannot be used does not prevent the start: the next start compiles again.
    match cache::check(&folder) {
        Ok(()) => Some(Ok(folder)),
        Err(error @ CacheError::Unreachable { .. }) => {
            tracing::debug!("{error}");
            None
        }
        Err(error @ CacheError::Unsafe { .. }) => {
            tracing::warn!("handlers are compiled at each start: {error}");
            None
        }
    }
}
