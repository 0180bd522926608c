//! The values of the contract, and of WASI, as JSON.
//!
//! Records are objects, variants `"case"` or `{"case": value}`, options null or the value, results `{"ok": …}` or `{"err": …}`. Bytes are a
//! string where they are UTF-8, else `{"base64": "…"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::redact::{Redaction, placeholder};

/// What can be written to a tape.
pub trait ToTape {
    fn put(&self, redaction: &Redaction) -> Value;
}

/// What can be read from it.
pub trait FromTape: Sized {
    /// # Errors
    ///
    /// What the value is, where it is not one of this type.
    fn take(value: Value) -> Result<Self, String>;
}

pub fn wrong<T>(value: &Value, wanted: &str) -> Result<T, String> {
    const SHOWN: usize = 80;
    let text: String = value.to_string().chars().take(SHOWN).collect();
    Err(format!("{text}, which is not {wanted}"))
}

impl<T: ToTape + ?Sized> ToTape for &T {
    fn put(&self, redaction: &Redaction) -> Value {
        (**self).put(redaction)
    }
}

impl ToTape for () {
    fn put(&self, _: &Redaction) -> Value {
        Value::Null
    }
}

impl FromTape for () {
    fn take(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(());
        }
        wrong(&value, "null")
    }
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl ToTape for $type {
            fn put(&self, _: &Redaction) -> Value {
                Value::from(*self)
            }
        }

        impl FromTape for $type {
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

impl ToTape for bool {
    fn put(&self, _: &Redaction) -> Value {
        Value::Bool(*self)
    }
}

impl FromTape for bool {
    fn take(value: Value) -> Result<Self, String> {
        match value.as_bool() {
            Some(value) => Ok(value),
            None => wrong(&value, "true or false"),
        }
    }
}

impl ToTape for str {
    fn put(&self, _: &Redaction) -> Value {
        Value::from(self)
    }
}

impl ToTape for String {
    fn put(&self, _: &Redaction) -> Value {
        Value::from(self.as_str())
    }
}

impl FromTape for String {
    fn take(value: Value) -> Result<Self, String> {
        if let Value::String(text) = value {
            return Ok(text);
        }
        wrong(&value, "a string")
    }
}

impl ToTape for [u8] {
    fn put(&self, _: &Redaction) -> Value {
        match simdutf8::basic::from_utf8(self) {
            Ok(text) => Value::from(text),
            Err(_) => json!({"base64": BASE64.encode(self)}),
        }
    }
}

impl ToTape for Vec<u8> {
    fn put(&self, redaction: &Redaction) -> Value {
        self.as_slice().put(redaction)
    }
}

impl FromTape for Vec<u8> {
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
        impl ToTape for Vec<$type> {
            fn put(&self, redaction: &Redaction) -> Value {
                self.iter().map(|item| item.put(redaction)).collect()
            }
        }

        impl FromTape for Vec<$type> {
            fn take(value: Value) -> Result<Self, String> {
                match value {
                    Value::Array(items) => items.into_iter().map(FromTape::take).collect(),
                    other => wrong(&other, "a list"),
                }
            }
        }
    )*};
}

lists!(String, u32, (String, String), (String, Vec<u8>));

/// Pairs of texts and bytes are header fields, wherever they occur.
impl ToTape for (String, String) {
    fn put(&self, redaction: &Redaction) -> Value {
        let (name, value) = self;
        match redaction.covers(name) {
            true => json!([name, placeholder(value.len())]),
            false => json!([name, value]),
        }
    }
}

impl ToTape for (String, Vec<u8>) {
    fn put(&self, redaction: &Redaction) -> Value {
        let (name, value) = self;
        match redaction.covers(name) {
            true => json!([name, placeholder(value.len())]),
            false => json!([name, value.put(redaction)]),
        }
    }
}

/// What stands outside of a list of header fields, and is the value of one by this name.
pub struct FieldValue<'a, T: ?Sized>(pub &'static str, pub &'a T);

impl ToTape for FieldValue<'_, str> {
    fn put(&self, redaction: &Redaction) -> Value {
        let Self(name, value) = *self;
        match redaction.covers(name) {
            true => Value::from(placeholder(value.len())),
            false => Value::from(value),
        }
    }
}

impl ToTape for FieldValue<'_, Option<String>> {
    fn put(&self, redaction: &Redaction) -> Value {
        let Self(name, value) = *self;
        value
            .as_deref()
            .map_or(Value::Null, |value| FieldValue(name, value).put(redaction))
    }
}

impl ToTape for FieldValue<'_, Vec<String>> {
    fn put(&self, redaction: &Redaction) -> Value {
        let Self(name, values) = *self;
        values
            .iter()
            .map(|value| FieldValue(name, value.as_str()).put(redaction))
            .collect()
    }
}

/// The subprotocol of a connection, or of those that something is for.
pub struct Agreed(pub Option<String>);

impl ToTape for Agreed {
    fn put(&self, redaction: &Redaction) -> Value {
        FieldValue(SUBPROTOCOL, &self.0).put(redaction)
    }
}

impl FromTape for Agreed {
    fn take(value: Value) -> Result<Self, String> {
        FromTape::take(value).map(Self)
    }
}

impl<T: ToTape> ToTape for Option<T> {
    fn put(&self, redaction: &Redaction) -> Value {
        self.as_ref()
            .map_or(Value::Null, |value| value.put(redaction))
    }
}

impl<T: FromTape> FromTape for Option<T> {
    fn take(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(None);
        }
        T::take(value).map(Some)
    }
}

impl<T: ToTape, E: ToTape> ToTape for Result<T, E> {
    fn put(&self, redaction: &Redaction) -> Value {
        match self {
            Ok(value) => json!({"ok": value.put(redaction)}),
            Err(error) => json!({"err": error.put(redaction)}),
        }
    }
}

impl<T: FromTape, E: FromTape> FromTape for Result<T, E> {
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
        impl<$($type: ToTape),*> ToTape for ($($type,)*) {
            fn put(&self, redaction: &Redaction) -> Value {
                Value::Array(vec![$(self.$index.put(redaction)),*])
            }
        }
    )*};
}

tuples!((A 0) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));

/// Two arguments. Not a tuple, which a header field is.
pub struct Two<A, B>(pub A, pub B);

impl<A: ToTape, B: ToTape> ToTape for Two<A, B> {
    fn put(&self, redaction: &Redaction) -> Value {
        Value::Array(vec![self.0.put(redaction), self.1.put(redaction)])
    }
}

/// The arguments of a callback or a call.
pub fn args<const N: usize>(value: Value) -> Result<[Value; N], String> {
    let Value::Array(items) = value else {
        return wrong(&value, "a list of arguments");
    };
    items
        .try_into()
        .or_else(|items: Vec<Value>| wrong(&Value::Array(items), "so many arguments"))
}

impl FromTape for (String, String) {
    fn take(value: Value) -> Result<Self, String> {
        let [name, value] = args(value)?;
        Ok((FromTape::take(name)?, FromTape::take(value)?))
    }
}

impl FromTape for (String, Vec<u8>) {
    fn take(value: Value) -> Result<Self, String> {
        let [name, value] = args(value)?;
        Ok((FromTape::take(name)?, FromTape::take(value)?))
    }
}

/// Two halves of a seed.
impl FromTape for (u64, u64) {
    fn take(value: Value) -> Result<Self, String> {
        let [low, high] = args(value)?;
        Ok((FromTape::take(low)?, FromTape::take(high)?))
    }
}

impl ToTape for (u64, u64) {
    fn put(&self, redaction: &Redaction) -> Value {
        Two(self.0, self.1).put(redaction)
    }
}

/// A case of a variant and its value.
pub fn case(value: Value) -> Result<(String, Value), Value> {
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
pub fn field<T: FromTape>(map: &mut Map<String, Value>, name: &str) -> Result<T, String> {
    let value = map.remove(name).unwrap_or_default();
    T::take(value).map_err(|cause| format!("in {name}: {cause}"))
}

/// Header fields whose values stand outside of lists of them as well.
pub const SUBPROTOCOL: &str = "sec-websocket-protocol";
pub const HOST: &str = "host";
pub const ORIGIN: &str = "origin";

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

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
        comes_back(&u64::MAX, "18446744073709551615");
        comes_back(&Some(3_u32), "3");
        comes_back(&None::<u64>, "null");
        comes_back(&b"text".to_vec(), r#""text""#);
        comes_back(&vec![0xff_u8, 0], r#"{"base64":"/wA="}"#);
        comes_back(&(1_u64, 2_u64), "[1,2]");
    }

    #[test]
    fn values_of_another_type_are_told() {
        assert!(u16::take(json!(65_536)).is_err());
        assert!(u64::take(json!(-1)).is_err());
        assert!(Vec::<u8>::take(json!({"base64": "?"})).is_err());
        assert!(args::<2>(json!([1])).is_err());
    }
}
