//! The recipes of the cookbook, through the real binary: what they let in and what they refuse.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wsrun_tests::frame;
use wsrun_tests::guide;
use wsrun_tests::handlers;
use wsrun_tests::handshake::{Request, Response};
use wsrun_tests::peer::Peer;
use wsrun_tests::server::{self, Server};
use wsrun_tests::{environment, wait};

const SECRET: &str = "a secret for tests";

/// As whoever hands out tickets does it, with code that is not the example's.
fn ticket(name: &str, until: u64) -> String {
    let claim = format!("{name}.{until}");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may be short");
    mac.update(claim.as_bytes());
    let signature = mac.finalize().into_bytes();
    let digits: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{claim}.{digits}")
}

const NEVER: u64 = 1 << 40;

#[track_caller]
fn refused(server: &Server, request: &Request) -> Response {
    server.connect().request(request)
}

#[test]
fn token_lets_in_and_a_wrong_one_is_refused_with_401() {
    let server = Server::of(handlers::built("cookbook-token"))
        .args(["--config", &format!("secret={SECRET}")])
        .start();
    let good = ticket("ann", NEVER);
    let bearer = format!("Bearer {good}");
    let mut program = server.open_with(&Request::upgrade("/").with("Authorization", &bearer));
    assert_eq!(program.ask("hello"), "ann: hello");
    let mut page = server.open_with(&Request::upgrade(&format!("/?token={good}")));
    assert_eq!(page.ask("hello"), "ann: hello");

    let expired = ticket("ann", 1_700_000_000);
    let forged = good.replace("ann", "eve");
    let longer = good.replace(&NEVER.to_string(), &(NEVER + 1).to_string());
    for wrong in [
        "",
        "ann",
        &expired,
        &forged,
        &longer,
        &good[..good.len() - 2],
    ] {
        let request = Request::upgrade("/").with("Authorization", &format!("Bearer {wrong}"));
        let response = refused(&server, &request);
        assert_eq!(response.status, 401, "{wrong}");
        assert_eq!(response.header("www-authenticate"), Some("Bearer"));
        let request = Request::upgrade(&format!("/?token={wrong}"));
        assert_eq!(refused(&server, &request).status, 401, "{wrong}");
    }
    assert_eq!(refused(&server, &Request::upgrade("/")).status, 401);
}

#[test]
fn without_a_secret_nobody_is_let_in() {
    for (name, request) in [
        (
            "cookbook-token",
            Request::upgrade("/?token=ann.9999999999.00"),
        ),
        (
            "cookbook-cookie",
            Request::upgrade("/").with("Cookie", "ticket=ann.9999999999.00"),
        ),
    ] {
        let server = Server::of(handlers::built(name)).start();
        assert_eq!(refused(&server, &request).status, 503, "{name}");
    }
}

#[test]
fn cookie_of_the_login_lets_in_and_others_are_refused_with_401() {
    let server = Server::of(handlers::built("cookbook-cookie"))
        .args(["--config", &format!("secret={SECRET}")])
        .args(["--config", "password=open sesame"])
        .start();
    let page = server.connect().request(&Request::get("/"));
    assert!(page.text().contains("fetch(\"/login\""), "{page:?}");
    let log_in = |body: &str| {
        let length = body.len().to_string();
        let request = Request::method("POST", "/login").with("Content-Length", &length);
        let mut peer = server.connect();
        peer.send_bytes(&[request.encode(), body.as_bytes().to_vec()].concat());
        peer.read_response()
    };
    for wrong in [
        "",
        "ann",
        "ann\n",
        "ann\nopen says me",
        "\nopen sesame",
        "a.b\nopen sesame",
    ] {
        let response = log_in(wrong);
        assert_eq!(
            (response.status, response.header("set-cookie")),
            (401, None),
            "{wrong:?}"
        );
    }
    let response = log_in("ann\nopen sesame");
    assert_eq!(response.status, 204);
    let cookie = response.header("set-cookie").expect("a cookie is set");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().expect("a cookie has a value");

    let request = Request::upgrade("/").with("Cookie", &format!("theme=dark; {cookie}"));
    assert_eq!(server.open_with(&request).ask("hello"), "ann: hello");
    let of_the_page = request.clone().with("Origin", "http://localhost");
    assert_eq!(server.open_with(&of_the_page).ask("hello"), "ann: hello");
    // The page of another site: its visitor's browser has the cookie.
    let of_another = request.with("Origin", "http://evil.example");
    assert_eq!(refused(&server, &of_another).status, 403);
    for wrong in [
        "theme=dark",
        "ticket=",
        &cookie.replace("ann", "eve"),
        &format!("x{cookie}"),
    ] {
        let request = Request::upgrade("/").with("Cookie", wrong);
        assert_eq!(refused(&server, &request).status, 401, "{wrong}");
    }
}

#[test]
fn rooms_hear_what_is_said_in_them_and_other_paths_are_refused() {
    let server = Server::of(handlers::built("cookbook-rooms")).start();
    let open = |path: &str| server.open_with(&Request::upgrade(path));
    let (mut ann, mut ben, mut cat) = (
        open("/rooms/tea"),
        open("/rooms/tea"),
        open("/rooms/coffee"),
    );
    ann.send_text("a cup?");
    ben.expect_text("a cup?");
    let mut dan = open("/rooms/coffee");
    dan.send_text("milk?");
    cat.expect_text("milk?");
    let long = format!("/rooms/{}", "a".repeat(33));
    for path in [
        "/",
        "/rooms/",
        "/rooms/Tea",
        "/rooms/a/b",
        "/rooms/%61",
        &long,
    ] {
        assert_eq!(
            refused(&server, &Request::upgrade(path)).status,
            404,
            "{path}"
        );
    }
}

#[test]
fn presence_tells_who_comes_and_goes() {
    let server = Server::of(handlers::built("cookbook-presence")).start();
    let open = |name: &str| server.open_with(&Request::upgrade(&format!("/?name={name}")));
    let mut ann = open("ann");
    ann.expect_text(r#"{"here":["ann"]}"#);
    let mut ben = open("ben");
    ann.expect_text(r#"{"here":["ann","ben"]}"#);
    ben.expect_text(r#"{"here":["ann","ben"]}"#);
    // A second tab is nobody new.
    let mut tab = open("ben");
    tab.expect_text(r#"{"here":["ann","ben"]}"#);
    drop((ben, tab));
    // After the time in which one may come back.
    ann.set_read_timeout(Duration::from_secs(30));
    ann.expect_text(r#"{"here":["ann"]}"#);
    for path in ["/", "/?name=", "/?name=aaaaaaaaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(
            refused(&server, &Request::upgrade(path)).status,
            400,
            "{path}"
        );
    }
}

#[test]
fn who_sends_too_much_is_held_back_then_closed_and_others_are_not() {
    let server = Server::of(handlers::built("cookbook-rate")).start();
    let (mut fast, mut slow) = (server.open(), server.open());
    for number in 0..100 {
        fast.send_text(&number.to_string());
    }
    for number in 0..5 {
        fast.expect_text(&number.to_string());
    }
    // On a slow machine a second may pass meanwhile: then one more is echoed.
    let mut refused = 0;
    let reason = loop {
        let frame = fast.read_frame();
        if frame.opcode == frame::CLOSE {
            assert_eq!(frame.payload[..2], 1008_u16.to_be_bytes());
            break String::from_utf8_lossy(&frame.payload[2..]).into_owned();
        }
        match frame.text() {
            "slow down" => refused += 1,
            echoed => assert!(echoed.parse::<u32>().is_ok(), "{echoed}"),
        }
    };
    assert_eq!(reason, "too many messages");
    assert!(refused >= 10, "{refused}");
    assert_eq!(slow.ask("hello"), "hello");
}

/// A Node.js program that prints what its socket is told.
struct Page {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Page {
    #[track_caller]
    fn open(url: &str) -> Self {
        let mut child = environment::node("reconnecting.mjs")
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be started");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            input: child.stdin.take().expect("stdin is piped"),
            child,
            lines,
        }
    }

    #[track_caller]
    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the program reads");
    }

    #[track_caller]
    fn expect(&self, expected: &str) {
        let line = self.lines.recv_timeout(wait::PATIENCE * 3);
        assert_eq!(line.as_deref(), Ok(expected));
    }

    /// Skips attempts that were made before the server was there.
    #[track_caller]
    fn expect_open(&self) {
        loop {
            let line = self.lines.recv_timeout(wait::PATIENCE * 3);
            match line.as_deref() {
                Ok("away true") => {}
                line => return assert_eq!(line, Ok("open")),
            }
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn page_comes_back_to_a_server_that_was_away_and_not_to_one_that_is_done_with_it() {
    let start = |address: &str| {
        Server::of(handlers::built("cookbook-rate"))
            .listen(address)
            .start()
    };
    let server = start("127.0.0.1:0");
    let address = server.address().to_string();
    let mut page = Page::open(server.url(0));
    page.expect("open");
    page.say("hello");
    page.expect("message hello");
    drop(server);
    page.expect("away true");
    page.say("lost");
    page.expect("not sent");

    let _server = start(&address);
    page.expect_open();
    page.say("hello again");
    page.expect("message hello again");
    for number in 0..100 {
        page.say(&number.to_string());
    }
    loop {
        let line = page.lines.recv_timeout(wait::PATIENCE);
        let line = line.expect("the end is told");
        if line.starts_with("end") {
            assert_eq!(line, "end 1008 too many messages");
            break;
        }
        assert!(line.starts_with("message ") || line == "not sent", "{line}");
    }

    let mut page = Page::open(&format!("ws://{address}"));
    page.expect("open");
    page.say("close");
    page.expect("end 1000 ");
}

#[test]
fn pages_of_the_cookbook_work_in_chromium() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = handlers::source("docs/cookbook/reconnecting.md");
    let blocks = guide::blocks(&page).expect("the page can be read");
    let block = blocks
        .iter()
        .find(|block| block.info == "html,file=public/index.html");
    let html = &block.expect("the page has a page").text;
    fs::write(folder.path().join("index.html"), html).expect("the folder can be written");
    let script = handlers::source("docs/cookbook/reconnect.js");
    fs::copy(script, folder.path().join("reconnect.js")).expect("the folder can be written");
    let reconnecting = Server::of(handlers::echo())
        .arg("--static")
        .arg(folder.path())
        .start();
    let cookie = Server::of(handlers::built("cookbook-cookie"))
        .args(["--config", &format!("secret={SECRET}")])
        .args(["--config", "password=open sesame"])
        .start();
    let mut pages = environment::node("cookbook.mjs");
    for server in [&reconnecting, &cookie] {
        pages.arg(server.url(0).replacen("ws", "http", 1));
    }
    environment::succeeds(pages);
}

#[test]
fn relay_comes_back_to_its_feed_and_a_new_version_has_one_feed() {
    let start = |address: &str| Server::of(handlers::built("site")).listen(address).start();
    let feed = start("127.0.0.1:0");
    let address = feed.address().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let component = folder.path().join("relay.wasm");
    fs::copy(handlers::built("cookbook-reconnect"), &component).expect("the folder can be written");
    let relay = Server::of(&component)
        .args(["--config", &format!("feed=ws://{address}")])
        .args(["--allow-connect", &address])
        .start();
    let mut ann = relay.open();
    // The feed sends to everybody what anybody says.
    let mut source = feed.open();
    wait::until("the relay is connected", || count(&feed) == 2);
    source.send_text("news");
    expect_news(&mut ann, "news");

    drop((source, feed));
    expect_news(&mut ann, "the feed is away");
    let feed = start(&address);
    expect_news(&mut ann, "the feed is back");
    let mut source = feed.open();
    source.send_text("more news");
    expect_news(&mut ann, "more news");

    // The same program: a section that means nothing makes it another file.
    let mut changed = fs::read(&component).expect("the component is there");
    changed.extend([0, 4, 3, b'n', b'e', b'w']);
    fs::write(&component, changed).expect("the folder can be written");
    relay.signal(rustix::process::Signal::HUP);
    relay.expect_log("handler replaced");
    wait::until("one feed is left", || count(&feed) == 2);
    source.send_text("once");
    expect_news(&mut ann, "once");
    source.send_text("the last");
    expect_news(&mut ann, "the last");

    let denied = Server::of(&component)
        .args(["--config", &format!("feed=ws://{address}")])
        .start();
    denied.expect_log("no feed: ");
    denied.expect_log("--allow-connect");
}

/// The next message but for what the relay itself has said to the feed.
#[track_caller]
fn expect_news(peer: &mut Peer, text: &str) {
    loop {
        match peer.read_text() {
            own if own == "subscribe all" => {}
            seen => return assert_eq!(seen, text),
        }
    }
}

/// The connections that the example `site` has.
#[track_caller]
fn count(site: &Server) -> u64 {
    let response = site.connect().request(&Request::get("/api/count"));
    let count: serde_json::Value =
        serde_json::from_slice(&response.body).expect("the count is JSON");
    count["connections"].as_u64().expect("it is a number")
}

#[test]
fn proxy_of_the_guide_passes_sockets_of_its_own_pages_on() {
    let Some(program) = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .iter()
        .find(|program| fs::exists(program).unwrap_or_default())
    else {
        panic!("nginx is missing: run scripts/test-environment first");
    };
    let page = handlers::source("docs/guide/deploying.md");
    let blocks = guide::blocks(&page).expect("the page can be read");
    let block = blocks.iter().find(|block| block.info == "nginx");
    let block = block.expect("the page has a proxy");
    let server = Server::of(handlers::echo()).start();
    let port = guide::free_port().expect("a port is free");
    let folder = tempfile::tempdir().expect("a folder");
    let text = block
        .text
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace("127.0.0.1:9000", &server.address().to_string());
    assert!(
        text.contains(&port.to_string()) && !text.contains(":9000"),
        "{text}"
    );
    let user = if server::is_root() {
        "user root;\n"
    } else {
        ""
    };
    let place = folder.path().display();
    let config = format!(
        "{user}daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/errors;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {place}/a;\nproxy_temp_path {place}/b;\nfastcgi_temp_path {place}/c;\n\
         uwsgi_temp_path {place}/d;\nscgi_temp_path {place}/e;\n{text}}}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).expect("the folder can be written");
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.path().join("errors"));
    let _proxy = environment::Serving::start_on_port(command, port);

    let address = ([127, 0, 0, 1], port).into();
    assert!(TcpStream::connect(address).is_ok());
    let mut peer = Peer::tcp(address);
    let own = format!("127.0.0.1:{port}");
    let request = |origin: &str| {
        Request::upgrade("/")
            .set("Host", &own)
            .with("Origin", origin)
    };
    peer.upgrade(&request(&format!("http://{own}")));
    assert_eq!(peer.ask("hello"), "hello");
    peer.send_binary(&[0, 255]);
    assert_eq!(peer.read_frame().payload, [0, 255]);
    let refused = Peer::tcp(address).request(&request("http://evil.example"));
    assert_eq!(refused.status, 403);
}
