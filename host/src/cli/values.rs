//! Parsers for the values of arguments: sizes, durations, addresses, pairs.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{IpNet, Listen, Scope, TlsFiles};
use wsrun_os::file::{self, ReadError};

/// Parses a size: `64KiB`, `1MiB`, `2GiB`, `4096`. Units of 1,024 have the `iB` or not, units of
/// 1,000 are `kB`, `MB` and `GB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => {
            return Err(format!(
                "`{unit}` is not a unit: use B, KiB, MiB or GiB, as in 64KiB"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "it must be a whole number with a unit, as in 64KiB".to_owned())?;
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "it must be at least 1 and below 2^64".to_owned())
}

/// Parses a number that must be at least 1.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count: &usize| *count > 0);
    count.ok_or_else(|| "it must be a whole number, at least 1".to_owned())
}

/// Parses a duration: `250ms`, `10s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "" => return Err("it needs a unit: ms, s, m or h, as in 10s".to_owned()),
        _ => {
            return Err(format!(
                "`{unit}` is not a unit: use ms, s, m or h, as in 10s"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "it must be a whole number with a unit, as in 10s".to_owned())?;
    let duration = number.checked_mul(milliseconds).map(Duration::from_millis);
    duration
        .filter(|duration| !duration.is_zero() && *duration <= DURATION_MAX)
        .ok_or_else(|| "it must be between 1ms and 8760h".to_owned())
}

/// Parses a [`duration`], or `off`.
pub(super) fn optional_duration(text: &str) -> Result<OptionalDuration, String> {
    if text == "off" {
        Ok(OptionalDuration(None))
    } else {
        duration(text).map(|duration| OptionalDuration(Some(duration)))
    }
}

/// A duration that can be turned off.
#[derive(Clone, Copy, Debug)]
pub(super) struct OptionalDuration(pub(super) Option<Duration>);

/// Parses an address: `127.0.0.1:9100`, `[::1]:9100`.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let example = match text.parse::<u16>() {
            Ok(port) => format!("127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for all"),
            Err(_) => "127.0.0.1:9100, 0.0.0.0:9100, [::1]:9100".to_owned(),
        };
        format!("it must be IP:PORT, as in {example}")
    })
}

/// Parses an address to listen on: `127.0.0.1:9000`, `[::1]:9000`, `unix:/path`.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => Err("a path must follow `unix:`".to_owned()),
            path => Ok(Listen::Unix(PathBuf::from(path))),
        };
    }
    text.parse::<SocketAddr>().map(Listen::Tcp).map_err(|_| {
        "it must be IP:PORT (127.0.0.1:9000, 0.0.0.0:80, [::1]:9000; port 0 picks one) or unix:PATH".to_owned()
    })
}

/// Parses a network or one address: `10.0.0.0/8`, `2001:db8::/32`.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        "it must be a network or an address, as in 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7"
            .to_owned()
    })?;
    if network != network.trunc() {
        return Err(format!(
            "it has bits behind its prefix: `{}` for the network, `{}` for the address alone",
            network.trunc(),
            network.addr()
        ));
    }
    Ok(network)
}

/// Parses `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it must be NAME=VALUE".to_owned()),
    }
}

/// Parses `NAME=VALUE`, or `NAME=@FILE` for the content of a file. `@@` at the beginning of a value
/// stands for `@`.
pub(super) fn configured(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    let value = match value.strip_prefix('@') {
        None => value,
        Some(literal) if literal.starts_with('@') => literal.to_owned(),
        Some("") => {
            return Err("the path of a file must follow `@`; a value of `@` is `@@`".to_owned());
        }
        Some(file) => text_of(file).map_err(|error| format!("{file}: {error}"))?,
    };
    Ok((name, value))
}

/// Returns the content of a file, without its last line end.
fn text_of(file: &str) -> Result<String, String> {
    let read = file::read_or_pipe(Path::new(file), CONFIG_FILE_BYTES_MAX, CONFIG_PIPE_TIME_MAX);
    let bytes = read.map_err(|error| match error {
        ReadError::TooLarge { .. } => {
            format!("it is larger than {} KiB", CONFIG_FILE_BYTES_MAX >> 10)
        }
        ReadError::Io(error) => error.to_string(),
    })?;
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Parses `NAME=CERT,KEY`.
pub(super) fn identity(text: &str) -> Result<(String, TlsFiles), String> {
    let wrong = || "it must be NAME=CERT,KEY, with two PEM files".to_owned();
    let (name, files) = pair(text).map_err(|_| wrong())?;
    match files.split_once(',') {
        Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => Ok((
            name,
            TlsFiles {
                certificate: certificate.into(),
                key: key.into(),
            },
        )),
        _ => Err(wrong()),
    }
}

/// Parses `NAME: VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("it must be `NAME: VALUE`".to_owned()),
    }
}

/// Parses `NAME=FILE`, where the name must be a token like a subprotocol (RFC 6455, 4.1).
pub(super) fn protocol(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = pair(text).map_err(|_| "it must be NAME=FILE".to_owned())?;
    let is_token = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    if !is_token {
        return Err(format!(
            "`{name}` cannot be a subprotocol: letters, digits and !#$%&'*+-.^_`|~ only"
        ));
    }
    if file.is_empty() {
        return Err("it must be NAME=FILE".to_owned());
    }
    Ok((name, PathBuf::from(file)))
}

/// Parses a scope, for all handlers or for the one that is named: `worker`, `chat=shared`.
pub(super) fn scope(text: &str) -> Result<(Option<String>, Scope), String> {
    let (name, scope) = match text.split_once('=') {
        Some((name, scope)) => (Some(name.to_owned()), scope),
        None => (None, text),
    };
    let scope = match scope {
        "shared" => Scope::Shared,
        "worker" => Scope::Worker,
        "connection" => Scope::Connection,
        other => {
            return Err(format!(
                "`{other}` is no scope: there are shared, worker and connection; for one handler NAME=SCOPE"
            ));
        }
    };
    Ok((name, scope))
}

/// The most bytes of a file of `--config`.
const CONFIG_FILE_BYTES_MAX: u64 = 64 * 1024;
/// The time limit for a pipe instead of the file to end.
const CONFIG_PIPE_TIME_MAX: Duration = Duration::from_secs(10);

const DURATION_MAX: Duration = Duration::from_secs(8_760 * 3_600);

fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("64KiB"), Ok(65_536));
        assert_eq!(bytes("4096"), Ok(4_096));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert_eq!(bytes("1 MB"), Ok(1_000_000));
        for wrong in [
            "",
            "KiB",
            "-1",
            "1.5MiB",
            "3 parsecs",
            "0",
            "99999999999GiB",
        ] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn configured_values_may_be_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let read = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            configured(&format!("key=@{}", file.display())).map(|(_, value)| value)
        };
        for (bytes, value) in [
            ("", ""),
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("two\nlines\n\n", "two\nlines\n"),
            (" @grüße ", " @grüße "),
        ] {
            assert_eq!(read(bytes.as_bytes()).as_deref(), Ok(value));
        }
        assert_eq!(read(&vec![b'x'; 65_536]).unwrap().len(), 65_536);
        assert!(read(&vec![b'x'; 65_537]).unwrap_err().contains("64 KiB"));
        assert!(read(&[0xff]).unwrap_err().contains("not UTF-8"));
        for (text, value) in [("k=@@", "@"), ("k=@@x", "@x"), ("k=x@y", "x@y"), ("k=", "")] {
            assert_eq!(configured(text).unwrap().1, value);
        }
        for wrong in ["k=@", "k=@/nowhere", "k=@/", "@file", "=@file"] {
            assert!(configured(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_need_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["10", "s", "0s", "1d", "99999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn listen_addresses_are_ip_and_port_or_a_path() {
        assert_eq!(listen("unix:/run/x"), Ok(Listen::Unix("/run/x".into())));
        assert!(matches!(listen("[::1]:0"), Ok(Listen::Tcp(_))));
        for wrong in ["9000", "localhost:9000", "unix:", "127.0.0.1"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_are_ip_and_port() {
        assert!(address("127.0.0.1:9100").is_ok() && address("[::1]:0").is_ok());
        assert!(address("9100").unwrap_err().contains("127.0.0.1:9100"));
        assert!(address("9200").unwrap_err().contains("127.0.0.1:9200"));
        for wrong in ["", "localhost:9100", "127.0.0.1", ":9100"] {
            assert!(
                address(wrong).unwrap_err().contains("127.0.0.1:9100"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn networks_have_no_bits_behind_their_prefix() {
        for right in ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0", "::1/128"] {
            assert_eq!(network(right).unwrap().to_string(), right);
        }
        assert_eq!(network("192.0.2.7").unwrap().to_string(), "192.0.2.7/32");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("10.1.0.0/8").unwrap_err().contains("10.0.0.0/8"));
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "localhost",
            "::/129",
            "10.0.0.0/",
        ] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn protocol_names_are_tokens() {
        assert_eq!(
            protocol("chat.v1=a.wasm"),
            Ok(("chat.v1".to_owned(), "a.wasm".into()))
        );
        for wrong in ["chat", "=a.wasm", "a b=c.wasm", "a,b=c", "a="] {
            assert!(protocol(wrong).is_err(), "{wrong}");
        }
    }
}
