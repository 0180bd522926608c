//! Attempts to connect to servers on the loopback, both correct and faulty ones.

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddrV6, TcpListener as StdTcpListener};
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use wsrun_proto::http::request::RequestReader;
use wsrun_proto::http::upgrade;

use super::*;
use crate::stream::Stream;
use wsrun_contract::{Failure, Phase, ResponseHead, Role, Verify};

fn config() -> OutboundConfig {
    let grants = ["127.0.0.1", "localhost", "wrong.example"];
    OutboundConfig {
        grants: grants
            .map(|grant| grant.parse().unwrap())
            .into_iter()
            .collect(),
        ..OutboundConfig::default()
    }
}

fn outbound(config: &OutboundConfig) -> Outbound {
    let mut outbound = Outbound::new(config, Limits::default(), None).unwrap();
    // Every name resolves to this machine.
    outbound.resolve = |_, port, _| Box::pin(async move { Ok(vec![loopback(1, port)]) });
    outbound
}

fn loopback(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, last], port))
}

fn url(url: String) -> ConnectOptions {
    ConnectOptions {
        url,
        ..ConnectOptions::default()
    }
}

/// Starts a server that reads one request and sends what `answer` returns for it. It then waits
/// until the client is gone.
async fn server(answer: impl FnOnce(&str) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind(loopback(1, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, answer).await;
    });
    port
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: impl FnOnce(&str) -> Vec<u8>,
) {
    let request = read_request(&mut stream).await;
    let _ = stream.write_all(&answer(&request)).await;
    let _ = stream.shutdown().await;
    // Until the client is gone, so that the answer is not lost to a reset.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

/// Returns a correct response to a request, with additional header lines.
fn accepted(request: &str, extra: &str) -> Vec<u8> {
    let mut reader = RequestReader::new(Limits::default());
    let request = reader.handle_input(request.as_bytes()).unwrap().unwrap();
    let upgrade = upgrade::check(request.method, request.minor_version, &request.headers).unwrap();
    let mut response = "HTTP/1.1 101 Switching Protocols\r\n".to_owned();
    for (name, value) in upgrade.accept(None, None).unwrap().headers {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    response.push_str(extra);
    response.push_str("\r\n");
    response.into_bytes()
}

async fn attempt(port: u16) -> Result<Opened, Failed> {
    let options = ConnectOptions {
        protocols: vec!["a".to_owned(), "b".to_owned()],
        ..url(format!("ws://127.0.0.1:{port}/"))
    };
    open(&outbound(&config()), &options).await
}

async fn failure(answer: impl FnOnce(&str) -> Vec<u8> + Send + 'static) -> Failure {
    let port = server(answer).await;
    attempt(port).await.unwrap_err().failure
}

#[tokio::test]
async fn handshake_gives_stream_request_and_response() {
    let port = server(|request| {
        let mut response = accepted(request, "Sec-WebSocket-Protocol: b\r\nX-Mixed: Case\r\n");
        response.extend(b"\x81\x00");
        response
    })
    .await;
    let options = ConnectOptions {
        protocols: vec!["a".to_owned(), "b".to_owned()],
        origin: Some("https://example.com".to_owned()),
        host: Some("other.example".to_owned()),
        headers: vec![("X-Token".to_owned(), "t".to_owned())],
        compression: true,
        ..url(format!("ws://127.0.0.1:{port}/p%20q?r=s"))
    };
    let opened = open(&outbound(&config()), &options).await.unwrap();
    assert_eq!(opened.early, b"\x81\x00");
    assert_eq!(
        (opened.protocol.as_deref(), opened.deflate),
        (Some("b"), None)
    );
    assert!(matches!(opened.stream, Stream::Plain(_)) && opened.stream.raw_fd().is_some());

    let request = opened.request;
    assert_eq!(request.role, Role::Client);
    assert_eq!(
        (request.path.as_str(), request.query.as_deref()),
        ("/p%20q", Some("r=s"))
    );
    assert_eq!(request.offered, ["a", "b"]);
    assert_eq!(request.peer, format!("127.0.0.1:{port}"));
    assert!(request.local.starts_with("127.0.0.1:") && !request.secure);
    assert_eq!(request.host.as_deref(), Some("other.example"));
    for (name, value) in [
        ("host", "other.example"),
        ("origin", "https://example.com"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "a, b"),
        ("x-token", "t"),
    ] {
        assert_eq!(request.header(name), Some(value));
    }
    assert!(request.header("sec-websocket-key").is_some());
    assert!(request.header("sec-websocket-extensions").is_some());

    assert_eq!(opened.response.status, 101);
    let mixed = ("x-mixed".to_owned(), b"Case".to_vec());
    assert!(opened.response.headers.contains(&mixed));
}

#[tokio::test]
async fn refusals_are_shown_with_their_response() {
    let port = server(|_| b"HTTP/1.1 403 Forbidden\r\nX-Why: no\r\n\r\nbody".to_vec()).await;
    let failed = attempt(port).await.unwrap_err();
    assert_eq!(failed.failure, Failure::Refused(403));
    let response = ResponseHead {
        status: 403,
        headers: vec![("x-why".to_owned(), b"no".to_vec())],
    };
    assert_eq!(failed.response, Some(response));
}

#[tokio::test]
async fn redirections_are_not_followed() {
    let elsewhere = StdTcpListener::bind(loopback(1, 0)).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let location = format!("ws://{}/", elsewhere.local_addr().unwrap());
    let answer = format!("HTTP/1.1 307 There\r\nLocation: {location}\r\n\r\n");
    let failure = failure(move |_| answer.into_bytes()).await;
    assert_eq!(failure, Failure::Redirected(Some(location)));
    assert_eq!(
        elsewhere.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn answers_that_do_not_make_a_connection_are_told_apart() {
    let garbage = failure(|_| b"SSH-2.0-x\r\n\r\n".to_vec()).await;
    assert!(matches!(garbage, Failure::InvalidResponse(_)), "{garbage}");
    let endless = failure(|_| {
        b"HTTP/1.1 101 "
            .iter()
            .copied()
            .chain([b'a'; 100_000])
            .collect()
    })
    .await;
    assert!(matches!(endless, Failure::InvalidResponse(_)), "{endless}");
    assert_eq!(failure(|_| Vec::new()).await, Failure::Ended);
    assert_eq!(
        failure(|_| b"HTTP/1.1 101 x\r\n".to_vec()).await,
        Failure::Ended
    );
    let plain = failure(|_| b"HTTP/1.1 101 x\r\n\r\n".to_vec()).await;
    assert_eq!(plain, Failure::NotUpgraded);

    const UPGRADED: &str = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let missing = failure(|_| format!("{UPGRADED}\r\n").into_bytes()).await;
    assert_eq!(missing, Failure::AcceptMissing);
    let wrong =
        failure(|_| format!("{UPGRADED}Sec-WebSocket-Accept: x\r\n\r\n").into_bytes()).await;
    assert_eq!(wrong, Failure::AcceptWrong);
    let protocol = failure(|request| accepted(request, "Sec-WebSocket-Protocol: c\r\n")).await;
    assert_eq!(protocol, Failure::ProtocolNotOffered);
    let extension =
        failure(|request| accepted(request, "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
            .await;
    assert!(
        matches!(extension, Failure::ExtensionNotOffered(_)),
        "{extension}"
    );
}

#[tokio::test]
async fn a_server_that_answers_bit_by_bit_has_the_time_of_the_handshake() {
    let listener = TcpListener::bind(loopback(1, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let trickling = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 101 x\r\nX: ").await;
        while stream.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let options = ConnectOptions {
        timeout: Some(Duration::from_millis(100)),
        ..url(format!("ws://127.0.0.1:{port}/"))
    };
    let failed = open(&outbound(&config()), &options).await.unwrap_err();
    assert_eq!(failed.failure, Failure::TimedOut(Phase::Handshake));
    // The server notices that the client is gone.
    trickling.await.unwrap();
}

#[tokio::test]
async fn each_phase_has_its_time() {
    let config = OutboundConfig {
        connect_timeout: Duration::from_millis(50),
        ..config()
    };
    let mut silent = outbound(&config);
    let listener = StdTcpListener::bind(loopback(1, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // The configured time is the longest that a handler may ask for.
    let options = |scheme: &str, host: &str| ConnectOptions {
        timeout: Some(Duration::MAX),
        ..url(format!("{scheme}://{host}:{}/", address.port()))
    };
    for (options, phase) in [
        (options("wss", "127.0.0.1"), Phase::Tls),
        (options("ws", "127.0.0.1"), Phase::Handshake),
    ] {
        let failed = open(&silent, &options).await.unwrap_err();
        assert_eq!(failed.failure, Failure::TimedOut(phase));
    }
    silent.resolve = |_, _, _| Box::pin(std::future::pending());
    let failed = open(&silent, &options("ws", "localhost"))
        .await
        .unwrap_err();
    assert_eq!(failed.failure, Failure::TimedOut(Phase::Connect));
}

#[tokio::test]
async fn look_ups_that_nobody_waits_for_count_until_they_end() {
    let mut outbound = outbound(&config());
    outbound.lookups = Arc::new(Semaphore::new(2));
    // A resolver that does not answer, and keeps running when its attempt is given up.
    outbound.resolve = |_, _, permit| {
        Box::pin(async {
            let looking_up = tokio::spawn(async {
                let _permit = permit;
                std::future::pending::<()>().await;
            });
            looking_up.await?;
            Ok(Vec::new())
        })
    };
    let options = ConnectOptions {
        timeout: Some(Duration::from_millis(1)),
        ..url("ws://localhost/".to_owned())
    };
    for _ in 0..2 {
        let failed = open(&outbound, &options).await.unwrap_err();
        assert_eq!(failed.failure, Failure::TimedOut(Phase::Connect));
    }
    assert_eq!(outbound.lookups.available_permits(), 0);
    outbound.resolve = |_, _, _| panic!("one look-up too many");
    let failed = open(&outbound, &options).await.unwrap_err();
    assert_eq!(failed.failure, Failure::TimedOut(Phase::Connect));
}

#[tokio::test]
async fn look_ups_give_their_place_back() {
    let lookups = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&lookups).try_acquire_owned().unwrap();
    let found = resolve("localhost".to_owned(), 80, permit).await.unwrap();
    assert!(found.iter().all(|address| address.ip().is_loopback()));
    assert_eq!(lookups.available_permits(), 1);
}

#[tokio::test]
async fn the_longest_time_is_no_overflow() {
    let config = OutboundConfig {
        connect_timeout: Duration::MAX,
        ..config()
    };
    let port = server(|request| accepted(request, "")).await;
    let options = url(format!("ws://127.0.0.1:{port}/"));
    assert!(open(&outbound(&config), &options).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_reached_is_unreachable() {
    let unused = StdTcpListener::bind(loopback(1, 0)).unwrap();
    let port = unused.local_addr().unwrap().port();
    drop(unused);
    let failed = attempt(port).await.unwrap_err();
    assert!(
        matches!(failed.failure, Failure::Unreachable(_)),
        "{:?}",
        failed.failure
    );

    let mut outbound = outbound(&config());
    outbound.resolve = |_, _, _| Box::pin(async { Err(io::Error::other("no such name")) });
    let failed = open(&outbound, &url("ws://localhost/".to_owned()))
        .await
        .unwrap_err();
    let text = "cannot look up localhost: no such name".to_owned();
    assert_eq!(failed.failure, Failure::Unreachable(text));
    outbound.resolve = |_, _, _| Box::pin(async { Ok(Vec::new()) });
    let failed = open(&outbound, &url("ws://localhost/".to_owned()))
        .await
        .unwrap_err();
    let text = "localhost has no address".to_owned();
    assert_eq!(failed.failure, Failure::Unreachable(text));
}

#[tokio::test]
async fn names_that_lead_to_addresses_that_are_not_granted_are_denied() {
    let listener = StdTcpListener::bind(loopback(1, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = OutboundConfig {
        grants: std::iter::once("*".parse().unwrap()).collect(),
        ..config()
    };
    let mut outbound = outbound(&config);
    for host in ["public.example", "localhost", "a.localhost"] {
        let failed = open(&outbound, &url(format!("ws://{host}:{port}/")))
            .await
            .unwrap_err();
        assert!(
            matches!(failed.failure, Failure::Denied(_)),
            "{:?}",
            failed.failure
        );
    }
    outbound.resolve = |_, port, _| {
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().unwrap();
        Box::pin(async move { Ok(vec![SocketAddr::new(mapped, port)]) })
    };
    let failed = open(&outbound, &url(format!("ws://public.example:{port}/")))
        .await
        .unwrap_err();
    let text = format!(
        "public.example leads to ::ffff:127.0.0.1, an IPv4-mapped address: outbound.grants 127.0.0.1:{port} would allow it"
    );
    assert_eq!(failed.failure, Failure::Denied(text));
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    // Without the check before it, the attempt fails too.
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0",
    ] {
        let failed = open(&outbound, &url(format!("ws://{host}:{port}/")))
            .await
            .unwrap_err();
        assert!(
            matches!(failed.failure, Failure::Denied(_)),
            "{host}: {:?}",
            failed.failure
        );
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn addresses_are_tried_in_order_and_denied_ones_passed_over() {
    let denied = StdTcpListener::bind(loopback(3, 0)).unwrap();
    denied.set_nonblocking(true).unwrap();
    let port = denied.local_addr().unwrap().port();
    let listener = TcpListener::bind(loopback(1, port)).await.unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, |request| accepted(request, "")).await;
    });
    let grants = ["two.example", "127.0.0.1", "127.0.0.2"];
    let config = OutboundConfig {
        grants: grants
            .map(|grant| grant.parse().unwrap())
            .into_iter()
            .collect(),
        ..config()
    };
    let mut outbound = outbound(&config);
    // The first address is not granted, and nobody listens on the second.
    outbound.resolve = |_, port, _| {
        Box::pin(async move { Ok([3, 2, 1].map(|last| loopback(last, port)).to_vec()) })
    };
    let opened = open(&outbound, &url(format!("ws://two.example:{port}/")))
        .await
        .unwrap();
    assert_eq!(opened.request.peer, format!("127.0.0.1:{port}"));
    assert_eq!(denied.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn address_that_is_dead_costs_a_moment_and_not_its_share_of_the_time() {
    let live = TcpListener::bind(loopback(1, 0)).await.unwrap();
    let port = live.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = live.accept().await.unwrap();
        serve(stream, |request| accepted(request, "")).await;
    });
    // The queue of this socket is full, so that the kernel does not answer.
    let dead = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    dead.bind(&loopback(2, port).into()).unwrap();
    dead.listen(0).unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = timeout(
        Duration::from_millis(200),
        tokio::net::TcpStream::connect(loopback(2, port)),
    )
    .await
    {
        queued.push(stream);
        assert!(queued.len() < 100, "the queue does not become full");
    }
    let config = OutboundConfig {
        grants: ["two.example", "127.0.0.0/8"]
            .map(|grant| grant.parse().unwrap())
            .into_iter()
            .collect(),
        connect_timeout: Duration::from_secs(240),
        ..config()
    };
    let mut outbound = outbound(&config);
    outbound.resolve =
        |_, port, _| Box::pin(async move { Ok([2, 1].map(|last| loopback(last, port)).to_vec()) });
    let began = tokio::time::Instant::now();
    let opened = open(&outbound, &url(format!("ws://two.example:{port}/")))
        .await
        .unwrap();
    assert_eq!(opened.request.peer, format!("127.0.0.1:{port}"));
    // Half of the time limit would be two minutes.
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn addresses_take_turns_by_family_and_keep_the_link_that_they_belong_to() {
    let mut outbound = outbound(&config()).trusted();
    let link_local = |last: u16, scope| {
        let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
        SocketAddr::V6(SocketAddrV6::new(ip, 9000, 0, scope))
    };
    outbound.resolve = |_, _, _| {
        Box::pin(async {
            let v6 = (1..=20).map(|last| {
                let ip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last);
                SocketAddr::V6(SocketAddrV6::new(ip, 0, 0, 7))
            });
            Ok(v6.chain([loopback(1, 0), loopback(2, 0)]).collect())
        })
    };
    let found = open::addresses(&outbound, "many.example", 9000)
        .await
        .unwrap();
    assert_eq!(found.len(), 16);
    assert_eq!(
        found[..5],
        [
            link_local(1, 7),
            loopback(1, 9000),
            link_local(2, 7),
            loopback(2, 9000),
            link_local(3, 7)
        ]
    );
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let port = server(|request| {
        let mut response =
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec();
        response.extend(accepted(request, "X-Final: yes\r\n"));
        response.extend(b"\x81\x00");
        response
    })
    .await;
    let opened = attempt(port).await.unwrap();
    assert_eq!(opened.early, b"\x81\x00");
    assert_eq!(opened.response.status, 101);
    let last = ("x-final".to_owned(), b"yes".to_vec());
    assert!(opened.response.headers.contains(&last));
    let endless = failure(|_| b"HTTP/1.1 100 Continue\r\n\r\n".repeat(17)).await;
    assert!(matches!(endless, Failure::InvalidResponse(_)), "{endless}");
}

#[tokio::test]
async fn options_are_judged_before_an_attempt() {
    let outbound = outbound(&config());
    let ok = || url("ws://localhost/".to_owned());
    assert_eq!(outbound.check(&ok()), Ok(()));
    for version in [13, 8, 7] {
        let version = Some(version);
        assert_eq!(outbound.check(&ConnectOptions { version, ..ok() }), Ok(()));
    }
    let version = Some(9);
    let unsupported = Err(ConnectError::UnsupportedVersion);
    assert_eq!(
        outbound.check(&ConnectOptions { version, ..ok() }),
        unsupported
    );

    let invalid = |options: ConnectOptions| match outbound.check(&options) {
        Err(ConnectError::Invalid(text)) => text,
        other => panic!("{options:?}: {other:?}"),
    };
    let header = |name: &str, value: &str| ConnectOptions {
        headers: vec![(name.to_owned(), value.to_owned())],
        ..ok()
    };
    invalid(url("http://localhost/".to_owned()));
    invalid(url("ws+unix:/run/x".to_owned()));
    invalid(header("Sec-WebSocket-Key", "x"));
    let text = invalid(header("Host", "x"));
    assert!(
        text.contains("header cannot be sent: names are tokens"),
        "{text}"
    );
    invalid(header("X", "a\r\nY: b"));
    invalid(header("X", &"a".repeat(20_000)));
    let protocols = vec!["a b".to_owned()];
    invalid(ConnectOptions { protocols, ..ok() });
    let timeout = Some(Duration::ZERO);
    invalid(ConnectOptions { timeout, ..ok() });
    let host = Some("a/b".to_owned());
    invalid(ConnectOptions { host, ..ok() });

    let denied = |options: ConnectOptions| match outbound.check(&options) {
        Err(ConnectError::Denied(text)) => text,
        other => panic!("{options:?}: {other:?}"),
    };
    let text = denied(url("wss://example.com/".to_owned()));
    assert!(text.contains("outbound.grants example.com:443"), "{text}");
    let text = denied(url("ws://10.1/".to_owned()));
    assert!(text.contains("outbound.grants 10.0.0.1:80"), "{text}");
    let identity = Some("me".to_owned());
    let text = denied(ConnectOptions { identity, ..ok() });
    assert!(text.contains("outbound.identities me=CERT,KEY"), "{text}");
}

#[tokio::test]
async fn unix_sockets_are_for_the_operator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, |request| accepted(request, "")).await;
    });
    let outbound =
        Outbound::unrestricted(Trust::Platform(Vec::new()), Duration::from_secs(10)).unwrap();
    let opened = open(&outbound, &url(format!("ws+unix:{}", path.display())))
        .await
        .unwrap();
    assert_eq!(opened.request.host.as_deref(), Some("localhost"));
    assert_eq!(opened.request.peer, "unix");
}

/// A certificate and its key, in PEM.
struct Pem {
    chain: String,
    key: String,
}

impl Pem {
    fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = params(change);
        Self {
            chain: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn issued(issuer: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let (params, key) = params(|_| ());
        let chain = params.signed_by(&key, issuer).unwrap().pem() + &issuer.pem();
        Self {
            chain,
            key: key.serialize_pem(),
        }
    }

    fn write(&self, folder: &Path, name: &str) -> TlsFiles {
        let files = TlsFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, &self.chain).unwrap();
        fs::write(&files.key, &self.key).unwrap();
        files
    }

    /// Starts a server with this certificate for one client. It requires a client certificate from
    /// `clients`, if those are given.
    async fn server(&self, clients: Option<RootCertStore>) -> (u16, JoinHandle<()>) {
        let folder = tempfile::tempdir().unwrap();
        let key = crate::tls::load(&self.write(folder.path(), "server")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(roots) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .unwrap(),
            ),
        };
        let config =
            builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(key)));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(loopback(1, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, |request| accepted(request, "")).await;
            }
        });
        (port, serving)
    }
}

fn params(change: impl FnOnce(&mut CertificateParams)) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    (params, KeyPair::generate().unwrap())
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let (params, key) = params(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    CertifiedIssuer::self_signed(params, key).unwrap()
}

async fn secure(
    outbound: &Outbound,
    pem: &Pem,
    host: &str,
    verify: Verify,
) -> Result<Opened, Failure> {
    let (port, _) = pem.server(None).await;
    let options = ConnectOptions {
        verify,
        ..url(format!("wss://{host}:{port}/"))
    };
    open(outbound, &options)
        .await
        .map_err(|failed| failed.failure)
}

#[tokio::test]
async fn certificates_of_nobody_known_are_refused() {
    let outbound = outbound(&config());
    let unknown = Failure::Tls("the certificate is not issued by a trusted authority".to_owned());
    let pem = Pem::self_signed(|_| ());
    let failed = secure(&outbound, &pem, "localhost", Verify::Full).await;
    assert_eq!(failed.unwrap_err(), unknown);
    let pem = Pem::issued(&authority());
    for verify in [Verify::Full, Verify::AllowSelfSigned] {
        let failed = secure(&outbound, &pem, "localhost", verify).await;
        assert_eq!(failed.unwrap_err(), unknown);
    }
}

#[tokio::test]
async fn self_signed_certificates_are_taken_where_that_was_asked_for() {
    let outbound = outbound(&config());
    let plain = Pem::self_signed(|_| ());
    // A certificate as openssl makes it by default.
    let calls_itself_authority =
        Pem::self_signed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    for pem in [&plain, &calls_itself_authority] {
        for host in ["localhost", "LOCALHOST."] {
            let opened = secure(&outbound, pem, host, Verify::AllowSelfSigned)
                .await
                .unwrap();
            assert!(
                matches!(opened.stream, Stream::ClientTls(_)) && opened.stream.raw_fd().is_some()
            );
            assert!(opened.request.secure);
        }
    }
    // A certificate that was accepted this way is not accepted otherwise, even when the session is
    // resumed.
    let failed = secure(&outbound, &plain, "localhost", Verify::Full).await;
    assert!(matches!(failed, Err(Failure::Tls(_))));
}

#[tokio::test]
async fn self_signed_certificates_may_have_any_usual_key() {
    let outbound = outbound(&config());
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let (params, _) = params(|_| ());
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pem = Pem {
            chain: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        };
        let opened = secure(&outbound, &pem, "localhost", Verify::AllowSelfSigned).await;
        assert!(opened.is_ok(), "{algorithm:?}: {opened:?}");
    }
}

#[tokio::test]
async fn self_signed_certificates_are_still_checked() {
    let outbound = outbound(&config());
    let expired = Pem::self_signed(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = Pem::self_signed(|params| params.not_before = date_time_ymd(4000, 1, 1));
    let for_clients = Pem::self_signed(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let right = Pem::self_signed(|_| ());
    for (pem, host, told) in [
        (&expired, "localhost", "Expired"),
        (&early, "localhost", "NotValidYet"),
        (&for_clients, "localhost", "InvalidPurpose"),
        (&right, "wrong.example", "not valid for name"),
        (&right, "127.0.0.1", "not valid for name"),
    ] {
        match secure(&outbound, pem, host, Verify::AllowSelfSigned).await {
            Err(Failure::Tls(text)) => assert!(text.contains(told), "{text}"),
            other => panic!("{told}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn roots_of_the_operator_are_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("roots.pem");
    let authority = authority();
    fs::write(&file, authority.pem()).unwrap();
    let pem = Pem::issued(&authority);
    let with_roots = OutboundConfig {
        extra_roots: Some(file.clone()),
        ..config()
    };
    let outbound = outbound(&with_roots);
    for verify in [Verify::Full, Verify::AllowSelfSigned] {
        assert!(secure(&outbound, &pem, "localhost", verify).await.is_ok());
        let failed = secure(&outbound, &pem, "wrong.example", verify).await;
        assert!(matches!(failed, Err(Failure::Tls(_))), "{failed:?}");
    }
    fs::write(&file, "nothing").unwrap();
    let error = Outbound::new(&with_roots, Limits::default(), None)
        .map(drop)
        .unwrap_err();
    assert!(
        error.to_string().contains("trusted certificates"),
        "{error}"
    );
}

#[tokio::test]
async fn the_client_shows_the_certificate_that_the_options_name() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let identity = Pem::issued(&authority).write(folder.path(), "me");
    let outbound = outbound(&OutboundConfig {
        identities: BTreeMap::from([("me".to_owned(), identity)]),
        ..config()
    });
    let mut clients = RootCertStore::empty();
    clients.add(authority.der().clone()).unwrap();
    let pem = Pem::self_signed(|_| ());
    let options = |port, identity: Option<&str>| ConnectOptions {
        verify: Verify::AllowSelfSigned,
        identity: identity.map(str::to_owned),
        ..url(format!("wss://localhost:{port}/"))
    };
    let (port, _) = pem.server(Some(clients.clone())).await;
    assert!(open(&outbound, &options(port, Some("me"))).await.is_ok());

    let (port, serving) = pem.server(Some(clients)).await;
    let failed = open(&outbound, &options(port, None)).await.unwrap_err();
    let told = failed.failure.to_string();
    assert!(
        matches!(failed.failure, Failure::Tls(_)) && told.contains("client certificate"),
        "{told}"
    );
    serving.await.unwrap();
}

#[tokio::test]
async fn a_server_without_tls_fails_tls() {
    let listener = TcpListener::bind(loopback(1, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let failed = open(
        &outbound(&config()),
        &url(format!("wss://localhost:{port}/")),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(failed.failure, Failure::Tls(_)),
        "{:?}",
        failed.failure
    );
}
