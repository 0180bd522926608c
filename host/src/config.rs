//! What a server is told: every setting with its default and its limit.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use ipnet::IpNet;
use ipnet::Ipv4Net;
use wsrun_proto::http::origin::Allowed;
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::Timeouts;
use wsrun_proto::ws::deflate::DeflateConfig;

use crate::contract::LONGEST;
pub use crate::contract::{
    ComputeLimits, ContractLimits, HandlerLimits, MemoryLimits, Rates, Resilience, Scope,
    TrafficLimits,
};
use crate::dev::Dev;
pub use crate::listener::Inherited;
use crate::native::Native;
pub use crate::outbound::OutboundConfig;
pub use crate::outbound::grants::{Grant, GrantError, Grants};
pub use crate::tape::RecordConfig;
use crate::text;

/// Everything that [`Server::new`](crate::server::Server::new) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, 127.0.0.1:9000 by default. Every worker accepts on all of them.
    pub listen: Vec<Listen>,
    /// The handlers. The first is the default: it gets clients that offer no subprotocol.
    pub handlers: Vec<HandlerConfig>,
    /// Worker threads that accept, 1 by default. At most 1,024, with those of [`HandlerConfig::own_worker`]. Which of them have an instance
    /// of a handler: its [`Scope`].
    pub workers: u16,
    /// A folder whose files answer plain HTTP requests. Opened once, when the server is made.
    pub static_dir: Option<PathBuf>,
    /// The folder whose files handlers may answer plain HTTP requests with ([`HttpBody::File`](crate::contract::HttpBody::File)). Without
    /// it such an answer is sent as 404.
    pub files_dir: Option<PathBuf>,
    /// The body of a plain HTTP request to a handler, 1 MiB by default. More is answered with 413.
    pub request_body_bytes_max: u64,
    /// Which addresses may connect over TCP: all by default.
    pub network: NetworkFilter,
    /// PEM files of the certificate chain and the private key; wss and https on every TCP listener.
    pub tls: Option<TlsFiles>,
    /// Which pages of other origins may connect. Requests without an Origin header are not a browser's and always may.
    pub origins: Origins,
    /// permessage-deflate; none declines every offer.
    pub deflate: Option<DeflateConfig>,
    /// Limits of the protocol core.
    pub limits: Limits,
    /// Timeouts of the protocol core.
    pub timeouts: Timeouts,
    /// Connections at a time over all workers, 10,000 by default, HTTP and handshakes included. One more is answered 503.
    pub connections_max: usize,
    /// Connections of one address over all workers, HTTP and handshakes included; of IPv6, of one /64. None, which is the default, for no
    /// limit: behind a proxy all come from one address. One more is cut off before TLS, or answered 503 where there is none. Unix sockets
    /// are not concerned.
    pub connections_per_address_max: Option<usize>,
    /// From accept to the end of the TLS handshake, and again to the end of each request's head: 10 s by default. Also the longest silence
    /// within a request's body, which has the [`message_timeout`](Timeouts::message_timeout) in all.
    pub handshake_timeout: Duration,
    /// How long a peer may take nothing of what is queued for it before the connection is aborted: 30 s by default.
    pub write_timeout: Duration,
    /// From the signal to stop until connections that have not closed are cut: 10 s by default.
    pub shutdown_timeout: Duration,
    /// Over how much of it the closes are spread. None, the default: about 2 ms for each connection, half of it at most.
    pub drain_window: Option<Duration>,
    /// The code of those closes: 1001 (going away) by default, or 1012 (service restart).
    pub drain_close_code: u16,
    /// The largest message that is received or sent in parts, 4 GiB by default. Beyond it a received one fails the connection with 1009,
    /// and a part to be sent is refused with `too-large`.
    pub stream_bytes_max: u64,
    /// Takes frames whether they are masked or not, and sends none masked, in both roles. For tests against peers that cannot do better:
    /// without masks a page in a browser can plant chosen bytes in the caches of intermediaries (RFC 6455, 10.3).
    pub danger_unmasked_frames: bool,
    /// Outbound connections.
    pub outbound: OutboundConfig,
    /// Limits of each handler instance.
    pub handler_limits: HandlerLimits,
    /// Folder for compiled components; none compiles at each start. It must be this user's or root's, with all above it, and writable by nobody
    /// else: what is in it is run.
    pub cache_dir: Option<PathBuf>,
    /// How components are compiled.
    pub compilation: Compilation,
    /// Stack of the wasm frames of a callback, 512 KiB by default, from 64 KiB to 16 MiB. Deeper recursion traps. Host functions that it calls
    /// have a stack of their own behind it, of one size.
    pub wasm_stack_bytes_max: usize,
    /// Whether backtraces tell files and lines where a handler has debug information. For handlers that are trusted: it is read for each frame
    /// of each trap, while the worker waits, and costs time and memory as its author likes.
    pub backtrace_lines: bool,
    /// Where core dumps of handlers that trapped are written; none writes none.
    pub coredumps: Option<Coredumps>,
    /// Who the whole process becomes once every address is bound, before the first handler runs. None: it stays who it is.
    pub privileges: Option<Privileges>,
    /// Records what handlers are called with and ask for, to be played again by `wsrun replay`.
    pub record: Option<RecordConfig>,
    /// Serves the page of `wsrun dev` below `/.wsrun/`, to poke at the default handler and to see how its build goes. For development alone.
    pub dev: Option<Dev>,
    /// Shows handlers the clock of the runtime, which begins at a date of its own and may be made to stand still, and randomness that is the same
    /// each time. For scenarios ([`test`](crate::test)) alone: keys that a handler makes are no secret then.
    pub danger_predictable: bool,
}

impl Config {
    /// The threads of a server: its workers, and those of single handlers.
    pub(crate) fn threads(&self) -> u16 {
        let own = self.handlers.iter().filter(|handler| handler.own_worker);
        let own = u16::try_from(own.count()).unwrap_or(u16::MAX);
        self.workers.saturating_add(own)
    }

    /// Bounds every time, so that moments which lie that far ahead can be told.
    pub(crate) fn bound_times(&mut self) {
        self.handler_limits.bound_times();
        let timeouts = &mut self.timeouts;
        let times = [
            &mut self.handshake_timeout,
            &mut self.write_timeout,
            &mut self.shutdown_timeout,
            &mut self.compilation.timeout,
            &mut self.outbound.connect_timeout,
            &mut timeouts.close_timeout,
        ];
        let optional = [
            &mut self.drain_window,
            &mut timeouts.ping_interval,
            &mut timeouts.idle_timeout,
            &mut timeouts.message_timeout,
        ];
        for time in times.into_iter().chain(optional.into_iter().flatten()) {
            *time = LONGEST.min(*time);
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9000)))],
            handlers: Vec::new(),
            workers: 1,
            static_dir: None,
            files_dir: None,
            request_body_bytes_max: 1024 * 1024,
            network: NetworkFilter::default(),
            tls: None,
            origins: Origins::default(),
            deflate: Some(DeflateConfig::default()),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            connections_max: 10_000,
            connections_per_address_max: None,
            handshake_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
            drain_window: None,
            drain_close_code: 1001,
            stream_bytes_max: 4 << 30,
            danger_unmasked_frames: false,
            outbound: OutboundConfig::default(),
            handler_limits: HandlerLimits::default(),
            cache_dir: None,
            compilation: Compilation::default(),
            wasm_stack_bytes_max: 512 * 1024,
            backtrace_lines: false,
            coredumps: None,
            privileges: None,
            record: None,
            dev: None,
            danger_predictable: false,
        }
    }
}

/// Bounds of compiling a component, which takes time and memory as its author likes.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// The `wsrun` whose process compiles first, with the limits below: `/proc/self/exe` in `wsrun` itself. None, the default of the library,
    /// compiles in this process, without a limit but that of the size.
    pub program: Option<PathBuf>,
    /// The largest component, 64 MiB by default.
    pub component_bytes_max: u64,
    /// How long that process may take: 60 s by default.
    pub timeout: Duration,
    /// Its address space, 2 GiB by default, from 256 MiB.
    pub memory_bytes_max: u64,
    /// What a compiled component may take of memory when it is loaded, 256 MiB by default. Another process of [`program`](Self::program)
    /// loads it first to tell; without one, only the bytes of what was compiled are known.
    pub code_bytes_max: u64,
}

impl Default for Compilation {
    fn default() -> Self {
        Self {
            program: None,
            component_bytes_max: 64 * 1024 * 1024,
            timeout: Duration::from_secs(60),
            memory_bytes_max: 2 << 30,
            code_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// Core dumps of instances whose callback failed. They have the whole memory of the instance, and with it what handler and peers keep secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coredumps {
    /// An existing folder.
    pub folder: PathBuf,
    /// What the files in it may have together. No more are written then: the oldest, which mostly tell most, stay.
    pub bytes_max: u64,
}

/// Who a process becomes: names, or numbers in decimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Privileges {
    /// The user.
    pub user: Option<String>,
    /// The group; the user's own by default. Supplementary groups become those of the user, without a user this group alone.
    pub group: Option<String>,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// IPv4 or IPv6; port 0 picks a free one.
    Tcp(SocketAddr),
    /// A Unix socket. A stale socket file is replaced, anything else at the path is an error.
    Unix(PathBuf),
    /// A listener that somebody else bound, as a service manager does. With several workers all of them accept on the one socket:
    /// SO_REUSEPORT, which gives each its own, cannot be added to it.
    Inherited(Inherited),
}

/// One handler and how clients reach it.
#[derive(Clone, Debug)]
pub struct HandlerConfig {
    /// The subprotocol that leads to it. None: the default handler, which also gets clients that offer others.
    pub protocol: Option<String>,
    /// What it is.
    pub source: HandlerSource,
    /// What `host-info.config` tells it.
    pub config: Arc<BTreeMap<String, String>>,
    /// Which connections share an instance.
    pub scope: Scope,
    /// Whether it has a worker of its own, beside [`Config::workers`]: a thread that nobody else's callbacks run on, which the other workers
    /// hand its connections over to. For one that computes much, or that is not trusted to be quick. Only in the scope
    /// [`Scope::Shared`].
    pub own_worker: bool,
    /// The nice value of that worker's thread (setpriority(2)), from 0, which is the default, to 19: where processors are short, those who
    /// are less nice come first.
    pub own_worker_nice: u8,
}

impl HandlerConfig {
    /// A handler without configuration values.
    pub fn new(protocol: Option<String>, source: HandlerSource) -> Self {
        Self {
            protocol,
            source,
            config: Arc::default(),
            scope: Scope::default(),
            own_worker: false,
            own_worker_nice: 0,
        }
    }

    /// Its name in logs and in `host-info.handler-name`: the subprotocol, else the native handler's name or that of the file without the
    /// extension.
    pub fn name(&self) -> String {
        if let Some(protocol) = &self.protocol {
            return protocol.clone();
        }
        match &self.source {
            HandlerSource::File(file) | HandlerSource::Program(file, _) => file
                .file_stem()
                .map_or_else(String::new, |stem| text::line(stem.to_string_lossy())),
            HandlerSource::Native(native) => text::line(native.name()),
        }
    }
}

/// Where a handler comes from.
#[derive(Clone, Debug)]
pub enum HandlerSource {
    /// A component, binary or `.wat` text.
    File(PathBuf),
    /// Rust that is linked into the program.
    Native(Native),
    /// A program that knows nothing of this host: a component that exports `wasi:cli/run`, run for each connection with the messages as its
    /// standard input and output.
    Program(PathBuf, ProgramFormat),
}

/// How messages go through the standard input and output of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgramFormat {
    /// A text message is a line. A binary message closes the connection with 1003.
    #[default]
    Lines,
    /// A message is a byte, 1 for text and 2 for binary, its length in four bytes, the highest first, and its payload.
    Frames,
}

impl<P: Into<PathBuf>> From<P> for HandlerSource {
    fn from(file: P) -> Self {
        Self::File(file.into())
    }
}

impl From<Native> for HandlerSource {
    fn from(native: Native) -> Self {
        Self::Native(native)
    }
}

/// Which addresses may connect. A peer that may not is cut off before a byte of it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkFilter {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl NetworkFilter {
    /// Refuses the networks of `deny`, and unless `allow` is empty all that are not in it. A network of IPv4 addresses that are written as
    /// IPv6 (`::ffff:10.0.0.0/104`) is the one of IPv4.
    pub fn new(
        allow: impl IntoIterator<Item = IpNet>,
        deny: impl IntoIterator<Item = IpNet>,
    ) -> Self {
        Self {
            allow: allow.into_iter().map(canonical).collect(),
            deny: deny.into_iter().map(canonical).collect(),
        }
    }

    /// Whether every peer may connect.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether a peer may connect. An IPv4 address that is written as IPv6, as a socket for both shows it, is judged as IPv4.
    pub fn accepts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        let within = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&peer));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

fn canonical(network: IpNet) -> IpNet {
    const MAPPED_PREFIX: u8 = 96;
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let v4 = mapped.addr().to_ipv4_mapped();
    v4.zip(mapped.prefix_len().checked_sub(MAPPED_PREFIX))
        .and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok())
        .map_or(network, IpNet::V4)
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key: PKCS#8, SEC1 or PKCS#1.
    pub key: PathBuf,
}

/// Which origins may connect.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Origins beside the server's own.
    pub allowed: Allowed,
}

impl Origins {
    /// Whether a page of `origin` may connect to the server that it calls `host`.
    pub(crate) fn allows(&self, origin: &str, host: &str, secure: bool) -> bool {
        wsrun_proto::http::origin::is_same_origin(origin, host, secure)
            || self.allowed.contains(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(allow: &[&str], deny: &[&str]) -> NetworkFilter {
        let parse = |text: &&str| text.parse::<IpNet>().unwrap();
        NetworkFilter::new(allow.iter().map(parse), deny.iter().map(parse))
    }

    #[track_caller]
    fn judges(filter: &NetworkFilter, accepted: &[&str], refused: &[&str]) {
        for peer in accepted {
            assert!(filter.accepts(peer.parse().unwrap()), "{peer} is refused");
        }
        for peer in refused {
            assert!(!filter.accepts(peer.parse().unwrap()), "{peer} is accepted");
        }
    }

    #[test]
    fn without_lists_everybody_may_connect() {
        assert!(filter(&[], &[]).is_empty());
        judges(&filter(&[], &[]), &["192.0.2.1", "2001:db8::1"], &[]);
    }

    #[test]
    fn deny_wins_over_allow_and_allow_denies_the_rest() {
        let filter = filter(
            &["10.0.0.0/8", "2001:db8::/32"],
            &["10.1.0.0/16", "2001:db8:1::/48"],
        );
        judges(
            &filter,
            &["10.0.0.1", "10.2.0.1", "2001:db8::1"],
            &["10.1.2.3", "11.0.0.1", "2001:db8:1::1", "2001:db9::1"],
        );
    }

    #[test]
    fn mapped_peers_and_networks_are_ipv4() {
        judges(
            &filter(&[], &["10.0.0.0/8"]),
            &["::ffff:11.0.0.1", "::10.0.0.1"],
            &["::ffff:10.0.0.1"],
        );
        judges(
            &filter(&["::ffff:10.0.0.0/104"], &[]),
            &["10.9.9.9", "::ffff:10.9.9.9"],
            &["11.0.0.1", "::1"],
        );
        // All of IPv6 is not all of IPv4.
        judges(
            &filter(&[], &["::/0"]),
            &["10.0.0.1", "::ffff:10.0.0.1"],
            &["::1", "2001:db8::1"],
        );
    }
}
