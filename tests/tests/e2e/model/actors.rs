//! The peers of a plan, each on a thread of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wsrun_tests::frame::{self, Frame};
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::wait::{self, PATIENCE};

use super::client::{AUTOMATIC, Client, Ended, Got, Seen, deadline};
use super::plan::{Actor, End, Life, Plan, Step, Subject};

/// What the peers of one server share.
pub(crate) struct Stage<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) address: SocketAddr,
    pub(crate) unix: PathBuf,
    /// Where somebody listens who never answers.
    pub(crate) url: String,
    /// The id of each talker.
    pub(crate) ids: Vec<AtomicU64>,
    /// Who is connected, or has failed to.
    pub(crate) ready: AtomicUsize,
    /// Who has something to do yet that others wait for.
    pub(crate) at_work: Vec<AtomicBool>,
    /// Somebody has failed: it is over.
    pub(crate) failed: AtomicBool,
    /// What was taken for everybody, or for the topic `w`, by those who are done.
    pub(crate) due: AtomicU64,
    /// Whether the swaps are over.
    pub(crate) swapped: AtomicBool,
    pub(crate) seen: Mutex<Vec<(usize, Seen)>>,
}

/// Counts an actor until it is done.
struct Counted<'a> {
    counter: &'a AtomicUsize,
    is_done: bool,
}

/// Has others wait for an actor until it is done.
struct AtWork<'a>(&'a AtomicBool);

impl AtWork<'_> {
    fn done(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.done();
    }
}

/// Has everybody stop when one has failed.
pub(crate) struct Alarm<'a>(pub(crate) &'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::SeqCst);
        }
    }
}

impl<'a> Counted<'a> {
    fn of(counter: &'a AtomicUsize) -> Self {
        Self {
            counter,
            is_done: false,
        }
    }

    fn done(&mut self) {
        if !std::mem::replace(&mut self.is_done, true) {
            self.counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.done();
    }
}

impl Actor {
    /// Whether others wait until it has done what it has to do.
    pub(crate) fn is_active(&self) -> bool {
        match self {
            Self::Talker(_) | Self::Caller { .. } | Self::Flooder { .. } | Self::Leaver { .. } => {
                true
            }
            Self::Requester | Self::Knocker | Self::Reader | Self::Slow { .. } => false,
        }
    }
}

fn all(commands: &[&str]) -> Vec<String> {
    commands
        .iter()
        .map(|command| (*command).to_owned())
        .collect()
}

impl Stage<'_> {
    pub(crate) fn run(&self, number: usize, actor: &Actor) {
        let _alarm = Alarm(&self.failed);
        let mut preparing = Counted::of(&self.ready);
        let acting = AtWork(&self.at_work[number]);
        match actor {
            Actor::Talker(lives) => self.talk(number, lives, &mut preparing, &acting),
            Actor::Requester => self.request(&mut preparing),
            Actor::Knocker => self.knock(&mut preparing),
            Actor::Reader => self.read(number, &mut preparing),
            Actor::Slow {
                topic,
                policy,
                flood,
            } => self.be_slow(number, topic, policy, *flood, &mut preparing),
            Actor::Caller {
                broadcasts,
                bursts,
                messages,
            } => {
                let call = (*broadcasts, *bursts, *messages);
                self.call(number, call, &mut preparing, &acting);
            }
            Actor::Flooder { messages, size } => {
                self.flood(number, *messages, *size, &mut preparing);
            }
            Actor::Leaver { unix, pause } => self.leave(number, *unix, *pause, &mut preparing),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().next().is_none() || self.failed.load(Ordering::SeqCst)
    }

    /// Who is waited for.
    pub(crate) fn left(&self) -> impl Iterator<Item = usize> {
        let is_at_work = |at_work: &AtomicBool| at_work.load(Ordering::SeqCst);
        let all = self.at_work.iter().enumerate();
        all.filter_map(move |(number, at_work)| is_at_work(at_work).then_some(number))
    }

    /// Waits until everybody is there.
    fn wait_for_all(&self, preparing: &mut Counted<'_>) {
        preparing.done();
        wait::until("everybody is there", || {
            self.ready.load(Ordering::SeqCst) == 0 || self.failed.load(Ordering::SeqCst)
        });
    }

    fn keep(&self, number: usize, seen: Seen) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((number, seen));
    }

    fn peer(&self) -> Peer {
        Peer::tcp(self.address)
    }

    /// The first message of each connection; false when it ended.
    fn introduce(&self, client: &mut Client) -> bool {
        let mut commands = all(&["id"]);
        if matches!(
            self.plan.subject,
            Subject::SlowPeers | Subject::Interruptions
        ) {
            commands.push(format!("auto {} {}", AUTOMATIC[0], AUTOMATIC[1]));
        }
        let Some(results) = client.ask(&commands) else {
            return false;
        };
        client.seen.id = results[0].parse().expect("an id");
        true
    }

    fn member(&self) -> Client {
        let mut client = Client::open(self.peer(), "/").expect("the handler lets it in");
        assert!(self.introduce(&mut client), "{:?}", client.seen.ended);
        client
    }

    /// Whether versions may fail here, so that connections are closed with 1011 and handshakes refused.
    fn versions_fail(&self) -> bool {
        self.plan.subject == Subject::Swaps
    }

    fn talk(
        &self,
        number: usize,
        lives: &[Life],
        preparing: &mut Counted<'_>,
        acting: &AtWork<'_>,
    ) {
        let mut first = true;
        loop {
            for (at, life) in lives.iter().enumerate() {
                let mut client = match Client::open(self.peer(), &life.path) {
                    Ok(client) => client,
                    Err(500 | 503) if self.versions_fail() => continue,
                    Err(status) => panic!("the handshake was answered with {status}"),
                };
                let is_there = self.introduce(&mut client);
                if is_there {
                    self.ids[number].store(client.seen.id, Ordering::SeqCst);
                }
                if std::mem::take(&mut first) {
                    self.wait_for_all(preparing);
                }
                let goes_on =
                    is_there && life.steps.iter().all(|step| self.step(&mut client, step));
                let is_last = at + 1 == lives.len() && !self.versions_fail();
                if goes_on && is_last {
                    // Others may send to it until they are done.
                    acting.done();
                    self.read_until_over(&mut client);
                    let _ = client.ask(&all(&["say"]));
                }
                let seen = self.end(client, life.end);
                self.keep(number, seen);
            }
            let is_enough =
                self.swapped.load(Ordering::SeqCst) || self.failed.load(Ordering::SeqCst);
            if !self.versions_fail() || is_enough {
                break;
            }
        }
    }

    fn end(&self, mut client: Client, end: End) -> Seen {
        match end {
            End::Vanish if client.seen.ended == Ended::Not => {
                client.seen.ended = Ended::Gone;
                client.seen
            }
            End::Close if client.seen.ended == Ended::Not => client.close(),
            End::Close | End::Vanish => client.seen,
        }
    }

    /// Does one thing, to the end. False when the connection ended.
    fn step(&self, client: &mut Client, step: &Step) -> bool {
        match step {
            Step::Pause(millis) => {
                thread::sleep(Duration::from_millis(*millis));
                true
            }
            Step::Pong => {
                client.send_frame(&Frame::new(frame::PONG, "x"));
                true
            }
            Step::Burst(messages) => {
                for commands in messages {
                    client.send(&self.filled_in(commands));
                }
                self.await_answers(client, messages.len(), 0)
            }
            Step::Ask(commands, automatic) => {
                client.send(&self.filled_in(commands));
                for _ in 0..*automatic {
                    thread::sleep(Duration::from_millis(1));
                    client.send_frame(&Frame::new(frame::TEXT, AUTOMATIC[0]));
                }
                self.await_answers(client, 1, *automatic)
            }
        }
    }

    fn filled_in(&self, commands: &[String]) -> Vec<String> {
        let filled_in = |command: &String| {
            let mut command = command.replace("{url}", &self.url);
            for (number, id) in self.ids.iter().enumerate() {
                let id = id.load(Ordering::SeqCst).to_string();
                command = command.replace(&format!("{{{number}}}"), &id);
            }
            command
        };
        commands.iter().map(filled_in).collect()
    }

    /// Waits for the answers to the last messages, which come in order, and for those of the host.
    fn await_answers(&self, client: &mut Client, messages: usize, automatic: u64) -> bool {
        let mut next = client.seen.asked.len() - messages;
        let automatic = client.seen.automatic + automatic;
        // An answer that did not fit the queue behind what the same callback sent is not sent.
        let may_miss = client.seen.asked[next..]
            .iter()
            .any(|commands| commands.iter().any(|command| command.starts_with("send ")));
        if may_miss {
            client.send(&all(&["say"]));
        }
        let deadline = deadline();
        while next < client.seen.asked.len() || client.seen.automatic < automatic {
            match client.read_by(deadline) {
                Got::Answer(number, _) => {
                    assert!(
                        number == next || (may_miss && number > next),
                        "the answer to {number} came where that to {next} was due"
                    );
                    next = number + 1;
                }
                Got::Automatic | Got::Published => {}
                Got::Ended => {
                    self.check_end(client);
                    return false;
                }
                Got::Nothing => panic!(
                    "no answer to message {next} of connection {} in time, {} of {automatic} automatic ones",
                    client.seen.id, client.seen.automatic
                ),
            }
        }
        true
    }

    /// Whether a connection that reads may end so.
    #[track_caller]
    fn check_end(&self, client: &Client) {
        let closes = |commands: &Vec<String>| commands.iter().any(|command| command == "close");
        let is_expected = match client.seen.ended {
            Ended::ByServer(4000) => client.seen.asked.iter().any(closes),
            Ended::ByServer(1011) => self.versions_fail(),
            Ended::ByServer(_) | Ended::Cut | Ended::Not | Ended::ByPeer | Ended::Gone => false,
        };
        assert!(
            is_expected,
            "connection {}, which reads, ended with {:?} behind {:?}",
            client.seen.id,
            client.seen.ended,
            client.seen.asked.last()
        );
    }

    fn read_until_over(&self, client: &mut Client) {
        while !self.is_over() {
            if client.read_within(Duration::from_millis(20)) == Got::Ended {
                self.check_end(client);
                return;
            }
        }
    }

    fn request(&self, preparing: &mut Counted<'_>) {
        self.wait_for_all(preparing);
        while !self.is_over() {
            let response = self.peer().request(&Request::get("/"));
            assert!(
                [200, 404, 426, 500, 503].contains(&response.status),
                "{response:?}"
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn knock(&self, preparing: &mut Counted<'_>) {
        self.wait_for_all(preparing);
        let mut number = 0;
        while !self.is_over() {
            number += 1;
            let path = if number % 2 == 0 { "/refused" } else { "/" };
            let response = self.peer().request(&Request::upgrade(path));
            let is_expected = match response.status {
                101 => true,
                403 => path == "/refused",
                500 | 503 => self.versions_fail(),
                _ => false,
            };
            assert!(is_expected, "{path}: {response:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn read(&self, number: usize, preparing: &mut Counted<'_>) {
        let mut client = self.member();
        assert_eq!(client.ask_one("subscribe t").as_deref(), Some("true"));
        self.wait_for_all(preparing);
        let mut expected = 0;
        while !self.is_over() {
            client.send_frame(&Frame::new(frame::TEXT, AUTOMATIC[0]));
            expected += 1;
            if client.read_within(Duration::from_millis(5)) == Got::Ended {
                self.check_end(&client);
            }
        }
        let deadline = deadline();
        while client.seen.automatic < expected {
            match client.read_by(deadline) {
                Got::Automatic | Got::Published => {}
                other @ (Got::Answer(..) | Got::Ended | Got::Nothing) => panic!(
                    "{other:?} in the place of an automatic answer: {} of {expected} came to connection {}",
                    client.seen.automatic, client.seen.id
                ),
            }
        }
        // What was published before comes before this is answered.
        assert!(client.ask_one("say").is_some(), "{:?}", client.seen.ended);
        self.keep(number, client.close());
    }

    fn be_slow(
        &self,
        number: usize,
        topic: &str,
        policy: &str,
        flood: (u64, u64),
        preparing: &mut Counted<'_>,
    ) {
        let mut client = Client::unix(&self.unix);
        assert!(self.introduce(&mut client), "{:?}", client.seen.ended);
        let commands = [format!("policy {policy}"), format!("subscribe {topic}")];
        assert!(client.ask(&commands).is_some(), "{:?}", client.seen.ended);
        self.wait_for_all(preparing);
        if flood.0 > 0 {
            client.send(&[format!("send {} {}", flood.0, flood.1)]);
        }
        let waits_for_swaps = self.plan.subject == Subject::Workers;
        while !(self.is_over() || waits_for_swaps && self.swapped.load(Ordering::SeqCst)) {
            thread::sleep(Duration::from_millis(5));
        }
        // It catches up, as long as others are held up by it.
        while !self.is_over() {
            let _ = client.read_within(Duration::from_millis(20));
        }
        if waits_for_swaps && !self.failed.load(Ordering::SeqCst) {
            self.read_what_is_due(&mut client);
        }
        let first = client.seen.asked.len();
        let deadline = deadline();
        let mut again_at = Instant::now();
        loop {
            // An answer that does not fit the queue is not sent.
            if Instant::now() >= again_at {
                assert!(
                    Instant::now() < deadline,
                    "a slow peer with the policy {policy}, connection {}, has not caught up with what it asked last within {PATIENCE:?}",
                    client.seen.id
                );
                client.send(&all(&["dropped"]));
                again_at = Instant::now() + Duration::from_millis(200);
            }
            match client.read_by(again_at) {
                Got::Answer(of, results) if of >= first => {
                    client.seen.dropped = Some(results[0].parse().expect("how many"));
                    self.keep(number, client.close());
                    return;
                }
                Got::Answer(..) | Got::Automatic | Got::Published | Got::Nothing => {}
                Got::Ended => break,
            }
        }
        let is_expected = match client.seen.ended {
            Ended::ByServer(4100) => policy == "disconnect",
            Ended::ByServer(1008) => policy == "none",
            // Who holds most gives way, if all hold more than they may: the metrics say whether they did.
            Ended::Cut => self.plan.subject == Subject::SlowPeers,
            Ended::ByServer(_) | Ended::Not | Ended::ByPeer | Ended::Gone => false,
        };
        assert!(
            is_expected,
            "a slow peer with the policy {policy} ended with {:?}",
            client.seen.ended
        );
        self.keep(number, client.seen);
    }

    /// What another worker has taken may still be on its way when that is answered.
    fn read_what_is_due(&self, client: &mut Client) {
        let due = self.due.load(Ordering::SeqCst);
        let deadline = deadline();
        while (client.seen.published.len() as u64) < due {
            match client.read_by(deadline) {
                Got::Published | Got::Automatic => {}
                other @ (Got::Answer(..) | Got::Ended | Got::Nothing) => panic!(
                    "{other:?} within {PATIENCE:?} after {} of {due} that a subscriber is waited for with",
                    client.seen.published.len()
                ),
            }
        }
    }

    fn call(
        &self,
        number: usize,
        (broadcasts, bursts, messages): (bool, u64, u64),
        preparing: &mut Counted<'_>,
        acting: &AtWork<'_>,
    ) {
        let mut client = self.member();
        assert_eq!(client.ask_one("subscribe t").as_deref(), Some("true"));
        self.wait_for_all(preparing);
        let expected: u64 = self.plan.actors.iter().map(calls).sum();
        let verb = match broadcasts {
            true => "broadcast",
            false => "publish t",
        };
        let mut first = 0;
        for burst in 1..=bursts {
            let deadline = deadline();
            while client.seen.taken < burst * messages {
                let refused = burst * messages - client.seen.taken;
                assert!(
                    Instant::now() < deadline,
                    "{refused} of {messages} messages are refused again and again: a subscriber is waited for"
                );
                // Numbers of their own, as what was refused may be followed by what was taken.
                for _ in 0..refused {
                    client.send(&[format!("{verb} {first} 1 10")]);
                    first += 1;
                }
                assert!(
                    self.await_answers(&mut client, refused as usize, 0),
                    "{:?}",
                    client.seen.ended
                );
                if client.seen.taken < burst * messages {
                    thread::sleep(Duration::from_millis(20));
                }
            }
        }
        let got = |client: &Client| client.seen.published.len() as u64;
        let deadline = deadline();
        while got(&client) < expected {
            match client.read_by(deadline) {
                Got::Published => {}
                other @ (Got::Answer(..) | Got::Automatic | Got::Ended | Got::Nothing) => panic!(
                    "{other:?} within {PATIENCE:?} after {} of {expected} that were broadcast",
                    got(&client)
                ),
            }
        }
        if broadcasts {
            self.due.fetch_add(client.seen.taken, Ordering::SeqCst);
        }
        acting.done();
        self.read_until_over(&mut client);
        assert_eq!(got(&client), expected, "something came twice");
        self.keep(number, client.close());
    }

    fn flood(&self, number: usize, messages: u64, size: u64, preparing: &mut Counted<'_>) {
        let mut client = self.member();
        self.wait_for_all(preparing);
        let before = client.seen.asked.len();
        for first in 0..messages {
            client.send(&[format!("publish w {first} 1 {size}")]);
        }
        let sent = client.seen.asked.len() - before;
        assert!(
            self.await_answers(&mut client, sent, 0),
            "{:?}",
            client.seen.ended
        );
        self.due.fetch_add(client.seen.taken, Ordering::SeqCst);
        self.keep(number, client.close());
    }

    fn leave(&self, number: usize, unix: bool, pause: u64, preparing: &mut Counted<'_>) {
        let mut client = match unix {
            true => Client::unix(&self.unix),
            false => Client::open(self.peer(), "/").expect("the handler lets it in"),
        };
        assert!(self.introduce(&mut client), "{:?}", client.seen.ended);
        self.wait_for_all(preparing);
        // More than the socket and the queue take, in several callbacks: what was refused once is refused.
        for _ in 0..100 {
            client.send(&all(&["send 4 16000"]));
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(pause));
        client.send(&all(&["say"]));
        client.send_frame(&Frame::close(4001, ""));
        client.seen.ended = Ended::Gone;
        self.keep(number, client.seen);
    }
}

/// How much of it comes to each caller.
fn calls(actor: &Actor) -> u64 {
    match actor {
        Actor::Caller {
            bursts, messages, ..
        } => bursts * messages,
        Actor::Talker(_)
        | Actor::Requester
        | Actor::Knocker
        | Actor::Reader
        | Actor::Slow { .. }
        | Actor::Flooder { .. }
        | Actor::Leaver { .. } => 0,
    }
}
