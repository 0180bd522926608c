//! Scenarios that a program runs: on components and on handlers of its own.

use std::time::Duration;

use wsrun::contract::{ConnectionId, Message, TimerId};
use wsrun::native::{Context, Handler, Native};
use wsrun::test::{self, Scenario, TestError};
use wsrun_tests::{guide, handlers, server};

struct Later;

impl Handler for Later {
    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        if matches!(message, Message::Text("later")) {
            cx.set_timer(Duration::from_secs(60), 0, Some(connection))
                .expect("a timer can be set");
        } else {
            let _ = cx.send(connection, message);
        }
    }

    fn timer(
        &mut self,
        cx: &mut Context<'_>,
        _: TimerId,
        _: u64,
        connection: Option<ConnectionId>,
    ) {
        if let Some(connection) = connection {
            let _ = cx.send(connection, Message::Text("now"));
        }
    }
}

#[test]
fn library_runs_scenarios_on_components_and_on_handlers_in_rust() {
    test::Handler::new(handlers::echo())
        .cache_dir(server::kept_folder("cache"))
        .check(handlers::source(
            "tests/conformance/scenarios/echo/apart.toml",
        ));
    let later = test::Handler::new(Native::new("later", || Later));
    let text = "about = \"x\"\n[[step]]\nconnect = \"ann\"\n[[step]]\nfrom = \"ann\"\ntext = \"later\"\n\
                [[step]]\nadvance = \"1m\"\nexpect = [{ to = \"ann\", text = \"now\" }]\n";
    let scenario = Scenario::parse("later", text).expect("it is a scenario");
    later.run(&scenario).expect("it passes");
    let scenario = Scenario::parse("later", &text.replace("1m", "59s")).expect("it is a scenario");
    match later.run(&scenario) {
        Err(TestError::Failed(failed)) => assert_eq!((failed.step, failed.line), (3, 7)),
        other => panic!("it comes too early: {other:?}"),
    }
}

/// The page on testing shows a scenario without a handler for it.
#[test]
fn scenario_in_the_page_on_testing_is_one() {
    let blocks = guide::blocks(&handlers::source("docs/testing.md")).expect("the page can be read");
    let mut scenarios = 0;
    for block in blocks.iter().filter(|block| block.info == "toml") {
        Scenario::parse("testing.md", &block.text).expect("it is a scenario");
        scenarios += 1;
    }
    assert_eq!(scenarios, 1);
}
