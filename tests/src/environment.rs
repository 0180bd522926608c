//! Programs that are not ours, installed by `scripts/test-environment`.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use crate::handlers;
use crate::wait;

const SCRIPT: &str = "scripts/test-environment";

/// The Python that has `websockets`.
pub fn python() -> Command {
    Command::new(needed("python/bin/python"))
}

/// A Node.js program of `tests/interop`, told where its packages are.
pub fn node(program: &str) -> Command {
    let packages = needed("node/node_modules");
    let mut command = Command::new("node");
    command
        .arg(handlers::source("tests/interop").join(program))
        .env("WSRUN_NODE_MODULES", packages);
    if let Some(browser) = ["chromium", "chromium-browser"]
        .iter()
        .find_map(|name| program_path(name))
    {
        command.env("WSRUN_CHROMIUM", browser);
    }
    command
}

/// A server that is not ours. It is killed when the test is done with it.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    url: String,
}

impl Serving {
    /// Starts a program and waits until it prints `listening on URL`.
    #[track_caller]
    pub fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} could not be started ({error}): run {SCRIPT} first")
            });
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        let read = output.read_line(&mut line);
        let url = line.trim().strip_prefix("listening on ");
        let url = url.unwrap_or_else(|| panic!("{name} does not listen: {read:?} {line:?}"));
        Self {
            url: url.to_owned(),
            child,
        }
    }

    /// A program that does not tell: it is given its port, and waited for.
    #[track_caller]
    pub fn start_on_port(mut command: Command, port: u16) -> Self {
        let name = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} could not be started ({error}): run {SCRIPT} first")
            });
        let serving = Self {
            child,
            url: format!("ws://127.0.0.1:{port}"),
        };
        wait::until(&format!("{name} listens"), || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        serving
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end and asserts that it succeeds; what it printed is the panic's text otherwise.
#[track_caller]
pub fn succeeds(mut command: Command) -> Output {
    let name = format!("{command:?}");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| {
        panic!("{name} could not be started ({error}): run {SCRIPT} first")
    });
    let pid = rustix::process::Pid::from_child(&child);
    let ended = thread::spawn(move || child.wait_with_output());
    let deadline = std::time::Instant::now() + wait::PATIENCE * 6;
    while !ended.is_finished() && std::time::Instant::now() < deadline {
        thread::sleep(std::time::Duration::from_millis(10));
    }
    if !ended.is_finished() {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let output = ended
        .join()
        .expect("the waiting thread lives")
        .expect("a child can be waited for");
    assert!(
        output.status.success(),
        "{name}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn needed(path: &str) -> PathBuf {
    let path = cache().join(path);
    assert!(
        path.exists(),
        "{} is missing: run {SCRIPT} first",
        path.display()
    );
    path
}

fn cache() -> PathBuf {
    if let Some(dir) = std::env::var_os("WSRUN_TEST_CACHE") {
        return dir.into();
    }
    let caches = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(".cache")
        });
    caches.join("wsrun-tests")
}

fn program_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}
