//! Small plain-text answers of the host itself.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};

use wsrun_metrics::text::Line;

pub(super) use wsrun_contract::ResponseBody as Body;

/// A response with a line of text.
pub(super) fn text(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(full(format!("{}\n", Line(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// The same, and the last of its HTTP connection: whatever the client sent behind its request is never looked at.
pub(super) fn last_text(status: StatusCode, line: &str) -> Response<Body> {
    last(text(status, line))
}

/// Makes a response the last of its HTTP connection.
pub(super) fn last(mut response: Response<Body>) -> Response<Body> {
    // RFC 9110, 7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
    let options = if response.headers().contains_key(UPGRADE) {
        "close, upgrade"
    } else {
        "close"
    };
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static(options));
    response
}

pub(super) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

pub(super) fn empty() -> Body {
    full(Bytes::new())
}
