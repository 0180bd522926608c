//! The client role up to the opening handshake: grants, transport, TLS, handshake, and the rules
//! for trying again.
//!
//! ```text
//! URL ─▶ target ─▶ grants (name) ─▶ lookup ─▶ grants (address)
//!     ─▶ TCP ─▶ tls ─▶ handshake (core) ─▶ Opened
//! ```
//!
//! Nothing here follows a redirection, and every step has a time limit.

mod backoff;
pub mod grants;
mod open;
mod target;
pub mod tls;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wsrun_proto::http::connect::{
    Connect, ConnectError as CoreError, ConnectOptions as CoreOptions, Version,
};
use wsrun_proto::limits::Limits;
use wsrun_proto::ws::deflate::DeflateConfig;

use self::grants::{Denied, Grants};
use self::target::{Place, Target};
use self::tls::{ClientTls, Trust};
use crate::tls::TlsError;
use crate::tls::TlsFiles;
use wsrun_contract::{ConnectError, ConnectOptions, OutboundRules, Setting};

pub use self::backoff::{delay, retries_failure};
pub use self::open::{Failed, Opened, open};

/// The configuration of outbound connections.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// Hosts and addresses that handlers may connect to; none by default.
    pub grants: Grants,
    /// The time limit of each of three steps: lookup and transport, TLS, and the opening handshake.
    /// 10 s by default. A handler may ask for less.
    pub connect_timeout: Duration,
    /// The most outbound connections of a handler on one worker, 1,000 by default. They include
    /// connections that wait for their next attempt, and those whose transport is not gone yet. One
    /// more is refused with `limit`.
    pub connections_max: usize,
    /// A PEM file of certificates that are trusted in addition to the roots of the platform.
    pub extra_roots: Option<PathBuf>,
    /// Client certificates, by the names that handlers use.
    pub identities: BTreeMap<String, TlsFiles>,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            grants: Grants::default(),
            connect_timeout: Duration::from_secs(10),
            connections_max: 1_000,
            extra_roots: None,
            identities: BTreeMap::new(),
        }
    }
}

/// The settings of every outbound connection of this process.
pub struct Outbound {
    access: Access,
    connect_timeout: Duration,
    limits: Limits,
    deflate: DeflateConfig,
    tls: Arc<ClientTls>,
    resolve: Resolve,
    lookups: Arc<Semaphore>,
}

/// The targets that are allowed.
enum Access {
    /// The access of handlers: targets that are granted.
    Granted(Grants),
    /// The access of the operator's own client: every target, Unix sockets too (`ws+unix:PATH`).
    Unrestricted,
}

impl Access {
    fn check_name(&self, host: &str, port: u16) -> Result<(), Denied> {
        match self {
            Self::Granted(grants) => grants.check_name(host, port),
            Self::Unrestricted => Ok(()),
        }
    }

    fn check_address(&self, host: &str, ip: IpAddr, port: u16) -> Result<(), Denied> {
        match self {
            Self::Granted(grants) => grants.check_address(host, ip, port),
            Self::Unrestricted => Ok(()),
        }
    }
}

/// The most lookups at a time. Each occupies a thread until the system's resolver gives up, which
/// may be long after the attempt was given up. Without a limit, attempts with a short time limit
/// would accumulate lookups, and no thread would be left to serve files.
const LOOKUPS_MAX: usize = 64;

/// A future of the addresses of a name.
type Lookup = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
/// A resolver. It holds the permit until the lookup is over, even if nobody waits for the result
/// any more.
type Resolve = fn(String, u16, OwnedSemaphorePermit) -> Lookup;

fn resolve(name: String, port: u16, permit: OwnedSemaphorePermit) -> Lookup {
    Box::pin(async move {
        let looking_up = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            drop(permit);
            found
        });
        Ok(looking_up.await??.collect())
    })
}

/// An attempt whose options are valid and whose target is granted.
struct Prepared {
    target: Target,
    connect: Connect,
    /// The time limit of each phase.
    timeout: Duration,
}

impl Outbound {
    /// Returns the settings for handlers. `limits` and `deflate` are the server's.
    pub fn new(
        config: &OutboundConfig,
        limits: Limits,
        deflate: Option<DeflateConfig>,
    ) -> Result<Self, TlsError> {
        let roots = match &config.extra_roots {
            Some(file) => tls::roots(file)?,
            None => Vec::new(),
        };
        Ok(Self {
            access: Access::Granted(config.grants.clone()),
            connect_timeout: config.connect_timeout,
            limits,
            deflate: deflate.unwrap_or_default(),
            tls: Arc::new(ClientTls::new(Trust::Platform(roots), &config.identities)?),
            resolve,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        })
    }

    /// Returns these settings for the program that runs the host, which may connect to every
    /// target.
    pub fn trusted(&self) -> Self {
        Self {
            access: Access::Unrestricted,
            connect_timeout: self.connect_timeout,
            limits: self.limits,
            deflate: self.deflate,
            tls: Arc::clone(&self.tls),
            resolve: self.resolve,
            lookups: Arc::clone(&self.lookups),
        }
    }

    /// Returns the settings for the operator's own client, which may connect to every target.
    pub fn unrestricted(trust: Trust, connect_timeout: Duration) -> Result<Self, TlsError> {
        Ok(Self {
            access: Access::Unrestricted,
            connect_timeout,
            limits: Limits::default(),
            deflate: DeflateConfig::default(),
            tls: Arc::new(ClientTls::new(trust, &BTreeMap::new())?),
            resolve,
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        })
    }

    /// Checks that an attempt may be made, as far as that can be known without one. It does not
    /// check the size of the session data.
    pub fn check(&self, options: &ConnectOptions) -> Result<(), ConnectError> {
        self.prepare(options, [0; 16]).map(drop)
    }

    fn prepare(&self, options: &ConnectOptions, key: [u8; 16]) -> Result<Prepared, ConnectError> {
        let invalid = |error: &dyn std::fmt::Display| ConnectError::Invalid(error.to_string());
        let target = self.target(&options.url)?;
        if let Place::Tcp(host, port) = &target.place {
            let granted = self.access.check_name(host, *port);
            granted.map_err(|denied| ConnectError::Denied(denied.to_string()))?;
        }
        if let Some(name) = options.identity.as_deref()
            && !self.tls.has_identity(name)
        {
            return Err(ConnectError::Denied(format!(
                "there is no client certificate {name:?}: {} {name}=CERT,KEY would give it",
                Setting("outbound.identities")
            )));
        }
        let version = options.version.map(Version::try_from).transpose();
        let version = version.map_err(|_| ConnectError::UnsupportedVersion)?;
        if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(invalid(&"the timeout is 0: it must be at least 1 ms"));
        }
        let connect = CoreOptions {
            host: options.host.clone().unwrap_or_else(|| target.host.clone()),
            path: target.path_and_query(),
            origin: options.origin.clone(),
            protocols: options.protocols.clone(),
            headers: options.headers.clone(),
            deflate: options.compression.then_some(self.deflate),
            version: version.unwrap_or_default(),
            limits: self.limits,
        };
        let timeout = options.timeout.unwrap_or(self.connect_timeout);
        Ok(Prepared {
            target,
            connect: Connect::new(connect, key).map_err(|error| invalid(&explain(&error)))?,
            timeout: timeout.min(self.connect_timeout),
        })
    }

    fn target(&self, url: &str) -> Result<Target, ConnectError> {
        if let (Access::Unrestricted, Some(path)) = (&self.access, url.strip_prefix("ws+unix:")) {
            return Ok(Target::unix(path.into()));
        }
        Target::parse(url).map_err(|error| ConnectError::Invalid(error.to_string()))
    }
}

/// Returns the reason why the options do not give a valid request.
fn explain(error: &CoreError) -> String {
    let CoreError::InvalidOption(option) = error else {
        return error.to_string();
    };
    let rule = match *option {
        "host" => "it is a name or an address, and a port",
        "origin" => "it is visible ASCII, as in https://example.com",
        "subprotocol" => "subprotocols are tokens, no two the same",
        "header" => {
            "names are tokens, values have no line ends or other control characters, and Host, Origin, Sec-WebSocket-… and others of the \
             handshake are no further headers"
        }
        _ => "it has characters that a request cannot have",
    };
    format!("{error}: {rule}")
}

impl OutboundRules for Outbound {
    fn check(&self, options: &ConnectOptions) -> Result<(), ConnectError> {
        Self::check(self, options)
    }
}
