//! `wsrun test [HANDLER] [FILES…]`: runs scenarios, without a network.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};

use super::failure::Failure;
use super::logging::{self, Format, Level};
use super::options::compilation::default_cache;
use super::output::{say, say_lines};
use super::project;
use crate::config::Compilation;
use crate::test::{Handler, Scenario, TestError};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "wsrun test [OPTIONS] [HANDLER] [FILES]...",
    after_help = "EXIT CODES:\n  0  every scenario passed\n  1  a scenario failed: the difference is shown\n  \
                  2  wrong arguments, a file that is not a scenario or not a handler"
)]
pub(super) struct Args {
    /// The handler (.wasm, .wat) and scenario files (.toml). Without a handler: what the project in this folder was built to. Without
    /// files: those of the folder tests
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    /// How much is logged; `info` shows what the handler prints
    #[arg(long, value_enum, default_value = "warn")]
    log_level: Level,
    /// Folder for compiled components [default: wsrun in the user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache_dir: Option<PathBuf>,
    /// Compiles the handler in any case
    #[arg(long)]
    no_cache: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    logging::start(Format::Text, args.log_level);
    let (mut files, mut handlers) = (Vec::new(), Vec::new());
    for file in &args.files {
        match file.extension().is_some_and(|kind| kind == "toml") {
            true => files.push(file.clone()),
            false => handlers.push(file.clone()),
        }
    }
    let handler = match handlers.as_slice() {
        [one] => one.clone(),
        [] => project::built(Path::new(".")).map_err(Failure::usage)?,
        [_, other, ..] => {
            return Err(Failure::usage(anyhow!(
                "{}: one handler at a time, and scenarios end in .toml",
                other.display()
            )));
        }
    };
    if files.is_empty() {
        files = scenarios(Path::new("tests")).map_err(Failure::usage)?;
    }
    // All files are read first, so that an invalid one is reported before anything runs.
    let scenarios = files.iter().map(Scenario::load);
    let scenarios: Vec<Scenario> = scenarios
        .collect::<Result<_, _>>()
        .map_err(Failure::usage)?;
    let mut tested = Handler::new(handler).compilation(Compilation {
        program: Some("/proc/self/exe".into()),
        ..Compilation::default()
    });
    let cache = match (args.no_cache, &args.cache_dir) {
        (true, _) => None,
        (false, Some(folder)) => Some(std::path::absolute(folder)?),
        (false, None) => default_cache().transpose()?,
    };
    if let Some(cache) = cache {
        tested = tested.cache_dir(cache);
    }
    let mut failed = 0;
    for scenario in &scenarios {
        let name = scenario.file().display();
        match tested.run(scenario) {
            Ok(()) => say(&format!("ok    {name}: {}", scenario.about())),
            Err(TestError::Failed(difference)) => {
                failed += 1;
                say_lines(&format!("FAIL  {name}: {}\n{difference}", scenario.about()));
            }
            Err(error) => return Err(Failure::usage(error)),
        }
    }
    let passed = scenarios.len() - failed;
    say(&format!("{passed} passed, {failed} failed"));
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Returns the scenario files of a folder, in the order of their names.
fn scenarios(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let missing = || {
        format!(
            "no scenario files were named, and {} has none",
            folder.display()
        )
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(missing)? {
        let file = entry?.path();
        if file.extension().is_some_and(|kind| kind == "toml") {
            files.push(file);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(anyhow!(missing())),
        false => Ok(files),
    }
}
