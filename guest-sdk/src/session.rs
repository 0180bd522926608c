//! Session data as values.

use crate::SessionError;

pub(crate) fn encode<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    match postcard::to_allocvec(value) {
        Ok(bytes) => bytes,
        Err(error) => panic!("session data cannot be serialized: {error}"),
    }
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, SessionError> {
    if bytes.is_empty() {
        return Err(SessionError::Absent);
    }
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(SessionError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_survives_encoding() {
        let bytes = encode(&("ada".to_owned(), 3_u32));
        assert_eq!(decode::<(String, u32)>(&bytes), Ok(("ada".to_owned(), 3)));
    }

    #[test]
    fn empty_data_is_absent() {
        assert_eq!(decode::<u64>(&[]), Err(SessionError::Absent));
    }

    #[test]
    fn left_over_bytes_are_malformed() {
        assert_eq!(decode::<u8>(&[1, 2]), Err(SessionError::Malformed));
        assert_eq!(decode::<String>(&[200]), Err(SessionError::Malformed));
    }
}
