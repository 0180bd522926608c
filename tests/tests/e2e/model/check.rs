//! What was told and what came, against what the contract says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wsrun_tests::told::{Event, Told};

use super::client::{Ended, Seen};
use super::plan::{Actor, Plan, Subject};

/// Everything that is wrong.
pub(crate) fn errors(plan: &Plan, told: &Told, seen: &[(usize, Seen)]) -> Vec<String> {
    let mut errors = told.errors();
    for (actor, seen) in seen {
        let context = || format!("connection {} of actor {actor}", seen.id);
        let events = told.0.get(&seen.id).map_or(&[][..], Vec::as_slice);
        match of_connection(plan, seen, events) {
            Ok(()) => {}
            Err(error) => errors.push(format!("{}: {error}", context())),
        }
        if let Actor::Leaver { .. } = plan.actors[*actor]
            && let Err(error) = left_with_its_code(seen, events)
        {
            errors.push(format!("{}: {error}", context()));
        }
    }
    if plan.subject != Subject::Swaps {
        errors.extend(floods(told, seen));
        errors.extend(published(plan, told, seen));
    }
    if matches!(plan.subject, Subject::Openings | Subject::Handshakes) {
        errors.extend(timers(plan, told));
    }
    errors
}

/// The number of a message, whether it could be answered, and its results.
fn results(event: &Event) -> Option<(usize, &str, Vec<&str>)> {
    if event.name != "received" {
        return None;
    }
    // Behind the instance and the version.
    let mut parts = event.rest.splitn(5, ' ').skip(2);
    let number = parts.next()?.parse().ok()?;
    let replied = parts.next()?;
    Some((number, replied, parts.next()?.split("; ").collect()))
}

fn of_connection(plan: &Plan, seen: &Seen, events: &[Event]) -> Result<(), String> {
    let received: Vec<_> = events.iter().filter_map(results).collect();
    for (position, (number, ..)) in received.iter().enumerate() {
        if position != *number {
            let numbers: Vec<_> = received.iter().map(|(number, ..)| number).collect();
            return Err(format!("messages are told out of order: {numbers:?}"));
        }
    }
    if seen.ended == Ended::ByPeer && received.len() != seen.asked.len() {
        return Err(format!(
            "{} of {} messages are told",
            received.len(),
            seen.asked.len()
        ));
    }
    let mut sending = Sending::default();
    for (number, replied, results) in received {
        let commands = &seen.asked[number];
        sending
            .callback(plan, commands, &results, replied)
            .map_err(|error| {
                format!("message {number}, {commands:?}: {results:?}, {replied}: {error}")
            })?;
    }
    Ok(())
}

/// What a connection takes, as its callbacks were told.
#[derive(Default)]
struct Sending {
    /// The kind of an unfinished message in parts.
    unfinished: Option<String>,
}

impl Sending {
    fn callback(
        &mut self,
        plan: &Plan,
        commands: &[String],
        results: &[&str],
        replied: &str,
    ) -> Result<(), String> {
        if commands.len() != results.len() {
            return Err("a result for each command".into());
        }
        let (mut closed, mut bytes) = (false, 0);
        for (command, result) in commands.iter().zip(results) {
            let words: Vec<&str> = command.split(' ').collect();
            match words[..] {
                ["close"] => closed = true,
                ["send", _, size] => {
                    let size: u64 = size.parse().expect("a number");
                    let (count, end) = sent(result);
                    if closed && (count > 0 || end != "closed") {
                        return Err("a message was taken behind a close".into());
                    }
                    if !["ok", "full", "closed"].contains(&end) {
                        return Err("not how a message is refused".into());
                    }
                    bytes += count * size;
                    // One is always taken where nothing is queued.
                    if bytes > plan.queue_max.max(size) {
                        return Err(format!(
                            "{bytes} bytes were taken: the queue holds {}",
                            plan.queue_max
                        ));
                    }
                }
                ["chunk", kind, last, _] => {
                    let other = self.unfinished.as_deref().is_some_and(|open| open != kind);
                    let expected: &[&str] = match (closed, other) {
                        (true, _) => &["closed"],
                        (false, true) => &["wrong-kind"],
                        (false, false) => &["ok", "full", "closed"],
                    };
                    if !expected.contains(result) {
                        return Err(format!("{command} is {expected:?}"));
                    }
                    if *result == "ok" {
                        self.unfinished = (last != "true").then(|| kind.to_owned());
                    }
                }
                _ => {}
            }
        }
        if closed && replied != "closed" {
            return Err("the answer was taken behind a close".into());
        }
        Ok(())
    }
}

/// The number of messages that were taken, and what became of the next.
fn sent(result: &str) -> (u64, &str) {
    let mut parts = result.split(' ').skip(1);
    let count = parts.next().and_then(|count| count.parse().ok());
    (count.expect("a count"), parts.next().expect("an end"))
}

/// What a peer sends before it goes is told, and its close with it, however much it has not read.
fn left_with_its_code(seen: &Seen, events: &[Event]) -> Result<(), String> {
    let received = events.iter().filter_map(results).count();
    let end = events.last().map_or("nothing", |event| event.rest.as_str());
    if received != seen.asked.len() || !end.ends_with("4001 peer") {
        return Err(format!(
            "{received} of {} messages are told, and then {end:?}: it closed with 4001",
            seen.asked.len()
        ));
    }
    Ok(())
}

/// Who reads gets what the callbacks were told is taken, no more and no less.
fn floods(told: &Told, seen: &[(usize, Seen)]) -> Vec<String> {
    let asked: HashMap<u64, &Seen> = seen.iter().map(|(_, seen)| (seen.id, seen)).collect();
    let mut taken: BTreeMap<u64, u64> = BTreeMap::new();
    for event in told.0.values().flatten() {
        let (Some((number, _, results)), Some(from)) =
            (results(event), asked.get(&event.connection))
        else {
            continue;
        };
        for (command, result) in from.asked[number].iter().zip(results) {
            let words: Vec<&str> = command.split(' ').collect();
            let to = match words[..] {
                ["send", ..] => event.connection,
                ["to", id, ..] => id.parse().expect("an id"),
                _ => continue,
            };
            *taken.entry(to).or_default() += sent(result).0;
        }
    }
    let read = seen.iter().filter(|(_, seen)| seen.ended == Ended::ByPeer);
    let errors = read.filter_map(|(actor, seen)| {
        let taken = taken.get(&seen.id).copied().unwrap_or(0);
        (taken != seen.floods).then(|| {
            format!(
                "connection {} of actor {actor}: {taken} messages were taken for it, {} came",
                seen.id, seen.floods
            )
        })
    });
    errors.collect()
}

/// Who subscribes gets what is published, in order and once, but for what its policy is told to have left out.
fn published(plan: &Plan, told: &Told, seen: &[(usize, Seen)]) -> Vec<String> {
    let asked: HashMap<u64, &Seen> = seen.iter().map(|(_, seen)| (seen.id, seen)).collect();
    let mut expected: BTreeMap<&str, BTreeSet<(u64, u64)>> = BTreeMap::new();
    for event in told.0.values().flatten() {
        let (Some((number, _, results)), Some(from)) =
            (results(event), asked.get(&event.connection))
        else {
            continue;
        };
        for (command, result) in from.asked[number].iter().zip(results) {
            let words: Vec<&str> = command.split(' ').collect();
            let (topic, first) = match words[..] {
                ["publish", topic, first, ..] => (topic, first),
                ["broadcast", first, ..] => ("", first),
                _ => continue,
            };
            let first: u64 = first.parse().expect("a number");
            let count = result
                .split(' ')
                .nth(1)
                .and_then(|count| count.parse().ok());
            let count: u64 = count.expect("a count");
            let all = (first..first + count).map(|number| (event.connection, number));
            expected.entry(topic).or_default().extend(all);
        }
    }
    let mut errors = Vec::new();
    for (actor, seen) in seen {
        let (topics, policy): (&[&str], _) = match &plan.actors[*actor] {
            Actor::Reader => (&["t", ""], "none"),
            Actor::Caller { .. } => (&["t", ""], "none"),
            Actor::Slow { topic, policy, .. } => (&[*topic, ""], *policy),
            Actor::Talker(_)
            | Actor::Requester
            | Actor::Knocker
            | Actor::Flooder { .. }
            | Actor::Leaver { .. } => continue,
        };
        if seen.ended != Ended::ByPeer {
            continue;
        }
        let expected: BTreeSet<_> = topics
            .iter()
            .filter_map(|topic| expected.get(topic))
            .flatten()
            .copied()
            .collect();
        let got: BTreeSet<_> = seen.published.iter().copied().collect();
        let context = format!("connection {} of actor {actor}, policy {policy}", seen.id);
        let mut last: HashMap<u64, u64> = HashMap::new();
        for (publisher, number) in &seen.published {
            if last
                .insert(*publisher, *number)
                .is_some_and(|last| last >= *number)
            {
                errors.push(format!(
                    "{context}: number {number} of {publisher} came out of order, or twice"
                ));
                break;
            }
        }
        let missing = expected.difference(&got).count() as u64;
        let surplus = got.difference(&expected).count();
        let dropped = seen.dropped.unwrap_or(0);
        if missing != dropped || surplus > 0 {
            errors.push(format!(
                "{context}: of {} published messages {missing} are missing, {dropped} were told as dropped, {surplus} are nobody's",
                expected.len()
            ));
        }
        let drops = ["drop-oldest", "drop-newest", "latest-only"].contains(&policy);
        if dropped > 0 && !drops {
            errors.push(format!("{context}: {dropped} were dropped"));
        }
    }
    errors
}

fn timers(plan: &Plan, told: &Told) -> Vec<String> {
    let mut errors = Vec::new();
    // A timer of a handshake fires in the instance that decided on it, which is the connection's.
    let rest = |event: &Event| -> (String, String) {
        let mut parts = event.rest.split(' ');
        let instance = parts.next().unwrap_or_default().to_owned();
        (instance, parts.nth(1).unwrap_or_default().to_owned())
    };
    if plan.scope == "connection" {
        let opened = told.0.values().flatten();
        let opened = opened.filter(|event| event.name == "opened");
        let instances: HashMap<_, _> = opened
            .map(|event| {
                let (instance, tag) = rest(event);
                (tag, instance)
            })
            .collect();
        for event in told.0.get(&0).into_iter().flatten() {
            let (instance, tag) = rest(event);
            if instances.get(&tag).is_some_and(|of| *of != instance) {
                errors.push(format!(
                    "the timer {tag} of a handshake fired in another instance than its connection's"
                ));
            }
        }
    }
    errors
}

/// Session data of the outbound connections that were granted: nobody ever answers them, so that all are there at the end.
pub(crate) fn outbound_session_bytes(told: &Told, seen: &[(usize, Seen)]) -> u64 {
    let asked: HashMap<u64, &Seen> = seen.iter().map(|(_, seen)| (seen.id, seen)).collect();
    let mut bytes = 0;
    for event in told.0.values().flatten() {
        let (Some((number, _, results)), Some(from)) =
            (results(event), asked.get(&event.connection))
        else {
            continue;
        };
        for (command, result) in from.asked[number].iter().zip(results) {
            if let ["connect", _, size, _] = command.split(' ').collect::<Vec<_>>()[..] {
                let made: u64 = result
                    .split(' ')
                    .nth(1)
                    .expect("a count")
                    .parse()
                    .expect("a number");
                bytes += made * size.parse::<u64>().expect("a number");
            }
        }
    }
    bytes
}
