//! What WASI grants, as seen through the standard library.

use std::collections::hash_map::RandomState;
use std::fmt::Display;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Read;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime};

pub(crate) fn sleep(duration: Duration) -> String {
    let start = Instant::now();
    std::thread::sleep(duration);
    format!("slept {}", start.elapsed().as_millis())
}

pub(crate) fn print(text: &str) -> String {
    println!("{text}");
    "ok".to_owned()
}

pub(crate) fn eprint(text: &str) -> String {
    eprintln!("{text}");
    "ok".to_owned()
}

pub(crate) fn stdin() -> String {
    let mut bytes = Vec::new();
    outcome(std::io::stdin().read_to_end(&mut bytes))
}

pub(crate) fn open_file(path: &str) -> String {
    let path = if path.is_empty() { "/etc/passwd" } else { path };
    outcome(File::open(path).map(|_| "opened"))
}

pub(crate) fn environment() -> String {
    let variables: Vec<String> = std::env::vars_os()
        .map(|(key, value)| format!("{}={}", key.display(), value.display()))
        .collect();
    format!("{} {}", variables.len(), variables.join(" "))
}

pub(crate) fn arguments() -> String {
    std::env::args_os().len().to_string()
}

pub(crate) fn connect(address: &str) -> String {
    let address = if address.is_empty() {
        "127.0.0.1:80"
    } else {
        address
    };
    outcome(TcpStream::connect(address).map(|_| "connected"))
}

pub(crate) fn resolve(name: &str) -> String {
    let name = if name.is_empty() { "localhost" } else { name };
    outcome(
        (name, 80)
            .to_socket_addrs()
            .map(|addresses| addresses.len()),
    )
}

/// Milliseconds since 1970.
pub(crate) fn clock() -> String {
    outcome(
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map(|since| since.as_millis()),
    )
}

pub(crate) fn random() -> String {
    RandomState::new().build_hasher().finish().to_string()
}

pub(crate) fn exit(code: i32) -> ! {
    std::process::exit(code)
}

fn outcome<T: Display, E: Display>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok {value}"),
        Err(error) => format!("err {error}"),
    }
}
