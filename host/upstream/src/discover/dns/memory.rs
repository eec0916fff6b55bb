//! What the name service last said about hosts.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::HARD_EXPIRY;

/// Hosts that are remembered: more than one look asks for.
const MOST_HOSTS: usize = 256;

/// What the name service last said about hosts: what stands in when it fails for one of them, or for one family.
#[derive(Default)]
pub(super) struct Memory {
    hosts: HashMap<String, Known>,
}

/// The answer to the question for one family of addresses: empty if there are none. An error says nothing about that.
pub(super) type Answer<E> = Result<(Vec<IpAddr>, Duration), E>;

#[derive(Default)]
struct Known {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    at: Option<Instant>,
}

impl Memory {
    /// The addresses of a host, IPv4 first, and for how long. A family that failed is taken from the last good answer, if
    /// the other did not. `Ok` with nothing in it: there is no such host, or it has no address.
    pub(super) fn settle<E>(
        &mut self,
        host: &str,
        v4: Answer<E>,
        v6: Answer<E>,
        now: Instant,
    ) -> Answer<E> {
        self.hosts.retain(|_, known| known.is_usable(now));
        let none = Known::default();
        let known = self.hosts.get(host).unwrap_or(&none);
        let (v4, v6) = match (v4, v6) {
            (Err(error), Err(_)) => return Err(error),
            (Err(error), Ok((v6, _))) if known.v4.is_empty() && v6.is_empty() => return Err(error),
            (Ok((v4, _)), Err(error)) if known.v6.is_empty() && v4.is_empty() => return Err(error),
            both => both,
        };
        let is_whole = v4.is_ok() && v6.is_ok();
        let ttls = [&v4, &v6].into_iter().filter_map(|answer| answer.as_ref().ok());
        // The negative answer of one family has no time to live that matters.
        let ttl = ttls.filter(|(found, _)| !found.is_empty()).map(|(_, ttl)| *ttl).min();
        let next = Known {
            v4: v4.map_or_else(|_| known.v4.clone(), |(found, _)| found),
            v6: v6.map_or_else(|_| known.v6.clone(), |(found, _)| found),
            at: if is_whole { Some(now) } else { known.at.or(Some(now)) },
        };
        let found = [&next.v4[..], &next.v6].concat();
        if !found.is_empty() && self.hosts.len() < MOST_HOSTS {
            self.hosts.insert(host.to_owned(), next);
        }
        Ok((found, ttl.unwrap_or_default()))
    }

    /// The last good answer, for a host of many that failed.
    pub(super) fn last(&self, host: &str) -> Option<Vec<IpAddr>> {
        self.hosts.get(host).map(|known| [&known.v4[..], &known.v6].concat())
    }
}

impl Known {
    fn is_usable(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| now.saturating_duration_since(at) < HARD_EXPIRY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "10.0.0.1";
    const V6: &str = "fd00::1";

    fn answer(addresses: &[&str]) -> Answer<()> {
        let parse = |a: &&str| a.parse().unwrap();
        Ok((addresses.iter().map(parse).collect(), Duration::from_secs(7)))
    }

    fn said(answer: Answer<()>) -> Result<Vec<String>, ()> {
        answer.map(|(found, _)| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_fails_is_taken_from_the_last_good_answer() {
        let now = Instant::now();
        let check = |v4, v6, expected: Result<&[&str], ()>| {
            let mut memory = Memory::default();
            memory.settle("a", answer(&[V4]), answer(&[V6]), now).unwrap();
            let settled = said(memory.settle("a", v4, v6, now));
            let expected = expected.map(|e| e.iter().map(ToString::to_string).collect());
            assert_eq!(settled, expected);
        };
        check(answer(&["10.0.0.2"]), answer(&[]), Ok(&["10.0.0.2"]));
        check(answer(&["10.0.0.2"]), Err(()), Ok(&["10.0.0.2", V6]));
        check(Err(()), answer(&[]), Ok(&[V4]));
        check(Err(()), Err(()), Err(()));
        check(answer(&[]), answer(&[]), Ok(&[]));
    }

    #[test]
    fn a_host_that_was_never_known_fails() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        assert_eq!(said(memory.settle("a", Err(()), Err(()), now)), Err(()));
        assert_eq!(said(memory.settle("a", Err(()), answer(&[]), now)), Err(()));
        assert_eq!(said(memory.settle("a", answer(&[]), Err(()), now)), Err(()));
        let v4 = vec![V4.to_owned()];
        assert_eq!(said(memory.settle("a", answer(&[V4]), Err(()), now)), Ok(v4));
    }

    #[test]
    fn what_is_too_old_stands_in_for_nothing() {
        let (mut memory, start) = (Memory::default(), Instant::now());
        memory.settle("a", answer(&[V4]), answer(&[]), start).unwrap();
        let almost = start + HARD_EXPIRY - Duration::from_secs(1);
        assert!(memory.settle("a", Err(()), Err(()), almost).is_err());
        assert_eq!(memory.last("a").unwrap(), [V4.parse::<IpAddr>().unwrap()]);
        assert!(memory.settle("a", Err(()), answer(&[]), almost).is_ok());
        assert!(memory.settle("a", Err(()), Err(()), start + HARD_EXPIRY).is_err());
        assert_eq!(memory.last("a"), None);
    }
}
