//! Plain HTTP requests to a handler.

use bytes::Bytes;

use super::Request;

/// The body of every response to a plain request.
pub(crate) type ResponseBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// A plain request.
#[derive(Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) request: Request,
    pub(crate) body: Bytes,
}

/// Why a plain request has no answer of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotServed {
    /// It trapped, overran a deadline, or answered with an error or not at all.
    Failed,
    /// As many requests are being answered as may be, and none has ended in time.
    Busy,
    /// The version that serves answers none: another did when the request came.
    NotExported,
    /// The version that was asked has failed its trial with that. The one before serves, and nothing was sent yet.
    GivenUp,
}
