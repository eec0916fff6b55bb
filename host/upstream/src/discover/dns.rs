//! Endpoints that the name service knows.

mod ask;

mod memory;

mod pace;

mod services;

use std::{
    sync::{Arc, Weak, mpsc},
    time::Duration,
};

use edgewit_model as model;
use tokio::time::{Instant, sleep, timeout};

use super::Variant;
use crate::{
    background::Background,
    upstream::{Upstream, UpstreamError},
};
use ask::DnsError;
use memory::Memory;

/// Endpoints that the name service knows: each address of a host, or each service (SRV). Asked again ahead of the end of
/// the answer's time to live; requests never wait for it.
pub(super) const VARIANT: Variant = Variant { name: "dns", begin };

/// How long the start waits for the first answer. Longer than a resolver takes that has to ask others, too short to hold
/// up a start for a name service that is down.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// How long all questions of one look may take: two name servers may each lose a packet or two.
const LOOK: Duration = Duration::from_secs(20);

/// How long endpoints are used that nothing is heard of. An address that old may belong to somebody else.
pub(super) const HARD_EXPIRY: Duration = Duration::from_secs(3_600);

fn begin(upstream: &Arc<Upstream>, config: &model::Upstream) -> Option<Result<(), UpstreamError>> {
    let Some(model::Discovery::Dns(dns)) = &config.discovery else { return None };
    let (first, came) = mpsc::sync_channel(1);
    let dns = dns.clone();
    if Background::spawn(upstream, |upstream| look_for_ever(upstream, dns, first)) {
        let _ = came.recv_timeout(FIRST_ANSWER); // it comes later, then
    }
    Some(Ok(()))
}

async fn look_for_ever(
    upstream: Weak<Upstream>,
    dns: model::DnsDiscovery,
    first: mpsc::SyncSender<()>,
) {
    let mut memory = Memory::default();
    let mut heard = Instant::now();
    let mut failures = 0;
    loop {
        let looked = timeout(LOOK, ask::look(&dns, &mut memory)).await;
        let looked = looked.unwrap_or(Err(DnsError::Timeout));
        let now = Instant::now();
        let Some(upstream) = upstream.upgrade() else { return };
        let news = upstream.news();
        let ttl = looked.and_then(|(found, ttl)| {
            news.found(&upstream, &found)?;
            Ok(ttl)
        });
        let wait = match ttl {
            Ok(ttl) => {
                (heard, failures) = (now, 0);
                pace::after_answer(ttl, pace::drawn())
            }
            Err(error) => {
                failures += 1;
                news.failed(&upstream, &error);
                if now.saturating_duration_since(heard) >= HARD_EXPIRY {
                    news.expired(&upstream);
                }
                pace::after_failure(failures, pace::drawn())
            }
        };
        drop(upstream); // nothing but its users keeps it alive while this sleeps
        let _ = first.try_send(());
        sleep(wait).await;
    }
}
