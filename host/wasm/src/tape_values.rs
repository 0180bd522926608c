//! The values of the contract on a tape, as bindgen has them.

use serde_json::{Map, Value, json};

use super::bindings::exports::wsrun::websocket::{handshake, http};
use super::bindings::wsrun::websocket::types::{
    CloseInfo, ClosedBy, Message, PublishError, Request, Role, SendError, SlowPolicy,
};
use super::bindings::wsrun::websocket::{client, connections, timers, topics};
use wsrun_contract as contract;
use wsrun_tape::redact::Redaction;
use wsrun_tape::value::{
    FieldValue, FromTape, HOST, ORIGIN, SUBPROTOCOL, ToTape, case, field, wrong,
};

macro_rules! records {
    ($($type:ty { $($field:ident $(is $header:ident)?),* })*) => {$(
        impl ToTape for $type {
            fn put(&self, redaction: &Redaction) -> Value {
                let mut map = Map::new();
                $(map.insert(stringify!($field).into(), records!(@put (self.$field) redaction $($header)?));)*
                Value::Object(map)
            }
        }

        impl FromTape for $type {
            fn take(value: Value) -> Result<Self, String> {
                let Value::Object(mut map) = value else {
                    return wrong(&value, "a record");
                };
                Ok(Self { $($field: field(&mut map, stringify!($field))?),* })
            }
        }
    )*};
    (@put ($value:expr) $redaction:ident) => { $value.put($redaction) };
    // It is the value of a header field.
    (@put ($value:expr) $redaction:ident $header:ident) => { FieldValue($header, &$value).put($redaction) };
}

macro_rules! variants {
    ($($type:ident { $($case:ident $name:literal $(($value:ident))?),* })*) => {$(
        impl ToTape for $type {
            #[allow(unused_variables, reason = "of variants without values")]
            fn put(&self, redaction: &Redaction) -> Value {
                match self {
                    $(variants!(@pattern value $case $(($value))?) => variants!(@put $name redaction $(($value))?),)*
                }
            }
        }

        impl FromTape for $type {
            #[allow(unused_variables, reason = "of variants without values")]
            fn take(value: Value) -> Result<Self, String> {
                let (name, value) = match case(value) {
                    Ok(case) => case,
                    Err(other) => return wrong(&other, "a variant"),
                };
                match name.as_str() {
                    $($name => Ok(variants!(@take value $case $(($value))?)),)*
                    _ => wrong(&Value::from(name), concat!("a case of ", stringify!($type))),
                }
            }
        }
    )*};
    (@pattern $bound:ident $case:ident) => { Self::$case };
    (@pattern $bound:ident $case:ident ($value:ident)) => { Self::$case($value) };
    (@put $name:literal $redaction:ident) => { Value::from($name) };
    (@put $name:literal $redaction:ident ($value:ident)) => { json!({$name: $value.put($redaction)}) };
    (@take $bound:ident $case:ident) => { Self::$case };
    (@take $bound:ident $case:ident ($value:ident)) => { Self::$case(FromTape::take($bound)?) };
}

use client::{ConnectError, Failure, Phase, Verify};
use connections::{AutoReplyError, ChunkError};
use timers::TimerError;
use topics::SubscribeError;

variants! {
    Message { Text "text" (value), Binary "binary" (value) }
    Role { Server "server", Client "client" }
    ClosedBy { Peer "peer", Handler "handler", Host "host" }
    SendError { Closed "closed", QueueFull "queue-full" (value), TooLarge "too-large" (value) }
    SlowPolicy {
        Wait "wait", DropOldest "drop-oldest", DropNewest "drop-newest", LatestOnly "latest-only", Disconnect "disconnect" (value)
    }
    PublishError { Waiting "waiting" (value), TooLarge "too-large" (value) }
    ChunkError {
        Closed "closed", QueueFull "queue-full" (value), TooLarge "too-large" (value), InvalidText "invalid-text",
        WrongKind "wrong-kind"
    }
    AutoReplyError { TooLarge "too-large" (value), Limit "limit" }
    SubscribeError { Closed "closed", InvalidName "invalid-name", Limit "limit" }
    TimerError { Closed "closed", Limit "limit", NotExported "not-exported" }
    Verify { Full "full", AllowSelfSigned "allow-self-signed" }
    ConnectError { Denied "denied" (value), Invalid "invalid" (value), UnsupportedVersion "unsupported-version" (value), Limit "limit" }
    Phase { Connect "connect", Tls "tls", Handshake "handshake" }
    Failure {
        Denied "denied" (value), Unreachable "unreachable" (value), Tls "tls" (value), TimedOut "timed-out" (value), Ended "ended",
        Refused "refused" (value), Redirected "redirected" (value), InvalidResponse "invalid-response" (value),
        NotUpgraded "not-upgraded", AcceptMissing "accept-missing", AcceptWrong "accept-wrong",
        ProtocolNotOffered "protocol-not-offered", ExtensionNotOffered "extension-not-offered" (value)
    }
}

records! {
    CloseInfo { code, reason, by, clean }
    client::Reconnect { attempts_max, delay_ms, delay_max_ms }
    client::Options {
        url, protocols is SUBPROTOCOL, host is HOST, origin is ORIGIN, headers, verify, identity, version, compression, timeout_ms, reconnect, session
    }
    client::Response { status, headers }
    handshake::Acceptance { protocol is SUBPROTOCOL, headers, session }
    handshake::Refusal { status, headers, body }
}

impl ToTape for Request {
    fn put(&self, redaction: &Redaction) -> Value {
        json!({
            "role": self.role.put(redaction),
            "path": self.path,
            "query": self.query,
            "headers": self.headers.put(redaction),
            "offered": FieldValue(SUBPROTOCOL, &self.offered).put(redaction),
            "peer": self.peer,
            "local": self.local,
            "secure": self.secure,
            "host": FieldValue(HOST, &self.host).put(redaction),
        })
    }
}

impl FromTape for Request {
    fn take(value: Value) -> Result<Self, String> {
        let Value::Object(mut map) = value else {
            return wrong(&value, "a request");
        };
        Ok(Self {
            role: field(&mut map, "role")?,
            path: field(&mut map, "path")?,
            query: field(&mut map, "query")?,
            headers: field(&mut map, "headers")?,
            offered: field(&mut map, "offered")?,
            peer: field(&mut map, "peer")?,
            local: field(&mut map, "local")?,
            secure: field(&mut map, "secure")?,
            host: field(&mut map, "host")?,
        })
    }
}

impl From<Request> for contract::Request {
    fn from(request: Request) -> Self {
        Self {
            role: match request.role {
                Role::Server => contract::Role::Server,
                Role::Client => contract::Role::Client,
            },
            path: request.path,
            query: request.query,
            headers: request.headers,
            offered: request.offered,
            peer: request.peer,
            local: request.local,
            secure: request.secure,
            host: request.host,
        }
    }
}

impl From<CloseInfo> for contract::CloseInfo {
    fn from(info: CloseInfo) -> Self {
        Self {
            code: info.code,
            reason: info.reason,
            by: match info.by {
                ClosedBy::Peer => contract::ClosedBy::Peer,
                ClosedBy::Handler => contract::ClosedBy::Handler,
                ClosedBy::Host => contract::ClosedBy::Host,
            },
            clean: info.clean,
        }
    }
}

impl ToTape for http::Response {
    fn put(&self, redaction: &Redaction) -> Value {
        let body = match &self.body {
            http::Body::Bytes(bytes) => json!({"bytes": bytes.put(redaction)}),
            http::Body::File(path) => json!({"file": path}),
        };
        json!({"status": self.status, "headers": self.headers.put(redaction), "body": body})
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use wsrun_tape::value::Agreed;

    fn none() -> Redaction {
        Redaction::default()
    }

    #[track_caller]
    fn comes_back<T: ToTape + FromTape + Debug>(value: &T, text: &str) {
        let put = value.put(&none());
        assert_eq!(put.to_string(), text);
        let taken = T::take(put.clone()).unwrap();
        assert_eq!(taken.put(&none()), put, "{value:?}");
    }

    #[test]
    fn values_come_back_as_they_were() {
        comes_back(&Message::Text("a\n".into()), r#"{"text":"a\n"}"#);
        comes_back(&Ok::<(), SendError>(()), r#"{"ok":null}"#);
        comes_back(
            &Err::<(), _>(SendError::QueueFull(7)),
            r#"{"err":{"queue-full":7}}"#,
        );
        comes_back(&SlowPolicy::Disconnect(4000), r#"{"disconnect":4000}"#);
        comes_back(&Failure::Redirected(None), r#"{"redirected":null}"#);
        comes_back(&Failure::TimedOut(Phase::Tls), r#"{"timed-out":"tls"}"#);
    }

    #[test]
    fn values_of_another_type_are_told() {
        assert!(Message::take(json!({"text": 1})).is_err());
        assert!(Message::take(json!({"words": "a"})).is_err());
        assert!(CloseInfo::take(json!({"code": 1000})).is_err());
    }

    #[test]
    fn redacted_header_fields_keep_their_length_and_nothing_else() {
        let redaction = Redaction::new(&[
            "Cookie".into(),
            SUBPROTOCOL.into(),
            "Host".into(),
            "Origin".into(),
        ]);
        let request = Request {
            role: Role::Server,
            path: "/".into(),
            query: None,
            headers: vec![
                ("cookie".into(), b"id=secret".to_vec()),
                ("accept".into(), b"text/html".to_vec()),
            ],
            offered: vec!["secret".into()],
            peer: "unix".into(),
            local: "unix".into(),
            secure: false,
            host: Some("secret.example".into()),
        };
        let put = request.put(&redaction);
        assert!(!put.to_string().contains("secret"), "{put}");
        assert_eq!(put["headers"][0], json!(["cookie", "*********"]));
        assert_eq!(put["headers"][1], json!(["accept", "text/html"]));
        assert_eq!(put["offered"], json!(["******"]));
        assert_eq!(put["host"], json!("**************"));
        let secret = || Some("secret".to_owned());
        let acceptance = handshake::Acceptance {
            protocol: secret(),
            headers: Vec::new(),
            session: Vec::new(),
        };
        let options = client::Options {
            url: "ws://a/".into(),
            protocols: vec!["secret".into()],
            host: secret(),
            origin: secret(),
            headers: vec![("cookie".into(), "secret".into())],
            verify: Verify::Full,
            identity: None,
            version: None,
            compression: false,
            timeout_ms: None,
            reconnect: None,
            session: Vec::new(),
        };
        for put in [
            acceptance.put(&redaction),
            options.put(&redaction),
            Agreed(secret()).put(&redaction),
        ] {
            let text = put.to_string();
            assert!(
                !text.contains("secret") && text.contains("\"******\""),
                "{text}"
            );
        }
        assert!(options.put(&none()).to_string().matches("secret").count() == 4);
    }
}
