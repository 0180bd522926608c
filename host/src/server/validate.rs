//! Settings that contradict each other.

use std::ops::RangeInclusive;

use super::StartError;
use crate::config::Config;
use crate::contract::Scope;

/// As setpriority(2) has it. What is below 0 is for privileged users.
const NICE_MAX: u8 = 19;

pub(super) fn validate(config: &Config) -> Result<(), StartError> {
    let fail = |text: String| Err(StartError::Config(text));
    if config.handlers.is_empty() {
        return fail("no handler: name a component, or use --protocol NAME=FILE".into());
    }
    if config.workers == 0 || config.threads() > WORKERS_MAX {
        return fail(format!(
            "--workers {} and {} --own-worker: together they must be 1 to {WORKERS_MAX}, one at least of --workers",
            config.workers,
            config.threads() - config.workers
        ));
    }
    if let Some(handler) = config
        .handlers
        .iter()
        .find(|handler| handler.own_worker_nice > NICE_MAX)
    {
        return fail(format!(
            "--own-worker-nice {}: it is from 0 to {NICE_MAX}",
            handler.own_worker_nice
        ));
    }
    if let Some(handler) = config
        .handlers
        .iter()
        .find(|handler| handler.own_worker && handler.scope != Scope::Shared)
    {
        return fail(format!(
            "--own-worker {}: only a handler of --scope shared has one",
            handler.name()
        ));
    }
    for (n, handler) in config.handlers.iter().enumerate() {
        let before = &config.handlers[..n];
        if before
            .iter()
            .any(|other| other.protocol == handler.protocol)
        {
            return fail(format!(
                "--protocol {}: this name is given twice",
                handler.name()
            ));
        }
        let name = handler.name();
        if before.iter().any(|other| other.name() == name) {
            return fail(format!(
                "two handlers are called {name:?}: a handler is known by its --protocol, or without one by the name of its file, in \
                 `wsrun ctl`, the log and the metrics; rename the file, or give the other handler another --protocol"
            ));
        }
    }
    let coredumps = config.coredumps.as_ref();
    for (flag, folder) in [
        ("--static", config.static_dir.as_ref()),
        ("--files", config.files_dir.as_ref()),
        (
            "--coredump-dir",
            coredumps.map(|coredumps| &coredumps.folder),
        ),
    ] {
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            return fail(format!(
                "{flag} {}: there is no such folder",
                folder.display()
            ));
        }
    }
    if config.request_body_bytes_max > REQUEST_BODY_LIMIT {
        return fail(format!(
            "--max-request-body {}: it must be at most {REQUEST_BODY_LIMIT}, since a body is held in memory",
            config.request_body_bytes_max
        ));
    }
    if config.handler_limits.memory.handler_bytes_max
        < config.handler_limits.memory.instance_bytes_max
    {
        return fail(format!(
            "--max-handler-memory {} is smaller than --max-memory {}, which is for one instance",
            config.handler_limits.memory.handler_bytes_max,
            config.handler_limits.memory.instance_bytes_max
        ));
    }
    if config.handler_limits.memory.instances_max < 3 {
        return fail(format!(
            "--max-instances {}: it must be at least 3, as a worker has one for what belongs to no connection, and a spare one",
            config.handler_limits.memory.instances_max
        ));
    }
    if config.limits.control_frames_per_second_max == 0 {
        return fail(
            "--max-control-rate 0: it must be at least 1, or no peer could answer a ping".into(),
        );
    }
    if config.limits.fragments_max == 0 {
        return fail("--max-fragments 0: it must be at least 1, as a whole message is one".into());
    }
    if config.handler_limits.contract.http_instances_max == 0 {
        return fail("--max-http-instances 0: no request could be answered".into());
    }
    let limits = &config.handler_limits;
    if limits.traffic.queued_bytes_max < config.limits.queued_bytes_max {
        return fail(format!(
            "--max-handler-queue {} is smaller than --max-queue {}, which is for one connection",
            limits.traffic.queued_bytes_max, config.limits.queued_bytes_max
        ));
    }
    if limits.memory.session_total_bytes_max < limits.memory.session_bytes_max {
        return fail(format!(
            "--max-handler-session {} is smaller than --max-session {}, which is for one connection",
            limits.memory.session_total_bytes_max, limits.memory.session_bytes_max
        ));
    }
    if !(1..=100).contains(&limits.compute.cpu_share_max) {
        return fail(format!(
            "--max-cpu-share {}: it must be 1 to 100 percent",
            limits.compute.cpu_share_max
        ));
    }
    if !WASM_STACK_BYTES.contains(&config.wasm_stack_bytes_max) {
        return fail(format!(
            "--max-wasm-stack {}: it must be {} to {}, since every instance has a stack of its own",
            config.wasm_stack_bytes_max,
            WASM_STACK_BYTES.start(),
            WASM_STACK_BYTES.end()
        ));
    }
    if config.compilation.memory_bytes_max < COMPILE_MEMORY_MIN {
        return fail(format!(
            "--compile-memory {}: it must be at least {COMPILE_MEMORY_MIN}, which the compiler needs for the smallest handler",
            config.compilation.memory_bytes_max
        ));
    }
    if let Some(window) = config.drain_window
        && window > config.shutdown_timeout
    {
        return fail(format!(
            "--drain-window {window:?} is longer than --shutdown-timeout {:?}, when connections are cut",
            config.shutdown_timeout
        ));
    }
    if !matches!(config.drain_close_code, 1001 | 1012) {
        return fail(format!(
            "--drain-code {}: it must be 1001 (going away) or 1012 (service restart)",
            config.drain_close_code
        ));
    }
    if config.connections_max == 0 {
        return fail("--max-connections 0: nobody could connect".into());
    }
    if !(1..=HEADERS_LIMIT).contains(&config.limits.headers_max) {
        return fail(format!(
            "--max-headers {}: it must be 1 to {HEADERS_LIMIT}",
            config.limits.headers_max
        ));
    }
    if config.limits.header_bytes_max > HEADER_BYTES_LIMIT {
        return fail(format!(
            "--max-header-bytes {}: it must be at most {HEADER_BYTES_LIMIT}",
            config.limits.header_bytes_max
        ));
    }
    if let (Some(ping), Some(idle)) = (config.timeouts.ping_interval, config.timeouts.idle_timeout)
        && idle <= ping
    {
        return fail(format!(
            "--idle-timeout {idle:?} is not longer than --ping-interval {ping:?}: a quiet peer would be given up without having been \
             pinged; change one of them, or turn pings off"
        ));
    }
    if config.handler_limits.compute.blocking_timeout
        < config.handler_limits.compute.callback_timeout
    {
        return fail(format!(
            "--blocking-timeout {:?} is shorter than --callback-timeout {:?}, which it contains",
            config.handler_limits.compute.blocking_timeout,
            config.handler_limits.compute.callback_timeout
        ));
    }
    if config.limits.header_bytes_max < HEADER_BYTES_MIN {
        return fail(format!(
            "--max-header-bytes {}: it must be at least {HEADER_BYTES_MIN}",
            config.limits.header_bytes_max
        ));
    }
    Ok(())
}

/// Threads with connections.
const WORKERS_MAX: u16 = 1_024;

/// What hyper needs for a request's head.
const HEADER_BYTES_MIN: usize = 8_192;

/// What a request's head may be given at most: each connection may hold as much.
const HEADER_BYTES_LIMIT: usize = 16 * 1024 * 1024;
const HEADERS_LIMIT: usize = 10_000;
/// What a request's body may be given at most: a handler gets it in one piece.
const REQUEST_BODY_LIMIT: u64 = 1024 * 1024 * 1024;
/// What a callback may be given as its stack: less does not hold the frames of an ordinary program.
const WASM_STACK_BYTES: RangeInclusive<usize> = 64 * 1024..=16 * 1024 * 1024;
/// Addresses of the process that compiles: its program, its threads and their stacks are in them.
const COMPILE_MEMORY_MIN: u64 = 256 * 1024 * 1024;
