//! What a service manager such as systemd and this process tell each other: listeners at start, states later. Without one none of it does
//! anything.

use anyhow::anyhow;
use listenfd::ListenFd;
use sd_notify::NotifyState;

use super::Failure;
use crate::config::{Inherited, Listen};
use crate::text;

/// The listeners that were handed over (`LISTEN_FDS`). To be called once, while the process has one thread.
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

/// Connections are accepted.
pub(super) fn ready(status: &str) {
    // A line is a statement of its own.
    let status = text::line(status);
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// What can be read again is being read; [`ready`] ends it.
pub(super) fn reloading() {
    // Newer managers take the one only with the other.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// No connections are accepted any more and the open ones are closed.
pub(super) fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("closing the open connections"),
    ]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
    }
}
