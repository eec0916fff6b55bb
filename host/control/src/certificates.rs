//! Certificates whose files change are shown without a reload.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use edgewit_proxy::{Proxy, Renewal};

use crate::{error::chain, status::Status};

/// Between two looks. A certificate is renewed weeks before it ends, and one that was revoked is refused soon enough.
const LOOK: Duration = Duration::from_secs(10);

/// Looks as long as there is a proxy.
pub(crate) async fn renew(proxy: Weak<Proxy>, status: Arc<Status>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(proxy) = proxy.upgrade() else { return };
        let look = tokio::task::spawn_blocking(move || proxy.renew_certificates()).await;
        match look {
            Ok(renewals) => renewals.iter().filter(|r| r.is_news()).for_each(|r| tell(r, &status)),
            Err(error) => tracing::error!(%error, "a look at certificates has met a fault"),
        }
    }
}

fn tell(renewal: &Renewal, status: &Status) {
    let listener = &renewal.listener;
    match &renewal.result {
        Ok(_) => {
            tracing::info!(%listener, "certificates were renewed");
            status.event("certificate", format!("listener `{listener}`: renewed"));
        }
        Err(error) => {
            let error = chain(error);
            tracing::warn!(%listener, error, "certificates are refused, those before serve on");
            status.event("refused", format!("certificates of listener `{listener}`: {error}"));
        }
    }
}
