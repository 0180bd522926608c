//! Runs a scenario with one worker, connections over pipes, and a clock that is advanced by hand.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{DuplexStream, duplex};
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::effect::{Effect, Sent};
use super::error::{Failed, TestError};
use super::file::{ANSWER, Action, Scenario, Step};
use super::idle::Idle;
use super::peer::{PIPE_BYTES, PORT, Peer, Seen, ask, handshake, plain_request};
use crate::config::Config;
use crate::connection::{self, Front};
use crate::server::{Server, StartError};
use wsrun_net::listener::Accepted;
use wsrun_net::stream::Socket;
use wsrun_runtime::admission::Handshake;

/// Runs every step, until one has another result than expected.
pub(super) fn play(config: Config, scenario: &Scenario) -> Result<(), TestError> {
    let mut server = Server::new(config)?;
    let idle = Idle::default();
    let notifier = idle.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .on_thread_park(move || notifier.tell())
        .build()
        .map_err(|error| StartError::Host(error.to_string()))?;
    let tasks = LocalSet::new();
    let mut ended = None;
    let played = tasks.block_on(&runtime, async {
        let front = server.start_within().await?;
        ended = Some(Rc::clone(&front));
        let mut runner = Runner {
            front,
            idle,
            seen: Seen::default(),
            peers: BTreeMap::new(),
            accepted: 0,
        };
        // The effects of the start belong to no step: nobody is connected.
        runner.idle.wait().await;
        for (position, step) in scenario.steps.iter().enumerate() {
            let outcome = runner.run_step(step).await;
            outcome.map_err(|difference| Failed {
                file: scenario.file.clone(),
                step: position + 1,
                line: step.line,
                action: step.action.to_string(),
                difference,
            })?;
        }
        Ok(())
    });
    // Tasks release their connections while the runtime exists.
    let entered = runtime.enter();
    drop(tasks);
    if let Some(front) = ended {
        front.dissolve();
    }
    drop(entered);
    played
}

struct Runner {
    front: Rc<Front>,
    idle: Idle,
    seen: Seen,
    peers: BTreeMap<String, Rc<Peer>>,
    /// The number of connections so far. Each comes from its own port.
    accepted: u16,
}

impl Runner {
    /// Runs a step. The error is the difference from what is expected, line by line.
    async fn run_step(&mut self, step: &Step) -> Result<(), Vec<String>> {
        match &step.action {
            Action::Connect {
                name,
                path,
                subprotocols,
                headers,
            } => {
                let options = handshake(path, subprotocols, headers);
                let peer = Peer::new(name, &self.seen);
                self.peers.insert(name.clone(), Rc::clone(&peer));
                let stream = self.accept();
                tokio::task::spawn_local(peer.live(stream, options));
            }
            Action::Send { from, what } => {
                let peer = self.peers.get(from);
                let peer = peer.ok_or_else(|| vec![format!("  {from} is not connected")])?;
                peer.send(what)
                    .map_err(|problem| vec![format!("  {from}: {problem}")])?;
            }
            Action::Advance(time) => self.advance(*time).await,
            Action::Request {
                method,
                target,
                headers,
                body,
            } => {
                let request = plain_request(method, target, headers, body);
                let stream = self.accept();
                tokio::task::spawn_local(ask(ANSWER, Rc::clone(&self.seen), stream, request));
            }
        }
        self.idle.wait().await;
        let seen = std::mem::take(&mut *self.seen.borrow_mut());
        compare(&step.expected, seen)
    }

    /// Lets time pass, from timer to timer.
    async fn advance(&self, time: Duration) {
        tokio::time::sleep_until(Instant::now() + time).await;
    }

    /// Connects to the server, as if it had accepted the connection.
    fn accept(&mut self) -> DuplexStream {
        let (ours, theirs) = duplex(PIPE_BYTES);
        self.accepted = self.accepted.wrapping_add(1);
        tokio::task::spawn_local(connection::serve(
            Rc::clone(&self.front),
            Handshake::begin(&self.front.shared.handshakes),
            Accepted {
                socket: Socket::Memory(theirs),
                peer: format!("127.0.0.1:{}", PORT_MIN.saturating_add(self.accepted)),
                local: format!("127.0.0.1:{PORT}"),
            },
            None,
        ));
        ours
    }
}

/// Compares the effects that each connection saw, in their order.
fn compare(expected: &[(String, Effect)], seen: Vec<(String, Effect)>) -> Result<(), Vec<String>> {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in expected.iter().chain(&seen) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut lines = Vec::new();
    for name in names {
        let of = |effects: &[(String, Effect)]| -> Vec<Effect> {
            let own = effects.iter().filter(|(other, _)| other == name);
            own.map(|(_, effect)| effect.clone()).collect()
        };
        let expected = of(expected);
        let asks = |effect: &Effect| matches!(effect, Effect::Subprotocol(_));
        let asked = expected.iter().any(asks);
        let mut got = of(&seen);
        got.retain(|effect| asked || !asks(effect));
        let is_same = expected.len() == got.len()
            && got
                .iter()
                .zip(&expected)
                .all(|(got, expected)| got.is(expected));
        if !is_same {
            lines.push(format!("  to {name}"));
            lines.extend(differences(&expected, &got));
        }
    }
    match lines.is_empty() {
        true => Ok(()),
        false => Err(lines),
    }
}

fn differences(expected: &[Effect], got: &[Effect]) -> Vec<String> {
    let mut lines = Vec::new();
    for position in 0..expected.len().max(got.len()) {
        let (expected, got) = (expected.get(position), got.get(position));
        let number = position + 1;
        match (expected, got) {
            (Some(expected), Some(got)) if got.is(expected) => {
                lines.push(format!("    {number:<2} {expected}"));
            }
            (expected, got) => {
                let text = |effect: Option<Effect>| {
                    effect.map_or_else(|| "nothing".to_owned(), |effect| effect.to_string())
                };
                let got = got.map(|got| got.beside(expected));
                lines.push(format!(
                    "    {number:<2} expected  {}",
                    text(expected.cloned())
                ));
                lines.push(format!("       got       {}", text(got)));
            }
        }
    }
    lines
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect { name, path, .. } => write!(f, "connect {name} {path}"),
            Self::Send { from, what } => {
                write!(f, "from {from}, ")?;
                match what {
                    Sent::Text(text) => write!(f, "{}", Effect::Text(text.clone())),
                    Sent::Binary(bytes) => write!(f, "{}", Effect::Binary(bytes.clone())),
                    Sent::Ping(payload) => write!(f, "{}", Effect::Ping(payload.clone())),
                    Sent::Pong(payload) => write!(f, "{}", Effect::Pong(payload.clone())),
                    Sent::Close { code, reason } => {
                        let (code, reason) = (*code, reason.clone());
                        write!(f, "{}", Effect::Close { code, reason })
                    }
                    Sent::Cut => write!(f, "cut"),
                }
            }
            Self::Advance(time) => write!(f, "advance {time:?}"),
            Self::Request { method, target, .. } => write!(f, "request {method} {target}"),
        }
    }
}

/// The port below those of the peers.
const PORT_MIN: u16 = 50_000;
