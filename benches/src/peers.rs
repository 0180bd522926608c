//! The servers: what each can be measured in, and how it is started.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// What a measurement asks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Echo of messages up to a few hundred bytes.
    Small,
    /// Echo of messages of any size, as binary.
    Large,
    /// Echo with permessage-deflate without context takeover.
    Deflate,
    /// Echo over TLS.
    Tls,
    /// Every message goes to every connection.
    Fan,
    /// Thousands of connections.
    Many,
    /// A new version of the handler while connections are open.
    Swaps,
    /// An instance of the handler for each connection.
    Instances,
    /// As many threads as it is told, each with connections of its own.
    Workers,
    /// An opening and a closing handshake.
    Handshakes,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// What the report calls it.
    pub(crate) title: &'static str,
    can: &'static [Ask],
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Wsrun,
    Native,
    Raw,
    Bun,
    Node,
    Python,
    Websocketd,
    /// A program in the cache folder.
    Program,
}

use Ask::{Deflate, Fan, Handshakes, Instances, Large, Many, Small, Swaps, Tls, Workers};

pub(crate) const WSRUN: &str = "wsrun";
pub(crate) const NATIVE: &str = "native";
pub(crate) const RAW: &str = "raw";

/// All of them.
pub(crate) const PEERS: [Peer; 11] = [
    peer(
        WSRUN,
        "wsrun, sandboxed handler",
        &[
            Small, Large, Deflate, Tls, Fan, Many, Instances, Handshakes, Workers, Swaps,
        ],
        How::Wsrun,
    ),
    peer(
        NATIVE,
        "wsrun, native handler",
        &[Small, Large, Deflate, Tls, Fan, Many, Handshakes, Workers],
        How::Native,
    ),
    peer(
        RAW,
        "raw TCP",
        &[Small, Large, Fan, Many, Workers],
        How::Raw,
    ),
    peer(
        "bun",
        "Bun (uWebSockets)",
        &[Small, Large, Deflate, Tls, Fan, Many, Handshakes],
        How::Bun,
    ),
    peer(
        "libwebsockets",
        "libwebsockets",
        &[Small, Large, Deflate, Tls, Many, Handshakes],
        How::Program,
    ),
    peer(
        "fastwebsockets",
        "fastwebsockets",
        &[Small, Large, Many, Handshakes, Workers],
        How::Program,
    ),
    peer(
        "tokio-tungstenite",
        "tokio-tungstenite",
        &[Small, Large, Many, Handshakes, Workers],
        How::Program,
    ),
    peer(
        "gorilla",
        "Go gorilla",
        &[Small, Large, Deflate, Tls, Fan, Many, Handshakes, Workers],
        How::Program,
    ),
    peer(
        "ws",
        "Node ws",
        &[Small, Large, Deflate, Tls, Fan, Many, Handshakes],
        How::Node,
    ),
    peer(
        "websockets",
        "Python websockets",
        &[Small, Large, Deflate, Tls, Fan, Many, Handshakes],
        How::Python,
    ),
    peer(
        "websocketd",
        "websocketd with cat",
        &[Small, Large, Handshakes],
        How::Websocketd,
    ),
];

const fn peer(name: &'static str, title: &'static str, can: &'static [Ask], how: How) -> Peer {
    Peer {
        name,
        title,
        can,
        how,
    }
}

impl Peer {
    pub(crate) fn can(&self, asks: &[Ask]) -> bool {
        asks.iter().all(|ask| self.can.contains(ask))
    }

    /// A server without a protocol.
    pub(crate) fn is_raw(&self) -> bool {
        self.how == How::Raw
    }

    /// It compiles its handler, and keeps what it compiled.
    pub(crate) fn compiles(&self) -> bool {
        self.how == How::Wsrun
    }

    /// It takes text alone, and a program of lines answers.
    pub(crate) fn is_of_lines(&self) -> bool {
        self.how == How::Websocketd
    }
}

/// The handlers that wsrun serves.
#[derive(Debug)]
pub(crate) struct Handlers {
    pub(crate) echo: PathBuf,
    /// Sends everything to everybody.
    pub(crate) fan: PathBuf,
    /// Echoes backwards: what the echo is replaced by.
    pub(crate) reverse: PathBuf,
}

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) wsrun: PathBuf,
    pub(crate) native: PathBuf,
    pub(crate) handlers: Handlers,
    /// The folder that `peers/install` filled.
    pub(crate) cache: PathBuf,
    /// PEM files, made for this run.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Places {
    /// Where the sources of the peers lie.
    pub(crate) fn peers() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
    }

    /// Whether a server can be started, and if not, why.
    pub(crate) fn check(&self, peer: &Peer) -> anyhow::Result<()> {
        match peer.how {
            How::Raw => Ok(()),
            How::Wsrun => exists(&self.wsrun, "give its place with --wsrun"),
            How::Native => exists(
                &self.native,
                "build it with cargo build --release --example native_echo",
            ),
            How::Bun | How::Node | How::Python | How::Websocketd | How::Program => {
                let missing = std::fs::read_to_string(self.cache.join("missing").join(peer.name));
                if let Ok(reason) = missing {
                    anyhow::bail!("could not be installed: {}", reason.trim());
                }
                let version = self.cache.join("versions").join(peer.name);
                ensure!(
                    version.exists(),
                    "is not installed: run benches/peers/install"
                );
                Ok(())
            }
        }
    }

    /// Which version it is.
    pub(crate) fn version(&self, peer: &Peer) -> anyhow::Result<String> {
        match peer.how {
            How::Wsrun | How::Native => {
                let output = Command::new(&self.wsrun).arg("--version").output()?;
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            How::Raw => Ok("benches/src/raw.rs".to_owned()),
            How::Bun | How::Node | How::Python | How::Websocketd | How::Program => {
                let version = self.cache.join("versions").join(peer.name);
                Ok(std::fs::read_to_string(version)?.trim().to_owned())
            }
        }
    }

    /// How a server is started for what it is asked, with one thread for its connections unless `workers` tells another number.
    pub(crate) fn command(
        &self,
        peer: &Peer,
        asks: &[Ask],
        workers: Option<usize>,
        port: u16,
    ) -> Command {
        let threads = workers.unwrap_or(1).to_string();
        let fan = asks.contains(&Fan);
        let mut command = match peer.how {
            How::Wsrun => return self.wsrun(asks, workers, port),
            How::Raw => {
                let this = std::env::current_exe();
                let mut command = Command::new(this.unwrap_or_else(|_| "/proc/self/exe".into()));
                command.args(["raw", "--port", &port.to_string(), "--mode"]);
                command.arg(if fan { "fan" } else { "echo" });
                command.args(["--workers", &threads]);
                return command;
            }
            How::Websocketd => {
                let mut command = Command::new("websocketd");
                command.args(["--address=127.0.0.1", &format!("--port={port}")]);
                command.args(["--loglevel=error", "cat"]);
                return command;
            }
            How::Native => Command::new(&self.native),
            How::Bun => self.script(self.cache.join("node_modules/.bin/bun"), "bun/server.js"),
            How::Node => self.script("node", "ws/server.js"),
            How::Python => {
                self.script(self.cache.join("python/bin/python"), "websockets/server.py")
            }
            How::Program => Command::new(self.cache.join("bin").join(peer.name)),
        };
        command
            .env("PORT", port.to_string())
            .env("MODE", if fan { "fan" } else { "echo" })
            .env_remove("TLS_CERT")
            .env_remove("TLS_KEY")
            .env("DEFLATE", if asks.contains(&Deflate) { "1" } else { "0" })
            .env_remove("WORKERS")
            .env("GOMAXPROCS", &threads);
        if workers.is_some() {
            command.env("WORKERS", &threads);
        }
        if asks.contains(&Tls) {
            command.env("TLS_CERT", &self.certificate);
            command.env("TLS_KEY", &self.key);
        }
        command
    }

    fn script(&self, interpreter: impl AsRef<OsStr>, script: &str) -> Command {
        let mut command = Command::new(interpreter);
        command
            .arg(Self::peers().join(script))
            .env("NODE_PATH", self.cache.join("node_modules"));
        command
    }

    fn wsrun(&self, asks: &[Ask], workers: Option<usize>, port: u16) -> Command {
        let mut command = Command::new(&self.wsrun);
        command
            .arg(if asks.contains(&Fan) {
                &self.handlers.fan
            } else {
                &self.handlers.echo
            })
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--max-connections", "20000", "--log-level", "warn"]);
        if asks.contains(&Many) {
            // Connections stay silent while thousands more are opened. They keep their timers.
            command.args(["--ping-interval", "10m", "--idle-timeout", "15m"]);
        }
        if asks.contains(&Instances) {
            command.args(["--scope", "connection", "--max-instances", "20000"]);
            // The memories of thousands of instances together, of which each touches little.
            command.args(["--max-handler-memory", "64GiB"]);
        }
        if let Some(workers) = workers {
            // One worker has it as well, so that only their number differs.
            command.args(["--workers", &workers.to_string(), "--scope", "worker"]);
        }
        if asks.contains(&Tls) {
            command.arg("--tls-cert").arg(&self.certificate);
            command.arg("--tls-key").arg(&self.key);
        }
        if rustix::process::geteuid().is_root() {
            command.arg("--allow-root");
        }
        command
    }
}

fn exists(path: &Path, otherwise: &str) -> anyhow::Result<()> {
    let found = path.exists();
    ensure!(found, "{} is not there: {otherwise}", path.display());
    Ok(())
}

/// Builds the handlers that wsrun serves.
pub(crate) fn build_handlers(cache: &Path) -> anyhow::Result<Handlers> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    // cargo is started in other folders.
    let target = std::path::absolute(cache)?.join("handlers");
    for (folder, package) in [("../examples", "echo"), ("fan", "fan"), ("fan", "reverse")] {
        let mut cargo = Command::new("cargo");
        cargo
            .current_dir(crate_folder.join(folder))
            .args([
                "build",
                "--quiet",
                "--release",
                "--locked",
                "--target",
                TARGET,
                "-p",
                package,
            ])
            .arg("--target-dir")
            .arg(&target);
        // What an outer cargo was told about compilers and flags does not concern the handlers.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("RUSTC")
                || name.starts_with("RUSTFLAGS")
                || name == "CARGO_TARGET_DIR"
            {
                cargo.env_remove(&*name);
            }
        }
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(
            status.success(),
            "the handler {package} cannot be built; is the target there? (rustup target add {TARGET})"
        );
    }
    let built = target.join(TARGET).join("release");
    Ok(Handlers {
        echo: built.join("echo.wasm"),
        fan: built.join("fan.wasm"),
        reverse: built.join("reverse.wasm"),
    })
}

const TARGET: &str = "wasm32-wasip2";
