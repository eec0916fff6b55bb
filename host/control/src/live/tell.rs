//! What is told of a change: log, metrics, status and the history of versions.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use edgewit_config::{Report, Severity};
use edgewit_model::{Config, PluginName};
use edgewit_proxy::Bound;
use edgewit_telemetry::families;

use super::{ChangeError, Changed, Live, Parts};
use crate::{
    admin::Measure,
    prepare::Prepared,
    status::{Reload, Times},
    stock::Refused,
    summary::millis,
    time::Timestamp,
    versions::{Refusal, State, Version},
};

impl Live {
    pub(super) fn tell_live(&mut self) {
        let url = |b: &Bound| format!("{}://{}", b.scheme.as_str(), b.address);
        let bound = self.proxy.bound();
        let listeners: BTreeMap<_, _> =
            bound.iter().map(|b| (b.listener.clone(), url(b))).collect();
        let generation = self.world.snapshot.generation();
        let server = &self.world.config.server;
        let times = Times {
            delay: server.drain_delay,
            timeout: server.drain_timeout,
            upgrade: server.upgrade_timeout,
        };
        self.parts.status.live(generation, self.counts(), listeners, times);
        self.parts.gauges.live(generation, &self.plugins);
    }

    pub(super) fn tell_swap(
        &mut self,
        name: &PluginName,
        before: Option<&Prepared>,
        generation: u64,
        took: Duration,
    ) {
        let Some(prepared) = self.plugins.get(name) else { return };
        let routes = routes_with(&self.world.config, name);
        let state = if routes > 0 { State::Active } else { State::Unused };
        self.parts.versions.record(name, prepared.as_version(state));
        let from = before.map_or("none", Prepared::version);
        let (to, digest, took_ms) = (prepared.version(), prepared.digest.short(), millis(took));
        match before {
            Some(_) => tracing::info!(
                plugin = %name, from, to, digest, routes, generation, took_ms, "plugin swapped"
            ),
            None => tracing::info!(plugin = %name, version = to, digest, took_ms, "plugin loaded"),
        }
        self.tell_standing(name);
        let message = format!("`{name}` {from} → {to} in {took_ms} ms, used by {routes} routes");
        self.parts.status.event_of(name, "swap", message);
        self.parts.count_swap(name, "swapped");
    }

    pub(super) fn tell_reload(&mut self, result: &Result<Changed, ChangeError>, begun: Instant) {
        let took_ms = millis(begun.elapsed());
        let successful = result.is_ok();
        self.parts.gauges.reloaded(successful);
        let (changed, diagnostics, error) = match result {
            Ok(done) => {
                let (changed, generation) = (words(&done.changed), done.generation);
                tracing::info!(changed, generation, took_ms, "configuration reloaded");
                self.parts.warn(&done.warnings);
                self.parts.status.event("reload", changed);
                (done.changed.clone(), done.warnings.clone(), None)
            }
            Err(error) => {
                tracing::error!(took_ms, "configuration refused, the old one serves on\n{error}");
                self.parts.status.event("refused", format!("configuration: {}", brief(error)));
                match error {
                    ChangeError::Refused(report) => (Vec::new(), report.clone(), None),
                    other => (Vec::new(), Report::default(), Some(other.to_string())),
                }
            }
        };
        let at = Timestamp::now();
        self.parts.status.reloaded(Reload { at, successful, took_ms, changed, diagnostics, error });
    }
}

impl Parts {
    pub(super) fn warn(&self, warnings: &Report) {
        for warning in warnings.diagnostics() {
            tracing::warn!("{}", warning.render(false));
        }
    }

    pub(super) fn set_log_level(&self, config: &Config) {
        let result = self.log.as_ref().map(|log| log.reload(&config.telemetry));
        if let Some(Err(error)) = result {
            tracing::warn!(error = crate::error::chain(&error), "the log keeps its level");
        }
    }

    /// A version does not serve; another one may.
    pub(super) fn tell_refused(&self, refused: &Refused, serving: Option<&Prepared>) {
        let Refused { name, path, digest, problems, used, .. } = refused;
        let serving = serving.map(Prepared::version);
        for problem in problems {
            let (code, help, path) = (problem.code().id(), problem.help(), path.display());
            match used {
                true => tracing::error!(
                    plugin = %name, %path, code, help, serving, "plugin refused: {problem}"
                ),
                false => tracing::warn!(
                    plugin = %name, %path, code, help, serving, "unused plugin refused: {problem}"
                ),
            }
        }
        let reason = problems.first().map(|problem| problem.refusal());
        let message = reason.as_ref().map_or("cannot be used", |reason| reason.message.as_str());
        self.status.event_of(name, "refused", format!("plugin {message}"));
        self.versions.record(name, refused_version(refused, *digest, reason));
    }

    /// Counts the instances that are alive.
    pub(crate) fn measure(&self) -> Box<Measure> {
        let alive = self.metrics.gauge(&families::INSTANCES, &[("state", "alive")]);
        let runtime = Arc::clone(&self.runtime);
        Box::new(move || alive.set(runtime.live_instances()))
    }

    pub(super) fn count_swap(&mut self, plugin: &PluginName, result: &'static str) {
        self.gauges.swap(plugin, result);
    }
}

fn refused_version(
    refused: &Refused,
    digest: Option<crate::Digest>,
    reason: Option<Refusal>,
) -> Version {
    Version {
        digest,
        version: None,
        path: refused.path.clone(),
        state: State::Refused,
        since: Timestamp::now(),
        load_ms: 0,
        reason,
        configurations: Vec::new(),
    }
}

impl Prepared {
    /// For the history.
    pub(super) fn as_version(&self, state: State) -> Version {
        let infos = self.filters.iter().map(|v| serde_json::to_value(v.filter.info()));
        Version {
            digest: Some(self.digest),
            version: Some(self.version().to_owned()),
            path: self.path.clone(),
            state,
            since: Timestamp::now(),
            load_ms: millis(self.took),
            reason: None,
            configurations: infos.filter_map(Result::ok).collect(),
        }
    }
}

fn routes_with(config: &Config, plugin: &PluginName) -> usize {
    let uses =
        |route: &&Arc<edgewit_model::Route>| route.filters.iter().any(|f| f.plugin == *plugin);
    config.routes.values().filter(uses).count()
}

/// Why a configuration is refused, in one line: `/v1/status` has all of it.
fn brief(error: &ChangeError) -> String {
    let ChangeError::Refused(report) = error else { return error.to_string() };
    let mut errors = report.diagnostics().iter().filter(|d| d.severity() == Severity::Error);
    let Some(first) = errors.next() else { return "it has errors".to_owned() };
    let line = format!("{} {}", first.code().id(), first.message());
    match errors.count() {
        0 => line,
        more => format!("{line}, and {more} more"),
    }
}

fn words(changed: &[String]) -> String {
    if changed.is_empty() { "nothing".to_owned() } else { changed.join(" ") }
}
