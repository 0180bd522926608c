//! The report: Markdown for people, JSON for programs, plots.

mod markdown;
mod plot;

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::result::{Figure, Outcome, Results};

/// Writes `performance.md`, `performance.json` and a plot for each scenario.
pub(crate) fn write(results: &Results, folder: &Path) -> anyhow::Result<()> {
    let plots = folder.join(PLOTS);
    fs::create_dir_all(&plots).with_context(|| format!("cannot make {}", plots.display()))?;
    let json = serde_json::to_string_pretty(results)?;
    fs::write(folder.join("performance.json"), json + "\n")?;
    for outcome in &results.scenarios {
        let picture = main_figure(outcome).and_then(|figure| plot::bars(outcome, figure));
        if let Some(picture) = picture {
            fs::write(plots.join(format!("{}.svg", outcome.name)), picture)?;
        }
    }
    fs::write(folder.join("performance.md"), markdown::text(results))?;
    Ok(())
}

/// What a scenario is about, in which servers are compared by one figure.
fn main_figure(outcome: &Outcome) -> Option<Figure> {
    match outcome.name.as_str() {
        "start" | "swap" | "instances" => None,
        "rate" => Some(Figure::P99Us),
        name if name.starts_with("idle") => Some(Figure::IdleBytes),
        _ => Some(Figure::CpuNs),
    }
}

const PLOTS: &str = "performance";
