//! The addresses of a connection.

/// The addresses of a connection, and whether it is encrypted.
#[derive(Clone)]
pub(super) struct Addresses {
    pub(super) peer: String,
    pub(super) local: String,
    pub(super) secure: bool,
}
