//! Instructions in place of time: the same on every machine of a kind, however busy. Counted by valgrind, kept in a file, compared.
//!
//! Each count is the difference between two runs with different amounts of the same work, so that starting and stopping is not in it.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use wsrun_proto::ws::{frame, mask};

use crate::link::{Link, Way};
use crate::load::Exchange;
use crate::peers::{Ask, Handlers, PEERS, Places, WSRUN, build_handlers};
use crate::process::Server;
use crate::traffic::Message;
use crate::valgrind;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The wsrun to look at, of the same profile as this program
    #[arg(long, value_name = "FILE", default_value = PROFILE_WSRUN)]
    wsrun: PathBuf,
    /// Components: one that echoes, one that sends everything to everybody [default: they are built]
    #[arg(long, value_name = "FILE", num_args = 2, value_names = ["ECHO", "FAN"])]
    handlers: Option<Vec<PathBuf>>,
    /// The counts to compare with
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json"))]
    file: PathBuf,
    /// How much more is let through, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 4.0)]
    tolerance: f64,
    /// Puts the counts of this run into the file
    #[arg(long)]
    write: bool,
    /// Where handlers are built [default: wsrun-bench in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Name to instructions.
type Counts = BTreeMap<String, f64>;

/// Counts, and compares or writes.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(
        Command::new("valgrind").arg("--version").output().is_ok(),
        "valgrind is missing: install the package valgrind"
    );
    let counts = count(args)?;
    let mut known: BTreeMap<String, Counts> = match fs::read_to_string(&args.file) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("cannot understand {}", args.file.display()))?,
        Err(_) if args.write => BTreeMap::new(),
        Err(error) => bail!("cannot read {}: {error}", args.file.display()),
    };
    if args.write {
        known.insert(PROFILE.to_owned(), counts);
        fs::write(&args.file, serde_json::to_string_pretty(&known)? + "\n")?;
        println!("written to {}", args.file.display());
        return Ok(ExitCode::SUCCESS);
    }
    let Some(known) = known.remove(PROFILE) else {
        bail!(
            "{} has no counts of the profile {PROFILE}: `{WRITE}` puts them there",
            args.file.display()
        );
    };
    let verdict = compare(&known, &counts, args.tolerance);
    for line in &verdict.lines {
        println!("{line}");
    }
    if verdict.failed {
        println!(
            "\nThe hot path takes more instructions than {} says for the profile {PROFILE}. If that is worth it, run\n\
             `{WRITE}` and say in the commit what they are spent on.",
            args.file.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a comparison says.
struct Verdict {
    lines: Vec<String>,
    failed: bool,
}

fn compare(known: &Counts, counts: &Counts, tolerance: f64) -> Verdict {
    let mut verdict = Verdict {
        lines: Vec::new(),
        failed: false,
    };
    for (name, &count) in counts {
        let Some(&before) = known.get(name) else {
            verdict.failed = true;
            verdict
                .lines
                .push(format!("{name:<24} {count:>12.1}  NOT IN THE FILE"));
            continue;
        };
        let percent = (count / before - 1.0) * 100.0;
        let word = if percent > tolerance {
            verdict.failed = true;
            format!("MORE THAN {tolerance} % MORE")
        } else if percent < -tolerance {
            "less: worth writing down".to_owned()
        } else {
            "as before".to_owned()
        };
        verdict.lines.push(format!(
            "{name:<24} {count:>12.1}  was {before:>12.1}  {percent:>+6.1} %  {word}"
        ));
    }
    for name in known.keys().filter(|name| !counts.contains_key(*name)) {
        verdict.failed = true;
        verdict
            .lines
            .push(format!("{name:<24} is in the file, and was not counted"));
    }
    verdict
}

fn count(args: &Args) -> anyhow::Result<Counts> {
    let cache = crate::cache_folder(args.cache.clone())?;
    let handlers = match args.handlers.as_deref() {
        Some([echo, fan]) => Handlers {
            echo: echo.clone(),
            fan: fan.clone(),
            reverse: PathBuf::new(),
        },
        _ => build_handlers(&cache)?,
    };
    ensure!(
        args.wsrun.exists(),
        "{} is not there: build it first",
        args.wsrun.display()
    );
    let places = Places {
        wsrun: args.wsrun.clone(),
        native: PathBuf::new(),
        handlers,
        cache,
        certificate: PathBuf::new(),
        key: PathBuf::new(),
    };
    let mut counts = Counts::new();
    let mut add = |name: &str, count: f64| {
        println!("{name:<24} {count:>12.1} instructions");
        counts.insert(name.to_owned(), count);
    };
    for (name, piece) in PIECES {
        add(name, of_piece(piece)?);
    }
    let compiled = tempfile::tempdir()?;
    for traffic in &TRAFFIC {
        add(traffic.name, of_traffic(&places, compiled.path(), traffic)?);
    }
    println!();
    Ok(counts)
}

fn of_piece(piece: Piece) -> anyhow::Result<f64> {
    let run = |times: u64| -> anyhow::Result<f64> {
        let output = valgrind::command()?
            .arg(std::env::current_exe()?)
            .args(["work", piece.name(), &times.to_string()])
            .output()?;
        ensure!(output.status.success(), "valgrind failed");
        refs(&String::from_utf8_lossy(&output.stderr))
    };
    let (few, many) = (1_000, 101_000);
    Ok((run(many)? - run(few)?) / (many - few) as f64)
}

/// Work without a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Piece {
    Decode,
    UnmaskSmall,
    UnmaskLarge,
}

const PIECES: [(&str, Piece); 3] = [
    ("frame-decode", Piece::Decode),
    ("unmask-20", Piece::UnmaskSmall),
    ("unmask-16k", Piece::UnmaskLarge),
];

impl Piece {
    fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::UnmaskSmall => "unmask-small",
            Self::UnmaskLarge => "unmask-large",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct WorkArgs {
    piece: Piece,
    times: u64,
}

/// Does a piece so many times.
pub(crate) fn work(args: &WorkArgs) {
    let frames = [20, 300, 70_000].map(|size| Message::plain(size, false).frame);
    let mut payload = vec![
        0x55;
        if args.piece == Piece::UnmaskSmall {
            20
        } else {
            16 * 1024
        }
    ];
    for turn in 0..args.times {
        match args.piece {
            Piece::Decode => {
                let frame = &frames[(turn % 3) as usize];
                let _ = black_box(frame::Header::decode(black_box(frame)));
            }
            Piece::UnmaskSmall | Piece::UnmaskLarge => {
                mask::apply(black_box([1, 2, 3, 4]), black_box(&mut payload));
            }
        }
    }
}

/// Work of the whole server.
struct Traffic {
    name: &'static str,
    ask: Ask,
    connections: usize,
    /// Messages in one write.
    burst: usize,
    /// How often, in the short and in the long run.
    few: usize,
    many: usize,
}

const TRAFFIC: [Traffic; 3] = [
    // A message that comes alone: read, callback, write.
    Traffic {
        name: "message-alone",
        ask: Ask::Small,
        connections: 1,
        burst: 1,
        few: 200,
        many: 2_200,
    },
    // One of 32 that come together.
    Traffic {
        name: "message-of-32",
        ask: Ask::Small,
        connections: 1,
        burst: 32,
        few: 20,
        many: 220,
    },
    // A publish to 64 subscribers.
    Traffic {
        name: "publish-to-64",
        ask: Ask::Fan,
        connections: 64,
        burst: 1,
        few: 20,
        many: 220,
    },
];

fn of_traffic(places: &Places, compiled: &Path, traffic: &Traffic) -> anyhow::Result<f64> {
    let once = |times| drive(places, compiled, traffic, times).with_context(|| traffic.name);
    // The first start compiles the handler, the others find it compiled.
    once(1)?;
    let done = (traffic.many - traffic.few) * traffic.burst;
    // What the clock does to a server, ticks for one, only adds.
    let mut least = f64::INFINITY;
    for _ in 0..2 {
        least = least.min((once(traffic.many)? - once(traffic.few)?) / done as f64);
    }
    Ok(least)
}

/// Runs the server under valgrind and speaks to it so many times. Returns all its instructions.
fn drive(places: &Places, compiled: &Path, traffic: &Traffic, times: usize) -> anyhow::Result<f64> {
    let peer = PEERS.iter().find(|peer| peer.name == WSRUN);
    let peer = peer.expect("wsrun is among the peers");
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("server.log");
    let valgrind = valgrind::command()?;
    let server = Server::start(None, &log, START_UP, |port| {
        let plain = places.command(peer, &[traffic.ask, Ask::Many], None, port);
        let mut command = valgrind;
        command.arg(plain.get_program()).args(plain.get_args());
        // valgrind cannot start the process that compiles otherwise.
        command.arg("--compile-in-process");
        command.arg("--cache-dir").arg(compiled);
        command
    })?;
    speak(&server, traffic, times)
        .with_context(|| last_lines(&fs::read_to_string(&log).unwrap_or_default()))?;
    server.terminate()?;
    refs(&fs::read_to_string(log)?)
}

fn speak(server: &Server, traffic: &Traffic, times: usize) -> anyhow::Result<()> {
    let way = Way {
        address: server.address,
        tls: None,
        deflate: false,
        raw: false,
    };
    let message = Message::plain(20, false);
    let exchange = Exchange::learn(&way, &message, message.frame.clone())?;
    let links = (0..traffic.connections).map(|_| Link::open(&way));
    let mut links = links.collect::<Result<Vec<_>, _>>()?;
    let burst = exchange.frame.repeat(traffic.burst);
    let reply = exchange.reply.repeat(traffic.burst);
    for _ in 0..times {
        let (publisher, others) = links.split_first_mut().expect("there is a connection");
        publisher.touch(&burst, &reply)?;
        if traffic.ask == Ask::Fan {
            for link in others {
                link.touch(&[], &reply)?;
            }
        }
    }
    Ok(())
}

/// The count in what cachegrind prints.
fn refs(output: &str) -> anyhow::Result<f64> {
    let line = output.lines().find_map(|line| {
        line.split_once("I   refs:")
            .or_else(|| line.split_once("I refs:"))
    });
    let (_, number) =
        line.with_context(|| format!("valgrind gave no count: {}", last_lines(output)))?;
    Ok(number.trim().replace(',', "").parse()?)
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

/// How long the server may take to compile its handler and to start.
const START_UP: Duration = Duration::from_secs(300);
const PROFILE: &str = if cfg!(debug_assertions) {
    "dev"
} else {
    "release"
};
const WRITE: &str = if cfg!(debug_assertions) {
    "scripts/guard --write"
} else {
    "scripts/guard --release --write"
};
const PROFILE_WSRUN: &str = if cfg!(debug_assertions) {
    "target/debug/wsrun"
} else {
    "target/release/wsrun"
};

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, f64)]) -> Counts {
        pairs
            .iter()
            .map(|&(name, count)| (name.to_owned(), count))
            .collect()
    }

    #[test]
    fn comparison_fails_on_more_on_unknown_and_on_uncounted_and_not_on_less() {
        let known = counts(&[("a", 100.0), ("b", 100.0)]);
        let failed = |now: &[(&str, f64)]| compare(&known, &counts(now), 4.0).failed;
        assert!(!failed(&[("a", 103.9), ("b", 50.0)]));
        assert!(failed(&[("a", 104.1), ("b", 100.0)]));
        assert!(failed(&[("a", 100.0)]));
        assert!(failed(&[("a", 100.0), ("b", 100.0), ("c", 1.0)]));
    }

    #[test]
    fn count_is_read_from_what_cachegrind_prints() {
        let output = "==7== Cachegrind\n==7== \n==7== I   refs:      1,234,567\n";
        assert_eq!(refs(output).expect("it is there"), 1_234_567.0);
        assert!(refs("==7== killed\n").is_err());
    }
}
