//! Counters that all workers share and check before a connection is served: the connections of each
//! handler and of each address.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the open connections of each handler and of each network.
#[derive(Debug, Default)]
pub struct Admission {
    /// One counter for each handler, in the order of the configuration.
    handlers: Vec<Arc<AtomicUsize>>,
    /// One entry for each network that has a connection, and no others. `--max-connections` bounds
    /// the number of entries.
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Admission {
    #[inline]
    pub fn new(handlers: usize) -> Self {
        Self {
            handlers: (0..handlers).map(|_| Arc::default()).collect(),
            addresses: Arc::default(),
        }
    }

    /// Counts one more connection of a handler. Returns none when the handler has `max` connections
    /// already, or when there is no handler at this position.
    pub fn take_handler(&self, position: usize, max: usize) -> Option<HandlerSlot> {
        let used = Arc::clone(self.handlers.get(position)?);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            (used < max).then_some(used + 1)
        })
        .ok()?;
        Some(HandlerSlot(used))
    }

    /// Counts one more connection of an address. Returns none when its network has `max`
    /// connections already.
    pub fn take_address(&self, peer: IpAddr, max: usize) -> Option<AddressSlot> {
        let network = network_of(peer);
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let used = addresses.get(&network).copied().unwrap_or_default();
        if used >= max {
            return None;
        }
        addresses.insert(network, used + 1);
        Some(AddressSlot {
            addresses: Arc::clone(&self.addresses),
            network,
        })
    }
}

/// One connection counted against `--max-handler-connections`. Dropping it subtracts the connection
/// again.
#[derive(Debug)]
pub struct HandlerSlot(Arc<AtomicUsize>);

impl Drop for HandlerSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection counted against `--max-connections-per-address`. Dropping it subtracts the
/// connection again.
#[derive(Debug)]
pub struct AddressSlot {
    addresses: Arc<Mutex<HashMap<IpAddr, usize>>>,
    network: IpAddr,
}

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = addresses.get_mut(&self.network) {
            *used -= 1;
            if *used == 0 {
                addresses.remove(&self.network);
            }
        }
    }
}

/// The permits that a connection holds while it lives.
pub enum Held {
    /// One of `--max-connections`.
    Inbound(Slot),
    /// One of `--max-outbound`.
    Outbound(Outbound),
}

/// One of the outbound connections of a handler on one worker. Dropping it subtracts the connection
/// again.
pub struct Outbound(Rc<Cell<usize>>);

impl Outbound {
    #[inline]
    pub fn count(counter: &Rc<Cell<usize>>) -> Self {
        counter.set(counter.get() + 1);
        Self(Rc::clone(counter))
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One of `--max-connections`, and what else an inbound connection counts against. Dropping it
/// subtracts the connection again.
pub struct Slot {
    slots: Arc<AtomicUsize>,
    address: Option<AddressSlot>,
    handler: Option<HandlerSlot>,
}

impl Slot {
    /// Counts one more connection of the server. Returns none when it has `max` connections already.
    pub fn take(slots: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        slots
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used < max).then_some(used + 1)
            })
            .ok()?;
        Some(Self {
            slots: Arc::clone(slots),
            address: None,
            handler: None,
        })
    }

    /// Counts the connection against its address as well.
    #[inline]
    pub fn hold_address(&mut self, address: Option<AddressSlot>) {
        self.address = address;
    }

    /// Counts the connection against its handler as well.
    #[inline]
    pub fn hold_handler(&mut self, handler: Option<HandlerSlot>) {
        self.handler = handler;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the address that connections are counted for: an IPv4 address itself, and the /64 prefix
/// of an IPv6 address, since the holder of one address of a /64 usually has all of them.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// A socket that was accepted and is not yet a connection.
#[derive(Debug)]
pub struct Handshake(Arc<AtomicUsize>);

impl Handshake {
    #[inline]
    pub fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_counted_by_network_and_forgotten() {
        let admission = Admission::new(0);
        let held = [
            admission.take_address(ip("2001:db8::1"), 2),
            admission.take_address(ip("2001:db8::ffff:1"), 2),
            admission.take_address(ip("192.0.2.1"), 2),
            admission.take_address(ip("::ffff:192.0.2.1"), 2),
            admission.take_address(ip("2001:db8:0:1::1"), 2),
        ];
        assert!(held.iter().all(Option::is_some));
        for full in ["2001:db8::2", "192.0.2.1"] {
            assert!(admission.take_address(ip(full), 2).is_none(), "{full}");
        }
        drop(held);
        assert!(admission.addresses.lock().unwrap().is_empty());
    }

    #[test]
    fn handlers_are_counted_apart() {
        let admission = Admission::new(2);
        let held = admission.take_handler(0, 1);
        assert!(held.is_some());
        assert!(admission.take_handler(0, 1).is_none());
        assert!(admission.take_handler(1, 1).is_some());
        drop(held);
        assert!(admission.take_handler(0, 1).is_some());
    }
}
