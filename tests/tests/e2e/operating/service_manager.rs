//! Listeners that a service manager hands over, and what it is told, with a manager of a few lines in its place.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Builder, Server};
use wsrun_tests::wait;

/// Binds what its arguments up to `--` say, as file descriptors from 3 on, and becomes the program after them. `LISTEN_PID` is the process
/// unless a first argument says otherwise.
const MANAGER: &str = r#"
import os, socket, sys
end = sys.argv.index("--")
kinds, command = sys.argv[1:end], sys.argv[end + 1:]
pid, sockets = str(os.getpid()), []
for kind in kinds:
    kind, _, where = kind.partition(":")
    if kind == "pid":
        pid = where
        continue
    if kind == "tcp":
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.bind(("127.0.0.1", 0))
        made.listen()
    elif kind == "unix":
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.bind(where)
        made.listen()
    elif kind == "udp":
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elif kind == "unconnected":
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sockets.append(made)
# Out of the way of what is handed over.
high = [os.dup2(made.fileno(), 100 + n) for n, made in enumerate(sockets)]
for made in sockets:
    made.close()
for n, fd in enumerate(high):
    os.dup2(fd, 3 + n)
    os.close(fd)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(len(sockets)), pid
os.execv(command[0], command)
"#;

fn manager<'a>(handed: &[&'a str]) -> Vec<&'a str> {
    [&["python3", "-c", MANAGER], handed, &["--"]].concat()
}

fn activated(handed: &[&str]) -> Builder {
    Server::of(handlers::echo())
        .launched_by(manager(handed))
        .inherits(handed.len())
}

#[test]
fn inherited_tcp_listener_is_served_by_every_worker() {
    for workers in ["1", "3"] {
        let mut server = activated(&["tcp"]).args(["--workers", workers]).start();
        let mut peers: Vec<_> = (0..20).map(|_| server.open()).collect();
        for peer in &mut peers {
            assert_eq!(peer.ask("hello"), "hello");
        }
        server.terminate();
        for peer in &mut peers {
            peer.expect_close(1001);
        }
        drop(peers);
        assert!(server.wait(wait::PATIENCE).success());
    }
}

#[test]
fn several_inherited_listeners_are_served_in_their_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let unix = format!("unix:{}", path.display());
    let mut server = activated(&["tcp", &unix, "tcp"]).start();
    assert_eq!(server.url(1), format!("ws+unix:{}", path.display()));
    for mut peer in [
        Peer::tcp(server.address_of(0)),
        Peer::unix(&path),
        Peer::tcp(server.address_of(2)),
    ] {
        peer.upgrade(&Request::upgrade("/"));
        assert_eq!(peer.ask("hello"), "hello");
    }
    server.terminate();
    assert!(server.wait(wait::PATIENCE).success());
    assert!(path.exists(), "the file is the service manager's");
}

#[test]
fn listeners_of_another_process_are_not_taken() {
    let server = Server::of(handlers::echo())
        .launched_by(manager(&["pid:1", "tcp"]))
        .start();
    assert_eq!(server.open().ask("hello"), "hello");
}

#[test]
fn what_cannot_be_served_is_told() {
    for (handed, word) in [("udp", "stream listener"), ("unconnected", "not listening")] {
        let launcher = manager(&[handed]);
        let mut command = Command::new(launcher[0]);
        command
            .args(&launcher[1..])
            .arg(server::binary())
            .arg(handlers::echo())
            .arg("--cache-dir")
            .arg(server::kept_folder("cache"));
        if server::is_root() {
            command.arg("--allow-root");
        }
        let ended = server::run_command(&mut command, "", true);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(word), "{ended:?}");
    }
}

/// The socket that `NOTIFY_SOCKET` names.
struct Notified(UnixDatagram);

impl Notified {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("the folder can be written");
        socket
            .set_read_timeout(Some(wait::PATIENCE))
            .expect("a timeout");
        Self(socket)
    }

    #[track_caller]
    fn next(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let length = self.0.recv(&mut buffer).expect("the manager is told");
        let text = std::str::from_utf8(&buffer[..length]).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    /// Whether nothing was told that was not asked for.
    fn is_empty(&self) -> bool {
        self.0.set_nonblocking(true).expect("a socket");
        let empty = self.0.recv(&mut [0; 1]);
        self.0.set_nonblocking(false).expect("a socket");
        empty.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

#[test]
fn service_manager_is_told_when_it_serves_reads_again_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = Notified::at(&path);
    let mut server = Server::of(handlers::echo())
        .env("NOTIFY_SOCKET", &path)
        .start();
    let ready = [
        "READY=1".to_owned(),
        format!("STATUS=serving on {}", server.url(0)),
    ];
    assert_eq!(manager.next(), ready);
    let mut peer = server.open();

    server.signal(Signal::HUP);
    let reloading = manager.next();
    assert_eq!(reloading[0], "RELOADING=1");
    assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    assert_eq!(manager.next(), ready);
    assert_eq!(peer.ask("still there"), "still there");

    server.terminate();
    assert_eq!(manager.next()[0], "STOPPING=1");
    drop(peer);
    assert!(server.wait(wait::PATIENCE).success());
    assert!(manager.is_empty());
}

#[test]
fn service_manager_is_told_of_a_certificate_that_was_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = Notified::at(&path);
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::echo())
        .env("NOTIFY_SOCKET", &path)
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    assert_eq!(manager.next()[0], "READY=1");
    std::fs::write(&certificate.key_file, "no key").expect("the folder can be written");
    server.signal(Signal::HUP);
    assert_eq!(manager.next()[0], "RELOADING=1");
    let ready = manager.next();
    assert_eq!(ready[0], "READY=1");
    assert!(ready[1].contains("certificate not replaced"), "{ready:?}");
}

#[test]
fn service_manager_hears_nothing_from_a_server_that_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let manager = Notified::at(&path);
    let mut command = Command::new(server::binary());
    command
        .args(["/nowhere.wasm", "--allow-root", "--no-cache"])
        .env("NOTIFY_SOCKET", &path);
    let ended = server::run_command(&mut command, "", true);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(manager.is_empty());
}
