//! How many connections each client has.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many connections each client has on one listener. Asked when a connection begins and told when it ends, by all
/// workers; requests do not come here.
#[derive(Debug)]
pub(crate) struct Clients {
    shards: Box<[Mutex<HashMap<Client, usize>>]>,
    hasher: RandomState,
}

/// A client, as far as it can be told from others: an IPv4 address, or the network that an IPv6 subscriber is given, within
/// which it has as many addresses as it likes (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    V6(u64),
}

/// One connection of a client, counted as long as it is held.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    clients: Arc<Clients>,
    client: Client,
}

/// So many workers seldom meet.
const SHARDS: usize = 64;

impl Clients {
    pub(crate) fn new() -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self { shards, hasher: RandomState::new() })
    }

    /// One more connection of this client, unless it has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, limit: usize) -> Option<ClientPlace> {
        let client = Client::from(address);
        let mut shard = self.shard(client)?;
        let count = shard.entry(client).or_insert(0);
        if *count >= limit {
            if *count == 0 {
                shard.remove(&client);
            }
            return None;
        }
        *count += 1;
        drop(shard);
        Some(ClientPlace { clients: Arc::clone(self), client })
    }

    fn shard(&self, client: Client) -> Option<MutexGuard<'_, HashMap<Client, usize>>> {
        let shard = self.hasher.hash_one(client) % self.shards.len() as u64;
        let shard = self.shards.get(usize::try_from(shard).ok()?)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn leave(&self, client: Client) {
        let Some(mut shard) = self.shard(client) else { return };
        let Some(count) = shard.get_mut(&client) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            shard.remove(&client);
        }
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        self.clients.leave(self.client);
    }
}

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Client::V4(address.to_bits()),
            IpAddr::V6(address) => Client::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(clients: &Clients) -> usize {
        clients.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn a_client_has_as_many_connections_as_it_may() {
        let clients = Clients::new();
        let enter = |address: &str| clients.enter(address.parse().unwrap(), 2);
        for (one, same, other) in [
            ("10.0.0.1", "::ffff:10.0.0.1", "10.0.0.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
        ] {
            let first = enter(one).unwrap();
            let _second = enter(same).unwrap();
            assert!(enter(one).is_none() && enter(same).is_none());
            let _other = enter(other).unwrap();
            drop(first);
            let _third = enter(one).unwrap();
            assert!(enter(same).is_none());
        }
        assert_eq!(known(&clients), 0, "who has no connection is not remembered");
        assert!(clients.enter([10, 0, 0, 3].into(), 0).is_none());
        assert_eq!(known(&clients), 0);
    }
}
