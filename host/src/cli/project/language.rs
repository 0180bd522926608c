//! The languages of projects, and the reasons why nothing was built.

use std::path::PathBuf;

/// The target for which Rust builds components.
pub(in crate::cli) const RUST_TARGET: &str = "wasm32-wasip2";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Language {
    Rust,
    JavaScript,
    Python,
    Go,
    Zig,
    C,
}

impl Language {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript or TypeScript",
            Self::Python => "Python",
            Self::Go => "Go",
            Self::Zig => "Zig",
            Self::C => "C or C++",
        }
    }
}

/// The reason why nothing was built.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum BuildError {
    #[error(
        "{} has no project: none of Cargo.toml, package.json, pyproject.toml, requirements.txt, go.mod, build.zig or Makefile is there \
         (wsrun new makes one)", .0.display()
    )]
    NoProject(PathBuf),
    #[error("{tool} is missing, {what}; {install}")]
    Missing {
        tool: &'static str,
        what: &'static str,
        install: &'static str,
    },
    #[error("{command} could not be started: {cause}")]
    NotStarted {
        command: String,
        cause: std::io::Error,
    },
    /// The command failed. Its output was shown already.
    #[error("{command} failed ({status})")]
    Failed {
        command: String,
        status: std::process::ExitStatus,
        output: String,
    },
    #[error("{command} made no component: {expected}")]
    NoComponent { command: String, expected: String },
    /// The component is from an earlier build, and does not match the sources.
    #[error(
        "{command} left {} as it was, although {} is newer: the Makefile does not say that the one is made of the other", .component.display(),
        .source_file.display()
    )]
    Stale {
        command: String,
        component: PathBuf,
        source_file: PathBuf,
    },
    #[error("{} has a project that was not built yet: run `wsrun build`", .0.display())]
    NotBuilt(PathBuf),
}

impl BuildError {
    /// Returns the error, followed by the output of the command that failed.
    pub(in crate::cli) fn output(&self) -> String {
        if let Self::Failed { output, .. } = self {
            format!("{self}\n\n{output}")
        } else {
            self.to_string()
        }
    }
}
