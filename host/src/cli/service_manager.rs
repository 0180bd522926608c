//! The messages between a service manager such as systemd and this process: listeners at the start,
//! states later. Without a service manager nothing here has an effect.

use anyhow::anyhow;
use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::failure::Failure;
use crate::config::{Inherited, Listen};
use wsrun_metrics::text;

/// Returns the listeners that the service manager handed over (`LISTEN_FDS`). Call it once, while
/// the process has one thread.
pub(super) fn listeners() -> Result<Option<Vec<Listen>>, Failure> {
    let mut handed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for position in 0..handed.len() {
        let tcp = handed.take_tcp_listener(position);
        let listener = match tcp {
            Ok(listener) => listener.map(Inherited::from),
            Err(_) => handed
                .take_unix_listener(position)
                .map_err(|_| {
                    anyhow!(
                        "LISTEN_FDS: file descriptor {} of those handed over is no TCP or Unix stream listener: the socket unit must have \
                         ListenStream= and nothing else",
                        position + 1
                    )
                })?
                .map(Inherited::from),
        };
        listeners.extend(listener.map(Listen::Inherited));
    }
    Ok((!listeners.is_empty()).then_some(listeners))
}

/// Notifies the service manager that connections are accepted.
pub(super) fn ready(status: &str) {
    // The protocol treats each line as a separate statement.
    let status = text::line(status);
    notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// Notifies the service manager that files are being read again. [`ready`] ends this state.
pub(super) fn reloading() {
    // Newer managers accept `Reloading` only with the time.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// Notifies the service manager that no more connections are accepted, and that the open ones are
/// closed.
pub(super) fn stopping() {
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("closing the open connections"),
    ]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
    }
}
