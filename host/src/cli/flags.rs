//! The flags that users of the command line know settings by.

/// The paths of settings that errors and the log may name, each with its flag.
const FLAGS: &[(&str, &str)] = &[
    ("HandlerSource::Program", "--stdio"),
    ("cache_dir", "--cache-dir"),
    ("compilation.code_bytes_max", "--max-code"),
    ("compilation.component_bytes_max", "--max-component"),
    ("compilation.memory_bytes_max", "--compile-memory"),
    ("compilation.program", "--compile-in-process"),
    ("compilation.timeout", "--compile-timeout"),
    ("compute.blocking_timeout", "--blocking-timeout"),
    ("compute.callback_timeout", "--callback-timeout"),
    ("compute.cpu_share_max", "--max-cpu-share"),
    ("compute.host_calls_max", "--max-host-calls"),
    ("connections_max", "--max-connections"),
    (
        "connections_per_address_max",
        "--max-connections-per-address",
    ),
    ("contract.http_instances_max", "--max-http-instances"),
    ("contract.subscriptions_max", "--max-subscriptions"),
    ("contract.timers_max", "--max-timers"),
    ("contract.topics_max", "--max-topics"),
    ("coredumps.bytes_max", "--coredump-max"),
    ("coredumps.folder", "--coredump-dir"),
    ("drain_close_code", "--drain-code"),
    ("drain_window", "--drain-window"),
    ("files_dir", "--files"),
    ("handler", "--handler"),
    ("limits.control_frames_per_second_max", "--max-control-rate"),
    ("limits.fragments_max", "--max-fragments"),
    ("limits.header_bytes_max", "--max-header-bytes"),
    ("limits.headers_max", "--max-headers"),
    ("limits.queued_bytes_max", "--max-queue"),
    ("listen", "--listen"),
    ("memory.handler_bytes_max", "--max-handler-memory"),
    ("memory.instance_bytes_max", "--max-memory"),
    ("memory.instances_max", "--max-instances"),
    ("memory.session_bytes_max", "--max-session"),
    ("memory.session_total_bytes_max", "--max-handler-session"),
    ("memory.state_bytes_max", "--max-state"),
    ("network.allow", "--allow-from"),
    ("network.deny", "--deny-from"),
    ("no cache_dir", "--no-cache"),
    ("origins.allowed", "--allow-origin"),
    ("outbound.connections_max", "--max-outbound"),
    ("outbound.grants", "--allow-connect"),
    ("outbound.identities", "--client-cert"),
    ("own_worker", "--own-worker"),
    ("own_worker_nice", "--own-worker-nice"),
    ("privileges.group", "--group"),
    ("privileges.user", "--user"),
    ("protocol", "--protocol"),
    ("record", "--record"),
    ("record.bytes_max", "--record-max"),
    ("request_body_bytes_max", "--max-request-body"),
    ("resilience.failure_window", "--failure-window"),
    ("resilience.failures_max", "--max-failures"),
    ("scope", "--scope"),
    ("shutdown_timeout", "--shutdown-timeout"),
    ("static_dir", "--static"),
    ("stream_bytes_max", "--max-stream"),
    ("timeouts.idle_timeout", "--idle-timeout"),
    ("timeouts.ping_interval", "--ping-interval"),
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
    ("wasm_stack_bytes_max", "--max-wasm-stack"),
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
}
