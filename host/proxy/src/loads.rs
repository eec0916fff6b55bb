//! What each client has under way, over all its connections.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The clients that have connections, in parts that are locked one at a time. A connection looks its client up once; a
/// request of it only counts.
#[derive(Debug)]
pub(crate) struct Loads {
    parts: [Mutex<Part>; PARTS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Part {
    loads: HashMap<IpAddr, Weak<Load>>,
    /// Length at which those that are gone are cleared out.
    full: usize,
}

/// Requests of one client that are being answered.
#[derive(Debug, Default)]
pub(crate) struct Load(AtomicUsize);

/// Place for one request of a client. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Place(Arc<Load>);

/// More than there are workers on most machines.
const PARTS: usize = 32;
/// Loads of a part that are kept before it is cleared out for the first time.
const FEW: usize = 64;

impl Loads {
    pub(crate) fn new() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// The load of a client. IPv6 clients are a /64: that is what one subscriber gets (RFC 6177).
    pub(crate) fn load(&self, client: IpAddr) -> Arc<Load> {
        let client = subscriber(client);
        let index = self.hasher.hash_one(client) as usize % PARTS;
        let Some(part) = self.parts.get(index) else { return Arc::default() };
        part.lock().unwrap_or_else(PoisonError::into_inner).load(client)
    }
}

impl Part {
    fn load(&mut self, client: IpAddr) -> Arc<Load> {
        if let Some(load) = self.loads.get(&client).and_then(Weak::upgrade) {
            return load;
        }
        if self.loads.len() >= self.full.max(FEW) {
            self.loads.retain(|_, load| load.strong_count() > 0);
            self.full = 2 * self.loads.len();
        }
        let load = Arc::default();
        self.loads.insert(client, Arc::downgrade(&load));
        load
    }
}

impl Load {
    /// Place for one more request, unless the client has this many.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Place> {
        let more = |now: usize| (now < most).then_some(now + 1);
        self.0.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(load) = self;
        load.0.fetch_sub(1, Relaxed);
    }
}

/// What one subscriber has.
fn subscriber(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let bits = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(loads: &Loads, address: &str) -> Arc<Load> {
        loads.load(address.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_address_or_a_subscribers_network() {
        let loads = Loads::new();
        let same = |a: &str, b: &str| {
            let (a, b) = (load(&loads, a), load(&loads, b));
            Arc::ptr_eq(&a, &b)
        };
        assert!(same("10.0.0.1", "10.0.0.1"));
        assert!(same("10.0.0.1", "::ffff:10.0.0.1"));
        assert!(!same("10.0.0.1", "10.0.0.2"));
        assert!(same("2001:db8::1", "2001:db8::ffff:1"));
        assert!(!same("2001:db8::1", "2001:db8:0:1::1"));
    }

    #[test]
    fn a_client_has_so_much_room() {
        let loads = Loads::new();
        let load = load(&loads, "10.0.0.1");
        let rooms: Vec<Place> = std::iter::from_fn(|| load.enter(3)).collect();
        assert_eq!(rooms.len(), 3);
        drop(rooms);
        assert!(load.enter(1).is_some());
    }

    #[test]
    fn clients_that_are_gone_are_forgotten() {
        let loads = Loads::new();
        for n in 0..100_000_u32 {
            loads.load(IpAddr::V4(n.into()));
        }
        let kept: usize = loads.parts.iter().map(|p| p.lock().unwrap().loads.len()).sum();
        assert!(kept <= PARTS * FEW, "{kept}");
    }
}
