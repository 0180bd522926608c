//! The opening handshake: who may connect, to which handler, with what.

use std::rc::Rc;

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Request as HttpRequest, Response, StatusCode, Version};
use wsrun_proto::http::authority::{Authority, default_port};
use wsrun_proto::http::framing::RequestError;
use wsrun_proto::http::upgrade::{self, UpgradeError};

use super::addresses::Addresses;
use super::answer::{Body, empty, full, last, last_text};
use super::front::Front;
use super::refusal::{Refused, shown};
use super::upgraded::Upgraded;
use wsrun_contract::{Limit, Refusal, Request, Role, Setting};
use wsrun_metrics::RefusalReason;
use wsrun_metrics::panics::plant;
use wsrun_metrics::seldom::Seldom;
use wsrun_runtime::admission::HandlerSlot;
use wsrun_runtime::handler::{Admitted, Handler, NotAdmitted, Seated};

/// Whether a request asks for a WebSocket, rightly or not. Other upgrades are ignored (RFC 9110, 7.8).
pub(super) fn is_upgrade<B>(request: &HttpRequest<B>) -> bool {
    let names_websocket = |value: &HeaderValue| {
        let value = value.as_bytes().to_ascii_lowercase();
        value
            .windows(b"websocket".len())
            .any(|window| window == b"websocket")
    };
    request
        .headers()
        .get_all("upgrade")
        .iter()
        .any(names_websocket)
        || request.headers().contains_key("sec-websocket-key")
}

/// Decides on an opening handshake. Every refusal is the last response of its HTTP connection: bytes behind it are neither frames nor
/// another request.
pub(super) async fn upgrade<B>(
    front: &Rc<Front>,
    addresses: &Addresses,
    http: &HttpRequest<B>,
) -> (Response<Body>, Option<Upgraded>) {
    match decide(front, addresses, http).await {
        Ok((response, upgraded)) => (response, Some(upgraded)),
        Err(refused) => (last(refused.note(front, addresses)), None),
    }
}

async fn decide<B>(
    front: &Rc<Front>,
    addresses: &Addresses,
    http: &HttpRequest<B>,
) -> Result<(Response<Body>, Upgraded), Refused> {
    plant("upgrade");
    let checked = upgrade::check(http.method().as_str(), minor_version(http), &fields(http));
    let checked = checked.map_err(|error| {
        Refused::new(RefusalReason::Malformed, refused(&error)).told(error.to_string())
    })?;
    let host = checked.host.clone().unwrap_or_default();
    if !is_target_of(http.uri(), &host) {
        let response = last_text(StatusCode::BAD_REQUEST, FOREIGN_TARGET);
        return Err(Refused::new(RefusalReason::Malformed, response));
    }
    if let Some(origin) = &checked.origin
        && !front
            .shared
            .settings
            .origins
            .allows(origin, &host, addresses.secure)
    {
        let allowed = Setting("connection.origins.allowed");
        let text = format!(
            "403 forbidden: this page's origin may not connect here (the server's operator can allow it with {allowed})"
        );
        let response = last_text(StatusCode::FORBIDDEN, &text);
        let line = format!(
            "a page of {} may not connect to {}; {allowed} would allow it",
            shown(origin),
            shown(&host)
        );
        return Err(Refused::new(RefusalReason::Origin, response).told(line));
    }
    if *front.worker.shutdown.borrow() {
        let text = "503 service unavailable: the server is shutting down";
        return Err(Refused::new(RefusalReason::Shutdown, unavailable(text, 1)));
    }
    let (handler, routed) = route(front, &checked.offered)?;
    if handler.exports().plain_only {
        let text = "404 not found: nothing here takes WebSockets, plain requests are answered";
        let response = last_text(StatusCode::NOT_FOUND, text);
        return Err(Refused::new(RefusalReason::NoWebSocket, response));
    }
    let slot = handler_slot(front, &handler)?;
    let Some(seat) = handler.seat() else {
        let text = "503 service unavailable: this handler has as many instances as it may have";
        return Err(Refused::new(RefusalReason::Limit, unavailable(text, 1)));
    };
    let handler = Seated::new(seat);
    let request = request(http, addresses, checked.host.clone());
    let request = Rc::new(Request {
        offered: checked.offered.clone(),
        ..request
    });
    let Admitted {
        acceptance,
        session_room,
    } = handler.admit(&request).await.map_err(not_admitted)?;
    let protocol = acceptance.protocol.or(routed);
    let limit = handler.registry.limits().memory.session_bytes_max;
    if acceptance.session.len() > limit {
        return Err(broken(
            &handler,
            &format!(
                "session data of {} bytes, the limit is {limit}",
                acceptance.session.len()
            ),
        ));
    }
    let accepted = checked
        .accept(protocol.as_deref(), front.worker.settings.deflate.as_ref())
        .map_err(|error| broken(&handler, &error.to_string()))?;
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in &accepted.headers {
        let value =
            HeaderValue::from_str(value).map_err(|error| broken(&handler, &error.to_string()))?;
        response
            .headers_mut()
            .append(HeaderName::from_static(name), value);
    }
    for (name, value) in &acceptance.headers {
        let (name, value) = header(name, value).map_err(|problem| broken(&handler, &problem))?;
        let appended = response.headers_mut().try_append(name, value);
        appended.map_err(|_| broken(&handler, "too many headers"))?;
    }
    let upgraded = Upgraded {
        handler,
        request,
        protocol,
        session: acceptance.session,
        session_room,
        deflate: accepted.deflate,
        slot,
    };
    Ok((response, upgraded))
}

fn not_admitted(why: NotAdmitted) -> Refused {
    let (reason, response) = match why {
        NotAdmitted::BackedOff(left) => {
            let text = "503 service unavailable: the handler fails again and again, and is left alone for a while";
            let response = unavailable(text, left.as_secs() + 1);
            (RefusalReason::BackedOff, response)
        }
        NotAdmitted::Refused(refusal) => (RefusalReason::Handler, refusal_response(refusal)),
        NotAdmitted::Failed => {
            let response = last_text(StatusCode::INTERNAL_SERVER_ERROR, FAILED);
            (RefusalReason::Failed, response)
        }
        NotAdmitted::SessionFull => {
            let text = "503 service unavailable: this handler keeps as much session data as it may";
            (RefusalReason::Limit, unavailable(text, 1))
        }
    };
    Refused::new(reason, response)
}

/// One of `--max-handler-connections`, where those are limited. Taken before the handler is asked anything.
#[expect(
    clippy::result_large_err,
    reason = "once per handshake, and the caller wants the response"
)]
fn handler_slot(front: &Front, handler: &Rc<Handler>) -> Result<Option<HandlerSlot>, Refused> {
    let Some(max) = handler.registry.limits().traffic.connections_max else {
        return Ok(None);
    };
    let slot = front
        .handlers()
        .iter()
        .position(|other| Rc::ptr_eq(other, handler))
        .and_then(|position| front.shared.admission.take_handler(position, max));
    slot.map(Some).ok_or_else(|| {
        handler.registry.note_limit(Limit::Connections);
        let text = "503 service unavailable: this handler has as many connections as it may have";
        Refused::new(RefusalReason::Limit, unavailable(text, 1))
    })
}

/// An answer that says to come again.
fn unavailable(text: &str, retry_after_seconds: u64) -> Response<Body> {
    let mut response = last_text(StatusCode::SERVICE_UNAVAILABLE, text);
    let seconds = HeaderValue::from(retry_after_seconds);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// The `Host` of a plain request.
#[expect(
    clippy::result_large_err,
    reason = "once per request, and the caller wants the response"
)]
pub(super) fn host_of<B>(http: &HttpRequest<B>) -> Result<Option<String>, Response<Body>> {
    let fields = fields(http);
    let host = upgrade::host(minor_version(http), &fields).map_err(|error| refused(&error))?;
    if !is_target_of(http.uri(), host.unwrap_or_default()) {
        return Err(last_text(StatusCode::BAD_REQUEST, FOREIGN_TARGET));
    }
    Ok(host.map(str::to_owned))
}

const FOREIGN_TARGET: &str =
    "400 bad request: the request target must be a path, or a URL of this host";

fn fields<B>(http: &HttpRequest<B>) -> Vec<(&str, &[u8])> {
    let fields = http.headers().iter();
    fields
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect()
}

fn minor_version<B>(http: &HttpRequest<B>) -> u8 {
    u8::from(http.version() >= Version::HTTP_11)
}

/// Whether a request target is one for GET (RFC 9112, 3.2): a path, or a URL whose authority is what the Host header says. The other
/// forms, and two different hosts, are what one server reads differently than the next.
fn is_target_of(target: &hyper::Uri, host: &str) -> bool {
    let Some(authority) = target.authority() else {
        return target.path().starts_with('/');
    };
    let port = target.scheme_str().and_then(default_port);
    let (asked, host) = (Authority::parse(authority.as_str()), Authority::parse(host));
    match (asked, host, port) {
        (Some(asked), Some(host), Some(port)) => asked.is_same(&host, port),
        (None, _, _) | (_, None, _) | (_, _, None) => false,
    }
}

/// The handler for what the client offered, and the subprotocol that this means.
#[expect(
    clippy::result_large_err,
    reason = "once per handshake, and the caller wants the response"
)]
fn route(front: &Front, offered: &[String]) -> Result<(Rc<Handler>, Option<String>), Refused> {
    let handlers = front.handlers();
    let handlers = handlers.iter().zip(&*front.shared.protocols);
    for name in offered {
        if let Some((handler, protocol)) = handlers
            .clone()
            .find(|(_, protocol)| protocol.as_ref() == Some(name))
        {
            return Ok((Rc::clone(handler), protocol.clone()));
        }
    }
    let names: Vec<&str> = front
        .shared
        .protocols
        .iter()
        .filter_map(Option::as_deref)
        .collect();
    match handlers.clone().next() {
        // The default handler has no name: it agrees on what it likes, or on nothing.
        Some((handler, protocol)) if protocol.is_none() => Ok((Rc::clone(handler), None)),
        Some((handler, _)) if offered.is_empty() => Ok((Rc::clone(handler), None)),
        _ => {
            let served = names.join(", ");
            let response = last_text(
                StatusCode::BAD_REQUEST,
                &format!(
                    "400 bad request: none of the subprotocols offered is served here; there are: {served}"
                ),
            );
            let line = format!(
                "none of the subprotocols {} is served; there are: {served}",
                shown(&offered.join(", "))
            );
            Err(Refused::new(RefusalReason::Subprotocol, response).told(line))
        }
    }
}

/// What a handler is told of a request.
pub(super) fn request<B>(
    http: &HttpRequest<B>,
    addresses: &Addresses,
    host: Option<String>,
) -> Request {
    let headers = http
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    Request {
        role: Role::Server,
        path: match http.uri().path() {
            "" => "/".to_owned(),
            path => path.to_owned(),
        },
        query: http.uri().query().map(str::to_owned),
        headers: headers.collect(),
        offered: Vec::new(),
        peer: addresses.peer.clone(),
        local: addresses.local.clone(),
        secure: addresses.secure,
        host,
    }
}

/// The answer to what is no request that is understood, or none that is understood in one way only.
pub(super) fn malformed(error: &RequestError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    last_text(
        status,
        &format!("{} {}: {error}", status.as_u16(), reason(status)),
    )
}

fn refused(error: &UpgradeError) -> Response<Body> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let explanation = if *error == UpgradeError::NotAnUpgrade {
        "this is a WebSocket server: connect to it with a WebSocket client".to_owned()
    } else {
        error.to_string()
    };
    let mut response = last_text(
        status,
        &format!("{} {}: {explanation}", status.as_u16(), reason(status)),
    );
    for (name, value) in error.headers() {
        response.headers_mut().insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

pub(super) const FAILED: &str = "500 internal server error: the handler failed";

fn reason(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().to_lowercase()
}

/// The handler accepted with something that cannot be sent.
fn broken(handler: &Handler, problem: &str) -> Refused {
    static BROKEN: Seldom = Seldom::new();
    if let Some(left_out) = BROKEN.take() {
        tracing::error!(
            handler = %handler.registry.name(), left_out,
            "handshake accepted with what cannot be sent: {problem}"
        );
    }
    let response = last_text(StatusCode::INTERNAL_SERVER_ERROR, FAILED);
    Refused::new(RefusalReason::Failed, response)
}

fn refusal_response(refusal: Refusal) -> Response<Body> {
    let status = match refusal.status {
        300..=599 => {
            StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = Response::new(full(refusal.body));
    *response.status_mut() = status;
    for (name, value) in &refusal.headers {
        if let Ok((name, value)) = header(name, value)
            && response.headers_mut().try_append(name, value).is_err()
        {
            return last_text(StatusCode::INTERNAL_SERVER_ERROR, FAILED);
        }
    }
    if !response.headers().contains_key(CONTENT_TYPE) {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
    }
    last(response)
}

/// A header that a handler wants in a response.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    let is_hosts = matches!(
        lower.as_str(),
        "connection" | "upgrade" | "content-length" | "transfer-encoding"
    ) || lower.starts_with("sec-websocket-");
    if is_hosts {
        return Err(format!("header {name} is the host's"));
    }
    let name =
        HeaderName::try_from(lower).map_err(|_| format!("header name {name:?} is not a token"))?;
    let value = HeaderValue::try_from(value)
        .map_err(|_| format!("value of header {name} has forbidden characters"))?;
    Ok((name, value))
}
