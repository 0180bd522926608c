//! The end of what there is: file descriptors, connections.

use std::time::{Duration, Instant};

use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::Server;
use wsrun_tests::wait;

#[test]
fn server_out_of_file_descriptors_survives_without_spinning_and_recovers() {
    let mut server = Server::of(handlers::echo()).open_files_max(64).start();
    let neighbour = server.echoing_neighbour();
    let mut peers: Vec<Peer> = (0..200).map(|_| server.connect()).collect();
    // An eighth of a limit this small is kept for the operator.
    server.expect_log("cannot accept connections");
    wait::until("the descriptors are used up", || {
        server.usage().open_files() >= 52
    });
    neighbour.lives();
    // Connections beyond the limit wait in the backlog.
    let (cpu, logged, began) = (server.usage().cpu(), server.logged_bytes(), Instant::now());
    wait::until("two seconds have passed", || {
        began.elapsed() > Duration::from_secs(2)
    });
    let (cpu, logged) = (server.usage().cpu() - cpu, server.logged_bytes() - logged);
    // The neighbour echoes 200 times a second besides.
    assert!(cpu <= Duration::from_secs(1), "{cpu:?} of two seconds");
    assert!(
        logged <= 20_000,
        "{logged} bytes of log in two seconds:\n{}",
        server.log()
    );
    neighbour.lives();

    let mut last = peers.pop().expect("there are many");
    drop(peers);
    let freed = Instant::now();
    last.upgrade(&Request::upgrade("/"));
    assert_eq!(last.ask("recovered"), "recovered");
    assert!(
        freed.elapsed() < Duration::from_secs(5),
        "{:?}",
        freed.elapsed()
    );
    server.lives();
    neighbour.is_unharmed();
}

#[test]
fn connection_beyond_the_limit_is_answered_503_and_lets_nobody_down() {
    let server = Server::of(handlers::echo())
        .args(["--max-connections", "5"])
        .start();
    let neighbour = server.echoing_neighbour();
    let files = server.usage().open_files();
    let mut peers: Vec<Peer> = (0..4).map(|_| server.open()).collect();
    for _ in 0..100 {
        let mut peer = server.connect();
        let _ = peer.try_send_bytes(&Request::upgrade("/").encode());
        let response = peer.read_response();
        assert_eq!(response.status, 503, "{response:?}");
        assert!(response.header("retry-after").is_some(), "{response:?}");
        assert!(!response.body.is_empty());
        peer.read_to_end();
    }
    wait::until("their descriptors are given back", || {
        server.usage().open_files() <= files + 4
    });
    peers.pop().expect("there are four").close();
    wait::until("there is room again", || {
        let mut peer = server.connect();
        peer.request(&Request::upgrade("/")).status == 101 && peer.ask("in") == "in"
    });
    neighbour.is_unharmed();
}
