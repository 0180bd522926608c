//! A handler that attacks, and the neighbour on the same worker that must not notice.

use std::ffi::OsString;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::admin::Administered;
use crate::frame::{self, Frame};
use crate::handlers;
use crate::latency::Latency;
use crate::peer::Peer;
use crate::scheduling;
use crate::server::{Builder, Server};
use crate::usage::MIB;
use crate::wait;

/// A handler, what it is told, and what must come of it.
#[derive(Debug)]
pub struct Attack {
    name: &'static str,
    handler: PathBuf,
    arguments: Vec<OsString>,
    reached: Vec<&'static str>,
    failed: Vec<&'static str>,
    growth_max: u64,
    p99_floor: Duration,
    peaceful: bool,
}

/// Where the attack's handler is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// On the neighbour's worker.
    Shared,
    /// On a worker of its own.
    Own,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
        }
    }
}

/// How long the neighbour is watched, before the attack and during it.
const BEFORE: Duration = Duration::from_secs(1);
const DURING: Duration = Duration::from_secs(1);

/// What a neighbour on the same worker may wait at p99, where twice its quiet p99 is less. A worker gives each handler a slice of about a
/// tenth of a millisecond (ADR 9), and ending an instance or copying what a guest hands over takes a few of them. What the bound is for is a
/// worker that is held up: by a callback it would be for `--callback-timeout`, 100 ms.
const P99_FLOOR: Duration = Duration::from_millis(5);

/// The same beside a handler with a worker of its own: less is what a machine that is busy with something else adds to either measurement.
const OWN_P99_FLOOR: Duration = Duration::from_millis(1);

/// Measurements, of which one must be within the bound: the machine may be busy with something else.
const TRIES: usize = 2;

/// What a server may grow by, beside what an attack is granted. Instances of the guilty come and go meanwhile: the one that fails, the one
/// that follows and its spare.
const GROWTH: u64 = 24 * MIB;

impl Attack {
    /// One of those that the guest `hostile` knows.
    pub fn new(name: &'static str) -> Self {
        let attack = Self::of(name, handlers::built("hostile"));
        attack.args(["--config", &format!("attack={name}")])
    }

    /// That of another handler.
    pub fn of(name: &'static str, handler: PathBuf) -> Self {
        Self {
            name,
            handler,
            arguments: Vec::new(),
            reached: Vec::new(),
            failed: Vec::new(),
            growth_max: GROWTH,
            p99_floor: P99_FLOOR,
            peaceful: true,
        }
        // An attack is to hit its own limit and not that of failures.
        .args(["--max-failures", "1000000"])
    }

    /// More arguments of the server. Those that are given once replace those that were before.
    pub fn args<I: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = I>) -> Self {
        let arguments = arguments.into_iter();
        let arguments: Vec<OsString> = arguments.map(|argument| argument.as_ref().into()).collect();
        if let Some(at) = self
            .arguments
            .iter()
            .position(|known| *known == arguments[0] && known != "--config")
        {
            self.arguments.drain(at..at + 2);
        }
        self.arguments.extend(arguments);
        self
    }

    /// It reaches this limit: `wsrun_limit_hits_total{limit}`.
    pub fn reaches(mut self, limit: &'static str) -> Self {
        self.reached.push(limit);
        self
    }

    /// Its callbacks fail in this way: `wsrun_callbacks_failed_total{kind}`.
    pub fn fails(mut self, kind: &'static str) -> Self {
        self.failed.push(kind);
        self
    }

    /// The server's memory may grow by so much for it, beside what is normal.
    pub fn grows(mut self, bytes: u64) -> Self {
        self.growth_max = GROWTH + bytes;
        self
    }

    /// The neighbour may wait longer: what the guest does cannot be interrupted.
    pub fn holds_up(mut self, time: Duration) -> Self {
        self.p99_floor = time;
        self
    }

    /// Not even a peaceful connection to it lives.
    pub fn never_peaceful(mut self) -> Self {
        self.peaceful = false;
        self
    }

    /// Runs the attack, which `guilty` begins and sees the end of, again and again while a neighbour echoes: once on the neighbour's worker
    /// and once on a worker of its own.
    #[track_caller]
    pub fn run(self, guilty: impl Fn(&Administered) + Sync) {
        for place in [Place::Shared, Place::Own] {
            thread::scope(|scope| {
                let run = scope.spawn(|| self.run_in(place, &guilty));
                if let Err(panic) = run.join() {
                    resume_unwind(panic);
                }
            });
        }
    }

    /// Runs an attack that the end of the server sets off, so that there is one of it: neighbours echo until they are closed, and the
    /// handler's own connections are served until they are.
    #[track_caller]
    pub fn run_at_the_end(self) {
        for place in [Place::Shared, Place::Own] {
            let kept = (0..TRIES).any(|_| self.run_at_the_end_in(place));
            assert!(kept, "the neighbours wait");
        }
    }

    /// Whether the neighbours waited no longer than they may.
    #[track_caller]
    fn run_at_the_end_in(&self, place: Place) -> bool {
        const GOING_AWAY: u16 = 1001;
        let window = ["--drain-window", "1500ms", "--shutdown-timeout", "10s"];
        let mut server = Administered::start(self.server(place).args(window));
        let mut neighbours: Vec<Peer> = (0..8).map(|_| server.open_protocol("echo")).collect();
        let mut guilty: Vec<Peer> = (0..20).map(|_| server.open()).collect();
        for peer in &mut guilty {
            assert_eq!(peer.ask("hello"), "hello");
        }
        let before = Latency::measure(&mut neighbours[0], "", BEFORE);
        let usage = server.usage();
        usage.restart_peak();
        let resident = usage.resident_bytes();
        server.terminate();
        let measuring =
            thread::spawn(move || Latency::measure_until_closed(neighbours, GOING_AWAY));
        let mut answered = 0;
        for peer in &mut guilty {
            peer.send_text("hello");
            let frame = peer.read_frame();
            if frame.opcode == frame::CLOSE {
                assert_eq!(frame.close_info().0, GOING_AWAY);
            } else {
                assert_eq!(frame.text(), "hello");
                answered += 1;
                peer.expect_close(GOING_AWAY);
            }
        }
        assert!(answered > 0, "nobody was served after the attack");
        // They have not answered the close yet, and so the server is still there.
        self.is_counted(&server);
        let grown = usage.peak_bytes().saturating_sub(resident);
        for peer in &mut guilty {
            peer.send(&Frame::close(GOING_AWAY, ""));
        }
        let during = match measuring.join() {
            Ok(during) => during,
            Err(panic) => resume_unwind(panic),
        };
        assert_eq!(server.server.wait(wait::PATIENCE).code(), Some(0));
        let figures = self.figures(place, 1, grown, &before, &during);
        assert!(grown <= self.growth_max, "too much memory: {figures}");
        self.is_kept(place, &before, &during)
    }

    fn server(&self, place: Place) -> Builder {
        let server = Server::of(&self.handler)
            .arg("--protocol")
            .arg(format!("echo={}", handlers::echo().display()))
            .args(&self.arguments);
        match place {
            Place::Shared => server,
            Place::Own => server.args(["--own-worker", "default", "--own-worker-nice", "10"]),
        }
    }

    #[track_caller]
    fn run_in(&self, place: Place, guilty: &impl Fn(&Administered)) {
        let mut server = Administered::start(self.server(place));
        let neighbour = Neighbour::start(server.open_protocol("echo"));
        self.lives_in_peace(&server);
        // Attackers have machines of their own: what this one computes is not to be what the neighbour waits for.
        scheduling::is_idle();
        let usage = server.usage();
        usage.restart_peak();
        let resident = usage.resident_bytes();
        let mut figures = String::new();
        let kept = (0..TRIES).any(|_| {
            let (before, during, rounds) = measure(&server, &neighbour, guilty);
            let grown = usage.peak_bytes().saturating_sub(resident);
            figures = self.figures(place, rounds, grown, &before, &during);
            self.is_kept(place, &before, &during)
        });
        assert!(kept, "the neighbour waits: {figures}");
        let grown = usage.peak_bytes().saturating_sub(resident);
        assert!(grown <= self.growth_max, "too much memory: {figures}");
        self.is_counted(&server);
        self.is_over(&server);
        let mut neighbour = neighbour.end();
        assert_eq!(neighbour.ask("still here"), "still here");
        neighbour.close();
        server.server.lives();
    }

    /// Tells what was measured, and returns it.
    fn figures(
        &self,
        place: Place,
        rounds: usize,
        grown: u64,
        before: &Latency,
        during: &Latency,
    ) -> String {
        let (quiet, p99) = (before.percentile(99), during.percentile(99));
        let figures = format!(
            "{:24} {:6} {rounds:>7} rounds, memory +{} MiB, neighbour p99 {quiet:.2?} -> {p99:.2?} ({:.1} x), longest {:.2?}",
            self.name,
            place.name(),
            grown / MIB,
            p99.as_secs_f64() / quiet.as_secs_f64(),
            during.percentile(100),
        );
        #[expect(clippy::print_stdout, reason = "the figures of docs/limits.md")]
        {
            println!("{figures}");
        }
        figures
    }

    /// Whether the neighbour waited no longer than it may.
    fn is_kept(&self, place: Place, before: &Latency, during: &Latency) -> bool {
        let floor = match place {
            Place::Shared => self.p99_floor,
            Place::Own => OWN_P99_FLOOR,
        };
        during.percentile(99) <= floor.max(before.percentile(99) * 2)
    }

    fn label(&self) -> String {
        let stem = self.handler.file_stem().expect("a handler is a file");
        stem.to_string_lossy().into_owned()
    }

    #[track_caller]
    fn is_counted(&self, server: &Administered) {
        let handler = self.label();
        for limit in &self.reached {
            assert!(server.hits(&handler, limit) > 0, "limit {limit}");
        }
        for kind in &self.failed {
            let name =
                format!("wsrun_callbacks_failed_total{{handler=\"{handler}\",kind=\"{kind}\"}}");
            assert!(server.metric(&name) > 0, "{name}");
        }
        for kind in ["trap", "deadline", "blocked", "start"] {
            let name = format!("wsrun_callbacks_failed_total{{handler=\"echo\",kind=\"{kind}\"}}");
            assert_eq!(server.metric(&name), 0, "the neighbour's {kind}");
        }
    }

    /// Nothing goes on behind it, and the handler serves as before.
    #[track_caller]
    fn is_over(&self, server: &Administered) {
        let handler = self.label();
        for metric in [
            "wsrun_connections",
            "wsrun_queued_bytes",
            "wsrun_event_bytes",
            "wsrun_session_bytes",
        ] {
            let name = format!("{metric}{{handler=\"{handler}\"}}");
            wait::until(&format!("{name} is 0"), || server.metric(&name) == 0);
        }
        wait::until("the server is quiet", || {
            const PAUSE: Duration = Duration::from_millis(200);
            let before = server.usage().cpu();
            thread::sleep(PAUSE);
            server.usage().cpu() - before <= PAUSE / 10
        });
        self.lives_in_peace(server);
    }

    #[track_caller]
    fn lives_in_peace(&self, server: &Administered) {
        if self.peaceful {
            let mut peer = server.open();
            assert_eq!(peer.ask("hello"), "hello");
            peer.send(&Frame::close(1000, ""));
            peer.expect_close(1000);
        }
    }
}

/// Measures what the neighbour waits, on a thread that began before the attacker's became less urgent.
#[derive(Debug)]
struct Neighbour {
    asked: Sender<Duration>,
    told: Receiver<Latency>,
    thread: JoinHandle<Peer>,
}

impl Neighbour {
    fn start(mut peer: Peer) -> Self {
        let (asked, times) = channel::<Duration>();
        let (measured, told) = channel();
        let thread = thread::spawn(move || {
            scheduling::is_urgent();
            for time in times {
                let latency = Latency::measure(&mut peer, "", time);
                measured.send(latency).expect("somebody asked");
            }
            peer
        });
        Self {
            asked,
            told,
            thread,
        }
    }

    fn ask(&self, time: Duration) {
        self.asked
            .send(time)
            .expect("the neighbour gets its echoes");
    }

    fn end(self) -> Peer {
        drop(self.asked);
        match self.thread.join() {
            Ok(peer) => peer,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// The waits of the neighbour before the attack and during it, and how often it was run.
fn measure(
    server: &Administered,
    neighbour: &Neighbour,
    guilty: &impl Fn(&Administered),
) -> (Latency, Latency, usize) {
    neighbour.ask(BEFORE);
    let before = neighbour
        .told
        .recv()
        .expect("the neighbour gets its echoes");
    neighbour.ask(DURING);
    let mut rounds = 0;
    loop {
        guilty(server);
        rounds += 1;
        match neighbour.told.try_recv() {
            Ok(during) => return (before, during, rounds),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => panic!("the neighbour gets no echoes"),
        }
    }
}

/// Begins the attack by a message, and asserts that its connection is closed with this code.
#[track_caller]
pub fn closes(server: &Server, code: u16) {
    let mut peer = server.open();
    peer.send_text("go");
    peer.expect_close_at_last(code);
}

/// Begins the attack by a message, and asserts that it comes to an end of its own, and to this.
#[track_caller]
pub fn answers(server: &Server, text: &str) {
    let mut peer = server.open();
    peer.send_text("go");
    let answer = peer.read_text();
    assert!(answer.contains(text), "{answer:?}, not {text:?}");
    peer.close();
}
