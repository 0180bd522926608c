//! `wsrun test`: scenarios without a network and in virtual time. `tests/embedding` does the same through the library.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wsrun_tests::handlers;
use wsrun_tests::server::{self, Ended};

#[track_caller]
fn run_test(arguments: &[&Path]) -> Ended {
    let mut command = Command::new(server::binary());
    command
        .arg("test")
        .arg("--cache-dir")
        .arg(server::kept_folder("cache"))
        .args(arguments);
    server::run_command(&mut command, "", true)
}

/// Runs one scenario on a handler.
#[track_caller]
fn run_scenario(handler: &str, text: &str) -> Ended {
    let folder = tempfile::tempdir().expect("a folder for the scenario");
    let file = folder.path().join("scenario.toml");
    fs::write(&file, text).expect("the scenario is written");
    run_test(&[&handlers::built(handler), &file])
}

fn conformance(name: &str) -> Vec<std::path::PathBuf> {
    let folder = handlers::source("tests/conformance/scenarios").join(name);
    let entries = fs::read_dir(folder).expect("there are scenarios");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .collect();
    files.sort();
    files
}

#[test]
fn conformance_scenarios_pass_on_the_examples() {
    for name in ["echo", "chat"] {
        let files = conformance(name);
        let handler = handlers::built(name);
        let mut arguments = vec![handler.as_path()];
        arguments.extend(files.iter().map(|file| file.as_path()));
        let ended = run_test(&arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let summary = format!("{} passed, 0 failed", files.len());
        assert!(ended.stdout.ends_with(&format!("{summary}\n")), "{ended:?}");
    }
}

#[test]
fn step_that_comes_out_otherwise_is_shown_with_file_step_and_difference() {
    let ended = run_scenario(
        "echo",
        r#"about = "it is no echo"
[[step]]
connect = "ann"
[[step]]
from = "ann"
text = "hello"
expect = [{ text = "hullo" }, { text = "again" }]
"#,
    );
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let shown = "scenario.toml, step 2 (line 4): from ann, text \"hello\"\n  to ann\n    1  expected  text \"hullo\"\n       \
                 got       text \"hello\"\n    2  expected  text \"again\"\n       got       nothing\n0 passed, 1 failed\n";
    assert!(ended.stdout.ends_with(shown), "{ended:?}");
}

#[test]
fn effect_that_nobody_expected_fails_the_step() {
    let text =
        "about = \"x\"\n[[step]]\nconnect = \"ann\"\n[[step]]\nfrom = \"ann\"\ntext = \"hello\"\n";
    let ended = run_scenario("echo", text);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("expected  nothing\n       got       text \"hello\""),
        "{ended:?}"
    );
}

#[test]
fn what_is_no_scenario_or_no_handler_is_a_usage_error() {
    let ended = run_scenario(
        "echo",
        "about = \"x\"\n[[step]]\nconnect = \"ann\"\ntxt = \"a\"\n",
    );
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("unknown field `txt`"), "{ended:?}");
    let ended = run_scenario(
        "echo",
        "about = \"x\"\n[[step]]\nfrom = \"ann\"\ntext = \"a\"\n",
    );
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("step 1 (line 2): there is no connection \"ann\""),
        "{ended:?}"
    );
    let ended = run_test(&[
        &handlers::source("tests/guests/no-handler.wat"),
        &conformance("echo")[0],
    ]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("does not export"), "{ended:?}");
}

#[test]
fn timers_fire_in_virtual_time_and_in_their_order() {
    let began = Instant::now();
    let ended = run_scenario(
        "probe",
        r#"about = "an hour passes in no time"
[[step]]
connect = "ann"
[[step]]
from = "ann"
text = "in-one timer-conn 3600000 2; timer-conn 3599999 1"
expect = [{ text = "ok 1; ok 2" }]
[[step]]
advance = "3599998ms"
[[step]]
advance = "1ms"
expect = [{ to = "ann", text = "timer 2 1" }]
[[step]]
advance = "1ms"
expect = [{ to = "ann", text = "timer 1 2" }]
"#,
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn handshakes_are_refused_and_agree_on_subprotocols() {
    let ended = run_scenario(
        "gate",
        r#"about = "the gate decides by path"
[[step]]
connect = "ann"
path = "/refuse"
expect = [{ refused = 403 }]
[[step]]
connect = "ben"
path = "/other"
subprotocols = ["a", "b"]
expect = [{ subprotocol = "b" }]
"#,
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn handshake_that_no_client_can_send_is_no_refusal() {
    for (step, told) in [
        (
            "subprotocols = [\"a\", \"a\"]",
            "subprotocol cannot be sent",
        ),
        ("subprotocols = [\"a b\"]", "subprotocol cannot be sent"),
        ("path = \"/a b\"", "path cannot be sent"),
        ("headers = { Upgrade = \"x\" }", "header cannot be sent"),
        ("headers = { Host = \"a:b\" }", "host cannot be sent"),
    ] {
        let text = format!(
            "about = \"x\"\n[[step]]\nconnect = \"ann\"\n{step}\nexpect = [{{ refused = 400 }}]\n"
        );
        let ended = run_scenario("gate", &text);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(
            ended.stderr.contains(told) && ended.stderr.contains("line 2"),
            "{ended:?}"
        );
    }
}

#[test]
fn handler_that_traps_is_seen_to_close() {
    let text = "about = \"x\"\n[[step]]\nconnect = \"ann\"\n[[step]]\nfrom = \"ann\"\ntext = \"trap\"\n\
                expect = [{ close = 1011, reason = \"handler failed\" }]\n";
    let ended = run_scenario("probe", text);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn plain_requests_are_answered() {
    let text = "about = \"x\"\n[[step]]\nrequest = \"GET /a?b\"\nexpect = [{ status = 200, body = \"GET /a?b\\n\" }]\n";
    let ended = run_scenario("http-only", text);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = run_scenario("http-only", &text.replace("200", "404"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("expected  status 404"), "{ended:?}");
}
