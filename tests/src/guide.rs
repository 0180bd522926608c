//! The pages of the book: what is written in them is built, run and compared.
//!
//! A page is walked from its top, as a reader would, in an empty folder with `wsrun` in `PATH`. The word behind a fence is the language, and
//! what follows the comma says what the block is:
//!
//! | block | |
//! |---|---|
//! | `sh` | commands, run where those before have led; they must succeed |
//! | `sh,stays` | a server: runs until the next one, or the end of the page |
//! | `sh,install` | packages for the reader's machine: they must be those that the tests' own scripts install |
//! | `console` | `$ ` a command, `> ` what is typed into it, and the lines that it must print; `…` stands for anything |
//! | `LANGUAGE,is=FILE` | a file of the project has this text |
//! | `LANGUAGE,file=FILE` | the reader writes the file |
//! | `rust` | a whole handler: it is built, and lies in the folder as `handler.wasm` |
//! | `rust,program=FILE` | a whole program, for `--stdio`: it is built, and lies in the folder as FILE |
//! | `toml` | a scenario that this handler must pass; several may follow |
//! | `LANGUAGE,part` | a file of the sources that the tests use: nothing but an include |
//! | `json` | one value, or several |
//! | `nginx` | the configuration of a proxy, for which there is a test of its own |
//! | `text,drawing` | a picture |
//!
//! A block in a comment of the page is one that its reader does not see: what the page takes for granted.
//!
//! Whatever else is an error, so that no block goes unchecked. `{{#include FILE}}` is as mdBook has it. Addresses at the ports 9000 and 9100
//! are replaced by ports of the test's own.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::handlers;
use crate::server::{self, binary, kept_folder};
use crate::wait;

/// A command, a build among them, on a busy machine.
const COMMAND: Duration = Duration::from_secs(300);
/// An answer that something must have led to.
const ANSWER: Duration = Duration::from_secs(10);
/// Where packages are named that the tests install.
const INSTALLERS: [&str; 2] = ["scripts/toolchains-native", "scripts/test-environment"];

/// What stands between two fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    /// What stands behind the fence.
    pub info: String,
    /// With everything included.
    pub text: String,
    /// The file that it was included from, if it is nothing else.
    pub included: Option<PathBuf>,
}

/// The blocks of a page.
pub fn blocks(page: &Path) -> io::Result<Vec<Block>> {
    let text = fs::read_to_string(page)?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let mut block = Block {
            line: number + 1,
            info: info.trim().to_owned(),
            text: String::new(),
            included: None,
        };
        let mut own_lines = 0;
        loop {
            let Some((_, line)) = lines.next() else {
                let place = format!("{}:{}", page.display(), block.line);
                return Err(io::Error::other(format!("{place}: the block does not end")));
            };
            if line.trim() == "```" {
                break;
            }
            match included(line) {
                Some(file) => {
                    let file = page.with_file_name(file);
                    block.text += &fs::read_to_string(&file).map_err(|error| {
                        io::Error::other(format!("{}: {error}", file.display()))
                    })?;
                    block.included = Some(file);
                }
                None => {
                    own_lines += 1;
                    block.text += line;
                    block.text.push('\n');
                }
            }
        }
        if own_lines > 0 {
            block.included = None;
        }
        blocks.push(block);
    }
    Ok(blocks)
}

fn included(line: &str) -> Option<&str> {
    let file = line.trim().strip_prefix("{{#include ")?;
    file.strip_suffix("}}")
}

/// A reader on the way through a page.
#[derive(Debug)]
pub struct Walk {
    folder: tempfile::TempDir,
    /// Where the commands so far have led.
    place: PathBuf,
    /// With the `wsrun` that they find.
    tools: tempfile::TempDir,
    ports: [u16; 2],
    serving: Option<Serving>,
    /// A file was written: a server that watches it needs a while.
    is_edited: bool,
    has_handler: bool,
}

impl Walk {
    /// An empty folder.
    pub fn begin() -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let walk = Self {
            place: folder.path().to_owned(),
            folder,
            tools: tempfile::tempdir()?,
            ports: [free_port()?, free_port()?],
            serving: None,
            is_edited: false,
            has_handler: false,
        };
        walk.write_wsrun()?;
        Ok(walk)
    }

    /// Does what a block says, and compares.
    pub fn take(&mut self, block: &Block) -> io::Result<()> {
        let (language, purpose) = block.info.split_once(',').unwrap_or((&block.info, ""));
        match (language, purpose.split_once('=').unwrap_or((purpose, ""))) {
            ("sh", ("", _)) => self.run(&block.text),
            ("sh", ("stays", _)) => self.serve(&block.text),
            ("sh", ("install", _)) => is_installed(&block.text),
            ("console", ("", _)) => self.talk_until(&block.text),
            ("text", ("drawing", _)) | ("nginx", ("", _)) => Ok(()),
            (_, ("part", _)) if block.included.is_some() => Ok(()),
            ("rust", ("", _)) => self.build(block),
            ("rust", ("program", file)) => self.build_program(file, &block.text),
            ("json", ("", _)) => is_json(&block.text),
            ("toml", ("", _)) => self.play(&block.text),
            (_, ("is", file)) => self.compare(file, &block.text),
            (_, ("file", file)) => self.write(file, &block.text),
            _ => Err(failed(format!(
                "nobody knows what a block ```{} is: see tests/src/guide.rs",
                block.info
            ))),
        }
    }

    /// The `wsrun` of the page: it listens where the test has room, its compiled handlers are kept, and it may be root.
    fn write_wsrun(&self) -> io::Result<()> {
        let root = if server::is_root() {
            "--allow-root"
        } else {
            ""
        };
        let script = format!(
            "#!/bin/sh\n\
             case \"$1\" in\n\
             new|build|inspect|ctl|ping|component|connect) exec {program} \"$@\" ;;\n\
             test|replay) exec {program} \"$@\" --cache-dir {cache} ;;\n\
             esac\n\
             case \" $* \" in *' --listen '*) ;; *) set -- \"$@\" --listen 127.0.0.1:{port} ;; esac\n\
             exec {program} \"$@\" {root} --cache-dir {cache}\n",
            program = binary().display(),
            cache = kept_folder("cache").display(),
            port = self.ports[0],
        );
        let file = self.tools.path().join("wsrun");
        fs::write(&file, script)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
    }

    fn shell(&self, script: &str) -> io::Result<Command> {
        let script = script
            .replace(":9000", &format!(":{}", self.ports[0]))
            .replace(":9100", &format!(":{}", self.ports[1]));
        let mut path = OsString::from(self.tools.path());
        path.push(":");
        path.push(toolchains_path());
        let mut command = Command::new("sh");
        command
            .arg("-ec")
            .arg(script)
            .current_dir(&self.place)
            .env("PATH", path)
            // What projects have in common is built or fetched once.
            .env("CARGO_BUILD_BUILD_DIR", kept_folder("guide-build"))
            .env("VENV", kept_folder("python-venv"))
            .env("npm_config_prefer_offline", "true")
            .env("npm_config_audit", "false")
            // Of the outer cargo nothing is meant for this one.
            .env_remove("CARGO")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .env_remove("MAKEFLAGS")
            .process_group(0);
        Ok(command)
    }

    fn run(&mut self, script: &str) -> io::Result<()> {
        let end = self.tools.path().join("end");
        let mut command = self.shell(&format!("{script}\npwd >'{}'", end.display()))?;
        let ended = server::run_command_within(&mut command, "", true, COMMAND);
        if ended.code != Some(0) {
            return Err(failed(format!(
                "exit code {:?}:\n{}{}",
                ended.code, ended.stdout, ended.stderr
            )));
        }
        self.place = PathBuf::from(fs::read_to_string(end)?.trim_end());
        Ok(())
    }

    fn serve(&mut self, script: &str) -> io::Result<()> {
        self.serving = None;
        let mut command = self.shell(&format!("exec {}", script.trim()))?;
        let log = self.folder.path().join(".log");
        let errors = fs::File::create(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(errors.try_clone()?)
            .stderr(errors)
            .spawn()?;
        let mut serving = Serving { child };
        let deadline = Instant::now() + COMMAND;
        loop {
            let text = fs::read_to_string(&log)?;
            if text.contains("listening on ") {
                break;
            }
            let ended = serving.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(failed(format!("it does not listen ({ended:?}):\n{text}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.serving = Some(serving);
        self.is_edited = false;
        Ok(())
    }

    fn talk_until(&mut self, text: &str) -> io::Result<()> {
        let deadline = Instant::now() + COMMAND;
        loop {
            match self.talk(text) {
                Err(_) if self.is_edited && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(200));
                }
                ended => {
                    self.is_edited &= ended.is_err();
                    return ended;
                }
            }
        }
    }

    fn talk(&self, text: &str) -> io::Result<()> {
        let mut rest = text.lines().peekable();
        while let Some(line) = rest.next() {
            let Some(script) = line.strip_prefix("$ ") else {
                return Err(failed(format!("{line:?} is not behind a command")));
            };
            let mut command = self.shell(&format!("exec 2>&1; {script}"))?;
            let mut child = command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            let mut input = child.stdin.take();
            let output = lines_of(&mut child);
            let serving = Serving { child };
            let mut skips = false;
            while let Some(line) = rest.next_if(|line| !line.starts_with("$ ")) {
                if let Some(typed) = line.strip_prefix("> ") {
                    if let Some(input) = &mut input {
                        writeln!(input, "{typed}")?;
                    }
                } else if line == "…" {
                    skips = true;
                } else {
                    expect(&output, line, skips)?;
                    skips = false;
                }
            }
            drop(input);
            serving.ends_well()?;
        }
        Ok(())
    }

    fn build(&mut self, block: &Block) -> io::Result<()> {
        let component = match &block.included {
            Some(file) => handlers::built(&crate_of(file)?),
            None => built(&block.text, Kind::Handler)?,
        };
        fs::copy(component, self.place.join("handler.wasm"))?;
        self.has_handler = true;
        Ok(())
    }

    fn build_program(&self, file: &str, text: &str) -> io::Result<()> {
        fs::copy(built(text, Kind::Program)?, self.place.join(file))?;
        Ok(())
    }

    fn play(&mut self, scenario: &str) -> io::Result<()> {
        if !self.has_handler {
            return Err(failed("there is no handler above the scenario"));
        }
        fs::write(self.place.join("scenario.toml"), scenario)?;
        self.run("wsrun test handler.wasm scenario.toml")
    }

    fn compare(&self, file: &str, text: &str) -> io::Result<()> {
        let found = fs::read_to_string(self.place.join(file))?;
        if found.contains(text) {
            return Ok(());
        }
        Err(failed(format!("{file} has another text:\n{found}")))
    }

    fn write(&mut self, file: &str, text: &str) -> io::Result<()> {
        let file = self.place.join(file);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text)?;
        self.is_edited = true;
        Ok(())
    }
}

/// A process and those that it has made.
#[derive(Debug)]
struct Serving {
    child: Child,
}

impl Serving {
    fn ends_well(mut self) -> io::Result<()> {
        let deadline = Instant::now() + ANSWER;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                return Err(failed(format!("the command ended with {status}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(failed("the command does not end"))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(group, Signal::TERM);
        }
        let deadline = Instant::now() + wait::PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// Waits for a line; `skips` others before it.
fn expect(output: &mpsc::Receiver<String>, pattern: &str, skips: bool) -> io::Result<()> {
    loop {
        match output.recv_timeout(ANSWER) {
            Ok(line) if is_like(&line, pattern) => return Ok(()),
            Ok(_) if skips => {}
            Ok(line) => return Err(failed(format!("expected {pattern:?}, got {line:?}"))),
            Err(_) => return Err(failed(format!("expected {pattern:?}, got nothing"))),
        }
    }
}

/// Whether a line is what the page says, where `…` stands for anything.
pub fn is_like(line: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut is_open = false;
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else {
            return false;
        };
        rest = behind;
        is_open = piece.is_empty();
    }
    is_open || rest.is_empty()
}

/// Every package of the lines must be one that the tests are run with.
fn is_installed(text: &str) -> io::Result<()> {
    let mut known = String::new();
    for file in INSTALLERS {
        known += &fs::read_to_string(handlers::source(file))?;
    }
    let known: Vec<&str> = known
        .split(|character: char| character.is_whitespace() || "()\"'=".contains(character))
        .collect();
    for line in text.lines() {
        let packages = ["apt install ", "pip install "]
            .iter()
            .find_map(|start| line.strip_prefix(start))
            .ok_or_else(|| failed(format!("{line:?} installs nothing that is known")))?;
        let packages = packages.split('#').next().unwrap_or_default();
        for package in packages.split_whitespace() {
            if !known.contains(&package) {
                return Err(failed(format!(
                    "{package} is not what the tests are run with"
                )));
            }
        }
    }
    Ok(())
}

/// The example that a file of the sources belongs to.
fn crate_of(file: &Path) -> io::Result<String> {
    let folder = file.parent().and_then(Path::parent);
    let name = folder
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| failed(format!("{} belongs to no example", file.display())))
}

fn is_json(text: &str) -> io::Result<()> {
    for value in serde_json::Deserializer::from_str(text).into_iter() {
        let _: serde_json::Value = value?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Handler,
    /// With a `main`.
    Program,
}

/// Builds a handler or a program of one file, with what the examples are built with.
fn built(text: &str, kind: Kind) -> io::Result<PathBuf> {
    let examples = handlers::source("examples");
    // A page has several, pages are walked at the same time, and one that was built is not built again: the name is the text's.
    let name = format!("block-{:016x}", hash(text));
    let folder = kept_folder("guide-blocks").join(&name);
    fs::create_dir_all(folder.join("src"))?;
    let workspace = fs::read_to_string(examples.join("Cargo.toml"))?;
    let profile = workspace
        .split_once("[profile.release]")
        .and_then(|(_, profile)| profile.split("\n\n").next())
        .ok_or_else(|| failed("the examples have no profile"))?;
    let sdk = handlers::source("guest-sdk");
    let (library, source) = match kind {
        Kind::Handler => ("[lib]\ncrate-type = [\"cdylib\"]\n\n", "src/lib.rs"),
        Kind::Program => ("", "src/main.rs"),
    };
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         {library}\
         [dependencies]\nwsrun-guest = {{ path = \"{}\" }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n\n\
         [workspace]\n\n[profile.release]{profile}\n",
        sdk.display()
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::copy(examples.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    fs::write(folder.join(source), text)?;
    let target = kept_folder("guide-target");
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(&folder)
        .args(["build", "--release", "--target", "wasm32-wasip2"])
        .env("CARGO_TARGET_DIR", &target)
        // What the reader would be warned of is not shown to them.
        .env("RUSTFLAGS", "-D warnings")
        .env_remove("CARGO_BUILD_BUILD_DIR")
        .env_remove("MAKEFLAGS");
    let ended = server::run_command_within(&mut cargo, "", true, COMMAND);
    if ended.code != Some(0) {
        return Err(failed(ended.stderr));
    }
    let file = match kind {
        Kind::Handler => format!("{}.wasm", name.replace('-', "_")),
        Kind::Program => format!("{name}.wasm"),
    };
    Ok(target.join("wasm32-wasip2/release").join(file))
}

/// Whether a virtual environment of Python can be made. If not, the test says so and is skipped, or fails where compilers are required.
#[track_caller]
pub fn has_python() -> bool {
    let imports = Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .output();
    if imports.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let text = "Python is not tested: there is no python3 with venv";
    assert!(
        env::var_os("WSRUN_TOOLCHAINS").is_none_or(|value| value != "required"),
        "{text}"
    );
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    {
        eprintln!("SKIPPED: {text}");
    }
    false
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// With the compilers that `scripts/toolchains-native` has installed before others.
fn toolchains_path() -> OsString {
    let mut path = OsString::new();
    if let Some(toolchains) = env::var_os("WSRUN_TOOLCHAINS_DIR") {
        path.push(Path::new(&toolchains).join("bin"));
        path.push(":");
    }
    path.push(env::var_os("PATH").unwrap_or_default());
    path
}

/// A port that nobody has.
pub fn free_port() -> io::Result<u16> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(socket.local_addr()?.port())
}

fn failed(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}
