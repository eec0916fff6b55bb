//! Socket addresses behind a host.

use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{net::lookup_host, time::Instant};

/// How long the last good answer stands in when the name service fails. After that the endpoint is unavailable: an
/// address that old may belong to somebody else.
const HARD_EXPIRY: Duration = Duration::from_secs(3600);

/// Addresses that are tried for one connection at most.
const MAX_ADDRESSES: usize = 8;

/// Socket addresses behind a host.
pub(crate) enum Addresses {
    Literal(SocketAddr),
    Named { host: String, port: u16, last_good: Mutex<Option<Answer>> },
}

/// What the name service said, and when.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

impl Addresses {
    pub(crate) fn literal(address: SocketAddr) -> Self {
        Self::Literal(address)
    }

    pub(crate) fn named(host: String, port: u16) -> Self {
        Self::Named { host, port, last_good: Mutex::new(None) }
    }

    /// Asks the system's resolver for a name; if it fails, the last good answer serves until its hard expiry.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Literal(address) => Ok(vec![*address]),
            Self::Named { host, port, last_good } => {
                let found = lookup_host((host.as_str(), *port)).await;
                let found = found.map(|found| found.take(MAX_ADDRESSES).collect());
                let mut last = last_good.lock().unwrap_or_else(PoisonError::into_inner);
                settle(found, &mut last, Instant::now())
            }
        }
    }
}

/// The answer to use, given what the name service said just now and what it said last.
fn settle(
    found: io::Result<Vec<SocketAddr>>,
    last: &mut Option<Answer>,
    now: Instant,
) -> io::Result<Vec<SocketAddr>> {
    let error = match found {
        Ok(addresses) if !addresses.is_empty() => {
            *last = Some(Answer { addresses: addresses.clone(), at: now });
            return Ok(addresses);
        }
        Ok(_) => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
        Err(error) => error,
    };
    match last {
        Some(good) if now.saturating_duration_since(good.at) < HARD_EXPIRY => {
            Ok(good.addresses.clone())
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_answer_serves_until_its_hard_expiry() {
        let address: SocketAddr = "10.0.0.1:80".parse().unwrap();
        let start = Instant::now();
        let failure = || Err(io::Error::other("no name service"));
        let mut last = None;
        assert!(settle(failure(), &mut last, start).is_err());
        assert_eq!(settle(Ok(vec![address]), &mut last, start).unwrap(), [address]);
        let almost = start + HARD_EXPIRY - Duration::from_secs(1);
        assert_eq!(settle(failure(), &mut last, almost).unwrap(), [address]);
        assert_eq!(settle(Ok(Vec::new()), &mut last, almost).unwrap(), [address]);
        assert!(settle(failure(), &mut last, start + HARD_EXPIRY).is_err());
    }
}
