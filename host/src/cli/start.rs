//! Starts a server that a signal can stop at every moment.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;

use super::failure::Failure;
use super::service_manager;
use crate::config::Config;
use crate::server::{Running, Server, StartError, Starting};

/// Signals that are closer together than this are one: whoever signals a process and its group
/// sends the signal twice.
pub(super) const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Starts a server. Returns the running server, or the exit code of a process that was told to stop
/// before.
pub(super) async fn start(
    config: Config,
    terminate: &mut Signal,
    interrupt: &mut Signal,
) -> Result<Result<Running, ExitCode>, Failure> {
    let starting = Starting::default();
    let mut start = tokio::task::spawn_blocking({
        let starting = starting.clone();
        move || Server::new_unless(config, &starting)?.spawn()
    });
    let mut stopped: Option<Instant> = None;
    loop {
        // Every branch is cancel-safe: the task that starts the server runs on, whatever is polled.
        tokio::select! {
            started = &mut start => match started? {
                Ok(server) if stopped.is_none() => return Ok(Ok(server)),
                // The server began to serve just before the signal.
                Ok(server) => {
                    let clean = tokio::task::spawn_blocking(|| server.shutdown()).await?;
                    return Ok(Err(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }));
                }
                Err(StartError::Stopped) => return Ok(Err(ExitCode::SUCCESS)),
                Err(error) => return Err(Failure::of_start(error)),
            },
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        match stopped {
            None => {
                tracing::info!("stopping before it serves");
                service_manager::stopping();
                stopped = Some(Instant::now());
                if starting.stop() {
                    return Ok(Err(ExitCode::SUCCESS));
                }
            }
            Some(asked) if asked.elapsed() >= SAME_SIGNAL => {
                tracing::warn!("stopped by a second signal, while it started");
                return Ok(Err(ExitCode::FAILURE));
            }
            Some(_) => {}
        }
    }
}
