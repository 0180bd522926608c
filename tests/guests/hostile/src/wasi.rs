//! What WASI must not do for it.

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

pub(crate) fn sleep(time: Duration) -> String {
    std::thread::sleep(time);
    "sleeping".to_owned()
}

pub(crate) fn sleep_without_time() -> ! {
    loop {
        std::thread::sleep(Duration::ZERO);
    }
}

/// The number of things that it was given.
pub(crate) fn ask_for_everything() -> String {
    let given = [
        File::open("/etc/passwd").is_ok(),
        File::open(".").is_ok(),
        File::create("/tmp/hostile").is_ok(),
        std::fs::read_dir("/").is_ok(),
        TcpStream::connect("127.0.0.1:80").is_ok(),
        TcpListener::bind("127.0.0.1:0").is_ok(),
        UdpSocket::bind("127.0.0.1:0").is_ok(),
        std::env::vars_os().next().is_some(),
        std::env::args_os().nth(1).is_some(),
        std::io::stdin().lines().next().is_some(),
    ];
    let given = given.into_iter().filter(|given| *given).count();
    format!("things that it was given: {given}")
}
