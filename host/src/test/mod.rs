//! A handler's own tests, without a network and in virtual time: scenarios of events that go in and
//! effects that must come out.
//!
//! A scenario is a TOML file, whose format `docs/testing.md` describes. `wsrun test` runs it, and
//! so can `cargo test`:
//!
//! ```no_run
//! use wsrun::test::Handler;
//!
//! // In a #[test]; a handler in another language is tested the same way.
//! Handler::new("target/wasm32-wasip2/release/echo.wasm").check("tests/echo.toml");
//! ```
//!
//! The handler runs in the unchanged host: with its handshake, its limits, its topics and timers.
//! Only the sockets are pipes in memory, and the clock stands still until a step advances it. A
//! handler in Rust that is part of the program is tested without a component:
//!
//! ```
//! use wsrun::contract::{ConnectionId, Message};
//! use wsrun::native::{Context, Handler, Native};
//! use wsrun::test::{self, Scenario};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn received(&mut self, cx: &mut Context<'_>, id: ConnectionId, message: Message<'_>) {
//!         let _ = cx.send(id, message);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scenario = Scenario::parse("echo", r#"
//!     about = "a message comes back"
//!     [[step]]
//!     connect = "ann"
//!     [[step]]
//!     from = "ann"
//!     text = "hello"
//!     expect = [{ text = "hello" }]
//! "#)?;
//! test::Handler::new(Native::new("echo", || Echo)).run(&scenario)?;
//! # Ok(())
//! # }
//! ```

mod effect;
mod error;
mod file;
mod idle;
mod peer;
mod stage;

use std::path::{Path, PathBuf};

pub use self::error::{Failed, TestError};
pub use self::file::{FileError, Scenario};
use crate::config::{Compilation, Config, HandlerConfig, HandlerSource, WasmSettings};

/// The runner of scenarios for one handler.
#[derive(Clone, Debug)]
pub struct Handler {
    source: HandlerSource,
    cache_dir: Option<PathBuf>,
    compilation: Compilation,
}

impl Handler {
    /// Returns a runner for a component, or for a handler in Rust.
    pub fn new(source: impl Into<HandlerSource>) -> Self {
        Self {
            source: source.into(),
            cache_dir: None,
            compilation: Compilation::default(),
        }
    }

    /// Stores the compiled component in this folder, and finds it there at the next run.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(folder.into());
        self
    }

    /// Sets the limits of compiling the component.
    pub fn compilation(mut self, compilation: Compilation) -> Self {
        self.compilation = compilation;
        self
    }

    /// Runs a scenario with a new instance. Do not call it within an async runtime.
    ///
    /// # Errors
    ///
    /// Fails when a step has another result than expected, or the handler does not start.
    pub fn run(&self, scenario: &Scenario) -> Result<(), TestError> {
        let mut handler = HandlerConfig::new(None, self.source.clone());
        handler.config = std::sync::Arc::new(scenario.config.clone());
        let mut config = Config {
            listen: Vec::new(),
            handlers: vec![handler],
            wasm: WasmSettings {
                cache_dir: self.cache_dir.clone(),
                compilation: self.compilation.clone(),
                danger_predictable: true,
                ..WasmSettings::default()
            },
            ..Config::default()
        };
        // A scenario may leave its peers silent for as long as it likes.
        config.runtime.deflate = None;
        config.runtime.timeouts.ping_interval = None;
        config.runtime.timeouts.idle_timeout = None;
        stage::play(config, scenario)
    }

    /// Runs the scenario of a file.
    ///
    /// # Errors
    ///
    /// Fails as [`run`](Self::run) does, or when the file is not a scenario.
    pub fn run_file(&self, file: impl AsRef<Path>) -> Result<(), TestError> {
        self.run(&Scenario::load(file)?)
    }

    /// Runs the scenario of a file in a test.
    ///
    /// # Panics
    ///
    /// Panics when the scenario does not pass. The text shows the difference.
    #[track_caller]
    pub fn check(&self, file: impl AsRef<Path>) {
        if let Err(error) = self.run_file(file) {
            panic!("{error}");
        }
    }
}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
mod guide {}
