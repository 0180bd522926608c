//! The opening request of a connection, in one piece of memory.

use wsrun_contract::{Request, Role};

/// An opening request as a connection stores it: in one piece of memory, since each of its strings
/// alone would take 32 bytes more.
#[derive(Debug)]
pub struct Kept(Box<[u8]>);

impl From<&Request> for Kept {
    fn from(request: &Request) -> Self {
        let Request {
            role,
            path,
            query,
            headers,
            offered,
            peer,
            local,
            secure,
            host,
        } = request;
        let mut writer = Writer::default();
        writer.number(usize::from(*role == Role::Client));
        writer.bytes(path.as_bytes());
        writer.optional(query.as_deref());
        writer.number(headers.len());
        for (name, value) in headers {
            writer.bytes(name.as_bytes());
            writer.bytes(value);
        }
        writer.number(offered.len());
        for name in offered {
            writer.bytes(name.as_bytes());
        }
        writer.bytes(peer.as_bytes());
        writer.bytes(local.as_bytes());
        writer.number(usize::from(*secure));
        writer.optional(host.as_deref());
        Self(writer.0.into_boxed_slice())
    }
}

impl From<&Kept> for Request {
    fn from(kept: &Kept) -> Self {
        let mut reader = Reader(&kept.0);
        Self {
            role: match reader.number() {
                0 => Role::Server,
                _ => Role::Client,
            },
            path: reader.text(),
            query: reader.optional(),
            headers: (0..reader.number())
                .map(|_| (reader.text(), reader.bytes().to_vec()))
                .collect(),
            offered: (0..reader.number()).map(|_| reader.text()).collect(),
            peer: reader.text(),
            local: reader.text(),
            secure: reader.number() == 1,
            host: reader.optional(),
        }
    }
}

/// Writes numbers in groups of seven bits, the lowest first, and bytes after their length.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: usize) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.0.push(low & 0x7f);
            }
            self.0.push(low | 0x80);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn optional(&mut self, text: Option<&str>) {
        self.number(usize::from(text.is_some()));
        if let Some(text) = text {
            self.bytes(text.as_bytes());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            shift += 7;
        }
        number
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = self.number();
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    fn optional(&mut self) -> Option<String> {
        (self.number() == 1).then(|| self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_kept_whole() {
        let full = Request {
            role: Role::Client,
            path: "/".repeat(300),
            query: Some("a=ä".into()),
            headers: vec![
                ("cookie".into(), vec![0xff; 20_000]),
                ("empty".into(), Vec::new()),
            ],
            offered: vec!["one".into(), "two".into()],
            peer: "[::1]:9".into(),
            local: "unix".into(),
            secure: true,
            host: Some(String::new()),
        };
        for request in [full, Request::default()] {
            assert_eq!(Request::from(&Kept::from(&request)), request);
        }
    }
}
