//! What holds for the connections of a listener.

use std::{net::IpAddr, sync::Arc};

use edgewit_chain::Scheme;
use edgewit_model::Listener;
use edgewit_telemetry::Metrics;

use super::{ListenError, Refused};
use crate::tls::{TlsError, TlsServer};

/// What holds for connections from now on. A connection keeps the settings it began with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Listener,
    pub(crate) tls: Option<Arc<TlsServer>>,
    pub(crate) refused: Arc<Refused>,
}

impl Settings {
    /// Reads the files. What has not changed since `before` is taken over.
    pub(super) fn new(
        config: &Listener,
        before: Option<&Settings>,
        metrics: &Metrics,
    ) -> Result<Self, ListenError> {
        let failed = |error| {
            let (listener, source) = (config.name.clone(), Box::new(error));
            ListenError::Tls { listener, source }
        };
        let tls = tls(config, before).map_err(failed)?;
        let refused = Arc::new(Refused::new(metrics, &config.name));
        Ok(Self { config: config.clone(), tls, refused })
    }

    /// The same with what is in the files of certificates now; `None`: they have not changed.
    pub(super) fn renewed(&self) -> Result<Option<Self>, TlsError> {
        let tls = tls(&self.config, Some(self))?;
        let is_same = match (&tls, &self.tls) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (new, old) => new.is_none() == old.is_none(),
        };
        let renewed =
            || Self { tls, config: self.config.clone(), refused: Arc::clone(&self.refused) };
        Ok((!is_same).then(renewed))
    }

    /// May this peer say for whom it speaks?
    pub(crate) fn is_trusted(&self, peer: IpAddr) -> bool {
        self.config.trusted_proxies.iter().any(|net| net.contains(peer))
    }

    pub(crate) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }
}

fn tls(config: &Listener, before: Option<&Settings>) -> Result<Option<Arc<TlsServer>>, TlsError> {
    let before = before.and_then(|settings| settings.tls.as_ref());
    let server = |tls| TlsServer::new(tls, config.protocols, before);
    config.tls.as_ref().map(server).transpose()
}
