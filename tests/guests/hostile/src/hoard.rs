//! Asks for more and more, and gives nothing back.

use std::hint::black_box;
use std::time::Duration;

use wsrun_guest::auto_reply;
use wsrun_guest::{Connection, SlowPolicy, timers, topics};

const MIB: usize = 1 << 20;

/// Allocates and touches memory until there is no more.
pub(crate) fn allocate() -> ! {
    let mut blocks = Vec::new();
    loop {
        blocks.push(black_box(vec![1_u8; MIB]));
    }
}

/// The same, but keeps what it has got and lives on.
pub(crate) fn keep(hoard: &mut Vec<Vec<u8>>) -> String {
    loop {
        let mut block = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            return "keeping all memory".to_owned();
        }
        block.resize(MIB, 1);
        hoard.push(block);
    }
}

pub(crate) fn session_too_large(connection: Connection) -> String {
    let refused = connection.set_session_bytes(&vec![1; MIB]).is_err();
    format!("session data: refused {refused}")
}

/// Sets the session data of one connection again and again, each time as much as may be: the last is what stays.
pub(crate) fn sessions(connection: Connection) -> String {
    let data = vec![1; 60_000];
    let set = (0..10_000).take_while(|_| connection.set_session_bytes(&data).is_ok());
    format!("session data: set {} times", set.count())
}

pub(crate) fn subscriptions(connection: Connection) -> String {
    let made = (0..1_000_000_u32)
        .take_while(|number| connection.subscribe(&format!("leak {number}")).is_ok());
    format!("subscriptions: {}", made.count())
}

pub(crate) fn timers(after: Duration) -> String {
    let made = (0..1_000_000).take_while(|tag| timers::set(after, *tag).is_ok());
    format!("timers: {}", made.count())
}

/// Each of them sets itself again as it fires.
pub(crate) fn timers_of(connection: Connection, number: u64) -> String {
    let made = (0..number).take_while(|tag| connection.set_timer(Duration::ZERO, *tag).is_ok());
    format!("timers: {}", made.count())
}

pub(crate) fn auto_replies() -> String {
    let made = (0..100_000)
        .take_while(|number| auto_reply::set(&format!("question {number}"), "answer").is_ok());
    format!("automatic replies: {}", made.count())
}

pub(crate) fn topic_policies() -> String {
    for number in 0..100_000 {
        topics::set_slow_policy(&format!("topic {number}"), SlowPolicy::DropOldest);
    }
    "policies".to_owned()
}
