//! The rules for connections of the client role.

use super::{ConnectError, ConnectOptions};

/// Decides which connections of the client role may be attempted.
pub trait OutboundRules: Send + Sync {
    /// Checks everything that is known without connecting.
    ///
    /// # Errors
    ///
    /// Fails when the options cannot be used, or the URL may not be connected to.
    fn check(&self, options: &ConnectOptions) -> Result<(), ConnectError>;
}
