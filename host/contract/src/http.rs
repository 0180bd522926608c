//! Plain HTTP requests to a handler.

use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::Response;

use super::effects::Effects;
use super::host::Host;
use super::{CallbackError, Request};

/// The body of every response to a plain request.
pub type ResponseBody = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// A plain request.
#[derive(Debug)]
pub struct HttpRequest {
    pub method: String,
    pub request: Request,
    pub body: Bytes,
}

/// Why a plain request has no answer of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotServed {
    /// It trapped, overran a deadline, or answered with an error or not at all.
    Failed,
    /// As many requests are being answered as may be, and none has ended in time.
    Busy,
    /// The version that serves answers none: another did when the request came.
    NotExported,
    /// The version that was asked has failed its trial with that. The one before serves, and nothing was sent yet.
    GivenUp,
}

/// Takes the response to a plain request, or the reason why there is none. Dropping it says that
/// the instance has failed.
pub type ReplySender = Box<dyn FnOnce(Result<Response<ResponseBody>, NotServed>)>;

/// Answers plain requests by `wasi:http/incoming-handler`, each by an instance of its own.
pub trait RequestHandler: 'static {
    /// Makes an instance and lets it handle a request. Sends the response through `reply` once its
    /// head is there. The future resolves when the instance has returned, with what it asked for.
    fn handle(
        self: Rc<Self>,
        host: Rc<dyn Host>,
        request: http::Request<Bytes>,
        secure: bool,
        reply: ReplySender,
    ) -> Pin<Box<dyn Future<Output = Result<Effects, CallbackError>>>>;

    /// Notes how many requests wait for an instance. While any does, a client that reads nothing of
    /// its response loses it.
    fn set_waiting(&self, requests: usize);
}
