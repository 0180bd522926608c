//! A handler's own tests, without a network and in virtual time: scenarios of events that go in and effects that must come out.
//!
//! A scenario is a TOML file (`docs/testing.md` has all of the format), which `wsrun test` runs and which can be run from `cargo test`:
//!
//! ```no_run
//! use wsrun::test::Handler;
//!
//! // In a #[test]; a handler of another language is tested the same way.
//! Handler::new("target/wasm32-wasip2/release/echo.wasm").check("tests/echo.toml");
//! ```
//!
//! The handler runs in the host as it is: with its handshake, its limits, its topics and timers. Only the sockets are pipes in memory, and the
//! clock stands still until a step advances it. A handler in Rust that is part of the program is tested without a component:
//!
//! ```
//! use wsrun::contract::{ConnectionId, Message};
//! use wsrun::native::{Context, Handler, Native};
//! use wsrun::test::{self, Scenario};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
//!         let _ = cx.send(connection, message);
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
mod file;
mod idle;
mod peer;
mod stage;

use std::fmt;
use std::path::{Path, PathBuf};

pub use self::file::{FileError, Scenario};
use crate::config::{Compilation, Config, HandlerConfig, HandlerSource};
use crate::server::StartError;

/// What scenarios are run with.
#[derive(Clone, Debug)]
pub struct Handler {
    source: HandlerSource,
    cache_dir: Option<PathBuf>,
    compilation: Compilation,
}

/// Why a scenario did not pass.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The file is no scenario.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is no handler, or it does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A step came out otherwise.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// As its text: that is what a test that returns it shows.
impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A step that came out otherwise. Its text shows the difference, over several lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, step {step} (line {line}): {action}\n{}", .file.display(), .difference.join("\n"))]
pub struct Failed {
    /// The scenario.
    pub file: PathBuf,
    /// The number of the step, from 1.
    pub step: usize,
    /// Where it begins in the file.
    pub line: usize,
    /// What the step did.
    pub action: String,
    /// What was expected and what came, line by line.
    pub difference: Vec<String>,
}

impl Handler {
    /// A component, or a handler in Rust.
    pub fn new(source: impl Into<HandlerSource>) -> Self {
        Self {
            source: source.into(),
            cache_dir: None,
            compilation: Compilation::default(),
        }
    }

    /// Keeps the compiled component in this folder, and finds it there at the next run.
    pub fn cache_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(folder.into());
        self
    }

    /// How the component is compiled.
    pub fn compilation(mut self, compilation: Compilation) -> Self {
        self.compilation = compilation;
        self
    }

    /// Runs a scenario with a new instance. Not to be called from within an async runtime.
    ///
    /// # Errors
    ///
    /// When a step comes out otherwise, or the handler does not start.
    pub fn run(&self, scenario: &Scenario) -> Result<(), TestError> {
        let mut handler = HandlerConfig::new(None, self.source.clone());
        handler.config = std::sync::Arc::new(scenario.config.clone());
        let mut config = Config {
            listen: Vec::new(),
            handlers: vec![handler],
            deflate: None,
            cache_dir: self.cache_dir.clone(),
            compilation: self.compilation.clone(),
            danger_predictable: true,
            ..Config::default()
        };
        // Peers are silent for as long as a scenario likes.
        config.timeouts.ping_interval = None;
        config.timeouts.idle_timeout = None;
        stage::play(config, scenario)
    }

    /// Runs the scenario of a file.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run), or when the file is no scenario.
    pub fn run_file(&self, file: impl AsRef<Path>) -> Result<(), TestError> {
        self.run(&Scenario::load(file)?)
    }

    /// Runs the scenario of a file in a test.
    ///
    /// # Panics
    ///
    /// When it does not pass; the text shows the difference.
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
