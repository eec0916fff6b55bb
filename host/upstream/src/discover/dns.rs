//! Endpoints that the name service knows.

mod ask;

mod memory;

mod pace;

mod route;

mod services;

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    time::Duration,
};

use edgewit_model as model;
use tokio::time::{Instant, sleep, timeout};

use super::{Begun, Variant, last_good::LAST_GOOD};
use crate::{background::Background, upstream::Upstream};
use ask::DnsError;
use memory::Memory;

/// Endpoints that the name service knows: each address of a host, or each service (SRV). Asked again ahead of the end of
/// the answer's time to live; requests never wait for it.
pub(super) const VARIANT: Variant = Variant { name: "dns", begin };

/// How long the start waits for the first answer. Longer than a resolver takes that has to ask others, too short to hold
/// up a start for a name service that is down.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// How long nobody waits after somebody waited in vain.
const NOT_AGAIN: Duration = Duration::from_secs(30);

/// How long all questions of one look may take: two name servers may each lose a packet or two.
const LOOK: Duration = Duration::from_secs(20);

/// How long endpoints are used that nothing is heard of. An address that old may belong to somebody else.
pub(super) const HARD_EXPIRY: Duration = Duration::from_secs(3_600);

fn begin(upstream: &Arc<Upstream>, config: &model::Upstream) -> Begun {
    let Some(model::Discovery::Dns(dns)) = &config.discovery else { return None };
    let source = format!("{dns:?}");
    let last = LAST_GOOD.get(&source).filter(|(at, found)| {
        at.elapsed() < HARD_EXPIRY && upstream.found(found).is_ok() //
    });
    let heard = last.as_ref().map_or_else(Instant::now, |(at, _)| *at);
    let (first, came) = mpsc::sync_channel(1);
    let looking = Looking { dns: dns.clone(), source, heard, first };
    let started = Background::spawn(upstream, |upstream| look_for_ever(upstream, looking));
    if started && last.is_none() {
        wait_for_first(&came);
    }
    Some(Ok(()))
}

/// Waits for the first answer, unless another upstream waited for nothing just now: all are built one after another.
fn wait_for_first(came: &mpsc::Receiver<()>) {
    static IN_VAIN: Mutex<Option<Instant>> = Mutex::new(None);
    let last = || IN_VAIN.lock().unwrap_or_else(PoisonError::into_inner);
    if last().is_some_and(|at| at.elapsed() < NOT_AGAIN) {
        return;
    }
    if came.recv_timeout(FIRST_ANSWER).is_err() {
        *last() = Some(Instant::now()); // it comes later, then
    }
}

/// What the task that looks knows.
struct Looking {
    dns: model::DnsDiscovery,
    /// Its key among the last good answers.
    source: String,
    /// When something was found last, or the first look.
    heard: Instant,
    /// Told when the first look is over.
    first: mpsc::SyncSender<()>,
}

async fn look_for_ever(upstream: Weak<Upstream>, looking: Looking) {
    let Looking { dns, source, mut heard, first } = looking;
    let mut memory = Memory::default();
    let mut failures = 0;
    loop {
        let looked = timeout(LOOK, ask::look(&dns, &mut memory)).await;
        let looked = looked.unwrap_or(Err(DnsError::Timeout));
        let now = Instant::now();
        let Some(upstream) = upstream.upgrade() else { return };
        let news = upstream.news();
        let ttl = looked.and_then(|(found, ttl)| {
            news.found(&upstream, &found)?;
            LAST_GOOD.put(&source, &found);
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
