//! Certificates that change while they are in use.

use std::{collections::BTreeMap, sync::Arc, time::UNIX_EPOCH};

use edgewit_model::ListenerName;
use edgewit_telemetry::{Gauge, Metrics, families};

use super::{Settings, Socket};
use crate::tls::{CertificateInfo, TlsError};

/// What a look at the certificate files of a listener has brought.
#[derive(Debug)]
pub struct Renewal {
    /// The listener.
    pub listener: ListenerName,
    /// On an error the certificates that were there before serve on.
    pub result: Result<Renewed, TlsError>,
    /// How often in a row the look has ended as it did; 1 for the first time.
    pub times: u32,
}

impl Renewal {
    /// Whether somebody should be told: of certificates that were replaced, and once of those that are refused.
    pub fn is_news(&self) -> bool {
        match &self.result {
            Ok(Renewed::Replaced) => true,
            Ok(Renewed::Unchanged) => false,
            Err(_) => self.times == TOLD,
        }
    }
}

/// The look at which a refusal is told. At the first one the files may be half written.
const TOLD: u32 = 2;

/// What has become of the certificates of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The files are what they were.
    Unchanged,
    /// New connections see what the files hold now. Connections that are open have noticed nothing.
    Replaced,
}

/// The last looks, as far as they were alike.
#[derive(Debug, Default)]
pub(super) struct Looks {
    last: Option<Result<Renewed, String>>,
    times: u32,
}

impl Looks {
    /// How often in a row.
    fn count(&mut self, result: &Result<Renewed, TlsError>) -> u32 {
        let this = match result {
            Ok(renewed) => Ok(*renewed),
            Err(error) => Err(whole(error)),
        };
        self.times =
            if self.last.as_ref() == Some(&this) { self.times.saturating_add(1) } else { 1 };
        self.last = Some(this);
        self.times
    }
}

/// An error with its causes.
fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", whole(source)),
        None => error.to_string(),
    }
}

impl Socket {
    /// Reads the files of certificates again and shows what they hold, if it can be used. `None`: there is no TLS.
    pub(crate) fn renew(&mut self, metrics: &Metrics) -> Option<Renewal> {
        let settings = self.live.settings.load_full();
        settings.tls.as_ref()?;
        let result = settings.renewed().map(|renewed| match renewed {
            Some(renewed) => {
                self.live.settings.store(Arc::new(renewed));
                self.tell_expiry(metrics);
                Renewed::Replaced
            }
            None => Renewed::Unchanged,
        });
        let times = self.looks.count(&result);
        Some(Renewal { listener: settings.config.name.clone(), result, times })
    }

    /// What it shows now.
    pub(crate) fn certificates(&self) -> Vec<CertificateInfo> {
        let settings = self.live.settings.load();
        settings.infos()
    }

    /// Sets the gauges of expiry. Of two certificates with one name, as of two kinds of keys, the one counts that ends first.
    pub(super) fn tell_expiry(&mut self, metrics: &Metrics) {
        let mut first: BTreeMap<String, CertificateInfo> = BTreeMap::new();
        for info in self.certificates() {
            match first.get(&info.name) {
                Some(other) if other.not_after <= info.not_after => {}
                _ => drop(first.insert(info.name.clone(), info)),
            }
        }
        let gauge = |info: &CertificateInfo| {
            let labels = [("listener", info.listener.as_str()), ("name", info.name.as_str())];
            let gauge = metrics.gauge(&families::TLS_CERTIFICATE_EXPIRY, &labels);
            let since = info.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
            gauge.set(since.as_secs());
            gauge
        };
        let gauges: Vec<Gauge> = first.values().map(gauge).collect();
        self.expiry = gauges;
    }
}

impl Settings {
    fn infos(&self) -> Vec<CertificateInfo> {
        self.tls.as_ref().map_or(Vec::new(), |tls| tls.infos(&self.config.name))
    }
}
