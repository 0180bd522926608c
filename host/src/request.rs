//! The opening request of a connection, as handlers see it.

/// What the peer asked for, and from where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// Names in lower case, values as received.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) offered: Vec<String>,
    pub(crate) peer: String,
    pub(crate) local: String,
    pub(crate) secure: bool,
    pub(crate) host: Option<String>,
}
