//! The opening handshake. A head is read the same however it is cut, and no head causes a panic.

use std::time::Instant;

use wsrun_proto::http::connect::{Connect, ConnectOptions};
use wsrun_proto::http::extensions;
use wsrun_proto::http::origin::{Allowed, is_same_origin};
use wsrun_proto::http::request::RequestReader;
use wsrun_proto::http::upgrade;
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::{DeflateConfig, agree, negotiate};

pub fn run(_now: Instant, data: &[u8]) {
    read_request(data);
    read_response(data);
    if let Ok(text) = std::str::from_utf8(data) {
        read_values(text);
    }
}

fn read_request(data: &[u8]) {
    let mut whole = RequestReader::new(LIMITS);
    let whole = whole.handle_input(data);
    let mut reader = RequestReader::new(LIMITS);
    let mut bytewise = Ok(None);
    for (position, byte) in data.chunks(1).enumerate() {
        // An error ends the loop, and so does a head, because it is borrowed.
        match reader.handle_input(byte) {
            Ok(None) => {}
            Ok(Some(mut request)) => {
                request.consumed += position;
                bytewise = Ok(Some((
                    request.method.to_owned(),
                    request.consumed,
                    request.headers.len(),
                )));
                break;
            }
            Err(error) => {
                bytewise = Err(error);
                break;
            }
        }
    }
    let summary = whole.as_ref().map(|request| {
        request.as_ref().map(|request| {
            (
                request.method.to_owned(),
                request.consumed,
                request.headers.len(),
            )
        })
    });
    assert_eq!(summary.map_err(|error| *error), bytewise);
    let Ok(Some(request)) = whole else { return };
    assert!(
        request.consumed <= LIMITS.header_bytes_max && request.headers.len() <= LIMITS.headers_max
    );
    if let Ok(upgrade) = upgrade::check(request.method, request.minor_version, &request.headers) {
        let protocol = upgrade.offered.first().map(String::as_str);
        let accepted = upgrade.accept(protocol, Some(&DeflateConfig::default()));
        for (_, value) in accepted
            .map(|accepted| accepted.headers)
            .unwrap_or_default()
        {
            assert!(!value.contains(['\r', '\n']), "a response is not split");
        }
    }
}

fn read_response(data: &[u8]) {
    let options = ConnectOptions {
        host: "a".to_owned(),
        protocols: vec!["chat".to_owned()],
        deflate: Some(DeflateConfig::default()),
        limits: LIMITS,
        ..ConnectOptions::default()
    };
    let Ok(mut whole) = Connect::new(options.clone(), *b"the sample nonce") else {
        return;
    };
    let Ok(mut bytewise) = Connect::new(options, *b"the sample nonce") else {
        return;
    };
    let outcome = whole
        .handle_input(data)
        .map(|established| established.map(|it| (it.protocol, it.deflate)));
    let mut last = Ok(None);
    for byte in data.chunks(1) {
        last = bytewise
            .handle_input(byte)
            .map(|established| established.map(|it| (it.protocol, it.deflate)));
        if last != Ok(None) {
            break;
        }
    }
    assert_eq!(outcome, last);
}

fn read_values(text: &str) {
    let _ = extensions::parse(text);
    for config in [
        DeflateConfig::default(),
        DeflateConfig {
            window_bits_max: 10,
            ..DeflateConfig::default()
        },
    ] {
        if let Some((agreed, response)) = negotiate([text], &config) {
            for role in [wsrun_proto::ws::Role::Server, wsrun_proto::ws::Role::Client] {
                assert!((8..=15).contains(&agreed.window_bits(role)));
            }
            assert_eq!(extensions::parse(&response).map(|list| list.len()), Ok(1));
        }
        let _ = agree([text], &config);
    }
    let (origin, host) = text.split_once('\n').unwrap_or((text, "a"));
    for secure in [false, true] {
        if is_same_origin(origin, host, secure) {
            assert!(Allowed::parse([origin]).is_ok_and(|allowed| allowed.contains(origin)));
        }
    }
}

const LIMITS: Limits = Limits {
    frame_bytes_max: 0,
    message_bytes_max: 0,
    sent_message_bytes_max: 0,
    sent_stream_bytes_max: 0,
    fragments_max: 0,
    header_bytes_max: 2000,
    headers_max: 20,
    queued_bytes_max: 0,
    control_frames_per_second_max: 0,
};
