//! The command: arguments, mistakes, what it prints, `inspect`, `connect`, `completions`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use wsrun_proto::http::upgrade::accept_value;
use wsrun_tests::certificate::Certificate;
use wsrun_tests::frame::Frame;
use wsrun_tests::handlers;
use wsrun_tests::server::{self, Ended, Server};
use wsrun_tests::wait;

#[track_caller]
fn mistake(arguments: &[&str]) -> String {
    let echo = handlers::echo();
    let arguments: Vec<&str> = arguments
        .iter()
        .map(|&argument| {
            if argument == "ECHO" {
                echo.to_str().expect("a path in UTF-8")
            } else {
                argument
            }
        })
        .collect();
    let ended = server::run(&arguments);
    assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{arguments:?}");
    ended.stderr
}

#[track_caller]
fn says(ended: &str, words: &[&str]) {
    for word in words {
        assert!(ended.contains(word), "no {word:?} in: {ended}");
    }
}

#[test]
fn help_names_every_option_and_command() {
    let ended = server::run(["--help"]);
    assert_eq!(ended.code, Some(0));
    says(
        &ended.stdout,
        &[
            "HANDLER",
            "--listen",
            "--protocol",
            "--static",
            "--workers",
            "--tls-cert",
            "--tls-key",
            "--allow-origin",
            "--compression",
            "--max-message",
            "--max-queue",
            "--max-connections",
            "--max-memory",
            "--callback-timeout",
            "--handshake-timeout",
            "--ping-interval",
            "--idle-timeout",
            "--close-timeout",
            "--message-timeout",
            "--write-timeout",
            "--shutdown-timeout",
            "--config",
            "--log-format",
            "--log-level",
            "inspect",
            "connect",
            "completions",
            "127.0.0.1:9000",
        ],
    );
    let version = server::run(["--version"]);
    assert_eq!(
        (version.code, version.stdout.trim()),
        (Some(0), concat!("wsrun ", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn mistakes_are_told_with_exit_code_2() {
    says(&mistake(&[]), &["HANDLER"]);
    says(&mistake(&["ECHO", "--nonsense"]), &["--nonsense"]);
    says(&mistake(&["ECHO", "--listen", "nonsense"]), &["nonsense"]);
    says(&mistake(&["ECHO", "--listen", "127.0.0.1"]), &["127.0.0.1"]);
    says(
        &mistake(&["ECHO", "--listen", "127.0.0.1:99999"]),
        &["99999"],
    );
    says(&mistake(&["ECHO", "--listen", "unix:"]), &["unix:"]);
    says(&mistake(&["ECHO", "--workers", "0"]), &["--workers"]);
    says(
        &mistake(&["ECHO", "--max-message", "many"]),
        &["--max-message", "many"],
    );
    says(
        &mistake(&["ECHO", "--max-message", "99999999999999999999"]),
        &["--max-message"],
    );
    says(
        &mistake(&["ECHO", "--callback-timeout", "soon"]),
        &["--callback-timeout", "soon"],
    );
    says(
        &mistake(&["ECHO", "--compression", "maybe"]),
        &["--compression", "shared"],
    );
    says(
        &mistake(&["ECHO", "--config", "no-equals-sign"]),
        &["no-equals-sign"],
    );
    says(
        &mistake(&["ECHO", "--config", "secret=@/nowhere/secret"]),
        &["--config", "/nowhere/secret: No such file"],
    );
    says(
        &mistake(&["ECHO", "--config", "secret=@/dev/zero"]),
        &["/dev/zero: it is a device, not a regular file"],
    );
    says(
        &mistake(&["ECHO", "--protocol", "no-equals-sign"]),
        &["no-equals-sign"],
    );
    says(
        &mistake(&["ECHO", "--log-format", "xml"]),
        &["--log-format", "json"],
    );
    says(
        &mistake(&["ECHO", "--allow-origin", "example.com"]),
        &["example.com"],
    );
    let echo = handlers::echo();
    let two = format!("a b={}", echo.display());
    says(&mistake(&["ECHO", "--protocol", &two]), &["a b"]);
    let one = format!("a={}", echo.display());
    says(
        &mistake(&["ECHO", "--protocol", &one, "--protocol", &one]),
        &["a"],
    );
}

#[test]
fn limits_that_make_no_sense_are_told_with_exit_code_2() {
    says(
        &mistake(&["ECHO", "--max-headers", "99999999999999"]),
        &["--max-headers", "1 to"],
    );
    says(
        &mistake(&["ECHO", "--max-headers", "0"]),
        &["--max-headers", "1 to"],
    );
    says(
        &mistake(&["ECHO", "--max-header-bytes", "17MiB"]),
        &["--max-header-bytes", "at most"],
    );
    says(
        &mistake(&["ECHO", "--max-header-bytes", "100"]),
        &["--max-header-bytes", "at least"],
    );
    says(
        &mistake(&["ECHO", "--max-connections", "0"]),
        &["--max-connections", "nobody could connect"],
    );
    // The interval of pings is longer when it is not told.
    says(
        &mistake(&["ECHO", "--idle-timeout", "10s"]),
        &["--idle-timeout", "--ping-interval", "not longer"],
    );
    says(
        &mistake(&["ECHO", "--ping-interval", "5s", "--idle-timeout", "5s"]),
        &["--idle-timeout", "--ping-interval", "not longer"],
    );
    says(
        &mistake(&[
            "ECHO",
            "--callback-timeout",
            "2s",
            "--blocking-timeout",
            "1s",
        ]),
        &["--blocking-timeout", "--callback-timeout", "shorter"],
    );
}

#[test]
fn cache_may_be_named_relative_to_the_working_directory() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = std::env::current_dir().expect("there is one");
    let up = "../".repeat(here.components().count() - 1);
    let below_the_root = folder.path().strip_prefix("/").expect("it is absolute");
    let server = Server::of(handlers::echo())
        .arg("--cache-dir")
        .arg(std::path::Path::new(&up).join(below_the_root))
        .start();
    assert_eq!(server.open().ask("in"), "in");
    let mut files = std::fs::read_dir(folder.path()).expect("it is still there");
    assert!(files.next().is_some(), "nothing was cached");
}

#[test]
fn address_that_is_taken_is_told() {
    let server = Server::of(handlers::echo()).start();
    // Not SO_REUSEPORT of the other one: a plain socket that holds the port.
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("it has an address").to_string();
    let ended = server::run([
        handlers::echo().to_str().expect("a path in UTF-8"),
        "--listen",
        &taken,
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &[&taken, "in use"]);
    drop(server);
}

#[test]
fn second_server_does_not_share_the_address_of_a_running_one_unnoticed() {
    for (workers, others) in [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")] {
        let server = Server::of(handlers::echo())
            .args(["--workers", workers])
            .start();
        let ended = server::run([
            handlers::echo().to_str().expect("a path in UTF-8"),
            "--workers",
            others,
            "--listen",
            &server.address().to_string(),
        ]);
        assert_eq!(
            ended.code,
            Some(1),
            "{workers} and {others} workers: {ended:?}"
        );
        says(&ended.stderr, &["in use"]);
    }
}

#[test]
fn server_that_cannot_listen_on_one_address_leaves_no_file_of_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wsrun.sock");
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let ended = server::run([
        handlers::echo().to_str().expect("a path in UTF-8"),
        "--listen",
        &format!("unix:{}", path.display()),
        "--listen",
        &holder.local_addr().expect("it has an address").to_string(),
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &["in use"]);
    assert!(!path.exists());
}

#[test]
fn unix_path_that_is_a_file_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("precious.txt");
    std::fs::write(&path, "precious").expect("the folder can be written");
    let listen = format!("unix:{}", path.display());
    let ended = server::run([
        handlers::echo().to_str().expect("a path in UTF-8"),
        "--listen",
        &listen,
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &["precious.txt"]);
    assert_eq!(
        std::fs::read_to_string(&path).expect("it is still there"),
        "precious"
    );
}

#[test]
fn log_is_json_lines_when_asked() {
    let server = Server::of(handlers::probe())
        .args(["--log-format", "json", "--log-level", "debug"])
        .start();
    let mut peer = server.open();
    assert_eq!(peer.ask("print a line of its own"), "ok");
    server.expect_log("a line of its own");
    for line in server.log().lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            event["level"].is_string() && event["timestamp"].is_string(),
            "{event}"
        );
    }
}

#[test]
fn log_level_silences_what_is_below_it() {
    let server = Server::of(handlers::probe())
        .args(["--log-level", "error"])
        .start();
    let mut peer = server.open();
    assert_eq!(peer.ask("print not important"), "ok");
    peer.close();
    assert_eq!(server.log(), "");
}

#[test]
fn inspect_tells_exports_imports_and_what_is_needed() {
    let ended = server::run([
        "inspect",
        handlers::probe().to_str().expect("a path in UTF-8"),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    says(
        &ended.stdout,
        &[
            "wsrun:websocket/handler@0.1.0",
            "wsrun:websocket/timer-handler@0.1.0",
            "wsrun:websocket/connections@0.1.0",
            "wsrun:websocket/topics@0.1.0",
            "wasi:sockets",
        ],
    );
    let ended = server::run([
        "inspect",
        handlers::source("tests/guests/unknown-import.wat")
            .to_str()
            .expect("a path in UTF-8"),
    ]);
    says(
        &format!("{}{}", ended.stdout, ended.stderr),
        &["acme:db/query@1.0.0"],
    );
    let ended = server::run(["inspect", "/nowhere.wasm"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    says(&ended.stderr, &["/nowhere.wasm"]);
}

#[test]
fn completions_are_made_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = server::run(["completions", shell]);
        assert_eq!(ended.code, Some(0), "{shell}: {ended:?}");
        says(&ended.stdout, &["wsrun"]);
    }
    mistake(&["completions", "tcsh"]);
}

#[track_caller]
fn connect(url: &str, options: &[&str], input: &str) -> Ended {
    server::run_with_input([&["connect", url], options].concat(), input)
}

#[test]
fn connect_sends_lines_and_prints_messages() {
    let server = Server::of(handlers::echo()).start();
    let ended = connect(server.url(0), &[], "one\ntwo\nüñï\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "one\ntwo\nüñï\n"),
        "{ended:?}"
    );
    says(&ended.stderr, &["closed: 1000"]);
}

#[test]
fn connect_tells_the_close_code_and_exits_by_it() {
    let server = Server::of(handlers::probe()).start();
    for (command, told, code) in [
        ("close 1000 done", "closed: 1000 done", 0),
        ("close 1001 ", "closed: 1001", 0),
        ("close 4000 too bad", "closed: 4000 too bad", 1),
        ("trap", "closed: 1011", 1),
        ("abort", "closed: 1006", 1),
    ] {
        let ended =
            server::run_with_open_input(["connect", server.url(0)], &format!("{command}\n"));
        assert_eq!(ended.code, Some(code), "{command}: {ended:?}");
        says(&ended.stderr, &[told]);
    }
}

#[test]
fn connect_sends_what_it_was_told_in_the_handshake() {
    let server = Server::of(handlers::probe())
        .arg("--protocol")
        .arg(format!("p={}", handlers::probe().display()))
        .start();
    let ended = connect(
        server.url(0),
        &[
            "--protocol",
            "p",
            "--protocol",
            "q",
            "--header",
            "X-Token: abc",
            "--origin",
            server.url(0).replace("ws:", "http:").as_str(),
        ],
        "protocol\nrequest\n",
    );
    let mut lines = ended.stdout.lines();
    assert_eq!(lines.next(), Some("p"), "{ended:?}");
    let request: serde_json::Value =
        serde_json::from_str(lines.next().expect("two lines")).expect("the probe tells JSON");
    assert_eq!(request["offered"], serde_json::json!(["p", "q"]));
    assert!(
        request["headers"]
            .to_string()
            .contains(r#"["x-token","abc"]"#),
        "{request}"
    );
    assert!(
        request["headers"].to_string().contains(r#""origin""#),
        "{request}"
    );
}

#[test]
fn connect_sends_binary_and_compresses_when_asked() {
    let server = Server::of(handlers::echo()).start();
    let ended = connect(server.url(0), &["--binary"], "bytes\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("bytes"), "{ended:?}");
    for compression in ["on", "off"] {
        let text = "compressible ".repeat(1_000);
        let ended = connect(
            server.url(0),
            &["--compression", compression],
            &format!("{text}\n"),
        );
        assert_eq!(ended.stdout.trim_end(), text.trim_end(), "{ended:?}");
    }
}

#[test]
fn connect_checks_certificates_unless_told_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::echo())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let file = certificate
        .certificate_file
        .to_str()
        .expect("a path in UTF-8");
    let ended = connect(server.url(0), &["--ca-file", file], "privately\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "privately\n"),
        "{ended:?}"
    );
    let ended = connect(server.url(0), &["--insecure"], "privately\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "privately\n"),
        "{ended:?}"
    );
    let ended = connect(server.url(0), &[], "privately\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(1), ""),
        "{ended:?}"
    );
    says(&ended.stderr.to_lowercase(), &["certificate"]);
}

#[test]
fn connect_explains_that_the_certificate_of_an_authority_is_no_server_s() {
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_authority_to(folder.path());
    let server = Server::of(handlers::echo())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    let file = certificate.certificate_file.to_string_lossy();
    let ended = connect(server.url(0), &["--ca-file", &file], "privately\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(
        &ended.stderr,
        &["an authority (CA:TRUE)", "CA:FALSE", "--allow-self-signed"],
    );
    assert!(!ended.stderr.contains("CaUsedAsEndEntity"), "{ended:?}");
    // What it tells to do helps.
    let ended = connect(server.url(0), &["--allow-self-signed"], "privately\n");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), "privately\n"),
        "{ended:?}"
    );
}

#[test]
fn connect_tells_why_it_cannot() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = holder.local_addr().expect("it has an address");
    drop(holder);
    let ended = connect(&format!("ws://{free}"), &[], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr.to_lowercase(), &["refused"]);
    let server = Server::of(handlers::built("gate")).start();
    let ended = connect(&format!("{}/refuse", server.url(0)), &[], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &["403"]);
    for url in [
        "http://localhost",
        "nonsense",
        "ws://",
        "ws://localhost/#fragment",
    ] {
        let ended = connect(url, &[], "");
        assert_eq!(ended.code, Some(2), "{url}: {ended:?}");
        assert_ne!(ended.stderr, "");
    }
}

/// TLS of the server's side.
fn tls(certificate: &Certificate) -> Arc<ServerConfig> {
    let chain = CertificateDer::from_pem_file(&certificate.certificate_file).expect("PEM");
    let key = PrivateKeyDer::from_pem_file(&certificate.key_file).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key);
    Arc::new(config.expect("the key is the certificate's"))
}

/// Killed when the test is done with it, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn connect_ends_at_a_signal_though_a_tls_server_reads_nothing() {
    // More than the system takes for a socket that is not read.
    const LINE_BYTES: usize = 15 << 20;
    const SOME_BYTES: usize = 16 << 10;
    let folder = tempfile::tempdir().expect("a folder");
    let tls = tls(&Certificate::write_to(folder.path()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    let child = Command::new(server::binary())
        .args(["connect", "--insecure", "--compression", "off"])
        .arg(format!("wss://{address}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let mut child = Running(child);
    let mut stdin = child.0.stdin.take().expect("stdin is piped");
    let writing = thread::spawn(move || {
        let line = [vec![b'x'; LINE_BYTES], vec![b'\n']].concat();
        let _ = stdin.write_all(&line);
        // The end of the input would be an end by itself.
        stdin
    });
    let (socket, _) = listener.accept().expect("the client connects");
    let mut stream = StreamOwned::new(ServerConnection::new(tls).expect("TLS"), socket);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the client asks");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a request is text");
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a key");
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        accept_value(key)
    );
    stream
        .write_all(answer.as_bytes())
        .expect("the client reads");
    // A line is sent once all of it is there.
    let mut buffer = vec![0; SOME_BYTES];
    wait::until("the client sends the line", || {
        stream
            .sock
            .peek(&mut buffer)
            .is_ok_and(|length| length == SOME_BYTES)
    });
    kill_process(Pid::from_child(&child.0), Signal::INT).expect("it lives");
    let mut ended = None;
    wait::until("the client ends", || {
        ended = child.0.try_wait().expect("a child can be waited for");
        ended.is_some()
    });
    assert_eq!(ended.and_then(|status| status.code()), Some(1));
    drop(writing.join());
}

#[test]
fn connect_masks_each_frame_with_an_unpredictable_key() {
    const FRAMES: usize = 5_000;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    let serving = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("the client connects");
        let mut input = Vec::new();
        let mut buffer = [0; 4096];
        let mut answered = false;
        let mut keys = Vec::new();
        while keys.len() < FRAMES {
            let length = socket.read(&mut buffer).expect("the client sends");
            assert_ne!(length, 0, "the client ended after {} frames", keys.len());
            input.extend(&buffer[..length]);
            if !answered {
                let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                    continue;
                };
                let head =
                    String::from_utf8(input.drain(..end + 4).collect()).expect("a request is text");
                let key = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
                    .expect("a key");
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
                    accept_value(key)
                );
                socket
                    .write_all(answer.as_bytes())
                    .expect("the client reads");
                answered = true;
            }
            loop {
                let key = input.get(2..6).map(<[u8]>::to_vec);
                match Frame::decode(&mut input) {
                    Some(frame) => {
                        assert!(frame.masked && frame.payload.len() < 126, "{frame:?}");
                        keys.push(key.expect("a short frame has its key there"));
                    }
                    None => break,
                }
            }
        }
        keys
    });
    server::run_with_input(
        [
            "connect",
            &format!("ws://{address}"),
            "--compression",
            "off",
        ],
        &"x\n".repeat(FRAMES),
    );
    let keys = serving.join().expect("the frames came");
    let ones: u32 = keys.iter().flatten().map(|byte| byte.count_ones()).sum();
    let bits = FRAMES as f64 * 32.0;
    // Eight standard deviations: it fails by chance once in 10^15 runs.
    assert!(
        (f64::from(ones) - bits / 2.0).abs() < 8.0 * bits.sqrt() / 2.0,
        "{ones} of {bits} bits are set"
    );
    let different: std::collections::HashSet<_> = keys.iter().collect();
    assert!(
        different.len() >= FRAMES - 2,
        "{} keys for {FRAMES} frames",
        different.len()
    );
}

#[test]
fn what_was_meant_by_a_mistyped_command_line_is_told() {
    let echo = handlers::echo();
    let echo = echo.to_string_lossy();
    says(
        &mistake(&["serve", "ECHO"]),
        &[&format!("is served by its name, wsrun {echo}")],
    );
    says(&mistake(&["serve"]), &["is served by its name"]);
    says(&mistake(&["tset"]), &["`wsrun test`"]);
    says(&mistake(&["inspct", "ECHO"]), &["`wsrun inspect`"]);
    says(
        &mistake(&["ECHO", "ECHO"]),
        &[&format!("--protocol NAME={echo}")],
    );
    says(
        &mistake(&["ECHO", "--metrics", "9100"]),
        &["--metrics", "127.0.0.1:9100"],
    );
    // Not what is wrong beside it, such as who runs it.
    let mut command = Command::new(server::binary());
    command.args(["nope.wasm", "--listen", "127.0.0.1:0"]);
    let ended = server::run_command(&mut command, "", true);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    says(&ended.stderr, &["cannot read nope.wasm: No such file"]);
    assert!(!ended.stderr.contains("root"), "{ended:?}");
}

#[test]
fn values_that_are_given_twice_are_told() {
    says(
        &mistake(&[
            "ECHO", "--config", "a=1", "--config", "b=1", "--config", "a=2",
        ]),
        &["--config a=… is given twice"],
    );
    says(
        &mistake(&["ECHO", "--scope", "worker", "--scope", "shared"]),
        &["--scope is given twice"],
    );
    says(
        &mistake(&[
            "ECHO",
            "--scope",
            "default=worker",
            "--scope",
            "default=worker",
        ]),
        &["--scope default=… is given twice"],
    );
}

#[test]
fn connect_tells_what_helps_against_errors_of_tls() {
    let plain = Server::of(handlers::echo()).start();
    let url = plain.url(0).replace("ws://", "wss://");
    let ended = connect(&url, &["--insecure"], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    says(&ended.stderr, &["does not speak TLS", "ws://"]);
    assert!(!ended.stderr.contains("InvalidContentType"), "{ended:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let certificate = Certificate::write_to(folder.path());
    let server = Server::of(handlers::echo())
        .arg("--tls-cert")
        .arg(&certificate.certificate_file)
        .arg("--tls-key")
        .arg(&certificate.key_file)
        .start();
    for command in ["connect", "ping"] {
        let ended = server::run([command, server.url(0)]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        says(
            &ended.stderr,
            &["--allow-self-signed", "--ca-file FILE", "--insecure"],
        );
    }
}
