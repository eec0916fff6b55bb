//! Going back by itself: a new version that is stopped much more often than the one before does not stay.

use std::{sync::Arc, time::Instant};

use edgewit_chain::{Breaker, Counts};
use edgewit_model::PluginName;

use super::{Live, command::Kept, spare::Spares};
use crate::{
    Digest,
    prepare::Prepared,
    probation::{Record, Verdict},
    stock,
    versions::State,
};

/// A version that has not proved itself yet.
pub(super) struct Probation {
    digest: Digest,
    begun: Instant,
    before: Arc<Breaker>,
    counts: Counts,
}

impl Live {
    /// Puts a version that has just replaced another one on probation, if a route uses it and the operator lets it.
    pub(super) fn begin_probation(&mut self, name: &PluginName, before: &Prepared) {
        let Some(now) = self.plugins.get(name) else { return };
        let falls_back = self.plugin(name).is_some_and(|plugin| plugin.fallback);
        if !falls_back || !stock::used(&self.world.config).contains(name) {
            self.end_probation(name);
            return;
        }
        let before = Arc::clone(&before.breaker);
        let counts = before.counts();
        let probation = Probation { digest: now.digest, begun: Instant::now(), before, counts };
        self.probations.insert(name.clone(), probation);
        self.parts.on_probation.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Somebody has decided, or the version is another one.
    pub(super) fn end_probation(&mut self, name: &PluginName) {
        self.probations.remove(name);
        let any = !self.probations.is_empty();
        self.parts.on_probation.store(any, std::sync::atomic::Ordering::Relaxed);
    }

    /// Looks at all versions that are on probation.
    pub(crate) fn judge_probations(&mut self) {
        if self.must_not_drain().is_err() {
            return;
        }
        let judge = |(name, probation): (&PluginName, &Probation)| {
            let serving = self.plugins.get(name).filter(|s| s.digest == probation.digest);
            let Some(serving) = serving else { return (name.clone(), Verdict::Passed) };
            let record = Record {
                before: probation.counts,
                now: serving.breaker.counts(),
                quarantined: serving.breaker.is_open(),
                elapsed: probation.begun.elapsed(),
            };
            let verdict = match record.judge() {
                // It would be no better.
                Verdict::Failed if probation.before.is_open() => Verdict::Wait,
                verdict => verdict,
            };
            (name.clone(), verdict)
        };
        let verdicts: Vec<_> = self.probations.iter().map(judge).collect();
        for (name, verdict) in verdicts {
            match verdict {
                Verdict::Wait => {}
                Verdict::Passed => self.end_probation(&name),
                Verdict::Failed => self.fall_back(&name),
            }
        }
    }

    fn fall_back(&mut self, name: &PluginName) {
        let left = self.plugins.get(name).cloned();
        let previous = self.spares.get(name).and_then(|spares| spares.previous.clone());
        self.end_probation(name);
        let (Some(left), Some(previous)) = (left, previous) else { return };
        let Counts { calls, stops } = left.breaker.counts();
        let (from, digest) = (left.version().to_owned(), left.digest.short());
        let to = previous.digest.short();
        if let Err(error) = self.put(name, Kept::Prepared(previous)) {
            tracing::error!(plugin = %name, from, digest, "the version before cannot come back: {error}");
            return;
        }
        // Nothing to go back to, and nothing to go forward to: that version has to be asked for by name.
        self.spares.insert(name.clone(), Spares::default());
        self.end_probation(name);
        self.parts.versions.remark(name, left.digest, State::RolledBack);
        self.parts.count_swap(name, "rolled-back");
        self.tell_standing(name);
        tracing::error!(
            plugin = %name, from, digest, to, stops, calls, code = "E0452",
            "plugin rolled back: the new version was stopped much more often than the one before, which serves again"
        );
        let message = format!(
            "`{name}` {digest} was stopped in {stops} of {calls} requests; {to} serves again until the file changes"
        );
        self.parts.status.event_of(name, "rolled-back", message);
    }
}
