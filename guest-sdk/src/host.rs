//! What a handler may know of its host.

use crate::bindings::handler::wsrun::websocket::host_info;

/// The name of the machine, as its operating system tells it.
pub fn hostname() -> String {
    host_info::hostname()
}

/// The name of this handler: its `--protocol` name, else its file name without the extension.
pub fn name() -> String {
    host_info::handler_name()
}

/// A value given with `--config KEY=VALUE`.
pub fn config(key: &str) -> Option<String> {
    host_info::config(key)
}

/// Connections of this handler that are open on this worker.
pub fn connection_count() -> u32 {
    host_info::connection_count()
}
