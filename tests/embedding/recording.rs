//! What a server of a program records.

use std::sync::Arc;

use wsrun::config::{Config, HandlerConfig, HandlerSource, RecordConfig, Scope};
use wsrun::native::{Handler, Native};
use wsrun::server::Server;

#[test]
fn handlers_in_rust_are_not_recorded() {
    struct Silent;
    impl Handler for Silent {}
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tape = folder.path().join("tape.jsonl");
    let silent = Native::new("silent", || Silent);
    let config = Config {
        handlers: vec![HandlerConfig {
            protocol: None,
            source: HandlerSource::Native(silent),
            config: Arc::default(),
            limits: Arc::default(),
            scope: Scope::default(),
            own_worker: false,
            own_worker_nice: 0,
        }],
        listen: Vec::new(),
        record: Some(RecordConfig::new(&tape)),
        ..Config::default()
    };
    let error = Server::new(config).err();
    let error = error.expect("it is refused").to_string();
    assert!(
        error.contains("only handlers that are components can be recorded"),
        "{error}"
    );
    assert!(!tape.exists());
}
