//! Who may connect by address: lists of the operator, and the handler's own filter. The peers are all of 127.0.0.0/8.

use std::net::{IpAddr, Ipv4Addr};

use wsrun_tests::certificate::Certificate;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Builder, Server};

/// A peer whose address ends in this number, connected and silent.
#[track_caller]
fn silent(server: &Server, last: u8) -> Peer {
    Peer::tcp_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), server.address())
}

/// A silent peer is cut off at once: the server waits for nothing of it.
#[track_caller]
fn refused(server: &Server, last: u8) {
    silent(server, last).expect_end();
}

#[track_caller]
fn accepted(server: &Server, last: u8) -> Peer {
    let mut peer = silent(server, last);
    peer.upgrade(&Request::upgrade("/"));
    peer
}

/// Whoever is not refused has all the time in the world to say something.
fn patient(handler: &str) -> Builder {
    Server::of(handlers::built(handler)).args(["--handshake-timeout", "1h"])
}

#[test]
fn seed_25_denied_network_is_cut_off_before_anything_is_read() {
    let server = patient("echo")
        .args(["--deny-from", "127.0.0.3", "--deny-from", "127.0.1.0/24"])
        .args(["--log-level", "debug"])
        .start();
    refused(&server, 3);
    server.expect_log("connection refused: --allow-from, --deny-from");
    assert_eq!(accepted(&server, 2).ask("hello"), "hello");
    assert_eq!(accepted(&server, 1).ask("hello"), "hello");
}

#[test]
fn seed_25_allowed_networks_are_the_only_ones_and_deny_wins() {
    let server = patient("echo")
        .args(["--allow-from", "127.0.0.0/30", "--allow-from", "::1"])
        .args(["--deny-from", "127.0.0.3"])
        .start();
    assert_eq!(accepted(&server, 2).ask("hello"), "hello");
    refused(&server, 3);
    refused(&server, 5);
}

#[test]
fn seed_25_denied_network_does_not_reach_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = patient("echo")
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .args(["--deny-from", "127.0.0.3"])
        .start();
    refused(&server, 3);
    let mut peer =
        Peer::tls(server.address(), certificate.trusting_client()).expect("TLS is spoken");
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("hello"), "hello");
}

#[test]
fn seed_25_denied_network_takes_no_connection_of_others() {
    let server = patient("echo")
        .args(["--deny-from", "127.0.0.3", "--max-connections", "1"])
        .start();
    let mut open = accepted(&server, 2);
    // Not even the answer that the server is full.
    refused(&server, 3);
    assert_eq!(open.ask("hello"), "hello");
}

#[test]
fn seed_25_unix_sockets_are_not_concerned_by_the_lists() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let _server = Server::of(handlers::echo())
        .listen(&format!("unix:{}", path.display()))
        .args(["--allow-from", "192.0.2.0/24"])
        .start();
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("hello"), "hello");
}

/// A socket of IPv6 that takes IPv4 as well, as service managers make them.
const DUAL_STACK: &str = r#"
import os, socket, sys
made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
made.bind(("::", 0))
made.listen()
if made.fileno() != 3:
    os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = "1", str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"#;

#[test]
fn seed_25_ipv4_peer_of_an_ipv6_socket_is_judged_as_ipv4() {
    for (handler, arguments) in [("echo", &["--deny-from", "127.0.0.3"][..]), ("filter", &[])] {
        let server = patient(handler)
            .launched_by(["python3", "-c", DUAL_STACK])
            .inherits(1)
            .args(arguments)
            .start();
        let port = server.address().port();
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let from = |last| Peer::tcp_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), address);
        from(3).expect_end();
        from(2).upgrade(&Request::upgrade("/"));
    }
}

#[test]
fn seed_25_handler_decides_by_address_before_anything_is_read() {
    let server = patient("filter").args(["--log-level", "debug"]).start();
    refused(&server, 3);
    server.expect_log("connection refused: network-filter");
    assert_eq!(accepted(&server, 2).ask("yes"), "ok");
}

#[test]
fn seed_25_handler_that_fails_to_decide_lets_nobody_in_and_others_go_on() {
    let server = patient("filter").start();
    let mut neighbour = accepted(&server, 2);
    refused(&server, 4);
    assert_eq!(neighbour.ask("yes"), "ok");
    assert_eq!(accepted(&server, 2).ask("yes"), "ok");
}

#[test]
fn seed_25_handler_is_asked_about_unix_sockets_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let _server = Server::of(handlers::built("filter"))
        .listen(&format!("unix:{}", path.display()))
        .start();
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("yes"), "ok");
}

#[test]
fn seed_25_only_the_default_handler_is_asked() {
    let named = format!("filter={}", handlers::built("filter").display());
    let server = patient("echo").args(["--protocol", &named]).start();
    assert_eq!(accepted(&server, 3).ask("hello"), "hello");
}

#[test]
fn peer_that_a_full_server_has_not_asked_about_hears_nothing() {
    let server = patient("filter").args(["--max-connections", "1"]).start();
    let mut open = accepted(&server, 2);
    refused(&server, 3);
    refused(&server, 2);
    assert_eq!(open.ask("yes"), "ok");
}

#[test]
fn networks_that_are_none_are_told() {
    for (wrong, word) in [
        ("10.0.0.0/33", "10.0.0.0/8"),
        ("localhost", "192.0.2.7"),
        ("10.1.0.0/8", "10.0.0.0/8"),
    ] {
        for flag in ["--allow-from", "--deny-from"] {
            let ended = server::run(["echo.wasm", flag, wrong]);
            assert_eq!(ended.code, Some(2), "{ended:?}");
            assert!(
                ended.stderr.contains(word) && ended.stderr.contains(flag),
                "{ended:?}"
            );
        }
    }
}
