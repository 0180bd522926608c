//! The `wsrun` binary, started, watched and ended by a test.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::handshake::Request;
use crate::neighbour::Neighbour;
use crate::peer::Peer;
use crate::usage::Usage;
use crate::wait;

/// A server that will be started.
#[derive(Debug)]
pub struct Builder {
    arguments: Vec<OsString>,
    listeners: Vec<String>,
    open_files_max: Option<u32>,
    launcher: Vec<OsString>,
    inherited: usize,
    environment: Vec<(String, OsString)>,
}

/// A running server. It is killed when the test is done with it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    addresses: Vec<String>,
    log: Log,
    stdout: Receiver<String>,
}

/// How a run of the binary ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it printed beside.
    pub stderr: String,
}

/// Runs the binary with these arguments to its end.
#[track_caller]
pub fn run<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Ended {
    run_with_input(arguments, "")
}

/// Runs the binary with these arguments and this input to its end.
#[track_caller]
pub fn run_with_input<I: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = I>,
    input: &str,
) -> Ended {
    run_command(&mut command(arguments), input, true)
}

/// The same with an input that does not end: something else must end the run.
#[track_caller]
pub fn run_with_open_input<I: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = I>,
    input: &str,
) -> Ended {
    run_command(&mut command(arguments), input, false)
}

fn command<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    let arguments: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
    command.args(allow_root(&arguments));
    command
}

/// What a run of a handler needs to be told when the tests run as root.
fn allow_root(arguments: &[OsString]) -> Option<&'static str> {
    let is_handler = |argument: &OsString| {
        Path::new(argument)
            .extension()
            .is_some_and(|kind| kind == "wasm")
    };
    let serves = arguments.first().is_some_and(|first| {
        let first = first.to_string_lossy();
        let commands = [
            "inspect",
            "connect",
            "client",
            "ctl",
            "ping",
            "completions",
            "component",
            "new",
            "build",
            "test",
            "replay",
        ];
        // `connect` runs a handler if it is given one.
        !commands.contains(&first.as_ref())
            || (["connect", "client"].contains(&first.as_ref()) && arguments.iter().any(is_handler))
    });
    let is_told = arguments
        .iter()
        .any(|argument| argument == "--user" || argument == "--allow-root");
    (serves && !is_told && is_root()).then_some("--allow-root")
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a command of one's own making to its end.
#[track_caller]
pub fn run_command(command: &mut Command, input: &str, ends: bool) -> Ended {
    run_command_within(command, input, ends, wait::PATIENCE)
}

/// The same for what may take longer.
#[track_caller]
pub fn run_command_within(
    command: &mut Command,
    input: &str,
    ends: bool,
    timeout: Duration,
) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A program that ends without reading its input is none of our business.
    let _ = stdin.write_all(input.as_bytes());
    let stdin = (!ends).then_some(stdin);
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let mut stderr = child.stderr.take().expect("stderr is piped");
    let stdout = thread::spawn(move || text_of(&mut stdout));
    let stderr = thread::spawn(move || text_of(&mut stderr));
    let status = exit_status(&mut child, timeout);
    drop(stdin);
    let text =
        |thread: thread::JoinHandle<String>| thread.join().expect("the reading thread lives");
    Ended {
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}

/// The binary under test: beside the test executables, or another that `WSRUN_TEST_BINARY` names, to see that a test finds what is wrong
/// with that one.
pub fn binary() -> PathBuf {
    if let Some(other) = std::env::var_os("WSRUN_TEST_BINARY") {
        return other.into();
    }
    let binary = profile_folder().join("wsrun");
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build` first",
        binary.display()
    );
    binary
}

fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    test.ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "deps"))
        .and_then(Path::parent)
        .expect("test executables lie in deps")
        .to_path_buf()
}

/// A folder that outlives the test, for what is worth keeping: compiled components, screenshots.
pub fn kept_folder(name: &str) -> PathBuf {
    let folder = profile_folder().join("wsrun-tests").join(name);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

impl Builder {
    /// One more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<I: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = I>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// One more listener; a port of 127.0.0.1 otherwise.
    pub fn listen(mut self, address: &str) -> Self {
        self.listeners.push(address.to_owned());
        self
    }

    /// Lets the process open so many files only.
    pub fn open_files_max(mut self, number: u32) -> Self {
        self.open_files_max = Some(number);
        self
    }

    /// A program and its arguments that becomes the server, having prepared something.
    pub fn launched_by<I: AsRef<OsStr>>(mut self, launcher: impl IntoIterator<Item = I>) -> Self {
        let launcher = launcher.into_iter();
        self.launcher = launcher
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        self
    }

    /// Listeners that the launcher hands over; nothing else is listened on.
    pub fn inherits(mut self, listeners: usize) -> Self {
        self.inherited = listeners;
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Server {
        // A component that contains a whole interpreter is compiled first.
        self.start_within(wait::PATIENCE * 6)
    }

    /// The same for a server that is to listen sooner.
    #[track_caller]
    pub fn start_within(mut self, timeout: Duration) -> Server {
        if self.listeners.is_empty() && self.inherited == 0 {
            self.listeners.push("127.0.0.1:0".to_owned());
        }
        if let Some(number) = self.open_files_max {
            let limit = format!("ulimit -n {number}; exec \"$0\" \"$@\"");
            self = self.launched_by(["sh", "-c", &limit]);
        }
        let mut command = match self.launcher.split_first() {
            None => Command::new(binary()),
            Some((launcher, arguments)) => {
                let mut command = Command::new(launcher);
                command.args(arguments).arg(binary());
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(&self.arguments);
        command.args(allow_root(&self.arguments));
        // Who says where the user's folders are wants the default.
        let has_home = self
            .environment
            .iter()
            .any(|(name, _)| name == "HOME" || name == "XDG_CACHE_HOME");
        let has_cache = self
            .arguments
            .iter()
            .any(|argument| argument == "--cache-dir" || argument == "--no-cache");
        if !has_cache && !has_home {
            command.arg("--cache-dir").arg(kept_folder("cache"));
        }
        for listener in &self.listeners {
            command.arg("--listen").arg(listener);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let log = Log::of(child.stderr.take().expect("stderr is piped"));
        let stdout = lines_of(child.stdout.take().expect("stdout is piped"));
        let mut server = Server {
            child,
            addresses: Vec::new(),
            log,
            stdout,
        };
        while server.addresses.len() < self.listeners.len().max(self.inherited) {
            let line = server
                .stdout
                .recv_timeout(timeout)
                .unwrap_or_else(|_| panic!("the server does not listen:\n{}", server.log.text()));
            let address = line
                .strip_prefix("listening on ")
                .unwrap_or_else(|| panic!("an unknown line on stdout: {line:?}"));
            server.addresses.push(address.to_owned());
        }
        server
    }
}

impl Server {
    /// A server for this handler.
    pub fn of(handler: impl AsRef<Path>) -> Builder {
        Self::without_handler().arg(handler.as_ref())
    }

    /// A server whose handlers are given as further arguments.
    pub fn without_handler() -> Builder {
        Builder {
            arguments: Vec::new(),
            listeners: Vec::new(),
            open_files_max: None,
            launcher: Vec::new(),
            inherited: 0,
            environment: Vec::new(),
        }
    }

    /// What was printed as the address of a listener.
    pub fn url(&self, listener: usize) -> &str {
        &self.addresses[listener]
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.address_of(0)
    }

    /// The address of a listener.
    pub fn address_of(&self, listener: usize) -> SocketAddr {
        let url = self.url(listener);
        let address = url
            .strip_prefix("ws://")
            .or_else(|| url.strip_prefix("wss://"));
        address
            .and_then(|address| address.trim_end_matches('/').parse().ok())
            .unwrap_or_else(|| panic!("not the address of a TCP listener: {url:?}"))
    }

    /// A TCP connection to the first listener; nothing was sent.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::tcp(self.address())
    }

    /// An open WebSocket.
    #[track_caller]
    pub fn open(&self) -> Peer {
        self.open_with(&Request::upgrade("/"))
    }

    /// An open WebSocket that agreed on a subprotocol.
    #[track_caller]
    pub fn open_protocol(&self, name: &str) -> Peer {
        self.open_with(&Request::upgrade("/").with("Sec-WebSocket-Protocol", name))
    }

    /// A WebSocket opened with this request.
    #[track_caller]
    pub fn open_with(&self, request: &Request) -> Peer {
        let mut peer = self.connect();
        peer.upgrade(request);
        peer
    }

    /// A neighbour for a handler that echoes.
    #[track_caller]
    pub fn echoing_neighbour(&self) -> Neighbour {
        Neighbour::on(self.open(), "", "")
    }

    /// A neighbour for the probe.
    #[track_caller]
    pub fn probing_neighbour(&self) -> Neighbour {
        Neighbour::on(self.open(), "echo ", "")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process uses.
    pub fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }

    /// The end of the log so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// How many bytes were logged so far.
    pub fn logged_bytes(&self) -> u64 {
        self.log.total_bytes()
    }

    /// Waits until the log has this text.
    #[track_caller]
    pub fn expect_log(&self, text: &str) {
        wait::until(&format!("the log says {text:?}"), || {
            self.log.text().contains(text)
        });
    }

    /// Asks the server to stop, as service managers do.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server lives");
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait(&mut self, timeout: Duration) -> ExitStatus {
        exit_status(&mut self.child, timeout)
    }

    /// Asserts that the process lives.
    #[track_caller]
    pub fn lives(&mut self) {
        let ended = self.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "the server ended: {ended:?}");
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.try_wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let ended = ended
                .ok()
                .flatten()
                .map(|status| format!(" (it had ended: {status})"))
                .unwrap_or_default();
            let usage = "the log of the server";
            #[expect(
                clippy::print_stderr,
                reason = "the log explains the failure, and the test framework captures it"
            )]
            {
                eprintln!("---- {usage}{ended}\n{}----", self.log.text());
            }
        }
    }
}

/// The last bytes of a log, read by a thread of its own so that the process never waits for its reader.
#[derive(Clone, Debug)]
struct Log(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    bytes: VecDeque<u8>,
    total: u64,
}

const LOG_BYTES_KEPT: usize = 1 << 20;

impl Log {
    fn of(mut source: impl Read + Send + 'static) -> Self {
        let log = Self(Arc::default());
        thread::spawn({
            let log = log.clone();
            move || {
                let mut buffer = [0; 8192];
                while let Ok(length @ 1..) = source.read(&mut buffer) {
                    let mut kept = log.kept();
                    kept.bytes.extend(&buffer[..length]);
                    kept.total += length as u64;
                    let surplus = kept.bytes.len().saturating_sub(LOG_BYTES_KEPT);
                    kept.bytes.drain(..surplus);
                }
            }
        });
        log
    }

    fn text(&self) -> String {
        let mut kept = self.kept();
        String::from_utf8_lossy(kept.bytes.make_contiguous()).into_owned()
    }

    fn total_bytes(&self) -> u64 {
        self.kept().total
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines_of(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn text_of(source: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = source.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn exit_status(child: &mut Child, timeout: Duration) -> ExitStatus {
    let mut status = None;
    let deadline = std::time::Instant::now() + timeout;
    while status.is_none() && std::time::Instant::now() < deadline {
        status = child.try_wait().expect("a child can be waited for");
        thread::sleep(Duration::from_millis(5));
    }
    status.unwrap_or_else(|| {
        let _ = child.kill();
        panic!("the process did not end within {timeout:?}")
    })
}
