//! What the figures were taken on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::result::Machine;

pub(crate) fn describe(pinned: bool) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processor = field(&read("/proc/cpuinfo"), "model name");
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory = memory.trim_end_matches(" kB").parse::<f64>();
    Machine {
        processor,
        cores: thread::available_parallelism().map_or(1, usize::from),
        memory_gib: memory.unwrap_or_default() / f64::from(1 << 20),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        commit: output("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
        date: output("date", &["-u", "+%Y-%m-%d"]),
        load_before: load(),
        load_after: load(),
        pinned,
    }
}

/// Processes that wanted a core, over the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(
        || "unknown".to_owned(),
        |(_, value)| value.trim().to_owned(),
    )
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output();
    match output {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        Ok(_) | Err(_) => "unknown".to_owned(),
    }
}
