//! `wsrun compile-component`: the other process that compiles.

use std::path::PathBuf;
use std::process::ExitCode;

use super::say_error;
use crate::wasm::compile::{self, INVALID};
use crate::wasm::engine::EngineConfig;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for compiled components
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Bytes of a callback's stack
    #[arg(long)]
    stack: usize,
    /// Keeps debug information
    #[arg(long)]
    backtrace_lines: bool,
    /// Bytes of this process
    #[arg(long)]
    memory: u64,
    /// Seconds of processor time of this process
    #[arg(long)]
    seconds: u64,
}

pub(super) fn run(args: Args) -> ExitCode {
    let engine = EngineConfig {
        cache: args.cache,
        wasm_stack_bytes: args.stack,
        backtrace_lines: args.backtrace_lines,
        coredumps: false,
    };
    let (error, code) = match compile::run(&engine, args.memory, args.seconds) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => (error, ExitCode::from(INVALID)),
        Err(error) => (error, ExitCode::FAILURE),
    };
    say_error(&error);
    code
}
