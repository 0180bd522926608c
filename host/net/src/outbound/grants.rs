//! The targets that handlers may connect to: the patterns of `outbound.grants`.
//!
//! There are two checks, and both are needed. The name is checked before it is looked up, since a
//! lookup already gives information to somebody. The address is checked when it is connected to,
//! since a name can lead anywhere, and elsewhere the next time.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;
use wsrun_contract::Setting;

/// The targets that handlers may connect to; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

/// One pattern, `HOST[:PORT]`.
///
/// `HOST` is a name (`example.com`), the names below one (`*.example.com`), every public name and
/// address (`*`), an address (`10.0.0.5`, `[::1]`) or a range of addresses (`10.0.0.0/8`,
/// `[fd00::/8]`). `PORT` is a number; `*` or no port means any. An address that is not public must
/// be named by an address or a range, even where a name leads to it. `localhost` names the loopback
/// addresses for that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    host: Pattern,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    Name(String),
    Below(String),
    Net(IpNet),
}

/// The error of a pattern that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{pattern}`: {problem}; it must be HOST[:PORT], where HOST is a name (example.com), the names below one (*.example.com), anything \
     public (*), an address (10.0.0.5, [::1]) or a range (10.0.0.0/8, [fd00::/8]), and PORT a number or *"
)]
pub struct GrantError {
    pattern: String,
    problem: String,
}

/// The error of a target that is not granted. The text says which option would grant it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Denied(String);

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

impl Extend<Grant> for Grants {
    fn extend<I: IntoIterator<Item = Grant>>(&mut self, grants: I) {
        self.0.extend(grants);
    }
}

impl Grants {
    /// Checks that a host is granted, before it is looked up. For an address this is the whole
    /// check.
    pub fn check_name(&self, host: &str, port: u16) -> Result<(), Denied> {
        let granted = match host.parse::<IpAddr>() {
            Ok(ip) if special(ip).is_none() => self.grants_public(ip, port),
            Ok(ip) => return self.check_inside(None, ip, port),
            Err(_) => self.grants_name(host, port),
        };
        if granted {
            return Ok(());
        }
        let place = place(host, port);
        Err(Denied(format!(
            "{place} is not granted: {grants} {place} would allow it",
            grants = Setting("outbound.grants")
        )))
    }

    /// Checks that an address which a host led to is granted.
    pub fn check_address(&self, host: &str, ip: IpAddr, port: u16) -> Result<(), Denied> {
        self.check_name(host, port)?;
        let name = host.parse::<IpAddr>().is_err().then_some(host);
        self.check_inside(name, ip, port)
    }

    /// Checks that an address, and the addresses that it carries inside, are public or named.
    fn check_inside(&self, name: Option<&str>, ip: IpAddr, port: u16) -> Result<(), Denied> {
        let carried = carried(ip);
        // ::ffff:10.0.0.5 goes to 10.0.0.5, so a grant of the latter grants the former.
        let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
        let named_inside = mapped && carried.iter().all(|ip| self.names(*ip, port));
        let is_localhost = name.is_some_and(|name| normal(name) == LOCALHOST);
        for judged in std::iter::once(ip).chain(carried) {
            let Some(kind) = special(judged) else {
                continue;
            };
            let by_localhost = is_localhost && judged == ip && ip.is_loopback();
            if self.names(judged, port)
                || (named_inside && judged == ip)
                || (by_localhost && self.grants_exactly(LOCALHOST, port))
            {
                continue;
            }
            let how = match (name, judged == ip) {
                (None, true) => format!("{ip} is {kind}"),
                (None, false) => format!("{ip} carries {judged}, {kind}"),
                (Some(name), true) => format!("{name} leads to {ip}, {kind}"),
                (Some(name), false) => {
                    format!("{name} leads to {ip}, which carries {judged}, {kind}")
                }
            };
            let flag = if by_localhost {
                place(LOCALHOST, port)
            } else {
                SocketAddr::new(judged.to_canonical(), port).to_string()
            };
            return Err(Denied(format!(
                "{how}: {grants} {flag} would allow it",
                grants = Setting("outbound.grants")
            )));
        }
        Ok(())
    }

    fn at(&self, port: u16) -> impl Iterator<Item = &Pattern> {
        let at = move |grant: &&Grant| grant.port.is_none_or(|granted| granted == port);
        self.0.iter().filter(at).map(|grant| &grant.host)
    }

    fn grants_name(&self, name: &str, port: u16) -> bool {
        let name = normal(name);
        self.at(port).any(|pattern| match pattern {
            Pattern::Any => true,
            Pattern::Name(granted) => *granted == name,
            Pattern::Below(apex) => name
                .strip_suffix(apex)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|below| !below.is_empty()),
            Pattern::Net(_) => false,
        })
    }

    fn grants_exactly(&self, name: &str, port: u16) -> bool {
        self.at(port)
            .any(|pattern| matches!(pattern, Pattern::Name(granted) if granted == name))
    }

    fn grants_public(&self, ip: IpAddr, port: u16) -> bool {
        self.names(ip, port) || self.at(port).any(|pattern| *pattern == Pattern::Any)
    }

    /// Returns true when an address or a range names this address.
    fn names(&self, ip: IpAddr, port: u16) -> bool {
        self.at(port)
            .any(|pattern| matches!(pattern, Pattern::Net(net) if net.contains(&ip)))
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        parse(text).map_err(|problem| GrantError {
            pattern: text.to_owned(),
            problem,
        })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Pattern::Any => f.write_str("*")?,
            Pattern::Name(name) => f.write_str(name)?,
            Pattern::Below(apex) => write!(f, "*.{apex}")?,
            Pattern::Net(IpNet::V4(net)) if net.prefix_len() == 32 => write!(f, "{}", net.addr())?,
            Pattern::Net(IpNet::V6(net)) if net.prefix_len() == 128 => {
                write!(f, "[{}]", net.addr())?;
            }
            Pattern::Net(IpNet::V4(net)) => write!(f, "{net}")?,
            Pattern::Net(IpNet::V6(net)) => write!(f, "[{net}]")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn parse(text: &str) -> Result<Grant, String> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("`]` is missing")?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err("only :PORT may follow `]`".to_owned()),
        };
        let net = net(host)?;
        if let IpNet::V4(_) = net {
            return Err("`[` and `]` are for IPv6".to_owned());
        }
        (Pattern::Net(canonical(net)), port)
    } else if text.matches(':').count() > 1 {
        (Pattern::Net(canonical(net(text)?)), None)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        (pattern(host)?, port)
    };
    let port = match port {
        None | Some("*") => None,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => return Err(format!("`{port}` is not a port")),
            Ok(port) => Some(port),
        },
    };
    Ok(Grant { host, port })
}

fn pattern(host: &str) -> Result<Pattern, String> {
    if host == "*" {
        return Ok(Pattern::Any);
    }
    if host.contains('/') {
        return Ok(Pattern::Net(net(host)?));
    }
    let (name, below) = match host.strip_prefix("*.") {
        Some(apex) => (apex, true),
        None => (host, false),
    };
    if name.contains('*') {
        return Err("`*` stands alone, or before the first dot".to_owned());
    }
    // The same parser reads the hosts of URLs, so that international names and unusual forms of
    // numbers match.
    match url::Host::parse(normal(name).as_str()) {
        Ok(url::Host::Domain(name)) if below => Ok(Pattern::Below(name)),
        Ok(url::Host::Domain(name)) => Ok(Pattern::Name(name)),
        Ok(url::Host::Ipv4(ip)) if !below => Ok(Pattern::Net(IpAddr::V4(ip).into())),
        Ok(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => {
            Err("no name is below an address".to_owned())
        }
        Err(_) => Err(format!("`{name}` is neither a name nor an address")),
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ip.into());
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| format!("`{text}` is neither an address nor a range"))?;
    if net.addr() != net.network() {
        return Err(format!(
            "`{text}` has bits behind its prefix: say {} or {}",
            net.trunc(),
            IpNet::from(net.addr())
        ));
    }
    Ok(net)
}

/// Turns a range of IPv4 addresses in IPv6 form into a range of IPv4 addresses.
fn canonical(net: IpNet) -> IpNet {
    let inside = match net {
        IpNet::V6(net) if net.prefix_len() >= 96 => net
            .addr()
            .to_ipv4_mapped()
            .and_then(|ip| Ipv4Net::new(ip, net.prefix_len() - 96).ok()),
        IpNet::V4(_) | IpNet::V6(_) => None,
    };
    inside.map_or(net, IpNet::V4)
}

/// Returns a name in the form in which names are compared: lower case (RFC 4343), without the
/// root's dot.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_lowercase()
}

fn place(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{}:{port}", normal(host)),
    }
}

/// Returns the kind of an address that is not public. None for an address at which anybody on the
/// Internet could be reached.
fn special(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => V4
            .iter()
            .find(|(net, _)| within_v4(ip, net))
            .map(|row| row.1),
        IpAddr::V6(ip) => {
            let row = V6.iter().find(|(net, _)| within_v6(ip, net));
            // Only 2000::/3 is assigned for global unicast addresses (RFC 4291, 2.4, and the
            // registry of IANA).
            row.map(|row| row.1)
                .or_else(|| (ip.segments()[0] & 0xe000 != 0x2000).then_some("a reserved address"))
        }
    }
}

/// Returns the IPv4 addresses that an IPv6 address carries: the addresses that a gateway would
/// forward to.
fn carried(ip: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(ip) = ip else {
        return Vec::new();
    };
    let octets = ip.octets();
    let v4 = |at: [usize; 4]| IpAddr::from(at.map(|position| octets[position]));
    let last = v4([12, 13, 14, 15]);
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // IPv4-compatible, IPv4-mapped, IPv4-translated (SIIT), NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => vec![last],
        // NAT64 of a network (RFC 8215). Its prefix is a /96 with the address last, or a /48 with
        // the address around the bits that stay 0.
        [0x64, 0xff9b, 1, _, _, _, 0, 0] => vec![v4([6, 7, 9, 10])],
        [0x64, 0xff9b, 1, ..] => vec![last],
        // 6to4.
        [0x2002, ..] => vec![v4([2, 3, 4, 5])],
        // Teredo: the server, and the client, inverted.
        [0x2001, 0, ..] => {
            let client = [12, 13, 14, 15].map(|position: usize| !octets[position]);
            vec![v4([4, 5, 6, 7]), IpAddr::from(client)]
        }
        // ISATAP, below any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => vec![last],
        _ => Vec::new(),
    }
}

fn within_v4(ip: Ipv4Addr, (net, prefix): &([u8; 4], u32)) -> bool {
    (u32::from(ip) ^ u32::from_be_bytes(*net)) >> (32 - prefix) == 0
}

fn within_v6(ip: Ipv6Addr, (net, prefix): &([u16; 8], u32)) -> bool {
    (u128::from(ip) ^ u128::from(Ipv6Addr::from(*net))) >> (128 - prefix) == 0
}

const LOCALHOST: &str = "localhost";

/// IPv4 addresses that are not globally reachable unicast addresses: the registry of IANA (RFC 6890
/// and later), multicast, and an address of a cloud that leads to the machine's own services.
const V4: [(([u8; 4], u32), &str); 17] = [
    (([0, 0, 0, 0], 8), "an address of this host"),
    (([10, 0, 0, 0], 8), "a private address"),
    (([100, 64, 0, 0], 10), "an address behind a carrier's NAT"),
    (([127, 0, 0, 0], 8), "a loopback address"),
    (
        ([168, 63, 129, 16], 32),
        "an address of a cloud's own services",
    ),
    (([169, 254, 0, 0], 16), "a link-local address"),
    (([172, 16, 0, 0], 12), "a private address"),
    (([192, 0, 0, 0], 24), "a reserved address"),
    (([192, 0, 2, 0], 24), "an address of documentation"),
    (([192, 88, 99, 0], 24), "an address of 6to4 relays"),
    (([192, 168, 0, 0], 16), "a private address"),
    (([198, 18, 0, 0], 15), "an address of benchmarks"),
    (([198, 51, 100, 0], 24), "an address of documentation"),
    (([203, 0, 113, 0], 24), "an address of documentation"),
    (([224, 0, 0, 0], 4), "a multicast address"),
    (([255, 255, 255, 255], 32), "the broadcast address"),
    (([240, 0, 0, 0], 4), "a reserved address"),
];

/// IPv6 addresses that are not globally reachable unicast addresses, inside and outside of
/// 2000::/3.
const V6: [(([u16; 8], u32), &str); 18] = [
    (([0, 0, 0, 0, 0, 0, 0, 0], 128), "an address of this host"),
    (([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (([0, 0, 0, 0, 0, 0, 0, 0], 96), "an IPv4-compatible address"),
    (
        ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
        "an IPv4-mapped address",
    ),
    (
        ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        "an IPv4-translated address",
    ),
    (([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "a NAT64 address"),
    (([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "a NAT64 address"),
    (([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard address"),
    (([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo address"),
    (([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "a reserved address"),
    (
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
        "an address of documentation",
    ),
    (([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 address"),
    (
        ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
        "an address of documentation",
    ),
    (
        ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
        "a segment routing address",
    ),
    (([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(patterns: &[&str]) -> Grants {
        let parse = |pattern: &&str| pattern.parse().unwrap_or_else(|error| panic!("{error}"));
        patterns.iter().map(parse).collect::<Grants>()
    }

    fn is_granted(patterns: &[&str], host: &str, ip: &str, port: u16) -> bool {
        let grants = grants(patterns);
        let granted = grants
            .check_address(host, ip.parse().unwrap(), port)
            .is_ok();
        if granted {
            assert_eq!(grants.check_name(host, port), Ok(()));
        }
        granted
    }

    const PUBLIC: &str = "93.184.216.34";

    #[test]
    fn nothing_is_granted_by_default() {
        for host in ["example.com", "localhost", PUBLIC, "127.0.0.1", "::1"] {
            assert!(Grants::default().check_name(host, 80).is_err(), "{host}");
        }
    }

    #[test]
    fn names_are_compared_whole_and_without_case() {
        for (pattern, host, granted) in [
            ("example.com", "example.com", true),
            ("Example.COM.", "example.com", true),
            ("example.com", "EXAMPLE.com.", true),
            ("example.com", "www.example.com", false),
            ("example.com", "example.com.evil", false),
            ("example.com", "notexample.com", false),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "a.b.example.com.", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "notexample.com", false),
            ("*.example.com", "www.example.com.evil", false),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("*.bücher.example", "a.xn--bcher-kva.example", true),
            ("*", "anything.at.all", true),
            ("0.0.0.0/0", "example.com", false),
            ("93.184.216.34", "example.com", false),
        ] {
            assert_eq!(
                is_granted(&[pattern], host, PUBLIC, 80),
                granted,
                "{pattern} {host}"
            );
        }
    }

    #[test]
    fn ports_are_compared() {
        for (pattern, port, granted) in [
            ("example.com:443", 443, true),
            ("example.com:443", 80, false),
            ("example.com:*", 80, true),
            ("*:443", 443, true),
            ("*:443", 8443, false),
        ] {
            assert_eq!(
                is_granted(&[pattern], "example.com", PUBLIC, port),
                granted,
                "{pattern} {port}"
            );
        }
        for (pattern, granted) in [
            ("[fd00::/8]:443", true),
            ("[fd00::/8]:80", false),
            ("fd00::/8", true),
        ] {
            assert_eq!(
                is_granted(&[pattern], "fd00::5", "fd00::5", 443),
                granted,
                "{pattern}"
            );
        }
        // Name and address must each be granted for the port.
        assert!(!is_granted(
            &["db.example:1", "10.0.0.5:2"],
            "db.example",
            "10.0.0.5",
            1
        ));
    }

    /// Addresses that a handler could reach if they were taken for public.
    const NOT_PUBLIC: [&str; 69] = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.0",
        "10.0.0.5",
        "10.255.255.255",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.1.2.3",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "233.252.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::7f00:1",
        "::a00:5",
        "::5db8:d822",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.5",
        "::ffff:169.254.169.254",
        "::ffff:93.184.216.34",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::5db8:d822",
        "64:ff9b:1::1",
        "64:ff9b:1:a00:0:500::",
        "100::1",
        "200::1",
        "2001::1",
        "2001:0:a00:5::1",
        "2001:2::1",
        "2001:10::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:5db8:d822::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ];

    #[test]
    fn addresses_that_are_not_public_must_be_named() {
        for ip in NOT_PUBLIC {
            let bare = ip.parse::<IpAddr>().unwrap();
            assert!(special(bare).is_some(), "{ip}");
            for patterns in [
                &["*"][..],
                &["*", "localhost", "*.example.com", "example.com"],
            ] {
                assert!(!is_granted(patterns, ip, ip, 80), "{ip} by {patterns:?}");
                assert!(
                    !is_granted(patterns, "example.com", ip, 80),
                    "a name for {ip} by {patterns:?}"
                );
            }
            // An address that is named, with the addresses that it carries, is granted: as itself,
            // and for a name that is granted.
            let shown = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            };
            let mut named = vec![shown(bare)];
            named.extend(carried(bare).into_iter().map(shown));
            named.push("example.com".to_owned());
            let named: Vec<_> = named.iter().map(String::as_str).collect();
            assert!(is_granted(&named, ip, ip, 80), "{ip} by {named:?}");
            assert!(
                is_granted(&named, "example.com", ip, 80),
                "a name for {ip} by {named:?}"
            );
        }
    }

    #[test]
    fn public_addresses_are_granted_by_a_star_or_a_name() {
        for ip in [
            PUBLIC,
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert!(is_granted(&["*"], ip, ip, 80), "{ip}");
            assert!(is_granted(&["example.com"], "example.com", ip, 80), "{ip}");
            assert!(
                !is_granted(&["example.com"], ip, ip, 80),
                "{ip} without its name"
            );
        }
    }

    #[test]
    fn addresses_inside_of_others_must_be_named_too() {
        let nat64 = "64:ff9b::a00:5";
        for (patterns, ip, granted) in [
            (&["[64:ff9b::/96]"][..], nat64, false),
            (&["10.0.0.0/8"], nat64, false),
            (&["[64:ff9b::/96]", "10.0.0.0/8"], nat64, true),
            (&["[64:ff9b::/96]"], "64:ff9b::5db8:d822", true),
            (&["::/0"], "::ffff:10.0.0.5", false),
            (&["::/0"], "::ffff:93.184.216.34", true),
            (&["10.0.0.0/8"], "::ffff:10.0.0.5", true),
            (&["[::ffff:10.0.0.0/104]"], "10.0.0.5", true),
            (&["[::ffff:10.0.0.5]"], "10.0.0.5", true),
            (&["[2001::/32]"], "2001:0:5db8:d822:0:0:f5ff:fffa", false),
            (
                &["[2001::/32]", "10.0.0.5"],
                "2001:0:5db8:d822:0:0:f5ff:fffa",
                true,
            ),
            (&["*"], "2606:4700::5efe:a00:5", false),
            (&["*"], "2606:4700::200:5efe:a00:5", false),
            (&["*"], "2606:4700::5efe:5db8:d822", true),
        ] {
            assert_eq!(
                is_granted(patterns, ip, ip, 80),
                granted,
                "{ip} by {patterns:?}"
            );
        }
    }

    #[test]
    fn localhost_names_the_loopback_for_that_name_alone() {
        for (patterns, host, ip, granted) in [
            (&["localhost"][..], "localhost", "127.0.0.1", true),
            (&["localhost:80"], "LOCALHOST.", "::1", true),
            (&["localhost:81"], "localhost", "::1", false),
            (&["localhost"], "127.0.0.1", "127.0.0.1", false),
            (&["localhost"], "localhost", "10.0.0.5", false),
            (
                &["localhost", "example.com"],
                "example.com",
                "127.0.0.1",
                false,
            ),
            (&["*.localhost", "*"], "a.localhost", "127.0.0.1", false),
            (&["127.0.0.0/8"], "localhost", "127.0.0.1", false),
            (
                &["127.0.0.0/8", "localhost"],
                "localhost",
                "127.0.0.1",
                true,
            ),
        ] {
            assert_eq!(
                is_granted(patterns, host, ip, 80),
                granted,
                "{host} {ip} by {patterns:?}"
            );
        }
    }

    #[test]
    fn denials_tell_what_would_allow_it() {
        let grants = grants(&["*", "[64:ff9b::/96]"]);
        for (host, ip, port, text) in [
            (
                "10.0.0.5",
                "10.0.0.5",
                80,
                "10.0.0.5 is a private address: outbound.grants 10.0.0.5:80 would allow it",
            ),
            (
                "::1",
                "::1",
                443,
                "::1 is a loopback address: outbound.grants [::1]:443 would allow it",
            ),
            (
                "db.example",
                "10.0.0.5",
                80,
                "db.example leads to 10.0.0.5, a private address: outbound.grants 10.0.0.5:80 would allow it",
            ),
            (
                "localhost",
                "127.0.0.1",
                80,
                "localhost leads to 127.0.0.1, a loopback address: outbound.grants localhost:80 would allow it",
            ),
            (
                "64:ff9b::a00:5",
                "64:ff9b::a00:5",
                80,
                "64:ff9b::a00:5 carries 10.0.0.5, a private address: outbound.grants 10.0.0.5:80 would allow it",
            ),
            (
                "::ffff:10.0.0.5",
                "::ffff:10.0.0.5",
                80,
                "::ffff:10.0.0.5 is an IPv4-mapped address: outbound.grants 10.0.0.5:80 would allow it",
            ),
        ] {
            let denied = grants.check_address(host, ip.parse().unwrap(), port);
            assert_eq!(denied.unwrap_err().to_string(), text);
        }
        let none = Grants::default()
            .check_name("Example.com.", 443)
            .unwrap_err();
        let text = "example.com:443 is not granted: outbound.grants example.com:443 would allow it";
        assert_eq!(none.to_string(), text);
    }

    #[test]
    fn patterns_are_shown_as_they_can_be_given() {
        for (pattern, shown) in [
            ("*", "*"),
            ("*:*", "*"),
            ("Example.com:443", "example.com:443"),
            ("*.example.com", "*.example.com"),
            ("10.0.0.5:80", "10.0.0.5:80"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("::1", "[::1]"),
            ("[::1]:80", "[::1]:80"),
            ("fd00::/8", "[fd00::/8]"),
            ("[::ffff:10.0.0.0/104]:1", "10.0.0.0/8:1"),
            ("0x7f.1", "127.0.0.1"),
            ("2130706433:80", "127.0.0.1:80"),
        ] {
            let grant: Grant = pattern.parse().unwrap();
            assert_eq!(grant.to_string(), shown);
            assert_eq!(shown.parse(), Ok(grant));
        }
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for (pattern, problem) in [
            ("", "neither a name nor an address"),
            (":80", "neither a name nor an address"),
            ("a b", "neither a name nor an address"),
            ("ws://example.com", "is not a port"),
            ("example.com/path", "neither an address nor a range"),
            ("user@example.com", "neither a name nor an address"),
            ("example.com:", "is not a port"),
            ("example.com:0", "is not a port"),
            ("example.com:65536", "is not a port"),
            ("example.com:http", "is not a port"),
            ("www.*.com", "stands alone"),
            ("*.*.com", "stands alone"),
            ("*com", "stands alone"),
            ("*.10.0.0.1", "no name is below an address"),
            ("10.0.0.0/33", "neither an address nor a range"),
            ("10.0.0.5/8", "say 10.0.0.0/8 or 10.0.0.5/32"),
            ("[::1", "`]` is missing"),
            ("[::1]80", "only :PORT may follow"),
            ("[10.0.0.1]", "are for IPv6"),
            ("[example.com]:80", "neither an address nor a range"),
            ("1:2:3", "neither an address nor a range"),
            ("fe80::1%eth0", "neither an address nor a range"),
        ] {
            let error = pattern.parse::<Grant>().unwrap_err().to_string();
            assert!(error.contains(problem), "{pattern}: {error}");
            assert!(error.contains("HOST[:PORT]"), "{error}");
        }
    }
}
