//! Why a callback had no effect.

use std::time::Duration;

use super::setting::Setting;

/// The one whose doing an error is, and who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The other end of a connection.
    Peer,
    /// The handler's code.
    Handler,
    /// The operator, by a setting.
    Operator,
    /// The host, or the system that it runs on.
    Host,
}

/// Why a callback had no effect. Each of them ends the instance.
#[derive(Debug, thiserror::Error)]
pub enum CallbackError {
    /// The handler trapped: a panic, an out-of-bounds access, a broken contract…
    #[error("trap: {message}")]
    Trap {
        /// What happened.
        message: String,
        /// Where, innermost frame first, one line per frame; empty when unknown.
        backtrace: String,
    },
    /// The callback computed for longer than it may.
    #[error("callback ran for longer than {limit:?} ({callback_timeout})", callback_timeout = Setting("compute.callback_timeout"))]
    Deadline {
        /// The limit.
        limit: Duration,
        /// Where it was when it was stopped.
        backtrace: String,
    },
    /// The callback waited in a host call for longer than it may.
    #[error("callback waited for longer than {limit:?} ({blocking_timeout})", blocking_timeout = Setting("compute.blocking_timeout"))]
    Blocked {
        /// The limit.
        limit: Duration,
    },
    /// The callback called the host more often than it may.
    #[error("callback called the host more than {limit} times ({host_calls_max})", host_calls_max = Setting("compute.host_calls_max"))]
    HostCalls {
        /// The limit.
        limit: u64,
        /// Where it was when it was stopped.
        backtrace: String,
    },
    /// An exported interface does not have the functions and types of the contract.
    #[error(
        "its {interface} does not have the types of the contract ({cause}); rebuild it with the matching SDK or wit/ folder"
    )]
    Types {
        /// The interface.
        interface: &'static str,
        /// What differs.
        cause: String,
    },
}

impl CallbackError {
    /// Returns whose doing it is: the handler's.
    #[inline]
    pub fn fault(&self) -> Fault {
        Fault::Handler
    }

    /// The frames of the handler at the moment of the error, innermost first; empty when unknown.
    pub fn backtrace(&self) -> &str {
        match self {
            Self::Trap { backtrace, .. }
            | Self::Deadline { backtrace, .. }
            | Self::HostCalls { backtrace, .. } => backtrace,
            Self::Blocked { .. } | Self::Types { .. } => "",
        }
    }
}
