//! Measures wsrun against other servers. See README.md.

#![expect(clippy::print_stdout, reason = "this is a program")]
#![expect(clippy::print_stderr, reason = "this is a program")]

mod criteria;
mod guard;
mod languages;
mod life;
mod link;
mod load;
mod machine;
mod merge;
mod meter;
mod peers;
mod poll;
mod process;
mod raw;
mod report;
mod result;
mod run;
mod scenario;
mod traffic;
mod valgrind;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Parser;

use crate::peers::{Handlers, PEERS, Peer, Places, build_handlers};
use crate::result::Results;
use crate::run::Session;
use crate::scenario::{Effort, Scenario, scenarios};

/// Measures wsrun against other servers.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// Measures, and writes a report
    Run(RunArgs),
    /// Writes the report anew from the JSON of an earlier run, or one from those of several
    Report {
        /// What runs have left as performance.json, of one machine and one commit
        #[arg(required = true)]
        json: Vec<PathBuf>,
        /// Merges runs of different commits
        #[arg(long)]
        any_commit: bool,
        /// Where to
        #[arg(long, value_name = "DIR", default_value = "target/performance")]
        out: PathBuf,
    },
    /// Counts instructions and compares them with a file of earlier counts
    Guard(guard::Args),
    /// Measures handlers in each language
    Languages(languages::Args),
    /// The server that others are compared with: TCP without a protocol
    Raw {
        #[arg(long)]
        port: u16,
        #[arg(long, default_value = "echo")]
        mode: raw::Mode,
        /// Threads, each with connections of its own
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
    /// Does a fixed amount of work, for the guard to count the instructions of
    #[command(hide = true)]
    Work(guard::WorkArgs),
    /// Becomes valgrind, with one system call refused
    #[command(hide = true)]
    Valgrind {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    /// The wsrun to measure: a release build
    #[arg(long, value_name = "FILE", default_value = "target/release/wsrun")]
    wsrun: PathBuf,
    /// The same host with a native handler [default: examples/native_echo beside --wsrun]
    #[arg(long, value_name = "FILE")]
    native: Option<PathBuf>,
    /// Components: one that echoes, one that sends everything to everybody, one that echoes backwards [default: they are built]
    #[arg(long, value_name = "FILE", num_args = 3, value_names = ["ECHO", "FAN", "REVERSE"])]
    handlers: Option<Vec<PathBuf>>,
    /// Scenarios, by name or the beginning of it, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Servers, separated by commas [default: all that are installed]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peers: Vec<String>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,
    /// Seconds of each measurement, after a warm-up of a second
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
    /// Messages per second of the scenario with a fixed rate
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    rate: u32,
    /// One short round with few connections: whether everything works
    #[arg(long)]
    quick: bool,
    /// Lets the scheduler place server and load generator
    #[arg(long)]
    no_pin: bool,
    /// The folder that peers/install filled [default: wsrun-bench in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "DIR", default_value = "target/performance")]
    out: PathBuf,
    /// Prints the names of scenarios and servers, and ends
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let outcome = match Command::parse() {
        Command::Run(args) => run(args),
        Command::Report {
            json,
            any_commit,
            out,
        } => report_again(&json, any_commit, &out),
        Command::Guard(args) => guard::run(&args),
        Command::Languages(args) => languages::run(&args),
        Command::Raw {
            port,
            mode,
            workers,
        } => raw::serve(port, mode, workers).map(|()| ExitCode::SUCCESS),
        Command::Work(args) => {
            guard::work(&args);
            Ok(ExitCode::SUCCESS)
        }
        Command::Valgrind { arguments } => Err(valgrind::exec(&arguments)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("wsrun-bench: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let effort = effort(&args, cores);
    let scenarios = chosen(scenarios(&effort), &args.only)?;
    if args.list {
        for scenario in &scenarios {
            println!("{:<14} {}", scenario.name, scenario.title);
        }
        for peer in &PEERS {
            println!("{:<18} {}", peer.name, peer.title);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cache = cache_folder(args.cache)?;
    let handlers = match args.handlers.as_deref() {
        Some([echo, fan, reverse]) => Handlers {
            echo: echo.clone(),
            fan: fan.clone(),
            reverse: reverse.clone(),
        },
        _ => build_handlers(&cache)?,
    };
    let beside = args.wsrun.parent().unwrap_or_else(|| Path::new("."));
    let places = Places {
        native: args
            .native
            .unwrap_or_else(|| beside.join("examples/native_echo")),
        wsrun: args.wsrun,
        handlers,
        cache,
        certificate: PathBuf::new(),
        key: PathBuf::new(),
    };
    let (mut peers, mut versions, mut missing) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for name in &args.peers {
        let known = PEERS.iter().any(|peer| peer.name == name);
        ensure!(
            known,
            "there is no server {name}; --list tells which there are"
        );
    }
    for peer in &PEERS {
        if !args.peers.is_empty() && !args.peers.iter().any(|name| name == peer.name) {
            continue;
        }
        match places.check(peer) {
            Ok(()) => {
                versions.insert(peer.name.to_owned(), places.version(peer)?);
                peers.push(peer);
            }
            Err(reason) => {
                eprintln!("{}: {reason}", peer.name);
                missing.insert(peer.name.to_owned(), reason.to_string());
            }
        }
    }
    let pinned = !args.no_pin && cores > 1;
    let machine = machine::describe(pinned);
    let placement = process::Placement {
        cores: pinned.then_some(cores),
    };
    let session = Session::new(places, effort, placement)?;
    let mut results = Results {
        machine,
        rounds: effort.rounds,
        seconds: effort.measure.as_secs_f64(),
        fewer: effort.fewer,
        versions,
        missing,
        scenarios: Vec::new(),
    };
    measure(&session, &scenarios, &peers, &mut results, &args.out)?;
    println!("\n{}", args.out.join("performance.md").display());
    Ok(ExitCode::SUCCESS)
}

/// The report is written after each scenario: a run that is ended loses the scenario that it was at.
fn measure(
    session: &Session,
    scenarios: &[Scenario],
    peers: &[&Peer],
    results: &mut Results,
    out: &Path,
) -> anyhow::Result<()> {
    for together in scenarios.chunk_by(Scenario::goes_with) {
        let outcomes = session.scenarios(together, peers, |line| println!("{line}"));
        results.scenarios.extend(outcomes);
        results.machine.load_after = machine::load();
        report::write(results, out)?;
    }
    Ok(())
}

fn effort(args: &RunArgs, cores: usize) -> Effort {
    if args.quick {
        return Effort {
            rounds: 1,
            warm_up: Duration::from_millis(200),
            measure: Duration::from_millis(500),
            fewer: 15,
            rate: args.rate,
            workers_max: cores,
        };
    }
    Effort {
        rounds: args.rounds,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs_f64(args.seconds),
        fewer: 1,
        rate: args.rate,
        workers_max: cores,
    }
}

fn chosen(scenarios: Vec<Scenario>, only: &[String]) -> anyhow::Result<Vec<Scenario>> {
    // A whole name means that one alone, although others may begin with it.
    let matches = |scenario: &Scenario, wanted: &String| {
        let exact = scenarios.iter().any(|scenario| scenario.name == *wanted);
        scenario.name == *wanted || (!exact && scenario.name.starts_with(wanted.as_str()))
    };
    for wanted in only {
        if !scenarios.iter().any(|scenario| matches(scenario, wanted)) {
            bail!("there is no scenario {wanted}; --list tells which there are");
        }
    }
    let wanted =
        |scenario: &&Scenario| only.is_empty() || only.iter().any(|name| matches(scenario, name));
    Ok(scenarios.iter().filter(wanted).cloned().collect())
}

fn report_again(json: &[PathBuf], any_commit: bool, out: &Path) -> anyhow::Result<ExitCode> {
    let read = |file: &PathBuf| -> anyhow::Result<Results> {
        let text = fs::read_to_string(file)?;
        Ok(serde_json::from_str(&text)?)
    };
    let runs = json
        .iter()
        .map(|file| read(file).with_context(|| format!("cannot read {}", file.display())));
    let results = merge::merge(runs.collect::<Result<_, _>>()?, any_commit)?;
    report::write(&results, out)?;
    Ok(ExitCode::SUCCESS)
}

fn cache_folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    given
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("wsrun-bench")))
        .or_else(|| Some(variable("HOME")?.join(".cache/wsrun-bench")))
        .context("there is no home folder: give --cache")
}
