//! What is done to a server, drawn from a seed: the seed alone says it.

use wsrun_tests::random::Random;

/// What the plans of a test lean to. Everything else happens in them as well where it fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Versions with different exports, which fail in one of them, under traffic of all kinds.
    Swaps,
    /// Instances on two workers that publish and broadcast to each other, from `started` too, with a subscriber that they wait for.
    Workers,
    /// Peers that do not read beside peers that do, with every policy, up to the limits of the handler.
    SlowPeers,
    /// Callbacks that are interrupted, and what happens to their connections meanwhile.
    Interruptions,
    /// Peers that do not read, and go with a last message and a close code of their own.
    Departures,
    /// What a handler asks for before there is a connection: outbound connections, and what they keep.
    Openings,
    /// Timers that a handler sets while it decides on a connection.
    Handshakes,
    /// What `started` publishes on several workers, up to more than a worker takes at once.
    Starts,
}

/// Which optional exports a version has: see `tests/guests/model*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Full,
    Filter,
    Chunks,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Plain, Self::Full, Self::Filter, Self::Chunks];

    pub(crate) fn guest(self) -> &'static str {
        match self {
            Self::Plain => "model-plain",
            Self::Full => "model-full",
            Self::Filter => "model-filter",
            Self::Chunks => "model-chunks",
        }
    }

    /// The callbacks that it can fail in.
    fn callbacks(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["opened", "received"],
            Self::Full => &[
                "handshake",
                "started",
                "resumed",
                "opened",
                "received",
                "pong",
                "timer",
                "writable",
                "http",
                "http",
                "http",
                "http",
                "http",
            ],
            Self::Filter => &["opened", "received", "timer", "wanted", "wanted"],
            Self::Chunks => &["opened", "chunk", "http", "http", "http"],
        }
    }
}

/// A version: its exports, the callback that fails, and what `started` publishes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Version {
    pub(crate) kind: Kind,
    pub(crate) fails: &'static str,
    pub(crate) publishes: u64,
}

impl Version {
    pub(crate) fn good(kind: Kind) -> Self {
        Self {
            kind,
            fails: "nothing",
            publishes: 0,
        }
    }
}

/// One peer, or one after the other.
#[derive(Clone, Debug)]
pub(crate) enum Actor {
    /// One connection for each life.
    Talker(Vec<Life>),
    /// Plain requests, one after the other, until everybody else is done.
    Requester,
    /// Opening handshakes, one after the other, that lead to nothing, until everybody else is done.
    Knocker,
    /// Subscribes to `t` and reads. It asks for an automatic reply now and then.
    Reader,
    /// Subscribes to `topic` with this policy and reads nothing until all of it is over, over a Unix socket.
    Slow {
        topic: &'static str,
        policy: &'static str,
        /// Sent to it alone: messages, and their size.
        flood: (u64, u64),
    },
    /// Broadcasts or publishes to `t`, so many messages before it looks at what came; everybody gets everything.
    Caller {
        broadcasts: bool,
        bursts: u64,
        messages: u64,
    },
    /// Publishes to `w`, where a subscriber may be waited for, and cares for no answer.
    Flooder { messages: u64, size: u64 },
    /// Reads nothing until its queue is full, sends a message and a close frame, and is gone.
    Leaver { unix: bool, pause: u64 },
}

/// A connection of a talker.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) path: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

/// What a talker does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Asks, with so many requests for the automatic reply behind it in small steps, and waits for all answers. `{N}` stands for the id of
    /// the talker with that number.
    Ask(Vec<String>, u64),
    /// Asks several times before it waits.
    Burst(Vec<Vec<String>>),
    Pong,
    Pause(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Close,
    Vanish,
}

/// All of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) subject: Subject,
    pub(crate) seed: u64,
    pub(crate) scope: &'static str,
    pub(crate) arguments: Vec<String>,
    /// Bytes that may be queued for a connection, and for all of a worker together.
    pub(crate) queue_max: u64,
    pub(crate) handler_queue_max: u64,
    /// Session data that the handler may keep.
    pub(crate) session_max: u64,
    pub(crate) first: Version,
    /// One after the other, each with the milliseconds before it.
    pub(crate) swaps: Vec<(u64, Version)>,
    pub(crate) actors: Vec<Actor>,
}

/// What each size of a message is below, where queues are small.
const MESSAGE_MAX: u64 = 16 << 10;

impl Plan {
    pub(crate) fn draw(subject: Subject, seed: u64) -> Self {
        let mut random = Random::of(seed ^ ((subject as u64) << 48));
        let mut plan = Self {
            subject,
            seed,
            scope: "shared",
            arguments: Vec::new(),
            queue_max: 4 * MESSAGE_MAX,
            handler_queue_max: 64 << 20,
            session_max: 64 << 20,
            first: Version::good(Kind::Full),
            swaps: Vec::new(),
            actors: Vec::new(),
        };
        match subject {
            Subject::Swaps => plan.draw_swaps(&mut random),
            Subject::Workers => plan.draw_workers(&mut random),
            Subject::SlowPeers => plan.draw_slow_peers(&mut random),
            Subject::Interruptions => plan.draw_interruptions(&mut random),
            Subject::Departures => plan.draw_departures(&mut random),
            Subject::Openings => plan.draw_openings(&mut random),
            Subject::Handshakes => plan.draw_handshakes(&mut random),
            Subject::Starts => plan.draw_starts(&mut random),
        }
        plan
    }

    /// Limits of a handler are those of each worker that has an instance of it.
    pub(crate) fn workers_with_instances(&self) -> u64 {
        let mut arguments = self.arguments.windows(2);
        let workers = arguments.find(|pair| pair[0] == "--workers");
        match self.scope {
            "shared" => 1,
            _ => workers.map_or(1, |pair| pair[1].parse().expect("a number")),
        }
    }

    fn add(&mut self, arguments: &[&str]) {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.arguments.extend(arguments);
    }

    fn add_workers(&mut self, random: &mut Random) {
        let workers = random.pick(&["1", "2", "2"]);
        self.add(&["--workers", workers]);
    }

    /// A version of those that this scope allows.
    fn draw_kind(&self, random: &mut Random) -> Kind {
        loop {
            let kind = random.pick(&Kind::ALL);
            if kind != Kind::Filter || self.scope != "connection" {
                return kind;
            }
        }
    }

    fn draw_swaps(&mut self, random: &mut Random) {
        self.scope = random.pick(&["shared", "worker", "connection"]);
        self.add_workers(random);
        self.first =
            Version::good(random.pick(&[Kind::Plain, Kind::Plain, Kind::Full, Kind::Chunks]));
        let callbacks = random.pick(&[1, 200, 2_000, 2_000]).to_string();
        let time = format!("{}ms", random.between(50..=200));
        self.add(&["--trial-callbacks", &callbacks, "--trial-time", &time]);
        for _ in 0..random.between(3..=5) {
            let kind = random.pick(&Kind::ALL);
            let mut version = Version::good(kind);
            match random.below(10) {
                0..=3 => {
                    // What one has and the one before has not.
                    version.kind = random.pick(&[Kind::Full, Kind::Chunks]);
                    version.fails = "http";
                }
                4..=6 => version.fails = random.pick(kind.callbacks()),
                _ => {}
            }
            if version.kind == Kind::Filter && random.percent(50) {
                version.publishes = 100;
            }
            self.swaps.push((random.below(60), version));
        }
        for _ in 0..3 {
            let lives = (0..random.between(4..=12)).map(|_| life(random));
            self.actors.push(Actor::Talker(lives.collect()));
        }
        self.actors
            .extend([Actor::Requester, Actor::Requester, Actor::Knocker]);
    }

    fn draw_workers(&mut self, random: &mut Random) {
        self.scope = "worker";
        self.add(&[
            "--workers",
            "2",
            "--trial-time",
            "100ms",
            "--write-timeout",
            "10m",
        ]);
        let kind = random.pick(&[Kind::Filter, Kind::Filter, Kind::Full]);
        let publishes = random.pick(&[0, 1, 64, 65, 200, 1_000]);
        self.first = Version {
            publishes,
            ..Version::good(kind)
        };
        let waits = random.percent(50);
        for _ in 0..random.between(1..=2) {
            let publishes = random.pick(&[0, 65, 300]);
            let kind = self.draw_kind(random);
            let next = Version {
                publishes,
                ..Version::good(kind)
            };
            self.swaps.push((random.below(100), next));
        }
        if waits {
            let slow = Actor::Slow {
                topic: "w",
                policy: "wait",
                flood: (0, 1),
            };
            self.actors.push(slow);
            for _ in 0..6 {
                let messages = random.between(100..=300);
                let size = random.between(4_000..=8_000);
                self.actors.push(Actor::Flooder { messages, size });
            }
        }
        let callers = random.between(2..=10);
        for _ in 0..callers {
            self.actors.push(Actor::Caller {
                broadcasts: random.percent(80),
                bursts: random.between(1..=2),
                messages: random.between(60..=160),
            });
        }
    }

    fn draw_slow_peers(&mut self, random: &mut Random) {
        self.add_workers(random);
        self.add(&["--write-timeout", "10m"]);
        self.first = Version::good(random.pick(&[Kind::Full, Kind::Plain]));
        self.handler_queue_max = random.pick(&[8, 12, 64]) * self.queue_max;
        for _ in 0..random.between(10..=16) {
            let policy = random.pick(&[
                "none",
                "wait",
                "drop-oldest",
                "drop-newest",
                "latest-only",
                "disconnect",
            ]);
            // What is sent to one alone is in no policy's way. It is what fills the queue of all.
            let flood = random.pick(&[(0, 1), (60, 8_000), (60, 8_000), (400, 1_000)]);
            let topic = random.pick(&["t", "t", "u"]);
            self.actors.push(Actor::Slow {
                topic,
                policy,
                flood,
            });
        }
        for _ in 0..random.between(2..=4) {
            self.actors.push(Actor::Reader);
        }
        for _ in 0..2 {
            let mut first = 0;
            let steps = (0..random.between(10..=25)).map(|_| {
                let messages = random.between(1..=5);
                let size = random.pick(&[10, 1_000, 3_000, 6_000]);
                let text = format!("publish t {first} {messages} {size}");
                first += messages;
                match random.below(6) {
                    0 => Step::Pause(random.below(10)),
                    1 => Step::Ask(vec!["compute 5".to_owned(), text], 0),
                    _ => Step::Ask(vec![text], 0),
                }
            });
            let life = Life {
                path: "/".to_owned(),
                steps: steps.collect(),
                end: End::Close,
            };
            self.actors.push(Actor::Talker(vec![life]));
        }
    }

    fn draw_interruptions(&mut self, random: &mut Random) {
        self.scope = random.pick(&["shared", "connection", "connection"]);
        self.add(&["--workers", "1", "--write-timeout", "10m"]);
        let kind = random.pick(&[Kind::Full, Kind::Plain]);
        self.first = Version::good(kind);
        // The first ones stay, so that others can send to them.
        for number in 0..3_u64 {
            let steps = (0..random.between(6..=12)).map(|_| {
                if random.percent(10) {
                    return Step::Pause(random.below(10));
                }
                Step::Ask(interrupted(random, number, false), random.below(20))
            });
            let life = Life {
                path: "/".to_owned(),
                steps: steps.collect(),
                end: End::Close,
            };
            self.actors.push(Actor::Talker(vec![life]));
        }
        for number in 3..5_u64 {
            let lives = (0..random.between(4..=8)).map(|_| Life {
                path: "/".to_owned(),
                steps: vec![Step::Ask(
                    interrupted(random, number, true),
                    random.between(3..=20),
                )],
                end: End::Close,
            });
            self.actors.push(Actor::Talker(lives.collect()));
        }
        if random.percent(50) {
            let version = Version::good(random.pick(&[Kind::Full, Kind::Plain]));
            self.swaps.push((random.below(300), version));
        }
    }

    fn draw_departures(&mut self, random: &mut Random) {
        self.scope = random.pick(&["shared", "connection", "worker"]);
        self.add_workers(random);
        self.add(&["--write-timeout", "10m"]);
        self.first = Version::good(random.pick(&[Kind::Full, Kind::Plain]));
        for _ in 0..random.between(2..=5) {
            self.actors.push(Actor::Leaver {
                unix: random.percent(50),
                pause: random.below(100),
            });
        }
    }

    fn draw_openings(&mut self, random: &mut Random) {
        self.scope = random.pick(&["connection", "connection", "shared", "worker"]);
        self.add_workers(random);
        self.session_max = 128 << 10;
        for actor in 0..4 {
            let lives = (0..random.between(3..=6)).map(|number| {
                let tag = actor * 1_000 + number + 1;
                let mut steps = vec![Step::Ask(vec!["say".to_owned()], 0)];
                match random.below(3) {
                    0 => {
                        let size = random.between(1_000..=20_000);
                        steps.push(Step::Ask(vec![format!("session {size}")], 0));
                    }
                    1 => {
                        let (count, size) = (random.between(1..=12), random.between(500..=20_000));
                        let text = format!("connect {count} {size} {{url}}");
                        steps.push(Step::Ask(vec![text.clone(), text], 0));
                    }
                    _ => {}
                }
                steps.push(Step::Pause(random.between(40..=90)));
                Life {
                    path: format!("/?timer={tag}"),
                    steps,
                    end: End::Close,
                }
            });
            self.actors.push(Actor::Talker(lives.collect()));
        }
        self.actors.push(Actor::Knocker);
    }
}

impl Plan {
    fn draw_handshakes(&mut self, random: &mut Random) {
        self.scope = random.pick(&["connection", "connection", "connection", "shared", "worker"]);
        self.add_workers(random);
        for actor in 0..6 {
            let lives = (0..random.between(3..=6)).map(|number| Life {
                path: format!("/?timer={}", actor * 1_000 + number + 1),
                steps: vec![
                    Step::Ask(vec!["say".to_owned()], 0),
                    Step::Pause(random.between(40..=90)),
                ],
                end: End::Close,
            });
            self.actors.push(Actor::Talker(lives.collect()));
        }
        self.actors.push(Actor::Knocker);
    }

    fn draw_starts(&mut self, random: &mut Random) {
        self.scope = "worker";
        self.add(&["--workers", "2"]);
        let kind = random.pick(&[Kind::Filter, Kind::Full]);
        let publishes = random.pick(&[0, 64, 65, 66, 200, 1_000]);
        self.first = Version {
            publishes,
            ..Version::good(kind)
        };
        let life = Life {
            path: "/".to_owned(),
            steps: vec![Step::Ask(vec!["say".to_owned()], 0)],
            end: End::Close,
        };
        self.actors.push(Actor::Talker(vec![life]));
    }
}

/// A connection that does a bit of everything.
fn life(random: &mut Random) -> Life {
    let mut first = 0;
    let mut command = |random: &mut Random| {
        first += 1;
        match random.below(20) {
            0 => "compute 2".to_owned(),
            1 => "trap".to_owned(),
            2 | 3 => format!("timer {} {first}", random.below(20)),
            4..=6 => format!("broadcast {first} 1 10"),
            7 => format!("publish t {first} 1 10"),
            8 => "subscribe t".to_owned(),
            9 => "want-writable".to_owned(),
            _ => "say".to_owned(),
        }
    };
    let steps = (0..random.between(2..=10)).map(|_| match random.below(10) {
        0 => Step::Pause(random.below(20)),
        1 | 2 => Step::Pong,
        3..=5 => Step::Burst(
            (0..random.between(2..=8))
                .map(|_| vec![command(random)])
                .collect(),
        ),
        _ => Step::Ask(vec![command(random), "say".to_owned()], 0),
    });
    Life {
        path: "/".to_owned(),
        steps: steps.collect(),
        end: random.pick(&[End::Close, End::Close, End::Vanish]),
    }
}

/// Commands of one callback that computes between them, so that it is interrupted. With `ends` it closes its own connection.
fn interrupted(random: &mut Random, number: u64, ends: bool) -> Vec<String> {
    let mut commands = Vec::new();
    let compute = |random: &mut Random| format!("compute {}", random.between(4..=12));
    match random.below(4) {
        _ if ends && random.percent(70) => {
            commands.extend(["close".to_owned(), compute(random), "send 1 100".to_owned()]);
        }
        0 => {
            let (one, other) = random.pick(&[("text", "binary"), ("binary", "text")]);
            commands.push(format!("chunk {one} false 100"));
            commands.push(compute(random));
            commands.push(format!("chunk {other} true 100"));
            commands.push(compute(random));
            commands.push(format!("chunk {one} true 100"));
        }
        1 | 2 => {
            for _ in 0..random.between(2..=4) {
                commands.push(format!("send 40 {}", random.between(1_000..=8_000)));
                commands.push(compute(random));
            }
        }
        _ => {
            let other = (number + random.between(1..=2)) % 3;
            for _ in 0..random.between(1..=3) {
                commands.push(format!("to {{{other}}} 2 100"));
                commands.push(compute(random));
            }
        }
    }
    if ends && commands[0] != "close" {
        commands.push("close".to_owned());
    }
    commands
}
