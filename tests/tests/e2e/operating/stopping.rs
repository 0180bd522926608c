//! The graceful stop.

use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wsrun_tests::admin::Administered;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Server, binary, is_root, kept_folder};
use wsrun_tests::wait::{self, PATIENCE};

#[test]
fn server_closes_connections_with_1001_and_exits_0_on_sigterm_and_sigint() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::of(handlers::echo())
            .args(["--workers", "2"])
            .start();
        let mut peers: Vec<_> = (0..20).map(|_| server.open()).collect();
        assert_eq!(peers[0].ask("before"), "before");
        server.signal(signal);
        for peer in &mut peers {
            peer.expect_close(1001);
            peer.send(&Frame::close(1001, ""));
            peer.expect_end();
        }
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
    }
}

#[test]
fn handler_is_told_that_the_server_stops_before_the_first_connection_closes() {
    let mut server = Server::of(handlers::built("lifecycle"))
        .args(["--shutdown-timeout", "7s"])
        .start();
    let mut peers: Vec<_> = (0..50).map(|_| server.open()).collect();
    for peer in &mut peers {
        peer.expect_text("started 1");
    }
    server.terminate();
    for peer in &mut peers {
        peer.expect_text("draining 7000");
        peer.expect_close(1001);
        peer.send(&Frame::close(1001, ""));
        peer.expect_end();
    }
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn idle_server_stops_at_once() {
    let mut server = Server::of(handlers::echo()).start();
    let asked = Instant::now();
    server.terminate();
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn server_does_not_wait_longer_than_told_for_peers_that_do_not_close() {
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "1s", "--close-timeout", "30s"])
        .start();
    let mut deaf = server.open();
    let mut in_the_handshake = server.connect();
    in_the_handshake.send_bytes(b"GET / HTTP/1.1\r\n");
    let asked = Instant::now();
    server.terminate();
    // It had to cut somebody off, and says so.
    assert_eq!(server.wait(PATIENCE).code(), Some(1));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    deaf.expect_close(1001);
    in_the_handshake.read_to_end();
}

#[test]
fn second_signal_ends_the_server_at_once() {
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "60s", "--close-timeout", "60s"])
        .start();
    let mut deaf = server.open();
    server.terminate();
    deaf.expect_close(1001);
    // Signals that come closer together are one.
    deaf.expect_silence(Duration::from_millis(300));
    server.terminate();
    let asked = Instant::now();
    server.wait(PATIENCE);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn stopping_server_delivers_what_was_sent_and_takes_no_more() {
    let mut server = Server::of(handlers::probe())
        .args(["--shutdown-timeout", "5s"])
        .start();
    let address = server.address();
    let mut watcher = server.open();
    let mut peer = server.open();
    peer.send_text("send-flood 20 50000");
    assert_eq!(watcher.ask("subscribe closed-events"), "ok true");
    server.terminate();
    let mut received = 0;
    loop {
        let frame = peer.read_frame();
        match frame.opcode {
            frame::BINARY => received += 1,
            frame::CLOSE => {
                assert_eq!(frame.close_info().0, 1001);
                break;
            }
            _ => {}
        }
    }
    assert_eq!(received, 20);
    let late = std::net::TcpStream::connect(address).is_ok_and(|_| {
        let mut late = Peer::tcp(address);
        late.try_send_bytes(&Request::upgrade("/").encode()).is_ok()
            && late
                .try_read_response()
                .is_ok_and(|response| response.status == 101)
    });
    assert!(!late, "a server that stops opens no connection");
    peer.send(&Frame::close(1001, ""));
    watcher.expect_close_at_last(1001);
    watcher.send(&Frame::close(1001, ""));
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn stopped_server_leaves_no_unix_socket_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let mut server = Server::of(handlers::echo())
        .listen(&format!("unix:{}", path.display()))
        .start();
    assert!(path.exists());
    server.terminate();
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn stopping_server_spreads_the_closes_of_many_connections() {
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "10s"])
        .start();
    let peers: Vec<_> = (0..500).map(|_| server.open()).collect();
    server.terminate();
    let began = Instant::now();
    let waiting: Vec<_> = peers
        .into_iter()
        .map(|mut peer| {
            std::thread::spawn(move || {
                peer.expect_close(1001);
                let took = began.elapsed();
                peer.send(&Frame::close(1001, ""));
                took
            })
        })
        .collect();
    let times: Vec<Duration> = waiting
        .into_iter()
        .map(|thread| thread.join().expect("every peer is closed"))
        .collect();
    let window = Duration::from_millis(100);
    let busiest = times
        .iter()
        .map(|&from| {
            times
                .iter()
                .filter(|&&time| time >= from && time < from + window)
                .count()
        })
        .max();
    assert!(
        busiest < Some(250),
        "{busiest:?} of 500 connections were closed within {window:?}"
    );
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn stopping_server_answers_a_late_upgrade_with_503() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("index.html"), "home").expect("the folder can be written");
    let mut server = Server::of(handlers::echo())
        .arg("--static")
        .arg(folder.path())
        .start();
    let mut deaf = server.open();
    let mut page = server.connect();
    assert_eq!(page.request(&Request::get("/")).status, 200);
    server.terminate();
    deaf.expect_close(1001);
    let _ = page.try_send_bytes(&Request::upgrade("/").encode());
    // Ended before is as good.
    if let Ok(response) = page.try_read_response() {
        assert_eq!(response.status, 503, "{response:?}");
        assert!(response.header("retry-after").is_some(), "{response:?}");
    }
    deaf.send(&Frame::close(1001, ""));
    server.wait(PATIENCE);
}

#[test]
fn two_signals_at_once_are_one() {
    for second in [Signal::TERM, Signal::INT] {
        let mut server = Server::of(handlers::echo()).start();
        let mut peer = server.open();
        server.terminate();
        server.signal(second);
        peer.expect_close(1001);
        peer.send(&Frame::close(1001, ""));
        peer.expect_end();
        assert_eq!(server.wait(PATIENCE).code(), Some(0));
    }
}

#[test]
fn stopped_server_leaves_the_unix_socket_of_its_successor() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let listen = format!("unix:{}", path.display());
    let mut old = Server::of(handlers::echo()).listen(&listen).start();
    let mut last = Peer::unix(&path);
    last.upgrade(&Request::upgrade("/"));
    old.terminate();
    last.expect_close(1001);
    wait::until("the old server accepts nobody", || {
        UnixStream::connect(&path).is_err()
    });
    let mut new = Server::of(handlers::echo()).listen(&listen).start();
    last.send(&Frame::close(1001, ""));
    assert_eq!(old.wait(PATIENCE).code(), Some(0));
    assert!(path.exists(), "the old server removed the new one's file");
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    assert_eq!(peer.ask("new"), "new");
    peer.close();
    new.terminate();
    assert_eq!(new.wait(PATIENCE).code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn file_that_is_read_without_end_does_not_hold_the_end_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("index.html"), "home").expect("the folder can be written");
    let made = Command::new("mkfifo")
        .arg(folder.path().join("pipe"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "1s", "--static"])
        .arg(folder.path())
        .start();
    let mut waiting = server.connect();
    waiting.send_bytes(&Request::get("/pipe").encode());
    // An answer is as good as none.
    waiting.set_read_timeout(Duration::from_millis(500));
    let _ = waiting.try_read_response();
    assert_eq!(server.connect().request(&Request::get("/")).text(), "home");
    server.terminate();
    server.wait(PATIENCE / 2);
}

#[test]
fn stopping_server_delivers_what_is_queued_for_a_peer_that_has_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let mut server = Server::of(handlers::probe())
        .listen("127.0.0.1:0")
        .listen(&format!("unix:{}", path.display()))
        .start();
    let mut watcher = server.open();
    assert_eq!(watcher.ask("subscribe closed-events"), "ok true");
    let mut peer = Peer::unix(&path);
    peer.upgrade(&Request::upgrade("/"));
    // More than the socket holds.
    peer.send_text("send-flood 90 10000");
    peer.send(&Frame::close(1000, ""));
    let event = watcher.read_text();
    assert!(event.contains("\"code\":1000"), "{event}");
    server.terminate();
    watcher.expect_close(1001);
    watcher.send(&Frame::close(1001, ""));
    watcher.expect_end();
    for number in 0..90 {
        let frame = peer.read_frame();
        assert_eq!(
            (frame.opcode, frame.payload.len()),
            (frame::BINARY, 10_000),
            "message {number}"
        );
        // A server that does not wait has the time to end.
        std::thread::sleep(Duration::from_millis(5));
    }
    peer.expect_text("sent 90 ok");
    peer.expect_close(1000);
    peer.expect_end();
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

#[test]
fn tls_handshake_that_is_not_finished_does_not_hold_the_end_of_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "60s", "--handshake-timeout", "60s"])
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let silent = std::net::TcpStream::connect(server.address()).expect("the server listens");
    // It has been accepted.
    std::thread::sleep(Duration::from_millis(200));
    server.terminate();
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
    drop(silent);
}

#[test]
fn server_that_stops_does_not_wake_a_handler_that_sleeps() {
    let server = Administered::start(
        Server::of(handlers::built("lifecycle")).args(["--hibernate-after", "100ms"]),
    );
    let mut peer = server.open();
    peer.expect_text("started 1");
    wait::until("it sleeps", || {
        server.metric("wsrun_live_instances{handler=\"lifecycle\"}") == 0
    });
    server.terminate();
    // No `draining` comes before the close.
    peer.expect_close(1001);
}

#[test]
fn handlers_that_broadcast_much_at_their_start_on_several_workers_come_up() {
    let server = Server::of(handlers::built("lifecycle"))
        .args(["--workers", "3", "--scope", "worker"])
        .args(["--config", "broadcasts=500"])
        .start();
    // Behind what other workers broadcast, which may still be on its way.
    let mut peer = server.open();
    wait::until("it is told", || peer.read_text() == "started 1");
}

/// Runs a server that does not come up, and sends a signal when this is so.
#[track_caller]
fn is_stopped(signal: Signal, arguments: &[&OsStr], at: impl FnOnce(&Child)) {
    let mut command = Command::new(binary());
    command.args(arguments);
    if is_root() {
        command.arg("--allow-root");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    at(&child);
    kill_process(Pid::from_child(&child), signal).expect("it lives");
    let mut status = None;
    wait::until("it has ended", || {
        status = child.try_wait().expect("a child can be waited for");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    let mut told = String::new();
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_to_string(&mut told).expect("it is text");
    assert_eq!(told, "", "it never listened");
}

#[test]
fn signal_while_a_handler_starts_stops_the_server() {
    for signal in [Signal::TERM, Signal::INT] {
        for workers in ["1", "2"] {
            let folder = tempfile::tempdir().expect("a folder");
            let socket = folder.path().join("socket");
            let listen = format!("unix:{}", socket.display());
            let handler = handlers::built("start-loop");
            let cache = kept_folder("cache");
            let arguments: [&OsStr; 13] = [
                handler.as_ref(),
                "--callback-timeout".as_ref(),
                "600s".as_ref(),
                "--blocking-timeout".as_ref(),
                "700s".as_ref(),
                "--workers".as_ref(),
                workers.as_ref(),
                "--scope".as_ref(),
                "worker".as_ref(),
                "--listen".as_ref(),
                listen.as_ref(),
                "--cache-dir".as_ref(),
                cache.as_ref(),
            ];
            is_stopped(signal, &arguments, |_| {
                wait::until("it is bound, and the handler starts", || socket.exists());
                std::thread::sleep(Duration::from_millis(300));
            });
            assert!(!socket.exists(), "its socket is left behind");
        }
    }
}

#[test]
fn signal_while_a_handler_is_compiled_stops_the_server_and_the_compiler() {
    let folder = tempfile::tempdir().expect("a folder");
    let handler = folder.path().join("large.wat");
    // The compiler is at it for a while.
    let function = "(func (result i32) (local i32) ".to_owned()
        + &"local.get 0 i32.const 7 i32.mul local.tee 0 i32.const 3 i32.add local.set 0 "
            .repeat(6_000)
        + "local.get 0)";
    let module = format!("(component (core module {}))", function.repeat(8));
    std::fs::write(&handler, module).expect("the folder can be written");
    let arguments: [&OsStr; 4] = [
        handler.as_ref(),
        "--listen".as_ref(),
        "127.0.0.1:0".as_ref(),
        "--no-cache".as_ref(),
    ];
    let compiler = std::cell::Cell::new(None);
    is_stopped(Signal::TERM, &arguments, |child| {
        wait::until("it compiles", || {
            let found = child_of(child.id());
            compiler.set(found);
            found.is_some()
        });
    });
    let compiler = compiler.get().expect("there was one");
    wait::until("the compiler has ended", || {
        // A zombie has no command line.
        std::fs::read(format!("/proc/{compiler}/cmdline")).is_ok_and(|line| line.is_empty())
            || !std::path::Path::new(&format!("/proc/{compiler}")).exists()
    });
}

/// A child of a process, if it has one.
fn child_of(parent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").expect("it is there");
    processes.filter_map(Result::ok).find_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        // The state, and then the parent, behind the name in brackets.
        let (_, fields) = stat.rsplit_once(") ")?;
        let its_parent: u32 = fields.split(' ').nth(1)?.parse().ok()?;
        (its_parent == parent).then_some(id)
    })
}

#[test]
fn stopping_server_sends_a_response_to_its_end() {
    const BYTES: usize = 30 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.bin"), vec![b'l'; BYTES]).expect("it can be written");
    let mut server = Server::of(handlers::echo())
        .args(["--shutdown-timeout", "60s", "--static"])
        .arg(folder.path())
        .start();
    let mut idle = server.connect();
    let small = Request::get("/large.bin").with("Range", "bytes=0-9");
    assert_eq!(idle.request(&small).body.len(), 10);
    let mut loading = server.connect();
    loading.send_bytes(&Request::get("/large.bin").encode());
    let head = loading.try_read_head().expect("a response");
    assert_eq!(head.status, 200);
    server.terminate();
    // Whom nothing is being answered goes at once.
    idle.expect_end();
    assert!(loading.read_to_end().len() >= BYTES);
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}
