//! Certificates and keys that are replaced while an upstream serves.

use std::{
    io::Read,
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use edgewit_model as model;
use tokio::{task::spawn_blocking, time::sleep};
use xxhash_rust::xxh3::xxh3_128;

use super::client_config;
use crate::{background::Background, upstream::Upstream};

/// How often the files are looked at. Certificates are replaced hours before they expire.
const EVERY: Duration = Duration::from_secs(5);

/// Bytes of a file that are looked at: all of any that is taken.
const LARGEST: u64 = 16 << 20;

/// Content of each file, as far as it could be read.
type Seen = Vec<Option<u128>>;

/// Looks after the files that the set-up was made of, if there are any: when their content changes, new connections are
/// made with it. A content that cannot be used is told once, and the set-up before it stays.
pub(in crate::upstream) fn begin(upstream: &Arc<Upstream>, config: &model::UpstreamTls) {
    if upstream.tls().is_none() || paths(config).next().is_none() {
        return;
    }
    let config = config.clone();
    let seen = look(&config);
    Background::spawn(upstream, |upstream| look_for_ever(upstream, config, seen));
}

fn paths(config: &model::UpstreamTls) -> impl Iterator<Item = &PathBuf> {
    let own = config.identity.iter().flat_map(|identity| [&identity.cert, &identity.key]);
    config.ca.iter().chain(own)
}

async fn look_for_ever(upstream: Weak<Upstream>, config: model::UpstreamTls, mut seen: Seen) {
    loop {
        sleep(EVERY).await;
        let (upstream, config) = (upstream.clone(), config.clone());
        let looked = spawn_blocking(move || {
            let now = look(&config);
            if now != seen {
                renew(&upstream, &config);
            }
            now
        });
        let Ok(now) = looked.await else { return };
        seen = now;
    }
}

fn look(config: &model::UpstreamTls) -> Seen {
    let digest = |path: &PathBuf| {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).ok()?;
        file.take(LARGEST).read_to_end(&mut bytes).ok().map(|_| xxh3_128(&bytes))
    };
    paths(config).map(digest).collect()
}

/// A certificate that was replaced before its key does not fit for a moment; the next look sees both.
fn renew(upstream: &Weak<Upstream>, config: &model::UpstreamTls) {
    let Some(upstream) = upstream.upgrade() else { return };
    let name = upstream.name().as_str();
    match client_config(config) {
        Ok(made) => {
            upstream.renew_tls(made);
            tracing::info!(upstream = name, "certificates were read again");
        }
        Err(error) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(upstream = name, error, "certificates cannot be used, the last stay");
        }
    }
}
