//! Endpoints that fail where others do not are left alone for a while.

mod rates;

use std::{
    error::Error,
    io,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use edgewit_model as model;

use crate::{
    connect::ConnectError,
    send::{Failure, SendError},
    standing::Standing,
};
use rates::Rate;

/// How an attempt ended, as far as it says something about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// A response with a status below 500.
    Well,
    /// A response with a status from 500.
    ServerError,
    /// No connection.
    NoConnection,
    /// A connection and no response.
    NoResponse,
}

impl Ended {
    pub(crate) fn with(status: u16) -> Self {
        if status < 500 { Self::Well } else { Self::ServerError }
    }

    /// `None` if the endpoint has nothing to do with it.
    pub(crate) fn in_failure(error: &SendError) -> Option<Self> {
        match error.kind {
            Failure::Connect if is_ours(error) => None,
            Failure::Connect => Some(Self::NoConnection),
            Failure::Reset | Failure::Timeout | Failure::Protocol => Some(Self::NoResponse),
            Failure::Unavailable | Failure::Request | Failure::Overloaded => None,
        }
    }
}

/// Whether a connection could not be made because this process has no file descriptors left.
fn is_ours(error: &SendError) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    let cause = error.source().and_then(|e| e.downcast_ref::<ConnectError>());
    let code = match cause {
        Some(ConnectError::Connect { source, .. }) => io::Error::raw_os_error(source),
        _ => None,
    };
    matches!(code, Some(EMFILE | ENFILE))
}

/// Why an endpoint was ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Connects,
    Failures,
    ServerErrors,
    SuccessRate,
}

/// Words of the reasons, in their order: the label `reason` of the metric.
pub(crate) const REASONS: [&str; 4] =
    ["consecutive-connects", "consecutive-failures", "consecutive-5xx", "success-rate"];

impl Reason {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connects => REASONS[0],
            Self::Failures => REASONS[1],
            Self::ServerErrors => REASONS[2],
            Self::SuccessRate => REASONS[3],
        }
    }
}

/// What one endpoint did lately, counted by all workers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    connects: AtomicU32,
    failures: AtomicU32,
    server_errors: AtomicU32,
    rate: Rate,
    /// Ejections that still count, and when the last one ended.
    ejections: AtomicU32,
    last_end: AtomicU64,
}

impl Tally {
    /// Counts an attempt; the rule that it breaks.
    fn note(&self, rules: &model::Outlier, ended: Ended) -> Option<Reason> {
        if matches!(ended, Ended::Well | Ended::ServerError) {
            clear(&self.connects);
            clear(&self.failures);
        }
        if ended == Ended::Well {
            clear(&self.server_errors);
            return None;
        }
        let connects = match ended {
            Ended::NoConnection => count(&self.connects),
            _ => 0,
        };
        let failures = match ended {
            Ended::NoConnection | Ended::NoResponse => count(&self.failures),
            _ => 0,
        };
        let errors = count(&self.server_errors);
        let breaks = |number: u32, limit: u32| limit != 0 && number >= limit;
        match () {
            () if breaks(connects, rules.consecutive_connects) => Some(Reason::Connects),
            () if breaks(failures, rules.consecutive_failures) => Some(Reason::Failures),
            () if breaks(errors, rules.consecutive_5xx) => Some(Reason::ServerErrors),
            () => None,
        }
    }

    fn start_over(&self) {
        [&self.connects, &self.failures, &self.server_errors].into_iter().for_each(clear);
    }
}

/// A load in the usual case: nothing failed, nothing is written.
fn clear(streak: &AtomicU32) {
    if streak.load(Ordering::Relaxed) != 0 {
        streak.store(0, Ordering::Relaxed);
    }
}

fn count(streak: &AtomicU32) -> u32 {
    streak.fetch_add(1, Ordering::Relaxed).saturating_add(1)
}

/// Outlier detection of one upstream. Nothing on the way of a request waits: where two ejections are to be decided at
/// the same instant, one is put off until the next failure.
#[derive(Debug)]
pub(crate) struct Detector {
    rules: model::Outlier,
    deciding: AtomicBool,
    next_sweep: AtomicU64,
    ejected: [AtomicU64; REASONS.len()],
}

/// An ejection that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ejection {
    /// Position of the endpoint.
    pub(crate) index: usize,
    pub(crate) reason: Reason,
    pub(crate) lasts: Duration,
}

impl Detector {
    pub(crate) fn new(rules: &model::Outlier) -> Self {
        Self {
            deciding: AtomicBool::new(false),
            next_sweep: AtomicU64::new(millis(rules.interval)),
            ejected: Default::default(),
            rules: rules.clone(),
        }
    }

    /// Ejections so far, by reason.
    pub(crate) fn ejections(&self) -> [(&'static str, u64); REASONS.len()] {
        let mut counts = self.ejected.iter().map(|count| count.load(Ordering::Relaxed));
        REASONS.map(|word| (word, counts.next().unwrap_or(0)))
    }

    /// Counts an attempt at an endpoint. `Some` if a rule was broken.
    pub(crate) fn note(&self, standing: &Standing, ended: Ended) -> Option<Reason> {
        if self.rules.success_rate.is_some() {
            standing.tally().rate.count(ended == Ended::Well);
        }
        standing.tally().note(&self.rules, ended)
    }

    /// Whether it is time to compare success rates. `true` for one caller.
    pub(crate) fn is_sweep_due(&self, now: impl FnOnce() -> u64) -> bool {
        if self.rules.success_rate.is_none() {
            return false;
        }
        let (due, now) = (self.next_sweep.load(Ordering::Relaxed), now());
        let next = now.saturating_add(millis(self.rules.interval));
        let swap =
            || self.next_sweep.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        now >= due && swap().is_ok()
    }

    /// Compares success rates and begins to count anew.
    pub(crate) fn sweep(&self, all: &[&Standing], now: u64) -> Vec<Ejection> {
        let Some(rule) = &self.rules.success_rate else { return Vec::new() };
        let counts: Vec<_> = all.iter().map(|standing| standing.tally().rate.take()).collect();
        let outliers = rates::outliers(&counts, rule);
        let eject = |index| self.eject(all, index, Reason::SuccessRate, now);
        outliers.into_iter().filter_map(eject).collect()
    }

    /// Ejects an endpoint, unless it is ejected or too many are.
    pub(crate) fn eject(
        &self,
        all: &[&Standing],
        index: usize,
        reason: Reason,
        now: u64,
    ) -> Option<Ejection> {
        if self.deciding.swap(true, Ordering::Acquire) {
            return None;
        }
        let ejection = self.decide(all, index, reason, now);
        self.deciding.store(false, Ordering::Release);
        ejection
    }

    fn decide(
        &self,
        all: &[&Standing],
        index: usize,
        reason: Reason,
        now: u64,
    ) -> Option<Ejection> {
        let standing = all.get(index)?;
        let out = all.iter().filter(|standing| standing.is_ejected(now)).count();
        if standing.is_ejected(now) || out >= allowed(all.len(), self.rules.max_ejected_percent) {
            return None;
        }
        let tally = standing.tally();
        let before = tally.ejections.load(Ordering::Relaxed);
        let quiet = now.saturating_sub(tally.last_end.load(Ordering::Relaxed));
        let number = forgiven(before, quiet, millis(self.rules.interval)).saturating_add(1);
        let lasts = duration(number, self.rules.eject, self.rules.eject_at_most);
        let until = now.saturating_add(millis(lasts));
        tally.ejections.store(number, Ordering::Relaxed);
        tally.last_end.store(until, Ordering::Relaxed);
        tally.start_over();
        standing.eject(until);
        if let Some(count) = self.ejected.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some(Ejection { index, reason, lasts })
    }
}

/// How many of so many endpoints may be ejected: a share, at least one, and never all.
fn allowed(endpoints: usize, percent: u32) -> usize {
    let share = endpoints.saturating_mul(percent as usize) / 100;
    let least = usize::from(percent > 0);
    share.max(least).min(endpoints.saturating_sub(1))
}

/// Ejections that still count after so many milliseconds without another: one less for each interval.
fn forgiven(ejections: u32, quiet: u64, interval: u64) -> u32 {
    let less = u32::try_from(quiet / interval.max(1)).unwrap_or(u32::MAX);
    ejections.saturating_sub(less)
}

/// How long the `number`th ejection lasts.
fn duration(number: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(number).min(longest.max(first))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
