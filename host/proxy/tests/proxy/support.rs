//! A gateway, upstreams, clients and filters for tests. Every wait has a deadline.

mod backend;

mod client;

mod filter;

mod gateway;

mod origin;

mod pki;

use std::{future::Future, time::Duration};

pub(crate) use backend::{Backend, read_head};
pub(crate) use client::{ClientBody, Connection, http2, send, talk};
pub(crate) use filter::{Native, Seen, answer};
pub(crate) use gateway::{
    Gateway, Ready, forward_to, hello, listener, name, respond, route, snapshot, upstream,
};
pub(crate) use origin::Origin;
pub(crate) use pki::{Authority, Issued, TlsClient, ask, connect_from};

/// Nothing that is waited for takes this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits with the deadline.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("the deadline has passed")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
