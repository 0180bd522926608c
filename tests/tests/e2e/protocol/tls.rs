//! TLS: what is served, what a bad handshake costs, and certificates that change.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::neighbour::Neighbour;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Builder, Server};
use wsrun_tests::usage::MIB;
use wsrun_tests::wait;

fn tls_server(certificate: &Certificate) -> Builder {
    Server::of(handlers::echo())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
}

#[track_caller]
fn open(server: &Server, certificate: &Certificate) -> Peer {
    let mut peer = Peer::tls(server.address(), certificate.trusting_client())
        .expect("the TLS handshake succeeds");
    peer.upgrade(&Request::upgrade("/"));
    peer
}

#[test]
fn handler_echoes_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate).start();
    assert!(server.url(0).starts_with("wss://"), "{}", server.url(0));
    let mut peer = open(&server, &certificate);
    assert_eq!(peer.ask("privately"), "privately");
    let large = vec![7; 300_000];
    peer.send_binary(&large);
    assert!(peer.read_frame().payload == large);
    peer.close();
}

#[test]
fn server_serves_the_new_certificate_after_sighup_and_keeps_old_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Certificate::write_to(folder.path());
    let server = tls_server(&old).start();
    let mut kept = open(&server, &old);
    assert_eq!(kept.server_certificate(), old.der());

    let new = Certificate::write_to(folder.path());
    server.signal(Signal::HUP);
    serves(&server, &new);
    assert_eq!(kept.ask("still open"), "still open");
    kept.close();
}

#[test]
fn server_serves_the_new_certificate_after_the_file_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Certificate::write_to(folder.path());
    let server = tls_server(&old).start();
    let mut kept = open(&server, &old);

    let new = Certificate::write_to(folder.path());
    serves(&server, &new);
    assert_eq!(kept.ask("still open"), "still open");
    kept.close();
}

#[test]
fn server_serves_the_new_certificate_after_a_link_on_its_way_was_turned() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let [old, new] = ["1", "2"].map(|name| {
        std::fs::create_dir(at(name)).expect("the folder can be written");
        Certificate::write_to(&at(name))
    });
    let turn = |to: &str| {
        symlink(to, at("new")).expect("the folder can be written");
        std::fs::rename(at("new"), at("live")).expect("the folder can be written");
    };
    turn("1");
    // In a folder in which nothing changes.
    std::fs::create_dir(at("by")).expect("the folder can be written");
    symlink("../live", at("by").join("current")).expect("the folder can be written");
    let file = |path: &Path| {
        let name = path.file_name().expect("it has a name");
        at("by").join("current").join(name)
    };
    let server = Server::of(handlers::echo())
        .arg("--tls-cert")
        .arg(file(&old.certificate_file))
        .arg("--tls-key")
        .arg(file(&old.key_file))
        .start();
    serves(&server, &old);
    turn("2");
    serves(&server, &new);
}

#[test]
fn server_keeps_the_old_certificate_when_the_new_one_is_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate).start();
    std::fs::write(&certificate.certificate_file, "not a certificate")
        .expect("the folder can be written");
    server.signal(Signal::HUP);
    server.expect_log("cert.pem");
    let mut peer = open(&server, &certificate);
    assert_eq!(peer.ask("with the old one"), "with the old one");
    peer.close();
}

#[track_caller]
fn serves(server: &Server, certificate: &Certificate) {
    wait::until("the new certificate is served", || {
        Peer::tls(server.address(), certificate.trusting_client())
            .is_ok_and(|peer| peer.server_certificate() == certificate.der())
    });
    let mut peer = open(server, certificate);
    assert_eq!(peer.ask("with the new one"), "with the new one");
}

#[test]
fn command_refuses_tls_files_that_are_no_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let other_folder = tempfile::tempdir().expect("a folder");
    let other = Certificate::write_to(other_folder.path());
    let missing = folder.path().join("missing.pem");
    let handler = handlers::echo();
    for (cert, key, named) in [
        (&missing, &certificate.key_file, "missing.pem"),
        (&certificate.certificate_file, &missing, "missing.pem"),
        (&certificate.key_file, &certificate.key_file, "key.pem"),
        (
            &certificate.certificate_file,
            &certificate.certificate_file,
            "cert.pem",
        ),
        (&certificate.certificate_file, &other.key_file, "key"),
    ] {
        let ended = server::run([
            handler.as_os_str(),
            "--listen".as_ref(),
            "127.0.0.1:0".as_ref(),
            "--tls-cert".as_ref(),
            cert.as_os_str(),
            "--tls-key".as_ref(),
            key.as_os_str(),
        ]);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(named), "{ended:?}");
    }
    let ended = server::run([
        handler.as_os_str(),
        "--tls-cert".as_ref(),
        certificate.certificate_file.as_os_str(),
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("--tls-key"), "{ended:?}");
}

#[test]
fn server_takes_a_client_hello_of_one_byte_segments() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate).start();
    let neighbour = neighbour(&server, &certificate);
    let name = "localhost".try_into().expect("localhost is a name");
    let mut connection =
        rustls::ClientConnection::new(certificate.trusting_client(), name).expect("a client");
    let mut socket = TcpStream::connect(server.address()).expect("the server accepts");
    socket.set_nodelay(true).expect("TCP_NODELAY can be set");
    socket
        .set_read_timeout(Some(wait::PATIENCE))
        .expect("a timeout can be set");
    while connection.is_handshaking() {
        let mut wire = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut wire).expect("memory takes all");
        }
        for byte in wire {
            socket.write_all(&[byte]).expect("the server reads");
        }
        if connection.is_handshaking() {
            connection
                .read_tls(&mut socket)
                .expect("the server answers");
            connection
                .process_new_packets()
                .expect("the server speaks TLS");
        }
    }
    neighbour.is_unharmed();
}

#[test]
fn server_takes_a_client_hello_of_one_byte_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate).start();
    let neighbour = neighbour(&server, &certificate);
    let hello = client_hello(&certificate);
    let mut socket = TcpStream::connect(server.address()).expect("the server accepts");
    socket
        .set_read_timeout(Some(wait::PATIENCE))
        .expect("a timeout can be set");
    let mut wire = Vec::new();
    for byte in &hello[5..] {
        wire.extend([0x16, 3, 1, 0, 1, *byte]);
    }
    socket.write_all(&wire).expect("the server reads");
    // Either answer is right: a handshake (0x16) or an alert (0x15). A crash or a hang is not.
    let mut first = [0];
    socket.read_exact(&mut first).expect("the server answers");
    assert!([0x15, 0x16].contains(&first[0]), "{first:?}");
    neighbour.is_unharmed();
}

#[test]
fn server_survives_a_close_notify_and_garbage_at_every_step_of_the_tls_handshake() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate).start();
    let neighbour = neighbour(&server, &certificate);
    let hello = client_hello(&certificate);
    let close_notify = [0x15, 3, 3, 0, 2, 1, 0];
    let garbage = [0x16, 3, 1, 0xff, 0xff, 1, 2, 3];
    let plain = Request::upgrade("/").encode();
    for end in [&close_notify[..], &garbage, &plain] {
        for length in [0, 1, 5, 6, hello.len() / 2, hello.len() - 1, hello.len()] {
            let mut socket = TcpStream::connect(server.address()).expect("the server accepts");
            socket
                .set_read_timeout(Some(wait::PATIENCE))
                .expect("a timeout can be set");
            // A server that has enough of it may end the transport before all of it is written.
            let _ = socket
                .write_all(&hello[..length])
                .and_then(|()| socket.write_all(end));
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let ended = socket.read_to_end(&mut answer);
            let in_time = ended.as_ref().map_or_else(
                |error| error.kind() == std::io::ErrorKind::ConnectionReset,
                |_| true,
            );
            assert!(
                in_time,
                "{ended:?} after {length} bytes of hello and {end:?}"
            );
        }
    }
    neighbour.is_unharmed();
}

#[test]
fn server_drops_half_open_tls_handshakes_at_the_deadline_while_it_serves_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate)
        .args(["--handshake-timeout", "1s"])
        .start();
    let neighbour = neighbour(&server, &certificate);
    let files = server.usage().open_files();
    let resident = server.usage().resident_bytes();
    let hello = client_hello(&certificate);
    let mut sockets: Vec<TcpStream> = (0..1_000)
        .map(|number| {
            let mut socket = TcpStream::connect(server.address()).expect("the server accepts");
            socket
                .write_all(&hello[..number % hello.len()])
                .expect("the server reads");
            socket
        })
        .collect();
    neighbour.lives();
    let grown = server.usage().resident_bytes().saturating_sub(resident);
    assert!(
        grown < 64 * MIB,
        "1,000 half-open handshakes hold {} MiB",
        grown / MIB
    );
    for socket in &mut sockets {
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout can be set");
        let ended = socket.read_to_end(&mut Vec::new());
        assert!(
            !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "a half-open handshake was kept"
        );
    }
    wait::until("every descriptor is given back", || {
        server.usage().open_files() <= files + 1
    });
    neighbour.is_unharmed();
}

#[track_caller]
fn neighbour(server: &Server, certificate: &Certificate) -> Neighbour {
    Neighbour::on(open(server, certificate), "", "")
}

fn client_hello(certificate: &Certificate) -> Vec<u8> {
    let name = "localhost".try_into().expect("localhost is a name");
    let mut connection =
        rustls::ClientConnection::new(certificate.trusting_client(), name).expect("a client");
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).expect("memory takes all");
    hello
}

/// A hello of TLS 1.2 or 1.3 for a server with this name, whatever it is.
fn hello(name: &[u8]) -> Vec<u8> {
    let prefixed = |bytes: &[u8]| {
        let length = u16::try_from(bytes.len()).expect("it is short");
        [&length.to_be_bytes(), bytes].concat()
    };
    let names = prefixed(&[&[0], &*prefixed(name)].concat());
    let extension = [&[0, 0], &*prefixed(&names)].concat();
    let body = [
        &[3, 3],
        &[7; 32][..],
        &[0],
        &prefixed(&[0x13, 0x01, 0xc0, 0x2f]),
        &[1, 0],
        &prefixed(&extension),
    ]
    .concat();
    let length = u32::try_from(body.len()).expect("it is short");
    let message = [&[1], &length.to_be_bytes()[1..], &body].concat();
    [&[22, 3, 1], &*prefixed(&message)].concat()
}

/// Neither payloads nor header values are logged, and a peer cannot fill the log.
#[test]
fn what_a_bad_hello_says_does_not_reach_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = tls_server(&certificate)
        .args(["--log-level", "debug"])
        .start();
    let name = b"the secret of a peer ".repeat(600);
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address()).expect("it listens");
        stream.write_all(&hello(&name)).expect("it reads");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.is_empty(), "it says what it thinks of this");
    }
    wait::until("its end is told", || {
        server.log().matches("TLS handshake failed").count() == 50
    });
    let log = server.log();
    assert!(!log.contains("the secret of a peer"), "{log}");
    // At the level that servers have, there is nothing.
    let told = log.lines().filter(|line| !line.contains("DEBUG")).count();
    assert!(told < 10, "{log}");
}
