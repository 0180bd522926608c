//! A new process takes the listeners over from an old one, and nobody is refused.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wsrun_tests::frame::Frame;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Server, run};
use wsrun_tests::wait::PATIENCE;

#[test]
fn new_process_accepts_while_the_old_one_drains_and_no_connection_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let mut old = Server::of(handlers::probe())
        .args([
            "--workers",
            "3",
            "--drain-window",
            "1s",
            "--drain-code",
            "1012",
        ])
        .arg("--admin")
        .arg(&admin)
        .start();
    let address = old.address();
    let mut peers: Vec<_> = (0..50).map(|_| old.open()).collect();
    assert!(peers[0].ask("id").parse::<u64>().is_ok());
    let done = AtomicBool::new(false);
    let (mut new, asked) = std::thread::scope(|scope| {
        // The whole time, one connection after the other: every one of them is upgraded and answered.
        let knocking: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = 0;
                    while !done.load(Ordering::Relaxed) {
                        let stream = TcpStream::connect(address);
                        drop(stream.expect("somebody listens"));
                        let mut peer = Peer::tcp(address);
                        peer.upgrade(&Request::upgrade("/"));
                        asked += 1;
                        drop(peer);
                    }
                    asked
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let new = Server::of(handlers::echo())
            .args(["--workers", "2"])
            .arg("--take-over")
            .arg(&admin)
            .arg("--admin")
            .arg(&admin)
            .start();
        for peer in &mut peers {
            peer.expect_close(1012);
            peer.send(&Frame::close(1012, ""));
            peer.expect_end();
        }
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
        let asked: usize = knocking
            .into_iter()
            .map(|thread| thread.join().expect("nobody was refused"))
            .sum();
        (new, asked)
    });
    assert!(asked > 20, "{asked} connections");
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    // The same address, another process and another handler.
    assert_eq!(new.address(), address);
    let mut peer = new.open();
    assert_eq!(peer.ask("id"), "id");
    let socket = admin.display().to_string();
    let status = run(["ctl", "--admin", &socket, "status"]);
    assert!(
        status.stdout.contains(&format!("pid {}", new.id())),
        "{}",
        status.stdout
    );
    new.lives();
}

#[test]
fn process_that_does_not_start_takes_nothing_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let broken = folder.path().join("broken.wasm");
    std::fs::write(&broken, b"not wasm").expect("the folder can be written");
    let mut old = Server::of(handlers::echo())
        .arg("--admin")
        .arg(&admin)
        .start();
    let mut peer = old.open();
    let socket = admin.display().to_string();
    let broken = broken.display().to_string();
    let ended = run([broken.as_str(), "--take-over", &socket, "--admin", &socket]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert_eq!(peer.ask("still"), "still");
    old.lives();
    let status = run(["ctl", "--admin", &socket, "status"]);
    assert!(
        status.stdout.contains(&format!("pid {}", old.id())),
        "{}",
        status.stdout
    );
}

#[test]
fn unix_socket_goes_over_with_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let path = folder.path().join("wsrun.sock");
    let mut old = Server::of(handlers::probe())
        .listen(&format!("unix:{}", path.display()))
        .arg("--admin")
        .arg(&admin)
        .start();
    // The same file by another path.
    let elsewhere = folder.path().join(".").join("admin");
    let mut new = Server::of(handlers::echo())
        .arg("--take-over")
        .arg(&admin)
        .arg("--admin")
        .arg(&elsewhere)
        .start();
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("id"), "id");
    peer.close();
    new.terminate();
    assert_eq!(new.wait(PATIENCE).code(), Some(0));
    assert!(!path.exists(), "its file goes with the last server");
}

#[test]
fn take_over_from_nobody_is_an_error() {
    let echo = handlers::echo().display().to_string();
    let ended = run([echo.as_str(), "--take-over", "/nowhere/admin"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("no server answers there"),
        "{}",
        ended.stderr
    );
}
