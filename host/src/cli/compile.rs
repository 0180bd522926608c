//! `wsrun compile-component`: the separate process that compiles.

use std::process::ExitCode;

use super::output::say_error;
use wsrun_wasm::compile::{self, INVALID, Task};
use wsrun_wasm::engine::EngineConfig;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Loads what was compiled and tells what that takes, instead
    #[arg(long)]
    weigh: bool,
    /// Bytes of a callback's stack
    #[arg(long)]
    stack: usize,
    /// Keeps debug information
    #[arg(long)]
    backtrace_lines: bool,
    /// For core dumps
    #[arg(long)]
    coredumps: bool,
    /// Bytes of this process
    #[arg(long)]
    memory: u64,
    /// Seconds of processor time of this process
    #[arg(long)]
    seconds: u64,
}

pub(super) fn run(args: Args) -> ExitCode {
    let engine = EngineConfig {
        wasm_stack_bytes: args.stack,
        backtrace_lines: args.backtrace_lines,
        coredumps: args.coredumps,
    };
    let task = match args.weigh {
        true => Task::Weigh,
        false => Task::Compile,
    };
    let (error, code) = match compile::run(task, &engine, args.memory, args.seconds) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => (error, ExitCode::from(INVALID)),
        Err(error) => (error, ExitCode::FAILURE),
    };
    say_error(&error);
    code
}
