//! The values of the contract as JSON: what guests are told and tell. Names are the WIT's.

use std::time::Duration;

use serde_json::{Value, json};
use wsrun_guest::client::{ConnectError, Failure, Options, Phase, Reconnect, Response};
use wsrun_guest::{CloseInfo, ClosedBy, Connection, Request, Role};

/// Reads `client.options`: `url` is needed, `compression` is true without it. What a test misspelt traps, and the trap shows it.
pub fn options(text: &str) -> Options {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        panic!("not a JSON object: {text}");
    };
    let mut options = Options::new(string(&fields["url"]));
    for (key, value) in &fields {
        options = match key.as_str() {
            "url" => options,
            "protocols" => list(value)
                .iter()
                .fold(options, |options, name| options.protocol(string(name))),
            "host" => options.host(string(value)),
            "origin" => options.origin(string(value)),
            "headers" => list(value).iter().fold(options, |options, pair| {
                options.header(string(&pair[0]), string(&pair[1]))
            }),
            "verify" => match string(value) {
                "full" => options,
                "allow-self-signed" => options.allow_self_signed(),
                other => panic!("unknown verify: {other}"),
            },
            "identity" => options.identity(string(value)),
            "version" => options.version(number(value)),
            "compression" => options.compression(value == &Value::Bool(true)),
            "timeout-ms" => options.timeout(millis(value)),
            "reconnect" => options.reconnect(reconnect(value)),
            "session" => options.session_bytes(string(value)),
            other => panic!("unknown option: {other}"),
        };
    }
    options
}

fn reconnect(value: &Value) -> Reconnect {
    let Value::Object(fields) = value else {
        panic!("reconnect is an object: {value}");
    };
    let reconnect = Reconnect::default();
    fields
        .iter()
        .fold(reconnect, |reconnect, (key, value)| match key.as_str() {
            "attempts-max" => reconnect.attempts_max(number(value)),
            "delay-ms" => reconnect.delay(millis(value)),
            "delay-max-ms" => reconnect.delay_max(millis(value)),
            other => panic!("unknown option of reconnect: {other}"),
        })
}

fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("not a string: {value}"))
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {value}"))
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    value
        .as_u64()
        .and_then(|number| number.try_into().ok())
        .unwrap_or_else(|| panic!("not a number, or too large: {value}"))
}

fn millis(value: &Value) -> Duration {
    Duration::from_millis(number(value))
}

/// `ok ID` or `err NAME TEXT`.
pub fn connected(result: Result<Connection, ConnectError>) -> String {
    match result {
        Ok(connection) => format!("ok {}", connection.id()),
        Err(ConnectError::Denied(text)) => format!("err denied {text}"),
        Err(ConnectError::Invalid(text)) => format!("err invalid {text}"),
        Err(ConnectError::UnsupportedVersion { supported }) => {
            let versions: Vec<String> = supported.iter().map(u8::to_string).collect();
            format!("err unsupported-version {}", versions.join(" "))
        }
        Err(ConnectError::Limit) => "err limit".to_owned(),
    }
}

/// The name of the case, and its value: `refused 403`, `accept-wrong`, `timed-out handshake`.
pub fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Denied(text) => format!("denied {text}"),
        Failure::Unreachable(text) => format!("unreachable {text}"),
        Failure::Tls(text) => format!("tls {text}"),
        Failure::TimedOut(Phase::Connect) => "timed-out connect".to_owned(),
        Failure::TimedOut(Phase::Tls) => "timed-out tls".to_owned(),
        Failure::TimedOut(Phase::Handshake) => "timed-out handshake".to_owned(),
        Failure::Ended => "ended".to_owned(),
        Failure::Refused(status) => format!("refused {status}"),
        Failure::Redirected(Some(location)) => format!("redirected {location}"),
        Failure::Redirected(None) => "redirected".to_owned(),
        Failure::InvalidResponse(text) => format!("invalid-response {text}"),
        Failure::NotUpgraded => "not-upgraded".to_owned(),
        Failure::AcceptMissing => "accept-missing".to_owned(),
        Failure::AcceptWrong => "accept-wrong".to_owned(),
        Failure::ProtocolNotOffered => "protocol-not-offered".to_owned(),
        Failure::ExtensionNotOffered(text) => format!("extension-not-offered {text}"),
    }
}

/// `status` and `headers` as pairs.
pub fn response(response: &Response) -> Value {
    json!({"status": response.status, "headers": headers(&response.headers)})
}

/// Every field of the request.
pub fn request(request: &Request) -> Value {
    json!({
        "role": role(request.role),
        "path": request.path,
        "query": request.query,
        "headers": headers(&request.headers),
        "offered": request.offered,
        "peer": request.peer,
        "local": request.local,
        "secure": request.secure,
        "host": request.host,
    })
}

/// `server` or `client`.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
    }
}

/// `id`, the four fields of the WIT, and `failure`: that of the last opening handshake or null. In the client role `status` too, if the
/// server answered.
pub fn ended(connection: Connection, info: &CloseInfo) -> Value {
    let mut event = json!({
        "id": connection.id(),
        "code": info.code,
        "reason": info.reason,
        "by": match info.by {
            ClosedBy::Peer => "peer",
            ClosedBy::Handler => "handler",
            ClosedBy::Host => "host",
        },
        "clean": info.clean,
        "failure": connection.failure().as_ref().map(failure),
    });
    if let Some(response) = connection.response() {
        event["status"] = response.status.into();
    }
    event
}

fn headers(fields: &[(String, Vec<u8>)]) -> Vec<(&str, String)> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
        .collect()
}
