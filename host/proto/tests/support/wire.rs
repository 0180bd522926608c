//! Frames, written byte by byte and not by the code under test.

pub(crate) const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Makes a frame of a client.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0x80, payload.len() as u64);
    frame.extend(KEY);
    frame.extend(
        payload
            .iter()
            .enumerate()
            .map(|(position, byte)| byte ^ KEY[position % 4]),
    );
    frame
}

/// Makes a frame of a server.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(first, 0, payload.len() as u64);
    frame.extend(payload);
    frame
}

/// Makes a header of a client without its payload.
pub(crate) fn masked_head(first: u8, length: u64) -> Vec<u8> {
    let mut frame = head(first, 0x80, length);
    frame.extend(KEY);
    frame
}

pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    masked(CLOSE, &close_payload(code, reason.as_bytes()))
}

pub(crate) fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

fn head(first: u8, mask: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    if length < 126 {
        head.push(mask | length as u8);
    } else if length < 65536 {
        head.push(mask | 126);
        head.extend((length as u16).to_be_bytes());
    } else {
        head.push(mask | 127);
        head.extend(length.to_be_bytes());
    }
    head
}

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const TEXT_START: u8 = 0x01;
pub(crate) const BINARY_START: u8 = 0x02;
pub(crate) const MORE: u8 = 0x00;
pub(crate) const LAST: u8 = 0x80;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
pub(crate) const COMPRESSED: u8 = 0x40;
