//! What wsrun takes from the operating system: time, files, random bytes, shares of a processor, and
//! the byte stream under a connection.
//!
//! It knows no connection, no handler and no setting.

pub mod clock;
pub mod file;
pub mod random;
pub mod timeslice;
pub mod transport;
