//! The addresses that may connect.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

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
