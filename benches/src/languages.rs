//! What a handler costs in each language: the template `echo`, made by `wsrun new`, built by `wsrun build`, and measured.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::link::{Link, Way};
use crate::machine;
use crate::process::{self, Accounts, Server};
use crate::result::Machine;
use crate::traffic::Message;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The wsrun to measure: a release build
    #[arg(long, value_name = "FILE", default_value = "target/release/wsrun")]
    wsrun: PathBuf,
    /// Languages as `wsrun new --lang` knows them, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "rust,c,zig,go,js,ts,python"
    )]
    languages: Vec<String>,
    /// A folder with compilers, which comes first in PATH
    #[arg(long, value_name = "DIR")]
    compilers: Option<PathBuf>,
    /// How often each start and each cost is measured; the median counts
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement of a cost, after a warm-up of half a second
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Lets the scheduler place server and client
    #[arg(long)]
    no_pin: bool,
    /// Where the table goes
    #[arg(long, value_name = "FILE", default_value = "target/languages.md")]
    out: PathBuf,
}

/// What was measured of one language.
struct Row {
    language: String,
    component: u64,
    compiled: u64,
    first_start: Duration,
    start: Duration,
    linear: u64,
    resident: u64,
    instance: u64,
    small: Duration,
    large: Duration,
}

/// Measures all of them, and writes the table anew after each.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.rounds > 0, "--rounds is at least 1");
    let pinned =
        !args.no_pin && std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let mut machine = machine::describe(pinned);
    let wsrun = fs::canonicalize(&args.wsrun)
        .with_context(|| format!("cannot find {}", args.wsrun.display()))?;
    // What the server is built for decides more than the language: a debug build is told.
    let is_release = wsrun.parent().is_some_and(|dir| dir.ends_with("release"));
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for language in &args.languages {
        let component = make(args, &wsrun, folder.path(), language)
            .with_context(|| format!("{language}: no component"))?;
        let row = measure(args, &wsrun, folder.path(), language, &component, pinned)
            .with_context(|| format!("{language}: not measured"))?;
        println!("{}", line(&row));
        rows.push(row);
        machine.load_after = machine::load();
        if let Some(parent) = args.out.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&args.out, table(&rows, &machine, args, is_release))?;
    }
    println!("\n{}", args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// A project and its component.
fn make(args: &Args, wsrun: &Path, folder: &Path, language: &str) -> anyhow::Result<PathBuf> {
    let name = format!("echo-{language}");
    let mut path = OsString::new();
    if let Some(compilers) = &args.compilers {
        path.push(fs::canonicalize(compilers)?);
        path.push(":");
    }
    path.push(wsrun.parent().unwrap_or_else(|| Path::new("/")));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let run = |dir: &Path, words: &[&str]| -> anyhow::Result<String> {
        let output = Command::new(wsrun)
            .args(words)
            .current_dir(dir)
            .env("PATH", &path)
            .env("CARGO_TARGET_DIR", folder.join("target"))
            .env_remove("CARGO")
            .env_remove("RUSTFLAGS")
            .env_remove("MAKEFLAGS")
            .output()?;
        ensure!(
            output.status.success(),
            "wsrun {}:\n{}{}",
            words.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    run(
        folder,
        &["new", &name, "--lang", language, "--template", "echo"],
    )?;
    let project = folder.join(&name);
    let told = run(&project, &["build"])?;
    // The last line is the component and, in brackets, its size.
    let last = told.lines().last().unwrap_or_default();
    let (component, _) = last
        .rsplit_once(" (")
        .with_context(|| format!("wsrun build does not tell what it built: {told}"))?;
    let component = project.join(component);
    ensure!(component.is_file(), "{} is missing", component.display());
    Ok(component)
}

/// One component and how it is served.
struct Served<'a> {
    wsrun: &'a Path,
    component: &'a Path,
    folder: &'a Path,
    cache: &'a Path,
    core: Option<usize>,
}

impl Served<'_> {
    /// A server, and how long it took from the start of the process to the first answer of the handler.
    fn start(&self, more: &[&str]) -> anyhow::Result<(Server, Way, Duration)> {
        let began = Instant::now();
        let log = self.folder.join("server.log");
        let cores = self.core.map(|core| core..core + 1);
        let server = Server::start(cores, &log, START_UP, |port| {
            let mut command = Command::new(self.wsrun);
            command
                .arg(self.component)
                .args(["--listen", &format!("127.0.0.1:{port}")])
                .args(["--log-level", "warn", "--cache-dir"])
                .arg(self.cache)
                .arg("--admin")
                .arg(self.admin())
                .args(more);
            if rustix::process::geteuid().is_root() {
                command.arg("--allow-root");
            }
            command
        })?;
        let way = Way {
            address: server.address,
            tls: None,
            deflate: false,
            raw: false,
        };
        let message = Message::plain(SMALL, true);
        Link::learn(&way, &message.frame, &message.payload)?;
        Ok((server, way, began.elapsed()))
    }

    fn admin(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// The linear memories of the handler's instances together, as the host counts them.
    fn linear(&self) -> anyhow::Result<u64> {
        let output = Command::new(self.wsrun)
            .args(["ctl", "--admin"])
            .arg(self.admin())
            .args(["status", "--json"])
            .output()?;
        let status: serde_json::Value = serde_json::from_slice(&output.stdout)
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let bytes = status.pointer("/handlers/0/memory_bytes");
        bytes
            .and_then(serde_json::Value::as_u64)
            .context("the status has no memory_bytes")
    }
}

fn measure(
    args: &Args,
    wsrun: &Path,
    folder: &Path,
    language: &str,
    component: &Path,
    pinned: bool,
) -> anyhow::Result<Row> {
    let cache = folder.join(format!("cache-{language}"));
    let mut served = Served {
        wsrun,
        component,
        folder,
        cache: &cache,
        core: None,
    };
    // Compiling takes all cores, as it does for a user.
    let (server, _, first_start) = served.start(&[])?;
    server.terminate()?;
    let compiled = size_of(&cache)?;
    served.core = pinned.then_some(SERVER_CORE);
    let mut starts = Vec::new();
    let (mut linear, mut resident) = (0, 0);
    for _ in 0..args.rounds {
        let (server, _, start) = served.start(&[])?;
        starts.push(start);
        linear = served.linear()?;
        resident = process::memory(server.process())?.resident;
        server.terminate()?;
    }
    let instance = of_an_instance(&served)?;
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        small.push(cost(&served, args, SMALL)?);
        large.push(cost(&served, args, LARGE)?);
    }
    Ok(Row {
        language: language.to_owned(),
        component: fs::metadata(component)?.len(),
        compiled,
        first_start,
        start: median(starts),
        linear,
        resident,
        instance,
        small: median(small),
        large: median(large),
    })
}

/// What each further instance adds to the resident memory of the server, where each connection has its own.
fn of_an_instance(served: &Served<'_>) -> anyhow::Result<u64> {
    let (server, way, _) = served.start(&["--scope", "connection", "--workers", "1"])?;
    let message = Message::plain(SMALL, true);
    let reply = Link::learn(&way, &message.frame, &message.payload)?;
    let mut links = Vec::new();
    let mut open = |count: usize| -> anyhow::Result<u64> {
        for _ in 0..count {
            let mut link = Link::open(&way)?;
            link.touch(&message.frame, &reply)?;
            links.push(link);
        }
        Ok(process::memory(server.process())?.resident)
    };
    let before = open(INSTANCES)?;
    let after = open(INSTANCES)?;
    drop(links);
    server.terminate()?;
    Ok(after.saturating_sub(before) / INSTANCES as u64)
}

/// Processor time of the server for a message of this size, there and back, on one connection.
fn cost(served: &Served<'_>, args: &Args, size: usize) -> anyhow::Result<Duration> {
    let (server, way, _) = served.start(&[])?;
    let message = Message::plain(size, true);
    let reply = Link::learn(&way, &message.frame, &message.payload)?;
    let mut link = Link::open(&way)?;
    let accounts = Accounts::of(server.process());
    let mut exchange = |time: Duration| -> anyhow::Result<u32> {
        let began = Instant::now();
        let mut messages = 0;
        while began.elapsed() < time {
            link.touch(&message.frame, &reply)?;
            messages += 1;
        }
        Ok(messages)
    };
    exchange(WARM_UP)?;
    let before = accounts.cpu()?;
    let messages = exchange(Duration::from_secs_f64(args.seconds))?;
    let spent = accounts.cpu()?.saturating_sub(before);
    server.terminate()?;
    ensure!(messages > 0, "no message came back");
    Ok(spent / messages)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn size_of(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() {
            size_of(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(bytes)
}

fn line(row: &Row) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        row.language,
        megabytes(row.component),
        megabytes(row.compiled),
        seconds(row.first_start),
        seconds(row.start),
        megabytes(row.linear),
        megabytes(row.instance),
        megabytes(row.resident),
        micros(row.small),
        micros(row.large)
    )
}

fn table(rows: &[Row], machine: &Machine, args: &Args, is_release: bool) -> String {
    let mut text = String::from(
        "| | component, MB | compiled, MB | first start, s | later starts, s | linear memory, MB | resident per instance, MB | resident, \
         server with one, MB | 64 B, µs | 64 KiB, µs |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        text += &line(row);
        text.push('\n');
    }
    let build = if is_release {
        "release build"
    } else {
        "**not a release build: to compare by, not to plan with**"
    };
    let _ = writeln!(
        text,
        "\nMeasured {}, commit {}, {build}, on {} ({} cores, {:.0} GiB, Linux {}){}; medians of {} rounds; {:.1} and {:.1} other processes \
         wanted a core before and after.",
        machine.date,
        machine.commit,
        machine.processor,
        machine.cores,
        machine.memory_gib,
        machine.kernel,
        if machine.pinned {
            ", the server on a core of its own"
        } else {
            ""
        },
        args.rounds,
        machine.load_before,
        machine.load_after
    );
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e6)
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

fn micros(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e6)
}

const SERVER_CORE: usize = 0;
const SMALL: usize = 64;
const LARGE: usize = 64 * 1024;
/// Twice as many are made in all.
const INSTANCES: usize = 20;
const WARM_UP: Duration = Duration::from_millis(500);
/// The first start compiles the component.
const START_UP: Duration = Duration::from_secs(300);
