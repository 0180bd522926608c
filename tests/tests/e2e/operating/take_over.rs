//! A new process takes the listeners over from an old one, and nobody is refused.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wsrun_tests::frame::Frame;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Server, binary, is_root, run, run_command};
use wsrun_tests::wait::{self, PATIENCE};

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
    wait::until("the new one answers at the same path", || {
        let status = run(["ctl", "--admin", &socket, "status"]);
        status.stdout.contains(&format!("pid {}", new.id()))
    });
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

/// Says something on an admin socket and reads the line of the answer.
fn says(stream: &mut UnixStream, request: &str) -> String {
    writeln!(stream, "{request}").expect("it reads");
    let mut answer = String::new();
    let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
    reader.read_line(&mut answer).expect("it answers");
    answer
}

#[test]
fn one_process_takes_over_and_another_is_refused_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let socket = admin.display().to_string();
    let mut old = Server::of(handlers::echo())
        .arg("--admin")
        .arg(&admin)
        .start();
    // A process that has the listeners and does not serve yet: this test.
    let mut first = UnixStream::connect(&admin).expect("it listens");
    let answer = says(&mut first, r#"{"verb":"take-over"}"#);
    assert!(answer.contains("listeners"), "{answer}");
    let echo = handlers::echo().display().to_string();
    let second = run([echo.as_str(), "--take-over", &socket, "--admin", &socket]);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    let pid = std::process::id();
    assert!(
        second.stderr.contains(&format!(
            "another server (pid {pid}) is taking over already"
        )),
        "{}",
        second.stderr
    );
    let drained = run(["ctl", "--admin", &socket, "drain", "--wait"]);
    assert_eq!(drained.code, Some(1), "{}", drained.stdout);
    assert!(
        drained
            .stderr
            .contains(&format!("another server (pid {pid}) is taking over")),
        "{}",
        drained.stderr
    );
    old.lives();
    assert_eq!(old.open().ask("still"), "still");
    // It ends before it has served: another may.
    drop(first);
    let third = Server::of(handlers::echo())
        .arg("--take-over")
        .arg(&admin)
        .arg("--admin")
        .arg(&admin)
        .start();
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    wait::until("the new one answers at the same path", || {
        let status = run(["ctl", "--admin", &socket, "status"]);
        status.stdout.contains(&format!("pid {}", third.id()))
    });
}

#[test]
fn taking_over_begins_with_the_listeners() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let mut server = Server::of(handlers::echo())
        .arg("--admin")
        .arg(&admin)
        .start();
    let mut stream = UnixStream::connect(&admin).expect("it listens");
    let answer = says(&mut stream, r#"{"verb":"taken-over"}"#);
    assert!(answer.contains("nothing was handed over"), "{answer}");
    server.lives();
    assert_eq!(server.open().ask("still"), "still");
}

#[test]
fn end_of_a_drain_is_no_success_while_another_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let socket = admin.display().to_string();
    let mut old = Server::of(handlers::echo())
        .arg("--admin")
        .arg(&admin)
        .start();
    let mut peer = old.open();
    assert_eq!(peer.ask("here"), "here");
    let draining = std::thread::spawn(move || run(["ctl", "--admin", &socket, "drain", "--wait"]));
    peer.expect_close(1001);
    std::fs::remove_file(&admin).expect("it is there");
    let other = Server::of(handlers::echo())
        .arg("--admin")
        .arg(&admin)
        .start();
    peer.send(&Frame::close(1001, ""));
    peer.expect_end();
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    let drained = draining.join().expect("it ends");
    assert_eq!(drained.code, Some(1), "{}", drained.stdout);
    assert!(
        drained
            .stderr
            .contains(&format!("another one (pid {}) answers", other.id())),
        "{}",
        drained.stderr
    );
}

#[test]
fn sighup_before_the_server_starts_does_not_end_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    // A server that is asked and does not answer.
    let listener = UnixListener::bind(&admin).expect("the folder can be written");
    let starting = std::thread::spawn({
        let pid = folder.path().join("pid");
        move || {
            let script = format!("echo $$ > {}; exec \"$0\" \"$@\"", pid.display());
            let mut command = Command::new("sh");
            command
                .args(["-c", &script])
                .arg(binary())
                .arg(handlers::echo());
            command.arg("--take-over").arg(&admin).arg("--allow-root");
            run_command(&mut command, "", true)
        }
    });
    let (stream, _) = listener.accept().expect("it asks");
    let mut request = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut request).expect("it asks");
    let pid = std::fs::read_to_string(folder.path().join("pid")).expect("it was written");
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process"), Signal::HUP).expect("it lives");
    drop(reader);
    let ended = starting.join().expect("it ends");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("--take-over"), "{}", ended.stderr);
}

#[test]
fn idle_http_connection_does_not_hold_the_take_over_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let pages = folder.path().join("pages");
    std::fs::create_dir(&pages).expect("a folder");
    std::fs::write(pages.join("index.html"), "home").expect("it can be written");
    let mut old = Server::of(handlers::echo())
        .arg("--admin")
        .arg(&admin)
        .arg("--static")
        .arg(&pages)
        .start();
    let mut peer = old.open();
    let mut idle = old.connect();
    assert_eq!(idle.request(&Request::get("/")).text(), "home");
    // Whose handshake has begun is waited for, for two seconds.
    let mut opening = old.connect();
    opening.send_bytes(b"GET / HTTP/1.1\r\n");
    let new = Server::of(handlers::echo())
        .arg("--take-over")
        .arg(&admin)
        .arg("--admin")
        .arg(&admin)
        .start();
    idle.expect_end();
    // The old one is not draining yet.
    peer.expect_silence(Duration::from_millis(500));
    opening.send_bytes(b"Host: localhost\r\n\r\n");
    let response = opening.read_response();
    assert_eq!(response.text(), "home");
    assert_eq!(response.header("connection"), Some("close"));
    peer.expect_close(1001);
    peer.send(&Frame::close(1001, ""));
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    assert_eq!(new.open().ask("new"), "new");
}

#[test]
fn signal_while_the_server_before_is_asked_stops_the_new_one_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().expect("a folder");
        let admin = folder.path().join("admin");
        // A server that is asked and does not answer.
        let listener = UnixListener::bind(&admin).expect("the folder can be written");
        let mut command = Command::new(binary());
        command.arg(handlers::echo()).arg("--take-over").arg(&admin);
        if is_root() {
            command.arg("--allow-root");
        }
        let mut starting = command.spawn().expect("the binary can be started");
        let (mut stream, _) = listener.accept().expect("it asks");
        stream.read_exact(&mut [0]).expect("it asks");
        kill_process(Pid::from_child(&starting), signal).expect("it lives");
        // Not asked for any longer, and not told that nobody answered.
        let ended = starting.wait().expect("a child can be waited for");
        assert_eq!(ended.code(), Some(0), "{signal:?}");
    }
}

#[test]
fn socket_files_outlive_a_server_that_is_stopped_while_another_takes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = folder.path().join("admin");
    let path = folder.path().join("wsrun.sock");
    let start = || {
        Server::of(handlers::echo())
            .listen(&format!("unix:{}", path.display()))
            .arg("--admin")
            .arg(&admin)
            .start()
    };
    for signal in [Signal::TERM, Signal::INT] {
        let mut old = start();
        // A process that has the listeners and does not serve yet: this test.
        let mut successor = UnixStream::connect(&admin).expect("it listens");
        let answer = says(&mut successor, r#"{"verb":"take-over","admin":true}"#);
        assert!(answer.contains("listeners"), "{answer}");
        old.signal(signal);
        assert_eq!(old.wait(PATIENCE).code(), Some(0));
        assert!(path.exists() && admin.exists(), "{signal:?}");
    }
    // The next one puts its own in their place, and they are its own when its successor has given up.
    let mut old = start();
    let mut successor = UnixStream::connect(&admin).expect("it listens");
    says(&mut successor, r#"{"verb":"take-over","admin":true}"#);
    drop(successor);
    let socket = admin.display().to_string();
    wait::until("nobody takes over any more", || {
        run(["ctl", "--admin", &socket, "drain"]).code == Some(0)
    });
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    assert!(!path.exists() && !admin.exists());
}

#[test]
fn server_serves_with_its_files_after_the_one_before_was_stopped_too_soon() {
    let folder = tempfile::tempdir().expect("a folder");
    let [admin, path, log, pid] =
        ["admin", "wsrun.sock", "log", "pid"].map(|name| folder.path().join(name));
    let mut old = Server::of(handlers::echo())
        .listen(&format!("unix:{}", path.display()))
        .arg("--admin")
        .arg(&admin)
        .start();
    let script = format!(
        "echo $$ > {}; exec \"$0\" \"$@\" 2> {}",
        pid.display(),
        log.display()
    );
    let logged = |text: &str| std::fs::read_to_string(&log).is_ok_and(|log| log.contains(text));
    let mut new = std::thread::scope(|scope| {
        let new = scope.spawn(|| {
            Server::of(handlers::built("versions"))
                .launched_by(["sh", "-c", &script])
                .arg("--no-cache")
                .arg("--take-over")
                .arg(&admin)
                .arg("--admin")
                .arg(&admin)
                .start()
        });
        wait::until("it has the listeners, and compiles", || {
            logged("another server hands over")
        });
        let pid = std::fs::read_to_string(&pid).expect("it was written");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process");
        kill_process(pid, Signal::STOP).expect("it lives");
        old.terminate();
        assert_eq!(old.wait(PATIENCE).code(), Some(0));
        kill_process(pid, Signal::CONT).expect("it lives");
        new.join().expect("it starts")
    });
    let socket = admin.display().to_string();
    wait::until("the new one answers at the same path", || {
        let status = run(["ctl", "--admin", &socket, "status"]);
        status.stdout.contains(&format!("pid {}", new.id()))
    });
    // It may have served before it was held.
    assert!(logged("has ended already") || logged("the server before drains"));
    assert!(!logged("was not told"));
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    peer.close();
    new.terminate();
    assert_eq!(new.wait(PATIENCE).code(), Some(0));
    assert!(!path.exists() && !admin.exists());
}
