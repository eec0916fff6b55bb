//! Who tells that a version of a plugin went into quarantine, or came out of it?

use std::sync::Arc;

use edgewit_chain::{Breaker, Change};
use edgewit_model::{PluginName, Quarantine};
use edgewit_telemetry::{Metrics, families};

use crate::{Digest, status::Status};

/// Makes the breakers of all plugins, and tells what they do: one line of log, one event and one metric for each change.
pub(crate) struct Watchman {
    metrics: Arc<Metrics>,
    /// `None`: nobody asks, as when a configuration is only checked.
    status: Option<Arc<Status>>,
}

impl Watchman {
    pub(crate) fn new(metrics: &Arc<Metrics>, status: Option<Arc<Status>>) -> Self {
        Self { metrics: Arc::clone(metrics), status }
    }

    /// The breaker of one version.
    pub(crate) fn breaker(
        &self,
        plugin: &PluginName,
        digest: Digest,
        rule: Option<Quarantine>,
    ) -> Arc<Breaker> {
        let gauge = self.metrics.gauge(
            &families::PLUGIN_QUARANTINED,
            &[("plugin", plugin.as_str()), ("digest", &digest.short())],
        );
        gauge.set(0);
        let (plugin, digest) = (plugin.clone(), digest.short());
        let status = self.status.clone();
        let told = move |change| {
            let message = match change {
                Change::Opened => {
                    gauge.set(1);
                    let message = "stopped too often: it is not called any more, on-error holds for every request";
                    tracing::error!(%plugin, digest, code = "E0451", "plugin in quarantine: {message}");
                    message.to_owned()
                }
                Change::StillOpen(pause) => {
                    let message =
                        format!("stopped when it was tried; the next try is in {pause:?}");
                    tracing::warn!(%plugin, digest, "plugin in quarantine: {message}");
                    message
                }
                Change::Closed => {
                    gauge.set(0);
                    let message = "came through when it was tried: it is called again";
                    tracing::info!(%plugin, digest, "plugin out of quarantine: {message}");
                    message.to_owned()
                }
            };
            if let Some(status) = &status {
                status.event_of(&plugin, "quarantine", format!("`{plugin}` {digest} {message}"));
            }
        };
        Breaker::new(rule, Box::new(told))
    }
}
