//! Frame headers. A header that was read can be written again.

use std::time::Instant;

use wsrun_proto::ws::frame::{HEADER_BYTES_MAX, Header};

pub fn run(_now: Instant, data: &[u8]) {
    let outcome = Header::decode(data);
    if let Ok(Some((header, length))) = outcome {
        let mut encoded = [0; HEADER_BYTES_MAX];
        assert_eq!(header.encode(&mut encoded), length);
        assert_eq!(encoded[..length], data[..length]);
        for cut in 0..length {
            assert_eq!(Header::decode(&data[..cut]), Ok(None), "no shorter header");
        }
    }
    if outcome == Ok(None) {
        assert!(data.len() < HEADER_BYTES_MAX, "no longer header");
    }
}
