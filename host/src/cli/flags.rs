//! The flags that users of the command line know settings by.

/// The paths of settings that errors and the log may name, each with its flag.
const FLAGS: &[(&str, &str)] = &[
    ("HandlerSource::Program", "--stdio"),
    ("compute.blocking_timeout", "--blocking-timeout"),
    ("compute.callback_timeout", "--callback-timeout"),
    ("compute.cpu_share_max", "--max-cpu-share"),
    ("compute.host_calls_max", "--max-host-calls"),
    ("connection.connections_max", "--max-connections"),
    (
        "connection.connections_per_address_max",
        "--max-connections-per-address",
    ),
    ("connection.files_dir", "--files"),
    ("connection.network.allow", "--allow-from"),
    ("connection.network.deny", "--deny-from"),
    ("connection.origins.allowed", "--allow-origin"),
    ("connection.request_body_bytes_max", "--max-request-body"),
    ("connection.static_dir", "--static"),
    ("contract.http_instances_max", "--max-http-instances"),
    ("contract.subscriptions_max", "--max-subscriptions"),
    ("contract.timers_max", "--max-timers"),
    ("contract.topics_max", "--max-topics"),
    ("handler", "--handler"),
    ("handlers.own_worker", "--own-worker"),
    ("handlers.own_worker_nice", "--own-worker-nice"),
    ("handlers.protocol", "--protocol"),
    ("handlers.scope", "--scope"),
    ("listen", "--listen"),
    ("memory.handler_bytes_max", "--max-handler-memory"),
    ("memory.instance_bytes_max", "--max-memory"),
    ("memory.instances_max", "--max-instances"),
    ("memory.session_bytes_max", "--max-session"),
    ("memory.session_total_bytes_max", "--max-handler-session"),
    ("memory.state_bytes_max", "--max-state"),
    ("no wasm.cache_dir", "--no-cache"),
    ("outbound.connections_max", "--max-outbound"),
    ("outbound.grants", "--allow-connect"),
    ("outbound.identities", "--client-cert"),
    ("privileges.group", "--group"),
    ("privileges.user", "--user"),
    ("record", "--record"),
    ("record.bytes_max", "--record-max"),
    ("resilience.failure_window", "--failure-window"),
    ("resilience.failures_max", "--max-failures"),
    ("runtime.drain_close_code", "--drain-code"),
    ("runtime.drain_window", "--drain-window"),
    (
        "runtime.limits.control_frames_per_second_max",
        "--max-control-rate",
    ),
    ("runtime.limits.fragments_max", "--max-fragments"),
    ("runtime.limits.header_bytes_max", "--max-header-bytes"),
    ("runtime.limits.headers_max", "--max-headers"),
    ("runtime.limits.queued_bytes_max", "--max-queue"),
    ("runtime.shutdown_timeout", "--shutdown-timeout"),
    ("runtime.stream_bytes_max", "--max-stream"),
    ("runtime.timeouts.idle_timeout", "--idle-timeout"),
    ("runtime.timeouts.ping_interval", "--ping-interval"),
    ("traffic.connections_max", "--max-handler-connections"),
    (
        "traffic.handler_received.bytes_max",
        "--max-handler-byte-rate",
    ),
    (
        "traffic.handler_received.messages_max",
        "--max-handler-message-rate",
    ),
    ("traffic.log_lines_per_second_max", "--max-log-rate"),
    ("traffic.queued_bytes_max", "--max-handler-queue"),
    ("traffic.received.bytes_max", "--max-byte-rate"),
    ("traffic.received.messages_max", "--max-message-rate"),
    ("traffic.sent.bytes_max", "--max-send-byte-rate"),
    ("traffic.sent.messages_max", "--max-send-rate"),
    ("wasm.cache_dir", "--cache-dir"),
    ("wasm.compilation.code_bytes_max", "--max-code"),
    ("wasm.compilation.component_bytes_max", "--max-component"),
    ("wasm.compilation.memory_bytes_max", "--compile-memory"),
    ("wasm.compilation.program", "--compile-in-process"),
    ("wasm.compilation.timeout", "--compile-timeout"),
    ("wasm.coredumps.bytes_max", "--coredump-max"),
    ("wasm.coredumps.folder", "--coredump-dir"),
    ("wasm.stack_bytes_max", "--max-wasm-stack"),
    ("workers", "--workers"),
];

/// Returns the flag of a setting.
pub(super) fn flag(path: &str) -> Option<&'static str> {
    let position = FLAGS.binary_search_by_key(&path, |(path, _)| path).ok()?;
    Some(FLAGS[position].1)
}

/// Returns every flag that names a setting.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|(_, flag)| *flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted_and_found() {
        assert!(FLAGS.is_sorted());
        assert_eq!(flag("compute.callback_timeout"), Some("--callback-timeout"));
        assert_eq!(flag("unheard.of"), None);
    }

    /// The paths that the sources below this module name, in `Setting("…")` or as `{…}` in a text.
    fn paths_in(source: &str) -> impl Iterator<Item = &str> {
        let settings = source.split("Setting(").skip(1).filter_map(|rest| {
            let (path, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            Some(path)
        });
        let placeholders = source.split('{').skip(1).filter_map(|rest| {
            let (path, _) = rest.split_once('}')?;
            let is_path = path.contains('.')
                && path
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || "._".contains(c));
            is_path.then_some(path)
        });
        settings.chain(placeholders)
    }

    #[test]
    fn every_setting_that_a_message_names_has_a_flag() {
        let host = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![host.to_owned()];
        let mut paths = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                if path.is_dir() && !["cli", "target", "proto"].contains(&&*name) {
                    folders.push(path);
                } else if name.ends_with(".rs") && name != "setting.rs" {
                    let source = std::fs::read_to_string(&path).unwrap();
                    for named in paths_in(&source) {
                        assert!(flag(named).is_some(), "{named} in {}", path.display());
                        paths += 1;
                    }
                }
            }
        }
        assert!(paths > 60, "only {paths} were found");
    }
}
