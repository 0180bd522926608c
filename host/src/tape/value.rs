//! The values of the contract, and of WASI, as JSON.
//!
//! Records are objects, variants `"case"` or `{"case": value}`, options null or the value, results `{"ok": …}` or `{"err": …}`. Bytes are a
//! string where they are UTF-8, else `{"base64": "…"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::redact::{Redaction, placeholder};
use crate::contract;
use crate::wasm::bindings::exports::wsrun::websocket::{handshake, http};
use crate::wasm::bindings::wsrun::websocket::types::{
    CloseInfo, ClosedBy, Message, PublishError, Request, Role, SendError, SlowPolicy,
};
use crate::wasm::bindings::wsrun::websocket::{client, connections, timers, topics};

/// What can be written to a tape.
pub(crate) trait Put {
    fn put(&self, redaction: &Redaction) -> Value;
}

/// What can be read from it.
pub(crate) trait Take: Sized {
    /// # Errors
    ///
    /// What the value is, where it is not one of this type.
    fn take(value: Value) -> Result<Self, String>;
}

fn wrong<T>(value: &Value, wanted: &str) -> Result<T, String> {
    const SHOWN: usize = 80;
    let text: String = value.to_string().chars().take(SHOWN).collect();
    Err(format!("{text}, which is not {wanted}"))
}

impl<T: Put + ?Sized> Put for &T {
    fn put(&self, redaction: &Redaction) -> Value {
        (**self).put(redaction)
    }
}

impl Put for () {
    fn put(&self, _: &Redaction) -> Value {
        Value::Null
    }
}

impl Take for () {
    fn take(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(());
        }
        wrong(&value, "null")
    }
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl Put for $type {
            fn put(&self, _: &Redaction) -> Value {
                Value::from(*self)
            }
        }

        impl Take for $type {
            fn take(value: Value) -> Result<Self, String> {
                let number = value.as_u64().and_then(|number| Self::try_from(number).ok());
                match number {
                    Some(number) => Ok(number),
                    None => wrong(&value, concat!("a ", stringify!($type))),
                }
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64);

impl Put for bool {
    fn put(&self, _: &Redaction) -> Value {
        Value::Bool(*self)
    }
}

impl Take for bool {
    fn take(value: Value) -> Result<Self, String> {
        match value.as_bool() {
            Some(value) => Ok(value),
            None => wrong(&value, "true or false"),
        }
    }
}

impl Put for str {
    fn put(&self, _: &Redaction) -> Value {
        Value::from(self)
    }
}

impl Put for String {
    fn put(&self, _: &Redaction) -> Value {
        Value::from(self.as_str())
    }
}

impl Take for String {
    fn take(value: Value) -> Result<Self, String> {
        if let Value::String(text) = value {
            return Ok(text);
        }
        wrong(&value, "a string")
    }
}

impl Put for [u8] {
    fn put(&self, _: &Redaction) -> Value {
        match simdutf8::basic::from_utf8(self) {
            Ok(text) => Value::from(text),
            Err(_) => json!({"base64": BASE64.encode(self)}),
        }
    }
}

impl Put for Vec<u8> {
    fn put(&self, redaction: &Redaction) -> Value {
        self.as_slice().put(redaction)
    }
}

impl Take for Vec<u8> {
    fn take(value: Value) -> Result<Self, String> {
        if let Value::String(text) = value {
            return Ok(text.into_bytes());
        }
        let encoded = value.get("base64").and_then(Value::as_str);
        match encoded.and_then(|encoded| BASE64.decode(encoded).ok()) {
            Some(bytes) => Ok(bytes),
            None => wrong(&value, "bytes"),
        }
    }
}

macro_rules! lists {
    ($($type:ty),*) => {$(
        impl Put for Vec<$type> {
            fn put(&self, redaction: &Redaction) -> Value {
                self.iter().map(|item| item.put(redaction)).collect()
            }
        }

        impl Take for Vec<$type> {
            fn take(value: Value) -> Result<Self, String> {
                match value {
                    Value::Array(items) => items.into_iter().map(Take::take).collect(),
                    other => wrong(&other, "a list"),
                }
            }
        }
    )*};
}

lists!(String, u32, (String, String), (String, Vec<u8>));

/// Pairs of texts and bytes are header fields, wherever they occur.
impl Put for (String, String) {
    fn put(&self, redaction: &Redaction) -> Value {
        let (name, value) = self;
        match redaction.covers(name) {
            true => json!([name, placeholder(value.len())]),
            false => json!([name, value]),
        }
    }
}

impl Put for (String, Vec<u8>) {
    fn put(&self, redaction: &Redaction) -> Value {
        let (name, value) = self;
        match redaction.covers(name) {
            true => json!([name, placeholder(value.len())]),
            false => json!([name, value.put(redaction)]),
        }
    }
}

/// What stands outside of a list of header fields, and is the value of one by this name.
pub(crate) struct FieldValue<'a, T: ?Sized>(pub(crate) &'static str, pub(crate) &'a T);

impl Put for FieldValue<'_, str> {
    fn put(&self, redaction: &Redaction) -> Value {
        let Self(name, value) = *self;
        match redaction.covers(name) {
            true => Value::from(placeholder(value.len())),
            false => Value::from(value),
        }
    }
}

impl Put for FieldValue<'_, Option<String>> {
    fn put(&self, redaction: &Redaction) -> Value {
        let Self(name, value) = *self;
        value
            .as_deref()
            .map_or(Value::Null, |value| FieldValue(name, value).put(redaction))
    }
}

impl Put for FieldValue<'_, Vec<String>> {
    fn put(&self, redaction: &Redaction) -> Value {
        let Self(name, values) = *self;
        values
            .iter()
            .map(|value| FieldValue(name, value.as_str()).put(redaction))
            .collect()
    }
}

/// The subprotocol of a connection, or of those that something is for.
pub(crate) struct Agreed(pub(crate) Option<String>);

impl Put for Agreed {
    fn put(&self, redaction: &Redaction) -> Value {
        FieldValue(SUBPROTOCOL, &self.0).put(redaction)
    }
}

impl Take for Agreed {
    fn take(value: Value) -> Result<Self, String> {
        Take::take(value).map(Self)
    }
}

impl<T: Put> Put for Option<T> {
    fn put(&self, redaction: &Redaction) -> Value {
        self.as_ref()
            .map_or(Value::Null, |value| value.put(redaction))
    }
}

impl<T: Take> Take for Option<T> {
    fn take(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(None);
        }
        T::take(value).map(Some)
    }
}

impl<T: Put, E: Put> Put for Result<T, E> {
    fn put(&self, redaction: &Redaction) -> Value {
        match self {
            Ok(value) => json!({"ok": value.put(redaction)}),
            Err(error) => json!({"err": error.put(redaction)}),
        }
    }
}

impl<T: Take, E: Take> Take for Result<T, E> {
    fn take(value: Value) -> Result<Self, String> {
        match case(value) {
            Ok((name, value)) if name == "ok" => T::take(value).map(Ok),
            Ok((name, value)) if name == "err" => E::take(value).map(Err),
            Ok((name, _)) => wrong(&Value::from(name), "a result"),
            Err(other) => wrong(&other, "a result"),
        }
    }
}

macro_rules! tuples {
    ($(($($type:ident $index:tt),*))*) => {$(
        impl<$($type: Put),*> Put for ($($type,)*) {
            fn put(&self, redaction: &Redaction) -> Value {
                Value::Array(vec![$(self.$index.put(redaction)),*])
            }
        }
    )*};
}

tuples!((A 0) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));

/// Two arguments. Not a tuple, which a header field is.
pub(crate) struct Two<A, B>(pub(crate) A, pub(crate) B);

impl<A: Put, B: Put> Put for Two<A, B> {
    fn put(&self, redaction: &Redaction) -> Value {
        Value::Array(vec![self.0.put(redaction), self.1.put(redaction)])
    }
}

/// The arguments of a callback or a call.
pub(crate) fn args<const N: usize>(value: Value) -> Result<[Value; N], String> {
    let Value::Array(items) = value else {
        return wrong(&value, "a list of arguments");
    };
    items
        .try_into()
        .or_else(|items: Vec<Value>| wrong(&Value::Array(items), "so many arguments"))
}

impl Take for (String, String) {
    fn take(value: Value) -> Result<Self, String> {
        let [name, value] = args(value)?;
        Ok((Take::take(name)?, Take::take(value)?))
    }
}

impl Take for (String, Vec<u8>) {
    fn take(value: Value) -> Result<Self, String> {
        let [name, value] = args(value)?;
        Ok((Take::take(name)?, Take::take(value)?))
    }
}

/// Two halves of a seed.
impl Take for (u64, u64) {
    fn take(value: Value) -> Result<Self, String> {
        let [low, high] = args(value)?;
        Ok((Take::take(low)?, Take::take(high)?))
    }
}

impl Put for (u64, u64) {
    fn put(&self, redaction: &Redaction) -> Value {
        Two(self.0, self.1).put(redaction)
    }
}

/// A case of a variant and its value.
fn case(value: Value) -> Result<(String, Value), Value> {
    if let Value::String(name) = value {
        return Ok((name, Value::Null));
    }
    if let Value::Object(map) = value {
        let is_case = map.len() == 1;
        let mut cases = map.into_iter();
        return cases.next().filter(|_| is_case).ok_or(Value::Null);
    }
    Err(value)
}

/// A field of a record.
fn field<T: Take>(map: &mut Map<String, Value>, name: &str) -> Result<T, String> {
    let value = map.remove(name).unwrap_or_default();
    T::take(value).map_err(|cause| format!("in {name}: {cause}"))
}

macro_rules! records {
    ($($type:ty { $($field:ident $(is $header:ident)?),* })*) => {$(
        impl Put for $type {
            fn put(&self, redaction: &Redaction) -> Value {
                let mut map = Map::new();
                $(map.insert(stringify!($field).into(), records!(@put (self.$field) redaction $($header)?));)*
                Value::Object(map)
            }
        }

        impl Take for $type {
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
        impl Put for $type {
            #[allow(unused_variables, reason = "of variants without values")]
            fn put(&self, redaction: &Redaction) -> Value {
                match self {
                    $(variants!(@pattern value $case $(($value))?) => variants!(@put $name redaction $(($value))?),)*
                }
            }
        }

        impl Take for $type {
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
    (@take $bound:ident $case:ident ($value:ident)) => { Self::$case(Take::take($bound)?) };
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

/// Header fields whose values stand outside of lists of them as well.
const SUBPROTOCOL: &str = "sec-websocket-protocol";
const HOST: &str = "host";
const ORIGIN: &str = "origin";

impl Put for Request {
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

impl Take for Request {
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

impl Put for http::Response {
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

    fn none() -> Redaction {
        Redaction::default()
    }

    #[track_caller]
    fn comes_back<T: Put + Take + Debug>(value: &T, text: &str) {
        let put = value.put(&none());
        assert_eq!(put.to_string(), text);
        let taken = T::take(put.clone()).unwrap();
        assert_eq!(taken.put(&none()), put, "{value:?}");
    }

    #[test]
    fn values_come_back_as_they_were() {
        comes_back(&u64::MAX, "18446744073709551615");
        comes_back(&Some(3_u32), "3");
        comes_back(&None::<u64>, "null");
        comes_back(&b"text".to_vec(), r#""text""#);
        comes_back(&vec![0xff_u8, 0], r#"{"base64":"/wA="}"#);
        comes_back(&Message::Text("a\n".into()), r#"{"text":"a\n"}"#);
        comes_back(&Ok::<(), SendError>(()), r#"{"ok":null}"#);
        comes_back(
            &Err::<(), _>(SendError::QueueFull(7)),
            r#"{"err":{"queue-full":7}}"#,
        );
        comes_back(&SlowPolicy::Disconnect(4000), r#"{"disconnect":4000}"#);
        comes_back(&Failure::Redirected(None), r#"{"redirected":null}"#);
        comes_back(&Failure::TimedOut(Phase::Tls), r#"{"timed-out":"tls"}"#);
        comes_back(&(1_u64, 2_u64), "[1,2]");
    }

    #[test]
    fn values_of_another_type_are_told() {
        assert!(u16::take(json!(65_536)).is_err());
        assert!(u64::take(json!(-1)).is_err());
        assert!(Message::take(json!({"text": 1})).is_err());
        assert!(Message::take(json!({"words": "a"})).is_err());
        assert!(Vec::<u8>::take(json!({"base64": "?"})).is_err());
        assert!(CloseInfo::take(json!({"code": 1000})).is_err());
        assert!(args::<2>(json!([1])).is_err());
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
