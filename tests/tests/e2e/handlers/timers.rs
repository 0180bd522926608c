//! Timers kept by the host.

use std::time::{Duration, Instant};

use wsrun_tests::handlers;
use wsrun_tests::server::Server;

fn probe() -> Server {
    Server::of(handlers::probe()).start()
}

fn id(reply: &str) -> u64 {
    reply
        .strip_prefix("ok ")
        .and_then(|id| id.parse().ok())
        .unwrap_or_else(|| panic!("no timer: {reply:?}"))
}

#[test]
fn timer_fires_once_and_not_early() {
    let server = probe();
    let mut peer = server.open();
    let asked = Instant::now();
    let timer = id(&peer.ask("timer-conn 200 42"));
    peer.expect_text(&format!("timer {timer} 42"));
    let took = asked.elapsed();
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(5),
        "{took:?}"
    );
    peer.expect_silence(Duration::from_millis(400));
    assert_eq!(peer.ask(&format!("cancel {timer}")), "false");
}

#[test]
fn timer_without_connection_fires_when_the_connection_that_set_it_is_gone() {
    let server = probe();
    let mut setter = server.open();
    let mut other = server.open();
    let timer = id(&setter.ask("timer 300 1"));
    setter.close();
    other.expect_text(&format!("timer {timer} 1"));
}

#[test]
fn timers_fire_in_the_order_of_their_times() {
    let server = probe();
    let mut peer = server.open();
    let times = [600, 200, 400];
    let ids = times.map(|time| id(&peer.ask(&format!("timer-conn {time} {time}"))));
    for at in [1, 2, 0] {
        peer.expect_text(&format!("timer {} {}", ids[at], times[at]));
    }
}

#[test]
fn cancelled_timer_does_not_fire() {
    let server = probe();
    let mut peer = server.open();
    let timer = id(&peer.ask("timer-conn 200 1"));
    assert_eq!(peer.ask(&format!("cancel {timer}")), "true");
    assert_eq!(peer.ask(&format!("cancel {timer}")), "false");
    assert_eq!(peer.ask("cancel 999999"), "false");
    peer.expect_silence(Duration::from_millis(500));
}

#[test]
fn timer_of_a_connection_is_cancelled_when_it_closes() {
    let server = probe();
    let mut other = server.open();
    assert_eq!(other.ask("subscribe closed-events"), "ok true");
    let mut peer = server.open();
    let timer = id(&peer.ask("timer-conn 60000 1"));
    peer.close();
    // When the handler is told of the end there is no timer any more. Asked once: asking is what cancels one that is there.
    let closed = other.read_text();
    assert!(closed.contains("\"code\":1000"), "{closed}");
    assert_eq!(other.ask(&format!("cancel {timer}")), "false");
}

#[test]
fn timers_survive_a_trap() {
    let server = probe();
    let mut peer = server.open();
    let timer = id(&peer.ask("timer-conn 500 9"));
    let mut trapping = server.open();
    trapping.send_text("trap");
    trapping.expect_close(1011);
    peer.expect_text(&format!("timer {timer} 9"));
}

#[test]
fn timer_of_zero_fires_after_the_callback() {
    let server = probe();
    let mut peer = server.open();
    let timer = id(&peer.ask("timer-conn 0 5"));
    peer.expect_text(&format!("timer {timer} 5"));
}

#[test]
fn longest_timer_is_taken() {
    let server = probe();
    let mut peer = server.open();
    let timer = id(&peer.ask(&format!("timer-conn {} 1", u32::MAX)));
    assert_eq!(peer.ask(&format!("cancel {timer}")), "true");
}

#[test]
fn handler_has_no_more_timers_than_the_limit() {
    let server = probe();
    let mut peer = server.open();
    for _ in 0..10_000 {
        peer.send_text("timer-conn 600000 1");
    }
    for _ in 0..10_000 {
        id(&peer.read_text());
    }
    assert_eq!(peer.ask("timer-conn 600000 1"), "err limit");
    peer.close();
    let mut other = server.open();
    wsrun_tests::wait::until("the timers are gone", || {
        other.ask("timer-conn 600000 1").starts_with("ok")
    });
}
