//! Rows of the 2011 interface for programs that embed the host: who turns the loop, descriptors, threads; the examples that show it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use wsrun::config::Scope;
use wsrun::contract::{CloseInfo, ClosedBy, ConnectOptions, ConnectionId, Message};
use wsrun::native::{Context, Features, Handler, Native};
use wsrun::server::{Address, Builder, PublishFailed, Server, StartError, SwapError};
use wsrun_tests::handlers;
use wsrun_tests::handshake::Request;
use wsrun_tests::peer::Peer;
use wsrun_tests::server::binary;
use wsrun_tests::wait;

/// Gives messages back; some do more.
#[derive(Default)]
struct Scripted {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn see(&self, text: String) {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }
}

impl Handler for Scripted {
    fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        self.see(format!("opened {:?}", thread::current().id()));
        let _ = cx.subscribe(connection, "all");
    }

    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        let Message::Text(text) = message else {
            let _ = cx.send(connection, message);
            return;
        };
        match text {
            "fd" => {
                let fd = cx
                    .raw_fd(connection)
                    .expect("an open connection has a socket");
                // SO_PEERNAME through the descriptor, as the program of 2011 did.
                let name = std::fs::read_link(format!("/proc/self/fd/{fd}"));
                let name = name.expect("it is a descriptor of this process");
                let _ = cx.send(connection, name.to_string_lossy().as_ref());
            }
            "unknown fd" => {
                let reply = format!("{:?}", cx.raw_fd(4711));
                let _ = cx.send(connection, reply.as_str());
            }
            "panic" => {
                let _ = cx.send(connection, "never sent");
                panic!("asked to");
            }
            "bad close" => cx.close(connection, 1006, ""),
            "thread" => {
                let reply = format!("{:?}", thread::current().id());
                let _ = cx.send(connection, reply.as_str());
            }
            _ => {
                let _ = cx.send(connection, message);
            }
        }
    }

    fn closed(&mut self, _cx: &mut Context<'_>, _connection: ConnectionId, info: &CloseInfo) {
        self.see(format!("closed {} {:?}", info.code, info.by));
    }
}

fn scripted() -> (Builder, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let native = Native::new("scripted", {
        let seen = Arc::clone(&seen);
        move || Scripted {
            seen: Arc::clone(&seen),
        }
    });
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (Server::builder().listen_tcp(any).handler(native), seen)
}

fn tcp(address: &Address) -> SocketAddr {
    match address {
        Address::Tcp(address) => *address,
        Address::Unix(path) => panic!("{}", path.display()),
    }
}

fn open(address: SocketAddr) -> Peer {
    let mut peer = Peer::tcp(address);
    peer.upgrade(&Request::upgrade("/"));
    peer
}

/// Something that a peer does while the server is turned by the test's own thread.
fn meanwhile<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    thread::spawn(work)
}

#[test]
fn seed_01_builder_without_a_listener_is_client_only() {
    let peer = wsrun_tests::server::Server::of(handlers::echo()).start();
    let running = Server::builder()
        .client_only()
        .handler(Native::new("client", Talker::default))
        .build()
        .expect("it starts")
        .spawn()
        .expect("it runs");
    assert!(running.addresses().is_empty());
    let options = ConnectOptions {
        url: peer.url(0).to_owned(),
        ..ConnectOptions::default()
    };
    let info = wait_for(async {
        let connecting = running.publisher().connect("client", options).await;
        connecting.expect("it is attempted").ended().await
    });
    let info = info.expect("it was told");
    assert_eq!(
        (info.code, info.by, info.clean),
        (1000, ClosedBy::Handler, true)
    );
    assert!(running.shutdown());
}

/// Says something, and closes when it comes back.
#[derive(Default)]
struct Talker;

impl Handler for Talker {
    fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
        let _ = cx.send(connection, "hello");
    }

    fn received(&mut self, cx: &mut Context<'_>, connection: ConnectionId, message: Message<'_>) {
        assert_eq!(message, Message::Text("hello"));
        cx.close(connection, 1000, "");
    }
}

fn wait_for<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
        .block_on(work)
}

#[test]
fn seed_01_builder_tells_what_contradicts_itself() {
    let error = Server::builder().build().err().expect("no handler");
    assert!(matches!(error, StartError::Config(_)), "{error}");
    let error = Server::builder().handler("no-such.wasm").build().err();
    assert!(matches!(error, Some(StartError::Component(_))));
    let (builder, _) = scripted();
    let mut server = builder.workers(2).build().expect("it is bound");
    let error = server.service(Duration::ZERO).expect_err("two workers");
    assert!(error.to_string().contains("spawn"), "{error}");
}

#[test]
fn seed_02_shutdown_of_an_embedded_server_closes_everything() {
    let (builder, seen) = scripted();
    let running = builder
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let address = tcp(&running.addresses()[0]);
    let mut peer = open(address);
    assert_eq!(peer.ask("open"), "open");
    let stopping = meanwhile(move || running.shutdown());
    peer.expect_close(1001);
    peer.send(&wsrun_tests::frame::Frame::close(1001, ""));
    peer.expect_end();
    assert!(
        stopping.join().expect("it returns"),
        "everything was closed"
    );
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens"
    );
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(seen.contains(&"closed 1001 Host".to_owned()), "{seen:?}");
}

#[test]
fn seed_03_service_does_one_turn_on_the_callers_thread() {
    let (builder, seen) = scripted();
    let mut server = builder.build().expect("it is bound");
    let address = tcp(&server.addresses()[0]);
    // Nothing to do: with zero it returns at once, else it waits no longer than it is told.
    while server.service(Duration::ZERO).expect("it turns") {}
    let began = Instant::now();
    assert!(
        !server
            .service(Duration::from_millis(200))
            .expect("it turns")
    );
    assert!(
        began.elapsed() >= Duration::from_millis(190),
        "{:?}",
        began.elapsed()
    );

    let client = meanwhile(move || {
        let mut peer = open(address);
        let thread = peer.ask("thread");
        peer.close();
        thread
    });
    // Nothing is done between the turns: the client waits for them.
    while !client.is_finished() {
        server.service(Duration::from_millis(50)).expect("it turns");
    }
    assert_eq!(
        client.join().expect("it got its answer"),
        format!("{:?}", thread::current().id())
    );
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!(seen[0], format!("opened {:?}", thread::current().id()));
    assert_eq!(seen[1], "closed 1000 Peer");
    drop(server);
    assert!(
        std::net::TcpStream::connect(address).is_err(),
        "nobody listens"
    );
}

#[test]
fn seed_03_service_runs_components_and_timers_too() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut server = Server::builder()
        .listen_tcp(any)
        .handler(handlers::probe())
        .build()
        .expect("it is bound");
    let address = tcp(&server.addresses()[0]);
    let client = meanwhile(move || {
        let mut peer = open(address);
        assert!(peer.ask("timer-conn 100 7").starts_with("ok "));
        assert!(peer.read_text().ends_with(" 7"));
        assert_eq!(peer.ask("sleep-wasi 20").split(' ').next(), Some("slept"));
        peer.send_text("trap");
        peer.expect_close(1011);
        open(address).ask("calls")
    });
    while !client.is_finished() {
        server.service(Duration::from_secs(1)).expect("it turns");
    }
    assert_eq!(client.join().expect("the client is content"), "1");
}

#[test]
fn seed_04_service_fd_is_a_descriptor_for_a_foreign_poll_loop() {
    let (builder, _) = scripted();
    let mut server = builder.build().expect("it is bound");
    let address = tcp(&server.addresses()[0]);
    server.service(Duration::ZERO).expect("it turns");
    while server.service(Duration::ZERO).expect("it turns") {}
    // Nothing happens: it is not readable.
    assert!(!is_readable(
        server.as_fd().expect("a descriptor"),
        Duration::from_millis(100)
    ));
    let client = meanwhile(move || {
        let mut peer = open(address);
        for number in 0..100 {
            assert_eq!(peer.ask(&number.to_string()), number.to_string());
        }
        peer.close();
    });
    // The loop of somebody else: it waits on the descriptor alone, and steps when it is told.
    while !client.is_finished() {
        if is_readable(
            server.as_fd().expect("a descriptor"),
            Duration::from_millis(50),
        ) {
            server.service(Duration::ZERO).expect("it steps");
        }
    }
    client.join().expect("the client is content");
}

fn is_readable(fd: BorrowedFd<'_>, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).expect("a short time");
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).expect("poll works") == 1
}

#[test]
fn seed_05_poll_fd_callbacks_are_not_needed_as_one_descriptor_stands_for_all_connections() {
    let (builder, _) = scripted();
    let mut server = builder.build().expect("it is bound");
    let address = tcp(&server.addresses()[0]);
    server.service(Duration::ZERO).expect("it turns");
    // Registered once, in the program's own epoll; connections come and go behind it.
    let own = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let fd = server.as_fd().expect("a descriptor");
    epoll::add(
        &own,
        fd,
        epoll::EventData::new_u64(42),
        epoll::EventFlags::IN,
    )
    .expect("added");
    let client = meanwhile(move || {
        for round in 0..5 {
            let mut peers: Vec<Peer> = (0..20).map(|_| open(address)).collect();
            for peer in &mut peers {
                assert_eq!(
                    peer.ask(&format!("round {round}")),
                    format!("round {round}")
                );
            }
        }
    });
    let mut events = Vec::with_capacity(4);
    while !client.is_finished() {
        events.clear();
        let timeout = Timespec::try_from(Duration::from_millis(50)).expect("a short time");
        epoll::wait(
            &own,
            rustix::buffer::spare_capacity(&mut events),
            Some(&timeout),
        )
        .expect("it waits");
        for event in &events {
            assert_eq!(event.data.u64(), 42);
            server.service(Duration::ZERO).expect("it steps");
        }
    }
    client.join().expect("the client is content");
    wait::until("all connections are gone", || {
        server.service(Duration::ZERO).expect("it steps");
        server.connections() == 0
    });
}

#[test]
fn seed_06_spawn_runs_native_and_component_handlers_on_threads() {
    let (builder, _) = scripted();
    let running = builder
        .protocol("ask", handlers::probe())
        .workers(2)
        .value("greeting", "hi")
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let address = tcp(&running.addresses()[0]);
    let mut native = open(address);
    assert_ne!(
        native.ask("thread"),
        format!("{:?}", thread::current().id())
    );
    let mut component = Peer::tcp(address);
    component.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", "ask"));
    assert_eq!(component.ask("config greeting"), "hi");
    assert_eq!(running.connections(), 2);
}

#[test]
fn seed_10_get_socket_fd_gives_a_native_handler_the_descriptor() {
    let (builder, _) = scripted();
    let running = builder
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let mut peer = open(tcp(&running.addresses()[0]));
    assert!(peer.ask("fd").starts_with("socket:["));
    assert_eq!(peer.ask("unknown fd"), "None");
}

#[test]
fn seed_13_broadcast_works_from_any_thread_of_the_embedding_program() {
    let (builder, _) = scripted();
    let running = builder
        .workers(2)
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let address = tcp(&running.addresses()[0]);
    let mut peers: Vec<Peer> = (0..8).map(|_| open(address)).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask("open"), "open");
    }
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let publisher = running.publisher();
            thread::spawn(move || {
                let text = format!("thread {number}");
                publisher
                    .broadcast("scripted", None, text.as_str())
                    .expect("it is taken");
                publisher
                    .publish("scripted", "all", text.as_str())
                    .expect("it is taken");
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("it published");
    }
    for peer in &mut peers {
        let mut texts: Vec<String> = (0..8).map(|_| peer.read_text()).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts, ["thread 0", "thread 1", "thread 2", "thread 3"]);
    }
    let publisher = running.publisher();
    let unknown = publisher.broadcast("nobody", None, "x");
    assert_eq!(
        unknown,
        Err(PublishFailed::UnknownHandler("nobody".to_owned()))
    );
    let large = vec![0; 3 << 20];
    let large = publisher.broadcast("scripted", None, large.as_slice());
    assert!(
        matches!(large, Err(PublishFailed::TooLarge(_))),
        "{large:?}"
    );
    drop(peers);
    running.shutdown();
    let stopped = publisher.broadcast("scripted", None, "x");
    assert_eq!(stopped, Err(PublishFailed::Stopped));
}

#[test]
fn seed_24_broadcast_of_the_embedding_program_is_filtered_by_the_handler() {
    #[derive(Default)]
    struct Picky;
    impl Handler for Picky {
        fn features() -> Features {
            Features {
                broadcast_filter: true,
                ..Features::default()
            }
        }
        fn received(
            &mut self,
            cx: &mut Context<'_>,
            connection: ConnectionId,
            message: Message<'_>,
        ) {
            let _ = cx.set_session(connection, message.as_bytes());
            let _ = cx.send(connection, message);
        }
        fn wanted(
            &mut self,
            cx: &mut Context<'_>,
            connection: ConnectionId,
            _: Message<'_>,
        ) -> bool {
            cx.session(connection) == b"yes"
        }
    }
    let running = Server::builder()
        .listen_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
        .handler(Native::new("picky", Picky::default))
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let address = tcp(&running.addresses()[0]);
    let (mut yes, mut no) = (open(address), open(address));
    assert_eq!(
        (yes.ask("yes"), no.ask("no")),
        ("yes".to_owned(), "no".to_owned())
    );
    running
        .publisher()
        .broadcast("picky", None, "news")
        .expect("it is taken");
    yes.expect_text("news");
    assert_eq!(no.ask("no"), "no");
}

#[test]
fn broadcasts_and_publishes_of_the_program_keep_their_order_before_a_filter() {
    #[derive(Default)]
    struct All;
    impl Handler for All {
        fn features() -> Features {
            Features {
                broadcast_filter: true,
                ..Features::default()
            }
        }
        fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
            let _ = cx.subscribe(connection, "all");
            let _ = cx.send(connection, "open");
        }
        fn received(&mut self, _: &mut Context<'_>, _: ConnectionId, _: Message<'_>) {
            // Busy, while the program goes on.
            thread::sleep(Duration::from_millis(200));
        }
    }
    let running = Server::builder()
        .listen_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
        .handler(Native::new("all", All::default))
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let mut peer = open(tcp(&running.addresses()[0]));
    peer.expect_text("open");
    peer.send_text("be busy");
    let publisher = running.publisher();
    for number in 0..20 {
        let text = number.to_string();
        let sent = if number % 2 == 0 {
            publisher.broadcast("all", None, text.as_str())
        } else {
            publisher.publish("all", "all", text.as_str())
        };
        sent.expect("it is taken");
    }
    for number in 0..20 {
        peer.expect_text(&number.to_string());
    }
    // What waits for a busy handler is bounded.
    peer.send_text("be busy");
    let refused = (0..10_000).find_map(|_| publisher.broadcast("all", None, "x").err());
    assert_eq!(refused, Some(PublishFailed::Busy));
}

#[test]
fn longest_times_are_no_overflow() {
    struct Patient;
    impl Handler for Patient {
        fn opened(&mut self, cx: &mut Context<'_>, connection: ConnectionId) {
            let timer = cx.set_timer(Duration::MAX, 0, None);
            let _ = cx.send(connection, if timer.is_ok() { "set" } else { "refused" });
        }
    }
    let mut server = Server::builder()
        .listen_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
        .handler(Native::new("patient", || Patient))
        .build()
        .expect("it is bound");
    let address = tcp(&server.addresses()[0]);
    let client = meanwhile(move || {
        let mut peer = open(address);
        peer.expect_text("set");
        peer.close();
    });
    while !client.is_finished() {
        // Something always comes: the client's next step.
        server.service(Duration::MAX).expect("it turns");
        if server.connections() == 0 && client.is_finished() {
            break;
        }
        server.service(Duration::from_millis(50)).expect("it turns");
        if server.connections() == 0 {
            break;
        }
    }
    while !client.is_finished() {
        server.service(Duration::from_millis(50)).expect("it turns");
    }
    client.join().expect("the client is content");
}

#[test]
fn native_handler_that_panics_has_no_effect_and_loses_that_connection_alone() {
    let (builder, _) = scripted();
    let running = builder
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let address = tcp(&running.addresses()[0]);
    let mut other = open(address);
    let mut peer = open(address);
    peer.send_text("panic");
    peer.expect_close(1011);
    let mut peer = open(address);
    peer.send_text("bad close");
    peer.expect_close(1011);
    assert_eq!(other.ask("still here"), "still here");
}

/// Runs an example until its standard output has a line with its address.
struct Example {
    child: std::process::Child,
    output: BufReader<std::process::ChildStdout>,
    address: SocketAddr,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let path = binary().with_file_name("examples").join(name);
        let mut child = Command::new(&path)
            .arg("127.0.0.1:0")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}: run `cargo build --examples` first",
                    path.display()
                )
            });
        let mut output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut line = String::new();
        output
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line
            .trim()
            .strip_prefix("listening on ws://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no address: {line:?}"));
        Self {
            child,
            output,
            address,
        }
    }

    fn end(mut self) -> (String, Option<i32>) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        let _ = std::io::Read::read_to_string(&mut self.output, &mut rest);
        let status = self.child.wait().expect("a child can be waited for");
        (rest, status.code())
    }
}

#[test]
fn seed_31_external_poll_example_serves_beside_its_own_descriptors() {
    let mut example = Example::start("external_poll", &[]);
    let mut one = open(example.address);
    let mut two = open(example.address);
    two.send_text("to the other");
    one.expect_text("to the other");
    one.send_text("and back");
    two.expect_text("and back");
    let stdin = example.child.stdin.as_mut().expect("stdin is piped");
    stdin.write_all(b"typed\nand more\n").expect("it reads");
    for peer in [&mut one, &mut two] {
        peer.expect_text("typed");
        peer.expect_text("and more");
    }
    let ending = thread::spawn(move || example.end());
    for mut peer in [one, two] {
        peer.expect_close(1001);
        peer.send(&wsrun_tests::frame::Frame::close(1001, ""));
    }
    let (printed, code) = ending.join().expect("it ends");
    assert!(
        printed.contains(": to the other\n") && printed.contains(": and back\n"),
        "{printed}"
    );
    assert_eq!(code, Some(0));
}

#[test]
fn seed_31_embedded_example_publishes_from_the_programs_own_thread() {
    let probe = handlers::probe();
    let example = Example::start("embedded", &[probe.to_str().expect("a path is text")]);
    let mut clock = Peer::tcp(example.address);
    clock.upgrade(&Request::upgrade("/").with("Sec-WebSocket-Protocol", "clock"));
    let first: u64 = clock.read_text().parse().expect("seconds");
    let second: u64 = clock.read_text().parse().expect("seconds");
    assert!(second > first);
    assert_eq!(open(example.address).ask("name"), "probe");
    drop(clock);
    assert_eq!(example.end().1, Some(0));
}

#[test]
fn swap_on_a_thread_that_the_server_runs_on_is_an_error() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let cache = wsrun_tests::server::kept_folder("cache");
    let build = || {
        Server::builder()
            .listen_tcp(any)
            .handler(handlers::echo())
            .configure(|config| config.wasm.cache_dir = Some(cache.clone()))
            .build()
            .expect("it is bound")
    };
    let mut server = build();
    let swapper = server.swapper();
    let early = swapper.swap("echo", None);
    assert!(matches!(early, Err(SwapError::NotStarted)), "{early:?}");
    server.service(Duration::ZERO).expect("it turns");
    let own = swapper.swap("echo", None);
    assert!(matches!(own, Err(SwapError::OwnThread)), "{own:?}");
    // On another it works, while this one goes on.
    let swapping = thread::spawn(move || swapper.swap("echo", None));
    while !swapping.is_finished() {
        server.service(Duration::from_millis(1)).expect("it turns");
    }
    let swapped = swapping.join().expect("it does not panic");
    assert_eq!(swapped.expect("it is replaced").handler, "echo");
}

#[test]
fn times_without_end_are_taken_for_very_long_ones() {
    let (builder, _) = scripted();
    let running = builder
        .configure(|config| {
            config.runtime.handshake_timeout = Duration::MAX;
            config.runtime.write_timeout = Duration::MAX;
            config.runtime.shutdown_timeout = Duration::MAX;
            config.runtime.drain_window = Some(Duration::ZERO);
            config.runtime.timeouts.ping_interval = None;
            config.runtime.timeouts.idle_timeout = Some(Duration::MAX);
            config.runtime.timeouts.close_timeout = Duration::MAX;
            config.runtime.timeouts.message_timeout = Some(Duration::MAX);
            config.wasm.compilation.timeout = Duration::MAX;
            config.outbound.connect_timeout = Duration::MAX;
            let limits = Arc::make_mut(&mut config.handlers[0].limits);
            limits.compute.callback_timeout = Duration::MAX;
            limits.compute.blocking_timeout = Duration::MAX;
            limits.resilience.failure_window = Duration::MAX;
            limits.resilience.trial_time = Duration::MAX;
            limits.resilience.hibernate_after = Some(Duration::MAX);
        })
        .build()
        .expect("it is bound")
        .spawn()
        .expect("it runs");
    let address = tcp(&running.addresses()[0]);
    let mut peer = open(address);
    assert!(peer.ask("fd").starts_with("socket:["));
    peer.close();
    let mut left = open(address);
    assert!(left.ask("fd").starts_with("socket:["));
    let stopping = thread::spawn(move || running.shutdown());
    left.expect_close(1001);
    left.send(&wsrun_tests::frame::Frame::close(1001, ""));
    left.expect_end();
    assert!(stopping.join().expect("it does not panic"));
}

/// Bytes that are resident after `rounds` of something, beyond those after some to begin with.
fn grown_by(rounds: usize, mut round: impl FnMut()) -> u64 {
    let usage = wsrun_tests::usage::Usage::of(std::process::id());
    for _ in 0..rounds / 4 {
        round();
    }
    let before = usage.resident_bytes();
    for _ in 0..rounds {
        round();
    }
    usage.resident_bytes().saturating_sub(before)
}

#[test]
fn servers_that_have_stopped_are_freed() {
    const ROUNDS: usize = 200;
    let cache = wsrun_tests::server::kept_folder("cache");
    for (own_threads, scope) in [(true, Scope::Worker), (false, Scope::Connection)] {
        let grown = grown_by(ROUNDS, || {
            let mut server = Server::builder()
                .listen_tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
                .handler(handlers::echo())
                .scope(scope)
                .configure(|config| config.wasm.cache_dir = Some(cache.clone()))
                .build()
                .expect("it is bound");
            let address = tcp(&server.addresses()[0]);
            let asked = thread::spawn(move || {
                let mut peer = open(address);
                assert_eq!(peer.ask("hello"), "hello");
            });
            if own_threads {
                let running = server.spawn().expect("it runs");
                asked.join().expect("it was answered");
                running.shutdown();
            } else {
                while !asked.is_finished() {
                    server.service(Duration::from_millis(1)).expect("it turns");
                }
                server.shutdown();
            }
        });
        // A read buffer alone is a quarter of a MiB.
        assert!(
            grown < 16 << 20,
            "{grown} bytes, own threads: {own_threads}"
        );
    }
}

#[test]
fn scenarios_that_are_over_are_freed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("echo.toml");
    let text = r#"
about = "a message comes back"

[[step]]
connect = "ann"

[[step]]
from = "ann"
text = "hello"
expect = [{ to = "ann", text = "hello" }]
"#;
    std::fs::write(&file, text).expect("the folder can be written");
    let handler = wsrun::test::Handler::new(handlers::echo())
        .cache_dir(wsrun_tests::server::kept_folder("cache"));
    let grown = grown_by(200, || handler.check(&file));
    assert!(grown < 16 << 20, "{grown} bytes");
}
