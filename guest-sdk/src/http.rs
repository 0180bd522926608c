use crate::Request;
use crate::bindings::http::exports::wsrun::websocket::http;

/// A plain HTTP request, one that does not ask for a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, as received: `GET`, `POST`.
    pub method: String,
    /// Path, query, header fields and addresses. `offered` is empty.
    pub request: Request,
    /// The body, at most 1 MiB by default: more is answered with 413 by the host.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// The path, percent-encoded as received, beginning with `/`.
    pub fn path(&self) -> &str {
        &self.request.path
    }

    /// As [`Request::header`].
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    /// As [`Request::query_value`].
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.request.query_value(name)
    }

    /// The body as text; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        str::from_utf8(&self.body).ok()
    }
}

/// The answer to an [`HttpRequest`]: what [`Handler::http`](crate::Handler::http) returns.
///
/// ```
/// use wsrun_guest::{HttpRequest, HttpResponse};
///
/// fn answer(request: &HttpRequest) -> HttpResponse {
///     match (request.method.as_str(), request.path()) {
///         ("GET", "/") => HttpResponse::html("<!doctype html><p>hello"),
///         ("GET", "/state") => HttpResponse::json(r#"{"ready":true}"#).header("cache-control", "no-store"),
///         ("GET", "/logo.svg") => HttpResponse::file("images/logo.svg"),
///         ("POST", "/hook") => HttpResponse::new(202),
///         _ => HttpResponse::text("there is nothing here\n").status(404),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct HttpResponse {
    status: u16,
    headers: Vec<(String, String)>,
    /// The content type of the body, where no header names another.
    content_type: Option<&'static str>,
    body: http::Body,
}

impl HttpResponse {
    /// An empty response with this status, 200 to 599; anything else is sent as 500.
    pub fn new(status: u16) -> Self {
        Self::with_body(None, http::Body::Bytes(Vec::new())).status(status)
    }

    /// 200 with a body of `text/plain; charset=utf-8`.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of_text("text/plain; charset=utf-8", text)
    }

    /// 200 with a body of `text/html; charset=utf-8`.
    pub fn html(html: impl Into<String>) -> Self {
        Self::of_text("text/html; charset=utf-8", html)
    }

    /// 200 with a body of `application/json`, which is sent as it is given.
    pub fn json(json: impl Into<String>) -> Self {
        Self::of_text("application/json", json)
    }

    /// 200 with a body of `application/octet-stream`.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::with_body(
            Some("application/octet-stream"),
            http::Body::Bytes(bytes.into()),
        )
    }

    /// A file of the folder that the operator grants (`--files DIR`), by its path in it.
    ///
    /// Ranges, conditions, the content type and precompressed siblings are the host's work. A path that leads out of the folder, or to
    /// nothing, is answered with 404.
    pub fn file(path: impl Into<String>) -> Self {
        Self::with_body(None, http::Body::File(path.into()))
    }

    /// Replaces the status, 200 to 599; anything else is sent as 500. Leave that of a file at 200: the host changes it as HTTP asks for.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header field; `content-type` takes the place of the one that comes with the body. `connection`, `content-length`,
    /// `transfer-encoding` and `upgrade` are the host's and left out.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        if name.eq_ignore_ascii_case("content-type") {
            self.content_type = None;
        }
        self.headers.push((name, value.into()));
        self
    }

    fn of_text(content_type: &'static str, text: impl Into<String>) -> Self {
        Self::with_body(
            Some(content_type),
            http::Body::Bytes(text.into().into_bytes()),
        )
    }

    fn with_body(content_type: Option<&'static str>, body: http::Body) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            content_type,
            body,
        }
    }

    pub(crate) fn into_response(self) -> http::Response {
        let mut headers = self.headers;
        if let Some(content_type) = self.content_type {
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        http::Response {
            status: self.status,
            headers,
            body: self.body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_brings_its_content_type() {
        let response = HttpResponse::text("gone").status(410).into_response();
        assert_eq!(response.status, 410);
        assert_eq!(
            response.headers,
            [(
                "content-type".to_owned(),
                "text/plain; charset=utf-8".to_owned()
            )]
        );
        assert_eq!(response.body, http::Body::Bytes(b"gone".to_vec()));
    }

    #[test]
    fn content_type_given_by_the_handler_is_the_only_one() {
        let response = HttpResponse::bytes([1, 2])
            .header("Content-Type", "image/png")
            .header("etag", "\"1\"")
            .into_response();
        let names: Vec<_> = response.headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["Content-Type", "etag"]);
    }

    #[test]
    fn file_and_empty_response_leave_the_content_type_to_the_host() {
        assert_eq!(HttpResponse::file("a.css").into_response().headers, []);
        let empty = HttpResponse::new(204).into_response();
        assert_eq!((empty.status, empty.headers), (204, Vec::new()));
    }
}
