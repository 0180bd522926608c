//! A new version takes the place of the old one, and no socket notices.

use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use wsrun_tests::admin::Administered;
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{Builder, Server, run};
use wsrun_tests::usage::MIB;
use wsrun_tests::wait::until;

/// A file whose content is a version of the handler `versions`.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("app.wasm");
        let file = Self {
            _folder: folder,
            path,
        };
        file.becomes(version);
        file
    }

    /// Replaces the file at once, as builds and deployments do. `NAME`, or `NAME:WHAT-FAILS`.
    fn becomes(&self, version: &str) {
        let mut bytes = std::fs::read(handlers::built("versions")).expect("the handler was built");
        let marker = b"version=one                             ";
        let at = bytes
            .windows(marker.len())
            .position(|window| window == marker);
        let at = at.expect("the handler has its marker");
        let new = format!("{:40}", format!("version={version}"));
        bytes[at..at + marker.len()].copy_from_slice(new.as_bytes());
        self.becomes_bytes(&bytes);
    }

    fn becomes_bytes(&self, bytes: &[u8]) {
        let new = self.path.with_extension("new");
        std::fs::write(&new, bytes).expect("the folder is there");
        std::fs::rename(&new, &self.path).expect("the folder is there");
    }
}

impl AsRef<Path> for File {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

fn server(file: impl AsRef<Path>) -> Builder {
    Server::of(file).args(["--trial-time", "200ms"])
}

/// Sends `text` and splits the answer: version, count, how the connection is known.
fn ask(peer: &mut Peer, text: &str) -> (String, u64, String) {
    let answer = peer.ask(text);
    let parts: Vec<&str> = answer.splitn(4, ' ').collect();
    assert_eq!(parts[3], text, "{answer}");
    (
        parts[0].into(),
        parts[1].parse().expect("a count"),
        parts[2].into(),
    )
}

fn times(server: &Server, text: &str) -> usize {
    server.log().matches(text).count()
}

#[test]
fn new_version_takes_over_with_state_and_connections() {
    let file = File::new("one");
    let server = server(&file).start();
    let mut peer = server.open();
    assert_eq!(ask(&mut peer, "a"), ("one".into(), 1, "opened".into()));
    file.becomes("two");
    server.signal(Signal::HUP);
    server.expect_log("handler replaced");
    assert_eq!(ask(&mut peer, "b"), ("two".into(), 2, "resumed".into()));
    let mut new = server.open();
    assert_eq!(ask(&mut new, "c"), ("two".into(), 1, "opened".into()));
    assert_eq!(ask(&mut peer, "d"), ("two".into(), 3, "resumed".into()));
    peer.close();
}

#[test]
fn watched_file_takes_over_by_itself() {
    let file = File::new("one");
    let server = server(&file).arg("--watch").start();
    let mut peer = server.open();
    assert_eq!(ask(&mut peer, "a").0, "one");
    file.becomes("two");
    until("the new version answers", || ask(&mut peer, "b").0 == "two");
}

#[test]
fn watched_file_is_that_which_serves_wherever_links_lead_to_it() {
    let [first, second, third] = ["one", "two", "three"].map(File::new);
    let folder = tempfile::tempdir().expect("a folder");
    let turn = |name: &str, to: &Path| {
        let new = folder.path().join("new");
        symlink(to, &new).expect("the folder can be written");
        std::fs::rename(&new, folder.path().join(name)).expect("the folder can be written");
    };
    // A folder of versions, and a file, by a link each.
    turn("releases", first.path.parent().expect("a folder"));
    std::fs::create_dir(folder.path().join("by")).expect("a folder");
    symlink("../releases", folder.path().join("by").join("current")).expect("a link");
    let path = folder.path().join("by").join("current").join("app.wasm");
    let admin = Administered::start(server(&path).arg("--watch"));
    let mut peer = admin.open();
    assert_eq!(ask(&mut peer, "a").0, "one");
    let mut expect = |version: &str| {
        until("the new version answers", || {
            ask(&mut peer, "b").0 == version
        });
    };
    turn("releases", second.path.parent().expect("a folder"));
    expect("two");
    // What a link leads to is replaced.
    second.becomes("more");
    expect("more");
    // The version that the admin socket asked for is what is watched from then on.
    let ended = admin.ctl(["swap".as_ref(), third.path.as_os_str()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    expect("three");
    third.becomes("four");
    expect("four");
}

#[test]
fn unchanged_file_is_not_swapped_on_sighup() {
    let file = File::new("one");
    let server = server(&file).start();
    let mut peer = server.open();
    assert_eq!(ask(&mut peer, "a").2, "opened");
    server.signal(Signal::HUP);
    server.expect_log("nothing to read again");
    assert_eq!(ask(&mut peer, "b"), ("one".into(), 2, "opened".into()));
    // Swaps come one after the other: when another has taken over, one of the unchanged file would have.
    file.becomes("two");
    server.signal(Signal::HUP);
    server.expect_log("handler replaced");
    assert_eq!(ask(&mut peer, "c"), ("two".into(), 3, "resumed".into()));
    assert_eq!(times(&server, "a new version has taken over"), 1);
}

/// Swaps to a version that must not stay; the old one serves on as if nothing had been.
#[track_caller]
fn is_given_up(version: &str, told: &str) {
    let file = File::new("one");
    let server = server(&file).start();
    let mut peer = server.open();
    let mut other = server.open();
    assert_eq!(ask(&mut peer, "a"), ("one".into(), 1, "opened".into()));
    file.becomes(version);
    server.signal(Signal::HUP);
    let done = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let mut asked = 1;
            while !done.load(Ordering::Relaxed) {
                asked += 1;
                assert_eq!(
                    ask(&mut peer, "b").1,
                    asked,
                    "none is lost, none comes twice"
                );
            }
            asked
        });
        server.expect_log("handler not replaced");
        done.store(true, Ordering::Relaxed);
        traffic.join().expect("it was answered all the time")
    });
    server.expect_log(told);
    let (version, count, how) = ask(&mut peer, "c");
    assert_eq!((version.as_str(), how.as_str()), ("one", "opened"));
    // What a version on trial has counted in its memory is gone with it, as its file is.
    assert!(count <= asked + 1);
    assert_eq!(ask(&mut other, "d"), ("one".into(), 1, "opened".into()));
    // And a good version can still come.
    file.becomes("three");
    server.signal(Signal::HUP);
    server.expect_log("handler replaced");
    assert_eq!(ask(&mut other, "e"), ("three".into(), 2, "resumed".into()));
}

#[test]
fn version_that_traps_at_start_is_given_up() {
    is_given_up("bad:started", "version bad fails in started");
}

#[test]
fn version_that_never_starts_is_given_up() {
    is_given_up("bad:start-loop", "--callback-timeout");
}

#[test]
fn version_that_does_not_take_the_state_over_is_given_up() {
    is_given_up("bad:restore-error", "this state is from another world");
}

#[test]
fn version_that_traps_while_it_takes_the_state_over_is_given_up() {
    is_given_up("bad:restore", "version bad fails in restore");
}

#[test]
fn version_that_traps_at_its_first_message_is_given_up_and_the_old_one_answers() {
    is_given_up("bad:received", "version bad fails in received");
}

#[test]
fn version_that_traps_when_told_of_connections_is_given_up() {
    is_given_up("bad:resumed", "version bad fails in resumed");
}

#[test]
fn version_serves_on_all_workers_or_on_none() {
    let file = File::new("one");
    let server = Server::of(&file)
        .args(["--workers", "3", "--scope", "worker", "--trial-time", "2s"])
        .start();
    // Many enough that the kernel gives each worker some.
    let mut peers: Vec<Peer> = (0..40).map(|_| server.open()).collect();
    for peer in &mut peers {
        assert_eq!(ask(peer, "a"), ("one".into(), 1, "opened".into()));
    }
    file.becomes("two");
    server.signal(Signal::HUP);
    server.expect_log("handler replaced");
    let log = server.log();
    let taken_over = log
        .lines()
        .filter(|line| line.contains("a new version has taken over"));
    let connections: Vec<usize> = taken_over
        .map(|line| {
            let rest = line.split_once("connections=").expect("it tells them").1;
            let number = rest
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok());
            number.expect("a number")
        })
        .collect();
    assert_eq!(connections.iter().sum::<usize>(), peers.len());
    assert!(
        connections.iter().filter(|number| **number > 0).count() > 1,
        "one worker has all of them: {connections:?}"
    );
    for peer in &mut peers {
        assert_eq!(ask(peer, "b"), ("two".into(), 2, "resumed".into()));
    }
    file.becomes("bad:received");
    server.signal(Signal::HUP);
    until("it is on trial on all workers", || {
        times(&server, "a new version has taken over") == 6
    });
    // One message, on one worker, ends the trial of all.
    assert_eq!(ask(&mut peers[0], "c"), ("two".into(), 3, "resumed".into()));
    server.expect_log("handler not replaced");
    for peer in &mut peers[1..] {
        assert_eq!(ask(peer, "d"), ("two".into(), 3, "resumed".into()));
    }
}

#[test]
fn file_that_is_no_handler_is_given_up() {
    let file = File::new("one");
    let server = server(&file).start();
    let mut peer = server.open();
    file.becomes_bytes(b"not wasm");
    server.signal(Signal::HUP);
    server.expect_log("is not WebAssembly");
    assert_eq!(ask(&mut peer, "a").0, "one");
}

#[test]
fn version_with_too_much_state_stays() {
    let file = File::new("one:save-much");
    // An unoptimised server takes its time for so many bytes.
    let server = server(&file).args(["--callback-timeout", "5s"]).start();
    let mut peer = server.open();
    file.becomes("two");
    server.signal(Signal::HUP);
    server.expect_log("--max-state");
    assert_eq!(ask(&mut peer, "a").0, "one");
}

#[test]
fn version_that_traps_in_save_stays_and_connections_live_on() {
    let file = File::new("one:save");
    let server = server(&file).start();
    let mut peer = server.open();
    assert_eq!(ask(&mut peer, "a"), ("one".into(), 1, "opened".into()));
    file.becomes("two");
    server.signal(Signal::HUP);
    server.expect_log("does not save its state");
    // Another instance of the same version: the count comes out of the session data.
    assert_eq!(ask(&mut peer, "b"), ("one".into(), 2, "resumed".into()));
}

#[test]
fn crash_closes_its_connection_and_others_are_told_to_the_new_instance() {
    let file = File::new("one");
    let server = server(&file).start();
    let mut guilty = server.open();
    let mut others: Vec<Peer> = (0..20).map(|_| server.open()).collect();
    for other in &mut others {
        assert_eq!(ask(other, "a"), ("one".into(), 1, "opened".into()));
    }
    guilty.send_text("trap");
    guilty.expect_close(1011);
    for other in &mut others {
        assert_eq!(ask(other, "b"), ("one".into(), 2, "resumed".into()));
    }
}

#[test]
fn handler_that_fails_again_and_again_is_left_alone_and_comes_back() {
    let file = File::new("one");
    let server = server(&file).args(["--max-failures", "3"]).start();
    let mut bystander = server.open();
    for _ in 0..3 {
        let mut guilty = server.open();
        guilty.send_text("trap");
        guilty.expect_close(1011);
    }
    assert_eq!(ask(&mut bystander, "a").0, "one");
    let mut last = server.open();
    last.send_text("trap");
    last.expect_close(1011);
    assert_eq!(
        bystander.expect_close(1013),
        "handler fails again and again"
    );
    let response = server.connect().request(&Request::upgrade("/"));
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    server.expect_log("left alone for 1s");
    until("it serves again", || {
        let status = server.connect().request(&Request::upgrade("/")).status;
        status == 101
    });
    assert_eq!(ask(&mut server.open(), "b").0, "one");
}

#[test]
fn connections_of_a_handler_that_is_left_alone_are_closed_with_the_code_that_was_asked_for() {
    let file = File::new("one");
    let server = server(&file)
        .args(["--max-failures", "1", "--failing-code", "1011"])
        .start();
    let mut bystander = server.open();
    for _ in 0..2 {
        let mut guilty = server.open();
        guilty.send_text("trap");
        guilty.expect_close(1011);
    }
    assert_eq!(
        bystander.expect_close(1011),
        "handler fails again and again"
    );
}

#[test]
fn failures_that_are_older_than_the_window_do_not_count() {
    let file = File::new("one");
    let server = server(&file)
        .args(["--max-failures", "1", "--failure-window", "100ms"])
        .start();
    let mut bystander = server.open();
    for number in 0..4 {
        let mut guilty = server.open();
        guilty.send_text("trap");
        guilty.expect_close(1011);
        // Longer than the window, by the server's clock: the handler's own answers tell that it goes on.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(150) {
            assert_eq!(ask(&mut bystander, &number.to_string()).0, "one");
        }
    }
}

fn open(address: SocketAddr) -> Peer {
    let mut peer = Peer::tcp(address);
    assert_eq!(peer.upgrade(&Request::upgrade("/")).status, 101);
    peer
}

/// Peers that send numbers and check that each is answered once and in order, until told to stop. The longest wait for an answer.
fn traffic(
    address: SocketAddr,
    peers: usize,
    ready: &AtomicUsize,
    done: &AtomicBool,
) -> (u64, Vec<Duration>) {
    let mut peers: Vec<Peer> = (0..peers).map(|_| open(address)).collect();
    let mut round = 0;
    let mut waits = Vec::new();
    ready.fetch_add(1, Ordering::Relaxed);
    while !done.load(Ordering::Relaxed) {
        round += 1;
        let text = round.to_string();
        let sent = Instant::now();
        for peer in &mut peers {
            peer.send_text(&text);
        }
        for peer in &mut peers {
            let answer = peer.read_text();
            let parts: Vec<&str> = answer.split(' ').collect();
            // The count is the handler's own: a lost message or one that came twice would change it.
            assert_eq!(
                (parts[1], parts[3]),
                (text.as_str(), text.as_str()),
                "{answer}"
            );
        }
        waits.push(sent.elapsed());
    }
    for peer in peers {
        peer.close();
    }
    (round, waits)
}

#[test]
fn fifty_swaps_under_traffic_of_5000_connections_lose_nothing() {
    const SWAPS: usize = 50;
    const BROKEN: usize = 25;
    const THREADS: usize = 4;
    let file = File::new("one");
    let server = server(&file)
        .args(["--max-connections", "6000", "--trial-callbacks", "500"])
        .start();
    let address = server.address();
    let (ready, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut rounds = Vec::new();
    let mut waits = Vec::new();
    thread::scope(|scope| {
        let peers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| traffic(address, 5_000 / THREADS, &ready, &done)))
            .collect();
        until("all are connected", || {
            ready.load(Ordering::Relaxed) == THREADS
        });
        for swap in 0..SWAPS {
            let version = match swap {
                BROKEN => format!("v{swap}:received"),
                _ => format!("v{swap}"),
            };
            file.becomes(&version);
            let replaced =
                times(&server, "handler replaced") + times(&server, "handler not replaced");
            server.signal(Signal::HUP);
            until("the swap is over", || {
                times(&server, "handler replaced") + times(&server, "handler not replaced")
                    > replaced
            });
        }
        done.store(true, Ordering::Relaxed);
        for peer in peers {
            let (round, wait) = peer
                .join()
                .expect("no peer was closed, missed an answer or got one twice");
            rounds.push(round);
            waits.extend(wait);
        }
    });
    assert_eq!(times(&server, "handler replaced"), SWAPS - 1);
    assert_eq!(times(&server, "handler not replaced"), 1);
    server.expect_log("version v25 fails in received");
    waits.sort_unstable();
    let mut paused: Vec<u64> = server
        .log()
        .lines()
        .filter_map(|line| {
            line.split_once("paused_us=")?
                .1
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    paused.sort_unstable();
    let at = |share: usize| {
        (
            paused[(paused.len() - 1) * share / 100],
            waits[(waits.len() - 1) * share / 100],
        )
    };
    #[expect(
        clippy::print_stdout,
        reason = "the figures are for who runs it with --no-capture"
    )]
    {
        println!(
            "rounds of 5,000 messages: {rounds:?}; pause of events in µs, and time of a quarter of a round: median {:?}, 90 % {:?}, longest {:?}",
            at(50),
            at(90),
            at(100)
        );
    }
    assert_eq!(paused.len(), SWAPS);
}

/// Peers as in [`traffic`], some of which make the handler trap, by turns that the seed tells: those are closed with 1011, and nobody else.
fn traffic_with_traps(address: SocketAddr, peers: usize, seed: usize, traps: usize) {
    let mut peers: Vec<(Peer, u64)> = (0..peers).map(|_| (open(address), 0)).collect();
    let mut random = seed;
    for _ in 0..traps {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let guilty = (random >> 33) % peers.len();
        for (position, (peer, _)) in peers.iter_mut().enumerate() {
            peer.send_text(if position == guilty { "trap" } else { "x" });
        }
        for (position, (peer, count)) in peers.iter_mut().enumerate() {
            if position == guilty {
                peer.expect_close(1011);
            } else {
                // The count is in the session data: it outlives the instance that counted.
                *count += 1;
                let answer = peer.read_text();
                assert!(
                    answer.starts_with(&format!("one {count} ")),
                    "seed {seed}, {answer}"
                );
                assert!(!answer.contains("unknown"), "seed {seed}, {answer}");
            }
        }
        peers[guilty] = (open(address), 0);
    }
}

#[test]
fn traps_under_traffic_of_5000_connections_close_only_the_guilty() {
    const THREADS: usize = 4;
    const TRAPS: usize = 25;
    let file = File::new("one");
    let server = server(&file)
        .args(["--max-connections", "6000", "--max-failures", "1000000"])
        .start();
    let address = server.address();
    thread::scope(|scope| {
        for seed in 0..THREADS {
            scope.spawn(move || traffic_with_traps(address, 5_000 / THREADS, seed, TRAPS));
        }
    });
    assert_eq!(times(&server, "callback failed"), THREADS * TRAPS);
}

/// The servers that compile for this one are its children.
fn compiles(pid: &Path) -> bool {
    let Ok(pid) = std::fs::read_to_string(pid) else {
        return false;
    };
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.trim()));
    tasks.into_iter().flatten().flatten().any(|task| {
        std::fs::read_to_string(task.path().join("children"))
            .is_ok_and(|children| !children.is_empty())
    })
}

/// Starts a server whose file is replaced after it was read and before it is served.
fn replaced_during_the_start(file: &File, watched: bool) -> Server {
    let pid = file.path.with_extension("pid");
    let script = format!("echo $$ > {}; exec \"$0\" \"$@\"", pid.display());
    thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let server = server(file).arg("--no-cache");
            let server = server.launched_by(["sh", "-c", &script]);
            match watched {
                true => server.arg("--watch").start(),
                false => server.start(),
            }
        });
        until("it compiles what it has read", || compiles(&pid));
        file.becomes("two");
        starting.join().expect("it starts")
    })
}

#[test]
fn file_that_is_replaced_while_the_server_starts_takes_over_when_it_is_watched() {
    let file = File::new("one");
    let server = replaced_during_the_start(&file, true);
    let mut peer = server.open();
    until("the new version answers", || ask(&mut peer, "a").0 == "two");
}

#[test]
fn file_that_is_replaced_while_the_server_starts_takes_over_on_sighup() {
    let file = File::new("one");
    let server = replaced_during_the_start(&file, false);
    let mut peer = server.open();
    assert_eq!(ask(&mut peer, "a").0, "one");
    server.signal(Signal::HUP);
    until("the new version answers", || ask(&mut peer, "b").0 == "two");
}

#[test]
fn what_is_no_file_of_a_component_is_refused_and_holds_nothing_up() {
    let file = File::new("one");
    let admin = Administered::start(server(&file));
    let mut peer = admin.open();
    assert_eq!(ask(&mut peer, "a").0, "one");
    let large = file.path.with_extension("large");
    let made = std::fs::File::create(&large).and_then(|large| large.set_len(3 << 30));
    made.expect("a file of nothing takes no room");
    admin.usage().restart_peak();
    let before = admin.usage().peak_bytes();
    for (path, why) in [
        (Path::new("/dev/zero"), "it is a device"),
        (Path::new("/dev/tty"), "it is a device"),
        (file.path.parent().expect("a folder"), "it is a folder"),
        (&large, "a handler may have at most"),
    ] {
        let ended = admin.ctl(["swap".as_ref(), path.as_os_str()]);
        assert_eq!(ended.code, Some(1), "{path:?}");
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
    let took = admin.usage().peak_bytes().saturating_sub(before);
    assert!(took < 64 * MIB, "{took} bytes for files that were refused");
    // In the place of the handler's own file, which nobody writes to.
    let pipe = file.path.with_extension("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("the folder can be written");
    std::fs::rename(&pipe, &file.path).expect("the folder can be written");
    admin.signal(Signal::HUP);
    admin.expect_log("it is a pipe, not a regular file");
    file.becomes("two");
    admin.signal(Signal::HUP);
    until("the new version answers", || ask(&mut peer, "b").0 == "two");
}

#[test]
fn two_handlers_of_one_name_are_refused() {
    let echo = handlers::echo().display().to_string();
    let ended = run([echo.as_str(), "--protocol", &format!("echo={echo}")]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("two handlers are called \"echo\""),
        "{}",
        ended.stderr
    );
}

#[test]
fn sighup_while_the_arguments_are_read_ends_nothing() {
    let file = File::new("one");
    let (pid, pipe) = (
        file.path.with_extension("pid"),
        file.path.with_extension("pipe"),
    );
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("the folder can be written");
    let script = format!("echo $$ > {}; exec \"$0\" \"$@\"", pid.display());
    let server = thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let server = server(&file).arg("--config");
            let server = server.arg(format!("secret=@{}", pipe.display()));
            server.launched_by(["sh", "-c", &script]).start()
        });
        // It is open when somebody reads from it, which is in the middle of the arguments.
        let writer = std::fs::OpenOptions::new().write(true).open(&pipe);
        let pid = std::fs::read_to_string(&pid).expect("it was written");
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), Signal::HUP).expect("it lives");
        drop(writer);
        starting.join().expect("it starts")
    });
    assert_eq!(ask(&mut server.open(), "a").0, "one");
}

/// A file that is one guest after the other.
fn file_of(guest: &str) -> File {
    let file = File::new("one");
    becomes_guest(&file, guest);
    file
}

fn becomes_guest(file: &File, guest: &str) {
    file.becomes_bytes(&std::fs::read(handlers::built(guest)).expect("the guest was built"));
}

/// The server answers peers that were there before, and new ones.
#[track_caller]
fn echoes(server: &Server, old: &mut Peer) {
    assert_eq!(old.ask("to the old peer"), "to the old peer");
    let mut new = server.open();
    assert_eq!(new.ask("to a new peer"), "to a new peer");
    new.close();
}

#[test]
fn request_that_fails_a_trial_is_answered_by_an_old_version_that_answers_none() {
    let file = file_of("echo");
    let server = Server::of(&file).args(["--trial-time", "60s"]).start();
    let mut peer = server.open();
    let refused = server.connect().request(&Request::get("/trap"));
    becomes_guest(&file, "http");
    server.signal(Signal::HUP);
    server.expect_log("a new version has taken over");
    let response = server.connect().request(&Request::get("/trap"));
    server.expect_log("the new version was given up");
    // As if it had come to the old version in the first place.
    assert_eq!(
        (response.status, &response.body),
        (refused.status, &refused.body)
    );
    echoes(&server, &mut peer);
}

#[test]
fn request_whose_body_comes_after_a_swap_is_answered_by_the_version_that_serves_then() {
    for (before, target) in [("http", "/echo"), ("wasi-http", "/echo")] {
        let file = file_of(before);
        let server = Server::of(&file).args(["--trial-time", "50ms"]).start();
        let mut peer = server.open();
        let mut slow = server.connect();
        let request = Request::method("POST", target).with("Content-Length", "4");
        slow.send_bytes(&[request.encode(), b"ab".to_vec()].concat());
        // It has been looked at, and its body is waited for.
        let refused = {
            becomes_guest(&file, "echo");
            server.signal(Signal::HUP);
            server.expect_log("handler replaced");
            let mut other = server.connect();
            other.send_bytes(&[request.encode(), b"abcd".to_vec()].concat());
            other.read_response()
        };
        slow.send_bytes(b"cd");
        assert_eq!(slow.read_response().status, refused.status, "{before}");
        echoes(&server, &mut peer);
    }
}

#[test]
fn connection_of_a_failed_trial_is_closed_where_the_old_version_takes_none() {
    let file = file_of("http-only");
    let server = Server::of(&file).args(["--trial-time", "60s"]).start();
    file.becomes("two:received");
    server.signal(Signal::HUP);
    server.expect_log("a new version has taken over");
    let mut other = server.open();
    let mut peer = server.open();
    peer.send_text("fail");
    peer.expect_close(1011);
    other.expect_close(1011);
    server.expect_log("the new version was given up");
    assert_eq!(server.connect().request(&Request::upgrade("/")).status, 404);
    assert_eq!(server.connect().request(&Request::get("/")).status, 200);
}

#[test]
fn version_that_takes_no_connections_is_refused_where_the_old_one_does() {
    let file = file_of("echo");
    let server = Server::of(&file).start();
    let mut peer = server.open();
    becomes_guest(&file, "http-only");
    server.signal(Signal::HUP);
    server.expect_log("handler not replaced");
    server.expect_log("answers plain requests alone");
    echoes(&server, &mut peer);
    assert_eq!(server.connect().request(&Request::get("/")).status, 426);
}
