//! The failure of a command, and the exit codes.

use std::path::{Path, PathBuf};

use crate::server::{PrivilegeError, StartError};

/// The exit code for a wrong argument or a file that is not a handler.
pub(super) const USAGE: u8 = 2;

/// An error and its exit code.
pub(super) struct Failure {
    pub(super) error: anyhow::Error,
    pub(super) code: u8,
    /// The file that could not be found, for which there may be advice.
    pub(super) missing: Option<PathBuf>,
}

impl Failure {
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            code: USAGE,
            missing: None,
        }
    }

    /// Returns the failure of a server that does not start.
    pub(super) fn of_start(error: StartError) -> Self {
        match error {
            StartError::Host(_)
            | StartError::Stopped
            | StartError::Listen(_)
            | StartError::Privileges(
                PrivilegeError::Refused { .. } | PrivilegeError::NotDropped(_),
            ) => Self::from(error),
            StartError::Config(_)
            | StartError::Privileges(_)
            | StartError::Component(_)
            | StartError::Handler { .. }
            | StartError::Record(_)
            | StartError::Tls(_) => Self::usage(error),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            code: 1,
            missing: None,
        }
    }
}

/// Checks that the file of a handler exists. Loading it checks its content.
pub(super) fn is_there(file: &Path) -> Result<(), Failure> {
    let Err(error) = std::fs::metadata(file) else {
        return Ok(());
    };
    Err(Failure {
        missing: Some(file.to_owned()),
        ..Failure::usage(anyhow::anyhow!("cannot read {}: {error}", file.display()))
    })
}
