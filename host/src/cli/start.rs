//! Starting a server, which a signal can stop at every moment.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::Signal;

use super::{Failure, service_manager};
use crate::config::Config;
use crate::server::{Running, Server, StartError, Starting};

/// Signals so close together are one: what sends one to a process and to its group sends it twice.
pub(super) const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// A server that runs, or how the process ends that was told to stop before it did.
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
        // Every arm is safe to cancel: the task that starts goes on whatever is polled.
        tokio::select! {
            started = &mut start => match started? {
                Ok(server) if stopped.is_none() => return Ok(Ok(server)),
                // It had just begun to serve.
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
