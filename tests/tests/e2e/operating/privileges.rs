//! Users and groups: what is bound as root is served as somebody else. All of it needs root to begin with.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::server::{self, Ended, Server};

/// False, with a word about it, where the tests do not run as root.
fn have_root() -> bool {
    let root = server::is_root();
    if !root {
        #[expect(
            clippy::print_stderr,
            reason = "who reads the output of a test should see what it did not test"
        )]
        {
            eprintln!("not tested: this needs root");
        }
    }
    root
}

/// A port that only root may bind, and that is free.
fn privileged_port() -> u16 {
    (600..1_024)
        .rev()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port below 1024")
}

/// The values that a line of `/proc/PID/task/*/status` has over all threads.
fn of_threads(server: &Server, field: &str) -> BTreeSet<Vec<u32>> {
    let tasks = format!("/proc/{}/task", server.id());
    let tasks = fs::read_dir(tasks).expect("the server lives");
    tasks
        .map(|task| {
            let status = task.expect("a thread").path().join("status");
            let status = fs::read_to_string(status).expect("the thread lives");
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .expect("the field is there");
            line.trim_start_matches(':')
                .split_whitespace()
                .map(|number| number.parse().expect("a number"))
                .collect()
        })
        .collect()
}

#[track_caller]
fn every_thread_is(server: &Server, user: u32, group: u32) {
    assert_eq!(of_threads(server, "Uid"), BTreeSet::from([vec![user; 4]]));
    assert_eq!(of_threads(server, "Gid"), BTreeSet::from([vec![group; 4]]));
    assert_eq!(of_threads(server, "Groups"), BTreeSet::from([vec![group]]));
}

/// The number in a database (`passwd` or `group`) of the system.
fn number(database: &str, name: &str, column: usize) -> u32 {
    let text = fs::read_to_string(format!("/etc/{database}")).expect("the database is there");
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|line| line.first() == Some(&name))
        .and_then(|line| line.get(column)?.parse().ok())
        .unwrap_or_else(|| panic!("{name} is in /etc/{database}"))
}

/// The binary with exactly these arguments after a handler's, by way of a program that is told `before`.
#[track_caller]
fn run(before: &[&str], arguments: &[&str]) -> Ended {
    let mut command = match before {
        [] => Command::new(server::binary()),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(server::binary());
            command
        }
    };
    command
        .arg(handlers::echo())
        .args(["--listen", "127.0.0.1:0", "--cache-dir"])
        .arg(server::kept_folder("cache"))
        .args(arguments);
    server::run_command(&mut command, "", true)
}

#[track_caller]
fn fails(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stdout, "", "it never listened");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in: {ended:?}");
    }
}

#[test]
fn seed_29_port_below_1024_is_bound_then_every_thread_is_the_user() {
    if !have_root() {
        return;
    }
    let port = privileged_port();
    let mut server = Server::of(handlers::echo())
        .listen(&format!("127.0.0.1:{port}"))
        .args(["--user", "nobody", "--workers", "3"])
        .start();
    assert_eq!(server.address().port(), port);
    every_thread_is(
        &server,
        number("passwd", "nobody", 2),
        number("passwd", "nobody", 3),
    );
    assert_eq!(server.open().ask("hello"), "hello");
    server.terminate();
    assert!(server.wait(wsrun_tests::wait::PATIENCE).success());
}

#[test]
fn seed_29_group_is_chosen_beside_the_user() {
    if !have_root() {
        return;
    }
    let user = number("passwd", "nobody", 2);
    let server = Server::of(handlers::echo())
        .args(["--user", &user.to_string(), "--group", "daemon"])
        .start();
    every_thread_is(&server, user, number("group", "daemon", 2));
    assert_eq!(server.open().ask("hello"), "hello");
}

#[test]
fn seed_29_group_alone_replaces_all_groups() {
    if !have_root() {
        return;
    }
    let server = Server::of(handlers::echo())
        .args(["--group", "daemon", "--allow-root"])
        .start();
    every_thread_is(&server, 0, number("group", "daemon", 2));
}

#[test]
fn seed_29_handler_is_not_run_as_root_unless_told() {
    if !have_root() {
        return;
    }
    for arguments in [
        &[][..],
        &["--user", "root"],
        &["--user", "0"],
        &["--group", "daemon"],
    ] {
        let ended = run(&[], arguments);
        fails(&ended, 2, &["as root", "--user", "--allow-root"]);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the mode can be set");
}

#[test]
fn files_are_read_as_the_user_in_a_folder_that_root_opened() {
    if !have_root() {
        return;
    }
    // Only root can enter the folder around the site.
    let around = tempfile::tempdir().expect("a folder");
    set_mode(around.path(), 0o700);
    let site = around.path().join("site");
    fs::create_dir(&site).expect("the folder can be written");
    for (name, mode) in [("open.txt", 0o644), ("closed.txt", 0o600)] {
        fs::write(site.join(name), name).expect("the folder can be written");
        set_mode(&site.join(name), mode);
    }
    set_mode(&site, 0o755);
    let server = Server::of(handlers::echo())
        .args(["--user", "nobody", "--static"])
        .arg(&site)
        .start();
    let get = |path| server.connect().request(&Request::get(path));
    assert_eq!(get("/open.txt").body, b"open.txt");
    assert_eq!(get("/closed.txt").status, 404);
}

#[test]
fn folder_that_the_user_may_not_look_into_is_told() {
    if !have_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o700);
    let path = folder.path().to_str().expect("a path of text");
    for flag in ["--static", "--files"] {
        let ended = run(&[], &["--user", "nobody", flag, path]);
        fails(&ended, 2, &[flag, path, "may not look into it"]);
    }
}

#[test]
fn unknown_users_and_groups_are_told() {
    let ended = run(&[], &["--user", "no-such-user", "--allow-root"]);
    fails(&ended, 2, &["--user no-such-user", "no such user"]);
    let ended = run(&[], &["--group", "no-such-group", "--allow-root"]);
    fails(&ended, 2, &["--group no-such-group", "no such group"]);
    let ended = run(&[], &["--user", "54321987", "--allow-root"]);
    fails(&ended, 2, &["--user 54321987", "--group"]);
}

#[test]
fn process_without_the_capability_says_what_it_lacks() {
    if !have_root() {
        return;
    }
    let ended = run(
        &["setpriv", "--bounding-set=-setuid,-setgid"],
        &["--user", "nobody"],
    );
    fails(
        &ended,
        1,
        &["cannot become user", "CAP_SETUID", "without --user"],
    );
}

#[test]
fn user_that_could_become_root_again_is_no_drop() {
    if !have_root() {
        return;
    }
    let ended = run(
        &["setpriv", "--securebits=+no_setuid_fixup"],
        &["--user", "nobody"],
    );
    fails(&ended, 1, &["not dropped", "root again"]);
}

/// The folder is root's alone: what needs the right to it is over when privileges are dropped.
#[test]
fn admin_socket_goes_over_to_a_server_that_has_no_right_to_its_folder() {
    if !have_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin").display().to_string();
    let server = || Server::of(handlers::echo()).args(["--user", "nobody", "--admin", &socket]);
    let mut old = server().start();
    assert_eq!(old.open().ask("one"), "one");
    let new = server().args(["--take-over", &socket]).start();
    assert!(old.wait(wsrun_tests::wait::PATIENCE).success());
    wsrun_tests::wait::until("the new server answers at the path of the old one", || {
        let status = server::run(["ctl", "--admin", &socket, "status"]);
        status.stdout.contains(&format!("pid {}", new.id()))
    });
    assert_eq!(new.open().ask("two"), "two");
    // And once more, from it.
    let third = server().args(["--take-over", &socket]).start();
    wsrun_tests::wait::until("the third answers there", || {
        let status = server::run(["ctl", "--admin", &socket, "status"]);
        status.stdout.contains(&format!("pid {}", third.id()))
    });
}

/// The address of `--metrics` is bound as root as well, while the server before listens there.
#[test]
fn metrics_below_1024_go_over_to_a_server_that_becomes_somebody_else() {
    if !have_root() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("admin").display().to_string();
    let metrics = format!("127.0.0.1:{}", privileged_port());
    let server = || {
        Server::of(handlers::echo()).args([
            "--user",
            "nobody",
            "--admin",
            &socket,
            "--metrics",
            &metrics,
        ])
    };
    let mut old = server().start();
    old.expect_log("metrics on http://");
    // Who does not take over is told that somebody is there.
    let second = run(&[], &["--user", "nobody", "--metrics", &metrics]);
    fails(&second, 1, &["--metrics", "in use"]);
    let mut new = server().args(["--take-over", &socket]).start();
    assert!(old.wait(wsrun_tests::wait::PATIENCE).success());
    new.expect_log("metrics on http://");
    let third = server().args(["--take-over", &socket]).start();
    assert!(new.wait(wsrun_tests::wait::PATIENCE).success());
    third.expect_log("metrics on http://");
    let mut stream = TcpStream::connect(&metrics).expect("the third listens there");
    stream
        .write_all(b"GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.ends_with("live\n"), "{answer}");
}

#[test]
fn folder_that_whoever_runs_it_may_not_look_into_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    set_mode(folder.path(), 0o755);
    let site = folder.path().join("site");
    fs::create_dir(&site).expect("the folder can be written");
    let (program, handler) = (folder.path().join("wsrun"), folder.path().join("echo.wasm"));
    fs::copy(server::binary(), &program).expect("the folder can be written");
    fs::copy(handlers::echo(), &handler).expect("the folder can be written");
    let mut command = Command::new(&program);
    command
        .arg(&handler)
        .args(["--no-cache", "--listen", "127.0.0.1:0", "--static"])
        .arg(&site)
        .current_dir("/");
    if server::is_root() {
        // Who may look into everything is somebody else here.
        const NOBODY: u32 = 65_534;
        chown(&site, Some(NOBODY), Some(NOBODY)).expect("root may give a folder away");
        command.uid(NOBODY).gid(NOBODY);
    }
    // To be listed, and not to be searched.
    set_mode(&site, 0o644);
    let ended = server::run_command(&mut command, "", true);
    set_mode(&site, 0o755);
    let path = site.to_string_lossy();
    fails(&ended, 2, &["--static", &path, "may not look into it"]);
}
