//! The engine, its configuration and its clock.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Cache, CacheConfig, Config, Engine, WasmBacktraceDetails};

/// How often a running callback is looked at: the grain of its deadline and of fairness between handlers.
pub(crate) const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Stack of a callback in wasm frames. Deeper recursion traps.
const WASM_STACK_BYTES: usize = 512 * 1024;

/// Stack of a callback and the host functions that it calls. What is left beside the wasm frames is all that a host function has, and an
/// overflow there would abort the process.
const ASYNC_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Makes the engine of the process. `cache` is the folder for compiled components; none compiles at each start.
pub(crate) fn engine(cache: Option<PathBuf>) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        // The bookkeeping of component-model-async costs three to four times a call (docs/adr/0003).
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_backtrace_details(WasmBacktraceDetails::Enable);
    if let Some(directory) = cache {
        let mut cache = CacheConfig::new();
        cache.with_directory(directory);
        config.cache(Some(Cache::new(cache)?));
    }
    Engine::new(&config)
}

/// Advances the engine's epoch until dropped.
#[derive(Debug)]
pub(crate) struct EpochTicker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EpochTicker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let engine = engine.weak();
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name("wsrun-epoch".into())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EPOCH_TICK) {
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
