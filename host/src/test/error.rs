//! The reasons why a scenario did not pass.

use std::fmt;
use std::path::PathBuf;

use super::file::FileError;
use crate::server::StartError;

/// The reason why a scenario did not pass.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The file is not a scenario.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not a handler, or the handler does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A step had another result than expected.
    #[error(transparent)]
    Failed(#[from] Failed),
}

/// Shows the error's text, since a test that returns the error prints this.
impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A step with another result than expected. The text shows the difference, over several lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}, step {step} (line {line}): {action}\n{}", .file.display(), .difference.join("\n"))]
pub struct Failed {
    /// The file of the scenario.
    pub file: PathBuf,
    /// The number of the step, from 1.
    pub step: usize,
    /// The line at which the step begins.
    pub line: usize,
    /// The action of the step.
    pub action: String,
    /// The expected effects and those that came, line by line.
    pub difference: Vec<String>,
}
