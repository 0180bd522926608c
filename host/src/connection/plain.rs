//! Plain HTTP requests: files, then the default handler, then what a WebSocket server says to those who want no WebSocket.

use std::rc::Rc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE, RETRY_AFTER, VARY,
};
use hyper::{Method, Request as HttpRequest, Response, StatusCode};

use super::addresses::Addresses;
use super::answer::{Body, empty, full, last_text, text};
use super::body;
use super::front::Front;
use super::upgrade::{FAILED, header, host_of, request, upgrade};
use crate::dev::Page;
use wsrun_contract::{HttpBody, HttpRequest as HandlerRequest, HttpResponse, NotServed};
use wsrun_metrics::seldom::Seldom;
use wsrun_runtime::handler::Handler;

pub(super) async fn answer(
    front: &Rc<Front>,
    addresses: &Addresses,
    http: HttpRequest<Incoming>,
) -> Response<Body> {
    let Some(dev) = &front.shared.settings.dev else {
        return answer_as_in_production(front, addresses, http).await;
    };
    if let Some(page) = dev.answer(http.uri().path()) {
        return match host_of(&http) {
            Ok(_) => page.into_response(),
            Err(refusal) => refusal,
        };
    }
    let mut http = http;
    if http.method() == Method::GET {
        // What is added to a page is added to the whole of it.
        let asked: Vec<HeaderName> = http.headers().keys().cloned().collect();
        for name in asked.iter().filter(|name| OF_A_PART.contains(name)) {
            http.headers_mut().remove(name);
        }
        with_overlay(answer_as_in_production(front, addresses, http).await).await
    } else {
        answer_as_in_production(front, addresses, http).await
    }
}

/// What a client asks for where it has the page already, or takes it in another form.
const OF_A_PART: [HeaderName; 5] = [
    RANGE,
    IF_RANGE,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    ACCEPT_ENCODING,
];

/// Has a page show what the build complains of.
async fn with_overlay(response: Response<Body>) -> Response<Body> {
    let is_page = response.status() != StatusCode::NO_CONTENT
        && response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    // That of a file tells its length in its header alone.
    let told = response.headers().get(CONTENT_LENGTH);
    let told = told.and_then(|length| length.to_str().ok()?.parse().ok());
    let length = response.body().size_hint().upper().or(told);
    let is_small = length.is_some_and(|bytes| bytes <= PAGE_BYTES_MAX);
    if !is_page || !is_small {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(page) = body.collect().await else {
        return failed();
    };
    let mut page = page.to_bytes().to_vec();
    page.extend_from_slice(OVERLAY);
    for name in [CONTENT_LENGTH, ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
        head.headers.remove(name);
    }
    head.headers
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(head, full(page))
}

const PAGE_BYTES_MAX: u64 = 16 << 20;

/// Behind the end of a document a script is part of its body.
const OVERLAY: &[u8] = b"\n<script src=\"/.wsrun/overlay.js\"></script>\n";

async fn answer_as_in_production(
    front: &Rc<Front>,
    addresses: &Addresses,
    http: HttpRequest<Incoming>,
) -> Response<Body> {
    let site = front.shared.folders.site.as_ref();
    let handler = front
        .handlers()
        .first()
        .filter(|handler| handler.exports().http || handler.exports().wasi_http)
        .cloned();
    if site.is_none() && handler.is_none() {
        // Not an upgrade at all: the core's own refusal says which header is missing and that this is a WebSocket server.
        return upgrade(front, addresses, &http).await.0;
    }
    let host = match host_of(&http) {
        Ok(host) => host,
        Err(refusal) => return refusal,
    };
    let reads = is_read(http.method());
    if let Some(site) = site
        && reads
        && let Some(response) = site.serve(http.method(), http.uri(), http.headers()).await
    {
        return response;
    }
    match &handler {
        Some(handler) => ask(front, handler, addresses, http, host).await,
        None => not_answered(http.method()),
    }
}

/// Where there are files, and no handler that answers.
fn not_answered(method: &Method) -> Response<Body> {
    match is_read(method) {
        true => not_found(),
        false => method_not_allowed(),
    }
}

/// How a handler answers plain requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interface {
    /// The contract's `http`.
    Http,
    /// `wasi:http/incoming-handler`.
    Wasi,
}

impl Interface {
    /// What the version that serves is to be asked by.
    fn of(handler: &Handler) -> Option<Self> {
        let exports = handler.exports();
        match (exports.http, exports.wasi_http) {
            (true, _) => Some(Self::Http),
            (false, true) => Some(Self::Wasi),
            (false, false) => None,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Http => Self::Wasi,
            Self::Wasi => Self::Http,
        }
    }
}

/// How many versions are asked where each is gone before it has answered.
const VERSIONS_ASKED_MAX: usize = 4;

/// What is answered where the version that serves by now answers no plain requests: as if the request had come now.
async fn no_longer_asked<B>(
    front: &Rc<Front>,
    addresses: &Addresses,
    http: &HttpRequest<B>,
) -> Response<Body> {
    match front.shared.folders.site {
        Some(_) => not_answered(http.method()),
        None => upgrade(front, addresses, http).await.0,
    }
}

impl Page {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(full(self.body));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Files are read with GET and HEAD, and nothing else can be done to them.
fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "404 not found")
}

fn method_not_allowed() -> Response<Body> {
    let line = "405 method not allowed: files are read with GET or HEAD";
    let mut response = last_text(StatusCode::METHOD_NOT_ALLOWED, line);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

fn failed() -> Response<Body> {
    text(StatusCode::INTERNAL_SERVER_ERROR, FAILED)
}

/// Has the handler answer, by the interface that the version which serves has: another may have taken over since the request came, or been
/// given up with it.
async fn ask(
    front: &Rc<Front>,
    handler: &Rc<Handler>,
    addresses: &Addresses,
    http: HttpRequest<Incoming>,
    host: Option<String>,
) -> Response<Body> {
    let (head, body) = http.into_parts();
    let body = match body::read(&front.worker.settings, &front.shared.settings, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let http = HttpRequest::from_parts(head, ());
    let mut next = Interface::of(handler);
    for _ in 0..VERSIONS_ASKED_MAX {
        let Some(interface) = next else {
            return no_longer_asked(front, addresses, &http).await;
        };
        let (body, host) = (body.clone(), host.clone());
        let asked = match interface {
            Interface::Http => ask_by_http(front, handler, addresses, &http, body, host).await,
            Interface::Wasi => {
                let http = http.clone().map(|()| body);
                handler.answer_by_wasi(http, addresses.secure).await
            }
        };
        match asked {
            Ok(response) => return response,
            Err(NotServed::Failed) => return failed(),
            Err(NotServed::Busy) => {
                return come_again("the handler answers as many requests as it may");
            }
            Err(NotServed::GivenUp) => next = Interface::of(handler),
            Err(NotServed::NotExported) => {
                next = match Interface::of(handler) {
                    // A version that begins to serve may not have taken over everywhere.
                    Some(now) if now == interface => Some(now.other()),
                    now => now,
                };
            }
        }
    }
    come_again("the handler is being replaced")
}

/// Asks the handler's `http` export.
async fn ask_by_http(
    front: &Rc<Front>,
    handler: &Handler,
    addresses: &Addresses,
    http: &HttpRequest<()>,
    body: Bytes,
    host: Option<String>,
) -> Result<Response<Body>, NotServed> {
    let question = HandlerRequest {
        method: http.method().as_str().to_owned(),
        request: request(http, addresses, host),
        body,
    };
    let answer = handler.answer(question).await?;
    Ok(respond(front, handler, http, answer).await)
}

fn come_again(why: &str) -> Response<Body> {
    let line = format!("503 service unavailable: {why}");
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, &line);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Sends what a handler answered.
async fn respond(
    front: &Front,
    handler: &Handler,
    http: &HttpRequest<()>,
    answer: HttpResponse,
) -> Response<Body> {
    let status = match answer.status {
        200..=599 => StatusCode::from_u16(answer.status).ok(),
        _ => None,
    };
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match answer.body {
        HttpBody::Bytes(bytes) => Response::new(full(bytes)),
        HttpBody::File(path) => match file(front, handler, http, status, &path).await {
            Some(response) => response,
            None => return not_found(),
        },
    };
    // What the host has found out of a file is 206, 304, 412 or 416 in place of 200.
    if status != StatusCode::OK || response.status() == StatusCode::OK {
        *response.status_mut() = status;
    }
    if add_headers(&mut response, &answer.headers).is_err() {
        static FULL: Seldom = Seldom::new();
        if let Some(left_out) = FULL.take() {
            tracing::error!(handler = %handler.registry.name(), left_out, "a response has more header fields than can be sent");
        }
        return failed();
    }
    // RFC 9110, 15.3.5 and 15.4.5: these have no body.
    if [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&response.status()) {
        return response.map(|_| empty());
    }
    response
}

/// A file of the granted folder. Conditions and ranges are those of a request for the file: they do not apply to what is sent with another
/// status, or in answer to a method that does more than read.
async fn file(
    front: &Front,
    handler: &Handler,
    http: &HttpRequest<()>,
    status: StatusCode,
    path: &str,
) -> Option<Response<Body>> {
    let folder = front.shared.folders.granted(handler.registry.name())?;
    if status == StatusCode::OK && is_read(http.method()) {
        return folder
            .serve_named(path, http.method(), http.headers())
            .await;
    }
    let mut headers = http.headers().clone();
    for condition in [
        RANGE,
        IF_RANGE,
        IF_MATCH,
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
    ] {
        headers.remove(condition);
    }
    folder.serve_named(path, &Method::GET, &headers).await
}

/// Adds a handler's header fields to a response. What the host has found out of a file stays, but for the content type.
fn add_headers(
    response: &mut Response<Body>,
    headers: &[(String, String)],
) -> Result<(), hyper::header::MaxSizeReached> {
    let found: HeaderMap = response.headers().clone();
    let has_content = response.status() != StatusCode::NOT_MODIFIED
        && response.status() != StatusCode::RANGE_NOT_SATISFIABLE;
    let is_file = !found.is_empty();
    for (name, value) in headers {
        let (name, value): (HeaderName, HeaderValue) = match header(name, value) {
            Ok(field) => field,
            Err(problem) => {
                tracing::debug!("a header field of a response is left out: {problem}");
                continue;
            }
        };
        if name == CONTENT_TYPE {
            if has_content || !is_file {
                response.headers_mut().insert(name, value);
            }
        } else if name == VARY || !found.contains_key(&name) {
            response.headers_mut().try_append(name, value)?;
        }
    }
    Ok(())
}
