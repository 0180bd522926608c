//! `wsrun connect HANDLER URL`: runs a handler without a listener. The command makes its first
//! connection.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::args::Args;
use crate::cli::failure::{Failure, is_there};
use crate::cli::output::say_error;
use crate::config::{Config, Grant, HandlerConfig, HandlerSource};
use crate::server::{ConnectFailed, Running, Server};
use wsrun_contract::{CloseInfo, ConnectOptions};
use wsrun_metrics::text::Line;

pub(super) fn run(args: Args, handler: PathBuf, url: &str) -> Result<ExitCode, Failure> {
    if args.peer.insecure || args.peer.ca_file.is_some() {
        return Err(Failure::usage(anyhow!(
            "--insecure and --ca-file are for the interactive client: a handler's connections take --connect-ca and --allow-self-signed"
        )));
    }
    args.runtime.start_log();
    let options = args.options(url);
    let values = args.runtime.values()?;
    is_there(&handler)?;
    let (config, limits) = args.runtime.into_config()?;
    let mut config = Config {
        handlers: vec![HandlerConfig {
            config: values,
            limits: Arc::new(limits),
            ..HandlerConfig::new(None, HandlerSource::File(handler))
        }],
        ..config
    };
    // A user who names a host here allows the handler to connect to it again.
    if let Some(grant) = grant(url) {
        config.outbound.grants.extend([grant]);
    }
    let name = config.handlers[0].name();
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(connect(config, &name, options));
    runtime.shutdown_background();
    result
}

/// Returns the grant for the host and port of a URL. A URL without them is refused when it is
/// connected to.
fn grant(url: &str) -> Option<Grant> {
    let url = url::Url::parse(url).ok()?;
    let port = url.port_or_known_default()?;
    format!("{}:{port}", url.host_str()?).parse().ok()
}

async fn connect(
    config: Config,
    handler: &str,
    options: ConnectOptions,
) -> Result<ExitCode, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let running = tokio::task::spawn_blocking(|| Server::new(config)?.spawn())
        .await?
        .map_err(Failure::of_start)?;
    let connecting = running.publisher().connect(handler, options).await;
    let connecting = connecting.map_err(|error| match error {
        ConnectFailed::Options(_) => Failure::usage(error),
        ConnectFailed::UnknownHandler(_) | ConnectFailed::Busy => Failure::from(error),
    })?;
    // Every branch is cancel-safe: waiting has no state.
    let first = tokio::select! {
        first = connecting.ended() => first,
        _ = terminate.recv() => return stop(running).await,
        _ = interrupt.recv() => return stop(running).await,
    };
    let first = first.context("the handler's worker ended")?;
    tokio::select! {
        () = running.idle() => {}
        _ = terminate.recv() => return stop(running).await,
        _ = interrupt.recv() => return stop(running).await,
    }
    stop(running).await?;
    Ok(report(&first))
}

async fn stop(running: Running) -> Result<ExitCode, Failure> {
    let clean = tokio::task::spawn_blocking(|| running.shutdown()).await?;
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Prints the end of the first connection. Returns success for 1000, 1001 and 1005.
fn report(info: &CloseInfo) -> ExitCode {
    let CloseInfo { code, reason, .. } = info;
    say_error(format!("closed: {code} {}", Line(reason)).trim_end());
    if matches!(code, 1000 | 1001 | 1005) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
