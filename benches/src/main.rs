//! Measures wsrun against other servers. See README.md.

mod link;
mod load;
mod meter;
mod peers;
mod poll;
mod process;
mod raw;
mod result;
mod run;
mod scenario;
mod traffic;

use std::path::PathBuf;
use std::time::Duration;
use std::collections::BTreeMap;
use clap::Parser;
#[derive(Parser)]
enum Cli { Raw { #[arg(long)] port: u16, #[arg(long)] mode: raw::Mode }, Run { wsrun: PathBuf, only: Vec<String> } }
fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli::Raw{port, mode} => raw::serve(port, mode),
        Cli::Run{wsrun, only} => {
            let cache = PathBuf::from("/root/.cache/wsrun-bench");
            let (echo, fan) = peers::build_handlers(&cache)?;
            let places = peers::Places { native: wsrun.parent().unwrap().join("examples/native_echo"), wsrun, echo, fan, cache, certificate: PathBuf::new(), key: PathBuf::new() };
            let effort = scenario::Effort { rounds: 1, warm_up: Duration::from_millis(200), measure: Duration::from_millis(700), fewer: 1, rate: 5000 };
            process::pin(1)?;
            let s = run::Session::new(places, effort, Some(0))?;
            let ps: Vec<_> = peers::PEERS.iter().filter(|p| s.places.check(p).is_ok()).collect();
            for sc in scenario::scenarios(&effort) { if only.is_empty() || only.iter().any(|o| o == sc.name) { s.scenario(&sc, &ps, |l| println!("{l}")); } }
            let _ = BTreeMap::<u8,u8>::new();
            Ok(())
        }
    }
}
