//! The body of a request, in whole: a handler never waits for a client.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::{Response, StatusCode};

use super::answer::{Body, last_text};
use super::settings::ConnectionSettings;
use wsrun_os::clock::timeout;
use wsrun_runtime::runtime_settings::RuntimeSettings;

/// Room that is made because a client has announced a body; more when it comes.
const ANNOUNCED_BYTES_MAX: u64 = 64 * 1024;

/// Reads a body of at most `ConnectionSettings::request_body_bytes_max`. Every refusal is the last response of its HTTP connection: the rest of the
/// body is still to come.
///
/// It has the time that a message has, [`Timeouts::message_timeout`](wsrun_proto::ws::Timeouts::message_timeout), and each piece of it that
/// of a request's head.
pub(super) async fn read(
    settings: &RuntimeSettings,
    connection: &ConnectionSettings,
    body: Incoming,
) -> Result<Bytes, Response<Body>> {
    let whole = read_whole(settings, connection, body);
    match settings.timeouts.message_timeout {
        Some(limit) => match timeout(limit, whole).await {
            Ok(read) => read,
            Err(_) => Err(too_slow()),
        },
        None => whole.await,
    }
}

async fn read_whole(
    settings: &RuntimeSettings,
    connection: &ConnectionSettings,
    mut body: Incoming,
) -> Result<Bytes, Response<Body>> {
    let limit = connection.request_body_bytes_max;
    let announced = body.size_hint().lower();
    if announced > limit {
        return Err(too_large(limit));
    }
    let expected = usize::try_from(announced.min(ANNOUNCED_BYTES_MAX)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(expected);
    loop {
        let frame = match timeout(settings.handshake_timeout, body.frame()).await {
            Ok(None) => return Ok(bytes.into()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => {
                let line = "400 bad request: the body is malformed or ends too early";
                return Err(last_text(StatusCode::BAD_REQUEST, line));
            }
            Err(_) => return Err(too_slow()),
        };
        // Trailers are nobody's business here.
        if let Ok(data) = frame.into_data() {
            if (bytes.len() + data.len()) as u64 > limit {
                return Err(too_large(limit));
            }
            bytes.extend_from_slice(&data);
        }
    }
}

fn too_slow() -> Response<Body> {
    let line = "408 request timeout: the body came too slowly";
    last_text(StatusCode::REQUEST_TIMEOUT, line)
}

fn too_large(limit: u64) -> Response<Body> {
    let line = format!("413 content too large: a body may have at most {limit} bytes");
    last_text(StatusCode::PAYLOAD_TOO_LARGE, &line)
}
